"""Collapse metrics against slow, obvious implementations, exact cases and degenerate input."""

from dataclasses import fields
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncviz import collapse
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.errors import InvalidArrayError

C, D = 5, 8
HEAD_SCALED = {"nc3_variance", "nc4_bias"}


def rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


def network(seed=0):
    """Features of unequal classes, their labels, and a head that resembles the class means."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(C), [30, 10, 20, 5, 15])
    centres = rng.normal(size=(C, D)) + 2
    features = centres[labels] + 0.5 * rng.normal(size=(len(labels), D))
    head = Head(centres - 2 + 0.3 * rng.normal(size=(C, D)), rng.normal(size=C))
    return features, labels, head


def collapsed(classes, dim):
    """Statistics and head of a network whose features are exactly a rotated simplex ETF."""
    simplex = (np.eye(classes) - 1 / classes) @ rotation(dim)[:classes]
    labels = np.repeat(np.arange(classes), 3)
    statistics = ClassStatistics.of(5 * simplex[labels], labels, classes)
    return statistics, Head(2 * simplex, np.zeros(classes))


class Slow:
    """Every metric as its definition reads."""

    def __init__(self, features, labels, head):
        self.w, self.b = head.weight, head.bias
        self.own = [features[labels == c] for c in range(C)]
        self.raw = [own.mean(axis=0) for own in self.own]
        self.centre = sum(self.raw) / C
        self.m = np.array([mean - self.centre for mean in self.raw])
        self.within = sum(
            np.outer(h - self.raw[y], h - self.raw[y])
            for h, y in zip(features, labels, strict=True)
        ) / len(features)
        self.between = sum(np.outer(m, m) for m in self.m) / C
        mean = features.mean(axis=0)
        self.total = sum(np.outer(h - mean, h - mean) for h in features) / len(features)
        self.etf = C / (C - 1) * (np.eye(C) - np.ones((C, C)) / C)
        self.unit = [m / np.linalg.norm(m) for m in self.m]
        self.cosines = [self.unit[i] @ self.unit[j] for i, j in combinations(range(C), 2)]
        self.gaps = np.array(
            [np.linalg.norm(self.unit[i] - self.unit[j]) for i, j in combinations(range(C), 2)]
        )
        self.duals = [
            w @ m / np.linalg.norm(w) / np.linalg.norm(m)
            for w, m in zip(self.w, self.m, strict=True)
        ]

    def simplex_error(self, product):
        target = self.etf / np.linalg.norm(self.etf)
        return np.linalg.norm(product / np.linalg.norm(product) - target)

    def cdnv(self):
        variance = [
            np.mean([(h - own.mean(0)) @ (h - own.mean(0)) for h in own]) for own in self.own
        ]
        return np.mean(
            [
                (variance[i] + variance[j]) / (2 * np.linalg.norm(self.m[i] - self.m[j]) ** 2)
                for i, j in combinations(range(C), 2)
            ]
        )


SLOW = {
    "nc1_pinv": lambda s: np.trace(s.within @ np.linalg.pinv(s.between, rcond=1e-10)) / C,
    "nc1_trace": lambda s: np.trace(s.within) / np.trace(s.between),
    "nc1_total": lambda s: np.trace(s.within) / np.trace(s.total),
    "nc1_frobenius": lambda s: np.linalg.norm(s.within) / np.linalg.norm(s.between),
    "nc1_cdnv": lambda s: s.cdnv(),
    "nc2_equinorm": lambda s: (
        np.std([np.linalg.norm(m) for m in s.m]) / np.mean([np.linalg.norm(m) for m in s.m])
    ),
    "nc2_gram": lambda s: (
        np.linalg.norm(np.array(s.unit) @ np.array(s.unit).T - s.etf) / np.linalg.norm(s.etf)
    ),
    "nc2_gram_zhu": lambda s: s.simplex_error(s.m @ s.m.T),
    "nc2_cosine_mean": lambda s: np.mean(s.cosines),
    "nc2_cosine_std": lambda s: np.std(s.cosines),
    "nc2_max_angle": lambda s: np.mean([abs(cosine + 1 / (C - 1)) for cosine in s.cosines]),
    "nc2_distance_mean": lambda s: np.mean(s.gaps),
    "nc2_distance_variance": lambda s: np.var(s.gaps),
    "nc2_log_kernel_mean": lambda s: np.mean(np.log(1 / s.gaps)),
    "nc2_log_kernel_variance": lambda s: np.var(np.log(1 / s.gaps)),
    "nc2_riesz_kernel_mean": lambda s: np.mean(1 / s.gaps),
    "nc2_riesz_kernel_variance": lambda s: np.var(1 / s.gaps),
    "nc2_weights_equinorm": lambda s: (
        np.std([np.linalg.norm(w) for w in s.w]) / np.mean([np.linalg.norm(w) for w in s.w])
    ),
    "nc2_weights_gram": lambda s: s.simplex_error(s.w @ s.w.T),
    "nc3_duality": lambda s: np.linalg.norm(s.w / np.linalg.norm(s.w) - s.m / np.linalg.norm(s.m)),
    "nc3_product": lambda s: s.simplex_error(s.w @ s.m.T),
    "nc3_cosine_mean": lambda s: np.mean(s.duals),
    "nc3_cosine_min": lambda s: min(s.duals),
    "nc3_variance": lambda s: np.var([w @ m for w, m in zip(s.w, s.m, strict=True)]),
    "nc4_bias": lambda s: np.linalg.norm(s.w @ s.centre + s.b),
}


@pytest.mark.parametrize("name", [field.name for field in fields(collapse.CollapseMetrics)])
def test_each_metric_matches_its_definition(name):
    features, labels, head = network()
    metrics = collapse.measure(ClassStatistics.of(features, labels, C), head).to_dict()
    assert metrics[name] == pytest.approx(SLOW[name](Slow(features, labels, head)), rel=1e-9)


@pytest.mark.parametrize(("classes", "dim"), [(2, 2), (2, 7), (10, 10), (10, 64)])
def test_an_exact_simplex_reaches_every_limit(classes, dim):
    statistics, head = collapsed(classes, dim)
    for name, value in collapse.measure(statistics, head).to_dict().items():
        limit = collapse.METRICS[name].limit
        if limit is not None:
            assert value == pytest.approx(limit, abs=1e-7), name
    metrics = collapse.measure(statistics, head)
    assert metrics.nc2_cosine_mean == pytest.approx(-1 / (classes - 1))
    side = np.sqrt(2 * classes / (classes - 1))
    assert metrics.nc2_distance_mean == pytest.approx(side)
    assert metrics.nc2_log_kernel_mean == pytest.approx(-np.log(side))
    assert metrics.nc2_riesz_kernel_mean == pytest.approx(1 / side)


@given(exponent=st.floats(-6, 6), seed=st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_rotation_and_scale_change_nothing(exponent, seed):
    features, labels, head = network()
    turn = rotation(D, seed)
    before = collapse.measure(ClassStatistics.of(features, labels, C), head).to_dict()
    turned = collapse.measure(
        ClassStatistics.of(10**exponent * features @ turn, labels, C),
        Head(head.weight @ turn, head.bias),
    ).to_dict()
    for name in before.keys() - HEAD_SCALED:
        assert turned[name] == pytest.approx(before[name], rel=1e-6, abs=1e-9), name


def test_only_the_bias_metric_sees_a_shift():
    features, labels, head = network()
    before = collapse.measure(ClassStatistics.of(features, labels, C), head).to_dict()
    after = collapse.measure(ClassStatistics.of(features + 7, labels, C), head).to_dict()
    assert after.pop("nc4_bias") != pytest.approx(before.pop("nc4_bias"), rel=0.1)
    assert after == pytest.approx(before, rel=1e-8)


def test_the_report_s_gram_distance_follows_from_its_cosines():
    classes, dim = 100, 138  # random directions in 138 dimensions: cosines spread by 0.085
    means = np.random.default_rng(0).normal(size=(classes, dim))
    statistics = ClassStatistics.of(means, np.arange(classes), classes)
    metrics = collapse.measure(statistics, None)
    assert metrics.nc2_cosine_std == pytest.approx(0.085, abs=0.003)
    assert metrics.nc2_gram * 0.085 / metrics.nc2_cosine_std == pytest.approx(0.842, abs=0.002)


def test_more_classes_than_dimensions_leave_nc1_finite():
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(12), 5)
    features = rng.normal(size=(12, 3))[labels] + 0.1 * rng.normal(size=(60, 3))
    statistics = ClassStatistics.of(features, labels, 12)
    centred = statistics.means - statistics.means.mean(axis=0)
    expected = np.trace(statistics.within_covariance @ np.linalg.inv(centred.T @ centred / 12)) / 12
    assert collapse.measure(statistics, None).nc1_pinv == pytest.approx(expected)


def test_without_a_head_its_metrics_are_none():
    features, labels, head = network()
    statistics = ClassStatistics.of(features, labels, C)
    alone, both = collapse.measure(statistics, None), collapse.measure(statistics, head)
    of_head = {name for name, value in alone.to_dict().items() if value is None}
    assert of_head == {n for n in both.to_dict() if n.startswith(("nc3", "nc4", "nc2_weights"))}
    assert None not in both.to_dict().values()


def test_an_untrained_head_of_zeros_has_a_bias_metric_only():
    features, labels, _ = network()
    metrics = collapse.measure(
        ClassStatistics.of(features, labels, C), Head(np.zeros((C, D)), np.full(C, 2.0))
    )
    assert metrics.nc3_cosine_mean is metrics.nc3_duality is metrics.nc2_weights_gram is None
    assert metrics.nc4_bias == pytest.approx(2 * np.sqrt(C))


def test_coinciding_classes_leave_the_pairwise_metrics_undefined():
    means = np.array([[3.0, 0.0], [3.0, 0.0], [-1.0, 2.0]])
    metrics = collapse.measure(ClassStatistics.of(means, np.arange(3), 3), None)
    assert metrics.nc1_cdnv is metrics.nc2_log_kernel_mean is None
    assert metrics.nc2_riesz_kernel_variance is None
    assert metrics.nc1_pinv == 0


def statistics_of(means, classes=None):
    return ClassStatistics.of(np.array(means), np.arange(len(means)), classes or len(means))


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        (statistics_of([[1.0, 2.0]]), "at least two"),
        (statistics_of([[1.0, 2.0], [3.0, 4.0]], classes=3), r"no sample \(labels 2\)"),
        (statistics_of([[1 / 3, 2.0]] * 3), "between-class variance is zero"),
        (statistics_of([[0.0, 0.0]] * 3), "between-class variance is zero"),
        (statistics_of([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]]), "mean of class 1 is zero"),
    ],
)
def test_undefined_statistics_are_refused(statistics, message):
    with pytest.raises(InvalidArrayError, match=message):
        collapse.measure(statistics, None)


@pytest.mark.parametrize("field", ["means", "scatter", "squares"])
def test_nan_in_the_sums_is_refused(field):
    statistics, head = collapsed(3, 4)
    getattr(statistics, field).flat[0] = np.nan
    with pytest.raises(InvalidArrayError, match="NaN"):
        collapse.measure(statistics, head)


def test_a_head_of_another_layer_is_refused():
    statistics, _ = collapsed(3, 4)
    other = Head(np.ones((3, 5)), np.zeros(3))
    samples = FeatureSet(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(InvalidArrayError, match="maps 5 features to 3 classes"):
        collapse.measure(statistics, other)
    with pytest.raises(InvalidArrayError, match="maps 5 features to 3 classes"):
        collapse.agreement(samples, statistics, other)


def test_agreement_matches_the_slow_loop():
    features, labels, head = network()
    statistics = ClassStatistics.of(features, labels, C)
    rng = np.random.default_rng(3)
    samples = 2 + 1.5 * rng.normal(size=(9000, D))  # more than one block
    truth = rng.integers(0, C, len(samples))
    network_says = [int(np.argmax(head.weight @ h + head.bias)) for h in samples]
    nearest = [
        min(range(C), key=lambda c: np.linalg.norm(h - statistics.means[c])) for h in samples
    ]
    pairs = list(zip(network_says, nearest, truth, strict=True))
    found = collapse.agreement(
        FeatureSet(samples, head.logits(samples), truth), statistics, head
    ).to_dict()
    assert found == {
        "nc4_agreement": pytest.approx(np.mean([n == m for n, m, _ in pairs])),
        "network_accuracy": pytest.approx(np.mean([n == t for n, _, t in pairs])),
        "ncc_accuracy": pytest.approx(np.mean([m == t for _, m, t in pairs])),
    }
    assert 0.05 < found["nc4_agreement"] < 0.95


def test_agreement_is_complete_at_collapse_and_counts_the_bias():
    statistics, head = collapsed(4, 6)
    features, labels = statistics.means, np.arange(4)
    samples = FeatureSet(features, head.logits(features), labels)
    assert collapse.agreement(samples, statistics, head) == collapse.Agreement(1.0, 1.0, 1.0)
    biased = Head(head.weight, np.array([1e6, 0, 0, 0]))
    assert collapse.agreement(samples, statistics, biased) == collapse.Agreement(0.25, 0.25, 1.0)
    unlabelled = FeatureSet(features, head.logits(features))
    assert collapse.agreement(unlabelled, statistics, head).ncc_accuracy is None


def test_agreement_needs_samples():
    statistics, head = collapsed(3, 4)
    with pytest.raises(InvalidArrayError, match="empty"):
        collapse.agreement(FeatureSet(np.ones((0, 4)), np.ones((0, 3))), statistics, head)


def test_orthogonality_matches_the_definition():
    features, labels, _ = network()
    statistics = ClassStatistics.of(features, labels, C)
    ood = np.random.default_rng(5).normal(size=(40, D)) + 1
    mean, centre = ood.mean(axis=0), statistics.means.mean(axis=0)

    def cosine(a, b):
        return abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b)

    found = collapse.orthogonality(statistics, ood.astype(np.float32))
    raw = [cosine(mu, mean) for mu in statistics.means]
    centred = [cosine(mu - centre, mean - centre) for mu in statistics.means]
    assert found.nc5_cosine == pytest.approx(np.mean(raw), rel=1e-5)
    assert found.nc5_cosine_max == pytest.approx(max(raw), rel=1e-5)
    assert found.nc5_cosine_centred == pytest.approx(np.mean(centred), rel=1e-5)


def test_orthogonal_ood_has_no_cosine_and_relu_features_always_do():
    statistics, _ = collapsed(4, 8)
    basis = np.linalg.svd(statistics.means)[2]
    outside = np.random.default_rng(0).normal(size=(20, 4)) @ basis[4:]
    assert max(collapse.orthogonality(statistics, outside).to_dict().values()) < 1e-12

    rng = np.random.default_rng(0)
    positive = ClassStatistics.of(np.abs(rng.normal(size=(50, 30))), np.arange(50) % 5, 5)
    found = collapse.orthogonality(positive, np.abs(rng.normal(size=(50, 30))))
    assert found.nc5_cosine > 0.8
    assert found.nc5_cosine_centred < 0.5


@pytest.mark.parametrize(
    ("ood", "message"),
    [
        (np.ones((3, 7)), r"expected \(M, 8\)"),
        (np.ones((0, 8)), "at least one row"),
        (np.full((2, 8), np.nan), "NaN"),
        (np.zeros((2, 8)), "mean of the OOD features is zero"),
    ],
)
def test_unusable_ood_features_are_refused(ood, message):
    with pytest.raises(InvalidArrayError, match=message):
        collapse.orthogonality(collapsed(4, 8)[0], ood)


def test_ood_at_the_global_mean_has_no_centred_cosine():
    features, labels, _ = network()
    statistics = ClassStatistics.of(features, labels, C)
    found = collapse.orthogonality(statistics, statistics.means)
    assert found.nc5_cosine_centred is None
    assert found.nc5_cosine > 0


def test_gram_is_the_cosines_of_centred_or_raw_means():
    features, labels, head = network()
    statistics = ClassStatistics.of(features, labels, C)
    slow = Slow(features, labels, head)
    gram = collapse.gram(statistics)
    np.testing.assert_allclose(gram[np.triu_indices(C, k=1)], slow.cosines, atol=1e-12)
    raw = collapse.gram(statistics, centred=False)
    unit = [mean / np.linalg.norm(mean) for mean in slow.raw]
    assert raw[0, 1] == pytest.approx(unit[0] @ unit[1])
    np.testing.assert_array_equal(np.diag(raw), 1)
    np.testing.assert_allclose(
        collapse.class_mean_norms(statistics), [np.linalg.norm(m) for m in slow.m]
    )


def test_the_ideal_gram_is_that_of_an_exact_simplex():
    statistics, _ = collapsed(7, 9)
    np.testing.assert_allclose(collapse.gram(statistics), collapse.ideal_gram(7), atol=1e-12)
    assert np.linalg.matrix_rank(collapse.ideal_gram(7)) == 6
    with pytest.raises(InvalidArrayError, match="at least two"):
        collapse.ideal_gram(1)


@pytest.mark.parametrize("classes", [2, 12])
def test_cluster_order_puts_related_classes_side_by_side(classes):
    groups = np.random.default_rng(0).permutation(np.arange(classes) % 3)
    gram = np.where(groups[:, None] == groups, 0.9, -0.2)
    np.fill_diagonal(gram, 1.0)
    order = collapse.cluster_order(gram)
    assert sorted(order) == list(range(classes))
    assert np.count_nonzero(np.diff(groups[order])) == len(set(groups)) - 1


def test_worst_pairs_are_those_farthest_from_the_simplex_either_way():
    gram = collapse.ideal_gram(6)
    for i, j, excess in [(1, 4, 0.5), (0, 2, -0.3), (3, 5, 0.1)]:
        gram[i, j] = gram[j, i] = gram[i, j] + excess
    pairs = collapse.worst_pairs(gram, 3)
    assert [pair[:2] for pair in pairs] == [(1, 4), (0, 2), (3, 5)]
    assert [pair.excess for pair in pairs] == pytest.approx([0.5, -0.3, 0.1])
    assert pairs[0].cosine == pytest.approx(-0.2 + 0.5)
    assert len(collapse.worst_pairs(gram, 100)) == 15


def test_the_farthest_pair_between_two_groups_is_found_by_trying_all():
    random = np.random.default_rng(3)
    gram = random.uniform(-1, 1, (7, 7))
    gram = (gram + gram.T) / 2
    np.fill_diagonal(gram, 1.0)
    for first, second in [([0, 1], [4, 5, 6]), ([2, 3], [2, 3]), ([5], [1]), ([4], [4, 0])]:
        tried = [(abs(gram[a, b] + 1 / 6), a, b) for a in first for b in second if a != b]
        pair = collapse.farthest_between(gram, np.array(first), np.array(second))
        assert gram[pair.first, pair.second] == pair.cosine
        assert abs(pair.excess) == pytest.approx(max(tried)[0])
        assert pair.first in first
        assert pair.second in second
        assert pair.first != pair.second
    alone = collapse.farthest_between(gram, np.array([3]), np.array([3]))
    assert alone.first == 3
    others = [abs(gram[3, other] + 1 / 6) for other in range(7) if other != 3]
    assert abs(alone.excess) == pytest.approx(max(others))
    assert collapse.farthest_between(np.eye(2), np.array([1]), np.array([1]))[:2] == (1, 0)


def test_the_glossary_covers_every_metric_and_nothing_else():
    found = {
        field.name
        for kind in (
            collapse.CollapseMetrics,
            collapse.Agreement,
            collapse.Orthogonality,
            collapse.Spread,
        )
        for field in fields(kind)
    }
    assert found == set(collapse.METRICS)
    for name, info in collapse.METRICS.items():
        assert info.name == name
        assert info.group in {"NC1", "NC2", "NC3", "NC4", "NC5", "spread"}
        assert all((info.label, info.definition, info.formula, info.limit_text, info.source)), name
    labels = [info.label for info in collapse.METRICS.values()]
    assert len(set(labels)) == len(labels)
