"""Run the measurements of the bench and print their tables."""

import argparse
import difflib
import json
from typing import Any

from probinv._errors import InputError


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="which measurements (default: all)")
    parser.add_argument("--json", metavar="FILE", help="also write every figure to a JSON file")
    parser.add_argument("--picture", metavar="FILE", help="also draw what was measured (of layers)")
    parser.add_argument("--list", action="store_true", help="only name them")


def run(args: argparse.Namespace) -> int:
    """Runs the named measurements one after the other."""
    from probinv import bench

    benches = bench.BENCHES
    for name in args.names:
        if name not in benches:
            near = difflib.get_close_matches(name, benches, 1)
            hint = f"did you mean {near[0]}?" if near else "see probinv bench --list"
            raise InputError(
                f"the bench {name} is not known", f"there are {', '.join(benches) or 'none'}", hint
            )
    figures: dict[str, Any] = {}
    pictures = []
    width = max(map(len, benches), default=0)
    for name in args.names or benches:
        if args.list:
            about = (benches[name].__doc__ or "").strip().partition("\n")[0]
            print(f"{name.ljust(width)}  {about}".rstrip())
        else:
            try:
                result = benches[name]()
            except InputError as error:
                if args.names:
                    raise
                print(f"\n{name}\nleft out: {error}", flush=True)  # a file or a package that is not there
                continue
            print(f"\n{name}\n{result.text()}", flush=True)
            figures[name] = result.figures
            if result.draw is not None:
                pictures.append((result.draw, result.figures))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)
    if args.picture:
        for draw, found in pictures:
            _save(draw(found), args.picture)
        if not pictures:
            print(f"no picture: {', '.join(figures) or 'nothing that was run'} has none")
    return 0


def _save(figure: Any, file: str) -> None:
    """As its ending says; of an SVG the letters stay letters, and the same figures give the same file."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "probinv"}):
        figure.savefig(file, metadata={"Date": None} if file.endswith(".svg") else None)
