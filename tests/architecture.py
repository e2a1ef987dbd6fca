"""The rules of the house as functions over a source tree.

Each rule takes the folder that holds `probinv/` and returns one sentence for each violation, so that
`test_architecture.py` can also hand it small trees that break the rule.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

MAX_FILE, MAX_FUNCTION, MAX_EXAMPLE = 400, 50, 99

# From top to bottom: a room may import only rooms on lower lines; rooms on one line never see each other.
ORDER = (
    ("__main__",),
    ("cli",),
    ("bench",),
    ("_invert", "_load"),
    ("methods", "results"),
    ("posterior",),
    ("boltzmann",),
    ("prior", "forward", "likelihood"),
    ("_typing", "_arrays", "_errors", "_checks", "_files", "_progress"),
)
LEVEL = {room: len(ORDER) - line for line, rooms in enumerate(ORDER) for room in rooms}
GROUND = 1
FAMILIES = {"mcmc", "smc", "manifold", "optimise", "layerwise", "amortised"}
SHARED = {"_base", "kernels"}

# Packages of the host world: data trees, pictures and files belong to results/ and to what stands on it.
HOST = {"arviz", "arviz_base", "arviz_stats", "arviz_plots", "h5netcdf", "h5py", "matplotlib", "xarray"}
HOST_ROOMS = {"results", "_invert", "bench", "cli"}
# Weights of Keras files are HDF5, and are looked at before Keras reads them.
HOST_LOADERS = {"h5py"}
# Frameworks that a user may not have: imported only inside the function that needs them.
OPTIONAL = {"flax", "keras", "onnx", "sklearn", "tensorflow", "torch"}
# An estimator says what it is in scikit-learn's own words, when scikit-learn asks.
OPTIONAL_ROOMS = {"forward.loaders", "bench", "cli", "boltzmann._estimator"}

UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec"}

HOSTS = re.compile(r"py[p]i[.]org|python[h]osted|registry[.]npm[j]s|deb[.]deb[i]an")
MACHINE_PATHS = re.compile(r"(?:^|[^\w.-])/(?:work|farm|root|home|Users)/|[.][.]/shared\b", re.MULTILINE)
NOT_SOURCE = {".git", ".venv", ".cache", "__pycache__", "_build", "_autosummary", "uv.lock"}


@dataclass(frozen=True)
class Source:
    """One module: its dotted name, whether it is a package, its text and its syntax tree."""

    path: Path
    name: str
    package: bool
    text: str

    @property
    def tree(self) -> ast.Module:
        return parse(self.text)

    @property
    def parts(self) -> list[str]:
        """The dotted name below probinv: ["methods", "mcmc", "_nuts"]; empty for the front page."""
        return self.name.split(".")[1:]

    @property
    def room(self) -> str:
        return self.parts[0] if self.parts else ""


@cache
def parse(text: str) -> ast.Module:
    return ast.parse(text)


def sources(root: Path) -> list[Source]:
    """Every module of probinv under `root`."""
    found = []
    for path in sorted((root / "probinv").rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        package = parts[-1] == "__init__"
        found.append(
            Source(path, ".".join(parts[:-1] if package else parts), package, path.read_text("utf-8"))
        )
    return found


@dataclass(frozen=True)
class Import:
    """One imported module, where it is imported, and whether at import time or inside a function."""

    target: str
    line: int
    inside: bool
    typing_only: bool


def imports(source: Source) -> Iterator[Import]:
    """Every import of a module, wherever it stands, with relative names resolved."""
    for node, inside, typing_only in walk_scopes(source.tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = import_base(source, node)
            targets = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"}:
            targets = [
                a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)
            ]
        else:
            continue
        for target in targets:
            yield Import(target, node.lineno, inside, typing_only)


def import_base(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parents = source.name.split(".")
    kept = parents[: len(parents) - node.level + source.package]
    return ".".join(kept + ([node.module] if node.module else []))


def walk_scopes(
    node: ast.AST, inside: bool = False, typing_only: bool = False
) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Every node, with whether it stands in a function and whether under `if TYPE_CHECKING:`."""
    yield node, inside, typing_only
    inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
        for child in node.body:
            yield from walk_scopes(child, inside, True)
        rest: list[ast.AST] = list(node.orelse)
    else:
        rest = list(ast.iter_child_nodes(node))
    for child in rest:
        yield from walk_scopes(child, inside, typing_only)


def called(node: ast.Call) -> str:
    """The last name of what is called: `load` of `np.load(...)`."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def import_order(root: Path) -> list[str]:
    """A room imports only rooms below it, never a sibling, never the front page."""
    bad = []
    for source in sources(root):
        if not source.parts:
            continue
        if source.room not in LEVEL:
            bad.append(f"{source.name}: no such room in ORDER; give it a place")
            continue
        for found in imports(source):
            top, *below = found.target.split(".")
            if top != "probinv" or below[:1] == [source.room]:
                continue
            if not below or below[0] not in LEVEL:
                bad.append(f"{source.name}:{found.line}: imports {found.target} from the front page")
            elif (
                LEVEL[below[0]] >= LEVEL[source.room] and not LEVEL[below[0]] == LEVEL[source.room] == GROUND
            ):
                bad.append(
                    f"{source.name}:{found.line}: {source.room} may not import {below[0]} ({found.target})"
                )
    return bad


def families(root: Path) -> list[str]:
    """A family of methods sees methods/_base and kernels, no other part of methods/; these see no family."""
    bad = []
    for source in sources(root):
        if source.room != "methods" or len(source.parts) < 2:
            continue
        own = source.parts[1]
        if own not in FAMILIES | SHARED:
            continue
        for found in imports(source):
            parts = found.target.split(".")
            if parts[:2] != ["probinv", "methods"]:
                continue
            part = parts[2] if len(parts) > 2 else "the registry"
            if part not in {own, *SHARED}:
                bad.append(f"{source.name}:{found.line}: {own} may not import {part} ({found.target})")
    return bad


def host_world(root: Path) -> list[str]:
    """Trees, pictures and files are met in results/ and above; frameworks inside functions of the loaders."""
    bad = []
    for source in sources(root):
        for found in imports(source):
            package = found.target.split(".")[0]
            where = f"{source.name}:{found.line}: {package}"
            if found.typing_only:
                continue
            loader = package in HOST_LOADERS and found.inside and source.parts[:2] == ["forward", "loaders"]
            if package in HOST and source.room not in HOST_ROOMS and not loader:
                bad.append(f"{where} belongs to results")
            if package in OPTIONAL and not found.inside:
                bad.append(f"{where} is optional: import it inside the function that needs it")
            if package in OPTIONAL and not {source.room, ".".join(source.parts[:2])} & OPTIONAL_ROOMS:
                bad.append(f"{where} is a framework: it belongs to forward/loaders")
    return bad


def file_length(root: Path) -> list[str]:
    """Files of the product have at most 400 lines, examples fewer than 100."""
    bad = []
    for path, limit in chain(
        ((source.path, MAX_FILE) for source in sources(root)),
        ((path, MAX_EXAMPLE) for path in sorted((root / "examples").glob("*.py"))),
    ):
        lines = len(path.read_text("utf-8").splitlines())
        if lines > limit:
            bad.append(f"{path.relative_to(root)}: {lines} lines, at most {limit}")
    return bad


def function_length(root: Path) -> list[str]:
    """Functions have at most 50 lines, not counting the docstring."""
    bad = []
    for source in sources(root):
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            text = ast.get_docstring(node, clean=False)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - (text.count("\n") + 1 if text else 0)
            if lines > MAX_FUNCTION:
                bad.append(
                    f"{source.name}:{node.lineno}: {node.name} has {lines} lines, at most {MAX_FUNCTION}"
                )
    return bad


def no_code_from_files(root: Path) -> list[str]:
    """No pickle and its kin, no allow_pickle, no eval or exec, no shell, no yaml.load."""
    bad = []
    for source in sources(root):
        bad += [
            f"{source.name}:{found.line}: imports {found.target}"
            for found in imports(source)
            if UNSAFE_MODULES & set(found.target.split("."))
        ]
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                bad += [f"{source.name}:{node.lineno}: {what}" for what in unsafe_call(node)]
    return bad


def unsafe_call(node: ast.Call) -> Iterator[str]:
    if isinstance(node.func, ast.Name) and node.func.id in UNSAFE_CALLS:
        yield f"calls {node.func.id}"
    if isinstance(node.func, ast.Attribute) and ast.unparse(node.func) == "yaml.load":
        yield "calls yaml.load"
    for keyword in node.keywords:
        allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg in {"allow_pickle", "shell"} and not allowed:
            yield f"passes {keyword.arg}"


@dataclass(frozen=True)
class Class:
    """A class definition, and the bases it names (by their last name)."""

    source: Source
    node: ast.ClassDef
    bases: tuple[str, ...]

    @property
    def where(self) -> str:
        return f"{self.source.name}:{self.node.lineno}: {self.node.name}"

    @property
    def final(self) -> bool:
        return any(ast.unparse(d).split(".")[-1] == "final" for d in self.node.decorator_list)

    @property
    def abstract(self) -> bool:
        return self.node.name.lstrip("_").startswith("Abstract")

    def methods(self) -> dict[str, bool]:
        """Name of each method, and whether it is abstract."""
        return {
            item.name: any("abstract" in ast.unparse(d) for d in item.decorator_list)
            for item in self.node.body
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
        }


type Classes = dict[str, list[Class]]


def all_classes(root: Path) -> Classes:
    """Every class of probinv under its name; several rooms may have a class of one name."""
    classes: Classes = {}
    for source in sources(root):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                bases = tuple(ast.unparse(b.value if isinstance(b, ast.Subscript) else b) for b in node.bases)
                classes.setdefault(node.name, []).append(Class(source, node, bases))
    return classes


def ancestors(found: Class, classes: Classes) -> list[Class]:
    """The bases of a class that are defined in probinv, and theirs; its own file comes first."""
    line: list[Class] = []
    todo = [(found, base) for base in found.bases]
    while todo:
        heir, base = todo.pop()
        named = [c for c in classes.get(base.split(".")[-1], []) if c is not heir and c not in line]
        for parent in [c for c in named if c.source is heir.source] or named:
            line.append(parent)
            todo += [(parent, base) for base in parent.bases]
    return line


def equinox_modules(root: Path) -> Iterator[tuple[Class, list[Class]]]:
    """The classes that are Equinox modules, also through bases of our own, each with its ancestors."""
    classes = all_classes(root)
    for found in chain.from_iterable(classes.values()):
        line = ancestors(found, classes)
        if {"eqx.Module", "equinox.Module", "Module"} & set(chain(found.bases, *(c.bases for c in line))):
            yield found, line


def abstract_or_final(root: Path) -> list[str]:
    """An Equinox module is abstract (and called so) or final, and no concrete method is overridden."""
    bad = []
    for found, line in equinox_modules(root):
        if found.abstract == found.final:
            bad.append(f"{found.where} must be either final or named Abstract...")
        for ancestor in line:
            if ancestor.final:
                bad.append(f"{found.where} inherits from {ancestor.node.name}, which is final")
            concrete = {name for name, abstract in ancestor.methods().items() if not abstract}
            bad += [
                f"{found.where} overrides {name} of {ancestor.node.name}, which is concrete"
                for name in sorted(concrete & set(found.methods()) - {"__check_init__"})
            ]
    return bad


def no_super(root: Path) -> list[str]:
    """No super() in an Equinox module: what runs is read where it stands."""
    return [
        f"{found.where} calls super() in line {node.lineno}"
        for found, _ in equinox_modules(root)
        for node in ast.walk(found.node)
        if isinstance(node, ast.Call) and called(node) == "super"
    ]


def no_places(root: Path) -> list[str]:
    """No host of a package registry and no path of a machine in what is kept."""
    bad = []
    for path in kept_files(root):
        try:
            text = path.read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for pattern in (HOSTS, MACHINE_PATHS):
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.end()) + 1
                bad.append(f"{path.relative_to(root)}:{line}: {match.group().strip()}")
    return bad


def kept_files(root: Path) -> list[Path]:
    """The files that git tracks or would track; every file where there is no repository."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return [root / name for name in done.stdout.split("\0") if name]
    return [
        p for p in sorted(root.rglob("*")) if p.is_file() and not NOT_SOURCE & set(p.relative_to(root).parts)
    ]


RULES = (
    import_order,
    families,
    host_world,
    file_length,
    function_length,
    no_code_from_files,
    abstract_or_final,
    no_super,
    no_places,
)
