"""The names of the files in a run folder; nothing outside ncviz/store knows them."""

from __future__ import annotations

import os
from pathlib import Path

from ncviz.errors import InvalidOptionError
from ncviz.store.names import is_plain
from ncviz.store.remote import RemotePath, place

DESCRIPTION = "run.json"
HISTORY = "history.csv"
SAMPLES = "samples.parquet"
MODEL = "model.safetensors"
HEAD = "head.safetensors"
STATISTICS = "statistics.safetensors"
TEST_STATISTICS = "test_statistics.safetensors"
PROBES = "probes.safetensors"
DETECTORS = "detectors.safetensors"
SCORES = "results/scores.safetensors"
DISTRIBUTIONS = "results/distributions.safetensors"
MAPS = "results/maps.safetensors"
TRANSFER = "results/transfer.parquet"
DUPLICATES = "results/duplicates.parquet"
TABLES = {
    name: f"results/{name}.parquet"
    for name in (
        *("collapse", "detection", "means", "comparisons", "misclassification"),
        *("calibration", "reliability", "temperature"),
        *("fitted", "sensitivity"),
    )
}
EPOCHS = "epochs"
FEATURES = "features"
NETWORK_SCORES = "network_scores"
EXTRACTION = "extraction"
TRAINING = "training"
TRAINING_STATE = "training/state.safetensors"
LOCK = ".lock"


def checkpoints_root() -> Path | RemotePath:
    """Folder of the runs: NCVIZ_CHECKPOINTS, a path or a URL; or `checkpoints` where we are."""
    return place(os.environ.get("NCVIZ_CHECKPOINTS") or "checkpoints")


def run_folder(name: str, root: str | Path | RemotePath | None = None) -> Path | RemotePath:
    """The folder of the run `name`; refuses names that would leave the checkpoints folder."""
    if not is_plain(name) or name.startswith("."):
        raise InvalidOptionError(
            f"{name!r} cannot be the name of a run: use letters, digits, '-', '_' and '.', "
            "without slashes and not starting with a dot."
        )
    return (place(root) if root else checkpoints_root()) / name


def holds_run(folder: Path) -> bool:
    """Whether there is a run in `folder`, whole or damaged."""
    return (folder / DESCRIPTION).exists()


def epoch_folder(run: Path, epoch: int) -> Path:
    """The folder of one saved epoch."""
    return run / EPOCHS / f"{epoch:04d}"


def feature_file(epoch: Path, set_name: str) -> Path:
    """The features of one set, named as in `cifar100/test`."""
    return epoch / FEATURES / f"{set_name}.safetensors"


def statistics_file(epoch: Path, set_name: str) -> Path:
    """Return the file of class statistics over all of the ID set's ``train`` or ``test`` split."""
    return epoch / {"train": STATISTICS, "test": TEST_STATISTICS}[set_name]


def network_scores_file(epoch: Path, set_name: str) -> Path:
    """The scores of one set that took the network itself, such as its gradient."""
    return epoch / NETWORK_SCORES / f"{set_name}.safetensors"


def shard_file(run: Path, epoch: int, name: str, part: int) -> Path:
    """One part of a file of an epoch that several processes make."""
    return run / EXTRACTION / f"{epoch:04d}" / name / f"{part:02d}.safetensors"
