"""Statistics, collapse metrics and detectors on torch tensors: equal to those on NumPy arrays."""

import numpy as np
import pytest
import torch
from detector_case import CASES, DEGENERATE, Case, narrow

from ncviz import collapse, detectors, xp
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors import probe_energy
from ncviz.errors import InvalidArrayError

SCORABLE = [name for name in detectors.names() if detectors.info(name).scores_arrays]
ON = torch.empty(0)


@pytest.fixture(scope="module", params=["synthetic", "digits"])
def case(request):
    return CASES[request.param]()


def fitted_to_tensors(name, case):
    return detectors.create(name).fit(case.train.like(ON), case.head.like(ON))


@pytest.mark.parametrize("name", SCORABLE)
def test_a_detector_of_tensors_scores_as_one_of_arrays(case, name, monkeypatch):
    detector = fitted_to_tensors(name, case)
    samples = case.oods.like(ON)
    with monkeypatch.context() as patch:
        patch.setattr(xp, "to_numpy", None)  # nothing leaves the device on the way
        patch.setattr(torch.Tensor, "__array__", None)
        scores = detector.score(samples)
    assert scores.dtype == torch.float64
    np.testing.assert_allclose(scores.numpy(), case.fit(name).score(case.oods), rtol=1e-8)


@pytest.mark.parametrize("name", SCORABLE)
def test_float32_tensors_score_as_float32_arrays(name):
    case = Case()
    train, samples = narrow(case.train), narrow(case.oods)
    expected = detectors.create(name).fit(train, case.head).score(samples)
    found = detectors.create(name).fit(train.like(ON), case.head.like(ON)).score(samples.like(ON))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("made", DEGENERATE.values(), ids=DEGENERATE)
@pytest.mark.parametrize("name", SCORABLE)
def test_degenerate_tensors_score_as_degenerate_arrays(name, made):
    case = made()
    try:
        expected = case.fit(name).score(case.oods)
    except InvalidArrayError as error:
        with pytest.raises(InvalidArrayError, match=str(error)[:40]):
            fitted_to_tensors(name, case)
        return
    found = fitted_to_tensors(name, case).score(case.oods.like(ON))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", SCORABLE)
def test_the_state_of_a_detector_is_numpy_and_moves_to_a_device(name):
    case = Case()
    detector = fitted_to_tensors(name, case)
    state = detector.state()
    assert all(isinstance(array, np.ndarray) for array in state.values())
    restored = detectors.restore(name, state)
    expected = detector.score(case.ids.like(ON)).numpy()
    np.testing.assert_allclose(restored.score(case.ids), expected, rtol=1e-8)
    moved = restored.like(ON).score(case.ids.like(ON))
    np.testing.assert_allclose(moved.numpy(), expected, rtol=1e-8)


def test_arrays_and_tensors_are_not_mixed():
    case = Case()
    with pytest.raises(InvalidArrayError, match="all torch tensors"):
        FeatureSet(case.train.features, torch.tensor(case.train.logits))
    with pytest.raises(InvalidArrayError, match="all torch tensors"):
        case.fit("mahalanobis").score(case.oods.like(ON))
    with pytest.raises(InvalidArrayError, match="all torch tensors"):
        detectors.create("msp").fit(case.train, case.head.like(ON))
    with pytest.raises(InvalidArrayError, match="one device"):
        xp.namespace(torch.empty(1), torch.empty(1, device="meta"))


def test_the_energy_of_a_probe_is_that_of_arrays():
    case = Case()
    found = probe_energy.score(case.head.like(ON), case.oods.like(ON))
    np.testing.assert_allclose(found.numpy(), probe_energy.score(case.head, case.oods))


def test_statistics_of_tensors_are_those_of_arrays(case):
    expected = case.statistics()
    features, labels = torch.tensor(case.train.features), torch.tensor(case.train.labels)
    found = ClassStatistics.empty(expected.classes, expected.dim)
    for at in range(0, len(features), 150):
        found.update(features[at : at + 150], labels[at : at + 150])
    for name in ("counts", "means", "scatter", "squares"):
        assert isinstance(getattr(found, name), torch.Tensor)
        np.testing.assert_allclose(
            getattr(found, name).numpy(), getattr(expected, name), rtol=1e-9, atol=1e-12
        )
    with pytest.raises(InvalidArrayError, match="all torch tensors"):
        found.merge(expected)


def test_collapse_of_tensors_is_that_of_arrays(case):
    statistics = case.statistics()
    moved, head = statistics.like(ON), case.head.like(ON)
    pairs = [
        (collapse.measure(moved, head), collapse.measure(statistics, case.head)),
        (collapse.spread(case.train.like(ON).features), collapse.spread(case.train.features)),
        (
            collapse.agreement(case.train.like(ON), moved, head),
            collapse.agreement(case.train, statistics, case.head),
        ),
        (
            collapse.orthogonality(moved, case.oods.like(ON).features),
            collapse.orthogonality(statistics, case.oods.features),
        ),
    ]
    for found, expected in pairs:
        assert found.to_dict() == pytest.approx(expected.to_dict(), rel=1e-8)
    np.testing.assert_allclose(collapse.gram(moved).numpy(), collapse.gram(statistics), atol=1e-12)
    norms = collapse.class_mean_norms(moved)
    np.testing.assert_allclose(norms.numpy(), collapse.class_mean_norms(statistics))


def test_exactly_collapsed_tensors():
    means = np.eye(4, 6) - np.eye(4, 6).mean(axis=0)
    labels = torch.arange(40) % 4
    statistics = ClassStatistics.of(torch.tensor(means)[labels], labels, 4)
    metrics = collapse.measure(statistics, Head(torch.tensor(means), torch.zeros(4)))
    assert metrics.nc1_pinv == pytest.approx(0, abs=1e-25)
    assert metrics.nc2_gram == pytest.approx(0, abs=1e-12)
    assert metrics.nc3_duality == pytest.approx(0, abs=1e-12)


def test_a_tensor_of_a_read_only_array_is_a_copy(recwarn):
    array = np.ones(3)
    array.flags.writeable = False
    moved = xp.like(array, ON)
    moved += 1
    assert array.tolist() == [1, 1, 1]
    assert not recwarn.list


def test_nan_in_a_tensor_is_refused():
    broken = torch.ones(3, 2)
    broken[1, 1] = float("nan")
    with pytest.raises(InvalidArrayError, match="1 values that are NaN"):
        FeatureSet(broken, torch.ones(3, 2))
    with pytest.raises(InvalidArrayError, match="Labels run from 0 to 2"):
        ClassStatistics.of(torch.ones(3, 2), torch.tensor([0, 1, 2]), 2)
