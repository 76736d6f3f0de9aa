"""What a run records of the data it knows, and of when and with which packages it was made."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ncviz.data.images import ImageSet
from ncviz.data.loading import superclasses_of
from ncviz.data.transform import Transform

_PACKAGES = ("torch", "torchvision", "numpy")


def record(
    train_set: ImageSet, test_set: ImageSet, transform: Transform, *, root: Path | None = None
) -> dict[str, Any]:
    """The part of a run's description that follows from both splits of its ID data set."""
    return {
        "id_set": train_set.name,
        "classes": train_set.classes,
        "class_order": train_set.class_order,
        "data": {images.full_name: images.fingerprint() for images in (train_set, test_set)},
        "train_samples": len(train_set),
        "test_samples": len(test_set),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        "superclasses": superclasses_of(train_set, root),
        "transform": transform.to_dict(),
    }
