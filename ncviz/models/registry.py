"""Architectures that a user brings: registered by modules that the user names, by no run folder."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from ncviz.errors import InvalidOptionError, NcvizError, UnknownNameError
from ncviz.models.wrap import Wrapped

PLUGINS = "NCVIZ_PLUGINS"

Builder = Callable[[int, int], Wrapped]
_builders: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Decorator: `build(classes, image_size)` returns the architecture `name`, wrapped.

    Raises
    ------
    InvalidOptionError : another function has that name already.
    """

    def keep(builder: Builder) -> Builder:
        other = _builders.get(name, builder)
        if _identity(other) != _identity(builder):
            raise InvalidOptionError(
                f"The architecture '{name}' is registered by {_identity(other)} already; give "
                f"that of {_identity(builder)} another name."
            )
        _builders[name] = builder
        return builder

    return keep


def _identity(builder: Builder) -> str:
    return f"{builder.__module__}.{builder.__qualname__}"


def build_architecture(name: str, *, classes: int, image_size: int) -> Wrapped:
    """The registered architecture `name`, untrained.

    Where nobody has registered it yet, the modules that the environment variable NCVIZ_PLUGINS
    lists are imported: names of modules or paths of .py files, with commas between them.

    Raises
    ------
    UnknownNameError : nobody registers that name.
    InvalidOptionError : a module cannot be imported, its function fails, or what it builds is no
        wrapped module with `classes` outputs.
    """
    if name not in _builders:
        for plugin in filter(None, map(str.strip, os.environ.get(PLUGINS, "").split(","))):
            _import(plugin)
    if name not in _builders:
        listed = os.environ.get(PLUGINS) or "nothing"
        raise UnknownNameError(
            "architecture",
            name,
            _builders,
            f"It is registered by code of yours, which runs only where you name it: set {PLUGINS} "
            f"to the module or .py file with @ncviz.models.register('{name}') (it lists {listed}).",
        )
    network = _call(name, _builders[name], classes, image_size)
    if not isinstance(network, Wrapped):
        raise InvalidOptionError(
            f"The architecture '{name}' is built as {type(network).__name__}; return "
            "ncviz.models.wrap(module, head=...)."
        )
    found = getattr(network.head, "out_features", classes)
    if found != classes:
        raise InvalidOptionError(
            f"The architecture '{name}' tells {found} classes apart when asked for {classes}; "
            "build its head with the number it is given."
        )
    return network


def _call(name: str, builder: Builder, classes: int, image_size: int) -> object:
    try:
        return builder(classes, image_size)
    except NcvizError:
        raise
    except Exception as error:  # whatever the user's function raises
        raise InvalidOptionError(
            f"The architecture '{name}' could not be built: {_identity(builder)}({classes}, "
            f"{image_size}) raised {type(error).__name__}: {error}."
        ) from error


def _import(plugin: str) -> None:
    try:
        if plugin.endswith(".py"):
            _import_file(Path(plugin).expanduser().resolve())
        else:
            importlib.import_module(plugin)
    except NcvizError:
        raise
    except Exception as error:  # whatever the user's module raises
        raise InvalidOptionError(
            f"{PLUGINS} names {plugin}, which cannot be imported: {type(error).__name__}: {error}."
        ) from error


def _import_file(path: Path) -> ModuleType:
    name = f"ncviz_plugin_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.parent)
    # As for a script, files beside the plugin come first while it is imported. They stay available
    # for imports inside its functions, after all other modules.
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
    if folder not in sys.path:
        sys.path.append(folder)
    return module
