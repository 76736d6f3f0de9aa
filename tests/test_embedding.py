"""Embeddings: alignment, views every epoch shares, and the order of the UMAP chain."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from ncviz.arrays import ClassStatistics
from ncviz.embedding import align, etf_view, first_map, maps, next_map, pca_view, umap_chain
from ncviz.embedding.alignment import resize
from ncviz.errors import InvalidArrayError, InvalidOptionError


def normal(samples, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(samples, dim))


def rotation(dim, seed=0):
    return np.linalg.qr(normal(dim, dim, seed))[0]


def statistics_of(means):
    return ClassStatistics.of(np.asarray(means), np.arange(len(means)), len(means))


def simplex(classes, dim, seed=0):
    return 3 * (np.eye(classes) - 1 / classes) @ rotation(dim, seed)[:classes] + 2


# Alignment


@given(angle=st.floats(-4, 4), mirrored=st.booleans(), shift=st.floats(-50, 50))
@settings(max_examples=30, deadline=None)
def test_a_known_rotation_reflection_and_shift_are_removed(angle, mirrored, shift):
    reference = normal(40, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = reference @ turn @ np.diag([1, -1 if mirrored else 1]) + [shift, -2 * shift]
    np.testing.assert_allclose(align(moved, reference), reference, atol=1e-12)


def test_alignment_keeps_distances_and_does_not_scale():
    reference, points = normal(30, 2), 5 * normal(30, 2, 1) + 4
    aligned = align(points, reference)
    np.testing.assert_allclose(pdist(aligned), pdist(points))
    np.testing.assert_allclose(aligned.mean(axis=0), reference.mean(axis=0))


def test_no_other_turn_brings_the_points_nearer():
    reference, points = normal(30, 2), normal(30, 2, 1)
    best = np.linalg.norm(align(points, reference) - reference)
    centred = points - points.mean(axis=0)
    for seed in range(50):
        turned = centred @ rotation(2, seed) + reference.mean(axis=0)
        assert np.linalg.norm(turned - reference) >= best - 1e-12


def test_alignment_of_three_axes_and_of_single_precision():
    reference = normal(20, 3).astype(np.float32)
    moved = (reference @ rotation(3)).astype(np.float32)
    aligned = align(moved, reference)
    assert aligned.dtype == np.float32
    np.testing.assert_allclose(aligned, reference, atol=1e-6)
    assert align(moved.astype(np.float16), reference).dtype == np.float32


def test_points_are_resized_to_the_extent_of_the_reference_about_their_own_middle():
    points, reference = normal(30, 2) + 5, 3 * normal(30, 2, 1) - 2
    found = resize(points.astype(np.float32), reference)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=0), points.mean(axis=0), atol=1e-5)
    assert found.var(axis=0).sum() == pytest.approx(reference.var(axis=0).sum(), rel=1e-5)
    factor = (found - found.mean(axis=0)) / (points - points.mean(axis=0))
    np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-3)


def test_points_in_one_place_are_not_resized():
    points, reference = np.full((30, 2), 1 / 3), normal(30, 2)
    np.testing.assert_array_equal(resize(points, reference), points)
    np.testing.assert_array_equal(resize(reference, points), reference)


def test_points_all_in_one_place_move_to_the_middle():
    np.testing.assert_allclose(align(np.full((4, 2), 9.0), normal(4, 2)).std(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("points", "reference", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), r"\(3, 2\), their reference \(4, 2\)"),
        (np.ones((0, 2)), np.ones((0, 2)), "at least one row"),
        (np.ones(3), np.ones(3), r"\(3,\)"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "Points holds .* NaN"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), "reference holds"),
    ],
)
def test_points_that_cannot_be_aligned_are_refused(points, reference, message):
    with pytest.raises(InvalidArrayError, match=message):
        align(points, reference)


# Linear views


@pytest.mark.parametrize(("samples", "dim", "axes"), [(50, 8, 2), (50, 8, 3), (6, 20, 2)])
def test_pca_is_scikit_learn_s_up_to_signs(samples, dim, axes):
    features = normal(samples, dim) * np.arange(1, dim + 1) + 5
    other = normal(9, dim, 1)
    oracle = PCA(axes).fit(features)
    view = pca_view(features, axes=axes)
    signs = np.sign((view.axes * oracle.components_).sum(axis=1))
    np.testing.assert_allclose(view.axes, oracle.components_ * signs[:, None], atol=1e-9)
    np.testing.assert_allclose(view.shares, oracle.explained_variance_ratio_)
    found = view.project(other)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, oracle.transform(other) * signs, rtol=1e-5, atol=1e-4)


def test_the_signs_of_pca_do_not_depend_on_the_order_of_samples():
    features = normal(40, 6) * np.arange(1, 7)
    view, turned = pca_view(features), pca_view(features[::-1])
    np.testing.assert_allclose(view.axes, turned.axes, atol=1e-12)
    largest = np.abs(view.axes).argmax(axis=1)
    assert (view.axes[[0, 1], largest] > 0).all()


def test_a_view_is_the_same_for_every_epoch():
    last, early = normal(30, 5), normal(30, 5, 1)
    view = pca_view(last)
    np.testing.assert_allclose(
        view.project(np.vstack([last, early])),
        np.vstack([view.project(last), view.project(early)]),
        atol=1e-6,
    )
    np.testing.assert_allclose(view.project(last).mean(axis=0), 0, atol=1e-6)
    with pytest.raises(InvalidArrayError, match=r"takes \(N, 5\)"):
        view.project(normal(3, 4))


@pytest.mark.parametrize(
    ("features", "axes", "kind", "message"),
    [
        (np.full((5, 4), 1 / 3), 2, InvalidArrayError, "vary in 0 directions"),
        (np.outer(np.arange(5.0), np.ones(4)), 2, InvalidArrayError, "vary in 1 directions"),
        (np.ones((0, 4)), 2, InvalidArrayError, "at least one row"),
        (np.full((5, 4), np.nan), 2, InvalidArrayError, "NaN"),
        (normal(5, 4), 0, InvalidOptionError, "at least one axis"),
    ],
)
def test_features_without_enough_directions_have_no_pca_view(features, axes, kind, message):
    with pytest.raises(kind, match=message):
        pca_view(features, axes=axes)


@pytest.mark.parametrize("classes", [3, 4, 10])
def test_a_simplex_appears_as_a_regular_polygon(classes):
    means = simplex(classes, 12)
    view = etf_view(statistics_of(means))
    found = view.project(means)
    turn = 2 * np.pi * np.arange(classes) / classes
    radius = np.linalg.norm(found[0])
    np.testing.assert_allclose(found, radius * np.stack([np.cos(turn), np.sin(turn)], 1), atol=1e-5)
    np.testing.assert_allclose(view.axes @ view.axes.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(view.shares, 1 / (classes - 1))


def test_four_classes_and_three_axes_make_a_tetrahedron():
    means = simplex(4, 9)
    view = etf_view(statistics_of(means), axes=3)
    np.testing.assert_allclose(pdist(view.project(means)), pdist(means), rtol=1e-5)
    assert view.shares.sum() == pytest.approx(1)


def test_the_chosen_classes_come_in_their_order():
    means = simplex(10, 12)
    view = etf_view(statistics_of(means), classes=[7, 2, 5])
    found = view.project(means[[7, 2, 5]])
    # Three corners span the plane they are seen in.
    np.testing.assert_allclose(pdist(found), pdist(means[[7, 2, 5]]), rtol=1e-5)
    assert found[0, 0] > 0
    assert found[0, 1] == pytest.approx(0, abs=1e-5)
    assert found[1, 1] > 0 > found[2, 1]


def test_the_class_mean_view_turns_with_the_features_and_hardly_with_noise():
    means = simplex(6, 8)
    turn = rotation(8, 5)
    expected = etf_view(statistics_of(means)).project(means)
    turned = etf_view(statistics_of(means @ turn)).project(means @ turn)
    np.testing.assert_allclose(turned, expected, atol=1e-5)
    noisy = means + 1e-3 * normal(6, 8)
    np.testing.assert_allclose(etf_view(statistics_of(noisy)).project(noisy), expected, atol=0.01)


@pytest.mark.parametrize(
    ("means", "options", "kind", "message"),
    [
        (simplex(5, 6), {"axes": 4}, InvalidOptionError, "2 or 3 axes"),
        (simplex(5, 6), {"classes": [0, 1, 5]}, InvalidOptionError, r"0\.\.4"),
        (simplex(5, 6), {"classes": [0, 1, 1]}, InvalidOptionError, "different"),
        (simplex(5, 6), {"classes": [0, 1]}, InvalidArrayError, "at least 3 classes; got 2"),
        (simplex(3, 6), {"axes": 3}, InvalidArrayError, "at least 4 classes; got 3"),
        (np.outer(np.arange(4.0), np.ones(6)), {}, InvalidArrayError, "do not span 2"),
        (np.full((4, 6), 1 / 3), {}, InvalidArrayError, "do not span 2"),
        (np.ones((4, 1)), {}, InvalidArrayError, "do not span 2"),
    ],
)
def test_class_means_without_a_plane_are_refused(means, options, kind, message):
    with pytest.raises(kind, match=message):
        etf_view(statistics_of(means), **options)


def test_a_chosen_class_needs_samples():
    statistics = ClassStatistics.of(simplex(4, 6), np.arange(4), 5)
    with pytest.raises(InvalidArrayError, match="Class 4 has no sample"):
        etf_view(statistics)
    etf_view(statistics, classes=range(4))


# UMAP


@pytest.fixture
def umap_calls(monkeypatch):
    """Stands in for UMAP: moves the start a little towards the features, and turns it."""
    calls = []

    def stub(features, start, seed, neighbours, min_distance):
        calls.append((start, (seed, neighbours, min_distance)))
        return ((start + 0.1 * features[:, :2]) @ rotation(2)).astype(np.float32)

    monkeypatch.setattr(maps, "_from_scratch", stub)
    monkeypatch.setattr(maps, "_step", stub)
    return calls


def epochs(count, samples=30, dim=6):
    return [normal(samples, dim, seed) for seed in range(count)]


def test_a_resumed_chain_equals_one_made_in_one_go(umap_calls):
    features = epochs(5)
    whole = list(umap_chain(features, seed=4, neighbours=5))
    begun = list(umap_chain(features[:2], seed=4, neighbours=5))
    rest = list(umap_chain(features[2:], previous=begun[-1], seed=4, neighbours=5))
    np.testing.assert_array_equal(whole, begun + rest)
    assert all(points.shape == (30, 2) and points.dtype == np.float32 for points in whole)


def test_later_epochs_leave_earlier_maps_alone(umap_calls):
    short = list(umap_chain(epochs(2), neighbours=5))
    np.testing.assert_array_equal(short, list(umap_chain(epochs(4), neighbours=5))[:2])


def test_the_chain_makes_a_map_only_when_asked(umap_calls):
    chain = umap_chain(epochs(3), neighbours=5)
    assert not umap_calls
    next(chain)
    assert len(umap_calls) == 1


def test_each_step_starts_from_the_map_before_and_is_aligned_to_it(umap_calls):
    first, second = epochs(2)
    before = first_map(first, seed=3, neighbours=7, min_distance=0.2)
    after = next_map(second, before, seed=3, neighbours=7, min_distance=0.2)
    (start, options), (restart, same_options) = umap_calls
    np.testing.assert_allclose(start, pca_view(first).project(first), atol=1e-3)
    np.testing.assert_array_equal(restart, before)
    moved = (before + 0.1 * second[:, :2]) @ rotation(2)
    wide = np.linalg.norm(before - before.mean(axis=0)) / np.linalg.norm(moved - moved.mean(axis=0))
    np.testing.assert_allclose(after, align(wide * moved, before), atol=1e-4)
    assert options == same_options == (3, 7, 0.2)


@pytest.mark.parametrize("features", [np.ones((20, 4)), normal(20, 1), np.ones((20, 4)) / 3])
def test_the_start_has_an_extent_whatever_the_features(umap_calls, features):
    first_map(features, neighbours=5)
    start, _ = umap_calls[0]
    assert (np.ptp(start, axis=0) > 0).all()
    assert len(np.unique(start, axis=0)) == len(start)


@pytest.mark.parametrize(
    ("features", "options", "kind", "message"),
    [
        (normal(10, 3), {"neighbours": 10}, InvalidOptionError, "map of 10 samples"),
        (normal(10, 3), {"neighbours": 1}, InvalidOptionError, "neighbours is 1"),
        (normal(20, 3), {"min_distance": 1.5}, InvalidOptionError, "min_distance is 1.5"),
        (normal(20, 3), {"min_distance": float("nan")}, InvalidOptionError, "min_distance"),
        (np.full((20, 3), np.inf), {}, InvalidArrayError, "infinite"),
        (np.ones(20), {}, InvalidArrayError, r"\(20,\)"),
        (np.ones((20, 0)), {}, InvalidArrayError, r"\(20, 0\)"),
    ],
)
def test_unusable_input_is_refused_before_umap_runs(umap_calls, features, options, kind, message):
    with pytest.raises(kind, match=message):
        first_map(features, **options)
    with pytest.raises(kind, match=message):
        next_map(features, np.zeros((len(features), 2)), **options)
    assert not umap_calls


@pytest.mark.parametrize(
    "previous", [np.zeros((19, 2)), np.zeros((20, 3)), np.full((20, 2), np.nan)]
)
def test_a_previous_map_of_other_samples_is_refused(umap_calls, previous):
    with pytest.raises(InvalidArrayError, match="previous map"):
        next_map(normal(20, 3), previous)


def test_importing_the_package_does_not_import_umap():
    code = "import sys, ncviz.embedding; sys.exit('umap' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_umap_maps_are_deterministic_stay_put_and_keep_clusters_together():
    labels = np.arange(200) % 5
    first = 8 * np.eye(10)[labels] + normal(200, 10)
    second = first + 0.1 * normal(200, 10, 1)
    before = first_map(first, seed=1)
    np.testing.assert_array_equal(before, first_map(first, seed=1))
    kept = before.copy()
    after = next_map(second, before, seed=1)
    np.testing.assert_array_equal(after, next_map(second, before, seed=1))
    np.testing.assert_array_equal(before, kept)
    extent = np.ptp(before, axis=0).max()
    assert np.linalg.norm(after - before, axis=1).mean() < 0.1 * extent
    for points in (before, after):
        assert points.dtype == np.float32
        centres = np.array([points[labels == c].mean(axis=0) for c in range(5)])
        gaps = np.linalg.norm(points[:, None] - centres, axis=2)
        np.testing.assert_array_equal(gaps.argmin(axis=1), labels)
