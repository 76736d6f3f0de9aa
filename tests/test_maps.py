"""Maps of every epoch: which samples, what is kept, what is made anew, and what is refused."""

from __future__ import annotations

import shutil
from importlib import import_module

import numpy as np
import pytest
from made_runs import add_samples, make_run, mapped_features, mapped_sets

from ncviz.embedding import etf_view, map_quality, pca_view
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.evaluation.maps import embed
from ncviz.store import open_run, write

umap = import_module("ncviz.embedding.maps")
SAMPLES = 4 * 12 + 2 * 40


@pytest.fixture(autouse=True)
def without_umap(monkeypatch):
    """UMAP compiles for a minute; here a map depends on what UMAP's does, and on nothing else."""

    def from_scratch(features, start, seed, neighbours, min_distance):
        return (features[:, :2] + seed + neighbours + min_distance).astype(np.float32)

    def step(features, previous, seed, neighbours, min_distance):
        return (0.5 * previous + features[:, :2] ** 2 + seed).astype(np.float32)

    monkeypatch.setattr(umap, "_from_scratch", from_scratch)
    monkeypatch.setattr(umap, "_step", step)


@pytest.fixture
def run(tmp_path):
    made = make_run(tmp_path / "runs", "cats", layers=("encoder", "projector"), results=False)
    add_samples(made)
    return made


@pytest.fixture
def saved(monkeypatch):
    """Numbers of the epochs whose maps are made, as they come."""
    seen = []
    save = write.save_maps

    def record(epoch, *arguments):
        seen.append(epoch.number)
        return save(epoch, *arguments)

    monkeypatch.setattr(write, "save_maps", record)
    return seen


def again(run, **options):
    embed(run, progress=False, **options)
    return open_run(run.path)


def maps_of(run):
    return [run.epoch(number).maps(layer) for number in run.epochs for layer in run.layers]


def assert_same_maps(one, other):
    for mine, theirs in zip(maps_of(one), maps_of(other), strict=True):
        np.testing.assert_array_equal(mine.rows, theirs.rows)
        assert mine.points.keys() == theirs.points.keys()
        for kind, points in mine.points.items():
            np.testing.assert_array_equal(points, theirs.points[kind])


def change_features(run, number):
    epoch = run.epoch(number)
    for name in mapped_sets(run):
        found = {layer: epoch.features(name, layer) for layer in run.layers}
        arrays = {layer: one.features * 1.5 for layer, one in found.items()}
        arrays["labels"] = found[run.layers[0]].labels
        write.save_features(epoch, name, arrays, epoch.feature_sources(name))


# Which samples, and where


def test_all_epochs_show_the_same_samples_of_the_test_and_ood_sets_in_order(run):
    run = again(run)
    found = maps_of(run)
    for one in found:
        np.testing.assert_array_equal(one.rows, found[0].rows)
        assert one.points.keys() == {"umap", "pca", "etf"}
        assert all(points.shape == (SAMPLES, 2) for points in one.points.values())
        assert all(points.dtype == np.float32 for points in one.points.values())
    shown = run.samples.iloc[found[0].rows]
    assert list(shown["set"].unique()) == ["made/test", "letters/test", "noise/test"]
    assert len(shown) == SAMPLES


def test_too_many_samples_are_thinned_evenly(run):
    run = again(run, limit=32)
    rows = run.epoch(9).maps().rows
    assert len(set(rows.tolist())) == 32
    assert set(np.diff(rows)) <= {4, 5}
    shown = run.samples.iloc[rows]
    assert shown["set"].value_counts().to_dict() == {
        "made/test": 12,
        "letters/test": 10,
        "noise/test": 10,
    }
    labels = shown.loc[shown["set"] == "made/test", "label"]
    assert labels.value_counts().to_dict() == {0: 3, 1: 3, 2: 3, 3: 3}


def test_linear_views_of_all_epochs_look_along_the_last_one_s_axes(run):
    run = again(run)
    last = run.epoch(9)
    for number in run.epochs:
        for layer in run.layers:
            points = run.epoch(number).maps(layer).points
            features = mapped_features(run.epoch(number), layer)
            expected = pca_view(mapped_features(last, layer)).project(features)
            np.testing.assert_array_equal(points["pca"], expected)
            expected = etf_view(last.statistics(layer)).project(features)
            np.testing.assert_array_equal(points["etf"], expected)


def test_every_map_states_its_quality(run):
    run = again(run)
    last = run.epoch(9)
    for number in run.epochs:
        for layer in run.layers:
            made = run.epoch(number).maps(layer)
            features = mapped_features(run.epoch(number), layer)
            measured = map_quality(features, made.points)
            view = pca_view(mapped_features(last, layer))
            flat = etf_view(last.statistics(layer))
            measured["pca"] = measured["pca"]._replace(explained=view.explained(features))
            measured["etf"] = measured["etf"]._replace(explained=flat.explained(features))
            assert made.quality == measured
            assert made.quality["umap"].explained == ()


def test_quality_of_thinned_maps_is_that_of_the_mapped_samples(run):
    whole, thinned = again(run).epoch(9).maps(), again(run, limit=40).epoch(9).maps()
    features = mapped_features(run.epoch(9), "encoder")
    place = {row: at for at, row in enumerate(whole.rows.tolist())}
    chosen = [place[row] for row in thinned.rows.tolist()]
    found = map_quality(features[chosen], {"umap": thinned.points["umap"]})
    assert thinned.quality["umap"] == found["umap"]


def test_a_map_of_few_samples_has_no_quality(run):
    assert again(run, limit=30).epoch(9).maps().quality == {}
    assert again(run, limit=31).epoch(9).maps().quality.keys() == {"umap", "pca", "etf"}


def test_thinned_samples_get_their_own_points(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "other" / "cats")
    whole, thinned = again(run), again(open_run(tmp_path / "other" / "cats"), limit=32)
    place = {row: at for at, row in enumerate(whole.epoch(1).maps().rows.tolist())}
    chosen = [place[row] for row in thinned.epoch(1).maps().rows.tolist()]
    np.testing.assert_allclose(
        thinned.epoch(1).maps().points["etf"],
        whole.epoch(1).maps().points["etf"][chosen],
        rtol=1e-5,
        atol=1e-5,
    )


def test_two_classes_have_no_class_mean_view(tmp_path):
    run = make_run(tmp_path, "pair", classes=("cat", "dog"), results=False)
    add_samples(run)
    assert again(run).epoch(9).maps().points.keys() == {"umap", "pca"}


# What is kept, and what is made anew


def test_current_maps_are_kept(run, saved):
    again(run)
    assert saved == [1, 4, 9]
    again(run)
    assert saved == [1, 4, 9]


@pytest.mark.parametrize(
    "options", [{"seed": 1}, {"neighbours": 5}, {"min_distance": 0.5}, {"limit": 64}]
)
def test_other_options_make_all_maps_anew(run, saved, options):
    again(run)
    again(run, **options)
    assert saved == 2 * [1, 4, 9]


def test_changed_features_make_their_map_and_those_after_it_anew(run, saved):
    again(run)
    change_features(run, 4)
    with pytest.raises(MissingDataError, match=r"python scripts/embed\.py cats"):
        run.epoch(4).maps()
    run = again(run)
    assert saved == [1, 4, 9, 4, 9]
    assert len(maps_of(run)) == 6


def test_changed_features_of_the_last_epoch_change_the_axes_of_all(run, saved):
    again(run)
    change_features(run, 9)
    again(run)
    assert saved == 2 * [1, 4, 9]


def test_a_removed_map_is_made_again_and_those_after_it_are_kept(run, saved):
    run = again(run)
    before = maps_of(run)
    sources = [run.epoch(number).maps_sources() for number in run.epochs]
    (run.epoch(4).path / "results" / "maps.safetensors").unlink()
    run = again(run)
    assert saved == [1, 4, 9, 4]
    assert [run.epoch(number).maps_sources() for number in run.epochs] == sources
    for one, other in zip(before, maps_of(run), strict=True):
        np.testing.assert_array_equal(one.points["umap"], other.points["umap"])


@pytest.mark.parametrize("done", [0, 1, 2])
def test_an_interrupted_chain_ends_where_one_go_would(run, tmp_path, monkeypatch, done):
    shutil.copytree(run.path, tmp_path / "other" / "cats")
    other = open_run(tmp_path / "other" / "cats")
    save = write.save_maps
    left = [done]

    def interrupted(epoch, *arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return save(epoch, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(write, "save_maps", interrupted)
        with pytest.raises(KeyboardInterrupt):
            again(other)
    assert sum(bool(other.epoch(number).maps_sources()) for number in other.epochs) == done
    assert_same_maps(again(other), again(run))


def test_maps_need_no_results(run):
    assert not len(run.collapse())
    assert len(maps_of(again(run))) == 6


# Errors


def test_without_features_the_command_that_makes_them_is_named(tmp_path):
    run = make_run(tmp_path, "bare", features=False)
    with pytest.raises(MissingDataError, match=r"python scripts/extract\.py bare"):
        again(run)


def test_without_maps_the_command_that_makes_them_is_named(run):
    with pytest.raises(MissingDataError, match=r"python scripts/embed\.py cats"):
        run.epoch(4).maps()


@pytest.mark.parametrize(
    "options",
    [{"neighbours": 1}, {"neighbours": 500}, {"min_distance": 2}, {"limit": -1}, {"limit": 2}],
)
def test_options_out_of_range_write_nothing(run, options):
    with pytest.raises(InvalidOptionError):
        again(run, **options)
    assert not any(run.epoch(number).maps_sources() for number in run.epochs)
