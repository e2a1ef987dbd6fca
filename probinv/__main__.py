"""`python -m probinv` is the command `probinv`."""

import sys

from probinv.cli import main

if __name__ == "__main__":
    sys.exit(main())
