"""Packages that ncviz does without until somebody asks for what takes them."""

from __future__ import annotations

import importlib
from types import ModuleType

from ncviz.errors import MissingPackageError


def optional(module: str, *, what: str, requirements: str) -> ModuleType:
    """The package `module`, imported now.

    Parameters
    ----------
    what : that takes it, for the message
    requirements : the file that lists it

    Raises
    ------
    MissingPackageError : it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{what} takes the package '{module}', which cannot be imported here ({error}). "
            f"Install it with: python -m pip install -r {requirements}"
        ) from error
