"""The words that the pages use, each explained in a sentence or two that need no paper."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word and what it means here.

    Attributes
    ----------
    name : as the pages write it, and as `TERMS` lists it
    definition : plain text
    also : other words for it that a reader may look for
    """

    name: str
    definition: str
    also: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Everything it is found by, in small letters."""
        return " ".join((self.name, *self.also, self.definition)).lower()


_RUNS = (
    Term(
        "Run",
        "One training of one network, with everything that was measured about it.",
        ("training", "experiment"),
    ),
    Term(
        "Epoch",
        "One pass of the training over all its images. A run keeps the network as it was after "
        "some of its epochs; these are the ones that can be chosen.",
        ("checkpoint",),
    ),
    Term(
        "Layer",
        "A place inside the network at which its response to an image is read off: inside the "
        "backbone (stage1, stage2, ...), at its end (encoder) or after it (projector).",
    ),
    Term(
        "Features",
        "What a layer makes of an image: a list of numbers. Images that the layer finds alike get "
        "features that lie close together.",
        ("embedding", "representation", "activations"),
    ),
    Term(
        "Encoder",
        "The layer at the end of the backbone. Its features are what other tasks would reuse.",
        ("backbone",),
    ),
    Term(
        "Projector",
        "A further layer after the encoder whose weights are fixed before the training, made so "
        "that classes collapse more there than in the encoder. Not every network has one.",
        ("projection head",),
    ),
    Term(
        "Head",
        "The last step of the network. It has a row of weights for each class and turns features "
        "into one number per class, the logits.",
        ("classifier", "weights"),
    ),
    Term(
        "Logits",
        "The numbers, one per class, that the head gives an image. The largest one is the "
        "predicted class; softmax turns them into shares that add up to 1.",
        ("softmax",),
    ),
    Term(
        "Accuracy",
        "Share of samples whose predicted class is the true one.",
        ("test accuracy", "error"),
    ),
)

_DATA = (
    Term(
        "Sample",
        "One image of a data set. The same samples are followed through all epochs.",
        ("image",),
    ),
    Term(
        "ID",
        "In-distribution: images of the kind that the network was trained on. The network should "
        "accept them as known.",
        ("in-distribution", "known"),
    ),
    Term(
        "OOD",
        "Out-of-distribution: images of another kind than those of the training. The network "
        "cannot classify them, and should notice that they are unknown.",
        ("out-of-distribution", "unknown"),
    ),
    Term(
        "Near and far",
        "Two kinds of OOD sets. Near ones resemble the training data, such as other photographs "
        "of objects; far ones look nothing like them, such as textures or noise.",
        ("near", "far", "group"),
    ),
)

_COLLAPSE = (
    Term(
        "Neural collapse",
        "What happens to features late in training: samples of one class draw together into a "
        "point, and the points of all classes spread out evenly. NC1 to NC5 measure it.",
        ("collapse", "NC"),
    ),
    Term(
        "Class mean",
        "The average of the features of all training samples of one class. Centred means are "
        "seen from the average of all class means.",
        ("μ_c", "global mean", "centred"),
    ),
    Term(
        "ETF",
        "Simplex equiangular tight frame: directions of equal length that point as far away from "
        "each other as so many can, like the corners of a triangle or a tetrahedron.",
        ("simplex", "equiangular tight frame"),
    ),
    Term(
        "Gram matrix",
        "A table with a row and a column for each class. Each cell is the cosine of the angle "
        "between two class means: 1 for the same direction, 0 for a right angle.",
        ("cosine", "heatmap"),
    ),
    Term(
        "NC1",
        "How far samples of one class scatter, compared with the distance between classes. Falls "
        "to 0 when every sample sits on its class mean.",
        ("within-class variability",),
    ),
    Term(
        "NC2",
        "How far the class means are from an ETF: equal lengths, and equal angles as wide as "
        "possible. Falls to 0.",
    ),
    Term(
        "NC3",
        "How far the rows of the head are from the class means, apart from their scale. Falls to "
        "0; where it is written as a cosine, it rises to 1.",
        ("self-duality",),
    ),
    Term(
        "NC4",
        "Share of samples for which the network predicts the class whose mean is nearest. Rises "
        "to 1.",
        ("nearest class mean",),
    ),
    Term(
        "NC5",
        "How much OOD features point along the class means. Falls to 0 when they stand at right "
        "angles to all of them, and are easy to tell apart.",
        ("orthogonality",),
    ),
    Term(
        "Entropy",
        "On the pages about layers: how evenly features fill their space, from the distance of "
        "each sample to its nearest neighbour; lower is more clustered. Also the name of a "
        "detector, which asks how undecided the logits are.",
        ("spread",),
    ),
    Term(
        "Effective rank",
        "How many directions the features really use, out of as many as they have numbers.",
    ),
)

_DETECTION = (
    Term(
        "Detector",
        "A rule that gives every image a score for how well it fits the training data.",
        ("OOD detection", "method"),
    ),
    Term(
        "Score",
        "The number that a detector gives an image. Here a higher one always means more "
        "in-distribution, whichever sign the paper chose.",
    ),
    Term(
        "Threshold",
        "Where the score is cut: images at or above it are accepted as known, the others "
        "rejected as unknown.",
        ("cut", "operating point"),
    ),
    Term(
        "Percentile",
        "Share of the known samples that score lower than this one, equal scores counting half "
        "(mid-rank). 50 is the middle of the known samples; 0 is below all of them.",
    ),
    Term(
        "AUROC",
        "Chance that a known sample scores higher than an unknown one. 1 is perfect, 0.5 is "
        "guessing, below 0.5 the score ranks the wrong way round.",
        ("ROC", "area under the curve"),
    ),
    Term(
        "FPR95",
        "Share of unknown samples that slip through when the threshold accepts 95% of the known "
        "ones. 0 is perfect. Some papers mean the reverse, known samples that are rejected.",
        ("false positive rate", "FPR@95"),
    ),
    Term(
        "AUPR",
        "Precision averaged over all thresholds: of what was accepted, how much was known "
        "(AUPR-in), or of what was rejected, how much unknown (AUPR-out). Depends on how many "
        "samples of each kind there are.",
        ("precision", "recall", "average precision"),
    ),
    Term(
        "AURC",
        "Area under the risk-coverage curve: the share of failures among accepted samples, "
        "averaged over all numbers of accepted samples. Failures are misclassified samples, "
        "accepted unknown samples, or both (SCOD). Lower is better.",
        ("selective classification", "risk", "SCOD"),
    ),
    Term(
        "AUGRC",
        "As AURC, with failures counted as a share of all samples: the average risk of undetected "
        "failures. Lower is better.",
        ("generalized risk",),
    ),
    Term(
        "Confidence interval",
        "The range that the true value lies in with a chance of 95%, as far as the number of "
        "samples tells: another draw of samples would give another number.",
        ("interval",),
    ),
    Term(
        "Critical difference",
        "The smallest difference in mean rank at which two detectors differ significantly. The "
        "diagram joins detectors by a bar where no pair differs by as much.",
        ("Friedman test", "Conover", "Holm", "rank"),
    ),
    Term(
        "Verdict",
        "What a detector says about one image: known or unknown, at the chosen operating point.",
    ),
    Term(
        "p-value",
        "Share of known samples that would look as strange as this image or stranger. A small "
        "one speaks against the image being of a known kind.",
    ),
    Term(
        "Calibration",
        "Whether the network is right as often as its confidence says: of images it is 80% "
        "sure of, 80% should be right.",
        ("confidence", "temperature"),
    ),
    Term(
        "ECE",
        "Expected calibration error: how far confidence and accuracy lie apart on average. 0 is "
        "perfect.",
        ("expected calibration error",),
    ),
)

_COMPARING = (
    Term(
        "Transfer error",
        "Share of mistakes on another labelled data set when its images are classified from the "
        "features of this network. It says what the features are worth elsewhere.",
        ("transfer", "OOD generalisation", "generalization"),
    ),
    Term(
        "Linear probe",
        "A new head trained on fixed features. It shows what can be read off a layer, and gives "
        "layers without a head of their own something to be compared by.",
        ("probe", "linear evaluation"),
    ),
    Term(
        "Correlation",
        "How closely two numbers move together, as r: 1 rising together, −1 one falling as the "
        "other rises, 0 no straight-line relation.",
        ("Pearson", "r"),
    ),
    Term(
        "UMAP",
        "A way to draw features of many numbers as points in the plane. It keeps neighbours "
        "together; distances between far groups and the axes mean little.",
        ("map", "projection"),
    ),
    Term(
        "PCA",
        "The two directions in which the features vary most, drawn as a plane.",
        ("principal components",),
    ),
    Term(
        "Trustworthiness",
        "How far the neighbours that a map shows are neighbours in the features too. 1: all of "
        "them; about 0.5: no better than a random arrangement.",
        ("map quality",),
    ),
    Term(
        "Preserved neighbours",
        "The share of a sample's 15 nearest neighbours in the features that are among its 15 "
        "nearest in the map, averaged over the mapped samples.",
        ("map quality",),
    ),
    Term(
        "Explained variance",
        "The share of the features' variance that the two axes of a linear view show. What is "
        "missing from 100% lies in directions that the view hides.",
        ("PCA", "map quality"),
    ),
    Term(
        "Nearest neighbours",
        "The samples whose features lie closest to those of a given one.",
        ("neighbour", "kNN"),
    ),
)

TERMS: dict[str, Term] = {
    term.name: term for term in (*_RUNS, *_DATA, *_COLLAPSE, *_DETECTION, *_COMPARING)
}
"""Every term by its name, related ones side by side."""
