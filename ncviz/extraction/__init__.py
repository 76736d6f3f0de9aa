"""Extraction: what every saved epoch of a run sees, written to its folder."""

from ncviz.extraction.extract import Sizes, extract
from ncviz.extraction.measure_transfer import measure_transfer
from ncviz.extraction.sampling import sample_table, stratified_sample

__all__ = ["Sizes", "extract", "measure_transfer", "sample_table", "stratified_sample"]
