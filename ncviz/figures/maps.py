"""Maps of all epochs as one block of bytes that the browser draws from, and their colours."""

from __future__ import annotations

import colorsys
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ncviz.figures import theme

KINDS = {"umap": "UMAP", "pca": "PCA", "etf": "class means"}
GROUPS = ("ID", "near", "far")
"""kinds of sets; the browser draws each with a marker of its own"""
GROUP_COLOURS = (theme.BLUE, theme.VERMILLION, theme.GREEN)
CORRECT_COLOURS = (theme.BLUE, theme.VERMILLION)
_FEW = (
    *(theme.BLUE, theme.VERMILLION, theme.GREEN, theme.PURPLE, theme.AMBER, theme.BROWN),
    *("#6A5ACD", "#17A2B8", "#8DA000", "#C2347A"),
)
# Dark blue to yellow, brighter all the way: readable without seeing hues, on light and on dark.
SCORE_COLOURS = ("#3B4CC0", "#3A7FB5", "#2FA08C", "#86B84B", "#F2C230")
_STEPS = np.iinfo(np.uint16).max
_EDGE = 0.06
_FAR_OUT = 0.002


@dataclass(frozen=True)
class MapFrames:
    """The same N samples in the plane, at E epochs and L layers, and what is known of each.

    Attributes
    ----------
    points : (E, L, N, 2)
    sets : (N,) position in `set_names`
    groups : (S,) position in `GROUPS` of each set
    labels : (N,) class, -1 where the sample belongs to none of the run's
    predicted : (E, N) class
    scores : (E, N), or None where no detector has scored the samples
    percentiles : (E, N) in [0, 1], percentile among the ID samples; None as `scores`
    nc1 : (E, L), NaN where not measured
    """

    epochs: Sequence[int]
    layers: Sequence[str]
    points: np.ndarray
    sets: np.ndarray
    set_names: Sequence[str]
    groups: Sequence[int]
    labels: np.ndarray
    classes: Sequence[str]
    predicted: np.ndarray
    nc1: np.ndarray
    scores: np.ndarray | None = None
    percentiles: np.ndarray | None = None


def pack(frames: MapFrames) -> tuple[str, bytes]:
    """A name that stands for the content, and the bytes: header length, header, arrays.

    Coordinates become 16-bit steps of one range that spans all epochs of a layer: half the size of
    float32, and finer than a pixel at a zoom of fifty. The header is JSON, filled up with blanks
    so that every array starts at a multiple of four.
    """
    steps, windows = _as_steps(frames.points)
    arrays = {
        "points": steps,
        "sets": frames.sets.astype(np.uint8),
        "labels": frames.labels.astype(np.int16),
        "predicted": frames.predicted.astype(np.int16),
    }
    if frames.scores is not None:
        arrays["scores"] = frames.scores.astype(np.float32)
        arrays["percentiles"] = frames.percentiles.astype(np.float32)
    blocks = [_filled(array.tobytes()) for array in arrays.values()]
    header = {
        "epochs": [int(epoch) for epoch in frames.epochs],
        "layers": list(frames.layers),
        "samples": len(frames.labels),
        "windows": windows,
        "nc1": [[None if np.isnan(x) else float(x) for x in row] for row in frames.nc1],
        "classes": list(frames.classes),
        "sets": list(frames.set_names),
        "groups": [int(group) for group in frames.groups],
        "arrays": _places(arrays, blocks),
    }
    content = b"".join([json.dumps(header).encode(), *blocks])
    token = hashlib.blake2b(content, digest_size=8).hexdigest()
    text = _filled(json.dumps({"token": token, **header}).encode(), b" ")
    return token, b"".join([len(text).to_bytes(4, "little"), text, *blocks])


def class_colours(classes: int, chosen: Sequence[int]) -> list[str | None]:
    """A colour for each of the chosen classes, None for the others; all count if none is chosen."""
    shown = list(chosen) or list(range(classes))
    colours: list[str | None] = [None] * classes
    for at, number in enumerate(shown):
        colours[number] = _FEW[at] if len(shown) <= len(_FEW) else _hue(at, len(shown))
    return colours


def ten_of(classes: int) -> list[int]:
    """At most ten classes, evenly spaced."""
    count = min(classes, len(_FEW))
    return [at * classes // count for at in range(count)]


def _as_steps(points: np.ndarray) -> tuple[np.ndarray, list[list[float]]]:
    """Points as steps of each layer's square, and the window (x, y, width, height) to look at.

    The window holds nearly all points of all epochs, so that a few that lie far off do not leave
    the others a corner to crowd in.
    """
    points = points.astype(np.float64)
    low, high = points.min(axis=(0, 2)), points.max(axis=(0, 2))
    whole = np.maximum((high - low).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    shares = (points - low[:, None]) / whole[:, None]
    left, right = np.quantile(shares, (_FAR_OUT, 1 - _FAR_OUT), axis=(0, 2))
    room = _EDGE * (right - left).max(axis=1, keepdims=True)
    size = np.maximum(right - left + 2 * room, 1e-3)
    windows = np.concatenate([left - room, size], axis=1)
    return np.rint(shares * _STEPS).astype(np.uint16), windows.round(5).tolist()


def _places(arrays: dict[str, np.ndarray], blocks: list[bytes]) -> dict[str, list]:
    """Type, first byte after the header, and length of each array."""
    starts = np.cumsum([0, *map(len, blocks)])
    return {
        name: [array.dtype.name, int(start), array.size]
        for (name, array), start in zip(arrays.items(), starts, strict=False)
    }


def _filled(block: bytes, by: bytes = b"\0") -> bytes:
    return block + by * (-len(block) % 4)


def _hue(at: int, count: int) -> str:
    """Hues all around, neighbours also apart in lightness."""
    red, green, blue = colorsys.hls_to_rgb(at / count, (0.42, 0.56)[at % 2], 0.62)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
