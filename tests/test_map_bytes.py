"""Maps of all epochs as bytes: what the browser unpacks is what went in."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ncviz.figures.maps import MapFrames, class_colours, pack, ten_of

EPOCHS, LAYERS, SAMPLES = 3, 2, 5


@pytest.fixture
def frames() -> MapFrames:
    random = np.random.default_rng(0)
    return MapFrames(
        epochs=(1, 4, 9),
        layers=("encoder", "projector"),
        points=random.normal(size=(EPOCHS, LAYERS, SAMPLES, 2)).astype(np.float32),
        sets=np.array([0, 0, 0, 1, 2]),
        set_names=("made/test", "letters/test", "<b>/test"),
        groups=(0, 1, 2),
        labels=np.array([0, 1, 299, -1, -1]),
        classes=("cat", "dög", "</script>"),
        predicted=random.integers(0, 300, (EPOCHS, SAMPLES)),
        nc1=np.array([[1.5, 0.5], [0.1, np.nan], [0.01, 0.02]]),
        scores=random.normal(size=(EPOCHS, SAMPLES)),
        percentiles=np.linspace(0, 1, EPOCHS * SAMPLES).reshape(EPOCHS, SAMPLES),
    )


def unpack(packed: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    length = int.from_bytes(packed[:4], "little")
    header = json.loads(packed[4 : 4 + length])
    arrays = {}
    for name, (kind, start, size) in header["arrays"].items():
        assert (4 + length + start) % 4 == 0
        arrays[name] = np.frombuffer(packed, kind, size, 4 + length + start)
    return header, arrays


def test_everything_comes_back(frames):
    token, packed = pack(frames)
    header, arrays = unpack(packed)
    assert header["token"] == token
    assert header["epochs"] == [1, 4, 9]
    assert header["samples"] == SAMPLES
    assert header["classes"] == ["cat", "dög", "</script>"]
    assert header["nc1"] == [[1.5, 0.5], [0.1, None], [0.01, 0.02]]
    np.testing.assert_array_equal(arrays["sets"], frames.sets)
    np.testing.assert_array_equal(arrays["labels"], frames.labels)
    np.testing.assert_array_equal(arrays["predicted"], frames.predicted.ravel())
    np.testing.assert_array_equal(arrays["scores"], frames.scores.astype(np.float32).ravel())
    np.testing.assert_allclose(arrays["percentiles"], frames.percentiles.ravel(), atol=1e-7)


def test_points_keep_their_shape_across_epochs_and_axes(frames):
    _, arrays = unpack(pack(frames)[1])
    steps = arrays["points"].reshape(frames.points.shape).astype(np.float64)
    for layer in range(LAYERS):
        points = frames.points[:, layer].reshape(-1, 2)
        widest = np.ptp(points, axis=0).max()
        expected = (points - points.min(axis=0)) / widest * 65535
        np.testing.assert_allclose(steps[:, layer].reshape(-1, 2), expected, atol=0.51)


def test_the_window_spans_all_epochs_and_leaves_the_far_off_out(frames):
    random = np.random.default_rng(1)
    points = random.uniform(size=(EPOCHS, LAYERS, 2000, 2))
    points[0, 0, 0] = 100
    many = replace(
        frames,
        points=points,
        sets=np.zeros(2000),
        labels=np.zeros(2000),
        predicted=np.zeros((EPOCHS, 2000)),
        scores=None,
    )
    header, arrays = unpack(pack(many)[1])
    assert "scores" not in arrays
    (far, ordinary) = header["windows"]
    assert 0.009 < far[2] < 0.015
    np.testing.assert_allclose(ordinary, [-0.06, -0.06, 1.12, 1.12], atol=0.01)


def test_points_in_one_place_are_no_division_by_zero(frames):
    still = replace(frames, points=np.full(frames.points.shape, 3.0, np.float32))
    header, arrays = unpack(pack(still)[1])
    assert not arrays["points"].any()
    assert all(size > 0 for window in header["windows"] for size in window[2:])


def test_the_token_tells_contents_apart(frames):
    assert pack(frames)[0] == pack(replace(frames))[0]
    assert pack(frames)[0] != pack(replace(frames, points=-frames.points))[0]
    assert pack(frames)[0] != pack(replace(frames, classes=("a", "b", "c")))[0]


@pytest.mark.parametrize(("classes", "chosen"), [(100, []), (100, [3, 7]), (8, []), (2, [1])])
def test_chosen_classes_get_different_colours(classes, chosen):
    colours = class_colours(classes, chosen)
    shown = [colour for colour in colours if colour]
    assert len(colours) == classes
    assert len(set(shown)) == len(shown) == (len(chosen) or classes)
    assert all(colours[number] for number in chosen)


def test_ten_classes_are_evenly_spaced():
    assert ten_of(100) == list(range(0, 100, 10))
    assert ten_of(4) == [0, 1, 2, 3]
    assert len(set(ten_of(37))) == 10
