"""The two documents that this project starts from: their numbers as printed, and their slips."""

from ncviz.sources.record import (
    Claim,
    Collapse,
    Detection,
    Document,
    Quantity,
    Ratio,
    Row,
    Scores,
    Table,
    Trend,
)
from ncviz.sources.report import REPORT
from ncviz.sources.slides import SLIDES

DOCUMENTS: dict[str, Document] = {document.name: document for document in (REPORT, SLIDES)}
"""Both documents by their short names."""

__all__ = [
    "DOCUMENTS",
    "Claim",
    "Collapse",
    "Detection",
    "Document",
    "Quantity",
    "Ratio",
    "Row",
    "Scores",
    "Table",
    "Trend",
]
