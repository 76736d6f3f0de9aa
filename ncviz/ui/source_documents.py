"""The two source documents: each of their numbers beside the same number of the chosen run."""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from ncviz.claims import Verdict
from ncviz.figures.theme import signed
from ncviz.results.trade_off import Basis
from ncviz.results.words import left_out
from ncviz.sources import DOCUMENTS, Claim, Detection, Document, Row, Table, Trend
from ncviz.ui import components, controls, loaders, shell, source_numbers
from ncviz.ui.components import number, plain
from ncviz.ui.player import page_ends
from ncviz.ui.source_numbers import Span
from ncviz.ui.view import View

ABSENT = "–"
DIGITS = 4
AUPR = "aupr_in"


def show() -> None:
    """The section of the page; without a run the documents stand alone."""
    document = DOCUMENTS[
        controls.switch(
            "Document",
            list(DOCUMENTS),
            key="document",
            help="report: a student report on OOD scores and neural collapse. slides: a talk on "
            "controlling neural collapse.",
        )
    ]
    view = shell.choose_view()
    ood_set = _choose_ood_set(view, document)
    _head(document, view, ood_set)
    layers, basis = source_numbers.of_layers(view) if view else (pd.DataFrame(), None)
    if view is not None and view.run.without_features:
        components.empty_state(plain(view.run.without_features))
    elif view is not None and layers.empty:
        components.empty_state(
            f"Epoch {view.epoch} of {plain(view.run.name)} has no results to compare. Make them "
            "with:",
            *components.commands(view.run.name, imported=view.run.imported),
        )
    for table in document.tables:
        with shell.readable_errors():
            _table(table, view, ood_set)
    if document.claims:
        with shell.readable_errors():
            _claims(document, view, layers, basis)
    for note in document.notes:
        st.caption(plain(note))
    if view is not None:
        page_ends(view.epoch)


def _choose_ood_set(view: View | None, document: Document) -> str | None:
    """The OOD set of the run that stands for the document's one."""
    if view is None or not view.run.ood_sets or not document.ood_set:
        return None
    with st.sidebar:
        return controls.choose(
            "OOD set",
            list(view.run.ood_sets),
            key="against",
            default=document.ood_set,
            help="Whose detection metrics stand beside those of the document.",
        )


def _head(document: Document, view: View | None, ood_set: str | None) -> None:
    st.subheader(plain(document.title), anchor=False)
    st.caption(f"{plain(document.authors)}. Source: {plain(document.published)}.")
    if document.address:
        st.caption(f"<{document.address}>")
    columns = {"": [], "The document": []}
    for what, words in document.setting:
        columns[""].append(what)
        columns["The document"].append(words)
    if view is not None:
        own = _setting(view, ood_set)
        columns[view.run.name] = [own.get(what, "") for what, _ in document.setting]
    _draw(
        pd.DataFrame(columns),
        view,
        name="setting",
        alt=f"What the numbers of the {document.name} and of the run were measured on",
    )
    if view is None:
        return
    st.markdown(
        f"**These numbers cannot be equal.** {plain(document.why_other)} They show "
        "what the same quantity comes to in two networks."
    )
    components.provenance(
        str(view.shown),
        f"OOD set {ood_set}" if ood_set else "",
        "difference: the run's number less the document's",
        "numbers of the run written by scripts/evaluate.py",
        loaders.computed_on(view.run),
        *left_out(view.run),
        view.without_head,
    )


def _setting(view: View, ood_set: str | None) -> dict[str, str]:
    """What a run is, in the words that documents use for it."""
    run, recipe = view.run, view.run.recipe
    model = recipe.get("model") or {}
    data = [f"{run.id_set}, {len(run.classes)} classes"]
    data += [
        word for word, set_ in (("flips", "flip"), ("crops", "crop_padding")) if recipe.get(set_)
    ]
    against = ood_set or ", ".join(run.ood_sets)
    network = [str(model.get("backbone") or model.get("architecture") or "unknown")]
    network += [f"width {model['width']}"] if "width" in model else []
    if "pretrained" in model:
        network.append("pre-trained weights" if model["pretrained"] else "from random weights")
    if model.get("projector", "none") != "none":
        network.append(f"projector {model['projector']}")
    training = [f"epoch {view.epoch} of {recipe.get('epochs', run.epochs[-1])}"]
    if "optimizer" in recipe:
        training.append(f"{recipe['optimizer']}, learning rate {recipe.get('learning_rate')}")
    if recipe.get("entropy_weight"):
        training.append(f"entropy weighted by {recipe['entropy_weight']}")
    return {
        "Data": ", ".join(data) + (f"; OOD: {against}" if against else ""),
        "Network": ", ".join(network),
        "Training": ", ".join(training),
    }


def _table(table: Table, view: View | None, ood_set: str | None) -> None:
    st.markdown(f"#### {plain(table.title)}")
    st.caption(plain(f"In the document: {table.where}."))
    corrected = any(row.meant is not None for row in table.rows)
    printed = any(row.printed for row in table.rows)
    lines = [_line(row, view, ood_set) for row in table.rows]
    columns = ["Quantity"]
    columns += ["Printed"] if printed else []
    columns += ["Stands for"] if corrected else []
    if view is not None:
        columns += [view.run.name] + (["Difference"] if printed else [])
    frame = pd.DataFrame(lines)[[*columns, "Note"]]
    _draw(frame, view, name=table.title, alt=table.title)
    for note in table.notes:
        st.caption(plain(note))
    if view is not None:
        _chance_of_aupr(table, view, ood_set)


def _draw(frame: pd.DataFrame, view: View | None, *, name: str, alt: str) -> None:
    """A table of words as it stands, and as CSV with signs that programs read."""
    written = frame.map(plain).rename(columns=plain)
    st.table(written, hide_index=True, border="horizontal", alt=alt)
    components.offer_csv(
        "CSV",
        lambda: frame.map(lambda words: words.replace("−", "-")),
        name=re.sub(r"\W+", "-", name.lower()),
        shown=view and view.shown,
    )


def _line(row: Row, view: View | None, ood_set: str | None) -> dict[str, str]:
    line = {
        "Quantity": row.what,
        "Printed": row.printed.replace("-", "−"),
        "Stands for": "" if row.meant is None else f"{row.meant:g}",
        "Note": row.note,
    }
    if view is not None:
        own = source_numbers.beside(view, row.beside, ood_set)
        line[view.run.name] = _words(own)
        line["Difference"] = _difference(row, own)
    return line


def _words(value: float | Span | None) -> str:
    if isinstance(value, Span):
        return f"{_words(value.low)} to {_words(value.high)}"
    return number(value, DIGITS).replace("-", "−")


def _difference(row: Row, own: float | Span | None) -> str:
    """How far the run's number lies from the document's; nothing where that says nothing."""
    if isinstance(row.beside, Detection) and row.beside.metric == AUPR:
        return ""
    try:
        theirs = float(row.printed.removesuffix("x")) if row.meant is None else row.meant
    except ValueError:
        return ""
    if not isinstance(own, float):
        return ""
    words = f"{own - theirs:+.3f}".replace("-", "−")
    return "0.000" if words[1:] == "0.000" else words


def _chance_of_aupr(table: Table, view: View, ood_set: str | None) -> None:
    """What guessing reaches: it is another number in every pair of sets."""
    quantities = (row.beside for row in table.rows if isinstance(row.beside, Detection))
    asked = [each.detector for each in quantities if each.metric == AUPR]
    found = (source_numbers.detection(view, name, ood_set) for name in asked)
    sizes = next((rows for rows in found if len(rows)), None)
    if sizes is not None:
        known, unknown = (int(sizes[name].iloc[0]) for name in ("id_samples", "ood_samples"))
        st.caption(
            f"AUPR of the run: with {known:,} ID and {unknown:,} OOD samples guessing reaches "
            f"{known / (known + unknown):.3f}. It is not subtracted from that of the document, "
            "whose share of ID samples is another."
        )


def _claims(
    document: Document, view: View | None, layers: pd.DataFrame, basis: Basis | None
) -> None:
    st.markdown("#### What the document claims")
    lines = [_claim_line(claim, view) for claim in document.claims]
    _draw(
        pd.DataFrame(lines),
        view,
        name="claims",
        alt="Claims about encoder and projector, and what the run says about them",
    )
    if view is not None:
        _about_claims(document, view, layers)
    lines = [_trend_line(trend, view, layers) for trend in document.trends]
    _draw(
        pd.DataFrame(lines),
        view,
        name="trends",
        alt="Claims about how NC1 relates to other measures, and the correlations in the run",
    )
    used = f" {basis.words}" if basis is not None and basis.words else ""
    st.caption(
        "r is Pearson's correlation over the layers of the run at this epoch, with log NC1 and "
        "with NC1; leave-one-out: the range of r when one layer is left out. Layers of one network "
        "are not independent, so r describes this network, has no interval and proves no claim."
        + plain(used)
    )


def _about_claims(document: Document, view: View, layers: pd.DataFrame) -> None:
    if layers.empty:
        return
    if not set(source_numbers.PAIR) <= set(layers.index):
        st.caption(
            f"{plain(view.run.name)} has no projector, so the claims about encoder and projector "
            f"cannot be tested here. {_with_both(view)}"
        )
        return
    found = {claim.words: source_numbers.difference(claim, view) for claim in document.claims}
    methods = "; ".join(f"{words}: {each.method}" for words, each in found.items() if each)
    sets = {each.sets for each in found.values() if each and each.sets}
    over = " and ".join(", ".join(names) for names in sorted(sets))
    st.caption(
        f"“{Verdict.SUPPORTED.value}” and “{Verdict.CONTRADICTED.value}”: the 95% interval of the "
        f"difference excludes zero. “{Verdict.UNDECIDED.value}”: it contains zero. "
        f"“{Verdict.UNTESTED.value}”: there is no interval. The intervals are over test samples of "
        "this one network; the difference after another training is unknown. Intervals: "
        + plain(f"{methods}." + (f" Means are over {over}." if over else ""))
    )


def _with_both(view: View) -> str:
    names = [
        name
        for name, run in loaders.listing().runs.items()
        if set(source_numbers.PAIR) <= set(run.layers) and name != view.run.name
    ]
    return f"These runs have one: {plain(', '.join(names))}." if names else ""


def _claim_line(claim: Claim, view: View | None) -> dict[str, str]:
    line = {"Claim, as printed": f"“{claim.printed}”", "Measured by": claim.words}
    found = source_numbers.difference(claim, view) if view else None
    if found is None:
        return line | dict.fromkeys(("Encoder", "Projector", "Encoder − projector", "Here"), ABSENT)
    low, high = found.estimate.low, found.estimate.high
    interval = f" [{signed(low)}, {signed(high)}]" if found.estimate.has_interval else ""
    result = source_numbers.claim_verdict(claim, view)
    return line | {
        "Encoder": _words(found.first),
        "Projector": _words(found.second),
        "Encoder − projector": f"{signed(found.estimate.value)}{interval}",
        "Here": ABSENT if result is None else result.value,
    }


def _trend_line(trend: Trend, view: View | None, layers: pd.DataFrame) -> dict[str, str]:
    line = {
        "Claim, as printed": f"“{trend.printed}”",
        "Measured by": f"NC1 against {trend.words}",
        "r if it holds": "above 0" if trend.rises else "below 0",
    }
    columns = ("r, log NC1", "r, NC1", "Spearman", "Leave-one-out")
    found = source_numbers.correlations(trend, layers, view.run.name) if view else None
    if found is None:
        return line | dict.fromkeys(columns, ABSENT)
    logged, straight = found
    ends = (signed(end, 2) for end in logged.leave_one_out)
    values = (signed(each, 2) for each in (logged.r, straight.r, logged.spearman))
    return line | dict(zip(columns, (*values, " to ".join(ends)), strict=True))
