"""The names of the files in a run folder; nothing outside ncviz/store knows them."""

from __future__ import annotations

import os
from pathlib import Path

from ncviz.errors import InvalidOptionError

DESCRIPTION = "run.json"
HISTORY = "history.csv"
SAMPLES = "samples.parquet"
MODEL = "model.safetensors"
HEAD = "head.safetensors"
STATISTICS = "statistics.safetensors"
COLLAPSE = "results/collapse.parquet"
DETECTION = "results/detection.parquet"
SCORES = "results/scores.safetensors"
EPOCHS = "epochs"
TRAINING = "training"
TRAINING_STATE = "training/state.safetensors"


def checkpoints_root() -> Path:
    """Folder of the runs: NCVIZ_CHECKPOINTS, or `checkpoints` where the command is started."""
    return Path(os.environ.get("NCVIZ_CHECKPOINTS") or "checkpoints")


def run_folder(name: str, root: Path | None = None) -> Path:
    """The folder of the run `name`; refuses names that would leave the checkpoints folder."""
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name or "\0" in name:
        raise InvalidOptionError(
            f"'{name}' cannot be the name of a run: use letters, digits, '-', '_' and '.', "
            "without slashes and not starting with a dot."
        )
    return (root or checkpoints_root()) / name


def epoch_folder(run: Path, epoch: int) -> Path:
    """The folder of one saved epoch."""
    return run / EPOCHS / f"{epoch:04d}"


def feature_file(epoch: Path, set_name: str) -> Path:
    """The features of one set, named as in `cifar100/test`."""
    return epoch / "features" / f"{set_name}.safetensors"
