"""Transfer: probes against scikit-learn, the split that chooses C, degenerate label sets."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ncviz import transfer as module
from ncviz.arrays import FeatureSet, Head
from ncviz.errors import InvalidArrayError
from ncviz.transfer import fit_head, linear_probe, nearest_class_mean, transfer


def labelled(features, labels):
    return FeatureSet(features, np.zeros((len(features), 0)), labels)


def samples(count=200, dim=6, classes=4, *, noise=0.8, seed=0):
    """Overlapping classes whose features have very different scales, one of them constant."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    features = centres[labels] + noise * random.normal(size=(count, dim))
    features = features * 10.0 ** np.arange(-1, dim - 1) + 3
    features[:, 0] = 7
    return labelled(features, labels)


def sklearn_probe(train, value):
    model = LogisticRegression(C=value, tol=1e-8, max_iter=5000)
    return make_pipeline(StandardScaler(), model).fit(train.features, train.labels)


def error(model, test):
    return 1 - model.score(test.features, test.labels)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_probe_is_scikit_learn_s_on_the_same_split(classes):
    train, test = samples(classes=classes), samples(classes=classes, seed=1)
    held = module._hold_out(train.labels, seed=0)
    choices = [error(sklearn_probe(train[~held], c), train[held]) for c in module.REGULARISATIONS]
    best = int(np.argmin(choices))

    found = linear_probe(train, test)
    assert found.regularisation == module.REGULARISATIONS[best]
    assert found.validation_error == pytest.approx(choices[best])
    model = sklearn_probe(train, found.regularisation)
    assert found.test_error == pytest.approx(error(model, test))
    assert found.train_error == pytest.approx(error(model, train))
    assert 0 < found.test_error < 0.7
    assert (found.classes, found.train_samples, found.test_samples) == (classes, 200, 200)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_folded_head_gives_the_probe_s_probabilities_on_raw_features(classes):
    train, test = samples(classes=classes), samples(classes=classes, seed=1)
    head = fit_head(train, classes)
    held = module._hold_out(train.labels, seed=0)
    losses = [
        log_loss(
            train.labels[held],
            sklearn_probe(train[~held], value).predict_proba(train.features[held]),
        )
        for value in module.REGULARISATIONS
    ]
    chosen = module.REGULARISATIONS[int(np.argmin(losses))]
    probabilities = sklearn_probe(train, chosen).predict_proba(test.features)
    logits = head.logits(test.features)
    np.testing.assert_allclose(softmax(logits, axis=1), probabilities, atol=2e-3)
    np.testing.assert_allclose(head.weight.sum(axis=0), 0, atol=1e-9 * np.abs(head.weight).max())
    assert abs(head.bias.sum()) < 1e-6 * np.abs(head.bias).max()
    assert np.isfinite(logsumexp(logits, axis=1)).all()


def test_the_head_of_separable_features_is_as_sure_as_they_allow():
    """The error is zero for any C; the strongest regularisation would leave logits near zero."""
    labels = np.arange(120) % 4
    noise = np.random.default_rng(0).normal(size=(120, 6))
    train = labelled(10 * np.eye(4, 6)[labels] + 0.01 * noise, labels)
    assert linear_probe(train, train).regularisation == min(module.REGULARISATIONS)
    confidence = softmax(fit_head(train, 4).logits(train.features), axis=1).max(axis=1)
    assert confidence.min() > 0.95


def test_the_probe_minimises_the_stated_objective():
    train = samples(60)
    head = module._fit_probe(train.features, train.labels, 4, 0.1)
    scaler = StandardScaler().fit(train.features)
    inputs, weight = scaler.transform(train.features), head.weight * scaler.scale_
    wrong = softmax(head.logits(train.features), axis=1) - np.eye(4)[train.labels]
    gradient = 0.1 * wrong.T @ inputs + weight
    assert np.abs(gradient).max() < 1e-4 * len(train)
    assert np.abs(wrong.sum(axis=0)).max() < 1e-4 * len(train)


def test_test_labels_change_the_test_error_alone():
    train, test = samples(), samples(seed=1)
    shuffled = labelled(test.features, np.random.default_rng(0).permutation(test.labels))
    before, after = linear_probe(train, test).to_dict(), linear_probe(train, shuffled).to_dict()
    assert after.pop("test_error") > before.pop("test_error")
    assert after == before


def test_test_features_change_the_test_error_alone():
    train, test = samples(), samples(seed=1)
    far = labelled(-50 * test.features, test.labels)
    before, after = linear_probe(train, test).to_dict(), linear_probe(train, far).to_dict()
    assert after.pop("test_error") > before.pop("test_error")
    assert after == before


def test_constant_features_of_train_have_no_say():
    train, test = samples(), samples(seed=1)
    moved = test.features.copy()
    moved[:, 0] = 1e6
    assert fit_head(train, 4).weight[:, 0] == pytest.approx(np.zeros(4), abs=1e-12)
    assert linear_probe(train, labelled(moved, test.labels)) == linear_probe(train, test)


def test_scaling_a_feature_changes_no_probe():
    train, test = samples(), samples(seed=1)
    scales = 10.0 ** np.arange(-3, 3)
    rescaled = [labelled(s.features * scales - 4, s.labels) for s in (train, test)]
    found, expected = linear_probe(*rescaled).to_dict(), linear_probe(train, test).to_dict()
    assert found == pytest.approx(expected)


def test_the_held_out_part_is_a_fifth_of_each_class_and_follows_the_seed():
    targets = np.repeat([0, 1, 2, 3], [50, 10, 2, 1])
    held = module._hold_out(targets, seed=0)
    assert [held[targets == label].sum() for label in range(4)] == [10, 2, 1, 0]
    np.testing.assert_array_equal(held, module._hold_out(targets, seed=0))
    assert (held != module._hold_out(targets, seed=1)).any()


def test_ties_choose_the_strongest_regularisation():
    apart = labelled(100 * np.eye(3)[np.arange(30) % 3], np.arange(30) % 3)
    found = linear_probe(apart, apart)
    assert found.regularisation == module.REGULARISATIONS[0]
    assert found.test_error == found.train_error == found.validation_error == 0


def test_nearest_class_mean_matches_the_slow_loop():
    train, test = samples(), samples(seed=1)
    means = {c: train.features[train.labels == c].mean(axis=0) for c in range(4)}
    nearest = [min(means, key=lambda c: np.linalg.norm(h - means[c])) for h in test.features]
    assert nearest_class_mean(train, test) == pytest.approx(np.mean(nearest != test.labels))


def test_nearest_class_mean_takes_features_as_they_are():
    # The wide feature says nothing, the narrow one everything: only the probe rescales.
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    features = np.stack([100 * random.normal(size=400), labels + 0.1 * random.normal(size=400)], 1)
    train, test = labelled(features[:200], labels[:200]), labelled(features[200:], labels[200:])
    found = transfer(train, test)
    assert found.probe_error < 0.02
    assert found.ncm_error > 0.3


def test_transfer_holds_both():
    train, test = samples(), samples(seed=1)
    probe = linear_probe(train, test, seed=3)
    assert transfer(train, test, seed=3).to_dict() == {
        "probe_error": probe.test_error,
        "ncm_error": nearest_class_mean(train, test),
        "probe_train_error": probe.train_error,
        "probe_validation_error": probe.validation_error,
        "probe_regularisation": probe.regularisation,
        "classes": 4,
        "train_samples": 200,
        "test_samples": 200,
    }


def test_labels_may_be_any_integers():
    train, test = samples(), samples(seed=1)
    names = np.array([40, -3, 7, 900])
    renamed = [labelled(s.features, names[s.labels]) for s in (train, test)]
    # The order of classes decides nothing but how rounding falls.
    assert transfer(*renamed).ncm_error == transfer(train, test).ncm_error
    assert transfer(*renamed).probe_error == pytest.approx(
        transfer(train, test).probe_error, abs=0.03
    )


def test_fewer_samples_than_features():
    random = np.random.default_rng(0)
    labels = np.arange(20) % 4
    features = random.normal(size=(4, 50))[labels] + 0.05 * random.normal(size=(20, 50))
    train, test = labelled(features[:12], labels[:12]), labelled(features[12:], labels[12:])
    found = transfer(train, test)
    assert found.probe_error == found.ncm_error == 0


def test_half_precision_features_give_the_same_errors():
    random = np.random.default_rng(0)
    labels = np.arange(120) % 3
    features = (np.eye(8)[labels] + 0.3 * random.normal(size=(120, 8))).astype(np.float16)
    half = labelled(features, labels)
    double = labelled(features.astype(np.float64), labels)
    assert transfer(half[:60], half[60:]) == transfer(double[:60], double[60:])


def test_a_class_with_a_single_sample_is_learned():
    train = samples()
    lonely = np.vstack([train.features, 1e6 + np.arange(6.0)])
    train = labelled(lonely, np.append(train.labels, 9))
    test = labelled(lonely[-1:], np.array([9]))
    assert transfer(train, test).ncm_error == 0
    assert transfer(train, test).classes == 5


def test_single_samples_alone_leave_nothing_to_choose_by():
    train = labelled(np.eye(3), np.arange(3))
    with pytest.raises(InvalidArrayError, match="No class has two train samples"):
        linear_probe(train, train)
    with pytest.raises(InvalidArrayError, match="No class has two train samples"):
        fit_head(train, 3)
    assert nearest_class_mean(train, train) == 0


GOOD = samples(40)


@pytest.mark.parametrize("measure", [linear_probe, nearest_class_mean, transfer])
@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (GOOD, labelled(GOOD.features[:3], np.array([0, 8, 11])), r"2 classes .*labels 8, 11"),
        (GOOD[GOOD.labels != 2], GOOD, r"1 classes .*labels 2\)"),
        (GOOD[GOOD.labels == 2], GOOD, "at least two classes"),
        (labelled(GOOD.features, None), GOOD, "Train samples: 40, no labels"),
        (GOOD, labelled(GOOD.features, None), "Test samples: 40, no labels"),
        (GOOD[:0], GOOD, "Train samples: 0"),
        (GOOD, GOOD[:0], "Test samples: 0"),
        (GOOD, labelled(GOOD.features[:, 1:], GOOD.labels), "6 columns, test features 5"),
    ],
)
def test_sets_that_do_not_fit_are_refused(measure, train, test, message):
    with pytest.raises(InvalidArrayError, match=message):
        measure(train, test)


@pytest.mark.parametrize(
    ("train", "classes", "message"),
    [
        (GOOD, 5, r"no sample \(labels 4\)"),
        (GOOD, 3, "lie in 0..2"),
        (GOOD[GOOD.labels == 0], 1, "at least two classes; got 1"),
        (labelled(GOOD.features, None), 4, "no labels"),
    ],
)
def test_a_head_needs_every_class(train, classes, message):
    with pytest.raises(InvalidArrayError, match=message):
        fit_head(train, classes)


def test_nan_never_reaches_a_probe():
    with pytest.raises(InvalidArrayError, match="NaN"):
        labelled(np.full((4, 2), np.nan), np.arange(4))


def test_the_head_serves_a_detector():
    from ncviz import detectors

    train = samples()
    head = fit_head(train, 4)
    assert isinstance(head, Head)
    scored = FeatureSet(train.features, head.logits(train.features), train.labels)
    energy = detectors.create("energy").fit(scored, head).score(scored)
    np.testing.assert_allclose(energy, logsumexp(scored.logits, axis=1))


def test_both_errors_are_defined_in_words():
    fields = module.TransferResult.__dataclass_fields__
    for name, info in module.DEFINITIONS.items():
        assert name in fields
        assert (info.name, info.group, info.direction) == (name, "transfer", "lower")
