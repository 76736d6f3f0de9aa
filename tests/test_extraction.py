"""Extraction: which samples, what is written of them, and that nothing is lost on the way."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ncviz import data
from ncviz.arrays import ClassStatistics, FeatureSet
from ncviz.errors import (
    CorruptFileError,
    InvalidArrayError,
    InvalidOptionError,
    MissingDataError,
    UnknownNameError,
)
from ncviz.extraction import Sizes, extract, stratified_sample
from ncviz.extraction.partners import choose_ood_sets
from ncviz.inference import Pixels, forward, load_network, normalise, transform_of
from ncviz.models import ModelSpec
from ncviz.store import files, layout, open_run, write
from ncviz.training import Recipe, recipe, train
from ncviz.transfer import fit_head

CPU = torch.device("cpu")
SETTINGS = Recipe(
    name="tiny",
    data="shapes",
    model=ModelSpec(width=4, stem="cifar"),
    image_size=8,
    epochs=2,
    batch_size=8,
    learning_rate=0.05,
    save="1,2",
)
SMALL = Sizes(train_samples=12, test_samples=7, ood_samples=5)


def extract_shapes(run, shapes, *, ood=("specks",), sizes=SMALL, **options):
    return extract(
        run, ood=ood, sizes=sizes, data_root=shapes, device="cpu", progress=False, **options
    )


@pytest.fixture(scope="module")
def trained(shapes_root, tmp_path_factory):
    """A run on `shapes` with two epochs, not extracted."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"data_root": shapes_root, "device": "cpu", "progress": False}
    return train(SETTINGS, "tiny", checkpoints=folder, **options)


@pytest.fixture
def run(trained, tmp_path):
    """The run `trained`, copied."""
    return open_run(shutil.copytree(trained.path, tmp_path / "runs" / "tiny"))


@pytest.fixture(scope="module")
def extracted(trained, shapes_root, tmp_path_factory):
    """The run `trained`, extracted without a disturbance."""
    copy = shutil.copytree(trained.path, tmp_path_factory.mktemp("extracted") / "tiny")
    return extract_shapes(open_run(copy), shapes_root)


def claims_by_seat(sizes, seats):
    """Sainte-Lague, seat by seat: the claims n / (2 k + 1) that win, highest first."""
    given, won = dict.fromkeys(sizes, 0), []
    for _ in range(seats):
        claims = {c: n / (2 * given[c] + 1) for c, n in sizes.items() if given[c] < n}
        winner = max(claims, key=claims.get)
        given[winner] += 1
        won.append(claims[winner])
    return won


# Which samples


@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=60).map(np.array),
    size=st.none() | st.integers(1, 70),
    seed=st.integers(0, 3),
)
def test_a_sample_is_sorted_unique_and_of_the_size_asked_for(labels, size, seed):
    chosen = stratified_sample(labels, size, seed)
    assert len(chosen) == min(len(labels), len(labels) if size is None else size)
    assert np.all(np.diff(chosen) > 0)
    assert np.isin(chosen, np.arange(len(labels))).all()
    np.testing.assert_array_equal(chosen, stratified_sample(labels, size, seed))


@given(labels=st.lists(st.integers(0, 5), min_size=2, max_size=50).map(np.array), data=st.data())
def test_each_class_gives_what_counting_seat_by_seat_gives_it(labels, data):
    size = data.draw(st.integers(1, len(labels) - 1))
    sizes = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    chosen = labels[stratified_sample(labels, size)]
    won = [n / (2 * k + 1) for c, n in sizes.items() for k in range(np.count_nonzero(chosen == c))]
    # Equal claims may be met in any order, so claims are compared instead of classes.
    np.testing.assert_allclose(sorted(won, reverse=True), claims_by_seat(sizes, size))


def test_balanced_classes_stay_balanced():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 30))
    counts = np.bincount(labels[stratified_sample(labels, 53)])
    assert sorted(counts) == [5] * 7 + [6] * 3


def test_which_samples_of_a_class_are_taken_is_random():
    labels = np.zeros(200, int)
    one, other = (stratified_sample(labels, 50, seed) for seed in (0, 1))
    assert not np.array_equal(one, other)
    assert one.mean() == pytest.approx(99.5, abs=25)


# What is written


def plain_features(run, epoch, name, shapes):
    """Encoder features (N, D) of all images of a set, in float32, one image at a time."""
    network, transform = load_network(run.epoch(epoch), CPU), transform_of(run)
    images = data.load(*name.split("/"), root=shapes)
    features = []
    for index in range(len(images)):
        pixels = transform.normalise(transform(images.image(index))[None])
        with torch.inference_mode():
            features.append(network(torch.from_numpy(pixels)).encoder[0].numpy())
    return np.stack(features), images.labels


@pytest.mark.parametrize("name", ["shapes/train", "shapes/test", "specks/test"])
def test_features_are_those_of_a_plain_forward_pass(extracted, shapes_root, name):
    features, labels = plain_features(extracted, 2, name, shapes_root)
    samples = extracted.samples
    rows = samples.loc[samples["set"] == name, "index"].to_numpy()
    stored = extracted.epoch(2).features(name)
    np.testing.assert_allclose(stored.features, features[rows], rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(stored.labels, labels[rows])


def test_logits_follow_from_features_and_head(extracted, shapes_root):
    images = data.load("shapes", "test", root=shapes_root)
    pixels = Pixels(images, transform_of(extracted))
    outputs, _ = next(forward(load_network(extracted.epoch(2), CPU), pixels, CPU))
    rows = extracted.samples.query("set == 'shapes/test'")["index"].to_numpy()
    stored = extracted.epoch(2).features("test").logits
    # Features are stored in half precision: 11 bits.
    np.testing.assert_allclose(
        stored, outputs.logits.numpy()[rows], atol=2**-10 * np.abs(stored).max()
    )


def test_statistics_are_those_of_two_passes_over_all_training_images(extracted, shapes_root):
    features, labels = plain_features(extracted, 2, "shapes/train", shapes_root)
    features = features.astype(np.float64)
    statistics = extracted.epoch(2).statistics()
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)])
    centred = features - means[labels]
    np.testing.assert_array_equal(statistics.counts, [10, 10, 10])
    # One image at a time, float32 rounds otherwise than in a batch.
    np.testing.assert_allclose(statistics.means, means, atol=1e-6 * np.abs(means).max())
    scale = np.abs(statistics.scatter).max()
    np.testing.assert_allclose(statistics.scatter, centred.T @ centred, atol=1e-5 * scale)
    squares = [np.sum(centred[labels == c] ** 2) for c in range(3)]
    np.testing.assert_allclose(statistics.squares, squares, rtol=1e-5)


def test_every_epoch_has_the_same_samples_in_the_same_order(extracted, shapes_root):
    samples = extracted.samples
    assert samples["set"].value_counts(sort=False).to_dict() == {
        "shapes/train": 12,
        "shapes/test": 7,
        "specks/test": 5,
    }
    for name, rows in samples.groupby("set"):
        images = data.load(*name.split("/"), root=shapes_root)
        assert [images.keys[index] for index in rows["index"]] == list(rows["key"])
        for number in (1, 2):
            stored = extracted.epoch(number).features(name)
            assert stored.labels.tolist() == rows["label"].tolist()


def test_a_projector_is_a_layer_of_its_own(shapes, tmp_path):
    settings = replace(SETTINGS, model=replace(SETTINGS.model, projector="etf-features"))
    options = {"data_root": shapes, "device": "cpu", "progress": False}
    run = train(settings, "tiny", checkpoints=tmp_path, **options)
    epoch = extract_shapes(run, shapes).epoch(2)
    encoder, projector = (epoch.features("test", layer) for layer in ("encoder", "projector"))
    np.testing.assert_allclose(np.linalg.norm(projector.features, axis=1), 1, rtol=1e-3)
    # The head sits on the projector, so both layers have its logits.
    np.testing.assert_array_equal(encoder.logits, projector.logits)
    np.testing.assert_allclose(
        projector.logits, epoch.head("projector").logits(projector.features), rtol=1e-6
    )
    assert epoch.statistics("projector").samples == 30
    stored = files.array_names(epoch.path / "features/shapes/test.safetensors")
    assert stored == ["encoder", "labels"]  # the projector follows from the encoder
    pixels = Pixels(data.load("shapes", "test", root=shapes), transform_of(run))
    outputs, _ = next(forward(load_network(epoch, CPU), pixels, CPU))
    rows = epoch.run.samples.query("set == 'shapes/test'")["index"].to_numpy()
    np.testing.assert_allclose(projector.features, outputs.projector.numpy()[rows], atol=2e-3)


def test_stages_of_the_backbone_are_further_layers(run, shapes, extracted):
    run = extract_shapes(run, shapes, epochs=[2], stages=True)
    epoch = run.epoch(2)
    assert epoch.layers == ("stage1", "stage2", "stage3", "encoder")
    assert run.epoch(1).layers == run.layers == ("encoder",)
    backbone = load_network(epoch, CPU).backbone
    images = data.load("shapes", "train", root=shapes)
    transform = transform_of(run)
    pixels = np.stack([transform(images.image(index)) for index in range(len(images))])
    x = normalise(torch.from_numpy(pixels), transform)
    x = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(x))))
    rows = run.samples.query("set == 'shapes/train'")["index"].to_numpy()
    for number in (1, 2, 3):
        with torch.inference_mode():
            x = getattr(backbone, f"layer{number}")(x)
        pooled = x.flatten(2).mean(2).numpy()
        layer = f"stage{number}"
        np.testing.assert_allclose(epoch.features("train", layer).features, pooled[rows], atol=2e-3)
        expected = ClassStatistics.of(pooled, images.labels, 3)
        np.testing.assert_allclose(epoch.statistics(layer).means, expected.means, atol=1e-5)
        assert epoch.probe(layer).weight.shape == (3, pooled.shape[1])
    # The encoder is what it is without stages.
    for name in ("test", "specks"):
        np.testing.assert_array_equal(
            epoch.features(name).features, extracted.epoch(2).features(name).features
        )
    with pytest.raises(UnknownNameError, match=r"'stage4'.*stage3"):
        epoch.features("test", "stage4")
    with pytest.raises(UnknownNameError, match=r"epoch 1 of run tiny 'stage1'"):
        run.epoch(1).features("test", "stage1")


def test_an_epoch_keeps_its_stages_and_gets_those_of_further_sets(run, shapes):
    extract_shapes(run, shapes, ood=(), stages=True)
    run = extract_shapes(open_run(run.path), shapes, ood=("specks",))
    assert run.epoch(2).features("specks", "stage1").features.shape == (5, 4)
    assert run.epoch(2).layers == ("stage1", "stage2", "stage3", "encoder")


def test_stages_can_be_asked_for_later(run, shapes, files_below):
    first = extract_shapes(run, shapes)
    again = extract_shapes(first, shapes, stages=True)
    before = files_below(again.path)
    assert again.epoch(1).layers == ("stage1", "stage2", "stage3", "encoder")
    extract_shapes(open_run(again.path), shapes, stages=True)
    assert files_below(again.path) == before


def test_the_probe_is_that_of_all_training_images(extracted, shapes_root):
    features, labels = plain_features(extracted, 2, "shapes/train", shapes_root)
    expected = fit_head(FeatureSet(features, np.empty((len(labels), 0)), labels), 3)
    probe = extracted.epoch(2).probe()
    test = extracted.epoch(2).features("test").features
    np.testing.assert_allclose(probe.logits(test), expected.logits(test), atol=1e-2)
    assert not extracted.epoch(2).has_probe("stage1")


def test_a_probe_learns_from_no_more_samples_than_the_limit(run, shapes, shapes_root, monkeypatch):
    monkeypatch.setattr(import_module("ncviz.extraction.pieces"), "PROBE_SAMPLES", 9)
    probe = extract_shapes(run, shapes).epoch(2).probe()
    features, labels = plain_features(run, 2, "shapes/train", shapes_root)
    rows = stratified_sample(labels, 9)
    part = FeatureSet(features[rows], np.empty((9, 0)), labels[rows])
    np.testing.assert_allclose(probe.weight, fit_head(part, 3).weight, atol=1e-2)


def test_classes_too_small_for_a_probe_leave_the_layer_without(run, shapes, monkeypatch):
    # One image of each class: none is left to choose the regularisation by.
    monkeypatch.setattr(import_module("ncviz.extraction.pieces"), "PROBE_SAMPLES", 3)
    run = extract_shapes(run, shapes)
    assert run.epoch(2).features("test").features.shape == (7, 32)
    with pytest.raises(MissingDataError, match=r"No linear probe .* encoder of epoch 2"):
        run.epoch(2).probe()


def test_features_beyond_half_precision_stay_in_single(run, shapes):
    grow(run, "backbone.layer4.1.bn2.weight", 1e6)
    features = extract_shapes(run, shapes).epoch(2).features("specks")
    assert features.features.max() > np.finfo(np.float16).max


def test_features_that_are_not_finite_are_not_written(run, shapes):
    grow(run, "backbone.layer4.1.bn2.weight", np.nan)
    with pytest.raises(InvalidArrayError, match=r"encoder's features of shapes/train .* NaN"):
        extract_shapes(run, shapes, epochs=[2])
    assert run.epoch(2).sets == ()


def grow(run, name, factor):
    """Scale one parameter of the last epoch."""
    epoch = run.epoch(2)
    weights = epoch.weights()
    weights[name] = weights[name] * np.float32(factor)
    heads = {"encoder": epoch.head()}
    write.save_network(run, 2, weights, heads)


# Going on where it stopped


# samples, run.json, then for two epochs probes, statistics and features, test, OOD: twelve writes.
@pytest.mark.parametrize("write_number", range(1, 13))
def test_an_interrupted_extraction_is_completed_by_the_next_call(
    run, shapes, extracted, files_below, monkeypatch, write_number
):
    rename, calls = os.replace, []

    def interrupt(part, path):
        calls.append(path)
        if len(calls) == write_number:
            raise KeyboardInterrupt
        rename(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract_shapes(run, shapes)
    extract_shapes(open_run(run.path), shapes)
    assert files_below(run.path) == files_below(extracted.path)


def test_what_is_there_is_not_written_again(run, shapes, monkeypatch):
    extract_shapes(run, shapes)

    def fail(*arguments):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(import_module("ncviz.extraction.pieces"), "load_network", fail)
    extract_shapes(open_run(run.path), shapes)


def test_a_set_that_is_added_later_leaves_the_others_alone(run, shapes, extracted, files_below):
    extract_shapes(run, shapes, ood=())
    without = files_below(run.path)
    run = extract_shapes(open_run(run.path), shapes, ood=("specks",))
    assert run.ood_sets == {"specks": "far"}
    with_it = files_below(run.path)
    changed = {name for name in with_it if with_it[name] != without.get(name)}
    assert changed == {
        "run.json",
        "samples.parquet",
        "epochs/0001/features/specks/test.safetensors",
        "epochs/0002/features/specks/test.safetensors",
        "epochs/0001/network_scores/specks/test.safetensors",
        "epochs/0002/network_scores/specks/test.safetensors",
    }
    pd.testing.assert_frame_equal(run.samples, extracted.samples)
    # The next call without names goes on with the sets that the run has.
    assert extract_shapes(run, shapes, ood=None).ood_sets == {"specks": "far"}


def test_new_weights_and_damaged_files_are_extracted_again(run, shapes):
    run = extract_shapes(run, shapes)
    damaged = run.path / "epochs/0001/features/specks/test.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    before = run.epoch(2).features("specks").features
    grow(run, "backbone.bn1.weight", 1.5)

    run = extract_shapes(open_run(run.path), shapes)
    assert damaged.read_bytes() == whole
    assert not np.allclose(run.epoch(2).features("specks").features, before)


@pytest.mark.parametrize(
    "name", [layout.STATISTICS, layout.PROBES, "features/shapes/train.safetensors"]
)
def test_what_is_damaged_of_the_training_set_is_made_anew(run, shapes, files_below, name):
    run = extract_shapes(run, shapes)
    before = files_below(run.path)
    path = run.epoch(2).path / name
    path.write_bytes(path.read_bytes()[:-20])
    extract_shapes(open_run(run.path), shapes)
    assert files_below(run.path) == before


def test_chosen_epochs_alone_are_extracted(run, shapes):
    run = extract_shapes(run, shapes, epochs=[2, 2])
    assert run.epoch(1).sets == ()
    assert run.epoch(2).sets == ("shapes/test", "shapes/train", "specks/test")


def test_epochs_without_weights_are_left_out(run, shapes):
    (run.path / "epochs/0001/model.safetensors").unlink()
    assert extract_shapes(run, shapes).epoch(1).sets == ()
    with pytest.raises(MissingDataError, match="Epoch 1 of tiny was shared without weights"):
        extract_shapes(run, shapes, epochs=[1])
    (run.path / "epochs/0002/model.safetensors").unlink()
    with pytest.raises(MissingDataError, match=r"no saved epoch with weights.*scripts/train\.py"):
        extract_shapes(run, shapes)


# What it refuses


def test_unknown_names_list_what_exists(run, shapes):
    with pytest.raises(UnknownNameError, match=r"epoch of run tiny '3'\. Known: 0001, 0002"):
        extract_shapes(run, shapes, epochs=[3])
    with pytest.raises(UnknownNameError, match=r"'reprt'. Did you mean 'report'\?.*svhn"):
        extract_shapes(run, shapes, ood=["reprt"])
    assert run.epoch(1).sets == ()


def test_the_id_set_is_no_ood_set(run, shapes):
    with pytest.raises(InvalidOptionError, match="shapes is what the run knows"):
        extract_shapes(run, shapes, ood=["specks", "shapes"])


def test_without_a_name_and_without_partners_it_says_how_to_go_on(run, shapes):
    with pytest.raises(MissingDataError, match=r"No OOD set for shapes is on this machine.*--ood"):
        extract_shapes(run, shapes, ood=None)


def test_partners_are_looked_for_and_not_fetched(run, shapes, monkeypatch):
    asked = []

    def load(name, split, **options):
        asked.append((name, options["download"]))
        raise MissingDataError(name)

    monkeypatch.setattr(data, "load", load)
    cifar = write.update_description(run, id_set="cifar100")
    options = {"root": shapes, "download": True, "skip_corrupt": False, "progress": False}
    with pytest.raises(MissingDataError, match=r"looked for .*places365"):
        choose_ood_sets(cifar, None, options)
    assert ("places365", False) in asked
    assert not any(download for _, download in asked)


def test_a_suite_means_its_members(run, shapes):
    run = extract_shapes(run, shapes, ood=["digits-partners", "specks"])
    assert run.ood_sets == {
        "digits-heldout": "near",
        "letters": "near",
        "photo-patches": "far",
        "noise": "far",
        "specks": "far",
    }
    assert set(run.epoch(1).sets) == {f"{name}/test" for name in run.ood_sets} | {
        "shapes/train",
        "shapes/test",
    }


def test_a_missing_set_is_named(run, shapes):
    shutil.rmtree(shapes / "specks" / "test")
    (shapes / "specks" / "train").mkdir()
    with pytest.raises(MissingDataError, match="specks"):
        extract_shapes(run, shapes)


def test_a_class_without_images_is_named(run, shapes):
    for image in (shapes / "specks" / "test" / "white").iterdir():
        image.unlink()
    with pytest.raises(MissingDataError, match="Class 'white' of specks/test has no image"):
        extract_shapes(run, shapes)


def test_a_corrupt_image_is_named_and_skipped_on_request(run, shapes):
    (shapes / "specks/test/white/3.png").write_bytes(b"no image")
    everything = replace(SMALL, ood_samples=None)
    with pytest.raises(CorruptFileError, match=r"white/3\.png is corrupt.*--skip-corrupt"):
        extract_shapes(run, shapes, sizes=everything)
    assert not (run.path / "samples.parquet").exists()
    with pytest.warns(UserWarning, match=r"skipped 1 corrupt of 10 images: .*white/3\.png"):
        extract_shapes(run, shapes, sizes=everything, skip_corrupt=True)
    assert len(run.epoch(1).features("specks")) == 9


@pytest.mark.parametrize("changed", ["shapes/train/dot/0.png", "shapes/test/dot/0.png"])
def test_other_data_than_trained_on_is_refused(run, shapes, changed):
    (shapes / changed).rename((shapes / changed).with_name("99.png"))
    with pytest.raises(InvalidOptionError, match="is not the data that tiny was trained on"):
        extract_shapes(run, shapes)


def test_other_ood_images_than_the_samples_are_refused(run, shapes):
    extract_shapes(run, shapes, sizes=replace(SMALL, ood_samples=None))
    (shapes / "specks/test/white/0.png").unlink()
    with pytest.raises(InvalidOptionError, match=r"specks/test is not the data .* samples"):
        extract_shapes(open_run(run.path), shapes)


@pytest.mark.parametrize("field", ["train_samples", "test_samples", "ood_samples"])
def test_a_sample_of_nothing_is_refused(field):
    with pytest.raises(InvalidOptionError, match=f"{field} is 0"):
        Sizes(**{field: 0})


def test_a_description_that_names_no_network_is_refused(run, shapes):
    for model in ({"backbone": "lenet"}, {"width": "wide"}, None):
        changed = write.update_description(run, recipe={**run.recipe, "model": model})
        with pytest.raises(CorruptFileError, match="description of run tiny names no network"):
            extract_shapes(changed, shapes)


def test_weights_of_another_network_are_refused(run, shapes):
    model = {**run.recipe["model"], "width": 8}
    run = write.update_description(run, recipe={**run.recipe, "model": model})
    with pytest.raises(CorruptFileError, match="weights of epoch 1 of tiny do not fit"):
        extract_shapes(run, shapes)


def test_damaged_samples_are_named(run, shapes):
    run = extract_shapes(run, shapes)
    (run.path / "samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorruptFileError, match=r"samples\.parquet.*Delete samples\.parquet"):
        extract_shapes(run, shapes)


# Real images


@pytest.mark.skipif(not os.environ.get("NCVIZ_DATA"), reason="NCVIZ_DATA is not set: no images")
def test_cifar100_trains_and_extracts(tmp_path, monkeypatch):
    load = data.load

    def load_some(name, split, **options):
        images = load(name, split, **options)
        rows = np.arange(0, len(images), max(1, len(images) // 300))
        keys = tuple(images.keys[row] for row in rows)
        return replace(images, labels=images.labels[rows], keys=keys)

    monkeypatch.setattr(data, "load", load_some)
    monkeypatch.setattr("ncviz.data.ood.load", load_some)
    settings = replace(
        recipe("cifar100-small"), epochs=1, save="1", model=ModelSpec(width=4), batch_size=50
    )
    options = {"device": "cpu", "progress": False}
    run = train(settings, "c", checkpoints=tmp_path, **options)
    run = extract(run, ood=["cifar10"], sizes=SMALL, **options)
    assert run.ood_sets == {"cifar10": "near"}
    assert len(run.classes) == 100
    assert len(set(run.superclasses)) == 20
    assert run.epoch(1).features("test").logits.shape == (7, 100)
    assert files.sources_of(run.path / "epochs/0001/statistics.safetensors").keys() == {
        "samples",
        "weights",
    }
