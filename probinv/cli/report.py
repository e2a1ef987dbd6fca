"""Write the HTML page of a saved result: question, verdict, plots, numbers, provenance."""

import argparse
from pathlib import Path

from probinv.cli._files import page_beside, require_new
from probinv.cli._words import image_shape


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("result", type=Path, metavar="RESULT.nc", help="a file that probinv saved")
    parser.add_argument("-o", "--output", type=Path, metavar="PAGE.html", help="default: RESULT.html")
    parser.add_argument("--image", type=image_shape, metavar="HxW", help="shape of inputs that are images")
    parser.add_argument("--force", action="store_true", help="replace the page if it exists")


def run(args: argparse.Namespace) -> int:
    """Loads, draws, writes."""
    page = args.output or page_beside(args.result)
    require_new("output", page, ".html", force=args.force)

    from probinv.results.diagnose import diagnose
    from probinv.results.files import load
    from probinv.results.report import report

    tree = load(args.result)
    print(diagnose(tree))
    report(tree, page, shape=args.image)
    print(f"report: {page}")
    return 0
