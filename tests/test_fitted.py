"""Fitted detectors on disk: equal to the bit, each array once, and never used when out of date."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_runs import make_run

from ncviz import detectors
from ncviz.arrays import FeatureSet
from ncviz.errors import (
    CorruptFileError,
    InvalidOptionError,
    MissingDataError,
    UnknownNameError,
)
from ncviz.evaluation import evaluate
from ncviz.packing import pack
from ncviz.store import files, layout, open_run, write

FROM_ARRAYS = [name for name in detectors.names() if detectors.info(name).scores_arrays]


def path_of(run, number=6):
    return run.epoch(number).path / layout.DETECTORS


def again(run, **options):
    evaluate([run], progress=False, **options)
    return open_run(run.path)


@pytest.mark.parametrize("name", FROM_ARRAYS)
def test_a_fitted_detector_scores_as_evaluation_did(digits_run, name):
    epoch = digits_run.epoch(6)
    detector = epoch.detector(name)
    for each in ("letters", "noise"):
        np.testing.assert_allclose(
            detector.score(epoch.features(each)), epoch.scores(name, each), rtol=1e-6
        )


@pytest.mark.parametrize("name", FROM_ARRAYS)
def test_no_features_are_needed(digits_run, name):
    epoch = digits_run.epoch(6)
    letters = epoch.features("letters")
    expected = epoch.detector(name).score(letters)
    shutil.rmtree(epoch.path / layout.FEATURES)
    run = open_run(digits_run.path)
    np.testing.assert_array_equal(run.epoch(6).detector(name).score(letters), expected)


def test_every_detector_is_named_that_can_be_had(digits_run):
    assert digits_run.epoch(6).detectors() == tuple(FROM_ARRAYS)


def test_the_state_is_that_of_the_fitted_detector_to_the_bit(digits_run):
    epoch = digits_run.epoch(6)
    train = epoch.features("train")
    for name in FROM_ARRAYS:
        if detectors.info(name).learns_held_out or not detectors.info(name).learns_from_samples:
            continue
        fitted = detectors.create(name).fit(train, epoch.head(), epoch.statistics()).state()
        read = epoch.detector(name).state()
        assert read.keys() == fitted.keys()
        for attribute, value in fitted.items():
            np.testing.assert_array_equal(read[attribute], value)
            assert read[attribute].dtype == value.dtype


def test_what_detectors_share_is_stored_once(digits_run):
    epoch = digits_run.epoch(6)
    bank = epoch.features("train").features
    assert epoch.detector("knn").bank_.shape == bank.shape
    np.testing.assert_array_equal(epoch.detector("knn").bank_, epoch.detector("relation").bank_)
    stored = files.read_arrays(path_of(digits_run))
    as_large = [name for name, array in stored.items() if array.shape == bank.shape]
    assert len(as_large) == 1
    assert stored[as_large[0]].dtype == np.float16  # as the features themselves were


def test_a_layer_without_a_head_has_those_that_look_at_features_alone(tmp_path):
    run = make_run(tmp_path, "both", layers=("encoder", "projector"), heads=("projector",))
    number = run.epochs[-1]
    write.save_network(
        run,
        number,
        {"w": np.ones(1, np.float32)},
        {"projector": run.epoch(number).head("projector")},
    )
    run = again(run)
    epoch = run.epoch(number)
    expected = [name for name in FROM_ARRAYS if detectors.info(name).looks_at_features_alone]
    assert epoch.detectors("encoder") == tuple(expected)
    for name in expected:
        scores = epoch.detector(name, "encoder").score(epoch.features("letters", "encoder"))
        np.testing.assert_allclose(scores, epoch.scores(name, "letters", "encoder"), rtol=1e-6)


def test_epochs_without_weights_keep_no_state(digits_run, tmp_path):
    packed = pack(digits_run, tmp_path / "packed" / "digits", weights=(6,), progress=False).run
    assert path_of(packed).exists()
    assert not path_of(packed, 4).exists()
    with pytest.raises(MissingDataError, match=r"'knn' was not fitted.*epoch 4 of digits"):
        packed.epoch(4).detector("knn")
    assert "knn" not in packed.epoch(4).detectors()
    assert "msp" in packed.epoch(4).detectors()
    shutil.rmtree(packed.epoch(4).path / "results")
    evaluate([packed], kept_samples=True, progress=False)
    assert not path_of(packed, 4).exists()


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_lost_state_is_made_anew(digits_run, harm, files_below):
    before = files_below(digits_run.path)
    if harm == "missing":
        path_of(digits_run).unlink()
    else:
        path_of(digits_run).write_bytes(b"no tensors")
    again(digits_run)
    assert files_below(digits_run.path) == before


def test_further_ood_sets_leave_the_state_as_it_is(digits_run, files_below):
    shutil.rmtree(digits_run.epoch(6).path / "features/noise")
    epoch = open_run(digits_run.path).epoch(6)
    assert "knn" in epoch.detectors()


def test_a_state_of_other_features_is_not_used(digits_run):
    epoch = digits_run.epoch(6)
    path = layout.feature_file(epoch.path, "digits/train")
    arrays, sources = files.read_arrays(path), files.sources_of(path)
    files.write_arrays(path, arrays | {"encoder": arrays["encoder"] * 2}, sources=sources)
    with pytest.raises(MissingDataError, match=r"other features or parameters"):
        epoch.detector("knn")
    assert "knn" not in epoch.detectors()
    assert "knn" in again(digits_run).epoch(6).detectors()


def test_a_state_of_other_parameters_is_not_used(digits_run, monkeypatch):
    knn = type(detectors.create("knn"))
    monkeypatch.setattr(knn, "parameters", lambda self: {"k": 7})
    with pytest.raises(MissingDataError, match=r"other features or parameters"):
        digits_run.epoch(6).detector("knn")


def test_a_file_of_something_else_is_named(digits_run):
    files.write_arrays(path_of(digits_run), {"encoder/knn/bank_": np.ones(3)})
    with pytest.raises(CorruptFileError, match=r"detectors\.safetensors holds no fitted detectors"):
        digits_run.epoch(6).detector("knn")


def test_a_state_that_lacks_an_array_is_named(digits_run):
    path = path_of(digits_run)
    header = files.read_header(path)
    arrays = files.read_arrays(path)
    del arrays["encoder/vim/alpha_"]
    files.write_arrays(path, arrays, extra=header)
    with pytest.raises(CorruptFileError, match=r"missing \['alpha_'\]"):
        digits_run.epoch(6).detector("vim")


def test_names_that_do_not_exist_are_refused(digits_run):
    with pytest.raises(UnknownNameError, match="Unknown detector"):
        digits_run.epoch(6).detector("ouija")
    with pytest.raises(UnknownNameError, match="layer"):
        digits_run.epoch(6).detector("msp", "attic")
    with pytest.raises(InvalidOptionError, match="takes the network itself"):
        digits_run.epoch(6).detector("odin")


def test_a_detector_of_sums_needs_no_samples(digits_run):
    epoch = digits_run.epoch(6)
    nothing = FeatureSet(np.empty((0, 64)), np.empty((0, 8)))
    assert epoch.detector("mahalanobis").score(nothing).shape == (0,)


@pytest.mark.parametrize("name", ["cifar100-resnet18", "cifar100-resnet18-controlled", "digits"])
def test_what_the_shipped_detectors_learned_is_read(name):
    epoch = open_run(Path(__file__).resolve().parents[1] / "checkpoints" / name).epoch(60)
    layer = epoch.layers[-1]
    others = {"odin", "energy_probe"}  # nothing is fitted of them
    for detector in set(epoch.judges(layer)) - others:
        assert epoch.detector(detector, layer).n_features_
