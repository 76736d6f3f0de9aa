"""Extraction, training and data loading beside bare PyTorch loops over the same images.

    python benchmarks/network.py [--images 20000] [--width 32] [--device cpu] [--json FILE]

Both sides take turns, since other work on a machine comes and goes; of each the best round counts.

- extraction: everything that `extract.py` does with an epoch and a training set but the probes,
  which are fitted to at most 10,000 images however many there are: forward passes, class
  statistics, features to keep, files. Beside: a loop of forward passes over the same loader that
  fetches the features.
- training: an epoch of `train.py`, beside a loop of forward, cross-entropy, backward and step over
  the same loader; with crops and flips, beside torchvision's v2 transforms, image by image.
- loading: JPEG pictures through `Pixels`, kept after the first time and decoded each time, beside
  torchvision's ImageFolder and transforms in a DataLoader.

The bound is what the multiplications and additions of the network take at the machine's float32
rate; a backward pass counts as two forward ones.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from bench import Row, Table, rates, run
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from tqdm import tqdm

from ncviz.arrays import Head
from ncviz.caching import stratified_sample
from ncviz.data import ImageSet, Transform
from ncviz.data.images import ArrayReader, FolderReader, index_key
from ncviz.extraction import pieces
from ncviz.inference import Pixels, all_batches, choose_device, load_network, normalise
from ncviz.models import ModelSpec, build
from ncviz.processes import Processes
from ncviz.store import Epoch, open_run, write
from ncviz.training import Recipe, loop

CLASSES, SIZE, BATCH = 100, 32, 256
PHOTO, SHOWN = 320, 224


def main() -> None:
    run(tables, __doc__, add_options)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=20_000, help="of the set that is extracted")
    parser.add_argument("--photos", type=int, default=300, help="JPEG files for loading")
    parser.add_argument("--width", type=int, default=32, help="of the ResNet-18")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2, help="that decode images")
    parser.add_argument("--rounds", type=int, default=7)


def tables(options: argparse.Namespace) -> Iterator[Table]:
    device = choose_device(options.device)
    kinds = {
        "Extraction of a training set, beside a bare loop of forward passes": extraction,
        "Training, beside a bare loop of steps": training,
        "Loading of images, beside torchvision and a DataLoader": loading,
    }
    for title, rows in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            table = Table(title, "images/s", "bare loop", more_is_better=True)
            table.rows.extend(rows(options, device, Path(folder)))
            yield table


def extraction(options: argparse.Namespace, device: torch.device, folder: Path):
    images = made_up(options.images)
    epoch = made_epoch(folder / "run", ModelSpec(width=options.width))
    transform = Transform(SIZE)
    pixels = Pixels(images, transform)
    cached = stratified_sample(images.labels, 1000)

    def ours() -> None:
        piece = pieces.TrainingSet(epoch, images, epoch.run.layers, cached)
        fit, pieces.fit_probes = pieces.fit_probes, lambda *arguments: {}
        try:
            parts = range(len(piece.parts))
            piece.finish(piece.see(parts, pixels, device, lambda count: None))
        finally:
            pieces.fit_probes = fit

    @torch.inference_mode()
    def theirs() -> None:
        network = load_network(epoch, device)
        for batch, _ in pixels.batches(all_batches(images)):
            network(normalise(batch.to(device), transform)).encoder.cpu().numpy()

    what = f"{len(images):,} images of {SIZE}, ResNet-18 of width {options.width}"
    bound = images_a_second(ModelSpec(width=options.width), device)
    yield compare(what, ours, theirs, len(images), options.rounds, least=0.9, bound=bound)


def training(options: argparse.Namespace, device: torch.device, folder: Path):
    images = made_up(min(options.images, 6000))
    transform = Transform(SIZE)
    pixels = Pixels(images, transform)
    plain = Recipe(name="plain", model=ModelSpec(width=options.width), batch_size=BATCH, flip=False)
    for recipe in (plain, replace(plain, flip=True, crop_padding=4)):
        trainee = loop._Trainee.create(recipe, CLASSES, device, Processes(), pretrained=False)
        bar = tqdm(disable=True)
        change = v2.Compose([v2.RandomCrop(SIZE, padding=4), v2.RandomHorizontalFlip()])
        network = build(recipe.model, classes=CLASSES, image_size=SIZE)
        network = network.to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)

        def ours(trainee=trainee, bar=bar) -> None:
            loop._train_epoch(trainee, 1, pixels, bar)

        def theirs(recipe=recipe, change=change, network=network, optimizer=optimizer) -> None:
            network.train()
            precision = loop._precision(device)
            order = np.random.default_rng(0).permutation(len(images))
            for batch, labels in pixels.batches(np.array_split(order, -(-len(order) // BATCH))):
                if recipe.crop_padding:
                    batch = torch.stack([change(one.permute(2, 0, 1)) for one in batch])
                    batch = batch.permute(0, 2, 3, 1)
                batch, labels = normalise(batch.to(device), transform), labels.to(device)
                with torch.autocast(device.type, precision, precision is not torch.float32):
                    loss = cross_entropy(network(batch).logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        what = f"steps of {BATCH}" + (", with crops and flips" if recipe.crop_padding else "")
        bound = images_a_second(recipe.model, device) / 3
        least = 1 / 1.05
        yield compare(what, ours, theirs, len(images), options.rounds, least=least, bound=bound)


def loading(options: argparse.Namespace, device: torch.device, folder: Path):
    photos = write_photos(folder / "photos", options.photos)
    transform = Transform(SHOWN)
    batches = np.array_split(np.arange(len(photos)), -(-len(photos) // 50))
    kept = Pixels(photos, transform)
    anew = Pixels(photos, transform, workers=options.workers, memory_limit=0)
    steps = v2.Compose([v2.Resize(SHOWN), v2.CenterCrop(SHOWN), v2.PILToTensor()])
    peer = ImageFolder(folder / "photos" / "train", transform=steps)

    def show(pixels: Pixels) -> None:
        for batch, _ in pixels.batches(batches):
            batch.sum()

    def theirs() -> None:
        for batch, _ in DataLoader(peer, 50, num_workers=options.workers):
            batch.sum()

    show(kept)
    by = f"JPEG of {PHOTO} to {SHOWN}, {options.workers} workers"
    for what, pixels in ((f"{by}, decoded each time", anew), ("the same, kept in memory", kept)):
        yield compare(what, lambda p=pixels: show(p), theirs, len(photos), options.rounds)


def compare(
    what: str,
    ours: Callable[[], None],
    theirs: Callable[[], None],
    images: int,
    rounds: int,
    *,
    least: float | None = None,
    bound: float | None = None,
) -> Row:
    """The best of some rounds each, in turns, after one that does not count."""
    best = {ours: np.inf, theirs: np.inf}
    for number in range(rounds + 1):
        for work in best:
            start = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                best[work] = min(best[work], time.perf_counter() - start)
    aim = "" if least is None else f"ratio of at least {least:.2f}"
    reached = None if least is None else best[theirs] / best[ours] >= least
    return Row(what, images / best[ours], images / best[theirs], bound, aim, reached)


def images_a_second(spec: ModelSpec, device: torch.device) -> float | None:
    """How many forward passes the rate of large products allows; not known of a GPU."""
    if device.type != "cpu":
        return None
    network = build(spec, classes=CLASSES, image_size=SIZE).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, SIZE, SIZE))
    return 1 / rates().bound(single=counter.get_total_flops())


def made_up(count: int) -> ImageSet:
    """Random pixels, as large as CIFAR's, in memory."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    return ImageSet(
        name="made",
        split="train",
        classes=tuple(map(str, range(CLASSES))),
        labels=np.arange(count) % CLASSES,
        keys=tuple(map(index_key, range(count))),
        reader=ArrayReader(pixels, "made"),
    )


def made_epoch(folder: Path, spec: ModelSpec) -> Epoch:
    """A saved epoch of a network that was never trained."""
    torch.manual_seed(0)
    network = build(spec, classes=CLASSES, image_size=SIZE)
    run = write.create_run(
        folder,
        {
            "recipe": {"name": "made", "model": asdict(spec)},
            "id_set": "made",
            "classes": list(map(str, range(CLASSES))),
            "layers": ["encoder"],
            "transform": Transform(SIZE).to_dict(),
        },
    )
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    head = Head(arrays["head.weight"], arrays["head.bias"])
    write.save_network(run, 1, arrays, {"encoder": head})
    return open_run(folder).epoch(1)


def write_photos(folder: Path, count: int) -> ImageSet:
    """Smooth random pictures as JPEG files, which compress about as photographs do."""
    random = np.random.default_rng(0)
    place = folder / "train" / "photo"
    place.mkdir(parents=True)
    for number in range(count):
        coarse = random.integers(0, 256, (PHOTO // 8, PHOTO // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((PHOTO, PHOTO), Image.Resampling.BICUBIC)
        picture.save(place / f"{number}.jpg", quality=90)
    keys = tuple(f"train/photo/{number}.jpg" for number in range(count))
    labels = np.zeros(count, np.int64)
    return ImageSet("photos", "train", ("photo",), labels, keys, FolderReader(folder))


if __name__ == "__main__":
    main()
