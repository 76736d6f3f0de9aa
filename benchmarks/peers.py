"""The detectors of pytorch-ood, each as a function of the same arrays as ours.

Every one returns scores of the queries, fit included, in pytorch-ood's own direction: lower = ID.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from made import Made
from pytorch_ood import detector as peers

from ncviz import detectors


def by_logits(peer: Callable) -> Callable[[Made], torch.Tensor]:
    return lambda made: peer().predict_logits(torch.from_numpy(made.queries.logits))


def by_features(peer: Callable) -> Callable[[Made], torch.Tensor]:
    def run(made: Made) -> torch.Tensor:
        fitted = peer(made)
        fitted.fit_features(*made.tensors(made.train)[::2])
        return fitted.predict_features(made.tensors(made.queries)[0])

    return run


def by_maps(peer: Callable) -> Callable[[Made], torch.Tensor]:
    """For peers that learn thresholds of the activations."""

    def run(made: Made) -> torch.Tensor:
        fitted = peer(made)
        fitted.fit_feature_maps(*made.tensors(made.train)[::2])
        return fitted.predict_feature_maps(made.tensors(made.queries)[0])

    return run


def by_image_maps(peer: Callable) -> Callable[[Made], torch.Tensor]:
    """For peers that learn nothing and take activations as maps, (N, D, 1, 1)."""

    def run(made: Made) -> torch.Tensor:
        layer = made.linear
        shaped = peer(lambda maps: layer(maps.flatten(1)))
        return shaped.predict_feature_maps(made.tensors(made.queries)[0][:, :, None, None])

    return run


def ash(name: str) -> Callable[[Made], torch.Tensor]:
    variant, percentile = name.replace("_", "-"), share(name, "percentile")
    return by_image_maps(
        lambda head: peers.ASH(None, head=head, variant=variant, percentile=percentile)
    )


def dice(made: Made) -> peers.DICE:
    weight, bias = torch.from_numpy(made.head.weight), torch.from_numpy(made.head.bias)
    return peers.DICE(None, w=weight, b=bias, p=share("dice", "percentile"))


def vra(made: Made) -> peers.VRA:
    low, high = share("vra", "lower_percentile"), share("vra", "upper_percentile")
    return peers.VRA(None, made.linear, lower_percentile=low, upper_percentile=high)


def kl_matching(made: Made) -> torch.Tensor:
    fitted = peers.KLMatching(None).fit_logits(torch.from_numpy(made.train.logits))
    return fitted.predict_logits(torch.from_numpy(made.queries.logits))


def temperature_scaling(made: Made) -> torch.Tensor:
    fitted = peers.TemperatureScaling(None)
    fitted.fit_logits(*made.tensors(made.train)[1:])
    return fitted.predict_logits(torch.from_numpy(made.queries.logits))


def lts(made: Made) -> torch.Tensor:
    fitted = peers.LTS(None, head=made.linear, p=detectors.info("lts").defaults["share"])
    return fitted.predict_features(made.tensors(made.queries)[0])


def gradnorm(made: Made) -> torch.Tensor:
    fitted = peers.GradNorm(made.linear, param_filter=lambda name: name == "weight")
    return fitted.predict(made.tensors(made.queries)[0])


def share(name: str, parameter: str) -> float:
    """A percentile as the fraction that pytorch-ood takes."""
    return detectors.info(name).defaults[parameter] / 100


def vim(made: Made) -> peers.ViM:
    weight, bias = torch.from_numpy(made.head.weight), torch.from_numpy(made.head.bias)
    dim = 1000 if made.head.dim >= 2048 else made.head.dim // 2  # as ours, of these sizes
    return peers.ViM(None, d=dim, w=weight, b=bias)


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
