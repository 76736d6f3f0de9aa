"""The practical work report on OOD detection and neural collapse: its numbers, and its slips."""

from __future__ import annotations

from ncviz.sources.record import Collapse, Detection, Document, Row, Scores, Table

_SWAPPED = (
    "The paragraphs of Maximum Logit and MSP are swapped: a softmax probability lies between 0 "
    "and 1, so the scores from 6.4 to 50.0 are logits. The captions of figures 3 to 6, which the "
    "paragraphs point to, have the names the right way round, and so has this table."
)
_TWICE = (
    "Two results are printed for one score, without a word on what differs: one as “close to "
    "random”, one as “significantly lower”. One is not the other turned round, since they do not "
    "add up to 1."
)
_DISTANCE = (
    "The scores are positive distances, larger for what is farther away. If they were taken as "
    "they are, with ID positive, the AUROC turned round is one minus the printed one; the report "
    "does not say whether it did so, for either result."
)


def _upside_down(printed: str) -> float:
    """The AUROC of a score whose sign is turned."""
    return round(1 - float(printed), 4)


_SCORES = Table(
    "OOD detection, CIFAR-100 against CIFAR-10",
    "section 1.1 (from page 5), model 1",
    (
        Row("MSP: AUROC", "0.6850", Detection("msp", "auroc"), note=_SWAPPED),
        Row("MSP: AUPR", "0.6338", Detection("msp", "aupr_in")),
        Row("MSP: scores of ID", "0.1 to 1.0", Scores("msp", known=True)),
        Row("MSP: scores of OOD", "0.2 to 1.0", Scores("msp", known=False)),
        Row(
            "MaxLogit: AUROC",
            "0.7028",
            Detection("max_logit", "auroc"),
            note="The text names 0.6850 as the best AUROC of all and as that of Maximum Logit. "
            "It is neither: MaxLogit has 0.7028, and 0.6850 is that of MSP.",
        ),
        Row("MaxLogit: AUPR", "0.6588", Detection("max_logit", "aupr_in")),
        Row("MaxLogit: scores of ID", "6.4 to 50.0", Scores("max_logit", known=True)),
        Row("MaxLogit: scores of OOD", "6.4 to 43.6", Scores("max_logit", known=False)),
        Row(
            "Energy: AUROC",
            "0.2971",
            Detection("energy", "auroc"),
            meant=_upside_down("0.2971"),
            note="The score was the energy E = −log Σ exp z, which is lower for ID: its range "
            "mirrors that of the logits. Turned round, it ranks as MaxLogit does. The "
            "AUPR cannot be turned round from the number alone.",
        ),
        Row("Energy: AUPR", "0.3734", Detection("energy", "aupr_in")),
        Row("Energy: scores of ID", "-50.0 to -7.5", Scores("energy", known=True)),
        Row("Energy: scores of OOD", "-43.6 to -7.8", Scores("energy", known=False)),
        Row(
            "Mahalanobis: AUROC, first result",
            "0.5779",
            Detection("mahalanobis", "auroc"),
            note=_TWICE,
        ),
        Row("Mahalanobis: AUPR, first result", "0.5469", Detection("mahalanobis", "aupr_in")),
        Row(
            "Mahalanobis: AUROC, second result",
            "0.3759",
            Detection("mahalanobis", "auroc"),
            note=_DISTANCE,
        ),
        Row("Mahalanobis: AUPR, second result", "0.4067", Detection("mahalanobis", "aupr_in")),
        Row(
            "Mahalanobis: scores of ID",
            "10.1 to 36.0",
            Scores("mahalanobis", known=True),
            note="Distances here are squared and negative, since higher means more "
            "in-distribution. The report says neither whether it squared them nor how it "
            "estimated the covariance.",
        ),
        Row("Mahalanobis: scores of OOD", "15.9 to 36.0", Scores("mahalanobis", known=False)),
        Row(
            "ViM: AUROC",
            "0.4886",
            Detection("vim", "auroc"),
            note="Below 0.5, a score ranks the wrong way round; so close to it, either way is "
            "near guessing. The report does not give its dimension of the subspace.",
        ),
        Row("ViM: AUPR", "0.4836", Detection("vim", "aupr_in")),
        Row("ViM: scores of ID", "-41.2 to -19.6", Scores("vim", known=True)),
        Row("ViM: scores of OOD", "-40.9 to -19.3", Scores("vim", known=False)),
    ),
    (
        "The report concludes that scores from the logits did better than Mahalanobis, Energy "
        "and ViM. Energy is itself a score of the logits, and has nearly the AUROC of MaxLogit "
        "once its sign is turned. The report gives no interval for any difference.",
        "The report does not say which class is positive in its AUPR; beside it stands the one "
        "with ID positive. An AUPR depends on how many samples there are of each kind.",
        "The numbers of this table are those of model 1, those of the other two tables belong to "
        "model 2: NECO's result is no comparison with these detectors.",
    ),
)

_COLLAPSE = Table(
    "Neural collapse",
    "table 2, sections 2.4 and 2.5 (pages 10 and 11), model 2",
    (
        Row(
            "NC1, tr Σ_W / tr Σ_B",
            "0.542",
            Collapse("nc1_trace"),
            note="Not the paper's NC1, tr(Σ_W Σ_B⁺)/C, although the report says that it follows "
            "its notation: the two cannot be compared in size.",
        ),
        Row(
            "NC1, ‖Σ_W‖ / ‖Σ_B‖",
            "0.326",
            Collapse("nc1_frobenius"),
            note="A ratio of Frobenius norms, found under the name of NC1 in this report alone.",
        ),
        Row("NC2, spread of the lengths ‖μ_c − μ_G‖", "0.057", Collapse("nc2_equinorm")),
        Row(
            "NC2, distance of the Gram matrix from the ETF",
            "0.840",
            Collapse("nc2_gram"),
            note="Grows with the number of classes. It adds nothing to the spread of cosines two "
            "rows down: 0.085 between 100 classes comes to just this.",
        ),
        Row(
            "NC2, mean cosine of two classes",
            "-0.01",
            Collapse("nc2_cosine_mean"),
            note="The report says that it should converge to 0. Its limit is −1/(C−1), and "
            "centring alone brings it there, collapsed or not.",
        ),
        Row("NC2, spread of these cosines", "0.085", Collapse("nc2_cosine_std")),
        Row("NC3, ‖W/‖W‖ − M/‖M‖‖", "0.311", Collapse("nc3_duality")),
        Row("NC3, mean cos(w_c, μ_c − μ_G)", "0.956", Collapse("nc3_cosine_mean")),
        Row("NC3, smallest cos(w_c, μ_c − μ_G)", "0.941", Collapse("nc3_cosine_min")),
        Row(
            "NC4, network and nearest class mean agree",
            "0.9998",
            Collapse("nc4_agreement"),
            note="The table has the right definition, the text another: see below.",
        ),
        Row("Train accuracy of the network", "0.99968", Collapse("network_accuracy")),
        Row(
            "Train accuracy of the nearest class mean",
            "0.099972",
            Collapse("ncc_accuracy"),
            meant=round(10 * float("0.099972"), 5),
            note="A zero too many behind the point: two classifiers that agree on 0.9998 of the "
            "samples cannot be right on 0.99968 of them and on a tenth.",
        ),
    ),
    (
        "In its text the report describes two of the properties as something else. Its list at "
        "the head of section 2 says of NC2 what is NC3 (the head follows the class means), and "
        "of NC4 that the network classifies its training data perfectly. Section 2.3.4 and table "
        "1 say of NC4 that the feature extractor projects onto the directions of the ETF. NC4 "
        "is the rule of its table 2: the network decides as the nearest class mean does.",
        "Section 2.3.3 has biases become proportional to the class means, too. NC3 is about the "
        "rows of the head alone.",
        "The report reads strong collapse out of these numbers, “particularly in level 2 and "
        "4”, and “not full collapse” in its conclusion. The second fits them better: NC1 of "
        "0.542 means that the variance within classes is still half of that between their means.",
    ),
)

_NECO = Table(
    "NECO, CIFAR-100 against CIFAR-10",
    "table 3, section 3 (page 12), model 2",
    (
        Row(
            "FPR95",
            "0.7907",
            Detection("neco", "fpr95"),
            note="The report does not say which class is positive. Beside it stands the "
            "convention of NECO's authors, ID positive; with OOD positive FPR95 is another "
            "number.",
        ),
        Row("AUROC", "0.6693", Detection("neco", "auroc")),
        Row("AUPR", "0.6226", Detection("neco", "aupr_in")),
        Row(
            "Threshold accuracy",
            "0.6106",
            Detection("neco", "detection_accuracy"),
            note="Printed in section 3.3 without a definition or a threshold. Beside it stands "
            "the best balanced accuracy over all thresholds.",
        ),
    ),
    (
        "The report gives neither the dimension of NECO's subspace nor whether features were "
        "scaled first: both change the score.",
    ),
)

REPORT = Document(
    name="report",
    title="Practical Work Report",
    authors="DE QUEIROZ GARCIA Luana, NOGUEIRA FALABELLA Leonardo",
    published="École Nationale Supérieure de Techniques Avancées - ENSTA Paris, 20 février 2026",
    address="",
    setting=(
        ("Data", "CIFAR-100, random horizontal flips and random crops; OOD: CIFAR-10"),
        ("Network", "ResNet-18, weights pre-trained on ImageNet"),
        (
            "Training",
            "400 epochs of SGD with momentum of 0.9. Model 1: learning rate of 0.01, cosine "
            "annealing. Model 2: 0.1, multi-step decay of rate 0.1 in two milestones",
        ),
    ),
    ood_set="cifar10",
    why_other="Another network, which began with weights from ImageNet, and another training.",
    tables=(_SCORES, _COLLAPSE, _NECO),
)
