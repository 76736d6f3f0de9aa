"""How long each detector takes to fit and to score, beside pytorch-ood where it has the detector.

    python benchmarks/detectors.py [--train 50000] [--queries 10000] [--dim 512] [--classes 100]

Prints one line a detector: how many times longer pytorch-ood takes, then the seconds of both, fit
and score together, in one process on made-up float32 features. Take 1 thread or all:
OMP_NUM_THREADS=1 holds both to one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pytorch_ood import detector as peers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without an installation

from ncviz import detectors
from ncviz.arrays import FeatureSet, Head


@dataclass(frozen=True)
class Made:
    """Clustered features of a made-up network, as NumPy arrays and as tensors."""

    head: Head
    train: FeatureSet
    queries: FeatureSet

    @property
    def linear(self) -> torch.nn.Linear:
        layer = torch.nn.Linear(self.head.dim, self.head.classes)
        weight, bias = torch.tensor(self.head.weight), torch.tensor(self.head.bias)
        layer.load_state_dict({"weight": weight, "bias": bias})
        return layer.requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=50_000, help="training samples")
    parser.add_argument("--queries", type=int, default=10_000, help="samples to score")
    parser.add_argument("--dim", type=int, default=512, help="features of a sample")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--spread", type=float, default=0.7, help="within a class; 0.01: collapsed")
    parser.add_argument("--detectors", nargs="+", metavar="NAME", help="by default all")
    options = parser.parse_args()
    made = make(options.train, options.queries, options.dim, options.classes, options.spread)
    tiny = make(2 * options.classes, 10, options.dim, options.classes, options.spread)
    print(f"{'detector':24}{'ratio':>8}{'ours, s':>10}{'pytorch-ood, s':>16}")
    for name in options.detectors or detectors.names():
        if not detectors.info(name).scores_arrays:
            continue
        run_ours(name, tiny)  # imports and threads are there before the clock starts
        ours = seconds(lambda name=name: run_ours(name, made))
        if name in PEERS:
            theirs = seconds(lambda name=name: PEERS[name](made))
            print(f"{name:24}{theirs / ours:8.1f}{ours:10.3f}{theirs:16.3f}", flush=True)
        else:
            print(f"{name:24}{'-':>8}{ours:10.3f}{'-':>16}", flush=True)


def make(train: int, queries: int, dim: int, classes: int, spread: float) -> Made:
    """Non-negative features around class centres, and a head of about the centres."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, dim)).astype(np.float32)
    head = Head(centres / np.float32(np.sqrt(dim)), np.zeros(classes, np.float32))

    def draw(labels: np.ndarray) -> FeatureSet:
        noise = rng.standard_normal((len(labels), dim), np.float32)
        features = np.maximum(centres[labels] + np.float32(spread) * noise, 0)
        return FeatureSet(features, head.logits(features), labels)

    return Made(head, draw(np.arange(train) % classes), draw(np.arange(queries) % classes))


def run_ours(name: str, made: Made) -> np.ndarray:
    return detectors.create(name).fit(made.train, made.head).score(made.queries)


def by_logits(peer: Callable) -> Callable[[Made], torch.Tensor]:
    return lambda made: peer().predict_logits(torch.tensor(made.queries.logits))


def by_features(peer: Callable) -> Callable[[Made], torch.Tensor]:
    def run(made: Made) -> torch.Tensor:
        fitted = peer(made)
        fitted.fit_features(torch.tensor(made.train.features), torch.tensor(made.train.labels))
        return fitted.predict_features(torch.tensor(made.queries.features))

    return run


def by_maps(peer: Callable) -> Callable[[Made], torch.Tensor]:
    """For peers that learn thresholds of the activations."""

    def run(made: Made) -> torch.Tensor:
        fitted = peer(made)
        fitted.fit_feature_maps(torch.tensor(made.train.features), torch.tensor(made.train.labels))
        return fitted.predict_feature_maps(torch.tensor(made.queries.features))

    return run


def by_image_maps(peer: Callable) -> Callable[[Made], torch.Tensor]:
    """For peers that learn nothing and take activations as maps, (N, D, 1, 1)."""

    def run(made: Made) -> torch.Tensor:
        layer = made.linear
        shaped = peer(lambda maps: layer(maps.flatten(1)))
        return shaped.predict_feature_maps(torch.tensor(made.queries.features)[:, :, None, None])

    return run


def ash(name: str) -> Callable[[Made], torch.Tensor]:
    variant, percentile = name.replace("_", "-"), share(name, "percentile")
    return by_image_maps(
        lambda head: peers.ASH(None, head=head, variant=variant, percentile=percentile)
    )


def dice(made: Made) -> peers.DICE:
    weight, bias = torch.tensor(made.head.weight), torch.tensor(made.head.bias)
    return peers.DICE(None, w=weight, b=bias, p=share("dice", "percentile"))


def vra(made: Made) -> peers.VRA:
    low, high = share("vra", "lower_percentile"), share("vra", "upper_percentile")
    return peers.VRA(None, made.linear, lower_percentile=low, upper_percentile=high)


def kl_matching(made: Made) -> torch.Tensor:
    fitted = peers.KLMatching(None).fit_logits(torch.tensor(made.train.logits))
    return fitted.predict_logits(torch.tensor(made.queries.logits))


def temperature_scaling(made: Made) -> torch.Tensor:
    fitted = peers.TemperatureScaling(None)
    fitted.fit_logits(torch.tensor(made.train.logits), torch.tensor(made.train.labels))
    return fitted.predict_logits(torch.tensor(made.queries.logits))


def lts(made: Made) -> torch.Tensor:
    fitted = peers.LTS(None, head=made.linear, p=detectors.info("lts").defaults["share"])
    return fitted.predict_features(torch.tensor(made.queries.features))


def gradnorm(made: Made) -> torch.Tensor:
    fitted = peers.GradNorm(made.linear, param_filter=lambda name: name == "weight")
    return fitted.predict(torch.tensor(made.queries.features))


def share(name: str, parameter: str) -> float:
    """A percentile as the fraction that pytorch-ood takes."""
    return detectors.info(name).defaults[parameter] / 100


def vim(made: Made) -> peers.ViM:
    weight, bias = torch.tensor(made.head.weight), torch.tensor(made.head.bias)
    return peers.ViM(None, d=made.head.dim // 2, w=weight, b=bias)


PEERS = {
    "msp": by_logits(lambda: peers.MaxSoftmax(None)),
    "max_logit": by_logits(lambda: peers.MaxLogit(None)),
    "energy": by_logits(lambda: peers.EnergyBased(None)),
    "entropy": by_logits(lambda: peers.Entropy(None)),
    "gen": by_logits(lambda: peers.GEN(None, gamma=0.1)),
    "kl_matching": kl_matching,
    "temperature_scaling": temperature_scaling,
    "react": by_maps(
        lambda made: peers.ReAct(None, head=made.linear, percentile=share("react", "percentile"))
    ),
    "vra": by_maps(vra),
    "ash_p": ash("ash_p"),
    "ash_b": ash("ash_b"),
    "ash_s": ash("ash_s"),
    "scale": by_image_maps(
        lambda head: peers.SCALE(None, head=head, percentile=share("scale", "percentile"))
    ),
    "lts": lts,
    "dice": by_features(dice),
    "gradnorm": gradnorm,
    "mahalanobis": by_features(lambda made: peers.Mahalanobis(None)),
    "relative_mahalanobis": by_features(lambda made: peers.RMD(None)),
    "vim": by_features(vim),
    "pnml": by_features(lambda made: peers.PNML(None, head=made.linear)),
    "she": by_features(lambda made: peers.SHE(None, head=made.linear)),
    "fdbd": by_features(lambda made: peers.fDBD(None, head=made.linear)),
    "nci": by_features(lambda made: peers.NCI(None, head=made.linear, alpha=1e-4)),
    "knn": by_features(lambda made: peers.KNN(None, k=50)),
    "nnguide": by_features(lambda made: peers.NNGuide(None, head=made.linear, k=100)),
}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
