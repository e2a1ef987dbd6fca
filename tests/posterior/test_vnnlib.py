"""VNN-LIB files: what they mean, and what is refused."""

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import FileError, InputError
from probinv.forward import Layered
from probinv.likelihood import AbstractRegionLikelihood, AnyOf, LinearRegion
from probinv.likelihood._product import RegionProduct
from probinv.posterior import Property, load_property
from probinv.posterior import _formula as formula
from probinv.posterior import _sexpr as sexpr
from probinv.posterior.vnnlib import parse_property
from probinv.prior import Fixed, Uniform

DECLARED = "\n".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1", "Y_2"))
BOX = "(assert (<= X_0 1)) (assert (>= X_0 -0.5)) (assert (<= X_1 1e-05)) (assert (>= X_1 -1E-5))"
WISH = "(assert (<= Y_0 Y_1))"


def read(text: str) -> Property:
    return parse_property(text.encode(), "asked.vnnlib")


def asked(wish: str = WISH, box: str = BOX) -> Property:
    return read(f"{DECLARED}\n{box}\n{wish}\n")


def grid() -> np.ndarray:
    """Outputs with all ties."""
    return np.stack(np.meshgrid(*[[-1.0, 0.0, 0.5, 2.0]] * 3), axis=-1).reshape(-1, 3)


def inside(region: AbstractRegionLikelihood) -> list[bool]:
    """Of every output of the grid."""
    return np.asarray(jax.jit(jax.vmap(region.reached))(jnp.asarray(grid()))).tolist()


WISHES = {
    "(assert (<= Y_0 Y_1))": lambda y: y[0] <= y[1],
    "(assert (>= Y_0 Y_1))": lambda y: y[0] >= y[1],
    "(assert (< Y_0 Y_1))": lambda y: y[0] < y[1],
    "(assert (> Y_0 0.5))": lambda y: y[0] > 0.5,
    "(assert (<= 0.5 Y_2))": lambda y: y[2] >= 0.5,
    "(assert (>= 0.5 Y_2))": lambda y: y[2] <= 0.5,
    "(assert (<= Y_0 Y_1 Y_2))": lambda y: y[0] <= y[1] <= y[2],
    "(assert (<= (+ Y_0 (* -1 Y_1)) 0.5))": lambda y: y[0] - y[1] <= 0.5,
    "(assert (<= (- Y_0 Y_1 1) (- Y_2)))": lambda y: y[0] - y[1] - 1 <= -y[2],
    "(assert (<= (* 2 Y_0 0.5) (/ Y_2 2)))": lambda y: y[0] <= y[2] / 2,
    "(assert (>= (- (* (- 2) Y_1) (+ 1 0.5 .5)) -1.))": lambda y: -2 * y[1] - 2 >= -1,
    "(assert (or (<= Y_0 Y_1) (>= Y_2 2)))": lambda y: y[0] <= y[1] or y[2] >= 2,
    "(assert (or (and (<= Y_0 Y_1) (< Y_1 2)) (and (>= Y_2 2))))": lambda y: (
        (y[0] <= y[1] and y[1] < 2) or y[2] >= 2
    ),
    "(assert (and (or (<= Y_0 0) (<= Y_1 0)) (or (>= Y_2 1) (>= Y_0 1))))": lambda y: (
        (y[0] <= 0 or y[1] <= 0) and (y[2] >= 1 or y[0] >= 1)
    ),
    "(assert (or (<= Y_0 -1) (and (<= Y_1 -1) (or (<= Y_2 -1) (<= Y_0 Y_1)))))": lambda y: (
        y[0] <= -1 or (y[1] <= -1 and (y[2] <= -1 or y[0] <= y[1]))
    ),
    "(assert (or (and (<= Y_0 Y_1) (<= 1 0)) (and (<= 0 1) (<= Y_0 -1))))": lambda y: y[0] <= -1,
}


@pytest.mark.parametrize("wish", WISHES)
def test_a_wish_is_what_it_says(wish: str, x64: None) -> None:
    """The exact check and the likelihood, on outputs with all ties. Both kinds of output occur."""
    found = asked(wish)
    assert len(found.cases) == 1
    wanted = [WISHES[wish](y) for y in grid()]
    assert [found.reached([0.0, 0.0], y) for y in grid()] == wanted
    assert isinstance(found.cases[0].likelihood, LinearRegion)
    assert inside(found.cases[0].likelihood) == wanted
    assert 0 < sum(wanted) < len(wanted)


@pytest.mark.parametrize("wish", list(WISHES)[-4:-1])
def test_the_same_from_products_and_unions(wish: str, monkeypatch: pytest.MonkeyPatch, x64: None) -> None:
    monkeypatch.setattr(formula, "GROUPS_MOST", 1)
    region = asked(wish).cases[0].likelihood
    assert not isinstance(region, LinearRegion)
    assert inside(region) == [WISHES[wish](y) for y in grid()]


def test_many_alternatives_become_products_and_unions(monkeypatch: pytest.MonkeyPatch) -> None:
    wish = "(assert (and " + " ".join(f"(or (<= Y_0 {i}) (<= Y_1 {i}))" for i in range(13)) + "))"
    region = asked(wish).cases[0].likelihood
    assert isinstance(region, RegionProduct)
    assert len(region.parts) == 13
    monkeypatch.setattr(formula, "GROUPS_MOST", 1)
    assert isinstance(asked("(assert (or (<= Y_0 1) (<= Y_1 1)))").cases[0].likelihood, AnyOf)


def test_a_box_is_a_prior() -> None:
    case = asked().cases[0]
    assert isinstance(case.prior, Uniform)
    np.testing.assert_array_equal(case.prior.bounds, [[-0.5, -1e-5], [1.0, 1e-5]])
    assert case.free == 2


@pytest.mark.parametrize(
    "bounds",
    ["(assert (and (>= X_1 0.1) (<= X_1 0.1)))", "(assert (= X_1 0.1))", "(assert (= 0.2 (* 2 X_1)))"],
)
def test_an_input_without_room_is_fixed(bounds: str) -> None:
    case = asked(box=f"(assert (<= -1 X_0 1)) {bounds}").cases[0]
    assert isinstance(case.prior, Fixed)
    np.testing.assert_array_equal(case.prior.bounds, [[-1.0, 0.1], [1.0, 0.1]])
    assert (case.free, case.prior.latent_size) == (1, 1)


def test_a_point_has_no_prior() -> None:
    case = asked(box="(assert (= X_0 1e17)) (assert (= X_1 0))").cases[0]
    assert case.free == 0
    with pytest.raises(InputError, match="every input is fixed"):
        _ = case.prior


def test_the_tighter_of_two_bounds_counts() -> None:
    case = asked(box=f"{BOX} (assert (<= X_0 0.25)) (assert (<= X_0 0.75)) (assert (>= X_0 -9))").cases[0]
    assert (case.low[0], case.high[0]) == (-0.5, 0.25)


def test_a_bound_that_is_no_float_lies_inside() -> None:
    """1/3 from above and from below: the float64 next to it that meets the comparison."""
    case = asked(box="(assert (<= X_0 (/ 1 3))) (assert (>= (* 3 X_0) -1)) (assert (= X_1 0))").cases[0]
    assert (case.low[0], case.high[0]) == (-1 / 3, 1 / 3)  # float(1/3) is below 1/3
    found = asked(box="(assert (>= (* 3 X_0) 1)) (assert (<= X_0 1)) (assert (= X_1 0))")
    assert found.cases[0].low[0] == np.nextafter(1 / 3, 1)
    assert found.reached([np.nextafter(1 / 3, 1), 0.0], [0.0, 0.0, 0.0])
    assert not found.reached([1 / 3, 0.0], [0.0, 0.0, 0.0])


def test_a_union_of_boxes_is_several_cases() -> None:
    boxes = "(assert (or (and (<= 0 X_0 1) (<= 0 X_1 1)) (and (<= 2 X_0 3) (<= 0 X_1 1))))"
    found = asked("(assert (or (<= Y_0 0) (<= Y_1 0)))", boxes)
    assert [(case.low.tolist(), case.high.tolist()) for case in found.cases] == [
        ([0, 0], [1, 1]),
        ([2, 0], [3, 1]),
    ]
    y = [0.0, 1.0, 1.0]
    assert [found.reached([x, 0.5], y) for x in (0.5, 1.5, 2.5)] == [True, False, True]
    assert not found.reached([0.5, 0.5], [1.0, 1.0, 1.0])


def test_a_wish_may_belong_to_a_box() -> None:
    """Inputs and outputs in one disjunct, an empty disjunct, and two wishes for the same box."""
    parts = [
        "(and (<= 0 X_0 1) (<= Y_0 0))",
        "(and (<= 2 X_0 3) (<= Y_1 0))",
        "(and (<= 0 X_0 1) (<= Y_2 0))",
        "(and (<= 3 X_0 2) (<= Y_2 0))",
    ]
    found = asked(f"(assert (or {' '.join(parts)}))", "(assert (<= 0 X_1 1))")
    assert [case.likelihood.describe() for case in found.cases] == ["y[0] <= 0, or y[2] <= 0", "y[1] <= 0"]
    assert found.reached([0.5, 0.0], [1.0, 1.0, -1.0])
    assert not found.reached([2.5, 0.0], [1.0, 1.0, -1.0])


def test_boxes_of_several_assertions_multiply() -> None:
    halves = [f"(assert (or (<= -1 X_{i} 0) (<= 1 X_{i} 2)))" for i in (0, 1)]
    found = asked(box=" ".join(halves))
    assert sorted(case.low.tolist() for case in found.cases) == [[-1, -1], [-1, 1], [1, -1], [1, 1]]


def test_comparisons_are_exact() -> None:
    """Where float64 would round the sum: 1 + 1e-17 is not at most 1, and 0.1 + 0.2 is not 0.3."""
    found = asked("(assert (<= (+ Y_0 Y_1) 1))")
    assert not found.reached([0.0, 0.0], [1.0, 1e-17, 0.0])
    assert found.reached([0.0, 0.0], [1.0, -1e-17, 0.0])
    assert not asked("(assert (<= (+ Y_0 Y_1) (+ 0.1 0.2)))").reached([0, 0], [0.1, 0.2 + 1e-16, 0])
    assert found.reached([1.0, 0.0], [0.0, 0.0, 0.0])
    assert not found.reached([np.nextafter(1.0, 2.0), 0.0], [0.0, 0.0, 0.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_have_no_property(bad: float) -> None:
    assert not asked().reached([0.0, 0.0], [0.0, 1.0, bad])
    assert not asked().reached([bad, 0.0], [0.0, 1.0, 0.0])


def test_shapes_of_what_is_checked() -> None:
    assert asked().reached(np.zeros((1, 1, 2), np.float32), np.zeros((1, 3)))
    with pytest.raises(InputError, match=r"x has 3 entries.*2 inputs"):
        asked().reached(np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match=r"y has 2 entries.*3 outputs"):
        asked().reached(np.zeros(2), np.zeros(2))


def test_what_is_shown() -> None:
    assert repr(asked()) == (
        "Property(asked.vnnlib: 2 inputs, 3 outputs, 1 case)\n  0: 2 inputs in a box; y[0] <= y[1]"
    )
    many = " ".join(f"(and (<= {i} X_0 {i}.5) (= X_1 0))" for i in range(9))
    shown = repr(asked(box=f"(assert (or {many}))")).splitlines()
    assert shown[1:2] == ["  0: 1 inputs in a box, 1 fixed; y[0] <= y[1]"]
    assert (len(shown), shown[-1]) == (6, "  and 5 more")


def test_a_file_with_everything_that_says_nothing(tmp_path: Path) -> None:
    text = f"""; \N{LATIN SMALL LETTER E WITH ACUTE} ( in a comment
(set-logic QF_LRA)\r
{DECLARED.replace("const X_0", "fun X_0 ()")}
{BOX} ; (assert (<= Y_9 0))
{WISH}
(check-sat)(exit)"""
    (tmp_path / "one.vnnlib").write_text(text, "latin-1")
    assert load_property(tmp_path / "one.vnnlib").cases[0].high[0] == 1


def test_a_network_of_other_sizes_is_refused() -> None:
    found = asked()
    fits = Layered.from_arrays([np.ones((3, 2))])
    assert found.posterior(fits).output_shape == (3,)
    with pytest.raises(InputError, match=r"the network takes 4 inputs.*2 are given"):
        found.posterior(Layered.from_arrays([np.ones((3, 4))]))
    with pytest.raises(InputError, match=r"the network gives 5 outputs.*asked.vnnlib speaks of 3"):
        found.posterior(Layered.from_arrays([np.ones((5, 2))]))
    with pytest.raises(InputError, match="there is no case 1"):
        found.posterior(fits, 1)


def nested(depth: int) -> str:
    return f"(assert {'(and ' * depth}(<= Y_0 Y_1){')' * depth})"


def wide(count: int) -> str:
    """An or of two boxes for each of many assertions: 2^count cases."""
    return " ".join(f"(assert (or (<= X_{i % 2} {i}) (>= X_{i % 2} -{i})))" for i in range(count))


HOSTILE: dict[str, tuple[str, str]] = {
    "empty": ("", "declares no input"),
    "no outputs": ("(declare-const X_0 Real)", "declares no output"),
    "truncated": (f"{DECLARED}{BOX}{WISH}"[:-3], "parentheses do not match: 39 are opened|do not match"),
    "one too many": (f"{DECLARED}{BOX}{WISH})", "parentheses do not match"),
    "balanced and wrong": (f"{DECLARED}{BOX}{WISH})(", r"line 5: a \) closes nothing"),
    "deep": ("(" * 1_000_000 + ")" * 1_000_000, "line 1: parentheses are nested too deep"),
    "deep formula": (f"{DECLARED}\n{BOX}\n{nested(150)}", "line 7: parentheses are nested too deep"),
    "bits": (f"{DECLARED}\n{BOX}\n(assert (<= Y_\0 Y_1))", r"line 7: the character '\\x00' cannot be read"),
    "not text": (f"{DECLARED}\n\xff\xfe{BOX}", "line 6: the character"),
    "a quoted symbol": (
        f"{DECLARED}\n(assert (<= |Y_0| 1))",
        "'|Y_0|' is neither a number nor a variable|char",
    ),
    "a word": (f"{DECLARED}\nassert", "line 6: 'assert' stands outside"),
    "a flipped command": (f"{DECLARED}\n(assesr (<= X_0 1))", "line 6: the command 'assesr' is not read"),
    "a flipped sign": (f"{DECLARED}\n(assert (<- X_0 1))", "line 6: '<-' is not a formula"),
    "a flipped name": (f"{DECLARED}\n(assert (<= Z_0 1))", "line 6: 'Z_0' is neither"),
    "a flipped number": (f"{DECLARED}\n(assert (<= X_0 1.5.3))", r"line 6: '1.5.3' is neither"),
    "undeclared": (f"{DECLARED}\n(assert (<= X_2 1))", "line 6: 'X_2' is not declared"),
    "declared too late": (f"(assert (<= X_0 1))\n{DECLARED}", "line 1: 'X_0' is not declared"),
    "declared twice": (f"{DECLARED}\n(declare-const X_0 Real)", "line 6: X_0 is declared twice"),
    "a gap": (f"{DECLARED}\n(declare-const X_5 Real)", "does not declare X_2"),
    "a far gap": (f"{DECLARED}\n(declare-const X_99999999 Real)", "does not declare X_2"),
    "a huge index": (f"{DECLARED}\n(declare-const X_{'9' * 99} Real)", "is neither an input nor an output"),
    "another name": (f"{DECLARED}\n(declare-const X_01 Real)", "'X_01' is neither an input nor an output"),
    "another type": ("(declare-const X_0 Int)", "line 1: this declare-const cannot be read"),
    "a function": ("(declare-fun X_0 (Real) Real)", "line 1: this declare-fun cannot be read"),
    "nothing declared": ("(declare-const)", "line 1: this declare-const cannot be read"),
    "contradiction": (
        f"{DECLARED}\n(assert (<= X_0 0))\n(assert (>= X_0 1e-9))\n{WISH}",
        r"no input meets.*X_0 is to be at least 1e-09 \(line 7\) and at most 0 \(line 6\)",
    ),
    "no disjunct": (
        f"{DECLARED}\n{BOX}\n(assert (or (<= X_0 -1) (>= X_0 2)))\n{WISH}",
        "no input meets the assertions",
    ),
    "false": (f"{DECLARED}{BOX}{WISH}(assert (<= 1 0))", "a comparison of two numbers is false"),
    "no lower bound": (f"{DECLARED}(assert (<= X_0 0)) (assert (= X_1 0)) {WISH}", "X_0 has no lower bound"),
    "no upper bound": (f"{DECLARED}(assert (= X_0 0)) (assert (>= X_1 0)) {WISH}", "X_1 has no upper bound"),
    "unbounded in one case": (
        f"{DECLARED}(assert (or (<= 0 X_0 1) (<= 0 X_1 1))) (assert (= X_1 0)) {WISH}",
        "X_0 has no lower bound",
    ),
    "no wish": (f"{DECLARED}{BOX}", "asks nothing of the outputs"),
    "a wish that always holds": (f"{DECLARED}{BOX}(assert (or {WISH[8:-1]} (<= 0 1)))", "asks nothing of"),
    "nan": (f"{DECLARED}\n(assert (<= X_0 nan))", "line 6: 'nan' is neither a number"),
    "infinity": (f"{DECLARED}\n(assert (<= X_0 inf))", "line 6: 'inf' is neither a number"),
    "overflow": (f"{DECLARED}\n(assert (<= X_0 1e999))", "line 6: the number '1e999' is too large"),
    "a long exponent": (f"{DECLARED}\n(assert (<= X_0 1e{'9' * 100}))", "line 6: .* is neither a number"),
    "many digits": (f"{DECLARED}\n(assert (<= X_0 {'9' * 100_000}))", "line 6: .* is neither a number"),
    "large": (f"{DECLARED}\n(assert (<= X_0 1e305))", "line 6: a number is too large or too small"),
    "a small factor": (f"{DECLARED}\n(assert (<= (* 1e-300 1e-300 Y_0) 1))", "line 6: a number is too large"),
    "a large quotient": (f"{DECLARED}\n(assert (<= (* 1e-200 X_0) 1e200))", "line 6: a number is too large"),
    "a power": (f"{DECLARED}\n(assert (<= (* {'1e300 ' * 30_000} Y_0) 1))", "line 6: a number is too large"),
    "a mixture": (
        f"{DECLARED}\n\n(assert (<= (+ X_0 Y_0) 1))",
        "line 7: a comparison mixes inputs and outputs",
    ),
    "a product": (f"{DECLARED}\n(assert (<= (* Y_0 Y_1) 1))", "line 6: a product of variables"),
    "a ratio": (f"{DECLARED}\n(assert (<= (/ 1 Y_1) 1))", "line 6: a division by a variable"),
    "a division by zero": (f"{DECLARED}\n(assert (<= (/ Y_1 (- 1 1)) 1))", "line 6: a division by zero"),
    "a power of a variable": (f"{DECLARED}\n(assert (<= (^ Y_1 2) 1))", r"line 6: '\^' in a term.*linear"),
    "tied inputs": (f"{DECLARED}\n(assert (<= X_0 X_1))", "line 6: a comparison ties several inputs"),
    "an equal output": (f"{DECLARED}\n(assert (= Y_0 1))", "line 6: an output is to be equal"),
    "not": (f"{DECLARED}\n(assert (not (<= Y_0 1)))", "line 6: 'not' is not a formula"),
    "let": (f"{DECLARED}\n(assert (let ((a 1)) (<= Y_0 a)))", "line 6: 'let' is not a formula"),
    "a formula of one": (f"{DECLARED}\n(assert (<= Y_0))", "line 6: <= compares 1 terms"),
    "an empty and": (f"{DECLARED}\n(assert (and))", "line 6: and stands without formulas"),
    "an empty sum": (f"{DECLARED}\n(assert (<= (+) 1))", r"line 6: \+ stands without terms"),
    "an empty form": (f"{DECLARED}\n(assert ())", "line 6: 'a parenthesis' is not a formula"),
    "two formulas": (f"{DECLARED}\n(assert (<= Y_0 1) (<= Y_1 1))", "line 6: assert has 2 formulas"),
    "true": (f"{DECLARED}\n(assert true)", "line 6: 'true' is not a formula"),
    "version 2": ("(vnnlib-version <2.0>)", "line 1: this is VNN-LIB 2"),
    "2^40 cases": (f"{DECLARED}{BOX}{WISH}{wide(40)}", "too many cases|no input"),
    "many parentheses": ("()" * 4_000_001, "the formula is too long"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_by_name_and_at_once(name: str, tmp_path: Path) -> None:
    text, message = HOSTILE[name]
    path = tmp_path / "hostile.vnnlib"
    path.write_bytes(text.encode("latin-1"))
    spent = []
    while not spent or (spent[-1] >= 2 and len(spent) < 3):  # on a busy machine
        began = time.process_time()
        with pytest.raises(InputError, match=message) as caught:
            load_property(path)
        spent.append(time.process_time() - began)
    assert spent[-1] < 2
    assert "hostile.vnnlib" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.why
    assert caught.value.instead


def test_every_truncation_and_every_flipped_bit_is_read_or_refused() -> None:
    """Nothing but an InputError, whatever is left of a good file: 20 lengths and 400 single bits."""
    whole = (
        f"{DECLARED}\n{BOX}\n(assert (or (and (<= Y_0 Y_1) (>= Y_2 1)) (>= (+ Y_0 (* 2 Y_1)) -1e3)))".encode()
    )
    rng = np.random.default_rng(0)
    texts = [whole[:end] for end in np.linspace(0, len(whole) - 1, 20, dtype=int)]
    for place in rng.integers(0, len(whole), 400):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        texts.append(bytes(flipped))
    refused = 0
    for text in texts:
        try:
            assert isinstance(parse_property(text, "flipped"), Property)
        except InputError:
            refused += 1
    assert refused > 300


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be opened"):
        load_property(tmp_path / "none.vnnlib")
    with pytest.raises(FileError, match="is not a file"):
        load_property(tmp_path)
    large = tmp_path / "large.vnnlib"
    with large.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(FileError, match="too large"):
        load_property(large)


def test_the_length_of_a_formula_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sexpr, "WORDS_MOST", 20)
    with pytest.raises(InputError, match="line 6: the formula is too long"):
        asked()
