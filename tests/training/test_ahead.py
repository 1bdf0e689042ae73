"""Batches that are drawn beside the work are those that would be drawn without."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from smartscope.training.ahead import Ahead, Batch


def test_batches_come_in_order_from_one_thread() -> None:
    threads = set()

    def draw(key: int) -> Batch:
        threads.add(threading.get_ident())
        return [np.random.default_rng(abs(key)).random(3)]

    with Ahead(draw) as ahead:
        for step in range(5):
            assert np.array_equal(ahead.get(step, step + 1)[0], draw(step)[0])
            # what comes between does not cost the one that was foretold
            assert np.array_equal(ahead.get(-step)[0], draw(step)[0])
    assert len(threads) == 2
    assert threading.get_ident() in threads


def test_an_error_comes_where_the_batch_is_wanted() -> None:
    def draw(key: int) -> Batch:
        if key == 1:
            raise ValueError("no such patch")
        return [np.zeros(1)]

    before = threading.active_count()
    with Ahead(draw) as ahead:
        ahead.get(0, 1)
        with pytest.raises(ValueError, match="no such patch"):
            ahead.get(1, 2)
    assert threading.active_count() == before
