"""Packed runs: results of all samples, curves from quantiles, few samples, small detectors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_runs import add_maps, add_samples, make_run
from test_adopted_heads import adopted, networks, root  # noqa: F401

from ncviz import detectors, metrics
from ncviz.data import load
from ncviz.errors import InvalidOptionError, MissingDataError
from ncviz.evaluation import evaluate
from ncviz.extraction import extract
from ncviz.importing import import_features
from ncviz.inference.reference import read_reference
from ncviz.inference.scorer import Scorer
from ncviz.packing import PackedSizes, pack
from ncviz.packing.packed_copy import curve_difference
from ncviz.store import layout, open_run

SIZES = PackedSizes(train_samples=40, test_samples=30, ood_samples=20)


@pytest.fixture
def packed(digits_run, tmp_path):
    return pack(digits_run, tmp_path / "packed" / "digits", weights=(6,), sizes=SIZES)


def kept(run, name: str) -> np.ndarray:
    return run.samples.loc[run.samples["set"] == name, "index"].to_numpy()


def test_results_are_those_of_all_samples(packed, digits_run):
    for table in (
        *("collapse", "detection", "detection_means", "comparisons"),
        *("calibration", "temperature"),
    ):
        pd.testing.assert_frame_equal(
            getattr(packed.run, table)(), getattr(digits_run, table)(), check_exact=True
        )
    assert packed.run.sets == digits_run.sets
    assert packed.run.packed
    assert not digits_run.packed


def test_samples_are_a_stratified_subset(packed, digits_run):
    counts = packed.run.samples.groupby("set").size()
    assert counts["digits/train"] == 40
    assert counts["digits/test"] == 30
    assert set(counts.drop(["digits/train", "digits/test"])) == {20}
    labels = packed.run.samples.loc[packed.run.samples["set"] == "digits/test", "label"]
    assert set(labels.value_counts()) <= {3, 4}
    for name in digits_run.epoch(6).sets:
        rows = np.searchsorted(kept(digits_run, name), kept(packed.run, name))
        for layer in digits_run.layers:
            np.testing.assert_array_equal(
                packed.run.epoch(6).features(name, layer).features,
                digits_run.epoch(6).features(name, layer).features[rows],
            )
        if name != "digits/train":
            np.testing.assert_array_equal(
                packed.run.epoch(6).scores("energy", name),
                digits_run.epoch(6).scores("energy", name)[rows],
            )


def test_distribution_of_all_scores_is_drawn_from_quantiles(packed, digits_run):
    difference = 0.0
    for detector in ("msp", "energy", "knn", "vim"):
        exact = digits_run.epoch(6).distribution(detector, "test")
        drawn = packed.run.epoch(6).distribution(detector, "test")
        assert len(drawn) == len(exact) == digits_run.sets["digits/test"].samples
        assert metrics.threshold_at_tpr(drawn, 0.95) == metrics.threshold_at_tpr(exact, 0.95)
        difference = max(difference, np.abs(drawn - exact).max())
    assert difference < 1e-6  # so few scores are kept whole
    assert packed.curve_difference < 1e-6


def test_curves_of_many_scores_differ_by_less_than_a_pixel(digits_run):
    random = np.random.default_rng(0)
    known, unknown = random.normal(1.5, 1, 10_000), random.gumbel(0, 1, 5_000)
    scores = {"encoder/energy/digits/test": known, "encoder/energy/letters/test": unknown}
    assert 0 < curve_difference(digits_run.epoch(6), scores) < 1 / 400


def test_curve_difference_sees_another_distribution(digits_run, monkeypatch):
    epoch = digits_run.epoch(6)
    names = [f"encoder/energy/{name}" for name in ("digits/test", "letters/test")]
    scores = {name: epoch.scores("energy", name.split("/", 2)[2]) for name in names}
    near = curve_difference(epoch, scores)
    few = metrics.ScoreDistribution.of
    monkeypatch.setattr(metrics.ScoreDistribution, "of", lambda each: few(each, size=3))
    assert curve_difference(epoch, scores) > near + 0.01


def test_banks_are_fitted_anew_and_calibrated(packed, digits_run):
    epoch, original = packed.run.epoch(6), digits_run.epoch(6)
    train = epoch.features("train")
    for name in ("knn", "nnguide", "relation"):
        restored = epoch.detector(name)
        assert len(restored.bank_) == len(train) == 40
        fitted = detectors.create(name).fit(train, original.head(), original.statistics())
        expected = np.sort(fitted.score(original.features("test")))
        np.testing.assert_allclose(
            epoch.reference_distribution(name, "test"), expected, rtol=1e-6, atol=1e-6
        )
        assert not np.allclose(epoch.distribution(name, "test"), expected, rtol=1e-3)
    for name in ("energy", "react", "mahalanobis"):
        np.testing.assert_array_equal(
            epoch.reference_distribution(name, "test"), epoch.distribution(name, "test")
        )
        scores = epoch.detector(name).score(epoch.features("test"))
        np.testing.assert_allclose(scores, epoch.scores(name, "test"), rtol=1e-5, atol=1e-6)


def test_reference_states_the_size_of_the_fit(packed, digits_run):
    small = read_reference(packed.run.epoch(6), "encoder").fitted_on
    whole = read_reference(digits_run.epoch(6), "encoder").fitted_on
    assert small["knn"] == "n = 40, k = 2"
    assert whole["knn"] == "n = 1,012, k = 50"
    assert small["react"] == whole["react"]


def test_large_state_is_left_out_with_the_reason(digits_run, tmp_path, monkeypatch):
    monkeypatch.setattr("ncviz.packing.packed_copy.MAX_STATE_BYTES", 300)
    packed = pack(digits_run, tmp_path / "packed" / "digits", weights=(6,), sizes=SIZES)
    assert packed.left_out
    name = next(iter(packed.left_out)).split("/")[1]
    with pytest.raises(MissingDataError, match=f"'{name}' cannot score new samples .* at most"):
        packed.run.epoch(6).detector(name)
    assert name not in packed.run.epoch(6).detectors()
    assert "knn" in packed.run.epoch(6).detectors()


def test_statistics_are_float32_where_no_weights_are_kept(packed, digits_run):
    for split in ("train", "test"):
        one, other = (run.epoch(1).statistics(set=split) for run in (packed.run, digits_run))
        np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-6, atol=1e-6)
        assert one.scatter.dtype == np.float64
        exact = packed.run.epoch(6).statistics(set=split), digits_run.epoch(6).statistics(set=split)
        np.testing.assert_array_equal(exact[0].scatter, exact[1].scatter)
    sizes = [
        (run.epoch(1).path / layout.STATISTICS).stat().st_size for run in (packed.run, digits_run)
    ]
    assert sizes[0] < 0.7 * sizes[1]


def test_evaluating_says_what_would_be_lost(packed, digits_run):
    evaluate([packed.run], progress=False)  # current: nothing to do
    for path in packed.run.path.glob("epochs/*/results/detection.parquet"):
        path.unlink()
    count = digits_run.sets["digits/test"].samples
    with pytest.raises(
        InvalidOptionError, match=rf"keeps 30 of the {count} samples.*--kept-samples"
    ):
        evaluate([packed.run], progress=False)
    evaluate([packed.run], kept_samples=True, progress=False)
    assert set(packed.run.detection()["id_samples"]) == {30}
    assert len(packed.run.epoch(6).distribution("energy", "test")) == 30


def test_extracting_a_packed_run_is_refused(packed):
    with pytest.raises(InvalidOptionError, match=r"is packed: .* Extract the original run"):
        extract(packed.run, progress=False, device="cpu")


def test_packing_again_keeps_results_and_distributions(packed, tmp_path):
    small = PackedSizes(20, 16, 12)
    again = pack(packed.run, tmp_path / "again" / "digits", weights=(6,), sizes=small).run
    assert len(kept(again, "digits/test")) == 16
    pd.testing.assert_frame_equal(again.detection(), packed.run.detection())
    for read in ("distribution", "reference_distribution"):
        np.testing.assert_array_equal(
            getattr(again.epoch(6), read)("knn", "test"),
            getattr(packed.run.epoch(6), read)("knn", "test"),
        )


def test_maps_show_the_kept_samples(tmp_path):
    run = make_run(tmp_path / "runs", "cats")
    add_samples(run)
    run = open_run(run.path)
    evaluate([run], progress=False)
    add_maps(run)
    sizes = PackedSizes(train_samples=8, test_samples=10, ood_samples=6)
    packed = pack(run, tmp_path / "packed" / "cats", weights=(), sizes=sizes).run
    for number in run.epochs:
        before, after = run.epoch(number).maps(), packed.epoch(number).maps()
        assert len(after.rows) == 10 + 6 + 6
        shown = packed.samples.iloc[after.rows][["set", "index"]].to_numpy().tolist()
        listed = run.samples.iloc[before.rows][["set", "index"]].to_numpy().tolist()
        at = [listed.index(each) for each in shown]
        for kind, points in after.points.items():
            np.testing.assert_array_equal(points, before.points[kind][at])


def test_packing_without_results_is_refused(tmp_path):
    run = make_run(tmp_path / "runs", "cats", results=False)
    add_samples(run)
    with pytest.raises(MissingDataError, match=r"no results .*evaluate\.py cats"):
        pack(open_run(run.path), tmp_path / "packed" / "cats", weights=())
    assert not (tmp_path / "packed" / "cats").exists()


@pytest.mark.parametrize("size", [0, 1, -3, "none", 2.5])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(InvalidOptionError, match="must be at least 2"):
        PackedSizes(test_samples=size)


@pytest.mark.parametrize("logits_only", [False, True], ids=["features", "logits only"])
def test_imported_runs_are_packed(tmp_path, logits_only):
    random = np.random.default_rng(0)
    weight = random.normal(size=(3, 6)).astype(np.float32)
    labels = np.repeat(np.arange(3), 40)
    source = tmp_path / "source"
    (source / "near").mkdir(parents=True)
    for name, own in (("train", labels), ("test", labels), ("near/letters", None)):
        centre = 0 if own is None else 3 * weight[own]
        features = (centre + random.normal(size=(120, 6))).astype(np.float32)
        found = {"logits": features @ weight.T, "features": features}
        if own is not None:
            found["labels"] = own
        if logits_only:
            del found["features"]
        np.savez(source / f"{name}.npz", **found)
    run = import_features(source, tmp_path / "runs" / "mine")
    evaluate([run], progress=False)
    packed = pack(run, tmp_path / "packed" / "mine", weights=(), sizes=SIZES).run
    pd.testing.assert_frame_equal(packed.detection(), run.detection())
    assert len(packed.epoch(1).scores("energy", "test", run.layers[-1])) == 30
    assert len(packed.epoch(1).distribution("energy", "test", run.layers[-1])) == 120


def test_logits_of_a_head_that_is_not_linear_are_kept(adopted, root, tmp_path):  # noqa: F811
    run = adopted("cosine", names=detectors.names())
    packed = pack(run, tmp_path / "packed" / "cosine", weights=(3,), sizes=PackedSizes(20, 24, 10))
    assert packed.left_out == {}
    assert packed.run.without_head == run.without_head != ""
    pd.testing.assert_frame_equal(packed.run.detection(), run.detection(), check_exact=True)
    epoch, original = packed.run.epoch(3), run.epoch(3)
    assert not epoch.has_head("encoder")
    rows = kept(packed.run, "tiles/test")
    np.testing.assert_array_equal(
        epoch.features("test").logits, original.features("test").logits[rows]
    )
    fitted_to = epoch.features("train"), original.probe(), original.statistics()
    bank = detectors.create("knn").fit(*fitted_to)
    np.testing.assert_allclose(
        epoch.reference_distribution("knn", "test"),
        np.sort(bank.score(original.features("test"))),
        rtol=1e-6,
    )
    assert epoch.judges() == original.judges()
    image = load("tiles", "test", root=root).image(7)
    sights = []
    for scorer in (Scorer.load(epoch), Scorer.load(original)):
        sights += scorer.look(scorer.see(image)[None])
    one, other = sights
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-3)
    assert one.scores.keys() == other.scores.keys()
    for name in set(one.scores) - {"knn", "nnguide", "relation"}:  # these have another bank
        assert one.scores[name] == pytest.approx(other.scores[name], rel=5e-3), name
    assert len(pack(packed.run, tmp_path / "again" / "cosine", weights=()).run.samples) == 54


def test_weights_that_are_not_there_cannot_be_kept(tmp_path, call):
    run = make_run(tmp_path / "runs", "cats")
    add_samples(run)
    evaluate([open_run(run.path)], progress=False)
    place = ("--to", tmp_path / "packed", "--checkpoints", tmp_path / "runs")
    code, _, error = call("pack", "cats", *place, "--weights", "9")
    assert code == 2
    assert "Epoch 9 of cats was shared without weights" in error
    code, out, _ = call("pack", "cats", *place)
    assert code == 0
    assert "no weights" in out
