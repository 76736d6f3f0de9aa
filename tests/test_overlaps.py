"""Classes that OOD sets share with ID sets: lists, loading without them, the run's record."""

from __future__ import annotations

import os
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_runs import make_run
from PIL import Image
from test_app import healthy, open_app, words  # noqa: F401 - a fixture

from ncviz import data
from ncviz.data.ood import without_classes
from ncviz.data.overlaps import ALL, is_wnid, listed, normalised, pairs
from ncviz.errors import InvalidOptionError
from ncviz.extraction import Sizes, extract
from ncviz.models import ModelSpec
from ncviz.report.about import the_run
from ncviz.report.study import Study
from ncviz.results.words import left_out, left_out_lines
from ncviz.store import open_run, write
from ncviz.training import Recipe, train

CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
REAL = os.environ.get("NCVIZ_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="NCVIZ_DATA is not set: no real images")


def write_set(root: Path, name: str, *folders: str, splits=("train", "test"), words="") -> None:
    random = np.random.default_rng(len(name))
    for split in splits:
        for folder in folders:
            place = root / name / split / folder
            place.mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    if words:
        (root / name / "words.txt").write_text(words)


def load(root: Path, name: str, id_name: str, **options) -> data.ImageSet:
    id_images = data.load(id_name, "test", root=root, progress=False)
    return data.load_ood(name, id_images, root=root, progress=False, **options)


# The lists


def test_lists_are_symmetric_and_name_a_reason():
    for one, other in pairs():
        forth, back = listed(one, other), listed(other, one)
        assert {(o.ood_class, o.id_class, o.reason) for o in forth} == {
            (o.id_class, o.ood_class, o.reason) for o in back
        }
        assert all(overlap.reason for overlap in forth)
        assert bool(forth) == (not pairs()[one, other])
    assert listed("cifar10", "birds") is None
    assert listed("cifar100", "dtd10") == ()


def test_every_suite_of_small_images_is_compared():
    for name in ("report", "cifar100-small", "openood-cifar10", "openood-cifar100"):
        suite = data.suite(name)
        for member in suite.members:
            assert listed(suite.id_name, member) is not None, (name, member)


def test_lists_name_known_sets_and_classes():
    known = {
        "cifar100": set(data.describe("cifar100").superclasses),
        "digits": set("01234567"),
        "digits-heldout": set("89"),
        "cifar10": set(CIFAR10),
    }
    for one, other in pairs():
        assert {one, other} <= set(data.names())
        for overlap in listed(one, other):
            for name, each in ((one, overlap.id_class), (other, overlap.ood_class)):
                assert each == ALL or each in known.get(name, {each}), (name, each)
                assert name != "tiny-imagenet" or is_wnid(each)


@needs_real
@pytest.mark.parametrize(
    ("id_name", "name", "classes", "some"),
    [
        ("cifar10", "tiny-imagenet", 23, {"goose": "bird", "sports car": "automobile"}),
        ("cifar100", "tiny-imagenet", 47, {"goldfish": "aquarium_fish", "desk": "table"}),
        ("cifar100", "cifar10", 0, {}),
        ("cifar100", "dtd10", 0, {}),
        ("cifar100", "chars74k", 0, {}),
        ("mnist", "chars74k", 14, {"digit_3": "3", "upper_o": "0", "lower_l": "1"}),
    ],
)
def test_real_lists_refer_to_classes_of_the_sets(id_name, name, classes, some):
    root = Path(REAL)
    images = load(root, name, id_name)
    whole = data.load(name, "test", root=root, progress=False)
    id_set = data.load(id_name, "test", root=root, progress=False)
    for overlap in listed(id_name, name):
        assert overlap.ood_class in {*whole.classes, *whole.folders}
        assert overlap.id_class in {*id_set.classes, *id_set.folders}
    assert len(images.left_out) == classes
    assert some.items() <= images.left_out.items()
    gone = [whole.classes.index(each) for each in images.left_out]
    assert len(images) == len(whole) - np.isin(whole.labels, gone).sum()
    assert not np.isin(images.labels, gone).any()


# Loading


@pytest.fixture
def tiny(tmp_path) -> Path:
    """ROOT with cifar10 (three classes) and tiny-imagenet: two kinds of cat, a bird and a wok."""
    write_set(tmp_path, "cifar10", "cat", "dog", "ship")
    words = "n02123045\ttabby, tabby cat\nn02123394\tPersian cat\nn04596742\twok\n"
    folders = ("n02123045", "n02123394", "n01855672", "n04596742")
    write_set(tmp_path, "tiny-imagenet", *folders, splits=("test",), words=words)
    return tmp_path


def test_overlapping_classes_are_left_out(tiny):
    whole = data.load("tiny-imagenet", "test", root=tiny, progress=False)
    images = load(tiny, "tiny-imagenet", "cifar10")
    # The bird stays: this ID set has no birds.
    assert images.left_out == {"tabby": "cat", "Persian cat": "cat"}
    assert images.classes == whole.classes
    assert {key.split("/")[1] for key in images.keys} == {"n01855672", "n04596742"}
    assert [images.classes[label] for label in images.labels] == ["n01855672"] * 4 + ["wok"] * 4
    assert images.fingerprint() != whole.fingerprint()
    np.testing.assert_array_equal(
        np.asarray(images.image(0)), np.asarray(whole.image(whole.keys.index(images.keys[0])))
    )
    kept = load(tiny, "tiny-imagenet", "cifar10", keep_overlap=True)
    assert (kept.keys, kept.left_out) == (whole.keys, {})
    again = load(tiny, "tiny-imagenet", "cifar10", left_out={"wok": "ship"})
    assert again.left_out == {"wok": "ship"}
    assert len(again) == 12


def test_equal_wnids_are_the_same_class(tmp_path):
    write_set(tmp_path, "imagenet-100", "n01443537", "n02123045")
    write_set(tmp_path, "imagenet-r", "n01443537", "n04596742", splits=("test",))
    images = load(tmp_path, "imagenet-r", "imagenet-100")
    assert images.left_out == {"n01443537": "n01443537"}


def test_a_set_without_other_classes_is_rejected():
    digits = data.load("digits", "test", progress=False)
    mnist = replace(digits, name="mnist", classes=tuple("0123456789"))
    with pytest.raises(InvalidOptionError, match=r"Every class of digits-heldout .* mnist.*--keep"):
        data.load_ood("digits-heldout", mnist)


def test_equal_names_of_unlisted_sets_are_reported_and_kept(tmp_path):
    write_set(tmp_path, "pets", "grey cat", "dog")
    write_set(tmp_path, "street", "Grey_Cat", "car", splits=("test",))
    write_set(tmp_path, "sea", "fish", splits=("test",))
    with pytest.warns(UserWarning, match=r"street has classes .* of pets: Grey_Cat\. If they"):
        images = load(tmp_path, "street", "pets")
    assert (len(images), images.left_out) == (8, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, "sea", "pets")
        load(tmp_path, "noise", "pets")
    assert normalised("Grey_Cat-2 ") == normalised("grey cat 2") == "greycat2"


def test_without_classes_ignores_names_of_other_sets(tiny):
    images = data.load("tiny-imagenet", "test", root=tiny, progress=False)
    assert without_classes(images, {"nothing": "cat"}).keys == images.keys


# The run


@pytest.fixture
def run(tiny, tmp_path):
    settings = Recipe(
        name="tiny",
        data="cifar10",
        model=ModelSpec(width=4, stem="cifar"),
        image_size=8,
        epochs=1,
        batch_size=6,
        save="1",
    )
    options = {"data_root": tiny, "device": "cpu", "progress": False}
    return train(settings, "tiny", checkpoints=tmp_path / "runs", **options)


def extract_tiny(run, root, **options):
    options = {"ood": ["tiny-imagenet"], "sizes": Sizes(), **options}
    return extract(run, data_root=root, device="cpu", progress=False, **options)


def test_left_out_classes_are_recorded_and_reported(run, tiny, monkeypatch):
    run = open_run(extract_tiny(run, tiny).path)
    assert run.left_out == {"tiny-imagenet": {"tabby": "cat", "Persian cat": "cat"}}
    assert left_out(run) == ("tiny-imagenet without 2 classes of cifar10",)
    line = "tiny-imagenet without 2 classes of cifar10: tabby (cat), Persian cat (cat)"
    assert left_out_lines(run) == (line,)
    samples = run.samples
    keys = samples.loc[samples["set"] == "tiny-imagenet/test", "key"]
    assert {key.split("/")[1] for key in keys} == {"n01855672", "n04596742"}

    # Later calls use the same classes, even if the lists have changed.
    monkeypatch.setattr("ncviz.data.ood.listed", lambda *names: ())
    assert extract_tiny(run, tiny).left_out == run.left_out
    with pytest.raises(InvalidOptionError, match=r"2 classes of cifar10\. Leave out --keep"):
        extract_tiny(run, tiny, keep_overlap=True)


def test_kept_overlap_stays_kept(run, tiny):
    run = extract_tiny(run, tiny, keep_overlap=True)
    assert run.left_out == {}
    assert left_out(run) == ()
    before = run.samples
    run = extract_tiny(open_run(run.path), tiny)
    assert run.samples.equals(before)
    assert run.left_out == {}
    # Without samples, the run starts anew.
    (run.path / "samples.parquet").unlink()
    shutil.rmtree(run.path / "epochs" / "0001" / "features")
    assert extract_tiny(open_run(run.path), tiny).left_out.keys() == {"tiny-imagenet"}


def test_report_lists_left_out_classes(run, tiny):
    def terms(run) -> dict[str, str]:
        return dict(next(the_run(Study(run, 1, "encoder", None))).pairs)

    run = extract_tiny(run, tiny)
    assert terms(run)["Left out of OOD sets"] == left_out_lines(run)[0]
    whole = replace(run, description={**run.description, "left_out": {}})
    assert "Left out of OOD sets" not in terms(whole)


@pytest.mark.parametrize(
    "page",
    [None, *(f"pages/{name}.py" for name in ("2_OOD_scores", "4_Trade-off", "5_Leaderboard"))],
)
def test_pages_name_the_sets_without_overlapping_classes(open_app, tmp_path, page):  # noqa: F811
    run = make_run(tmp_path, "cats")
    write.update_description(run, left_out={"noise": {"grey": "cat", "tabby": "cat"}})
    said = words(healthy(open_app(tmp_path, page))).replace("\\", "")
    assert "noise without 2 classes of made" in said
