"""Draw the inputs that a spec file or a property asks for, and say whether they can be trusted."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from probinv._errors import InputError
from probinv.cli import _kinds
from probinv.cli._files import page_beside, pictures_beside, require_new
from probinv.cli._source import Parameter, signature
from probinv.cli._spec import Overrides, Spec, read_spec
from probinv.cli._words import image_shape, seed, value

if TYPE_CHECKING:
    import xarray as xr

    from probinv.methods import AbstractMethod
    from probinv.posterior import Posterior

SETTING = "setting_"

EXAMPLE = """\
a spec file; names of files are relative to its folder:

  network = "score.npz"            # written by probinv.save_network; or .onnx, .keras
  [prior]
  kind = "uniform"                 # or [prior.inputs.NAME] kind = ... for each named input
  low = 0.0
  high = 1.0
  [prior.fixed]                    # inputs that are known: name or index = value
  3 = 0.25
  [target]
  kind = "gaussian"                # or "product" with [[target.parts]] for several wishes
  y_star = [7.0, nan]              # nan: this output does not matter
  scale = 0.1                      # any array may be a file instead: scale = "scale.npy"
  [method]                         # left out, one is chosen
  kind = "lifted"
  [run]
  seed = 0
  output = "result.nc"
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options; those of the methods come from the registry."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{EXAMPLE}\n{_kinds_text()}\n\n{parser.epilog}"
    add = parser.add_argument
    parser.set_defaults(usage=parser.error)
    add("spec", type=Path, nargs="?", metavar="SPEC.toml", help="network, prior, target and method")
    add("--network", type=Path, metavar="NETWORK", help="in place of a spec: a network file, with --property")
    add(
        "--property", type=Path, metavar="P.vnnlib", help="a property in VNN-LIB: search an input that has it"
    )
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where to save, a .nc file (default: SPEC.nc, or NETWORK_P.nc)",
    )
    add("--seed", type=seed, help="a whole number; the same seed gives the same draws")
    add("--method", help=f"in place of the spec's: {', '.join(_kinds.methods())}")
    add(
        "--resume",
        type=Path,
        metavar="RESULT.nc",
        help="continue an interrupted run, or extend a finished one",
    )
    add("--report", action="store_true", help="also write an HTML page and a folder of pictures")
    add("--image", type=image_shape, metavar="HxW", help="shape of inputs that are images, for --report")
    add("--dry-run", action="store_true", help="check everything, run nothing")
    add("--strict", action="store_true", help="exit code 1 unless the verdict is ok")
    add("--force", action="store_true", help="replace files that exist")
    add("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group("settings of the method", "in place of those of the spec")
    for name, owners in _settings().items():
        word, dest = f"--{name.replace('_', '-')}", f"{SETTING}{name}"
        about = _about(name, owners)
        if all(parameter.annotation == "bool" for parameter in owners.values()):
            group.add_argument(word, dest=dest, action=argparse.BooleanOptionalAction, help=about)
        else:
            group.add_argument(word, dest=dest, type=value, metavar="VALUE", help=about)


def run(args: argparse.Namespace) -> int:
    """Checks, runs, saves, reports."""
    given = {name.removeprefix(SETTING): v for name, v in vars(args).items() if name.startswith(SETTING)}
    settings = {name: value for name, value in given.items() if value is not None}
    if args.network is not None or args.property is not None:
        if args.spec is not None or args.network is None or args.property is None:
            args.usage("--network and --property belong together, and take the place of SPEC.toml")
        from probinv.cli._property import run_property

        return run_property(args, settings)
    if args.spec is None:
        args.usage("give SPEC.toml, or --network and --property")
    spec = read_spec(args.spec, Overrides(args.method, settings, args.seed, args.output))
    _require_places(spec, args)

    from probinv.cli._build import build

    posterior, method = build(spec)
    require_image(posterior, args.image)
    resumed = _resumed(args.resume)
    print(_question(posterior, method, spec), flush=True)
    if args.dry_run:
        print(f"nothing is wrong; the result would be saved as {spec.output}")
        return 0
    return _invert(posterior, method, spec, resumed, args)


def _invert(
    posterior: "Posterior",
    method: "AbstractMethod | None",
    spec: Spec,
    resumed: "xr.DataTree | None",
    args: argparse.Namespace,
) -> int:
    from probinv._invert import invert
    from probinv.results.files import save
    from probinv.results.tree import provenance

    try:
        tree = invert(posterior, method, seed=spec.seed, progress=not args.quiet, resume=resumed)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted before the first draw: there is nothing to save") from None
    print(f"saved: {save(tree, spec.output)}", flush=True)
    facts = provenance(tree)
    if "chosen" in facts["notes"]:
        print(f"method: {facts['notes']['chosen']}", flush=True)
    if facts["interrupted"]:
        drawn = tree["posterior"].sizes["draw"] if "posterior" in tree.children else None
        what = "what was found so far" if drawn is None else f"the first {drawn} draws of each chain"
        again = "" if drawn is None else f"; continue with --resume {spec.output}"
        raise KeyboardInterrupt(f"interrupted: the file holds {what}{again}")
    if args.report:
        report_beside(tree, spec.output, args.image)
    return 1 if args.strict and facts["verdict"]["verdict"] != "ok" else 0


def report_beside(tree: "xr.DataTree", result: Path, image: tuple[int, int] | None) -> None:
    """The HTML page and the pictures beside a result, named on standard output."""
    from probinv.results.plots import plot_all
    from probinv.results.report import report

    pictures = plot_all(tree, pictures_beside(result), shape=image)
    print(f"pictures: {len(pictures)} in {pictures_beside(result)}")
    report(tree, page_beside(result), shape=image)
    print(f"report: {page_beside(result)}", flush=True)


def _require_places(spec: Spec, args: argparse.Namespace) -> None:
    """Every file that is to be written can be, before anything is computed."""
    resuming = args.resume is not None and args.resume.resolve() == spec.output.resolve()
    require_new("output", spec.output, ".nc", force=args.force or resuming)
    if args.report:
        require_new("report", page_beside(spec.output), ".html", force=args.force or resuming)


def require_image(posterior: "Posterior", image: tuple[int, int] | None) -> None:
    """An InputError if no input has as many entries as the image."""
    if image is None:
        return
    import jax.numpy as jnp

    parts = posterior.prior.split(jnp.zeros(posterior.prior.shape))
    sizes = {name: part.size for name, part in parts.items()}
    if image[0] * image[1] not in sizes.values():
        raise InputError(
            f"--image {image[0]}x{image[1]} does not fit",
            f"the inputs have {', '.join(f'{size} ({name})' for name, size in sizes.items())} entries",
            "give height x width",
        )


def _resumed(path: Path | None) -> "xr.DataTree | None":
    if path is None:
        return None
    from probinv.results.files import load

    return load(path)


def _question(posterior: "Posterior", method: "AbstractMethod | None", spec: Spec) -> str:
    return "\n".join(
        (
            f"question: {posterior.likelihood.describe()}",
            f"network:  {spec.network.name}, {posterior.prior.shape} -> {posterior.output_shape}",
            f"prior:    {type(posterior.prior).__name__}, {posterior.size} free coordinates",
            f"method:   {_method(method)}, seed {spec.seed}",
        )
    )


def _method(method: "AbstractMethod | None") -> str:
    if method is None:
        return "chosen by probinv"
    settings = (f"{field.name}={getattr(method, field.name)}" for field in dataclasses.fields(method))
    return f"{type(method).__name__}({', '.join(settings)})"


def _kinds_text() -> str:
    """Every kind of prior and target with its keys; those in brackets can be left out."""
    lines = []
    for title, kinds, more in (("prior", _kinds.PRIORS, ""), ("target", _kinds.TARGETS, " [on]")):
        lines.append(f"kinds of {title}, and their keys:")
        for kind, entry in kinds.items():
            keys = (f"[{k}]" if p.default else k for k, p in _kinds.parameters(entry).items())
            lines.append(f"  {kind:<24}{' '.join(keys)}{more}")
    return "\n".join(lines)


def _about(name: str, owners: dict[str, Parameter]) -> str:
    """What each method says of a setting of that name, with the default; the same words only once."""
    told: dict[str, list[str]] = {}
    for method, parameter in owners.items():
        words = signature(_kinds.methods()[method]).about.get(name, parameter.annotation).rstrip(".")
        told.setdefault(f"{words} ({parameter.default})", []).append(method)
    text = "; ".join(f"{', '.join(methods)}: {words}" for words, methods in told.items())
    return text.replace("%", "%%")


def _settings() -> dict[str, dict[str, Parameter]]:
    """Every setting of any method -> the methods that have it."""
    found: dict[str, dict[str, Parameter]] = {}
    for method, entry in _kinds.methods().items():
        for name, parameter in _kinds.parameters(entry).items():
            found.setdefault(name, {})[method] = parameter
    return found
