"""How the browser gets the code of ncviz's components, and plotly.js from the plotly package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import plotly
import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

_HERE = Path(__file__).parent
_OWNER = "ncviz"
# Next to the address of a component's own script; the version makes browsers forget an older one.
PLOTLY = f"../{_OWNER}.plotly/plotly.min.js?v={plotly.__version__}"


def component(name: str, *, isolated: bool = False) -> Callable:
    """The component whose script and style lie in the folder `name` beside this module.

    An `isolated` one neither sees nor changes the style of the page.
    """
    _serve(name, _HERE / name)
    return _renderer(name, isolated)


def serve_plotly() -> None:
    """Let browsers fetch the plotly.js that belongs to the installed plotly."""
    _serve("plotly", Path(plotly.__file__).parent / "package_data")


@cache
def _renderer(name: str, isolated: bool) -> Callable:
    # Made at the first use: importing a page's modules must work without a running app.
    return st.components.v2.component(
        f"{_OWNER}.{name}", js=f"{name}.js", css=f"{name}.css", isolate_styles=isolated
    )


def _serve(name: str, folder: Path) -> None:
    """What Streamlit does at its start for installed packages; a checkout is none."""
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"{_OWNER}.{name}") is None:
        manifest = ComponentManifest(_OWNER, "1", [ComponentConfig(name, folder.name)])
        manager.register_from_manifest(manifest, folder.parent)
