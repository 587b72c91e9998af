"""A provider that throttles, with an engine: one back-off for all, one probe, a ramp; in the file, and for every process."""

from __future__ import annotations

import json
import sys

import pytest
from simulators import MODEL, START, FakeClock, account, document, load, runtime, save

from rotator import Parked, Rotator, Selected
from rotator.core.signals import Probed, QuotaObserved, RateLimited, Succeeded, Throttled
from rotator.core.state import Availability, Window
from rotator.core.status import outcome_json
from rotator.engine import Lease

REFUSED = {"status": 429, "headers": {}, "body": None}
OVERLOADED = {"status": 529, "headers": {}, "body": None}
LONG = {"status": 429, "headers": {"retry-after": "7200"}, "body": None}
NAMES = ("a", "b", "c")
TWO = {"throttle_witnesses": 2}
"""Two that are refused alike are enough."""


def provider(name, **parts):
    return account(name, **{"provider": "anthropic", **parts})


def engine(*more, clock=None, **parts):
    parts = {"policy": TWO, **parts}
    return Rotator.memory(document(*map(provider, NAMES), *more, **parts), clock=clock or FakeClock())


def throttled(*more, clock, **parts):
    """An engine whose provider throttles since now."""
    rotator = engine(*more, clock=clock, **parts)
    for name in ("a", "b"):
        facts = rotator.observe(name, MODEL, **REFUSED)
    assert isinstance(facts[-1], Throttled)
    return rotator


def leases(rotator, most=100):
    """As many requests at once as are let through."""
    taken = []
    while len(taken) < most and isinstance(lease := rotator.lease(MODEL), Lease):
        taken.append(lease)
    return taken


@pytest.mark.parametrize("refusal", [REFUSED, OVERLOADED], ids=["429", "529"])
def test_the_second_refusal_says_that_the_provider_throttles_and_everybody_backs_off(refusal):
    clock = FakeClock()
    rotator = engine(clock=clock)
    assert not any(isinstance(fact, Throttled) for fact in rotator.observe("a", MODEL, **refusal))
    clock.advance(0.5)
    with rotator.lease(MODEL, among=frozenset("b")) as lease:
        facts = lease.observe(**refusal)
    assert {fact.account for fact in facts if isinstance(fact, Throttled)} == {"a", "b", "c"}
    parked = rotator.next(MODEL)
    assert isinstance(parked, Parked)
    assert parked.wake_at.timestamp() == START + 5.5
    assert [c.blocked_by for c in parked.candidates] == ["cooldown"] * 3
    assert "is throttled by its provider (upstream) for 5 s" in parked.explanation
    assert "(upstream)" in parked.candidates[2].last_known_model_state_summary
    assert isinstance(rotator.next("another-model"), Selected)


def test_after_the_back_off_exactly_one_request_asks_and_the_others_wait_for_its_answer():
    clock = FakeClock()
    rotator = throttled(clock=clock)
    assert leases(rotator) == []
    clock.advance(5)
    (probe,) = leases(rotator)
    parked = rotator.next(MODEL)
    assert isinstance(parked, Parked)
    assert parked.wake_at.timestamp() == clock.wall + rotator.pool.policy.guard_wait
    assert {(c.ready, c.blocked_by) for c in parked.candidates} == {(False, "cooldown")}
    assert "is throttled by its provider (upstream) for 2 s" in parked.explanation
    assert outcome_json(rotator.explain(MODEL), durable=False) == outcome_json(parked, durable=False)
    assert isinstance(rotator.next("another-model"), Selected)
    probe.observe(**REFUSED)
    assert rotator.next(MODEL).wake_at.timestamp() == clock.wall + 7.5
    assert {a.state(MODEL).consecutive_429 for a in rotator.pool} == {0}


def test_a_probe_that_ends_without_news_makes_room_for_the_next_one():
    clock = FakeClock()
    rotator = throttled(clock=clock)
    clock.advance(5)
    for _ in range(3):
        (probe,) = leases(rotator)
        probe.release()


def test_a_lease_that_nobody_ends_keeps_the_others_out_for_half_a_minute_and_no_longer():
    clock = FakeClock()
    rotator = throttled(clock=clock)
    clock.advance(5)
    assert len(leases(rotator)) == 1
    clock.advance(30)
    assert leases(rotator) == []
    clock.advance(0.001)
    assert len(leases(rotator)) == 100


def test_after_the_first_success_the_requests_in_flight_double_each_second():
    clock = FakeClock()
    rotator = throttled(clock=clock)
    clock.advance(6)
    (probe,) = leases(rotator)
    probe.observe(status=200)
    open_leases, counts = [], []
    for _ in range(11):
        open_leases += leases(rotator, 3000)
        counts.append(len(open_leases))
        for served in open_leases[:3]:
            rotator.observe(served.account, MODEL, status=200)
        clock.advance(1)
    assert counts[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert counts[10] > 2000


def test_the_ramp_goes_on_when_everybody_has_served():
    clock = FakeClock()
    rotator = throttled(clock=clock)
    clock.advance(6)
    (probe,) = leases(rotator)
    rotator.ingest([Succeeded(name, MODEL, clock.wall) for name in NAMES])
    assert leases(rotator) == []
    clock.advance(1)
    assert len(leases(rotator)) == 1
    assert probe.account in NAMES


def test_the_gate_stands_too_where_nobody_passed_his_probe():
    clock = FakeClock()
    rotator = throttled(clock=clock)
    failed = Availability(ok=False, checked_at=START)
    rotator.ingest([Probed(name, START, failed) for name in NAMES])
    clock.advance(5)
    assert len(leases(rotator)) == 1


def test_requests_from_before_the_throttle_are_no_probe():
    clock = FakeClock()
    rotator = engine(clock=clock)
    before = leases(rotator, 20)
    clock.advance(1)
    for name in ("a", "b"):
        rotator.observe(name, MODEL, **REFUSED)
    clock.advance(5)
    assert len(leases(rotator)) == 1
    assert len(before) == 20


@pytest.mark.parametrize("answer", [{"status": 401}, LONG], ids=["401", "a long delay"])
def test_a_refusal_of_the_probes_own_ends_the_throttle_too(answer):
    clock = FakeClock()
    rotator = throttled(clock=clock)
    clock.advance(5)
    (probe,) = leases(rotator)
    probe.observe(**answer)
    assert len(leases(rotator)) == 1
    clock.advance(2)
    assert len(leases(rotator)) == 3, "what is in flight then is four"


def test_another_provider_serves_meanwhile():
    clock = FakeClock()
    rotator = throttled(account("z", provider="openai"), clock=clock)
    assert rotator.next(MODEL).account == "z"
    clock.advance(5)
    first = rotator.lease(MODEL, among=frozenset(NAMES))
    assert isinstance(first, Lease)
    for _ in range(3):
        assert rotator.lease(MODEL).account == "z"
    first.observe(status=200)
    clock.advance(20)
    assert rotator.next(MODEL, among=frozenset(NAMES)).account in NAMES


def test_who_waits_is_woken_when_the_probe_is_served():
    clock = FakeClock()
    rotator = throttled(clock=clock)
    clock.advance(5)
    (probe,) = leases(rotator)
    clock.plan(1.2, lambda: probe.observe(status=200))
    assert isinstance(rotator.wait(MODEL), Selected)
    assert 1.2 <= clock.wall - START - 5 < 4


def test_it_is_in_the_file_of_every_account_and_a_restart_knows_of_it(tmp_path):
    path, clock = tmp_path / "accounts.json", FakeClock()
    save(path, document(*map(provider, NAMES), policy=TWO))
    with Rotator.open(path, clock=clock) as rotator:
        for name in ("a", "b"):
            rotator.observe(name, MODEL, **REFUSED)
    for name in NAMES:
        state = runtime(path, name)["models"][MODEL]
        assert (state["cooldown_source"], state["cooldown_until"]) == ("upstream", "2026-11-20T10:00:05Z")
        assert "consecutive_429" not in state
    clock.advance(4)
    with Rotator.open(path, clock=clock) as again:
        assert again.next(MODEL).wake_at.timestamp() == START + 5
        clock.advance(1)
        assert len(leases(again)) == 1


def test_processes_that_hear_of_one_refusal_each_find_out_together(tmp_path):
    path, clock = tmp_path / "accounts.json", FakeClock()
    save(path, document(*map(provider, NAMES), policy=TWO))
    for name in ("a", "b"):
        with Rotator.open(path, clock=clock) as rotator:
            facts = rotator.observe(name, MODEL, **REFUSED)
        clock.advance(2)
    assert isinstance(facts[-1], Throttled)
    with Rotator.open(path, clock=clock) as watching:
        assert isinstance(watching.next(MODEL), Parked)
        clock.advance(3)
        assert len(leases(watching)) == 1
        with Rotator.open(path, clock=clock) as other:
            other.observe("c", MODEL, status=200)
        assert len(leases(watching)) == 0, "the probe is still under way, and the ramp begins at one"
        clock.advance(1)
        assert len(leases(watching)) == 1


def test_a_request_that_three_accounts_refuse_while_others_are_served_charges_nobody():
    clock = FakeClock()
    rotator = engine(*[account(name, provider="anthropic") for name in ("d", "e")], clock=clock)
    refused, facts = [], ()
    for name in NAMES:
        clock.advance(0.25)
        with rotator.lease(MODEL, among=frozenset([name])) as lease:
            facts = lease.observe(**REFUSED, refused_before=refused)
            refused.append(lease.account)
        rotator.observe("d", MODEL, status=200)
        clock.advance(0.25)
        rotator.observe("d", MODEL, status=200)
    assert [fact.account for fact in facts if isinstance(fact, Throttled)] == ["c", "a", "b"]
    assert {c.blocked_by for c in rotator.explain(MODEL).candidates} == {None}
    assert {a.state(MODEL).consecutive_429 for a in rotator.pool} == {0}
    assert len(leases(rotator)) == 100


def test_several_leases_learn_of_a_request_through_learn_too():
    clock = FakeClock()
    rotator = engine(provider("d"), clock=clock)
    for number, name in enumerate(NAMES):
        clock.advance(1)
        rotator.observe("d", MODEL, status=200)
        facts = rotator.lease(MODEL, among=frozenset([name])).learn(**REFUSED, refused_before=NAMES[:number])
        clock.advance(1)
        rotator.observe("d", MODEL, status=200)
    assert sum(isinstance(fact, Throttled) for fact in facts) == 3


def test_facts_that_are_ingested_one_by_one_or_at_once_show_the_same():
    facts = [
        RateLimited("a", MODEL, START, 60.0),
        Succeeded("c", MODEL, START + 1),
        RateLimited("b", MODEL, START + 2, 60.0),
        RateLimited("c", MODEL, START + 3, 60.0),
        Succeeded("a", MODEL, START + 4),
    ]
    at_once, one_by_one = engine(), engine()
    at_once.ingest(facts)
    for fact in facts:
        one_by_one.ingest([fact])
    assert at_once.pool == one_by_one.pool
    assert [c.source for c in at_once.pool.account("b").state(MODEL).cooldowns] == ["upstream"]


GROUP = [provider("a", quota_group="org"), provider("b", quota_group="org")]


def test_a_quota_group_is_one_witness_and_is_excused_together():
    clock = FakeClock()
    rotator = Rotator.memory(document(*GROUP, provider("c"), provider("d"), policy=TWO), clock=clock)
    for name in ("a", "b"):
        facts = rotator.observe(name, MODEL, **REFUSED)
        assert not any(isinstance(fact, Throttled) for fact in facts)
    assert rotator.next(MODEL).account in ("c", "d")
    rotator.observe("c", MODEL, **REFUSED)
    for each in rotator.pool:
        assert [c.source for c in each.state(MODEL).cooldowns] == ["upstream"]
        assert each.state(MODEL).consecutive_429 == 0


def test_what_excuses_one_of_a_quota_group_excuses_all_of_it():
    others = account("x", quota_group="org"), provider("y", quota_group="org", models=["other"])
    rotator = Rotator.memory(document(*GROUP, provider("c"), *others, policy=TWO), clock=FakeClock())
    rotator.ingest([RateLimited("a", MODEL, START, 60.0), Throttled("b", MODEL, START, START)])
    blocked = {c.account: c.blocked_by for c in rotator.explain(MODEL).candidates}
    assert blocked == {"a": None, "b": None, "c": None, "x": "cooldown", "y": "model_not_served"}
    assert "retry-after" in {c.source for c in rotator.pool.account("y").state(MODEL).cooldowns}


def test_a_spent_window_of_a_model_family_is_spent_for_the_models_that_the_others_of_the_group_know():
    rotator = Rotator.memory(document(*GROUP), clock=FakeClock())
    for name, model in (("a", "claude-opus-4-5"), ("b", "claude-opus-4-6")):
        rotator.observe(name, model, status=200)
    reset = str(int(START) + 90000)
    unified = {
        "status": "rejected",
        "representative-claim": "seven_day_opus",
        "5h-status": "allowed",
        "7d-status": "allowed",
        "7d_opus-status": "rejected",
        "7d_opus-utilization": "1.0",
        "7d_opus-reset": reset,
    }
    headers = {f"anthropic-ratelimit-unified-{key}": value for key, value in unified.items()}
    rotator.observe("a", "claude-opus-4-5", status=429, headers=headers)
    for name in ("a", "b"):
        ready_at, word = rotator.pool.account(name).ready_at("claude-opus-4-6", rotator.pool.policy)
        assert (ready_at, word) == (START + 90000, "quota")


def test_a_spent_quota_of_two_accounts_is_no_throttle_whatever_they_say_of_when():
    rotator = engine()
    for name in ("a", "b"):
        window = Window("5h", 0.0, START + 9000, 18000.0)
        rotator.ingest(
            [QuotaObserved(name, None, START, (window,), with_refusal=True), RateLimited(name, MODEL, START, 30.0)]
        )
    assert rotator.next(MODEL).account == "c"


def test_a_pick_loads_nothing_of_it_until_somebody_throttles():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from rotator import Rotator; from simulators import *\n"
        "r = Rotator.memory(document(account('a'), account('b')), clock=FakeClock()); r.lease('m').observe(status=200)\n"
        "print('rotator.core.throttle' in sys.modules)"
    )
    import subprocess
    from pathlib import Path

    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.lower()) is False


def test_a_throttle_of_this_morning_costs_nothing_and_binds_nobody(tmp_path):
    path, clock = tmp_path / "accounts.json", FakeClock()
    save(path, document(*map(provider, NAMES), policy=TWO))
    with Rotator.open(path, clock=clock) as rotator:
        for name in ("a", "b"):
            rotator.observe(name, MODEL, **REFUSED)
        clock.advance(9000)
        assert len(leases(rotator)) == 100
    assert len(load(path)["accounts"]) == 3
