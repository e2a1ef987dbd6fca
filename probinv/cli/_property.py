"""`probinv invert --network N --property P`: a witness that the property holds, and draws of all of them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probinv._errors import InputError, ProbinvError
from probinv.cli._files import page_beside, require_new
from probinv.cli._network import open_network
from probinv.cli._spec import Overrides, read_method

if TYPE_CHECKING:
    import xarray as xr

    from probinv._invert.witness import Search, Witness
    from probinv.methods import AbstractMethod
    from probinv.posterior import Property

METHOD = "subset"


def witness_beside(result: Path) -> Path:
    """The text file of the witness that belongs to a result."""
    return result.with_name(f"{result.stem}_witness.txt")


def run_property(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    """Searches, checks, writes the witness, draws, saves.

    Returns:
        0: found; 1: found, --strict and the verdict of the draws is not ok; 3: not found.

    Raises:
        ProbinvError: before anything is compiled, if the words or the files cannot be used.
    """
    _require_words(args)
    output = args.output or Path(f"{args.network.stem}_{args.property.stem}.nc")
    part = read_method({}, Path(), Overrides(METHOD, settings))
    require_new("output", output, ".nc", force=args.force)
    require_new("witness", witness_beside(output), ".txt", force=args.force)
    if args.report:
        require_new("report", page_beside(output), ".html", force=args.force)

    from probinv._invert.witness import find_witness
    from probinv.cli._build import made
    from probinv.posterior import load_property

    assert part is not None
    method, asked = made(part), load_property(args.property)
    network = open_network(args.network)
    flat = asked.flat(network)
    seed = 0 if args.seed is None else args.seed
    print(f"question: {asked!r}")
    print(f"network:  {args.network.name}, {flat.inner} -> {flat.outputs} outputs", flush=True)
    if args.dry_run:
        print(f"nothing is wrong; the result would be saved as {output}")
        return 0
    search = find_witness(network, asked, seed=seed, progress=not args.quiet)
    print(search, flush=True)
    if search.witness is None:
        from probinv.cli import NOT_FOUND

        return NOT_FOUND
    _write(search.witness, witness_beside(output))
    return _draw(asked, network, search, method, seed, output, args)


def _require_words(args: argparse.Namespace) -> None:
    for name, reason in (
        ("resume", "a search keeps no state"),
        ("method", "the draws of a property are made by subset simulation"),
    ):
        if getattr(args, name) is not None:
            raise InputError(f"--{name} cannot be used with --property", reason, "leave it out")


def _write(witness: "Witness", path: Path) -> None:
    from probinv._files import appearing

    with appearing(path) as file:
        file.write(witness.text.encode())
    print(f"witness: {path}", flush=True)


def _draw(
    asked: "Property",
    network: Any,
    search: "Search",
    method: "AbstractMethod",
    seed: int,
    output: Path,
    args: argparse.Namespace,
) -> int:
    """Draws of p(x | property) in the case of the witness; where there are none, the witness stands alone."""
    from probinv._invert import invert
    from probinv.cli import invert as command
    from probinv.results.files import save
    from probinv.results.tree import provenance

    assert search.witness is not None
    if not asked.cases[search.witness.case].free:
        print("draws: none, because every input is fixed")
        return 0
    posterior = asked.posterior(network, search.witness.case)
    command.require_image(posterior, args.image)
    try:
        tree = invert(posterior, method, seed=seed, progress=not args.quiet)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted before the first draw; the witness is saved") from None
    except ProbinvError as error:
        print(f"draws: none, because {error}")
        return 0
    if not _reached(tree):
        print("draws: none; subset simulation did not come to the region, which may be too small for it")
        return 0
    print(f"saved: {save(tree, output)}", flush=True)
    if args.report:
        command.report_beside(tree, output, args.image)
    return 1 if args.strict and provenance(tree)["verdict"]["verdict"] != "ok" else 0


def _reached(tree: "xr.DataTree") -> bool:
    return bool(tree["sample_stats"]["reached"].values.all())
