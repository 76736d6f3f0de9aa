"""The run folder on disk: the only code that knows a file name."""

from ncviz.store.epoch import LOGITS, Epoch
from ncviz.store.external_seed import seed_fields
from ncviz.store.fits import detectors_left_out, fitted_on
from ncviz.store.halves import read_calibration_half
from ncviz.store.layout import checkpoints_root, holds_run, run_folder
from ncviz.store.remote import RemotePath, is_remote, require_local
from ncviz.store.run import Listing, Run, list_runs, mark_of_run, open_run, open_runs
from ncviz.store.stamp import stamp

__all__ = [
    "LOGITS",
    "Epoch",
    "Listing",
    "RemotePath",
    "Run",
    "checkpoints_root",
    "detectors_left_out",
    "fitted_on",
    "holds_run",
    "is_remote",
    "list_runs",
    "mark_of_run",
    "open_run",
    "open_runs",
    "read_calibration_half",
    "require_local",
    "run_folder",
    "seed_fields",
    "stamp",
]
