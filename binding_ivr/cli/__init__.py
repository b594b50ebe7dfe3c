"""The command `binding-ivr`: arguments in, one line per fault out. The modules next to this one hold the commands.

A command's module is imported only when it runs, by its name in the parser's table: half of what there is to import is
the service, the demonstration and the lab, and a look-up should not wait for them.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from binding_ivr.cli.parser import build_parser
from binding_ivr.errors import BindingError

EXIT_DONE, EXIT_REFUSED, EXIT_INTERRUPTED = 0, 1, 130
DEBUG = "BINDING_IVR_DEBUG"
"""A variable of the environment: when it is set, a fault of the program shows its traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 refused or failed, 2 usage (by argparse)."""
    options = build_parser().parse_args(arguments)
    try:
        status: int = named("run.run")(named(options.run), options)
        return status
    except BindingError as error:
        print(f"binding-ivr: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left; do not complain when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_REFUSED
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        print(f"binding-ivr: {_fault(error)}; for the details set {DEBUG}=1 and try again", file=sys.stderr)
        return EXIT_REFUSED


def _fault(error: Exception) -> str:
    """Say what nobody expected, without the text of a fault: it may quote a number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"a fault of this program ({type(error).__name__}), please report it"


def named(name: str) -> Any:
    """Import and return the function that the parser's table names as `module.function`, a module of this package."""
    module, function = name.split(".")
    return getattr(import_module(f"{__name__}.{module}"), function)
