"""The command line: names, options, output and exit statuses. The work is done elsewhere.

Results go to stdout, progress and messages to stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 3 bad data, 4 bad model
file, 5 partly done, 130 interrupted, 143 terminated. What takes time to load (torch, above all) is loaded by the command that
needs it, so that help is quick.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys

from cyclopts import CycloptsError

from isthmus.cli.app import MAX_BAD, commands
from isthmus.cli.messages import as_flags, messages, say
from isthmus.errors import Interrupted, IsthmusError, UsageError

__all__ = ["MAX_BAD", "commands", "main"]


def main() -> None:
    """Run the command line, and exit with its status."""
    _spare_garbage_collection()
    _open_streams()
    try:
        with messages():
            app = commands(sys.argv[1] if len(sys.argv) > 1 else "")
            status = app(sys.argv[1:], exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        status = UsageError.exit_status
    except Interrupted as interrupted:
        if str(interrupted):  # of several processes, one speaks
            say(as_flags(str(interrupted)))
        status = interrupted.exit_status
    except IsthmusError as error:
        say(as_flags(str(error)))
        status = error.exit_status
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        status = 0
    except SystemExit as end:
        status = 0 if isinstance(end.__context__, BrokenPipeError) else end.code  # rich's answer to a reader that has left
    except MemoryError:
        say("Out of memory. Use fewer or smaller images (--size), a smaller --batch-size, or --memory.")
        status = 1
    _close_streams()
    sys.exit(status if isinstance(status, int) else 0)


def _spare_garbage_collection() -> None:
    """Look for garbage less often, and not at all at the end: importing torch makes many objects, none of them garbage."""
    gc.set_threshold(20_000, 10, 10)
    atexit.register(gc.freeze)


def _open_streams() -> None:
    """Make sure that printing cannot fail: a stream may be closed, or in an encoding that lacks a file name's letters."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # it lives as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _close_streams() -> None:
    """Flush what was printed; where it cannot be written, as on a full disk, the work is done nevertheless."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
