"""Fractions: known, clamped, or unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.providers.reading import fraction, unused


@pytest.mark.parametrize(
    ("value", "known"), [(0.3, 0.3), (1, 1.0), (7.0, 1.0), (0, 0.0), (-1, None), (None, None), (float("nan"), None)]
)
def test_a_fraction_is_clamped_and_below_zero_means_unknown(value: float | None, known: float | None) -> None:
    assert fraction(value) == known


@given(st.none() | st.floats())
def test_what_is_unused_lies_between_nothing_and_everything_or_is_unknown(used: float | None) -> None:
    left = unused(used)
    assert left is None or 0 <= left <= 1
    assert (left is None) == (used is None or not used >= 0)
