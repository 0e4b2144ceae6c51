"""The command line: names, options, output and exit statuses. The work is done elsewhere.

Results go to stdout, progress and messages to stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 3 bad data, 4 bad model
file, 5 partly done, 130 interrupted, 143 terminated. What takes time to load (torch, above all) is loaded by the command that
needs it, so that help is quick.
"""

from __future__ import annotations

import os
import sys

from cyclopts import CycloptsError

from isthmus.cli import evaluate, export, latents, restore, serve, train  # noqa: F401  # each registers its commands
from isthmus.cli.app import MAX_BAD, app
from isthmus.cli.messages import as_flags, messages, say
from isthmus.errors import Interrupted, IsthmusError, UsageError

__all__ = ["MAX_BAD", "app", "main"]


def main() -> None:
    """Run the command line, and exit with its status."""
    try:
        with messages():
            status = app(sys.argv[1:], exit_on_error=False, print_error=True, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError:
        status = UsageError.exit_status
    except Interrupted as interrupted:
        say(as_flags(str(interrupted)))
        status = interrupted.exit_status
    except IsthmusError as error:
        say(as_flags(str(error)))
        status = error.exit_status
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except MemoryError:
        say("Out of memory. Use fewer or smaller images (--size), a smaller --batch-size, or --memory.")
        status = 1
    sys.exit(status if isinstance(status, int) else 0)
