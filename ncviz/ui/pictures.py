"""Pictures of cached samples, kept for all readers; where one is missing, why, and how to get it.

Opening a picture loads torch only where torchvision's own files of a set are there to be read.
"""

from __future__ import annotations

import io
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from ncviz.errors import MissingDataError, NcvizError
from ncviz.ui.shared import freeze

_PICTURES, _THUMBNAILS, _SETS = 500, 20_000, 4
_LARGEST, _SMALL = 256, 96  # pixels of the longer side


@dataclass(frozen=True)
class Missing:
    """A picture that is not at hand.

    Attributes
    ----------
    reason : one sentence, the same for all pictures of a set that are missing for it
    advice, command : how to get them in words, and as a line for a shell; empty where there is no
        way
    """

    reason: str
    advice: str = ""
    command: str = ""


def picture(set_name: str, key: str) -> np.ndarray | Missing:
    """The picture of a cached sample as RGB (H, W, 3), at most 256 pixels wide and high."""
    return _or_missing(_picture, set_name, key)


def thumbnail(set_name: str, key: str) -> bytes | Missing:
    """The same as a PNG file, at most 96 pixels wide and high."""
    return _or_missing(_thumbnail, set_name, key)


def _or_missing(read, set_name: str, key: str):
    from ncviz.data import data_root

    if not key:
        return Missing(f"The run does not say which images of {set_name} its samples are.")
    # What cannot be read is tried again: a reader who has followed the advice wants to see it.
    try:
        return read(set_name, key, str(data_root()))
    except MissingDataError:
        return _how_to_get(set_name, key, data_root())
    except NcvizError as error:
        return Missing(str(error))


@st.cache_resource(max_entries=_PICTURES, show_spinner=False)
def _picture(set_name: str, key: str, root: str) -> np.ndarray:
    image = _open(set_name, key, root)
    image.thumbnail((_LARGEST, _LARGEST))
    return freeze(np.array(image))


@st.cache_resource(max_entries=_THUMBNAILS, show_spinner=False)
def _thumbnail(set_name: str, key: str, root: str) -> bytes:
    image = _open(set_name, key, root)
    image.thumbnail((_SMALL, _SMALL))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _open(set_name: str, key: str, root: str):
    from ncviz.data import open_image

    name, _, split = set_name.partition("/")
    if not key.startswith("index:"):
        return open_image(name, split, key, root=Path(root))
    images, positions = _indexed(name, split, root)
    if key not in positions:
        raise MissingDataError(f"Data set '{set_name}' has no image '{key}'.")
    return images.image(positions[key])


@st.cache_resource(max_entries=_SETS, show_spinner="Reading a data set")
def _indexed(name: str, split: str, root: str) -> tuple:
    """A set without files of its own, and the position of each key: it is read as a whole."""
    from ncviz.data import load

    images = load(name, split, root=Path(root), progress=False)
    return images, {key: position for position, key in enumerate(images.keys)}


def _how_to_get(set_name: str, key: str, root: Path) -> Missing:
    from ncviz.data import describe

    name = set_name.partition("/")[0]
    if not key.startswith("index:"):
        folder = root / name / key.split("/")[0]
        return Missing(
            f"Images of {set_name} are missing: they are looked for in {folder}.",
            "Start the app with the folder that holds these data sets as image folders:",
            "NCVIZ_DATA=FOLDER make app",
        )
    try:
        kind = describe(name).kind
    except NcvizError:
        kind = ""
    if kind != "torchvision":
        return Missing(f"Images of {set_name} are missing.")
    return Missing(
        f"Images of {set_name} are missing: {root} has no {name}.",
        "This downloads them:",
        f"python -m ncviz.data {shlex.quote(name)}",
    )
