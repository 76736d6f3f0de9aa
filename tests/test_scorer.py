"""Scoring new images: against the scores of stored samples, loops, and other libraries."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from ncviz import data, detectors
from ncviz.errors import (
    InvalidArrayError,
    MissingDataError,
    UnknownNameError,
)
from ncviz.evaluation import evaluate
from ncviz.extraction import extract
from ncviz.inference.looking import look_at, record
from ncviz.inference.scorer import Scorer
from ncviz.inference.verdict import Verdict, agree, judge
from ncviz.store import open_run
from ncviz.thresholds import ID_95
from ncviz.training import recipe, train
from ncviz.ui.sample_loaders import read_gallery

HELD_OUT = {name for name in detectors.names() if detectors.info(name).learns_held_out}


@pytest.fixture(scope="module")
def run(digits_checkpoints):
    return open_run(digits_checkpoints / "digits")


@pytest.fixture(scope="module")
def scorer(run):
    return Scorer.load(run.epoch(6))


@pytest.fixture(scope="module")
def projected(tmp_path_factory):
    """A run with a projector, one epoch trained, its stages extracted."""
    folder = tmp_path_factory.mktemp("projected")
    whole = recipe("digits")
    model = replace(whole.model, projector="etf-features", width=8)
    short = replace(whole, epochs=1, save="1", model=model)
    made = train(short, "projected", checkpoints=folder, progress=False, device="cpu")
    made = extract(made, stages=True, progress=False, device="cpu")
    evaluate([made], progress=False)
    return made


def stored_images(run, set_name: str, count: int) -> tuple[np.ndarray, list]:
    """Positions of some cached samples of a set, and their images."""
    samples = run.samples
    samples = samples[samples["set"] == set_name].reset_index(drop=True)
    rows = np.linspace(0, len(samples) - 1, count).astype(int)
    name, _, split = set_name.partition("/")
    return rows, [data.open_image(name, split, samples["key"][row]) for row in rows]


def seen(scorer: Scorer, images) -> np.ndarray:
    return np.stack([scorer.see(image) for image in images])


@pytest.mark.parametrize("set_name", ["digits/test", "letters/test"])
def test_a_stored_sample_meets_its_own_scores(run, scorer, set_name):
    rows, images = stored_images(run, set_name, 12)
    sights = scorer.look(seen(scorer, images))
    assert {"energy", "mahalanobis", "energy_probe"} <= set(scorer.reference.names)
    for name in scorer.reference.names:
        stored = run.epoch(6).scores(name, set_name)
        apart = np.abs(np.array([sight.scores[name] for sight in sights]) - stored[rows])
        # Each half of the test set is scored by what a detector learned from the other.
        cross_fitted = name in HELD_OUT and set_name == "digits/test"
        assert apart.max() < (0.5 if cross_fitted else 0.02) * stored.std(), name


@pytest.mark.parametrize("layer", ["stage1", "stage3", "encoder", "projector"])
def test_every_layer_of_a_network_with_a_projector(projected, layer):
    scorer = Scorer.load(projected.epoch(1), layer)
    rows, images = stored_images(projected, "digits/test", 8)
    sights = scorer.look(seen(scorer, images))
    stored = projected.epoch(1).features("test", layer)
    features = np.stack([sight.features for sight in sights])
    np.testing.assert_allclose(features, stored.features[rows], rtol=1e-2, atol=2e-3)
    names = scorer.reference.names
    assert "energy_probe" in names
    # The network's head sits on the projector: what looks at logits has no place elsewhere.
    assert ("msp" in names) == (layer == "projector")
    for name in names:
        known = projected.epoch(1).scores(name, "test", layer)
        apart = np.abs(np.array([sight.scores[name] for sight in sights]) - known[rows])
        assert apart.max() < (0.5 if name in HELD_OUT else 0.05) * known.std(), name


def test_classes_are_those_of_the_network(run, scorer):
    _, images = stored_images(run, "digits/test", 30)
    pixels = seen(scorer, images)
    normalised = torch.from_numpy(scorer.transform.normalise(pixels))
    with torch.inference_mode():
        expected = scorer.network(normalised).logits.softmax(dim=1).numpy()
    sights = scorer.look(pixels)
    np.testing.assert_allclose([each.probabilities for each in sights], expected, atol=2e-3)
    top = sights[0].top()
    assert [number for number, _ in top] == np.argsort(-expected[0])[:5].tolist()
    assert [probability for _, probability in top] == sorted(
        (probability for _, probability in top), reverse=True
    )
    assert sights[0].probabilities.sum() == pytest.approx(1)
    assert len(sights[0].top(99)) == len(run.classes)


def test_one_by_one_or_together(run, scorer):
    """More than one batch, whose size must not show."""
    _, images = stored_images(run, "letters/test", 40)
    pixels = seen(scorer, images)
    together = scorer.look(pixels)
    for at in (0, 17, 39):
        (alone,) = scorer.look(pixels[at : at + 1])
        for name, score in alone.scores.items():
            assert score == pytest.approx(together[at].scores[name], rel=5e-3, abs=5e-3), name


def test_threads_share_a_scorer(run, scorer):
    _, images = stored_images(run, "digits/test", 24)
    pixels = seen(scorer, images)
    alone = [scorer.look(each[None])[0].scores for each in pixels]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda each: scorer.look(each[None])[0].scores, pixels))
    assert together == alone


def test_no_images(scorer):
    assert scorer.look(np.empty((0, 8, 8, 3), np.uint8)) == []


def test_chosen_detectors_in_the_order_chosen(run):
    chosen = Scorer.load(run.epoch(6), detectors=["vim", "msp"])
    assert chosen.reference.names == ("vim", "msp")


def test_the_judges_are_the_detectors_that_evaluation_lists(run, projected):
    table = run.epoch(6).detection()
    assert set(run.epoch(6).judges()) == set(table["detector"])
    assert set(Scorer.load(run.epoch(6)).reference.names) == set(table["detector"])
    stage = projected.epoch(1).detection()
    stage = set(stage.loc[stage["layer"] == "stage2", "detector"])
    assert set(projected.epoch(1).judges("stage2")) == stage


def test_what_is_missing_is_named(run, digits_run):
    with pytest.raises(UnknownNameError, match=r"'nonsense'.*Known: .*energy"):
        Scorer.load(run.epoch(6), detectors=["nonsense"])
    with pytest.raises(UnknownNameError, match="layer"):
        Scorer.load(run.epoch(6), "projector")
    for path in digits_run.path.glob("epochs/0006/model*"):
        path.unlink()
    with pytest.raises(MissingDataError, match="without weights"):
        Scorer.load(digits_run.epoch(6))
    assert digits_run.weighted_epochs == (1, 2, 4)
    for path in digits_run.path.glob("epochs/0004/results/*"):
        path.unlink()
    with pytest.raises(MissingDataError, match=r"scripts/evaluate\.py digits"):
        Scorer.load(digits_run.epoch(4))


# Verdicts


def test_p_values_count_known_samples(run, scorer):
    _, images = stored_images(run, "letters/test", 6)
    thresholds = {
        name: scorer.reference.threshold(name, ID_95).value for name in scorer.reference.names
    }
    for sight in scorer.look(seen(scorer, images)):
        verdicts = judge(sight.scores, scorer.reference, thresholds)
        assert list(verdicts) == list(scorer.reference.names)
        for name, verdict in verdicts.items():
            known = run.epoch(6).scores(name, "test")
            lower = sum(bool(score <= sight.scores[name]) for score in known)
            assert verdict.p_value == pytest.approx((1 + lower) / (1 + len(known)))
            assert verdict.known == (sight.scores[name] >= thresholds[name])
            assert verdict.word == ("known" if verdict.known else "unknown")


def test_p_values_reach_from_the_smallest_possible_to_one(scorer):
    known = scorer.reference.known["energy"]
    low, high = (
        judge({"energy": score}, scorer.reference, {"energy": 0.0})["energy"].p_value
        for score in (known.min() - 1, known.max() + 1)
    )
    assert low == pytest.approx(1 / (1 + len(known)))
    assert high == 1


def test_the_operating_point_keeps_what_its_rule_says(scorer):
    for name in scorer.reference.names:
        cut = scorer.reference.threshold(name, ID_95).value
        assert np.mean(scorer.reference.known[name] >= cut) >= 0.95


def test_a_score_right_at_the_operating_point_is_known():
    assert Verdict("energy", 2.0, 2.0, 0.5).known
    assert not Verdict("energy", np.nextafter(2.0, 0), 2.0, 0.5).known


def test_agreement_is_a_count():
    verdicts = [Verdict("a", score, 0.0, 0.5) for score in (-1.0, 1.0, -2.0)]
    assert str(agree(verdicts)) == "2 of 3"


# Many files


def test_results_come_in_order_with_errors_among_them(run, scorer):
    _, images = stored_images(run, "digits/test", 40)

    def fail():
        raise MissingDataError("gone.png is not there.")

    files = [
        (f"{at}.png", lambda image=image: scorer.see(image)) for at, image in enumerate(images)
    ]
    files[7] = files[39] = ("gone.png", fail)
    results = list(look_at(scorer, files))
    assert [result.name for result in results] == [name for name, _ in files]
    assert [at for at, result in enumerate(results) if result.error] == [7, 39]
    assert results[7].error == "gone.png is not there."
    assert results[7].sight is None
    for at in (0, 8, 38):
        assert np.array_equal(results[at].sight.pixels, scorer.see(images[at]))


def test_first_results_come_before_the_last_file_is_opened(run, scorer):
    _, (image,) = stored_images(run, "digits/test", 1)
    opened = []

    def see():
        opened.append(None)
        return scorer.see(image)

    results = look_at(scorer, ((f"{at}", see) for at in range(100)))
    next(results)
    assert len(opened) < 100
    assert len(list(results)) == 99


def test_only_unreadable_files_and_no_files(scorer):
    def fail():
        raise MissingDataError("gone")

    assert [result.error for result in look_at(scorer, [("a", fail), ("b", fail)])] == ["gone"] * 2
    assert list(look_at(scorer, [])) == []


def test_a_row_of_the_csv_file(run, scorer):
    _, images = stored_images(run, "digits/test", 1)
    names = ["energy", "msp"]
    thresholds = {name: scorer.reference.threshold(name, ID_95).value for name in names}

    def fail():
        raise MissingDataError("b is not there.")

    files = [("a.png", lambda: scorer.see(images[0])), ("b", fail)]
    good, bad = look_at(scorer, files)
    verdicts = judge(good.sight.scores, scorer.reference, thresholds)
    row = record(good, verdicts, run.classes, names)
    assert row["file"] == "a.png"
    assert row["error"] == ""
    assert row["class1"] == run.classes[good.sight.probabilities.argmax()]
    assert row["probability1"] == good.sight.probabilities.max()
    assert row["p_value"] == row["energy_p_value"] == verdicts["energy"].p_value
    assert row["msp_score"] == good.sight.scores["msp"]
    assert row["unknown_by"] == agree(list(verdicts.values())).unknown
    empty = record(bad, {}, run.classes, names)
    assert list(empty) == list(row)
    assert (empty["file"], empty["error"]) == ("b", "b is not there.")
    assert {value for key, value in empty.items() if key not in ("file", "error", "detectors")} == {
        ""
    }


# Neighbours


def test_nearest_equal_a_loop_and_scikit_learn(run):
    gallery = read_gallery(run.epoch(6), "encoder", ["digits/test", "letters/test"])
    random = np.random.default_rng(0)
    image = gallery.features[5] + random.normal(size=gallery.features.shape[1]).astype(np.float32)
    found = gallery.nearest(image, 7)
    distances, rows = NearestNeighbors(n_neighbors=7).fit(gallery.features).kneighbors([image])
    np.testing.assert_allclose([each.distance for each in found], distances[0], rtol=1e-5)
    for each, row in zip(found, rows[0], strict=True):
        own = gallery.features[row].astype(float)
        assert each.distance == pytest.approx(math.dist(own, image))
        cosine = own @ image / np.linalg.norm(own) / np.linalg.norm(image)
        assert each.cosine == pytest.approx(cosine)
        stored = run.epoch(6).features(each.set_name)
        np.testing.assert_array_equal(stored.features[each.position], gallery.features[row])
        assert each.label == stored.labels[each.position]


def test_a_sample_is_not_its_own_neighbour(run):
    gallery = read_gallery(run.epoch(6), "encoder", ["digits/test", "letters/test"])
    row = int(np.flatnonzero(gallery.sets == 1)[3])
    found = gallery.nearest(gallery.features[row], 5)
    assert (found[0].set_name, found[0].position, found[0].distance) == ("letters/test", 3, 0)
    assert gallery.nearest(gallery.features[row], 4, but=("letters/test", 3)) == found[1:]
    assert gallery.nearest(gallery.features[row], 5, but=("noise/test", 3)) == found


@pytest.mark.parametrize("set_name", ["digits/train", "digits/test", "letters/test"])
def test_the_very_image_is_recognised(run, scorer, set_name):
    gallery = read_gallery(run.epoch(6), "encoder", [set_name])
    rows, images = stored_images(run, set_name, 10)
    samples = run.samples
    keys = samples.loc[samples["set"] == set_name, "key"].to_numpy()
    for row, sight in zip(rows, scorer.look(seen(scorer, images)), strict=True):
        first = gallery.nearest(sight.features, 2)[0]
        assert (first.position, first.key, first.same) == (row, keys[row], True)
        assert first.cosine == pytest.approx(1, abs=1e-4)


def test_another_image_is_not_taken_for_a_sample(run, scorer):
    gallery = read_gallery(run.epoch(6), "encoder", ["digits/train"])
    _, images = stored_images(run, "letters/test", 20)
    for sight in scorer.look(seen(scorer, images)):
        assert not gallery.nearest(sight.features, 1)[0].same


def test_samples_without_a_list_have_no_keys(digits_run):
    for path in digits_run.path.glob("samples*"):
        path.unlink()
    gallery = read_gallery(digits_run.epoch(6), "encoder", ["digits/test"])
    assert set(gallery.keys) == {""}


def test_fewer_samples_than_asked_for_and_none(run):
    gallery = read_gallery(run.epoch(6), "encoder", ["digits/test", "nothing/test"])
    assert len(gallery.nearest(gallery.features[0], 10**6)) == len(gallery)
    with pytest.raises(InvalidArrayError, match="same layer"):
        gallery.nearest(np.zeros(3, np.float32), 1)
    with pytest.raises(MissingDataError, match=r"no features of nothing/test.*extract\.py"):
        read_gallery(run.epoch(6), "encoder", ["nothing/test"])
