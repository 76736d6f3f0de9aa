"""Charts in words: each sentence holds the numbers that the chart shows."""

from __future__ import annotations

import numpy as np
import pytest

from ncviz import figures
from ncviz.figures.theme import ID_STYLE, ood_style
from ncviz.ui import told

EPOCHS = np.array([1, 5, 9])


def series(name: str, *values: float) -> figures.Series:
    return figures.Series(name, EPOCHS, np.array(values))


def test_distributions_say_medians_and_what_is_accepted():
    scores = {"known": np.array([1.0, 3, 5, 7]), "letters": np.array([0.0, 1, 4])}
    words = told.distributions("Energy", scores, 3.0, {})
    assert words == (
        "Densities of Energy scores, cut at 3. known: median 4, 75.0% accepted; "
        "letters: median 1, 33.3% accepted."
    )
    assert told.distributions("Energy", scores, 3.0, {"letters": 1200}).endswith(
        " Selected and marked below: 1,200 of letters."
    )
    nothing = told.distributions("Energy", scores, np.inf, {})
    assert "none of which is accepted" in nothing
    assert "known: median 4, 0.0% accepted" in nothing


def test_curves_say_their_areas_and_points():
    line = np.linspace(0, 1, 3)
    drawn = [
        figures.OperatingCurve(name, area, line, line, point, ID_STYLE)
        for name, area, point in (("letters", 0.9312, (0.25, 0.5)), ("noise", 0.5, None))
    ]
    assert told.curves("ROC", "AUROC", drawn) == (
        "ROC. AUROC: letters 0.931, noise 0.500. The threshold lies at (0.25, 0.50) for letters."
    )
    assert told.curves("ROC", "AUROC", drawn[1:]) == "ROC. AUROC: noise 0.500."


@pytest.mark.parametrize(
    ("values", "epoch", "words"),
    [
        ((3, 2, 1), 5, "NC1 from 3 at epoch 1 to 1 at epoch 9, 2 at epoch 5"),
        ((3, 2, 1), 9, "NC1 from 3 at epoch 1 to 1 at epoch 9"),
        ((np.nan, 2, 1), 1, "NC1 from 2 at epoch 5 to 1 at epoch 9"),
        ((np.nan, 2, np.nan), 5, "NC1 2 at epoch 5"),
        ((np.nan, np.nan, np.nan), 5, "NC1 not measured"),
    ],
)
def test_a_line_is_told_by_its_ends_and_the_chosen_epoch(values, epoch, words):
    panel = figures.Panel("NC1", (series("", *values),))
    assert told.over_epochs("Collapse", [panel], epoch) == f"Collapse. {words}."


def test_of_many_things_the_first_are_told():
    panel = figures.Panel("NC5", tuple(series(f"set {at}", 1, 1, 1) for at in range(8)))
    words = told.over_epochs("Collapse", [panel], None)
    assert "set 5" in words
    assert "set 6" not in words
    assert words.endswith("and 2 more.")


def test_runs_are_told_one_after_the_other():
    trend = figures.RunTrend(
        "digits", "encoder", series("nc1_pinv", 3, 2, 1), (series("AUROC", 0, 0, 1),)
    )
    assert told.trends([trend]) == (
        "NC1 and AUROC over epochs. digits (encoder): NC1 from 3 at epoch 1 to 1 at epoch 9, "
        "AUROC from 0 at epoch 1 to 1 at epoch 9."
    )


def test_bands_are_told_at_the_chosen_epoch():
    def band(name: str, style) -> figures.Band:
        return figures.Band(name, EPOCHS, EPOCHS / 10, EPOCHS * 0, EPOCHS * 0, style)

    panel = figures.BandPanel("near OOD", (band("Energy", ID_STYLE), band("MSP", None)))
    assert told.bands("AUROC", [panel], 5) == (
        "AUROC of detectors over epochs, at epoch 5. near OOD: Energy 0.500."
    )
    assert "none chosen" in told.bands("AUROC", [panel], 6)


def board(*, higher: bool) -> figures.Board:
    values = np.array([[0.9, 0.4], [0.7, np.nan]])
    return figures.Board(
        metric="auroc",
        label="AUROC",
        higher_is_better=higher,
        detectors=("energy", "msp"),
        columns=(figures.Column("letters", "near"), figures.Column("noise", "far")),
        values=values,
        lows=values,
        highs=values,
        aurocs=values,
        ranks=np.array([1.0, 2.0]),
        corrected=np.array([[1.0, 1.0], [0.2, np.nan]]) if higher else np.full((2, 2), np.nan),
        compared_with=("Energy", "Energy"),
    )


def test_the_board_says_who_is_best_on_each_set():
    words = told.board(board(higher=True), ["Energy", "MSP"])
    assert words == (
        "AUROC of 2 detectors. Best on letters Energy 0.900, noise Energy 0.400. "
        "Not significantly different from the best on noise: Energy. "
        "Worse than chance on a set: Energy."
    )
    assert "letters MSP 0.700" in told.board(board(higher=False), ["Energy", "MSP"])


@pytest.mark.parametrize(
    ("higher", "near", "far"), [(True, "a 0.900", "b 0.800"), (False, "b 0.100", "a 0.200")]
)
def test_near_against_far_says_the_best_of_each(higher, near, far):
    values = np.array([0.9, 0.1]), np.array([0.2, 0.8])
    family = figures.Family("logits", ("a", "b"), *values, ID_STYLE)
    words = told.near_far([family], "AUROC", higher_is_better=higher)
    assert f"best on near sets {near}, best on far sets {far}." in words


def test_differences_carry_their_intervals():
    words = told.differences("Energy", "MSP", {"noise": (0.02, -0.01, 0.05)})
    assert words.endswith("intervals: noise +0.020 [-0.010, +0.050].")


def test_reliability_weighs_bins_by_their_samples():
    line = figures.Reliable(
        "as it is", np.array([0.9, 0.5]), np.array([0.8, 0.9]), [3, 1], ID_STYLE
    )
    assert told.reliability([line]).endswith("as it is 17.5% apart, more often right than sure.")


def test_the_best_temperature_is_told():
    line = figures.Series("MSP", np.array([0.5, 1, 2]), np.array([0.7, np.nan, 0.9]))
    assert told.temperature([line], "AUROC").endswith("Highest: MSP 0.900 at 2.")


def test_the_pair_farthest_from_the_etf_is_named():
    cosines = np.full((3, 3), -0.5)
    np.fill_diagonal(cosines, 1)
    cosines[0, 2] = cosines[2, 0] = 0.25
    words = told.gram(cosines, ["cat", "dog", "fox"])
    assert "-0.500 for each pair" in words
    assert words.endswith("Farthest from it: cat and fox, 0.250.")


def test_lengths_are_told_relative_to_their_average():
    words = told.lengths(np.array([1.0, 3.0]), None, ["cat", "dog"])
    assert words.endswith("class means from 0.50 (cat) to 1.50 (dog).")
    assert "the head's rows from 1.00" in told.lengths(np.ones(2), np.ones(2), ["cat", "dog"])


def test_training_says_what_it_came_to():
    history = {"epoch": [1, 2], "train_loss": [2, 0.5], "test_accuracy": [0.1, 0.9]}
    assert told.training(history, "digits") == (
        "Loss and accuracy of digits over 2 epochs. At the end train loss 0.5, test accuracy 0.9."
    )


def test_an_image_is_told_by_its_verdicts():
    strips = [
        figures.Strip(name, place, 0.05, np.zeros(0), known)
        for name, place, known in (("Energy", 0.01, False), ("MSP", 0.4, True))
    ]
    assert told.strips(strips) == (
        "1 of 2 detectors say unknown. Percentile of the image among the known samples: "
        "Energy 1.0%, MSP 40.0%."
    )
    moment = figures.Moment(4, 0.02, known=False, predicted="cat", probability=0.5)
    assert told.moments([moment]).endswith("epoch 4 unknown, p 0.020, cat.")


def test_correlations_are_told_by_panel():
    track = figures.Track("a", ["epoch 1"], np.ones(1), np.ones(1), ood_style(0))
    panel = figures.Against("NC1", "FPR95", (track,), "r = 0.5")
    assert told.against([panel]) == "FPR95 against NC1: r = 0.5."


def test_a_histogram_is_told_by_its_ends_and_spread():
    words = told.histogram(np.array([-0.5, 0.0, 0.5]))
    assert "3 pairs" in words
    assert words.endswith("from -0.500 to 0.500, mean 0.000, standard deviation 0.408.")
