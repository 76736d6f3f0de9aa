"""Runs from features and logits of networks trained elsewhere."""

from ncviz.importing.classes import ClassOrder
from ncviz.importing.read import ReadOptions
from ncviz.importing.run import import_features

__all__ = ["ClassOrder", "ReadOptions", "import_features"]
