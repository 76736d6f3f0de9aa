"""Typed errors: each message names the thing, what was expected and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NcvizError(Exception):
    """Base of every error a user can cause; its message is written for the user to read."""


class UnknownNameError(NcvizError, KeyError):
    """A name (run, recipe, data set, detector, ...) that does not exist.

    Parameters
    ----------
    kind : what was looked up, in the vocabulary's words: ``"run"``, ``"data set"``, ...
    name : what was asked for
    known : the names that exist
    hint : how to make the missing thing, if there is a way
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = ""):
        known = sorted(known)
        close = difflib.get_close_matches(name, known, n=1)
        message = f"Unknown {kind} '{name}'."
        if close:
            message += f" Did you mean '{close[0]}'?"
        message += f" Known: {', '.join(known)}." if known else f" There is no {kind} yet."
        super().__init__(f"{message} {hint}".strip())
        self._arguments = (kind, name, known, hint)

    def __reduce__(self):
        # By default an exception is rebuilt from its message alone, which another process would
        # fail to do here.
        return type(self), self._arguments

    def __str__(self) -> str:
        # KeyError would print the repr of the message, quotes and all.
        return self.args[0]


class InvalidArrayError(NcvizError, ValueError):
    """Features, logits, labels or weights with a wrong shape, type or value (NaN, infinity)."""


class InvalidOptionError(NcvizError, ValueError):
    """An option of a script, recipe or detector outside its range."""


class MissingDataError(NcvizError, FileNotFoundError):
    """A file, folder or result that is not there; the message says which command makes it."""

    def __str__(self) -> str:
        return self.args[0]


class CorruptFileError(NcvizError, ValueError):
    """A file that is truncated, foreign or inconsistent with the rest of its run."""


class StorageError(NcvizError, OSError):
    """The disk refused a write: full, read-only or not permitted."""

    def __str__(self) -> str:
        return self.args[0]


class ProcessLostError(NcvizError, RuntimeError):
    """One of several processes that work together has gone without a word."""


class BusyError(NcvizError, RuntimeError):
    """A run that another process is writing; the message says which, and on which machine."""


class MissingPackageError(NcvizError, ImportError):
    """An optional package that is not installed; the message says which command installs it."""


class ClusterError(NcvizError, RuntimeError):
    """A Dask cluster that cannot be reached, has no workers or runs another ncviz."""


class RemoteError(NcvizError, OSError):
    """A run at a URL that cannot be reached, or not be read; nothing of it was kept by halves."""

    def __str__(self) -> str:
        return self.args[0]
