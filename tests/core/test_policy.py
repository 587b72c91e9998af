"""Every number of the policy has a range, and its default lies within it."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise

import pytest

from rotator.core import policy as module
from rotator.core.policy import RANGE_MAX, RANGES, SELECTORS, WHOLE_NUMBERS, Policy

FIELDS = Policy.__match_args__
NUMBERS = [name for name in FIELDS if name != "selector"]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_default_lies_within_its_range(name):
    low, high = RANGES.get(name, (0.0, RANGE_MAX))
    assert low <= getattr(Policy(), name) <= high
    assert type(getattr(Policy(), name)) is (int if name in WHOLE_NUMBERS else float)


def test_ranges_and_whole_numbers_name_fields_that_exist():
    assert set(RANGES) | WHOLE_NUMBERS <= set(NUMBERS)
    assert Policy().selector == SELECTORS[0]


def test_every_number_says_its_reason_where_it_is_defined():
    (body,) = [n.body for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.ClassDef)]
    explained = {
        a.target.id
        for a, b in pairwise(body)
        if isinstance(a, ast.AnnAssign) and isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant)
    }
    assert explained == set(FIELDS)


def test_a_policy_is_compared_and_replaced_by_value():
    assert Policy().replace(hysteresis=0.2) == Policy(hysteresis=0.2) != Policy()
    with pytest.raises(TypeError):
        Policy().replace(hysterisis=0.2)
