"""Forward passes over saved epochs: features of fixed samples, statistics of all training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from ncviz import data
from ncviz.caching import Sizes
from ncviz.errors import (
    CorruptFileError,
    InvalidOptionError,
    MissingDataError,
)
from ncviz.extraction.disk_use import report_disk_use
from ncviz.extraction.dividing import Block
from ncviz.extraction.image_duplicates import image_duplicates
from ncviz.extraction.partners import choose_ood_sets, load_ood_set
from ncviz.extraction.pieces import (
    NetworkScores,
    Piece,
    Samples,
    TestSet,
    TrainingSet,
    network_scores_sources,
)
from ncviz.extraction.sampling import choose_samples, only
from ncviz.inference import Pixels, choose_device, stage_names, transform_of
from ncviz.processes import Processes, join
from ncviz.store import Epoch, Run, sample_sets, write
from ncviz.store.lock import writes_run
from ncviz.store.shards import discard_left_over


@writes_run
def extract(
    run: Run,
    *,
    ood: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    stages: bool = False,
    keep_overlap: bool = False,
    sizes: Sizes = Sizes(),
    data_root: Path | None = None,
    download: bool = False,
    skip_corrupt: bool = False,
    device: str = "auto",
    workers: int = 4,
    progress: bool = True,
) -> Run:
    """Write features, statistics and probes of saved epochs; what is there already is kept.

    Parameters
    ----------
    ood : names of OOD sets or of suites; None takes those the run has, or else every set that the
        catalogue puts beside the run's ID set and that is on this machine
    epochs : the epochs to extract; None takes all that have weights
    stages : also extract the pooled output of each stage of the backbone before the encoder. An
        epoch that has its stages keeps them, and gets those of further sets.
    keep_overlap : also use the classes of OOD sets that are ID classes. By default they are left
        out of a set that is extracted for the first time; later calls use the same classes.
    sizes : number of samples of each set

    Under torchrun every process calls this and sees its share of the images; what comes out is
    the same to the bit where all run with as many threads as one.

    Raises
    ------
    NcvizError : unknown epoch, set or suite, missing or damaged data, weights or disk space. Every
        file is complete or absent; the same call again goes on where this one stopped.
    """
    _require_unpacked(run)
    where = choose_device(device)
    processes = join(where)
    progress = progress and processes.first
    chosen = choose_epochs(run, epochs)
    load = {
        "root": data_root,
        "download": download,
        "skip_corrupt": skip_corrupt,
        "progress": progress,
    }
    with processes.one_before_others():
        groups = choose_ood_sets(run, ood, load)
        of_id = {**load, "class_order": run.class_order}
        loaded = [data.load(run.id_set, split, **of_id) for split in ("train", "test")]
        loaded += [load_ood_set(run, name, loaded[0], keep_overlap, load) for name in groups]
        images = {each.full_name: each for each in loaded}
    _require_same_data(run, images)
    samples = choose_samples(run, images, sizes)
    run = _described(run, images, samples, groups, processes)
    chosen = [run.epoch(epoch.number) for epoch in chosen]
    layers = {epoch.number: _layers(epoch, stages) for epoch in chosen}
    if processes.first:
        report_disk_use(run, chosen, layers, samples, progress=progress)
    processes.wait()  # until the first has written what the others read now
    blocks = _blocks(run, chosen, layers, images, samples, processes)
    processes.wait()  # until all have looked at what is there
    with tqdm(
        total=sum(block.images for block in blocks),
        unit="img",
        unit_scale=True,
        desc=f"extract {run.name}",
        disable=not progress,
    ) as bar:
        pixels = None
        for block in blocks:
            if pixels is None or pixels.images is not block.pieces[0].images:
                # Set by set, so that only one set's pixels are in memory at a time.
                pixels = Pixels(block.pieces[0].images, transform_of(run), workers=workers)
            bar.set_postfix({"set": block.name, "epoch": block.pieces[0].epoch.number})
            block.carry_out(pixels, where, processes, bar.update)
    if processes.first:
        discard_left_over(chosen, images)
    processes.wait()
    return run


def _blocks(
    run: Run,
    epochs: Sequence[Epoch],
    layers: Mapping[int, tuple[str, ...]],
    images: Mapping[str, data.ImageSet],
    samples: Mapping[str, pd.DataFrame],
    processes: Processes,
) -> list[Block]:
    """What is to be made, set by set, in the order it is made in."""
    blocks = []
    for name, one in images.items():
        whole = name == f"{run.id_set}/train"
        shown = one if whole else only(one, samples[name])
        pieces: list[Piece] = []
        for epoch in epochs:
            if not epoch.has_features(name, layers[epoch.number]):
                seen = (epoch, shown, layers[epoch.number])
                if whole:
                    pieces.append(TrainingSet(*seen, samples[name]["index"].to_numpy()))
                else:
                    is_test = name == f"{run.id_set}/test"
                    pieces.append((TestSet if is_test else Samples)(*seen))
        if not whole:
            pieces += [
                NetworkScores(epoch, shown, ())
                for epoch in epochs
                if not epoch.has_network_scores(name, network_scores_sources(epoch, name))
            ]
        # The parts of a training set hold statistics, which are large: those of one epoch at once.
        together = [[piece] for piece in pieces] if whole else [pieces] if pieces else []
        blocks += [Block.divide(each, processes) for each in together]
    return blocks


def _layers(epoch: Epoch, stages: bool) -> tuple[str, ...]:
    """Names of the layers to extract of an epoch."""
    wanted = stage_names(epoch.run) if stages else ()
    try:
        known = epoch.layers
    except CorruptFileError:  # damaged statistics are made anew, as everything else is
        known = epoch.run.layers
    return tuple(dict.fromkeys((*wanted, *known)))


def choose_epochs(run: Run, epochs: Sequence[int] | None) -> list[Epoch]:
    """The epochs asked for, or all that have weights, of which there must be one."""
    if epochs is not None:
        return [run.epoch(number) for number in sorted(set(epochs))]
    chosen = [epoch for epoch in map(run.epoch, run.epochs) if epoch.has_weights]
    if not chosen and run.imported:
        raise MissingDataError(
            f"Run {run.name} was imported as features, without a network to show images to. Export "
            "more features and import them anew, or bring the weights: python scripts/adopt.py NAME"
        )
    if not chosen:
        raise MissingDataError(
            f"Run {run.name} has no saved epoch with weights. Let it train further, or train it "
            f"anew: python scripts/train.py {run.recipe['name']} --run NAME"
        )
    return chosen


def _require_unpacked(run: Run) -> None:
    if run.packed:
        raise InvalidOptionError(
            f"Run {run.name} is packed: it keeps only some of the samples that its results were "
            "computed from. Extract the original run, evaluate it, and pack it again."
        )


def _require_same_data(run: Run, images: Mapping[str, data.ImageSet]) -> None:
    for name, recorded in (run.description.get("data") or {}).items():
        if name in images and images[name].fingerprint() != recorded:
            raise InvalidOptionError(
                f"{name} is not the data that {run.name} was trained on: its files or labels "
                "differ. Point --data-root or NCVIZ_DATA at the original."
            )


def _described(
    run: Run,
    images: Mapping[str, data.ImageSet],
    samples: Mapping[str, pd.DataFrame],
    groups: Mapping[str, str],
    processes: Processes,
) -> Run:
    """Return the run with these OOD sets and samples, which the first process has written."""
    table = pd.concat(samples.values(), ignore_index=True)
    available = {name: info.available for name, info in run.sets.items()}
    available |= {name: len(one) for name, one in images.items()}
    left_out = {name: dict(images[f"{name}/test"].left_out) for name in groups}
    changes = {
        "ood_sets": {**run.ood_sets, **groups},
        "left_out": {name: found for name, found in (run.left_out | left_out).items() if found},
        "sets": sample_sets.describe(table, available=available),
    }
    if not processes.first:
        return replace(run, description={**run.description, **changes})
    changes["image_duplicates"] = image_duplicates(run, images)
    if changes["sets"] != run.description.get("sets"):
        run = write.save_samples(run, table, available=available)
    return write.update_description(run, **changes)
