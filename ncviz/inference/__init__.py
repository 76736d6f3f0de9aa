"""From images to features: pixels, devices, and the forward pass of a saved epoch."""

from ncviz.inference.device import choose_device
from ncviz.inference.network import (
    all_batches,
    forward,
    load_network,
    stage_names,
    transform_of,
)
from ncviz.inference.network_scores import (
    network_detectors,
    network_scores,
    score_batches,
    score_images,
)
from ncviz.inference.odin import odin_scores
from ncviz.inference.pixels import Pixels, normalise, send, split_evenly

__all__ = [
    "Pixels",
    "all_batches",
    "choose_device",
    "forward",
    "load_network",
    "network_detectors",
    "network_scores",
    "normalise",
    "odin_scores",
    "score_batches",
    "score_images",
    "send",
    "split_evenly",
    "stage_names",
    "transform_of",
]
