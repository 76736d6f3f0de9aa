"""Every printed formula, evaluated from its text, equals what the code computes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from printed_formulas import FORMULAS
from sklearn.linear_model import LogisticRegression

from ncviz import collapse, detectors, metrics, transfer
from ncviz.arrays import ClassStatistics, FeatureSet, Head
from ncviz.data import Transform
from ncviz.detectors import probe_energy
from ncviz.inference.odin import odin_scores
from ncviz.temperature import fit_temperature

C, D = 4, 20
PRINTED = {
    **{("detector", name): detectors.info(name).formula for name in detectors.names()},
    ("detector", "energy_probe"): probe_energy.INFO.formula,
    **{("collapse", name): info.formula for name, info in collapse.METRICS.items()},
    **{
        ("risk" if name in metrics.RISK_DEFINITIONS else "score", name): info.formula
        for name, info in metrics.DEFINITIONS.items()
    },
    **{("calibration", n): info.formula for n, info in metrics.CALIBRATION_DEFINITIONS.items()},
    **{("transfer", name): info.formula for name, info in transfer.DEFINITIONS.items()},
}


@pytest.fixture(scope="module")
def network():
    """Features with negative entries, so that positive parts matter, and a head."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(C, D)) + 0.3
    labels = np.arange(120) % C
    features = centres[labels] + 0.8 * rng.normal(size=(120, D))
    head = Head(
        0.5 * (centres - centres.mean(axis=0)) + 0.1 * rng.normal(size=(C, D)), rng.normal(size=C)
    )
    means = np.array([features[labels == c].mean(axis=0) for c in range(C)])
    mean = means.mean(axis=0)  # classes are of one size, so the mean of all samples is the same
    gaps = features - means[labels]
    return SimpleNamespace(
        H=features,
        Y=labels,
        Z=features @ head.weight.T + head.bias,
        W=head.weight,
        b=head.bias,
        V=head.weight[::-1],
        a=head.bias[::-1],
        mu=means,
        mu_g=mean,
        within=gaps.T @ gaps / len(gaps),
        between=(means - mean).T @ (means - mean) / C,
        total=(features - mean).T @ (features - mean) / len(features),
        ood=rng.normal(size=(30, D)) + 0.5,
        head=head,
    )


def test_every_printed_formula_is_evaluated_by_its_text():
    """A new formula takes an entry, and a changed text a new look at its function."""
    assert {key: latex for key, (latex, _) in FORMULAS.items()} == PRINTED


def scores(name, network, samples):
    train = FeatureSet(network.H, network.Z, network.Y)
    if name == "energy_probe":
        return probe_energy.score(Head(network.V, network.a), samples)
    if name == "odin":
        layer = torch.nn.Linear(D, C).double()
        layer.load_state_dict({"weight": torch.tensor(network.W), "bias": torch.tensor(network.b)})

        def run(images):
            return SimpleNamespace(logits=layer(images[:, 0, 0]))

        plain = Transform(size=1, mean=(0.0,) * 3, std=(1.0,) * 3)
        images = torch.tensor(samples.features)[:, None, None].repeat(1, 3, 1, 1)
        return odin_scores(run, images, plain)
    return detectors.create(name).fit(train, network.head).score(samples)


@pytest.mark.parametrize("name", [name for kind, name in FORMULAS if kind == "detector"])
def test_detectors_score_by_their_printed_formula(network, name):
    samples = FeatureSet(network.ood[:8], network.ood[:8] @ network.W.T + network.b)
    _, evaluate = FORMULAS["detector", name]
    rows = zip(samples.features, samples.logits, strict=True)
    expected = [evaluate(network, h, z) for h, z in rows]
    assert np.ptp(expected) > 0
    rtol = 1e-6 if name in ("temperature_scaling", "relation") else 1e-8
    np.testing.assert_allclose(scores(name, network, samples), expected, rtol=rtol)


@pytest.mark.parametrize("name", [name for kind, name in FORMULAS if kind == "collapse"])
def test_collapse_metrics_follow_their_printed_formula(network, name):
    statistics = ClassStatistics.of(network.H, network.Y, C)
    samples = FeatureSet(network.H, network.Z, network.Y)
    found = {
        **collapse.measure(statistics, network.head).to_dict(),
        **collapse.spread(network.H).to_dict(),
        **collapse.agreement(samples, statistics, network.head).to_dict(),
        **collapse.orthogonality(statistics, network.ood).to_dict(),
    }
    assert found[name] == pytest.approx(FORMULAS["collapse", name][1](network), rel=1e-8)


@pytest.mark.parametrize("name", [name for kind, name in FORMULAS if kind == "score"])
@pytest.mark.parametrize("digits", [1, 8])
def test_detection_metrics_follow_their_printed_formula(name, digits):
    rng = np.random.default_rng(1)
    ids, oods = rng.normal(1, 1, 60).round(digits), rng.normal(0, 1, 45).round(digits)
    found = metrics.detection_metrics(ids, oods).to_dict()[name]
    assert found == pytest.approx(FORMULAS["score", name][1](ids, oods), rel=1e-12)


@pytest.mark.parametrize("name", [name for kind, name in FORMULAS if kind == "risk"])
def test_risks_follow_their_printed_formula(name):
    rng = np.random.default_rng(1)
    ids, oods, correct = rng.normal(1, 1, 60), rng.normal(0, 1, 45), rng.random(60) < 0.8
    failures = ~correct if name.startswith("scod") else np.zeros(60, bool)
    found = metrics.ood_risks(ids, oods, correct)[name]
    expected = FORMULAS["risk", name][1](
        np.concatenate([ids, oods]), np.concatenate([failures, np.ones(45, bool)])
    )
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [name for kind, name in FORMULAS if kind == "calibration"])
def test_calibration_follows_its_printed_formula(network, name):
    logits = 3 * network.Z
    found = {
        "temperature": lambda: fit_temperature(logits, network.Y),
        "ece": lambda: metrics.reliability(logits, network.Y).calibration_error,
        "nll": lambda: metrics.negative_log_likelihood(logits, network.Y),
    }[name]()
    assert found == pytest.approx(FORMULAS["calibration", name][1](logits, network.Y), rel=1e-6)


@pytest.mark.parametrize("name", [name for kind, name in FORMULAS if kind == "transfer"])
def test_transfer_errors_follow_their_printed_formula(network, name):
    rng = np.random.default_rng(2)
    labels = np.arange(200) % C
    features = network.mu[labels] + 1.5 * rng.normal(size=(200, D))
    train, test = (
        FeatureSet(network.H, network.Z, network.Y),
        FeatureSet(features, features[:, :C], labels),
    )
    found = transfer.transfer(train, test)
    mean, deviation = network.H.mean(axis=0), network.H.std(axis=0)
    model = LogisticRegression(C=found.probe_regularisation, max_iter=5000, tol=1e-8)
    model.fit((network.H - mean) / deviation, network.Y)
    weight = model.coef_ / deviation
    probe = weight, model.intercept_ - weight @ mean
    expected = FORMULAS["transfer", name][1](probe, network.mu, features, labels)
    assert getattr(found, name) == pytest.approx(expected, abs=0.011)  # two samples of 200
    assert 0.02 < expected < 0.9
