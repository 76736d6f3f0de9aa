"""Features and logits of a network trained elsewhere, made into a run."""

from ncviz.importing.run import import_features

__all__ = ["import_features"]
