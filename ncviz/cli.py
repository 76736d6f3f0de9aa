"""What every script shares: one clear line for an error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ncviz.errors import NcvizError


def run_script(main: Callable[[], None]) -> None:
    """Call `main`; exit with 2 after a user's error, 130 after an interruption.

    An NcvizError is printed as one line; `--verbose` on the command line shows its traceback.
    """
    try:
        main()
    except NcvizError as error:
        if "--verbose" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Interrupted. What was finished is kept; the same call goes on.", file=sys.stderr)
        sys.exit(130)
