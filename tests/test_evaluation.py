"""The evaluation grid: its numbers, what it keeps, what it makes anew, and how it is shown."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from made_runs import make_run
from scipy.special import logsumexp, softmax

from ncviz import collapse, detectors
from ncviz.errors import (
    CorruptFileError,
    InvalidOptionError,
    MissingDataError,
    UnknownNameError,
)
from ncviz.evaluation import as_json, as_text, evaluate, side_by_side
from ncviz.evaluation.layers import narrow
from ncviz.metrics import (
    augrc,
    aurc,
    detection_estimates,
    detection_metrics,
    mean_estimate,
    ood_risks,
)
from ncviz.store import files, layout, open_run, provenance, write
from ncviz.thresholds import calibration_half

OOD = ("digits-heldout", "letters", "photo-patches", "noise")
FROM_ARRAYS = [name for name in detectors.names() if detectors.info(name).scores_arrays]
FITTED_TO_TRAINING = [name for name in FROM_ARRAYS if not detectors.info(name).learns_held_out]


def again(run, **options):
    evaluate([run], progress=False, **options)
    return open_run(run.path)


@pytest.fixture
def evaluated(monkeypatch):
    """Numbers of the epochs whose results are computed, as they come."""
    seen = []
    save = write.save_results

    def record(epoch, *results):
        seen.append(epoch.number)
        save(epoch, *results)

    monkeypatch.setattr(write, "save_results", record)
    return seen


# The numbers


def test_scores_and_detection_are_those_computed_by_hand(digits_run):
    epoch = digits_run.epoch(4)
    train, test, head = epoch.features("train"), epoch.features("test"), epoch.head()
    table = epoch.detection().set_index(["layer", "detector", "set"])
    assert set(table.index.get_level_values("detector")) == {*detectors.names(), "energy_probe"}
    assert len(table) == (len(detectors.names()) + 1) * len(OOD)
    for name in FITTED_TO_TRAINING:
        detector = detectors.create(name).fit(train, head, epoch.statistics())
        known = detector.score(test)
        np.testing.assert_allclose(epoch.scores(name, "test"), known, rtol=1e-7)
        for ood in OOD:
            scores = detector.score(epoch.features(ood))
            np.testing.assert_allclose(epoch.scores(name, ood), scores, rtol=1e-7)
            row = table.loc[("encoder", name, ood)]
            # Results are those of the scores as stored, and those barely differ.
            stored = [epoch.scores(name, each) for each in ("test", ood)]
            expected = detection_metrics(*stored).to_dict()
            assert row[list(expected)].to_dict() == expected
            assert expected == pytest.approx(detection_metrics(known, scores).to_dict(), abs=2e-3)
            assert (row["id_samples"], row["ood_samples"]) == (len(test), len(scores))
            assert row["group"] == digits_run.ood_sets[ood]


def test_the_scores_of_a_layer_are_read_at_once(digits_run):
    epoch = digits_run.epoch(4)
    found = epoch.layer_scores("encoder")
    assert set(found) == {*detectors.names(), "energy_probe"}
    for name, by_set in found.items():
        assert set(by_set) == {epoch.full_name(each) for each in ("test", *OOD)}
        for set_name, scores in by_set.items():
            np.testing.assert_array_equal(scores, epoch.scores(name, set_name))
    # The names of some detectors begin like those of others.
    assert set(epoch.layer_scores("encoder", "energy")) == {"energy"}
    assert epoch.layer_scores("encoder", "no such detector") == {}
    with pytest.raises(UnknownNameError, match="Known: encoder"):
        epoch.layer_scores("projector")


def test_scores_that_took_the_network_are_those_of_extraction(digits_run):
    epoch = digits_run.epoch(4)
    for name in ("test", *OOD):
        stored = epoch.network_scores(name)["odin"]
        assert stored.dtype == np.float64
        np.testing.assert_allclose(epoch.scores("odin", name), stored, rtol=1e-7)
    assert set(epoch.detection().query("detector == 'odin'")["set"]) == set(OOD)


def test_all_sets_are_scored_at_one_temperature_learned_from_half_of_the_test_set(digits_run):
    epoch = digits_run.epoch(4)
    test = epoch.features("test")
    half = test[calibration_half(test.labels)]
    detector = detectors.create("temperature_scaling").fit(half, epoch.head())
    assert epoch.detector("temperature_scaling").temperature_ == detector.temperature_
    for name in ("test", *OOD):
        scores = epoch.scores("temperature_scaling", name)
        np.testing.assert_allclose(scores, detector.score(epoch.features(name)), rtol=1e-6)
    samples = epoch.detection().groupby("set")["id_samples"].nunique()
    assert (samples == 1).all()  # all detectors are judged on the same


def test_intervals_are_those_of_the_metrics_module(digits_run):
    epoch = digits_run.epoch(6)
    scores = {name: epoch.scores("energy", name) for name in ("test", *OOD)}
    known = scores.pop("test")
    estimates = {name: detection_estimates(known, scores[name], ood_name=name) for name in OOD}
    rows = epoch.detection().query("detector == 'energy'").set_index("set")
    for name in OOD:
        for metric, found in estimates[name].items():
            ends = rows.loc[name, [f"{metric}_low", f"{metric}_high"]].to_numpy(float)
            np.testing.assert_array_equal(ends, [found.low, found.high])
        assert (
            rows.loc[name, "auroc_low"] <= rows.loc[name, "auroc"] <= rows.loc[name, "auroc_high"]
        )
    assert "detection_accuracy_low" not in rows
    means = epoch.detection_means().query("detector == 'energy'").set_index("group")
    groups = {
        "near": ["digits-heldout", "letters"],
        "far": ["photo-patches", "noise"],
        "all": list(OOD),
    }
    for group, names in groups.items():
        assert means.loc[group, "auroc"] == pytest.approx(rows.loc[names, "auroc"].mean())
        assert means.loc[group, "augrc"] == pytest.approx(rows.loc[names, "augrc"].mean())
        assert means.loc[group, "sets"] == len(names)
        found = mean_estimate([estimates[name]["auroc"] for name in names])
        ends = tuple(means.loc[group, ["auroc_low", "auroc_high"]])
        assert ends == (found.low, found.high)


def test_risks_are_those_of_the_scores_and_predictions(digits_run):
    epoch = digits_run.epoch(6)
    test = epoch.features("test", digits_run.layers[-1])
    correct = test.logits.argmax(axis=1) == test.labels
    rows = epoch.detection().query("layer == @layer", local_dict={"layer": digits_run.layers[-1]})
    for row in rows.itertuples():
        found = ood_risks(
            epoch.scores(row.detector, "test", row.layer),
            epoch.scores(row.detector, row.set, row.layer),
            correct,
        )
        assert {name: getattr(row, name) for name in found} == pytest.approx(found)
    table = epoch.misclassification()
    assert set(table["detector"]) == set(epoch.detection()["detector"])
    for row in table.itertuples():
        scores = epoch.scores(row.detector, "test", row.layer)
        assert row.misclassification_aurc == pytest.approx(aurc(scores, correct))
        assert row.misclassification_augrc == pytest.approx(augrc(scores, correct))
        assert (row.samples, row.errors) == (len(correct), (~correct).sum())


def test_calibration_is_that_of_the_logits(digits_run):
    epoch = digits_run.epoch(6)
    test = epoch.features("test")
    logits = test.logits.astype(np.float64)
    row = epoch.calibration().iloc[0]
    confidence = softmax(logits, axis=1).max(axis=1)
    assert row["confidence"] == pytest.approx(confidence.mean())
    assert row["accuracy"] == (logits.argmax(axis=1) == test.labels).mean()
    assert row["samples"] == len(test)
    bins = epoch.reliability()
    assert bins.groupby("scaled")["count"].sum().to_dict() == {False: len(test), True: len(test)}
    for scaled, column in ((False, "ece"), (True, "ece_scaled")):
        own = bins[bins["scaled"] == scaled]
        gaps = (own["accuracy"] - own["confidence"]).abs() * own["count"]
        assert gaps.sum() / len(test) == pytest.approx(row[column])
    first = epoch.run.calibration().query("epoch == 1").iloc[0]
    assert first["nll_scaled"] < first["nll"]


def test_detectors_depend_on_temperature_as_their_logits_do(digits_run):
    epoch = digits_run.epoch(6)
    table = epoch.temperature().set_index(["detector", "set", "temperature"])
    plain = epoch.detection().set_index(["detector", "set"])
    for name in ("msp", "energy", "max_logit"):
        found = table.loc[(name, "letters", 1.0), "auroc"]
        # Stored scores are float32, in which a few samples tie.
        assert found == pytest.approx(plain.loc[(name, "letters"), "auroc"], abs=1e-5)
    at_ten = {
        name: logsumexp(epoch.features(name).logits.astype(np.float64) / 10, axis=1)
        for name in ("test", "letters")
    }
    expected = detection_metrics(at_ten["test"], at_ten["letters"])
    assert table.loc[("energy", "letters", 10.0), "fpr95"] == expected.fpr95
    largest = table.sort_index().loc[("max_logit", "noise")]["auroc"]
    assert largest.nunique() == 1


def test_scores_are_narrowed_where_hardly_any_become_equal():
    apart = {"test": np.array([0.25, 1e-3]), "noise": np.array([0.5])}
    assert {name: each.dtype for name, each in narrow(apart).items()} == {
        "test": np.float32,
        "noise": np.float32,
    }
    close = {"test": np.array([1 - 1e-12]), "noise": np.array([1 - 2e-12])}
    assert all(np.array_equal(each, close[name]) for name, each in narrow(close).items())
    large = {"test": np.array([1e300, 1.0])}
    assert narrow(large)["test"][0] == 1e300


def test_a_detector_that_the_features_make_no_sense_to_is_left_out(digits_run):
    epoch = digits_run.epoch(6)
    path = epoch.path / layout.STATISTICS
    arrays, sources = files.read_arrays(path), files.sources_of(path)
    arrays["encoder.scatter"] *= 0
    files.write_arrays(path, arrays, sources=sources)
    with pytest.warns(UserWarning, match="mahalanobis is left out at layer encoder: .*do not vary"):
        run = again(digits_run, epochs=[6])
    found = set(run.epoch(6).detection()["detector"])
    assert "mahalanobis" not in found
    assert "energy" in found


def test_the_energy_of_the_probe_stands_beside_that_of_the_head(digits_run):
    epoch = digits_run.epoch(4)
    probe = epoch.probe()
    for name in ("test", *OOD):
        logits = epoch.features(name).features.astype(np.float64) @ probe.weight.T + probe.bias
        expected = np.log(np.exp(logits).sum(axis=1))
        np.testing.assert_allclose(epoch.scores("energy_probe", name), expected, rtol=1e-5)
    assert not np.allclose(epoch.scores("energy_probe", "test"), epoch.scores("energy", "test"))


def test_a_layer_without_a_head_is_scored_by_its_features_and_its_probe(tmp_path):
    run = make_run(tmp_path, "both", layers=("encoder", "projector"), heads=("projector",))
    table = run.detection()
    found = table.groupby("layer")["detector"].unique().map(set).to_dict()
    alone = {name for name in FROM_ARRAYS if detectors.info(name).looks_at_features_alone}
    assert {"mahalanobis", "neco", "knn"} <= alone
    assert found["encoder"] == alone | {"energy_probe"}
    assert found["projector"] == {*FROM_ARRAYS, "energy_probe"}
    epoch = run.epoch(run.epochs[-1])
    detector = detectors.create("mahalanobis")
    detector.fit(epoch.features("train"), epoch.probe(), epoch.statistics())
    expected = detector.score(epoch.features("letters"))
    np.testing.assert_allclose(epoch.scores("mahalanobis", "letters"), expected, rtol=1e-7)


def test_collapse_metrics_are_those_computed_by_hand(digits_run):
    epoch = digits_run.epoch(4)
    statistics, head = epoch.statistics(), epoch.head()
    expected = {
        (metric, ""): value
        for metrics in (
            collapse.measure(statistics, head),
            collapse.agreement(epoch.features("train"), statistics, head),
            collapse.spread(epoch.features("train").features),
        )
        for metric, value in metrics.to_dict().items()
    }
    for ood in OOD:
        metrics = collapse.orthogonality(statistics, epoch.features(ood).features)
        expected |= {(metric, ood): value for metric, value in metrics.to_dict().items()}
    table = epoch.collapse()
    found = dict(zip(zip(table["metric"], table["set"], strict=True), table["value"], strict=True))
    shared = expected.keys() & found.keys()
    assert {name for name, value in expected.items() if value is not None} == shared
    assert {name: found[name] for name in shared} == {name: expected[name] for name in shared}


def test_confidences_near_one_stay_apart(digits_run):
    # A float32 rounds 1 - 1e-9 to 1: samples that the network is surest of would tie.
    epoch = digits_run.epoch(6)
    head = epoch.head()
    write.save_heads(digits_run, 6, {"encoder": replace(head, weight=head.weight * 3)})
    scores = again(digits_run).epoch(6).scores("msp", "test")
    assert len(np.unique(scores.astype(np.float32))) < len(np.unique(scores))


# What is kept and what is made anew


def test_current_results_are_kept(digits_run, evaluated, files_below):
    before = files_below(digits_run.path)
    again(digits_run)
    assert evaluated == []
    assert files_below(digits_run.path) == before


def test_stale_results_alone_are_made_anew(digits_run, evaluated):
    path = digits_run.epoch(2).path / "features/noise/test.safetensors"
    arrays, sources = files.read_arrays(path), files.sources_of(path)
    files.write_arrays(path, arrays | {"encoder": arrays["encoder"] * 2}, sources=sources)
    run = again(digits_run)
    assert evaluated == [2]
    assert set(run.detection()["epoch"]) == {1, 2, 4, 6}


@pytest.mark.parametrize("name", [*layout.TABLES.values(), layout.SCORES])
def test_missing_and_damaged_results_are_made_anew(digits_run, evaluated, name, files_below):
    before = files_below(digits_run.path)
    (digits_run.epoch(1).path / name).unlink()
    (digits_run.epoch(6).path / name).write_bytes(b"PAR1 or not")
    again(digits_run)
    assert evaluated == [1, 6]
    assert files_below(digits_run.path) == before


def test_another_version_of_the_metrics_makes_everything_anew(digits_run, evaluated, monkeypatch):
    monkeypatch.setattr(provenance, "RESULTS_VERSION_SOURCE", {"code:version": "next"})
    again(digits_run)
    assert evaluated == [1, 2, 4, 6]


def test_other_parameters_of_a_detector_make_its_results_anew(digits_run, evaluated, monkeypatch):
    energy = type(detectors.create("energy"))
    defaults = energy.defaults()
    monkeypatch.setattr(energy, "parameters", lambda self: {**defaults, "temperature": 7.0})
    again(digits_run, epochs=[6])
    assert evaluated == [6]


def test_chosen_detectors_join_those_that_are_there(digits_run, evaluated):
    shutil.rmtree(digits_run.epoch(6).path / "results")
    few = again(digits_run, names=["msp"], epochs=[6])
    assert set(few.epoch(6).detection()["detector"]) == {"msp", "energy_probe"}
    more = again(digits_run, names=["energy", "vim"], epochs=[6])
    assert set(more.epoch(6).detection()["detector"]) == {"msp", "energy", "vim", "energy_probe"}
    again(digits_run, names=["msp"], epochs=[6])
    assert evaluated == [6, 6]
    with pytest.raises(UnknownNameError, match="Known: energy, energy_probe, msp, vim"):
        more.epoch(6).scores("neco", "noise")


def test_two_processes_give_what_one_gives(digits_run, files_below):
    before = files_below(digits_run.path)
    for folder in digits_run.path.glob("epochs/*/results"):
        shutil.rmtree(folder)
    again(digits_run, jobs=2)
    assert files_below(digits_run.path) == before


def test_tensors_give_what_numpy_gives(digits_run):
    epoch = digits_run.epoch(6)
    arrays = {name: getattr(epoch, name)() for name in ("collapse", "detection", "calibration")}
    scores = epoch.layer_scores("encoder")
    shutil.rmtree(epoch.path / "results")
    evaluate([digits_run], epochs=[6], device="cpu", progress=False)
    for name, expected in arrays.items():
        pd.testing.assert_frame_equal(getattr(epoch, name)(), expected, rtol=1e-3, atol=1e-5)
    for detector, by_set in epoch.layer_scores("encoder").items():
        for set_name, found in by_set.items():
            np.testing.assert_allclose(found, scores[detector][set_name], rtol=1e-4, atol=1e-5)
    assert epoch.detector("knn").score(epoch.features("noise")).dtype == np.float64


def test_an_unknown_device_is_named_before_anything_is_computed(digits_run, evaluated):
    with pytest.raises(InvalidOptionError, match=r"Unknown device 'gpu'"):
        evaluate([digits_run], device="gpu", progress=False)
    assert evaluated == []


def test_several_runs_are_evaluated_together(digits_run, evaluated):
    other = open_run(shutil.copytree(digits_run.path, digits_run.path.parent / "other"))
    for run in (digits_run, other):
        shutil.rmtree(run.epoch(4).path / "results")
    evaluate([digits_run, other], progress=False)
    assert evaluated == [4, 4]


# What it refuses


def test_unknown_names_list_what_exists(digits_run):
    with pytest.raises(UnknownNameError, match="Known: 0001, 0002, 0004, 0006"):
        again(digits_run, epochs=[3])
    with pytest.raises(UnknownNameError, match="Did you mean 'energy'"):
        again(digits_run, names=["enrgy"])


def test_a_run_that_was_not_extracted_says_so(digits_run):
    shutil.rmtree(digits_run.epoch(1).path / "features")
    with pytest.raises(MissingDataError, match=r"no features at epoch 1\. .*extract\.py digits"):
        again(digits_run, epochs=[1])
    for folder in digits_run.path.glob("epochs/*/features"):
        shutil.rmtree(folder)
    with pytest.raises(MissingDataError, match=r"digits has no features\. .*extract\.py digits"):
        again(digits_run)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_another_process_is_the_same_error(digits_run, jobs):
    path = digits_run.epoch(2).path / "features/noise/test.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CorruptFileError, match=r"0002/features/noise/test\.safetensors"):
        again(digits_run, jobs=jobs)
    (digits_run.epoch(4).path / "features/digits/test.safetensors").unlink()
    with pytest.raises(UnknownNameError, match="'test'"):
        again(digits_run, jobs=jobs, epochs=[4])


# Runs of other shapes


def test_a_layer_without_a_head_has_collapse_metrics_alone(digits_run):
    epoch = digits_run.epoch(6)
    for path in [
        epoch.path / layout.STATISTICS,
        *(epoch.path / f"features/{name}.safetensors" for name in epoch.sets),
    ]:
        arrays = files.read_arrays(path)
        arrays |= {k.replace("encoder", "stage1"): v for k, v in arrays.items()}
        files.write_arrays(path, arrays, sources=files.sources_of(path))
    run = again(write.update_description(digits_run, layers=["stage1", "encoder"]), epochs=[6])

    table = run.epoch(6).collapse()
    metrics = {layer: set(rows["metric"]) for layer, rows in table.groupby("layer")}
    assert {"nc1_pinv", "nc2_gram", "nc5_cosine"} <= metrics["stage1"]
    assert {"nc3_duality", "nc4_agreement", "nc4_bias"} <= metrics["encoder"] - metrics["stage1"]
    assert set(run.epoch(6).detection()["layer"]) == {"encoder"}
    assert "AUROC (higher is better), stage1" not in as_text(run)


def test_a_run_without_ood_sets_has_collapse_metrics_alone(digits_run):
    epoch = digits_run.epoch(6)
    for name in OOD:
        shutil.rmtree(epoch.path / "features" / name)
    run = again(write.update_description(digits_run, ood_sets={}), epochs=[6])
    assert len(run.epoch(6).detection()) == 0
    assert set(run.epoch(6).collapse()["set"]) == {""}
    assert set(run.detection()["epoch"]) == {1, 2, 4}
    assert "AUROC" not in as_text(run)
    assert len(run.epoch(6).scores("msp", "test")) == 431


# How it is shown


def test_the_text_names_run_epoch_samples_and_every_metric(digits_run):
    text = as_text(digits_run)
    assert text.startswith("digits, epoch 6 of 6, statistics of 1,012 training images")
    for metric in digits_run.epoch(6).collapse()["metric"]:
        assert f" {metric} " in text
    for name in (*detectors.names(), *OOD, "AUROC", "FPR95, ID positive"):
        assert name in text
    auroc = digits_run.epoch(6).detection().set_index(["detector", "set"])["auroc"]
    assert f"{auroc['energy', 'letters']:.4f}" in text
    assert as_text(digits_run, 1).startswith("digits, epoch 1 of 6")


def test_a_score_that_ranks_the_wrong_way_is_marked_and_not_flipped(digits_run):
    # Noise in the test set's place, and the test set in the noise's.
    features = digits_run.epoch(6).path / "features"
    noise, test = features / "noise/test.safetensors", features / "digits/test.safetensors"
    arrays, sources = files.read_arrays(noise), files.sources_of(noise)
    files.write_arrays(noise, files.read_arrays(test), sources=sources)
    files.write_arrays(test, arrays, sources=files.sources_of(test))
    shutil.rmtree(digits_run.epoch(6).path / "network_scores")  # of the samples before
    assert "wrong way" not in as_text(digits_run, 4)

    run = again(digits_run)
    rows = run.epoch(6).detection().set_index(["detector", "set"])["auroc"]
    assert rows["energy", "noise"] < 0.5
    text = as_text(run)
    assert f"{rows['energy', 'noise']:.4f}!" in text
    assert "! ranks the wrong way round" in text


def test_json_has_every_row(digits_run):
    values = json.loads(json.dumps(as_json(digits_run), allow_nan=False))
    assert values["run"] == "digits"
    pd.testing.assert_frame_equal(pd.DataFrame(values["collapse"]), digits_run.collapse())
    pd.testing.assert_frame_equal(pd.DataFrame(values["detection"]), digits_run.detection())
    assert len(values["detection"]) == 4 * (len(detectors.names()) + 1) * len(OOD)
    assert {*asdict(detection_metrics([1.0], [0.0]))} <= set(values["detection"][0])


def test_layers_stand_side_by_side(tmp_path):
    plain = make_run(tmp_path, "plain")
    run = make_run(tmp_path, "both", layers=("encoder", "projector"), heads=("projector",))
    lines = [line.split() for line in side_by_side([plain, run]).splitlines()]
    assert [line[:3] for line in lines[2:5]] == [
        ["plain", "encoder", "9"],
        ["both", "encoder", "9"],
        ["both", "projector", "9"],
    ]
    scored = run.epoch(9).detection().query("detector == 'energy_probe' and layer == 'encoder'")
    assert f"{scored['auroc'].mean():.4f}" in lines[3]
    assert lines[3][-2:] == ["-", "-"]  # transfer was not measured
    assert lines[5:] == [["AUROC", "and", "FPR95:", "mean", "over", "letters,", "noise."]]
    # Three layers are too few for a correlation.


def test_r_over_layers_is_pearson_s_of_log_nc1(tmp_path):
    run = make_run(tmp_path, "deep", stages={9: ("stage1", "stage2", "stage3")})
    epoch = run.epoch(9)
    nc1 = epoch.collapse().query("metric == 'nc1_pinv'").set_index("layer")["value"]
    scored = epoch.detection().query("detector == 'energy_probe'")
    fpr95 = scored.groupby("layer")["fpr95"].mean()
    pairs = pd.concat([np.log(nc1), fpr95], axis=1)
    assert len(pairs) == 4
    expected = np.corrcoef(pairs["value"], pairs["fpr95"])[0, 1]
    found = f"FPR95 against nc1_pinv: r = {expected:.2f} with its logarithm"
    assert found in side_by_side([run])
    other = replace(run, description={**run.description, "id_set": "another"})
    assert "against nc1_pinv" not in side_by_side([run, other])


def test_a_run_whose_layer_has_another_name_is_summed_up(tmp_path):
    text = as_text(make_run(tmp_path, "foreign", layers=("trunk",)))
    assert text.startswith("foreign, epoch 9 of 9, statistics of 48 training images")
