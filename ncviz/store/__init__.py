"""The run folder on disk: the only code that knows a file name."""

from ncviz.store.epoch import Epoch
from ncviz.store.layout import checkpoints_root, holds_run, run_folder
from ncviz.store.run import Listing, Run, list_runs, mark_of_run, open_run, open_runs
from ncviz.store.stamp import stamp

__all__ = [
    "Epoch",
    "Listing",
    "Run",
    "checkpoints_root",
    "holds_run",
    "list_runs",
    "mark_of_run",
    "open_run",
    "open_runs",
    "run_folder",
    "stamp",
]
