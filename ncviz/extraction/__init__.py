"""Extraction: what every saved epoch of a run sees, written to its folder."""

from ncviz.caching import Sizes, stratified_sample
from ncviz.extraction.adopt import adopt, adoption_in_words, weights_by_epoch
from ncviz.extraction.extract import extract
from ncviz.extraction.measure_transfer import measure_transfer
from ncviz.extraction.sampling import sample_table

__all__ = [
    "Sizes",
    "adopt",
    "adoption_in_words",
    "extract",
    "measure_transfer",
    "sample_table",
    "stratified_sample",
    "weights_by_epoch",
]
