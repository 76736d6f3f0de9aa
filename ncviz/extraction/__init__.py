"""Extraction: what every saved epoch of a run sees, written to its folder."""

from ncviz.extraction.extract import Sizes, extract
from ncviz.extraction.sampling import sample_table, stratified_sample

__all__ = ["Sizes", "extract", "sample_table", "stratified_sample"]
