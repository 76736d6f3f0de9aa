"""Reference: what every number and word means, and the documents that the project starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import streamlit as st

from ncviz import collapse, detectors, metrics, transfer
from ncviz.definitions import MetricInfo
from ncviz.detectors import DetectorInfo, probe_energy
from ncviz.glossary import TERMS, Term
from ncviz.ui import components, controls, detector, source_documents
from ncviz.ui.terms import GROUP as GLOSSARY

_EXACTLY = "="
DEFINITIONS, WORDS, SOURCES = SECTIONS = ("Definitions", "Glossary", "Source documents")
_GROUPS = {
    "NC1": "How far samples of one class scatter about their mean.",
    "NC2": "How close the class means are to pointing away from each other equally.",
    "NC3": "How closely the rows of the classifier follow the class means.",
    "NC4": "Whether the network decides as the nearest class mean does.",
    "NC5": "Whether OOD features stand at right angles to the class means.",
    "spread": "How much room the features of a layer take up, whatever their class.",
    "detection": "How well a score tells ID from OOD samples.",
    "calibration": "How far the confidence of the network can be believed.",
    "transfer": "What the features are worth on other data sets.",
}


@dataclass(frozen=True)
class Entry:
    """One definition: its name in code, the texts it is found by, and how it is drawn."""

    name: str
    group: str
    words: str
    draw: Callable[[], None]

    @property
    def place(self) -> str:
        """Names it alone: a metric and a detector may share a name."""
        return f"{self.group}/{self.name}"


def body() -> None:
    """The page below its title."""
    wanted = controls.text(
        "Find",
        key="find",
        placeholder="a name, a paper or a word: KNN, Papyan, temperature, FPR95",
    )
    if wanted:
        _found(wanted)
        return
    section = controls.switch("Section", SECTIONS, key="section", bare=True)
    if section == SOURCES:
        source_documents.show()
    elif section == WORDS:
        _glossary()
    else:
        _definitions()


def _found(wanted: str) -> None:
    """What has the reader's words in it, whatever the section."""
    found = [entry for entry in _entries() if _matches(entry, wanted)]
    if not found:
        components.empty_state(f"No definition has the words {components.plain(wanted)} in it.")
    for entry in found:
        _show(entry, with_group=True)


def _definitions() -> None:
    entries = [entry for entry in _entries() if entry.group != GLOSSARY]
    groups = list(dict.fromkeys(entry.group for entry in entries))
    about = controls.switch("About", groups, key="about", wraps=True)
    st.markdown(components.plain(_about(about)))
    for entry in entries:
        if entry.group == about:
            _show(entry)


def _glossary() -> None:
    st.caption(
        "The words of these pages, related ones side by side. Each is a link to itself: the "
        "address of the page then leads to it."
    )
    terms = list(TERMS.values())
    for start in range(0, len(terms), 2):
        for column, term in zip(st.columns(2), terms[start : start + 2], strict=False):
            with column.container(gap=None):
                st.button(
                    f"**{components.plain(term.name)}**",
                    type="tertiary",
                    key=f"_link_{GLOSSARY}/{term.name}",
                    on_click=_find,
                    args=(f"{_EXACTLY}{GLOSSARY}/{term.name}",),
                )
                st.markdown(components.plain(term.definition))


def _show(entry: Entry, *, with_group: bool = False) -> None:
    with st.container(border=True):
        if with_group:
            st.caption(components.plain(entry.group))
        entry.draw()
        # What the box finds is in the address, so the address then leads to this one alone.
        st.button(
            "Link to this",
            icon=":material/link:",
            type="tertiary",
            key=f"_link_{entry.place}",
            on_click=_find,
            args=(f"{_EXACTLY}{entry.place}",),
            help="Shows this one alone; the address of the page then leads to it.",
        )


def _define_term(term: Term) -> None:
    also = f" ({components.plain(', '.join(term.also))})" if term.also else ""
    st.markdown(f"**{components.plain(term.name)}**{also}")
    st.markdown(components.plain(term.definition))


def _find(words: str) -> None:
    st.session_state["find"] = words


def _matches(entry: Entry, wanted: str) -> bool:
    """Whether the reader's words are in the entry's; after `=` stands the place of one entry."""
    if wanted.startswith(_EXACTLY):
        return entry.place == wanted.removeprefix(_EXACTLY).strip()
    return wanted.lower() in entry.words


def _about(group: str) -> str:
    detecting = (
        f"Detectors of the family “{group}”. A score is always higher for what is more "
        "in-distribution, whichever sign the paper chose. Features and logits that it needs are "
        "those of the sample; statistics are sums over the training set by class."
    )
    return _GROUPS.get(group, detecting)


def _entries() -> Iterable[Entry]:
    tables = (
        collapse.METRICS,
        metrics.DEFINITIONS,
        metrics.MISCLASSIFICATION_DEFINITIONS,
        metrics.CALIBRATION_DEFINITIONS,
        transfer.DEFINITIONS,
    )
    for table in tables:
        for info in table.values():
            yield Entry(
                info.name, info.group, _metric_words(info), partial(components.define, info)
            )
    for info in (*map(detectors.info, detectors.names()), probe_energy.INFO):
        yield Entry(info.name, info.family, _detector_words(info), partial(detector.define, info))
    for term in TERMS.values():
        yield Entry(term.name, GLOSSARY, term.words, partial(_define_term, term))


def _metric_words(info: MetricInfo) -> str:
    texts = (info.name, info.label, info.definition, info.source, info.caveat)
    return " ".join(texts).lower()


def _detector_words(info: DetectorInfo) -> str:
    return " ".join((info.name, info.label, info.family, info.source, info.caveat)).lower()
