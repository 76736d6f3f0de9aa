"""Make a run of weights trained elsewhere: python scripts/adopt.py NAME --architecture NET ..."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz.cli import run_script
from ncviz.data import ClassOptions, Transform
from ncviz.extraction import adopt, adoption_in_words, weights_by_epoch
from ncviz.store import run_folder, seed_fields


@dataclass(frozen=True)
class Options:
    """A run of a network of yours; NCVIZ_PLUGINS names the module that registers it.

    docs/bring-your-own.md shows such a module.
    """

    run: tyro.conf.Positional[str]
    """name of the new run"""
    architecture: str
    """the name that your module registers"""
    id_set: str
    """the data set that the network was trained on"""
    weights: tuple[str, ...]
    """a file for each saved epoch: 10=a.pt 90=b.pt (or safetensors)"""
    size: int = 32
    """side of the square image that the network sees, in pixels"""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """taken from each channel (on the scale 0 to 1), as in the training"""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """that each channel is divided by then"""
    resample: str = "bilinear"
    """how images are resized: nearest, bilinear, bicubic or lanczos"""
    entry: str | None = None
    """keys that lead to the weights in each file, such as state_dict_ema or ema.state_dict
    (default: the first that fits, see docs/bring-your-own.md)"""
    strip_prefix: str | None = None
    """removed from every name of the weights, such as model. (default: whatever fits)"""
    seed_group: str | None = None
    """name for everything in the training except the seed; runs with the same name and other seeds
    form a seed group"""
    seed: int | None = None
    """seed of the training, for --seed-group"""
    data_root: Path | None = None
    """folder of the data sets (default: NCVIZ_DATA, or ./data)"""
    order: tyro.conf.OmitArgPrefixes[ClassOptions] = field(default_factory=ClassOptions)
    checkpoints: Path | None = None
    """folder of the runs (default: NCVIZ_CHECKPOINTS, or ./checkpoints)"""
    download: bool = False
    """fetch the data set if it is not there and torchvision has it"""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N: where the weights are checked"""
    verbose: bool = False
    """show the traceback of an error"""


def main() -> None:
    options = tyro.cli(Options, prog="python scripts/adopt.py")
    run = adopt(
        run_folder(options.run, options.checkpoints),
        architecture=options.architecture,
        id_set=options.id_set,
        weights=weights_by_epoch(options.weights),
        transform=Transform(options.size, options.mean, options.std, options.resample),
        entry=options.entry,
        strip_prefix=options.strip_prefix,
        seed=seed_fields(options.seed_group, options.seed),
        data_root=options.data_root,
        class_order=options.order.order(),
        download=options.download,
        device=options.device,
    )
    print(adoption_in_words(run))
    print(f"Next: python scripts/extract.py {run.name}")


if __name__ == "__main__":
    run_script(main, interrupted="Nothing was adopted.")
