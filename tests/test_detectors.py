"""Every detector against slow loops, pytorch-ood and scikit-learn, and what all have in common."""

import math

import numpy as np
import pytest
import torch
from detector_case import DEGENERATE, C, Case, D
from detector_oracles import slow
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pytorch_ood import detector as peers
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from ncviz import detectors
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.detectors.base import NEEDS, Detector, NotFittedError, register
from ncviz.errors import InvalidArrayError, InvalidOptionError, UnknownNameError
from ncviz.metrics import detection_metrics

SCORABLE = [name for name in detectors.names() if detectors.info(name).scores_arrays]
every_detector = pytest.mark.parametrize("name", SCORABLE)


@pytest.fixture(scope="module")
def case():
    return Case()


@every_detector
def test_scores_match_the_slow_loop(case, name):
    samples = case.oods[:10]
    expected = [
        slow(name)(case, h, z) for h, z in zip(samples.features, samples.logits, strict=True)
    ]
    np.testing.assert_allclose(case.fit(name).score(samples), expected, rtol=1e-8)


# pytorch-ood returns outlier scores in float32, partly on another scale.


def peer_scores(name, case, samples):
    def tensor(array):
        return torch.tensor(np.asarray(array), dtype=torch.float32)

    h, z = tensor(samples.features), tensor(samples.logits)
    train, labels = tensor(case.train.features), torch.tensor(case.train.labels)
    if name == "msp":
        return -peers.MaxSoftmax(None).predict_logits(z)
    if name == "max_logit":
        return -peers.MaxLogit(None).predict_logits(z)
    if name == "energy":
        return -peers.EnergyBased(None, t=1.0).predict_logits(z)
    if name == "mahalanobis":
        peer = peers.Mahalanobis(None).fit_features(train, labels)
        return -peer.predict_features(h) * 2 * len(train)
    weight, bias = tensor(case.head.weight), tensor(case.head.bias)
    peer = peers.ViM(None, d=D // 2, w=weight, b=bias).fit_features(train, labels)
    return -peer.predict_features(h)


@pytest.mark.parametrize("name", ["msp", "max_logit", "energy", "mahalanobis", "vim"])
def test_scores_match_pytorch_ood(case, name):
    for samples in (case.ids, case.oods):
        expected = np.asarray(peer_scores(name, case, samples))
        np.testing.assert_allclose(case.fit(name).score(samples), expected, rtol=1e-4, atol=1e-4)


def test_energy_at_another_temperature_matches_pytorch_ood(case):
    expected = -peers.EnergyBased(None, t=3.0).predict_logits(torch.tensor(case.oods.logits))
    found = case.fit("energy", temperature=3.0).score(case.oods)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mahalanobis_matches_scikit_learn(case):
    means = case.statistics().means
    residuals = case.train.features - means[case.train.labels]
    model = EmpiricalCovariance(assume_centered=True).fit(residuals)
    distances = [model.mahalanobis(case.oods.features - mean) for mean in means]
    found = case.fit("mahalanobis").score(case.oods)
    np.testing.assert_allclose(found, -np.min(distances, axis=0), rtol=1e-8)


@pytest.mark.parametrize("dim", [None, 3, D - 1])
@pytest.mark.parametrize("scale", [True, False])
def test_neco_matches_scikit_learn(case, dim, scale):
    scaler = StandardScaler(with_std=scale).fit(case.train.features)
    standard = scaler.transform(case.oods.features)
    pca = PCA().fit(scaler.transform(case.train.features))
    within = np.linalg.norm(pca.transform(standard)[:, : dim or C - 1], axis=1)
    found = case.fit("neco", dim=dim, scale=scale).score(case.oods)
    np.testing.assert_allclose(found, within / np.linalg.norm(standard, axis=1), rtol=1e-8)


def test_neco_multiplies_by_the_largest_logit_when_asked(case):
    share = case.fit("neco").score(case.oods)
    found = case.fit("neco", multiply_by_max_logit=True).score(case.oods)
    np.testing.assert_allclose(found, share * case.oods.logits.max(axis=1))


def test_neco_of_ood_orthogonal_to_a_collapsed_network_is_zero():
    features = np.eye(C, D)[np.arange(3 * C) % C]  # class means: a simplex ETF about their mean
    head = Head(np.eye(C, D), np.zeros(C))
    train = FeatureSet(features, head.logits(features))
    detector = detectors.create("neco", scale=False).fit(train, head)
    outside = features.mean(axis=0) + np.eye(D)[C:]
    np.testing.assert_allclose(
        detector.score(FeatureSet(outside, head.logits(outside))), 0, atol=1e-12
    )
    np.testing.assert_allclose(detector.score(train), 1)


def test_mahalanobis_of_unit_spread_is_the_euclidean_distance():
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])  # covariance: the identity
    features = np.concatenate([corners, corners + 10])
    head = Head(np.eye(2), np.zeros(2))
    train = FeatureSet(features, head.logits(features), np.repeat([0, 1], 4))
    detector = detectors.create("mahalanobis").fit(train, head)
    sample = np.array([[3.0, 4.0], [10.0, 13.0]])
    np.testing.assert_allclose(detector.score(FeatureSet(sample, sample)), [-25, -9])


# What all detectors have in common.


# The default of 90 per cent leaves 2 of the 24 activations here, too few to tell classes apart.
FOR_FEW_DIMENSIONS = {name: {"percentile": 50} for name in ("ash_p", "ash_b", "ash_s")}


@every_detector
def test_higher_means_more_in_distribution(case, name):
    detector = case.fit(name, **FOR_FEW_DIMENSIONS.get(name, {}))
    found = detection_metrics(detector.score(case.ids), detector.score(case.oods))
    assert found.auroc > 0.85


@every_detector
def test_a_sample_s_score_depends_on_no_other_sample(case, name):
    detector = case.fit(name)
    whole = detector.score(case.oods)
    order = np.random.default_rng(0).permutation(len(whole))
    np.testing.assert_allclose(detector.score(case.oods[order]), whole[order], rtol=1e-9)
    parts = [detector.score(case.oods[rows]) for rows in np.array_split(np.arange(len(whole)), 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-9)
    alone = [detector.score(case.oods[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(alone, whole[:5], rtol=1e-9)
    assert detector.score(case.oods[:0]).shape == (0,)


@every_detector
def test_sets_longer_than_a_block_are_scored_whole(case, name):
    rows = np.arange(8192 + 5) % len(case.oods)
    scores = case.fit(name).score(case.oods[rows])
    np.testing.assert_allclose(scores[8192:], scores[8192 % len(case.oods) :][:5], rtol=1e-9)


@every_detector
def test_the_order_of_training_samples_does_not_matter(case, name):
    # NNGuide draws its bank from the training samples by their positions.
    whole = {"share": 1.0} if name == "nnguide" else {}
    order = np.random.default_rng(1).permutation(len(case.train))
    shuffled = detectors.create(name, **whole).fit(case.train[order], case.head)
    np.testing.assert_allclose(
        shuffled.score(case.oods), case.fit(name, **whole).score(case.oods), rtol=1e-7
    )


@every_detector
def test_state_restores_scores_to_the_bit(case, name):
    detector = case.fit(name)
    state = {key: np.array(value) for key, value in detector.state().items()}
    assert all(value.dtype != object for value in state.values())
    restored = detectors.restore(name, state)
    for samples in (case.ids, case.oods, case.oods[:1]):
        np.testing.assert_array_equal(restored.score(samples), detector.score(samples))
    assert restored.state().keys() == state.keys()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("energy", {"temperature": 2.5}),
        ("temperature_scaling", {"temperature": 2.5}),
        ("gen", {"gamma": 0.5, "top": 3}),
        ("react", {"percentile": 60}),
        ("vra", {"lower_percentile": 50, "upper_percentile": 70}),
        ("ash_p", {"percentile": 50}),
        ("ash_b", {"percentile": 50}),
        ("ash_s", {"percentile": 50}),
        ("scale", {"percentile": 50}),
        ("lts", {"share": 0.4}),
        ("dice", {"percentile": 50}),
        ("mahalanobis", {"tolerance": 0.2}),
        ("vim", {"dim": 5}),
        ("neco", {"dim": 2, "scale": False, "multiply_by_max_logit": True}),
        ("relative_mahalanobis", {"tolerance": 0.2}),
        ("residual", {"dim": 5}),
        ("pnml", {"normalise": False}),
        ("nci", {"alpha": 0.1}),
        ("knn", {"k": 3, "probes": 1}),
        ("nnguide", {"k": 3, "share": 0.5, "probes": 1}),
        ("relation", {"power": 2.0, "threshold": 0.1}),
    ],
)
def test_state_holds_the_parameters_and_they_matter(case, name, parameters):
    detector = case.fit(name, **parameters)
    restored = detectors.restore(name, detector.state())
    assert restored.parameters() == detector.parameters() == parameters
    np.testing.assert_array_equal(restored.score(case.oods), detector.score(case.oods))
    assert not np.allclose(detector.score(case.oods), case.fit(name).score(case.oods))


@every_detector
def test_float32_scores_are_those_of_float64(case, name):
    def narrow(samples):
        return FeatureSet(
            samples.features.astype(np.float32), samples.logits.astype(np.float32), samples.labels
        )

    head = Head(case.head.weight.astype(np.float32), case.head.bias.astype(np.float32))
    found = detectors.create(name).fit(narrow(case.train), head).score(narrow(case.oods))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, case.fit(name).score(case.oods), rtol=1e-4)


@every_detector
def test_float16_samples_are_scored_in_float64(case, name):
    half = FeatureSet(case.oods.features.astype(np.float16), case.oods.logits.astype(np.float16))
    wide = FeatureSet(half.features.astype(np.float64), half.logits.astype(np.float64))
    detector = case.fit(name)
    np.testing.assert_array_equal(detector.score(half), detector.score(wide))


@every_detector
def test_statistics_of_the_same_samples_change_nothing(case, name):
    np.testing.assert_allclose(
        case.fit(name, case.statistics()).score(case.oods),
        case.fit(name).score(case.oods),
        rtol=1e-8,
    )


@pytest.mark.parametrize(
    "name", ["mahalanobis", "relative_mahalanobis", "residual", "neco", "fdbd", "nci", "dice"]
)
def test_statistics_stand_for_the_whole_training_set(case, name):
    unlabelled = FeatureSet(case.train.features[:0], case.train.logits[:0])
    detector = detectors.create(name).fit(unlabelled, case.head, case.statistics())
    np.testing.assert_allclose(
        detector.score(case.oods), case.fit(name).score(case.oods), rtol=1e-8
    )


def test_vim_takes_directions_from_statistics_and_alpha_from_samples(case):
    part = case.train[:50]
    mixed = detectors.create("vim").fit(part, case.head, case.statistics())
    whole, alone = case.fit("vim"), detectors.create("vim").fit(part, case.head)
    np.testing.assert_allclose(np.abs(mixed.residual_axes_), np.abs(whole.residual_axes_))
    shifted = part.features - mixed.origin_
    residual = np.linalg.norm(shifted @ mixed.residual_axes_, axis=1).mean()
    assert mixed.alpha_ == pytest.approx(part.logits.max(axis=1).mean() / residual)
    assert mixed.alpha_ != pytest.approx(alone.alpha_)


@every_detector
@pytest.mark.parametrize("kind", DEGENERATE)
def test_degenerate_training_sets_give_finite_scores(name, kind):
    case = DEGENERATE[kind]()
    detector = case.fit(name)
    zero = case.see(np.zeros((1, case.head.dim)))
    for samples in (case.ids, case.oods, case.train[:1], zero):
        assert np.isfinite(detector.score(samples)).all()
    # In one dimension the share of a number in itself is 1, and directions are but signs.
    if (name, kind) not in {("neco", "one dimension"), ("knn", "one dimension")}:
        assert np.ptp(detector.score(case.oods)) > 1e-6
    order = np.random.default_rng(0).permutation(len(case.train))
    shuffled = detectors.create(name).fit(case.train[order], case.head)
    np.testing.assert_allclose(shuffled.score(case.ids), detector.score(case.ids), rtol=1e-5)


def test_neco_of_a_sample_at_the_training_mean_is_zero(case):
    detector = case.fit("neco")
    assert detector.score(case.see(detector.mean_[None])) == [0.0]


@pytest.mark.parametrize(("asked", "used"), [(None, D // 2), (7, 7), (D, D - 1), (500, D - 1)])
def test_vim_always_leaves_a_residual(case, asked, used):
    detector = case.fit("vim", dim=asked)
    assert detector.principal_dim_ == used
    assert detector.residual_axes_.shape == (D, D - used)


@pytest.mark.parametrize(("dim", "used"), [(2048, 1000), (768, 512), (766, 383)])
def test_vim_s_dimension_follows_the_authors(dim, used):
    from ncviz.detectors.subspace import _authors_dim

    assert _authors_dim(dim) == used


@pytest.mark.parametrize(("asked", "used"), [(None, C - 1), (3, 3), (500, D - 1)])
def test_neco_s_dimension_is_the_simplex_rank_by_default(case, asked, used):
    assert case.fit("neco", dim=asked).principal_dim_ == used


def test_vim_s_origin_survives_a_head_whose_rows_sum_to_rounding():
    case = Case()  # its head's rows sum to zero
    assert np.linalg.matrix_rank(case.head.weight) == C - 1
    exact = case.fit("vim").origin_
    case.head = Head(case.head.weight.astype(np.float32), case.head.bias)
    np.testing.assert_allclose(case.fit("vim").origin_, exact, atol=1e-5)


def test_vim_without_a_training_residual_is_energy():
    case = Case()
    features = case.train.features.copy()
    features[:, 3:] = 0  # three dimensions suffice, and the origin is 0 without a bias
    case.head = Head(case.head.weight, np.zeros(C))
    case.train = case.see(features, case.train.labels)
    detector = case.fit("vim")
    assert detector.alpha_ == 0
    np.testing.assert_array_equal(detector.score(case.oods), case.fit("energy").score(case.oods))


@pytest.mark.parametrize(
    ("name", "message"), [("mahalanobis", "do not vary within any class"), ("neco", "are equal")]
)
def test_training_features_without_any_spread_are_refused(case, name, message):
    same = case.see(np.full((12, D), 1 / 3), np.arange(12) % C)
    with pytest.raises(InvalidArrayError, match=message):
        detectors.create(name).fit(same, case.head)


logits = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.just(C)),
    elements=st.floats(-1e4, 1e4),
)


@given(logits=logits, temperature=st.floats(0.01, 100))
@settings(max_examples=100, deadline=None)
def test_bounds_of_the_logit_scores(logits, temperature):
    head = Head(np.ones((C, 1)), np.zeros(C))
    samples = FeatureSet(np.zeros((len(logits), 1)), logits)

    def score(name, **parameters):
        return detectors.create(name, **parameters).fit(samples, head).score(samples)

    probability, largest = score("msp"), score("max_logit")
    assert ((probability >= 1 / C) & (probability <= 1)).all()
    gap = score("energy", temperature=temperature) - largest
    slack = 1e-9 * np.abs(largest).max()
    assert (gap >= -slack).all()
    assert (gap <= temperature * math.log(C) + slack + 1e-9).all()


@given(factor=st.floats(1e-4, 1e4), shift=st.floats(-10, 10))
@settings(max_examples=25, deadline=None)
def test_mahalanobis_and_scaled_neco_do_not_see_scale_or_shift(factor, shift):
    case, moved = Case(train=120, samples=10), Case(train=120, samples=10)
    moved.train = moved.see(factor * (case.train.features + shift), case.train.labels)
    samples = moved.see(factor * (case.oods.features + shift))
    for name in ("mahalanobis", "neco"):
        np.testing.assert_allclose(
            moved.fit(name).score(samples), case.fit(name).score(case.oods), rtol=1e-5
        )


# Errors.


@every_detector
def test_scores_before_fit_are_refused(case, name):
    with pytest.raises(NotFittedError, match=f"'{name}' has not been fitted"):
        detectors.create(name).score(case.ids)
    with pytest.raises(NotFittedError):
        detectors.create(name).state()


@every_detector
def test_arrays_of_another_layer_are_refused(case, name):
    narrow = FeatureSet(case.ids.features[:, 1:], case.ids.logits)
    fewer = FeatureSet(case.ids.features, case.ids.logits[:, 1:])
    for samples in (narrow, fewer):
        with pytest.raises(InvalidArrayError, match="same run and layer"):
            case.fit(name).score(samples)
        with pytest.raises(InvalidArrayError, match="same run and layer"):
            detectors.create(name).fit(samples, case.head)
    with pytest.raises(InvalidArrayError, match="same run and layer"):
        case.fit(name, ClassStatistics.empty(C, D + 1))


LEARNING = [
    name
    for name in SCORABLE
    if detectors.info(name).learns_from_samples or "statistics" in detectors.info(name).needs
]


@pytest.mark.parametrize("name", LEARNING)
def test_an_empty_training_set_is_refused(case, name):
    with pytest.raises(InvalidArrayError, match="the set is empty"):
        detectors.create(name).fit(case.train[:0], case.head)


def test_labels_are_asked_for_only_where_needed(case):
    unlabelled = FeatureSet(case.train.features, case.train.logits)
    asking = ("mahalanobis", "relative_mahalanobis", "she", "temperature_scaling")
    for name in asking:
        with pytest.raises(InvalidArrayError, match="samples with labels"):
            detectors.create(name).fit(unlabelled, case.head)
    for name in set(SCORABLE) - set(asking):
        found = detectors.create(name).fit(unlabelled, case.head).score(case.oods)
        np.testing.assert_array_equal(found, case.fit(name).score(case.oods))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("energy", {"temprature": 2}, "no parameter 'temprature'; it takes temperature"),
        ("msp", {"temperature": 2}, "it takes none"),
        ("energy", {"temperature": 0}, "above 0; got 0"),
        ("energy", {"temperature": np.inf}, "finite"),
        ("energy", {"temperature": None}, "'temperature' of detector 'energy' needs a value"),
        ("temperature_scaling", {"temperature": -1}, "above 0; got -1"),
        ("gen", {"gamma": 0}, "Gamma must be a finite number above 0; got 0"),
        ("gen", {"top": 0}, "GEN sums over must be an integer of at least 1; got 0"),
        ("gen", {"top": None}, "'top' of detector 'gen' needs a value.*the default, 100"),
        ("react", {"percentile": 100}, "Percentile must lie between 0 and 100; got 100"),
        ("react", {"percentile": np.nan}, "Percentile must lie between 0 and 100; got nan"),
        ("vra", {"lower_percentile": 0}, "The lower percentile must lie between 0 and 100"),
        (
            "vra",
            {"upper_percentile": 10},
            "lower percentile must be below the upper; got 10 and 10",
        ),
        ("ash_s", {"percentile": "90"}, "Percentile must lie between 0 and 100; got 90"),
        ("scale", {"percentile": -5}, "Percentile must lie between 0 and 100; got -5"),
        ("lts", {"share": 1}, "LTS' share must lie between 0 and 1; got 1"),
        ("dice", {"percentile": 0}, "Percentile must lie between 0 and 100; got 0"),
        ("gradnorm", {"temperature": 2}, "it takes none"),
        ("odin", {"temperature": 0}, "above 0; got 0"),
        ("odin", {"epsilon": -0.1}, "Epsilon must be a finite number of at least 0; got -0.1"),
        ("mahalanobis", {"tolerance": "small"}, "Tolerance"),
        ("vim", {"dim": 0}, "at least 1; got 0"),
        ("neco", {"dim": 2.5}, "integer"),
        ("relative_mahalanobis", {"tolerance": -1}, "Tolerance"),
        ("residual", {"dim": 0}, "Residual's principal space must be an integer"),
        ("pnml", {"normalize": True}, "it takes normalise"),
        ("she", {"k": 2}, "it takes none"),
        ("fdbd", {"alpha": 2}, "it takes none"),
        ("nci", {"alpha": -0.1}, "Alpha must be a finite number of at least 0; got -0.1"),
        ("knn", {"k": 0}, "neighbours must be an integer of at least 1; got 0"),
        ("nnguide", {"k": 1.5}, "integer"),
        ("relation", {"power": 0}, "Power"),
        ("relation", {"threshold": np.nan}, "Threshold"),
    ],
)
def test_bad_parameters_are_refused_by_name(name, parameters, message):
    with pytest.raises(InvalidOptionError, match=message):
        detectors.create(name, **parameters)


@pytest.mark.parametrize(
    "ask", [detectors.create, detectors.info, lambda name: detectors.restore(name, {})]
)
def test_an_unknown_detector_is_refused_with_those_that_exist(ask):
    with pytest.raises(UnknownNameError, match=r"Unknown detector 'energi'. Did you mean 'energy'"):
        ask("energi")


def test_a_state_of_another_detector_is_refused(case):
    with pytest.raises(InvalidArrayError, match=r"'neco'.*missing.*axes_.*not its own.*alpha_"):
        detectors.restore("neco", case.fit("vim").state())


# The registry.


def test_the_report_s_six_detectors_exist():
    assert {"msp", "max_logit", "energy", "mahalanobis", "vim", "neco"} <= set(detectors.names())


@every_detector
def test_every_detector_describes_itself(name):
    info = detectors.info(name)
    assert info.name == name
    assert all((info.label, info.family, info.formula, info.source, info.caveat))
    assert set(info.needs) <= set(NEEDS)
    assert info.needs
    assert info.defaults == detectors.create(name).parameters()


def test_a_name_registers_once_and_needs_are_checked():
    class Again(Detector):
        name = "msp"
        needs = ("logits",)

    with pytest.raises(ValueError, match="Two detectors"):
        register(Again)
    Again.name, Again.needs = "again", ("luck",)
    with pytest.raises(ValueError, match="luck"):
        register(Again)
