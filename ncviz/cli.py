"""What every script shares: errors and warnings in one clear line, and the exit code."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable

from ncviz import processes
from ncviz.errors import NcvizError

# The codes that a script ends with, besides 0 and those a script has of its own; docs/errors.md
# explains them. The large ones are what shells and sysexits.h have for the same.
ERROR, FAULT, INTERRUPTED, NOT_READ = 2, 70, 130, 141


def run_script(
    main: Callable[[], None],
    *,
    interrupted: str = "The same call goes on.",
    together: bool = False,
) -> None:
    """Call `main`; exit with 2 after a user's error, 130 after an interruption.

    With 141 once nobody reads the output any more, such as after `| head`, and with 70 after an
    exception that nobody foresaw, a fault of ncviz.

    Of several processes under torchrun the first prints, and of what stops them one tells; only a
    script whose processes work `together` may be started so.

    An NcvizError is printed as one line; `--verbose` on the command line adds its traceback.
    `interrupted` says how to go on after Ctrl-C.
    """
    warnings.showwarning = _show_warning
    try:
        with processes.quiet_but_first(), processes.noticing_lost_ones():
            if not together:
                processes.require_alone()
            main()
        processes.leave()
    except NcvizError as error:
        _stop(ERROR, "error", error, traced="--verbose" in sys.argv)
    except MemoryError as error:
        told = f"Out of memory. {error} Take fewer --jobs, or a machine with more memory."
        _stop(ERROR, "error", told, traced="--verbose" in sys.argv)
    except BrokenPipeError:
        # Python flushes once more on its way out, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NOT_READ)
    except KeyboardInterrupt:
        _stop(INTERRUPTED, "interrupted", f"What was finished is kept. {interrupted}")
    except Exception as error:
        told = f"{type(error).__name__}: {error}. Please report it with the lines above."
        _stop(FAULT, "fault", told, traced=True)


def _stop(code: int, what: str, text: object, *, traced: bool = False) -> None:
    if processes.may_speak():
        if traced:
            traceback.print_exc()
        _say(what, text)
    processes.leave(code)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    # Where the code warns is of no use to somebody who runs a script.
    _say("warning", message)


def _say(what: str, text: object) -> None:
    print(f"{what}: {' '.join(str(text).split())}", file=sys.stderr)
