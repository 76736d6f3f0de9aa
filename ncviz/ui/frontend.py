"""How the browser gets the code of ncviz's components, and plotly.js from the plotly package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import plotly
import streamlit as st
from streamlit import runtime
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
    served = runtime.exists()
    if served:
        _serve(name, _HERE / name)
    return _renderer(name, isolated, served)


def serve_plotly() -> None:
    """Let browsers fetch the plotly.js that belongs to the installed plotly."""
    if runtime.exists():
        _serve("plotly", Path(plotly.__file__).parent / "package_data")


@cache
def _renderer(name: str, isolated: bool, served: bool) -> Callable:
    # Made at the first use: importing a page's modules must work without a running app.
    script, style = f"{name}.js", f"{name}.css"
    if not served:  # a page that is run as a plain script, for nobody to see
        script, style = ((_HERE / name / file).read_text("utf-8") for file in (script, style))
    return st.components.v2.component(
        f"{_OWNER}.{name}", js=script, css=style, isolate_styles=isolated
    )


def _serve(name: str, folder: Path) -> None:
    """What Streamlit does at its start for installed packages; a checkout is none."""
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(f"{_OWNER}.{name}") is None:
        manifest = ComponentManifest(_OWNER, "1", [ComponentConfig(name, folder.name)])
        manager.register_from_manifest(manifest, folder.parent)
