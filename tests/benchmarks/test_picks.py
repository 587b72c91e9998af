"""Picks in process, side by side in one table: ``pytest tests/benchmarks --benchmark-only -o addopts=``.

The figures of the README are those of ``measure.py``, which lets both sides of a ratio take turns.
"""

from __future__ import annotations

import pytest
from documents import pool

from rotator import Rotator
from rotator.core.signals import QuotaObserved
from rotator.core.state import Window


@pytest.mark.benchmark(group="next")
@pytest.mark.parametrize("count", [10, 1000, 10000])
def test_a_pick(benchmark, count):
    rotator = Rotator.memory(pool(count))
    chosen = benchmark(rotator.next, "model-a")
    assert chosen.account == "user0@example.com"


@pytest.mark.benchmark(group="next after a fact")
@pytest.mark.parametrize("count", [10, 1000, 10000])
def test_a_pick_after_a_fact_about_the_chosen_account(benchmark, count):
    rotator = Rotator.memory(pool(count))

    def fact_and_pick():
        chosen = rotator.next("model-a")
        window = Window("requests", 0.5, chosen.decided + 3600.0)
        rotator.ingest([QuotaObserved(chosen.account, "model-a", chosen.decided, (window,))])
        return chosen

    assert benchmark(fact_and_pick).account is not None
