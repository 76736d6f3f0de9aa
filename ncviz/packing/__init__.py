"""Packed copies of runs: small enough to share, with results computed from all samples."""

from ncviz.packing.packed_copy import PackedSizes, Packing, pack

__all__ = ["PackedSizes", "Packing", "pack"]
