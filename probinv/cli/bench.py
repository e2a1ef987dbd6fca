"""Run the measurements of the bench and print their tables."""

import argparse
import difflib
import json

from probinv._errors import InputError


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="which measurements (default: all)")
    parser.add_argument("--json", metavar="FILE", help="also write every figure to a JSON file")
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
    figures = {}
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
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)
    return 0
