"""Spec files: which network, prior, target and method. Checked as far as that goes without JAX."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, final

from probinv._errors import InputError
from probinv.cli import _kinds
from probinv.cli._network import peek
from probinv.cli._part import Part
from probinv.cli._shapes import fit_prior, fit_target
from probinv.cli._source import constant
from probinv.cli._values import array, check_value, count, text
from probinv.cli._words import SEEDS

BYTES_MOST = 2**20
SECTIONS = ("network", "prior", "target", "method", "run")
DEFAULT_METHOD = "nuts"


@final
@dataclass(frozen=True)
class Spec:
    """A spec file in which nothing wrong was found.

    Attributes:
        network: path of the network file.
        prior, target, method: what to build.
        seed: of the run.
        output: path of the result.
    """

    network: Path
    prior: Part
    target: Part
    method: Part | None
    seed: int
    output: Path


@final
@dataclass(frozen=True)
class Overrides:
    """What the command line says in place of the file."""

    method: str | None = None
    settings: dict[str, Any] | None = None
    seed: int | None = None
    output: Path | None = None


def read_spec(path: Path, overrides: Overrides | None = None) -> Spec:
    """The question that a spec file asks.

    Args:
        path: the file; other files are named in it relative to its folder.
        overrides: from the command line.

    Raises:
        InputError: the first thing that is wrong, by its name, such as prior.scale.
    """
    overrides, folder = overrides or Overrides(), path.parent
    table = _parse(path)
    _require_keys("", table, SECTIONS, "a spec file", required=("network", "prior", "target"))
    network = folder / text("network", table["network"], folder)
    prior = _prior("prior", table["prior"], folder)
    target = _target("target", table["target"], folder)
    method = read_method(table.get("method", {}), folder, overrides)
    run = _section("run", table.get("run", {}))
    _require_keys("run", run, ("seed", "output"), "run")
    seed = _seed(run.get("seed", 0), folder) if overrides.seed is None else overrides.seed
    output = folder / text("run.output", run.get("output", f"{path.stem}.nc"), folder)
    shapes = peek("network", network)
    fit_prior(prior, shapes)
    fit_target(target, shapes.output)
    return Spec(network, prior, target, method, seed, overrides.output or output)


def _seed(value: Any, folder: Path) -> int:
    seed = count("run.seed", value, folder)
    if seed >= SEEDS:
        raise InputError(f"run.seed must be below {SEEDS}", f"got {seed}", "take a smaller one")
    return seed


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"there is no spec file {path}", "", "check the path")
    if path.stat().st_size > BYTES_MOST:
        raise InputError(
            f"{path.name} is too large", "a spec file has at most 1 MiB", "put arrays into .npy files"
        )
    content = path.read_bytes()
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} is not text", f"byte {error.start} is not UTF-8", "save it as UTF-8"
        ) from None
    except RecursionError:
        raise InputError(f"{path.name} is not a spec file", "its brackets are nested too deep", "") from None
    except ValueError as error:
        _reword(path, content.decode("utf-8-sig"), str(error))


def _reword(path: Path, content: str, reason: str) -> NoReturn:
    """What tomllib says of a syntax error, with the key where one is given twice."""
    lines = content.splitlines() or [""]
    place = re.search(r"at line (\d+)", reason)
    number = min(int(place[1]), len(lines)) if place else len(lines)
    if not re.match("Cannot (overwrite|declare|mutate|redefine)|Duplicate", reason):
        raise InputError(f"{path.name} is not valid TOML", reason, "look at that line") from None
    line = lines[number - 1].strip()
    inline = re.match(r"Duplicate inline table key '(.+)' ", reason)
    if line.startswith("["):
        key = line.partition("#")[0].strip("[] ")
    else:
        headers = [one.strip() for one in lines[: number - 1] if one.strip().startswith("[")]
        key = headers[-1].partition("#")[0].strip("[] ") + "." if headers else ""
        key += line.partition("=")[0].strip() + (f".{inline[1]}" if inline else "")
    raise InputError(f"{key} is given twice", f"{path.name}, line {number}", "keep one") from None


def _prior(where: str, given: Any, folder: Path) -> Part:
    """A prior, with its inputs and fixed values."""
    table = _section(where, given)
    if "inputs" in table:
        _require_keys(where, table, ("kind", "inputs", "fixed"), "a prior with named inputs")
        if table.get("kind", "named") != "named":
            _unknown_kind(f"{where}.kind", table["kind"], ("named",))
        part = Part(where, "named", None)
        named = _section(f"{where}.inputs", table["inputs"])
        if not named:
            raise InputError(f"{where}.inputs is empty", "no input is named", f"add [{where}.inputs.NAME]")
        for name, one in named.items():
            _require_name(f"{where}.inputs", name)
            part.inputs[name] = _plain(f"{where}.inputs.{name}", one, folder, _kinds.PRIORS)
    else:
        part = _plain(where, table, folder, _kinds.PRIORS, besides=("fixed",))
    for key, value in _section(f"{where}.fixed", table.get("fixed", {})).items():
        part.fixed[_place(key)] = array(f"{where}.fixed.{key}", value, folder)
    return part


def _target(where: str, given: Any, folder: Path) -> Part:
    """A wish: one of the kinds, or a product of them."""
    table = _section(where, given)
    if table.get("kind") != "product":
        part = _plain(where, table, folder, _kinds.TARGETS, besides=("on",), also=("product",))
        part.on = _on(where, table.get("on"), folder)
        return part
    _require_keys(where, table, ("kind", "parts"), "a product", required=("parts",))
    if not isinstance(table["parts"], list) or not table["parts"]:
        raise InputError(f"{where}.parts must be a list of targets", "", f"write [[{where}.parts]] for each")
    parts = [_target(f"{where}.parts[{i}]", one, folder) for i, one in enumerate(table["parts"])]
    return Part(where, "product", None, parts=parts)


def read_method(given: Any, folder: Path, overrides: Overrides) -> Part | None:
    """The method of the file, with what the command line sets; the settings of another method are dropped.

    None, so that `invert` chooses, where nothing at all is said of the method.
    """
    table = dict(_section("method", given))
    if not table and overrides.method is None and not overrides.settings:
        return None
    if overrides.method is not None and overrides.method != table.get("kind", DEFAULT_METHOD):
        table = {"kind": overrides.method}
    table = {"kind": DEFAULT_METHOD} | table
    part = _plain("method", table, folder, _kinds.methods())
    assert part.entry is not None
    known = _kinds.parameters(part.entry)
    for name, value in (overrides.settings or {}).items():
        flag = f"--{name.replace('_', '-')}"
        if name not in known:
            raise InputError(
                f"{flag} is not a setting of {part.kind}", f"it has {', '.join(known)}", "see probinv methods"
            )
        part.settings[name] = check_value(flag, known[name], value, Path())
    return part


def _plain(
    where: str,
    given: Any,
    folder: Path,
    kinds: dict[str, str],
    besides: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
) -> Part:
    """A table of one kind, with the arguments of its class."""
    table = _section(where, given)
    if "kind" not in table:
        raise InputError(f"{where}.kind is missing", f"it says which {where}", f"one of {', '.join(kinds)}")
    kind = table["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        _unknown_kind(f"{where}.kind", kind, (*kinds, *also))
    known = _kinds.parameters(kinds[kind])
    required = tuple(name for name, parameter in known.items() if parameter.default is None)
    _require_keys(where, table, ("kind", *known, *besides), f"{kind}", required)
    _require_either(where, table, _kinds.EITHER.get(kinds[kind].partition(":")[2], ()))
    settings = {
        name: check_value(f"{where}.{name}", parameter, table[name], folder)
        for name, parameter in known.items()
        if name in table
    }
    return Part(where, kind, kinds[kind], settings)


def _section(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a table", f"got {value!r}"[:80], f"write [{where}] above its keys")
    return value


def _require_keys(
    where: str, table: dict[str, Any], known: Iterable[str], what: str, required: tuple[str, ...] = ()
) -> None:
    known, prefix = tuple(known), f"{where}." if where else ""
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            raise InputError(f"{prefix}{_shown(key)} is not known", f"{what} takes {', '.join(known)}", hint)
    for key in required:
        if key not in table:
            raise InputError(f"{prefix}{key} is missing", f"{what} needs it", f"add {key} = ...")


def _require_either(where: str, table: dict[str, Any], names: tuple[str, ...]) -> None:
    given = [name for name in names if name in table]
    if names and len(given) != 1:
        what = f"{where}.{names[0]} is missing" if not given else f"{where}.{given[1]} is one too many"
        raise InputError(what, f"exactly one of {' and '.join(names)} is needed", "give one of them")


def _unknown_kind(field: str, kind: Any, known: tuple[str, ...]) -> NoReturn:
    near = difflib.get_close_matches(str(kind), known, 1)
    hint = f"did you mean {near[0]}?" if near else "choose one of them"
    raise InputError(f"{field} = {_shown(kind)} is not known", f"there are {', '.join(known)}", hint)


def _require_name(where: str, name: str) -> None:
    reserved = constant("probinv.prior.named", "RESERVED")
    if not name.isidentifier() or name in reserved:
        why = "the result uses it itself" if name in reserved else "names become variables of the result"
        raise InputError(f"{where}.{_shown(name)} cannot be used", why, "use letters, digits and underscores")


def _on(where: str, value: Any, folder: Path) -> int | list[int] | None:
    places = value if isinstance(value, list) else [value]
    if value is not None and (
        not places or not all(isinstance(i, int) and not isinstance(i, bool) for i in places)
    ):
        raise InputError(
            f"{where}.on must be the place of an output or a list of places",
            f"got {value!r}"[:80],
            "for example on = 0, or on = [0, 3]",
        )
    return value


def _place(key: str) -> str | tuple[int, ...]:
    """The index that a key such as 3 or "2,5" stands for, or the key itself as a name."""
    if re.fullmatch(r"-?\d{1,9}(\s*,\s*-?\d{1,9})*", key):
        return tuple(int(part) for part in key.split(","))
    return key


def _shown(value: Any) -> str:
    shown = value if isinstance(value, str) and value.isidentifier() else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
