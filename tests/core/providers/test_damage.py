"""No damage to a response makes its account look better than it is."""

from __future__ import annotations

import json
import random
from datetime import datetime
from importlib import import_module

import pytest
from damaging import damaged, single_damages
from test_read import CAPTURED, assert_within_ranges, by_id

from rotator.core import providers
from rotator.core.policy import Policy
from rotator.core.pool import Pool
from rotator.core.providers import Reading
from rotator.core.providers.news import signals_of
from rotator.core.providers.response import received
from rotator.core.signals import QuotaObserved
from rotator.core.state import Account
from rotator.core.transitions import replay

U = "anthropic-ratelimit-unified-"
OWN = [
    {
        "id": "a-window-rejected-before-it-is-empty", "provider": "anthropic", "status": 429, "body": None,
        "headers": {
            U + "status": "rejected", U + "representative-claim": "five_hour", U + "reset": "1785518400",
            U + "5h-status": "rejected", U + "5h-utilization": "0.98", U + "5h-reset": "1785518400",
            U + "7d-status": "allowed", U + "7d-utilization": "0.4", "retry-after": "7835",
        },
    },
    {
        "id": "a-spent-account-and-a-spent-model", "provider": "codex", "status": 429,
        "headers": {
            "x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300",
            "x-codex-secondary-used-percent": "0", "x-codex-secondary-window-minutes": "10080",
            "x-codex-spark-limit-name": "Spark", "x-codex-spark-primary-used-percent": "100",
            "x-codex-spark-primary-reset-after-seconds": "60",
        },
        "body": {"error": {"type": "usage_limit_reached", "resets_in_seconds": 600}},
    },
    {
        "id": "a-day-told-in-words", "provider": "groq", "status": 429,
        "headers": {"retry-after": "579"},
        "body": {"error": {"type": "tokens", "message": (
            "Rate limit reached for model `x` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. "
            "Please try again in 9m38.016s."
        )}},
    },
    {
        "id": "both-generations-of-ratelimit-fields", "provider": "ietf", "status": 429, "body": None,
        "headers": {
            "RateLimit": '"burst";r=0;t=5, "daily";r=20;t=4000', "RateLimit-Policy": '"burst";q=100;w=60,"daily";q=1000;w=86400',
            "RateLimit-Limit": "100", "RateLimit-Remaining": "0", "RateLimit-Reset": "5",
        },
    },
    {
        "id": "an-empty-month", "provider": "mistral", "status": 429, "body": {"message": "x", "code": 1300},
        "headers": {"x-ratelimit-limit-tokens-month": "9", "x-ratelimit-remaining-tokens-month": "0"},
    },
    {
        "id": "a-weekly-limit-with-snapshots", "provider": "github-copilot", "status": 429,
        "headers": {
            "x-usage-ratelimit-weekly": "ent=0&ovPerm=false&rem=0.0&rst=2026-08-03T00%3A00%3A00Z",
            "x-quota-snapshot-chat": "ent=-1&rem=0.0",
        },
        "body": {"error": {"code": "user_weekly_rate_limited:pro", "message": "Please try again in 58 hours."}},
    },
]  # fmt: skip
ALL = CAPTURED + [{"received_at": "2026-07-31T15:09:25Z"} | entry for entry in OWN]
POLICY = Policy()
MODEL = "claude-sonnet-5"
REFUSED = [entry for entry in ALL if entry["status"] >= 400]
TRIPS = 4_000
LONG_TRIPS = 150_000


def reading_of(entry: dict, headers: object, body: object, status: int | None = None) -> Reading:
    """The family's own reading: ``read`` would hide what it raises."""
    family = providers.FAMILIES.get(entry["provider"], "generic")
    parts = {"status": entry["status"] if status is None else status, "headers": headers, "body": body, "model": MODEL}
    response = received(entry["provider"], **parts, now=datetime.fromisoformat(entry["received_at"]))
    return import_module(f"rotator.core.providers.{family}").read(response)


def after(pool: Pool, reading: Reading, at: float, *, quota: bool = True) -> Pool:
    news = signals_of(reading, account="a", model=MODEL, at=at)
    return replay(pool, [signal for signal in news if quota or not isinstance(signal, QuotaObserved)])


def assert_lawful(entry: dict, reading: Reading, status: int) -> None:
    assert_within_ranges(reading)
    if status >= 400:
        assert reading.kind != "ok"
    if 200 <= status < 300 and entry["provider"] != "codex":  # whose events have a status of their own
        assert reading.kind != "banned"


@pytest.mark.parametrize("entry", ALL, ids=by_id)
def test_one_part_that_is_lost_or_garbage_never_leaves_more_of_a_window(entry: dict) -> None:
    left = {w.name: w.remaining_fraction for w in reading_of(entry, entry["headers"], entry["body"]).windows}
    for place, headers, body in single_damages(entry["headers"], entry["body"]):
        reading = reading_of(entry, headers, body)
        assert_lawful(entry, reading, entry["status"])
        for window in reading.windows:
            known = left.get(window.name)
            if known is not None and window.remaining_fraction is not None:
                assert window.remaining_fraction <= known, (place, window)


@pytest.mark.parametrize("entry", REFUSED, ids=by_id)
def test_after_a_refusal_with_one_part_lost_the_account_is_no_readier_than_before(entry: dict) -> None:
    at = datetime.fromisoformat(entry["received_at"]).timestamp()
    fresh = Pool([Account("a")], None, POLICY)
    refused = after(fresh, reading_of(entry, entry["headers"], entry["body"]), at)
    for before in (fresh, refused):
        ready_at, _ = before.account("a").ready_at(MODEL, POLICY)
        for place, headers, body in single_damages(entry["headers"], entry["body"]):
            now = after(before, reading_of(entry, headers, body), at + 1)
            assert now.account("a").ready_at(MODEL, POLICY)[0] >= ready_at, place


def test_whatever_is_lost_of_a_refusal_the_account_is_no_readier_than_before() -> None:
    """Any headers gone and the body cut anywhere: nothing new is said then, so nothing may be taken back."""
    for seed in range(1_500):
        luck = random.Random(seed)
        entry = luck.choice(REFUSED)
        headers = {name: value for name, value in entry["headers"].items() if luck.random() < 0.6}
        text = entry["body"] if isinstance(entry["body"], str) else json.dumps(entry["body"])
        at = datetime.fromisoformat(entry["received_at"]).timestamp()
        fresh = Pool([Account("a")], None, POLICY)
        before = after(fresh, reading_of(entry, entry["headers"], entry["body"]), at)
        now = after(before, reading_of(entry, headers, text[: luck.randint(0, len(text))]), at + 1)
        assert now.account("a").ready_at(MODEL, POLICY)[0] >= before.account("a").ready_at(MODEL, POLICY)[0], seed


def trip(seed: int) -> None:
    luck = random.Random(seed)
    entry = luck.choice(ALL)
    headers, body = damaged(luck, entry["headers"], entry["body"])
    status = luck.choice((entry["status"], entry["status"], entry["status"], 200, 429, 403, 529))
    reading = reading_of(entry, headers, body, status)
    assert_lawful(entry, reading, status)
    if status < 400:
        return
    at = datetime.fromisoformat(entry["received_at"]).timestamp()
    refused = after(Pool([Account("a")], None, POLICY), reading_of(entry, entry["headers"], entry["body"], status), at)
    # a number that was hit may say that a window has more left; what was concluded from the refusal may not
    now = after(refused, reading, at + 1, quota=False)
    assert now.account("a").ready_at(MODEL, POLICY)[0] >= refused.account("a").ready_at(MODEL, POLICY)[0]


@pytest.mark.parametrize("block", range(8))
def test_any_damage_at_all_leaves_a_refusal_a_refusal(block: int) -> None:
    for seed in range(block * TRIPS // 8, (block + 1) * TRIPS // 8):
        try:
            trip(seed)
        except Exception as found:
            found.add_note(f"seed {seed}")
            raise


@pytest.mark.faults
def test_no_damage_is_found_in_a_long_search() -> None:
    for seed in range(TRIPS, TRIPS + LONG_TRIPS):
        try:
            trip(seed)
        except Exception as found:
            found.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize("entry", [REFUSED[0], REFUSED[-1]], ids=by_id)
@pytest.mark.parametrize("filler", [b" ", b"[", b'"', b"\xff", b'{"a":', b"data: \n\n", b"\n"])
def test_a_body_of_five_megabytes_is_a_refusal_too(entry: dict, filler: bytes) -> None:
    reading = reading_of(entry, entry["headers"], filler * (5_000_000 // len(filler)))
    assert_lawful(entry, reading, entry["status"])


def test_the_same_seed_does_the_same_damage() -> None:
    entry = CAPTURED[0]
    assert repr(damaged(random.Random(7), entry["headers"], entry["body"])) == repr(
        damaged(random.Random(7), entry["headers"], entry["body"])
    )
