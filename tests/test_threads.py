"""Work on several threads: in order, bounded, and BLAS given back as it was."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ncviz import threads


def blas_threads():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_results_come_in_the_order_of_the_items():
    assert list(threads.spread(lambda item: item * item, range(50))) == [n * n for n in range(50)]
    assert list(threads.spread(str, [])) == []
    assert list(threads.spread(str, [7])) == ["7"]


def test_blas_is_held_to_one_thread_and_given_back():
    with threadpool_limits(2, user_api="blas"):
        with threads.single_products() as spare:
            assert spare == 2
            assert blas_threads() == {1}
            with threads.single_products() as nested:
                assert nested == 2
            assert blas_threads() == {1}
            assert len(set(threads.spread(lambda _: threading.get_ident(), range(64)))) <= 2
        assert blas_threads() == {2}


def test_blas_is_given_back_after_an_error_and_by_the_last_of_several_holders():
    before = blas_threads()
    with pytest.raises(ZeroDivisionError):
        list(threads.spread(lambda item: 1 / item, [1, 2, 0, 3]))
    assert blas_threads() == before
    first, second = threads.single_products(), threads.single_products()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert blas_threads() == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before


def test_no_more_results_are_held_than_twice_the_threads():
    made, taken = [], 0
    with threadpool_limits(2, user_api="blas"):
        for _ in threads.spread(made.append, range(40)):
            taken += 1
            assert len(made) <= taken + 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_products_come_out_the_same_on_any_number_of_threads(count):
    rows = np.random.default_rng(0).normal(size=(700, 90)).astype(np.float32)
    blocks = np.array_split(rows, 5)
    with threadpool_limits(1, user_api="blas"):
        expected = [block @ rows.T for block in blocks]
    with threadpool_limits(count, user_api="blas"):
        found = list(threads.spread(lambda block: block @ rows.T, blocks))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
