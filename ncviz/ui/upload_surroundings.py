"""What lies around an uploaded image: the nearest samples, and its place on the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from ncviz.embedding import Place, place
from ncviz.figures import placed_on_map
from ncviz.figures.maps import KINDS
from ncviz.figures.theme import ID_STYLE, Style, ood_style
from ncviz.neighbours import Neighbour
from ncviz.ui import components, controls, inline, loaders, pictures, sample_loaders
from ncviz.ui.components import plain
from ncviz.ui.view import View

if TYPE_CHECKING:
    from ncviz.ui.upload_details import Seen

_PER_ROW = 5
_SIDE = 128  # pixels of a picture's longer side
_SCATTERED = 0.5


def nearest(seen: Seen) -> None:
    """The cached samples nearest in feature space, with their pictures."""
    view = seen.view
    st.subheader("Nearest samples", anchor=False)
    st.caption(
        f"By Euclidean distance in the feature space of the {plain(view.layer)}, among the samples "
        "whose features are stored; the cosine is that of the angle between both features."
    )
    count = int(controls.switch("Neighbours", ("5", "10", "20"), key="neighbours"))
    for words, training in (("Training", True), ("Test and OOD", False)):
        gallery = sample_loaders.gallery(view.run, view.epoch, view.layer, training=training)
        st.markdown(f"**{words}** ({len(gallery):,} samples)")
        _show_neighbours(view, gallery.nearest(seen.sight.features, count))


def _show_neighbours(view: View, neighbours: Sequence[Neighbour]) -> None:
    missing = ""
    for at in range(0, len(neighbours), _PER_ROW):
        row = neighbours[at : at + _PER_ROW]
        for column, neighbour in zip(st.columns(_PER_ROW), row, strict=False):
            with column:
                missing = _show_neighbour(view, neighbour) or missing
    if missing:
        st.caption(f":material/hide_image: Not every picture is at hand. {plain(missing)}")


def _show_neighbour(view: View, neighbour: Neighbour) -> str:
    """Draw one neighbour; returns why there is no picture of it, if there is none."""
    picture = pictures.picture(neighbour.set_name, neighbour.key)
    missing = picture.reason if isinstance(picture, pictures.Missing) else ""
    what = sample_loaders.class_name(view.run, neighbour.set_name, neighbour.label, neighbour.key)
    if not missing:
        st.image(inline.pixels(picture, _SIDE), alt=what, width=_SIDE)
    st.markdown(f"**{plain(what)}**")
    st.caption(
        f"{plain(_where(view, neighbour))}  \ndistance {neighbour.distance:.3g}  \n"
        f"cosine {neighbour.cosine:.3f}"
    )
    if neighbour.same:
        st.caption(":material/join_inner: This very image is among the samples.")
    return missing


def _where(view: View, neighbour: Neighbour) -> str:
    group = view.run.ood_sets.get(neighbour.set_name.partition("/")[0])
    return f"{neighbour.set_name} ({group} OOD)" if group else neighbour.set_name


def place_on_map(seen: Seen) -> None:
    """The image's place on a map of the epoch, interpolated between its neighbours."""
    view = seen.view
    st.subheader("Its place on the map", anchor=False)
    series = loaders.maps(view.run)
    if series is None or view.epoch not in series.epochs or view.layer not in series.layers:
        components.empty_state(
            f"The {plain(view.layer)} has no map at epoch {view.epoch}. Maps are of the layers "
            "encoder and projector; make them with:",
            f"python scripts/embed.py {view.run.name}",
        )
        return
    kinds = {words: kind for kind, words in KINDS.items() if kind in series.points}
    kind = controls.switch("Map", list(kinds), key="map")
    at = series.epochs.index(view.epoch), series.layers.index(view.layer)
    points = series.points[kinds[kind]][at]
    mapped = _mapped_features(seen, series)
    found = place(seen.sight.features, mapped, points)
    sets = {name: points[series.sets == number] for number, name in enumerate(series.set_names)}
    styles = {
        name: _style(view, name.partition("/")[0]) if number else ID_STYLE
        for number, name in enumerate(series.set_names)
    }
    figure = placed_on_map(
        sets,
        styles=styles,
        image=found.point,
        neighbours=points[found.neighbours],
        kind=kind,
        shown=view.shown,
    )
    components.chart(figure, key="upload_place", alt=_told(view, series, found, kind))
    st.caption(_how_placed(found.spread, len(found.neighbours)))


def _mapped_features(seen: Seen, series: loaders.MapSeries) -> np.ndarray:
    """(N, D) features of the mapped samples, in the map's order."""
    view = seen.view
    gallery = sample_loaders.gallery(view.run, view.epoch, view.layer, training=False)
    starts = np.searchsorted(gallery.sets, np.arange(len(gallery.set_names)))
    first = dict(zip(gallery.set_names, starts, strict=True))
    return gallery.features[
        np.array([first[name] for name in series.set_names])[series.sets] + series.positions
    ]


def _told(view: View, series: loaders.MapSeries, found: Place, kind: str) -> str:
    """The map in words: of which sets the neighbours are that the image lies between."""
    near = np.bincount(series.sets[found.neighbours], minlength=len(series.set_names))
    parts = [
        f"{count} of {name}" for name, count in zip(series.set_names, near, strict=True) if count
    ]
    return (
        f"{kind} of {len(series.sets):,} samples of {view.run.name}, the image among them at "
        f"({found.point[0]:.3g}, {found.point[1]:.3g}), between {', '.join(parts)}."
    )


def _how_placed(spread: float, count: int) -> str:
    where = (
        "they lie close together, so the place says where its neighbours are"
        if spread < _SCATTERED
        else ":material/warning: they are scattered over the map, so the place means little"
    )
    return (
        f"Interpolated, not computed anew: the mean of the map's points of its {count} nearest "
        f"mapped samples in feature space, nearer ones weighing more. Their spread is {spread:.2f} "
        f"of the whole map's: {where}."
    )


def _style(view: View, name: str) -> Style:
    return ood_style(list(view.run.ood_sets).index(name))
