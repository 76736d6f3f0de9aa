"""How a number of another document is written down, and which number of a run stands beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Collapse:
    """A collapse metric, at the chosen layer unless one is named."""

    metric: str
    layer: str | None = None


@dataclass(frozen=True)
class Ratio:
    """A collapse metric at one layer, divided by that at another."""

    metric: str
    above: str
    below: str


@dataclass(frozen=True)
class Detection:
    """A detection metric of a detector against the chosen OOD set."""

    detector: str
    metric: str


@dataclass(frozen=True)
class Scores:
    """The smallest and the largest score that a detector gives ID or OOD samples."""

    detector: str
    known: bool


Quantity = Collapse | Ratio | Detection | Scores


@dataclass(frozen=True)
class Row:
    """One number of a document.

    Attributes
    ----------
    what : the quantity, in our words
    printed : letter by letter as the document prints it, ``""`` where it only names the quantity
    beside : what of a run is the same quantity
    meant : the number that `printed` stands for where it cannot be meant as printed
    note : how the document slipped, or which definition it uses
    """

    what: str
    printed: str
    beside: Quantity
    meant: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Numbers that stand together in a document; `where` says in which part of it."""

    title: str
    where: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A sentence that compares the layers of one network, word by word as printed.

    Attributes
    ----------
    measure : what is compared: ``"nc1_pinv"``, ``"fpr95"``, ``"auroc"``, ``"transfer"`` or
        ``"entropy"``
    words : the same in words
    smaller : the layer at which it is smaller if the sentence holds; ``""``: the layer with the
        smaller NC1
    """

    printed: str
    measure: str
    words: str
    smaller: str


@dataclass(frozen=True)
class Trend:
    """A sentence about how NC1 moves with something else, word by word as printed.

    `measure` and `words` are as in a `Claim`; if the sentence holds, the measure rises with NC1
    or, without `rises`, falls.
    """

    printed: str
    measure: str
    words: str
    rises: bool


@dataclass(frozen=True)
class Document:
    """A document that this project starts from.

    Attributes
    ----------
    name : short, as a control shows it
    title, authors, published : as the document has them
    address : where it can be had, ``""`` where it is not public
    setting : what its numbers were measured on: what, and the document's words for it
    ood_set : the one that it looks at, by its name in a run; ``""`` where there are several
    why_other : why the numbers of a run here cannot equal its numbers
    """

    name: str
    title: str
    authors: str
    published: str
    address: str
    setting: tuple[tuple[str, str], ...]
    ood_set: str
    why_other: str
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...] = ()
    trends: tuple[Trend, ...] = ()
    notes: tuple[str, ...] = ()
