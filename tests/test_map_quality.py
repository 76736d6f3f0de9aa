"""Quality of maps: scikit-learn's trustworthiness, slow neighbours, exact cases, what is stored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from ncviz.embedding import MapQuality, map_quality, pca_view, quality
from ncviz.embedding.views import LinearView
from ncviz.errors import CorruptFileError, InvalidArrayError, InvalidOptionError
from ncviz.results.maps import quality_in_words
from ncviz.store import parts


def normal(samples, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(samples, dim))


def slow_preserved(features, points, neighbours):
    """Share of the nearest neighbours in features that are nearest in the map, one by one."""
    kept = 0
    for at in range(len(features)):
        near = []
        for space in (features, points):
            distances = [
                (float(np.linalg.norm(space[at] - other)), j)
                for j, other in enumerate(space)
                if j != at
            ]
            near.append({j for _, j in sorted(distances)[:neighbours]})
        kept += len(near[0] & near[1])
    return kept / (len(features) * neighbours)


@given(
    samples=st.integers(9, 40),
    dim=st.integers(1, 6),
    neighbours=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_quality_matches_scikit_learn_and_the_slow_definition(samples, dim, neighbours, seed):
    features, points = normal(samples, dim, seed), normal(samples, 2, seed + 1)
    points[:, 0] += features[:, 0]
    found = map_quality(features, {"map": points}, neighbours=neighbours)["map"]
    expected = trustworthiness(features, points, n_neighbors=neighbours)
    assert found.trustworthiness == pytest.approx(expected, abs=1e-12)
    assert found.preserved == pytest.approx(slow_preserved(features, points, neighbours))
    assert found.explained == ()


def test_quality_is_the_same_in_blocks_and_for_each_of_several_maps(monkeypatch):
    features = normal(60, 5).astype(np.float32)
    points = {name: normal(60, 2, seed) for seed, name in enumerate(("umap", "pca"))}
    whole = map_quality(features, points)
    monkeypatch.setattr(quality, "_CELLS", 7 * 60)
    assert map_quality(features, points) == whole
    for name, each in points.items():
        assert map_quality(features, {"alone": each})["alone"] == whole[name]


def test_a_turned_and_scaled_copy_keeps_everything():
    features = normal(50, 2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    found = map_quality(features, {"map": 7 * features @ turn + 3})["map"]
    assert (found.trustworthiness, found.preserved) == (1.0, 1.0)


def test_a_random_arrangement_has_the_quality_of_chance():
    features, points = normal(400, 8), normal(400, 2, 1)
    found = map_quality(features, {"map": points})["map"]
    assert found.trustworthiness == pytest.approx(0.5, abs=0.03)
    assert found.preserved == pytest.approx(15 / 399, abs=0.01)


def test_equal_samples_are_each_others_neighbours():
    features = np.repeat(normal(4, 6), 10, axis=0)
    points = np.repeat(normal(4, 2, 1), 10, axis=0)
    found = map_quality(features, {"map": points}, neighbours=9)["map"]
    assert (found.trustworthiness, found.preserved) == (1.0, 1.0)


def test_collapsed_features_far_from_the_origin_keep_their_neighbours():
    """Squared distances of 1e-8 beside lengths of 1e6 must not drown in rounding."""
    classes = np.repeat(normal(5, 6), 20, axis=0)
    features = 1e3 + classes + 1e-4 * normal(100, 6, 1)
    found = map_quality(features, {"map": normal(100, 2, 2)})["map"]
    points = normal(100, 2, 2)
    ranks = cdist(features, features).argsort(axis=1).argsort(axis=1)
    near = cdist(points, points).argsort(axis=1)[:, 1:16]
    kept = np.take_along_axis(ranks, near, axis=1) <= 15
    assert found.preserved == pytest.approx(kept.mean())


@pytest.mark.parametrize(
    ("features", "points", "error", "message"),
    [
        (normal(30, 3), normal(30, 2), InvalidOptionError, "map of 30 samples"),
        (normal(40, 3), normal(39, 2), InvalidArrayError, "the same samples"),
        (normal(40, 3), normal(40, 3), InvalidArrayError, "the same samples"),
        (np.full((40, 3), np.nan), normal(40, 2), InvalidArrayError, "NaN"),
        (np.zeros(40), normal(40, 2), InvalidArrayError, "Features must have shape"),
    ],
)
def test_quality_rejects_what_does_not_fit(features, points, error, message):
    with pytest.raises(error, match=message):
        map_quality(features, {"map": points})


# Explained variance


def test_explained_variance_is_that_of_scikit_learn_where_the_axes_were_fitted():
    features = normal(80, 6) * [5, 4, 3, 2, 1, 0.5] + 10
    view = pca_view(features)
    expected = PCA(2).fit(features).explained_variance_ratio_
    np.testing.assert_allclose(view.explained(features), expected, rtol=1e-5)
    np.testing.assert_allclose(view.explained(features), view.shares, rtol=1e-5)


def test_explained_variance_of_other_features_is_their_own_share():
    view = pca_view(normal(80, 6) * [5, 4, 1, 1, 1, 1])
    other = normal(50, 6, 1) * [1, 1, 3, 3, 3, 3]
    coordinates = (other - other.mean(axis=0)) @ view.axes.T
    expected = coordinates.var(axis=0) / other.var(axis=0).sum()
    np.testing.assert_allclose(view.explained(other), expected, rtol=1e-5)
    assert sum(view.explained(other)) < 0.2


def test_explained_variance_exact_cases():
    view = LinearView(np.ones(3), np.eye(3)[:2], np.zeros(2))
    flat = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0]])
    assert view.explained(flat) == (0.5, 0.5)
    assert view.explained(np.array([[0.0, 0, 1], [0, 0, 3]])) == (0.0, 0.0)
    assert view.explained(np.ones((4, 3))) == (0.0, 0.0)


# What is stored and said


STORED = {
    "encoder": {"umap": MapQuality(99, 0.9, 0.5), "pca": MapQuality(99, 0.8, 0.4, (0.6, 0.25))},
    "projector": {"umap": MapQuality(31, 1.0, 0.0)},
}


def test_quality_is_read_as_it_was_written(tmp_path):
    arrays = parts.quality_arrays(STORED)
    for layer, maps in STORED.items():
        assert parts.read_quality(tmp_path, arrays, layer, mend="") == maps
    assert parts.read_quality(tmp_path, arrays, "stage1", mend="") == {}


@pytest.mark.parametrize(
    "change",
    [
        {"quality:encoder/pca/trustworthiness": np.array([1.5])},
        {"quality:encoder/pca/preserved": np.array([np.nan])},
        {"quality:encoder/pca/explained": np.array([[0.5]])},
        {"quality:encoder/pca/trustworthiness": np.array([], float)},
        {"quality:encoder/pca/preserved": np.array([1])},
        {"quality:encoder/pca/explained": None},
        {"quality:encoder/pca/samples": np.array([0.0])},
        {"quality:encoder/pca/samples": np.array([np.inf])},
    ],
)
def test_quality_that_cannot_be_is_refused(tmp_path, change):
    arrays = parts.quality_arrays(STORED) | change
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(
        CorruptFileError, match=r"must be a number of samples and shares.*Delete it"
    ):
        parts.read_quality(tmp_path, arrays, "encoder", mend="Delete it.")


def test_quality_in_words():
    assert quality_in_words(MapQuality(99, 0.9, 0.5)) == (
        "trustworthiness 0.900, 50% of the 15 nearest neighbours preserved"
    )
    assert quality_in_words(MapQuality(99, 0.8, 0.4, (0.6, 0.25))).endswith(
        "preserved, 85% of the variance shown (60% + 25%)"
    )
