"""What cannot be wished is refused by name, with a reason and a way out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probinv._errors import InputError, ViewError
from probinv.likelihood import (
    AnyOf,
    Argmax,
    AtLeast,
    AtMost,
    Bernoulli,
    Exactly,
    Gaussian,
    Interval,
    Label,
    LinearRegion,
    On,
    Ordering,
    Product,
    Student,
)

NAN, INF = np.nan, np.inf
ASYMMETRIC = [[1.0, 0.5], [0.2, 1.0]]
INDEFINITE = [[1.0, 2.0], [2.0, 1.0]]
SINGULAR = [[1.0, 1.0], [1.0, 1.0]]

REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "all NaN": (lambda: Gaussian([NAN, NAN], 1.0), "y_star holds only NaN"),
    "infinite": (lambda: Gaussian([INF, 0.0], 1.0), "y_star holds an infinite number"),
    "empty": (lambda: Gaussian([], 1.0), "y_star is empty"),
    "text": (lambda: Gaussian("seven", 1.0), "y_star is not an array of real numbers"),
    "complex": (lambda: Gaussian(1j, 1.0), "y_star is not an array of real numbers"),
    "no scale": (lambda: Gaussian(1.0), "either scale or covariance"),
    "both": (lambda: Gaussian(1.0, 1.0, covariance=[[1.0]]), "either scale or covariance"),
    "zero scale": (lambda: Gaussian(1.0, 0.0), "scale must be positive"),
    "negative scale": (lambda: Gaussian([1.0, 2.0], [1.0, -1.0]), "scale must be positive"),
    "NaN scale": (lambda: Gaussian(1.0, NAN), "scale holds NaN"),
    "infinite scale": (lambda: Gaussian(1.0, INF), "scale holds an infinite number"),
    "scale shape": (lambda: Gaussian([1.0, 2.0], [1.0, 1.0, 1.0]), r"scale has shape \(3,\)"),
    "covariance shape": (lambda: Gaussian([1.0, 2.0], covariance=[1.0, 1.0]), r"covariance has shape \(2,\)"),
    "covariance number": (lambda: Gaussian([1.0, 2.0], covariance=1.0), r"covariance has shape \(\)"),
    "asymmetric": (lambda: Gaussian([1.0, 2.0], covariance=ASYMMETRIC), "not symmetric"),
    "indefinite": (
        lambda: Gaussian([1.0, 2.0], covariance=INDEFINITE),
        "not positive definite.*eigenvalue -1",
    ),
    "singular": (lambda: Gaussian([1.0, 2.0], covariance=SINGULAR), "not positive definite"),
    "negative variance": (lambda: Gaussian(1.0, covariance=[[-1.0]]), "diagonal entry that is not positive"),
    "NaN covariance": (lambda: Gaussian(1.0, covariance=[[NAN]]), "covariance holds NaN"),
    "student scale": (lambda: Student(1.0, -1.0, 4.0), "scale must be positive"),
    "student df": (lambda: Student(1.0, 1.0, 0.0), "df must be positive"),
    "student y_star": (lambda: Student(NAN, 1.0, 4.0), "y_star holds only NaN"),
    "negative class": (lambda: Label(-1), "k must be a whole number of at least 0"),
    "class 1.5": (lambda: Label(1.5), "k must be a whole number"),
    "class True": (lambda: Label(True), "k must be a whole number"),
    "class array": (lambda: Label(np.array([1, 2])), "k must be a whole number"),
    "outputs": (lambda: Label(1, outputs="logit"), "outputs='logit' is not known"),
    "share": (lambda: Bernoulli([0.5, 1.1]), r"targets lie outside \[0, 1\]"),
    "share below": (lambda: Bernoulli(-0.1), r"targets lie outside \[0, 1\]"),
    "share NaN": (lambda: Bernoulli(NAN), "targets holds only NaN"),
    "count": (lambda: Bernoulli(0.5, count=0), "count must be a whole number of at least 1"),
    "count 1.5": (lambda: Bernoulli(0.5, count=1.5), "count must be a whole number"),
    "outputs of sigmoid": (lambda: Bernoulli(0.5, outputs="odds"), "is not known"),
    "half hard": (lambda: AtLeast([0.0, 0.0], [0.1, 0.0]), "softness is zero for some outputs"),
    "NaN softness": (lambda: AtLeast(0.0, NAN), "softness holds NaN"),
    "negative softness": (lambda: AtLeast(0.0, -1.0), "softness must be positive"),
    "softness shape": (lambda: AtMost(0.0, [1.0, 1.0]), r"softness has shape \(2,\)"),
    "reversed": (lambda: Interval(1.0, 0.0, 0.1), "low must be below high"),
    "no room": (lambda: Interval([0.0, 1.0], 1.0, 0.1), "low must be below high"),
    "no bound": (lambda: Interval(None, None, 0.1), "no finite bound"),
    "NaN bounds": (lambda: Interval([NAN, -INF], [INF, NAN], 0.1), "no finite bound"),
    "inf below": (lambda: Interval(INF, None, 0.1), "low is inf"),
    "bounds shapes": (lambda: Interval([0.0, 0.0], [1.0, 1.0, 1.0], 0.1), "low has shape"),
    "exactly NaN": (lambda: Exactly([NAN]), "y_star holds only NaN"),
    "argmax": (lambda: Argmax(-1), "k must be a whole number"),
    "order of one": (lambda: Ordering([1]), "order must be a list of at least two whole numbers"),
    "order 1.5": (lambda: Ordering([1.5, 0]), "order must be a list"),
    "order negative": (lambda: Ordering([-1, 0]), "order must be a list"),
    "order matrix": (lambda: Ordering([[1, 0]]), "order must be a list"),
    "order text": (lambda: Ordering("ab"), "order is not an array"),
    "order twice": (lambda: Ordering([0, 1, 0]), "order names an output twice"),
    "no region": (lambda: AnyOf([]), "regions must be a list of at least one"),
    "one region": (lambda: AnyOf(Argmax(0)), "regions must be a list.*got Argmax"),
    "region with a density": (lambda: AnyOf([Argmax(0), Label(1)]), "a wish without hard edges.*got Label"),
    "soft region": (lambda: AnyOf([AtLeast(0.0, 0.1)]), "a wish without hard edges.*got SoftInterval"),
    "one row": (lambda: LinearRegion([1.0, -1.0], 0.0), r"A has shape \(2,\)"),
    "no rows": (lambda: LinearRegion(np.zeros((0, 2)), 0.0), r"A has shape \(0, 2\)"),
    "NaN in A": (lambda: LinearRegion([[NAN, 1.0]], 0.0), "A holds NaN"),
    "infinite A": (lambda: LinearRegion([[INF, 1.0]], 0.0), "A holds an infinite number"),
    "sides": (lambda: LinearRegion([[1.0, -1.0]], [0.0, 1.0]), r"b has shape \(2,\)"),
    "strictness": (lambda: LinearRegion([[1.0, -1.0]], 0.0, [True] * 2), r"strict has shape \(2,\)"),
    "nowhere": (lambda: LinearRegion([[1.0, -1.0]], -INF), "b holds -inf"),
    "zero row": (lambda: LinearRegion([[1.0, -1.0], [0.0, 0.0]], [0.0, 1.0]), "a row of A is zero"),
    "idle group": (
        lambda: LinearRegion([[[1.0, 0.0]]] * 2, [[0.0], [INF]]),
        "a group of rows wishes nothing",
    ),
    "at sides": (lambda: LinearRegion([[1.0, -1.0]], 0.0).at([NAN]), "a group of rows wishes nothing"),
    "at two sides": (lambda: LinearRegion([[1.0, -1.0]], 0.0).at([0.0, 1.0]), r"b has shape \(2,\)"),
    "row too long": (lambda: LinearRegion([[1.0, -1.0]], 0.0).check((3,)), r"a row of A has shape \(2,\)"),
    "at NaN": (lambda: Gaussian(1.0, 1.0).at(NAN), "y_star holds only NaN"),
    "at shape": (lambda: Gaussian(1.0, 1.0).at([1.0]), r"y_star has shape \(1,\)"),
    "at share": (lambda: Bernoulli(0.5).at(2.0), "targets lie outside"),
    "at class": (lambda: Label(0).at(-1), "k must be a whole number"),
    "at bounds": (lambda: Interval(0.0, 1.0, 0.1).at((2.0, 1.0)), "low must be below high"),
    "at bounds shape": (lambda: Interval(0.0, 1.0, 0.1).at(([0.0], [1.0])), "low has shape"),
    "at hard bounds": (lambda: Interval(0.0, 1.0).at((2.0, 1.0)), "low must be below high"),
    "at argmax": (lambda: Argmax(0).at(0.5), "k must be a whole number"),
    "at order": (lambda: Ordering([0, 1]).at([0, 1, 2]), r"order has shape \(3,\)"),
    "at one for two": (lambda: AnyOf([Argmax(0), Argmax(1)]).at((1,)), "one Y\\* for each part"),
    "shape": (lambda: Gaussian(1.0, 1.0).check((1,)), r"y_star has shape \(\).*shape \(1,\)"),
    "shape of student": (lambda: Student([1.0], 1.0, 4.0).check((2,)), "y_star has shape"),
    "shape of shares": (lambda: Bernoulli([1.0]).check(()), "targets has shape"),
    "shape of bounds": (lambda: AtLeast(1.0, 0.1).check((3,)), "low and high has shape|low and high"),
    "class out of range": (lambda: Label(3).check((3,)), "k=3 is not a class.*from 0 to 2"),
    "one class": (lambda: Label(0).check((1,)), "at least two classes"),
    "matrix of classes": (lambda: Label(0).check((2, 2)), "vector of at least two classes"),
    "argmax range": (lambda: Argmax(3).check((3,)), "vector of at least 4 outputs"),
    "order range": (lambda: Ordering([0, 3]).check((3,)), "vector of at least 4 outputs"),
    "order of a matrix": (lambda: Ordering([0, 1]).check((2, 2)), "order needs a vector"),
    "union range": (lambda: AnyOf([Argmax(0), Argmax(3)]).check((3,)), "vector of at least 4 outputs"),
    "exactly shape": (lambda: Exactly([1.0]).check(()), "y_star has shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        build()
    assert caught.value.what
    assert caught.value.why
    assert caught.value.instead


def test_traced_y_star_is_refused_at_construction_and_taken_by_at() -> None:
    with pytest.raises(InputError, match="y_star is not an array"):
        jax.vmap(lambda t: Gaussian(t, 1.0).log_prob(t))(jnp.ones(2))
    value = jax.vmap(lambda t: Gaussian(0.0, 1.0).at(t).log_prob(t))(jnp.ones(2))
    np.testing.assert_allclose(value, -0.5 * np.log(2 * np.pi), rtol=1e-6)
    with pytest.raises(InputError, match="y_star has shape"):
        jax.jit(lambda t: Gaussian(0.0, 1.0).at(t).log_prob(t))(jnp.ones(2))


def test_an_exact_wish_is_an_equation_and_not_a_density(key: jax.Array) -> None:
    wish, y = Exactly([7.0, NAN]), jnp.array([7.5, 3.0])
    r, slack = wish.constraint(y)
    assert r.tolist() == [0.5, 0.0]
    assert slack.tolist() == [0.0, 1.0]
    assert wish.exact_outputs == 1
    assert not wish.reached(y)
    assert wish.reached(jnp.array([7.0, -4.0]))
    assert not wish.reached(jnp.array([NAN, 1.0]))
    np.testing.assert_array_equal(wish.simulate(key, y), [7.5, NAN])
    np.testing.assert_array_equal(wish.at([NAN, 1.0]).target, [NAN, 1.0])
    for compute in (wish.log_prob, jax.grad(wish.log_prob)):
        with pytest.raises(ViewError, match="LiftedHMC"):
            compute(y)


def test_exact_wishes_of_some_outputs_and_beside_a_tolerance() -> None:
    y = jnp.array([7.5, 3.0, 1.0])
    part = On([2, 0], Exactly([1.0, 7.0]))
    assert [leaf.tolist() for leaf in part.constraint(y)] == [[0.0, 0.5], [0.0, 0.0]]
    assert part.exact_outputs == 2
    assert not part.reached(y)
    both = Product([On(0, Exactly(7.0)), On(1, Gaussian(2.0, 0.5))])
    assert both.mixed
    assert not part.mixed
    assert [leaf.tolist() for leaf in both.constraint(y)] == [[0.5, 2.0], [0.0, 1.0]]
    assert both.at((7.5, 3.0)).reached(y)
    with pytest.raises(ViewError, match="LiftedHMC"):
        both.log_prob(y)


def test_descriptions() -> None:
    assert Gaussian([7.0], 0.1).describe() == "y = (7,) within 0.1 (Gaussian standard deviation)"
    assert (
        Gaussian([7.0, NAN], 0.1).describe("score")
        == "score = (7, any) within 0.1 (Gaussian standard deviation)"
    )
    full = Gaussian([1.0, 2.0], covariance=np.diag([0.01, 0.04]))
    assert full.describe() == "y = (1, 2) within 0.1 to 0.2 (Gaussian standard deviations, full covariance)"
    many = Gaussian(np.r_[NAN, np.arange(8.0)], np.linspace(0.1, 0.2, 9)).describe()
    assert many == (
        "y = an array of shape (9,) with values from 0 to 7, 1 of them any within 0.1 to 0.2 "
        "(Gaussian standard deviation)"
    )
    assert Gaussian(np.full(9, 2.0), 0.1).describe().startswith("y = 2 in all 9 outputs within 0.1")
    assert Student(1.0, 0.1, 4).describe() == "y = 1 within 0.1 (Student scale, 4 degrees of freedom)"
    assert Label(3).describe() == "y says class 3 (logits)"
    assert Bernoulli([0.99, 0.01]).describe() == (
        "y = (0.99, 0.01) as a share of yes, worth 1 observation of each output"
    )
    assert AtLeast(2.0, 0.1).describe() == "y at least 2, with edges of softness 0.1"
    assert AtMost([2.0, NAN], 0.1).describe() == "y at most (2, any), with edges of softness 0.1"
    assert Interval(0, 1, 0.1).describe() == "y from 0 to 1, with edges of softness 0.1"
    assert AtLeast(2.0).describe() == "y at least 2 (hard edges)"
    assert AtMost([2.0, NAN]).describe() == "y at most (2, any) (hard edges)"
    assert Argmax(1).describe() == "y[1] is the largest entry of y"
    assert Ordering([2, 0, 1]).describe() == "y[2] > y[0] > y[1]"
    assert Ordering(np.arange(9)).describe() == (
        "y[0] > y[1] > y[2] > y[3] > y[4] > y[5] > y[6] > ... > y[8]"
    )
    rows = [[1.0, 0.0, -1.0], [0.0, -2.0, 0.0]]
    assert LinearRegion(rows, [0.0, -8.0]).describe() == "y[0] <= y[2] and y[1] >= 4"
    assert LinearRegion([rows, rows], [[0.0, NAN], [NAN, 1.0]], [[True, False]] * 2).describe("s") == (
        "s[0] < s[2], or s[1] >= -0.5"
    )
    assert LinearRegion([[2.0, 0.0, -1.0]], 3.0).describe() == "y with 2 y[0] - y[2] <= 3"
    assert LinearRegion(np.ones((9, 1)), np.arange(9)).describe().endswith("<= 5 and 3 other comparisons")
    assert (
        LinearRegion(np.ones((9, 1, 1)), 1.0)
        .describe()
        .endswith(", or y in one of 3 other groups of comparisons")
    )
    assert AnyOf([Argmax(0), On(1, AtLeast(2.0))]).describe() == (
        "y[0] is the largest entry of y, or y[1] at least 2 (hard edges)"
    )


def test_targets() -> None:
    np.testing.assert_array_equal(
        Interval([0.0, NAN, -INF, NAN], [1.0, 2.0, INF, INF], 0.1).target_for((4,)), [0.5, 2.0, NAN, NAN]
    )
    assert Label(2).target == 2
    np.testing.assert_array_equal(Label(2, "probabilities").target_for((3,)), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(Label(2).target_for((3,)), [NAN, NAN, NAN])
    logits = Bernoulli([0.5, 1.0, NAN], outputs="logits")
    np.testing.assert_array_equal(logits.target, [0.5, 1.0, NAN])
    np.testing.assert_array_equal(logits.target_for((3,)), [0.0, NAN, NAN])
