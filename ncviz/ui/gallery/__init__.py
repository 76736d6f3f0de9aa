"""Small pictures with words under them, as buttons: all of a page in one message of bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from ncviz.ui import frontend


@dataclass(frozen=True)
class Tile:
    """A sample in a gallery.

    Attributes
    ----------
    title, lines : what is written under the picture, the title bold
    alt : the same in one sentence, for readers who do not see the picture
    picture : a PNG file, or None where there is none
    warning : a short line that is marked as bad news, or empty
    current : whether this is the sample that is looked at
    """

    title: str
    lines: tuple[str, ...]
    alt: str
    picture: bytes | None
    warning: str = ""
    current: bool = False


def gallery(
    tiles: Sequence[Tile], *, label: str, key: str, opens: str, on_look: Callable[[int], None]
) -> None:
    """Draw `tiles`.

    Parameters
    ----------
    label : names them all
    opens : key of the container that a press opens, which is then brought into sight
    on_look : gets the position of the tile that is pressed, before the next script run
    """

    def pressed() -> None:
        at = st.session_state[key].get("look")
        # Anyone may send anything.
        if isinstance(at, int) and 0 <= at < len(tiles):
            on_look(at)

    component = frontend.component("gallery", isolated=True)
    component(data=_message(tiles, label, opens), key=key, on_look_change=pressed)


def _message(tiles: Sequence[Tile], label: str, opens: str) -> bytes:
    """A line of JSON, then the pictures one after the other; the JSON has their lengths."""
    about = [
        {
            "title": tile.title,
            "lines": tile.lines,
            "alt": tile.alt,
            "warning": tile.warning,
            "current": tile.current,
            "size": len(tile.picture or b""),
        }
        for tile in tiles
    ]
    head = json.dumps({"label": label, "opens": opens, "tiles": about}).encode()
    return b"\n".join([head, b"".join(tile.picture or b"" for tile in tiles)])


def tiles_of(message: bytes) -> list[dict[str, Any]]:
    """What `gallery` tells the browser about each tile, its picture as bytes."""
    head, pictures = message.split(b"\n", 1)
    tiles, start = json.loads(head)["tiles"], 0
    for tile in tiles:
        tile["picture"] = pictures[start : start + tile["size"]]
        start += tile["size"]
    return tiles
