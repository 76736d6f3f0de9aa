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
PROBES = "probes.safetensors"
DETECTORS = "detectors.safetensors"
SCORES = "results/scores.safetensors"
MAPS = "results/maps.safetensors"
TRANSFER = "results/transfer.parquet"
TABLES = {
    name: f"results/{name}.parquet"
    for name in ("collapse", "detection", "means", "calibration", "reliability", "temperature")
}
EPOCHS = "epochs"
FEATURES = "features"
NETWORK_SCORES = "network_scores"
EXTRACTION = "extraction"
TRAINING = "training"
TRAINING_STATE = "training/state.safetensors"
LOCK = ".lock"
SEALS = "seals.json"

# File systems end at 255 bytes, and a temporary file's name is longer than the file's.
_LONGEST = 200


def checkpoints_root() -> Path:
    """Folder of the runs: NCVIZ_CHECKPOINTS, or `checkpoints` where the command is started."""
    return Path(os.environ.get("NCVIZ_CHECKPOINTS") or "checkpoints")


def run_folder(name: str, root: Path | None = None) -> Path:
    """The folder of the run `name`; refuses names that would leave the checkpoints folder."""
    if not is_plain(name) or name.startswith("."):
        raise InvalidOptionError(
            f"{name!r} cannot be the name of a run: use letters, digits, '-', '_' and '.', "
            "without slashes and not starting with a dot."
        )
    return (root or checkpoints_root()) / name


def is_plain(name: object) -> bool:
    """Whether `name` is text that names one file or folder and leads nowhere else."""
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and name.isprintable()
        and name == name.strip()
        and len(name.encode()) <= _LONGEST
        and not set(name) & set("/\\:")
    )


def holds_run(folder: Path) -> bool:
    """Whether there is a run in `folder`, whole or damaged."""
    return (folder / DESCRIPTION).exists()


def epoch_folder(run: Path, epoch: int) -> Path:
    """The folder of one saved epoch."""
    return run / EPOCHS / f"{epoch:04d}"


def feature_file(epoch: Path, set_name: str) -> Path:
    """The features of one set, named as in `cifar100/test`."""
    return epoch / FEATURES / f"{set_name}.safetensors"


def network_scores_file(epoch: Path, set_name: str) -> Path:
    """The scores of one set that took the network itself, such as its gradient."""
    return epoch / NETWORK_SCORES / f"{set_name}.safetensors"


def shard_file(run: Path, epoch: int, name: str, part: int) -> Path:
    """One part of a file of an epoch that several processes make."""
    return run / EXTRACTION / f"{epoch:04d}" / name / f"{part:02d}.safetensors"
