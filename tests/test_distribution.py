"""Order statistics of scores: exact thresholds, curves that match those of all samples."""

import numpy as np
import pytest

from ncviz import metrics
from ncviz.errors import InvalidArrayError
from ncviz.metrics import ScoreDistribution


def test_small_set_is_kept_whole():
    scores = np.array([3.0, 1.0, 2.0])
    kept = ScoreDistribution.of(scores)
    assert kept.values.tolist() == [1.0, 2.0, 3.0]
    assert kept.expand().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("count", [771, 1500, 9999, 10_000])
def test_threshold_of_fpr95_stays_exact(count):
    scores = np.random.default_rng(count).gumbel(size=count)
    kept = ScoreDistribution.of(scores).expand()
    assert len(kept) == count
    assert metrics.threshold_at_tpr(kept, 0.95) == metrics.threshold_at_tpr(scores, 0.95)


def test_curve_differs_by_less_than_a_pixel():
    random = np.random.default_rng(0)
    known, unknown = random.normal(1.5, 1, 10_000), random.gumbel(0, 1, 5_000)
    kept = [ScoreDistribution.of(each).expand() for each in (known, unknown)]
    exact, drawn = metrics.roc_curve(known, unknown), metrics.roc_curve(*kept)
    points = np.c_[exact.x, exact.y]
    apart = [np.abs(points - point).max(axis=1).min() for point in np.c_[drawn.x, drawn.y][::7]]
    assert max(apart) < 1 / 400


def test_ties_are_kept():
    scores = np.repeat([0.0, 1.0], [4000, 6000])
    kept = ScoreDistribution.of(scores).expand()
    assert abs((kept == 1.0).mean() - 0.6) < 1 / 256


@pytest.mark.parametrize("scores", [np.array([]), np.array([1.0, np.nan]), np.ones((2, 2))])
def test_bad_scores_are_refused(scores):
    with pytest.raises(InvalidArrayError, match="Scores to summarise"):
        ScoreDistribution.of(scores)
