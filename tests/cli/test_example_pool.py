"""The example that the README asks first reads the same on any day, and is no trap for the first write."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.core.codec.decode import decode
from rotator.core.selection import select

POOL = Path(__file__).parents[2] / "fixtures" / "accounts" / "pool.json"
PUBLISHED = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize("year", [2026, 2027, 2031, 2098])
def test_the_example_pool_reads_the_same_in_any_year(year):
    _, pool = decode(POOL.read_bytes())
    outcome = select(pool, "claude-sonnet-4-5", now=PUBLISHED.replace(year=year).timestamp())
    assert (outcome.account, outcome.selection_reason, outcome.switched) == ("work@example.com", "priority", False)
    assert outcome.explanation.startswith(
        "work@example.com: 22 % left; home@example.com is below its reserve (4 % left)"
    )
    assert [(c.account, c.selection_reason, c.tier) for c in outcome.candidates[1:]] == [
        ("home@example.com", "lower_tier", (False, 0, True)),
        ("lab@example.com", "held", (False, 0, False)),
        ("old@example.com", "banned", (False, 0, False)),
        ("pay-as-you-go", "lower_tier", (True, 0, False)),
    ]


def _times(value, key=""):
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _times(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _times(part)
    elif key.endswith(("_at", "_time", "_until")):
        yield datetime.fromisoformat(value)


def test_nothing_in_the_example_pool_is_of_the_future():
    found = list(_times(json.loads(POOL.read_text())))
    assert found
    assert max(found) < PUBLISHED


def test_a_first_write_to_the_example_pool_keeps_its_readings(home, here):
    shutil.copy(POOL, home / "accounts.json")
    assert here("report", "work@example.com", "-m", "claude-sonnet-4-5", "--status", "200").code == 0
    after = json.loads((home / "accounts.json").read_bytes())["accounts"][0]["runtime"]["windows"]
    assert after == json.loads(POOL.read_bytes())["accounts"][0]["runtime"]["windows"]
