"""Which class a network takes samples of which class for."""

from __future__ import annotations

import numpy as np

from ncviz.errors import InvalidArrayError


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) number of samples by true class (row) and predicted class (column).

    Parameters
    ----------
    labels : (N,) integers; samples of none of the classes 0..C-1 are not counted
    predicted : (N,) integers in 0..C-1
    classes : C

    Raises
    ------
    InvalidArrayError : not one-dimensional integers of one length, or a prediction that is no class
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    for name, array in (("Labels", labels), ("Predicted classes", predicted)):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InvalidArrayError(
                f"{name} must be one-dimensional integers; got {array.dtype} of shape "
                f"{array.shape}."
            )
    if len(labels) != len(predicted):
        raise InvalidArrayError(
            f"{len(labels)} labels do not fit {len(predicted)} predicted classes: each sample "
            "needs one of each."
        )
    if len(predicted) and not 0 <= predicted.min() <= predicted.max() < classes:
        raise InvalidArrayError(
            f"Predicted classes must lie in 0..{classes - 1}; they reach from {predicted.min()} to "
            f"{predicted.max()}."
        )
    counted = (labels >= 0) & (labels < classes)
    cells = labels[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
