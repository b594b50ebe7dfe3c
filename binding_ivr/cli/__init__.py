"""The command `binding-ivr`: arguments in, one line per fault out. What a command does is in the modules beside."""

import asyncio
import os
import sys
from collections.abc import Sequence

from binding_ivr.cli import operate
from binding_ivr.cli.parser import build_parser
from binding_ivr.errors import BindingError

EXIT_DONE, EXIT_REFUSED, EXIT_INTERRUPTED = 0, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 refused or failed, 2 usage (by argparse)."""
    options = build_parser().parse_args(arguments)
    try:
        with asyncio.Runner(loop_factory=operate.event_loop()) as runner:
            status: int = runner.run(options.run(options))
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
