"""Percentiles by sorting and by counting, against NumPy's and on tensors."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ncviz import percentiles as module
from ncviz.percentiles import percentiles

SHARES = (0.5, 10, 50, 90, 99.9)


@pytest.fixture
def counted(monkeypatch):
    """Arrays of any size are too large to be copied, and no sample tells anything."""
    monkeypatch.setattr(module, "_COPIED", 0)
    monkeypatch.setattr(module, "_ROWS", 7)
    monkeypatch.setattr(module, "_in_bracket", lambda values, ranks: None)


@given(
    values=arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        st.tuples(st.integers(1, 40), st.integers(1, 5)),
        elements=st.floats(-1000, 1000, width=16),
    ),
    share=st.floats(0.01, 99.99),
)
@settings(max_examples=150, deadline=None)
def test_counting_finds_what_sorting_finds(values, share):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_COPIED", 0)
        patch.setattr(module, "_ROWS", 7)
        patch.setattr(module, "_in_bracket", lambda values, ranks: None)
        found = percentiles(values, (share, 50))
    expected = np.percentile(values.astype(np.float64), (share, 50))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_counting_is_exact_at_every_scale(counted, dtype, scale):
    values = (scale * np.random.default_rng(0).normal(size=(501, 3))).astype(dtype)
    for place in (0, 17, 751, 1502):
        (found,) = percentiles(values, (100 * place / 1502,))
        assert found == pytest.approx(float(np.sort(values.ravel())[place]), rel=1e-9)


def test_activations_of_which_most_are_zero(counted):
    values = np.maximum(np.random.default_rng(0).normal(size=(400, 8)) - 1, 0).astype(np.float32)
    np.testing.assert_allclose(
        percentiles(values, SHARES), np.percentile(values, SHARES), rtol=1e-6
    )


@given(
    values=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 60), st.integers(1, 5)),
        elements=st.floats(-10, 10, width=16),
    ),
    share=st.floats(0.01, 99.99),
    sampled=st.integers(1, 100),
)
@settings(max_examples=150, deadline=None)
def test_a_sample_leads_to_what_sorting_finds(values, share, sampled):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_COPIED", 0)
        patch.setattr(module, "_SAMPLED", sampled)
        patch.setattr(module, "_ROWS", 7)
        found = percentiles(values, (share, 50))
    expected = np.percentile(values.astype(np.float64), (share, 50))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_a_large_array_is_sorted_out_by_a_sample(shift, monkeypatch):
    monkeypatch.setattr(module, "_by_rank", None)  # which is for what a sample cannot tell
    values = np.random.default_rng(0).normal(size=(30_000, 60)).astype(np.float32)
    values = np.maximum(values + shift, 0)
    shares = (5, 10, 90, 99)
    np.testing.assert_allclose(
        percentiles(values, shares), np.percentile(values, shares), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_tensors_have_the_percentiles_of_arrays(dtype):
    values = torch.randn((300, 4), dtype=torch.float64).to(dtype)
    expected = np.percentile(values.numpy().astype(np.float64), SHARES)
    np.testing.assert_allclose(percentiles(values, SHARES), expected, rtol=1e-5)


def test_counting_takes_no_copy_of_the_array(counted, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 512)
    values = np.random.default_rng(0).normal(size=(100_000, 40)).astype(np.float32)
    tracemalloc.start()
    percentiles(values, (90,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes / 2
