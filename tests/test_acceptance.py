"""The five acceptance tests of the origin, each on a real file."""

from __future__ import annotations

import json

import pytest
from simulators import MODEL, START, FakeClock, account, cooling, document, instant, runtime, save, served

from rotator import Parked, Rotator, Selected
from rotator.core.status import outcome_json


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.json"


def opened(path, clock=None):
    return Rotator.open(path, clock=clock or FakeClock())


def test_best_ready_account_among_mixed_cooldowns(path):
    exhausted = served(0.0, reset_in=900)
    save(
        path,
        document(
            account("cooling", runtime={"rev": 1, "models": {MODEL: cooling(600)}}),
            account("exhausted", runtime={"rev": 1, "models": {MODEL: exhausted}}),
            account("low", runtime={"rev": 1, "models": {MODEL: served(0.2, reset_in=3600 * 20, at=-10)}}),
            account("full", runtime={"rev": 1, "models": {MODEL: served(0.9, reset_in=3600 * 20, at=-10)}}),
            account("soon", runtime={"rev": 1, "models": {MODEL: cooling(30)}}),
            active="cooling",
        ),
    )
    clock = FakeClock()
    with opened(path, clock) as rotator:
        outcome = rotator.next(MODEL)
        assert (outcome.account, outcome.selection_reason, outcome.previous) == ("full", "best_score", "cooling")
        ready = {c.account: (c.ready, c.blocked_by) for c in outcome.candidates}
        assert ready == {
            "cooling": (False, "cooldown"),
            "exhausted": (False, "quota"),
            "low": (True, None),
            "full": (True, None),
            "soon": (False, "cooldown"),
        }
        rotator.observe("full", MODEL, status=429, headers={"retry-after": "10000"})
        rotator.observe("low", MODEL, status=429, headers={"retry-after": "10000"})
        parked = rotator.next(MODEL)
        assert isinstance(parked, Parked)
        assert parked.wake_at.timestamp() == START + 30
        clock.advance(30)
        assert rotator.next(MODEL).account == "soon"


def test_state_persists_across_restart(path):
    save(path, document(account("a"), account("b"), account("c")))
    clock = FakeClock()
    with opened(path, clock) as rotator:
        first = rotator.next(MODEL).account
        rotator.observe(first, MODEL, status=429, headers={"retry-after": "7200"})
        second = rotator.next(MODEL, session="chat").account
        rotator.observe(second, MODEL, status=200, headers={}, tokens=10)
        rotator.hold("c")
        before = rotator.explain(MODEL)
    with opened(path, clock) as rotator:
        after = rotator.explain(MODEL)
        assert outcome_json(after, durable=True) == outcome_json(before, durable=True)
        assert rotator.pool.active == second
        assert {c.account: c.blocked_by for c in after.candidates} == {first: "cooldown", second: None, "c": "held"}
        assert rotator.next(MODEL, session="chat").selection_reason in ("sticky_session", "only_ready")
    assert runtime(path, first)["models"][MODEL]["cooldown_until"] == instant(7200)


@pytest.mark.parametrize(
    ("weekly_left", "chosen"),
    [(0.0, "other"), (0.01, "other"), (0.9, "weekly")],
    ids=["spent", "below reserve", "plenty"],
)
def test_long_windows_influence_the_choice(path, weekly_left, chosen):
    windows = {
        "5h": {"remaining_fraction": 0.95, "reset_time": instant(600), "length_secs": 18000, "updated_at": instant(-5)},
        "7d": {
            "remaining_fraction": weekly_left,
            "reset_time": instant(5 * 86400),
            "length_secs": 604800,
            "updated_at": instant(-5),
        },
    }
    other = {"windows": {"5h": {**windows["5h"], "remaining_fraction": 0.3, "reset_time": instant(17000)}}}
    save(
        path,
        document(
            account("weekly", runtime={"rev": 1, "windows": windows}),
            account("other", runtime={"rev": 1, **other}),
        ),
    )
    with opened(path) as rotator:
        outcome = rotator.next(MODEL)
        assert outcome.account == chosen
        if not weekly_left:
            weekly = outcome.candidates[0]
            assert (weekly.blocked_by, weekly.ready_at.timestamp()) == ("quota", START + 5 * 86400)


@pytest.mark.parametrize(
    "broken", [None, {"rev": "three"}, {"models": {MODEL: {"cooldown_until": 3.5e300}}}, [], "text", {"rev": 1}]
)
def test_missing_or_corrupt_runtime_falls_back_to_round_robin(path, broken):
    parts = {} if broken is None else {"runtime": broken}
    save(path, document(*[account(name, **parts) for name in "abc"]))
    clock = FakeClock()
    with opened(path, clock) as rotator:
        taken = []
        for _ in range(7):
            outcome = rotator.next(MODEL)
            assert outcome.selection_reason == "round_robin"
            taken.append(outcome.account)
            clock.advance(0.5)
        assert taken == list("abcabca")
        assert rotator.flush()
    assert runtime(path, "a")["last_active_at"] == instant(3)
    if broken not in (None, {"rev": 1}):
        kept = json.loads((path.parent / "accounts.json.bak").read_bytes())
        assert [a["runtime"] for a in kept["accounts"]] == [broken] * 3


def test_status_explains_the_choice(path):
    save(
        path,
        document(
            account("a@example.com", runtime={"rev": 1, "models": {MODEL: cooling(4 * 3600 + 720, "reset")}}),
            account("b@example.com", runtime={"rev": 1, "models": {MODEL: served(0.63, reset_in=2400, at=-120)}}),
            account("c@example.com", enabled=False),
            active="a@example.com",
        ),
    )
    with opened(path) as rotator:
        status = outcome_json(rotator.explain(MODEL), durable=rotator.durable)
        taken = rotator.next(MODEL)
    assert isinstance(taken, Selected)
    assert status["account"] == taken.account == "b@example.com"
    assert "63 %" in status["explanation"]
    assert "a@example.com" in status["explanation"]
    by_name = {c["account"]: c for c in status["candidates"]}
    assert by_name["a@example.com"]["selection_reason"] == "cooldown"
    assert by_name["c@example.com"]["selection_reason"] == "disabled"
    assert by_name["c@example.com"]["selection_score"] is None
    chosen = by_name["b@example.com"]
    assert chosen["selection_reason"] == status["selection_reason"] == "only_ready"
    assert chosen["selection_score"] == sum(chosen["terms"].values())
    six = {"ready_now", "remaining", "wait", "consecutive_429", "staleness", "recent_success"}
    assert all(set(c["terms"]) == six for c in status["candidates"])
