"""Runs the commands as `python -m binding_ivr`."""

import sys

from binding_ivr.cli import main

if __name__ == "__main__":
    sys.exit(main())
