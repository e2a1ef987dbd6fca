"""The command `probinv`: one file for each subcommand, and one line here.

No subcommand imports JAX before it has to, so that help and a mistake in a spec file come at once.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from probinv._errors import ProbinvError
from probinv.cli import bench, demo, imagine, invert, methods, report, train
from probinv.cli._source import constant

COMMANDS = {
    "demo": demo,
    "invert": invert,
    "train": train,
    "imagine": imagine,
    "report": report,
    "methods": methods,
    "bench": bench,
}

OK, NOT_OK, REFUSED, NOT_FOUND, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: done; `--strict` and the verdict is not ok; the request cannot be met; a property of which no
input was found; Ctrl-C."""

SUMMARY = "Which inputs of a trained network give this output, and how sure are we?"
EPILOG = (
    "exit codes: 0 done; 1 with --strict and a verdict that is not ok; 2 refused; 3 no input with "
    "--property was found; 130 interrupted, with what there was saved"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Args:
        argv: the words after `probinv`; None for those of this process.

    Returns:
        The exit code: 0 done, 1 not ok (with --strict), 2 refused, 3 no witness found, 130 interrupted.

    Raises:
        SystemExit: by argparse, after help (0) and for words that it does not know (2).
    """
    version = constant("probinv", "__version__")
    parser = argparse.ArgumentParser("probinv", description=SUMMARY, epilog=EPILOG, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"probinv {version}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        about = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=about, description=about, epilog=EPILOG, allow_abbrev=False)
        module.arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except ProbinvError as error:
        _complain(error)
        return REFUSED
    except KeyboardInterrupt as stop:
        _complain(stop)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, for example `head`, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which Python flushes at its end
        return OK
    except OSError as error:
        _complain(error)
        return REFUSED


def _complain(error: BaseException) -> None:
    """One message on standard error: what is wrong and why, and below it what to do instead."""
    text = str(error) or "interrupted"
    if isinstance(error, ProbinvError):
        text = ": ".join(part for part in (error.what, error.why) if part)
        text += f"\n  -> {error.instead}" if error.instead else ""
    with contextlib.suppress(BrokenPipeError):
        print(f"probinv: {text}", file=sys.stderr, flush=True)
