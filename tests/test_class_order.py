"""Order of class folders: rules and lists, their errors, and one order from training to scoring."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ncviz import data, models
from ncviz.data.class_order import ambiguity, read_class_list
from ncviz.errors import CorruptFileError, InvalidOptionError, MissingDataError
from ncviz.extraction import Sizes, adopt, extract
from ncviz.models import ModelSpec
from ncviz.store import open_run, write
from ncviz.training import Recipe, train

NATURAL = tuple(map(str, range(12)))
AS_TEXT = tuple(sorted(NATURAL))
SETTINGS = Recipe(
    name="tiny",
    data="numbers",
    model=ModelSpec(width=4, stem="cifar"),
    image_size=8,
    epochs=1,
    batch_size=8,
    save="1",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """ROOT with numbers/{train,test}/{0, ..., 11}: three grey images of level 20 * class each."""
    root = tmp_path_factory.mktemp("data")
    for split in ("train", "test"):
        for name in NATURAL:
            folder = root / "numbers" / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                pixels = np.full((8, 8), 20 * int(name) + number, np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def write_list(folder: Path, text: str | bytes) -> Path:
    path = folder / "classes.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def levels(images: data.ImageSet) -> list[int]:
    """Return the grey level of the first image of each label."""
    return [
        int(np.asarray(images.image(int(np.flatnonzero(images.labels == label)[0])))[0, 0, 0])
        for label in range(len(images.classes))
    ]


def test_class_order_decides_labels_and_names(root):
    own = ("3", *(name for name in NATURAL if name != "3"))
    for order, expected in ((None, AS_TEXT), ("text", AS_TEXT), ("natural", NATURAL), (own, own)):
        images = data.load("numbers", "test", root=root, class_order=order)
        assert images.classes == images.folders == expected
        assert levels(images) == [20 * int(name) for name in expected]
        assert images.class_order == (order or "text")


def test_natural_order_is_that_of_timm(root):
    import re

    def timm_key(name):  # as timm.utils.natural_key
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name.lower())]

    names = ("b10", "B2", "a", "a1b10", "a1b9", "10", "9", "c")
    found = data.class_order.sort_folders(names, "natural", root)
    assert (
        found == sorted(names, key=timm_key) == ["9", "10", "a", "a1b9", "a1b10", "B2", "b10", "c"]
    )


def test_class_list_is_read_with_byte_order_mark_and_empty_lines(tmp_path):
    path = write_list(tmp_path, b"\xef\xbb\xbfant\r\n\r\nbee \r\n cat")
    assert read_class_list(path) == ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", InvalidOptionError, "is empty; expected one name a line"),
        (b"a\nb\na\n", InvalidOptionError, "has 'a' more than once"),
        (b"a\xff\n", InvalidOptionError, "is not UTF-8 text"),
    ],
)
def test_class_list_rejects_bad_files(tmp_path, content, error, message):
    with pytest.raises(error, match=message):
        read_class_list(write_list(tmp_path, content))
    with pytest.raises(MissingDataError, match=r"other\.txt cannot be read: No such file"):
        read_class_list(tmp_path / "other.txt")


def test_class_list_must_match_the_folders(root):
    def load(*names):
        data.load("numbers", "test", root=root, class_order=names)

    with pytest.raises(InvalidOptionError, match=r"12 class folders of .*test: it lacks .*'11'\."):
        load(*NATURAL[:-1])
    with pytest.raises(InvalidOptionError, match=r"lists 'x', which .*test does not have\."):
        load(*NATURAL, "x")
    with pytest.raises(InvalidOptionError, match=r"lists 'x', .* and it lacks the folder '0'\."):
        load("x", *NATURAL[1:])
    with pytest.raises(InvalidOptionError, match=r"'0', '1', '10', '11', '2' and 7 more"):
        load("x", "y")
    with pytest.raises(InvalidOptionError, match="Class order 'size': expected text or natural"):
        data.load("numbers", "test", root=root, class_order="size")


def test_class_order_of_a_set_without_folders_is_rejected(tmp_path):
    with pytest.raises(InvalidOptionError, match=r"digits has an order .* leave out --class-order"):
        data.load("digits", "test", root=tmp_path, class_order="natural")
    assert data.load("digits", "test", root=tmp_path, class_order="text").class_order is None


def test_options_contradict_each_other(tmp_path):
    path = write_list(tmp_path, "a\nb\n")
    assert data.ClassOptions().order() is None
    assert data.ClassOptions("natural").order() == "natural"
    assert data.ClassOptions(classes=path).order() == ("a", "b")
    with pytest.raises(InvalidOptionError, match="contradict each other: give one of them"):
        data.ClassOptions("text", path).order()


def test_ambiguity_is_named_only_where_orders_differ():
    assert "--class-order natural" in ambiguity(AS_TEXT, "text")
    assert "(0, 1, 10, ...)" in ambiguity(AS_TEXT, "text")
    assert (
        ambiguity(NATURAL, "natural") == ambiguity(("a", "b"), "text") == ambiguity((), None) == ""
    )


# From training to scoring


@pytest.fixture
def options(root, tmp_path):
    return {
        "data_root": root,
        "checkpoints": tmp_path / "runs",
        "device": "cpu",
        "progress": False,
    }


@pytest.mark.parametrize("order", ["natural", NATURAL])
def test_class_order_is_recorded_and_used_by_extract_and_resume(options, root, order):
    run = train(SETTINGS, "tiny", class_order=order, **options)
    assert run.class_order == order
    assert run.classes == NATURAL
    assert json.loads((run.path / "run.json").read_text())["class_order"] in (order, list(order))

    run = extract(run, ood=(), sizes=Sizes(), data_root=root, device="cpu", progress=False)
    samples = run.samples
    assert [int(key.split("/")[1]) for key in samples["key"]] == samples["label"].tolist()

    longer = replace(SETTINGS, epochs=1)
    assert train(longer, "tiny", resume=True, **options).class_order == order
    with pytest.raises(
        InvalidOptionError, match=r"order 0, 1, 2, \.\.\., and is resumed with 0, 1, 10.* without"
    ):
        train(longer, "tiny", resume=True, class_order="text", **options)


def test_class_order_is_protected_and_validated(options):
    run = train(SETTINGS, "tiny", class_order="natural", **options)
    path = run.path / "run.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, "class_order": "text"}))
    with pytest.raises(CorruptFileError, match="'class_order'"):
        open_run(run.path)
    for wrong in ("size", 3, ["a"], [1, 2]):
        path.write_text(json.dumps(description))
        with pytest.raises(CorruptFileError, match="'class_order' is not 'text', 'natural'"):
            open_run(write.update_description(open_run(run.path), class_order=wrong).path)


@models.register("of-numbers")
def of_numbers(classes: int, image_size: int):
    from torch import nn

    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 4), nn.Linear(4, classes))
    return models.wrap(module, head="2")


def test_adopt_takes_a_class_order_and_warns_where_it_matters(tmp_path, root):
    from safetensors.torch import save_file

    network = models.build_architecture("of-numbers", classes=12, image_size=8)
    save_file(network.module.state_dict(), tmp_path / "a.safetensors")
    options = {
        "architecture": "of-numbers",
        "id_set": "numbers",
        "weights": {1: tmp_path / "a.safetensors"},
        "transform": data.Transform(8),
        "data_root": root,
    }

    def notes(name, **order):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run = adopt(tmp_path / name, **options, **order)
        return run, [str(one.message) for one in caught if "sorted as text" in str(one.message)]

    run, found = notes("one")
    assert run.classes == AS_TEXT
    assert len(found) == 1
    run, found = notes("other", class_order="natural")
    assert (run.classes, run.class_order, found) == (NATURAL, "natural", [])
