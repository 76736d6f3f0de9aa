"""Images in: a catalogue of data sets by name, the transform, and suites of OOD sets.

Imports neither torch nor torchvision until a set is read or downloaded by torchvision.
"""

from ncviz.data.catalogue import (
    DatasetInfo,
    OodSuite,
    data_root,
    describe,
    names,
    ood_group,
    suite,
    suites,
)
from ncviz.data.class_order import ClassOptions, ClassOrder
from ncviz.data.images import ImageSet, to_rgb
from ncviz.data.loading import load, open_image, require_classes
from ncviz.data.ood import load_ood, overlapping_classes
from ncviz.data.record import record
from ncviz.data.transform import Transform, channel_mean_std, decode, decoded_bytes

__all__ = [
    "ClassOptions",
    "ClassOrder",
    "DatasetInfo",
    "ImageSet",
    "OodSuite",
    "Transform",
    "channel_mean_std",
    "data_root",
    "decode",
    "decoded_bytes",
    "describe",
    "load",
    "load_ood",
    "names",
    "ood_group",
    "open_image",
    "overlapping_classes",
    "record",
    "require_classes",
    "suite",
    "suites",
    "to_rgb",
]
