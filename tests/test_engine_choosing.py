"""Choosing and learning with an engine: what a question changes, what a choice writes, leases, threads, forks."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import MODEL, START, FakeClock, account, cooling, document, edit, instant, load, runtime, save, served

from rotator import Parked, Policy, Rotator, Selected, Unavailable
from rotator.core.signals import Blocked, Held, Probed, QuotaObserved, RateLimited, Succeeded
from rotator.core.state import Availability, Window
from rotator.core.status import outcome_json
from rotator.engine import Lease
from rotator.errors import AccountsInvalid, BadArgument, UnknownAccount

REFUSED = {"status": 429, "headers": {"retry-after": "600"}, "body": None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.json"


def of_document(*accounts, clock=None, **parts):
    return Rotator.memory(document(*accounts, **parts), clock=clock or FakeClock())


states = st.one_of(
    st.just({}),
    st.builds(
        served,
        st.sampled_from([0.0, 0.01, 0.3, 0.9]),
        st.sampled_from([-50.0, 40.0, 3000.0, 90000.0]),
        st.sampled_from([-100000.0, -400.0, -10.0]),
    ),
    st.builds(cooling, st.sampled_from([-4.0, 20.0, 700.0]), st.sampled_from(["retry-after", "reset", "person"])),
)
hard = st.sampled_from([{}, {}, {}, {"banned": True}, {"held": True}, {"held_until": instant(50)}])
made = st.builds(
    lambda state, flags, parts: {**parts, "runtime": {"rev": 1, **flags, "models": {MODEL: state} if state else {}}},
    states,
    hard,
    st.fixed_dictionaries(
        {},
        optional={
            "priority": st.sampled_from([0, 1]),
            "emergency": st.booleans(),
            "enabled": st.booleans(),
            "tags": st.just(["work"]),
            "models": st.sampled_from([["*"], ["other"], ["gemini-*"]]),
        },
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(made, max_size=5),
    st.none() | st.sampled_from("abcde"),
    st.sampled_from(["score", "chain", "round_robin", "shadow"]),
    st.none() | st.just("chat"),
    st.sampled_from([(), ("work",)]),
    st.lists(st.sampled_from([0.0, 0.3, 25.0, 90000.0]), min_size=1, max_size=4),
)
def test_explain_is_the_choice_that_next_makes(parts, active, selector, session, tags, pauses):
    accounts = [account(name, **part) for name, part in zip("abcde", parts, strict=False)]
    clock = FakeClock()
    rotator = of_document(
        *accounts, clock=clock, policy={"selector": selector}, **({"active": active} if active else {})
    )
    for pause in pauses:
        clock.advance(pause)
        asked = rotator.document(), outcome_json(rotator.explain(MODEL, session=session, tags=tags), durable=False)
        assert rotator.document() == asked[0]
        told = rotator.explain(MODEL, session=session, tags=tags)
        taken = rotator.next(MODEL, session=session, tags=tags)
        assert outcome_json(taken, durable=False) == outcome_json(told, durable=False) == asked[1]
        if isinstance(taken, Selected):
            assert rotator.pool.active == taken.account


def test_choosing_the_same_account_again_writes_nothing_and_takes_no_lock(path):
    save(path, document(account("a"), account("b", priority=1), active="a"))
    clock = FakeClock()
    with Rotator.open(path, clock=clock) as rotator:
        before = path.read_bytes(), path.stat()
        for _ in range(50):
            assert rotator.next(MODEL).account == "a"
            clock.advance(10)
            assert rotator.due_at() is None
            rotator.tick()
        assert rotator.flush()
    after = path.stat()
    assert (path.read_bytes(), after.st_mtime_ns, after.st_ino) == (before[0], before[1].st_mtime_ns, before[1].st_ino)
    assert os.listdir(path.parent) == ["accounts.json"]


def test_each_operation_reads_the_clock_once(path):
    save(path, document(account("a"), account("b")))
    clock = FakeClock()
    with Rotator.open(path, clock=clock) as rotator:
        leased = rotator.lease(MODEL)
        operations = [
            lambda: leased.observe(status=200),
            lambda: rotator.next(MODEL, session="s"),
            lambda: rotator.explain(MODEL),
            lambda: rotator.lease(MODEL).release(),
            lambda: rotator.observe("a", MODEL, **REFUSED),
            lambda: rotator.ingest([Succeeded("b", MODEL, START)]),
            lambda: rotator.hold("a"),
            lambda: rotator.release("a"),
            rotator.document,
            rotator.flush,
        ]
        for operation in operations:
            clock.readings = 0
            operation()
            assert clock.readings == 1


def test_a_session_that_stays_is_noted_at_most_once_a_minute_and_moves_with_its_account():
    clock = FakeClock()
    rotator = of_document(account("a"), account("b"), clock=clock)
    noted = []
    for _ in range(300):
        assert rotator.next(MODEL, session="chat").account == "a"
        noted.append(rotator.pool.account("a").runtime.sessions["chat"])
        clock.advance(1)
    assert len(set(noted)) == 5
    rotator.observe("a", MODEL, **REFUSED)
    assert rotator.next(MODEL, session="chat").account == "b"
    clock.advance(601)
    assert rotator.next(MODEL, session="chat").account == "b"


def test_a_fact_about_an_account_that_never_was_is_an_error_where_it_was_named_and_nothing_in_news():
    rotator = of_document(account("a"))
    for call in (
        lambda: rotator.observe("x", MODEL, status=200),
        lambda: rotator.hold("x"),
        lambda: rotator.release("x"),
        lambda: rotator.credentials("x"),
    ):
        with pytest.raises(UnknownAccount):
            call()
    rotator.ingest([Succeeded("x", MODEL, START)])
    assert len(rotator.pool) == 1


def test_a_hold_needs_an_instant_with_a_zone():
    rotator = of_document(account("a"))
    with pytest.raises(BadArgument):
        rotator.hold("a", until=datetime(2026, 11, 20, 12))  # noqa: DTZ001
    rotator.hold("a", until=rotator.explain(MODEL).decided_at + timedelta(seconds=60), model=MODEL)
    assert rotator.explain(MODEL).wake_at.timestamp() == START + 60
    rotator.release("a", model=MODEL)
    assert isinstance(rotator.next(MODEL), Selected)


def test_nobody_in_the_file_is_unavailable_and_says_so():
    rotator = of_document()
    outcome = rotator.next(MODEL)
    assert isinstance(outcome, Unavailable)
    assert "add one" in outcome.reason


def test_accounts_of_one_quota_group_share_what_is_learned_of_their_limit():
    rotator = of_document(account("a", quota_group="org"), account("b", quota_group="org"), account("c"))
    rotator.observe("a", MODEL, **REFUSED)
    blocked = {c.account: c.blocked_by for c in rotator.explain(MODEL).candidates}
    assert blocked == {"a": "cooldown", "b": "cooldown", "c": None}
    rotator.ingest([QuotaObserved("b", MODEL, START + 1, (Window("5h", 0.4, START + 900, 18000.0),))])
    assert [len(a.state(MODEL).windows) for a in rotator.pool] == [1, 1, 0]


def test_a_success_of_one_of_a_quota_group_ends_what_its_limit_set_for_all_of_them():
    clock = FakeClock()
    members = [account(name, quota_group="org") for name in ("a", "b")]
    rotator = of_document(*members, account("c"), clock=clock)
    rotator.observe("c", MODEL, status=429, headers={"retry-after": "7200"})
    rotator.ingest([QuotaObserved("a", None, START, (Window("5h", 0.5, START + 900, 18000.0),))])
    rotator.observe("a", MODEL, **REFUSED)
    clock.advance(5)
    rotator.observe("a", MODEL, status=200, tokens=100)
    assert {c.account: c.blocked_by for c in rotator.explain(MODEL).candidates} == {
        "a": None,
        "b": None,
        "c": "cooldown",
    }
    a, b = rotator.pool.account("a"), rotator.pool.account("b")
    assert a.runtime.windows == b.runtime.windows
    assert b.runtime.windows[0].spent_tokens == 100
    assert (a.state(MODEL).last_success_at, b.state(MODEL).last_success_at) == (START + 5, 0.0)
    assert b.state(MODEL).consecutive_429 == 0


def test_a_success_in_the_quota_group_vouches_for_no_other_credential_and_undoes_nothing_of_a_persons():
    blocked = {
        "api": {"consecutive_401": 1, "cooldown_source": "default"},
        "person": {"cooldown_source": "person"},
        "banned": {"banned": True},
        "held": {"held": True},
    }
    listed = [
        account(name, quota_group="org", runtime={"cooldown_until": instant(600), "cooldown_at": instant(-5), **state})
        for name, state in blocked.items()
    ]
    rotator = of_document(account("a", quota_group="org"), *listed)
    rotator.observe("a", MODEL, status=200)
    words = {c.account: c.blocked_by for c in rotator.explain(MODEL).candidates}
    assert words == {"a": None, "api": "cooldown", "person": "cooldown", "banned": "banned", "held": "held"}
    assert rotator.pool.account("api").runtime.consecutive_401 == 1


def test_a_success_that_changes_nothing_for_the_others_of_a_quota_group_is_kept_of_none_of_them():
    rotator = of_document(*[account(name, quota_group="org") for name in ("a", "b")])
    rotator.observe("a", MODEL, status=200, tokens=100)
    assert rotator.pool.account("b").runtime.models == {}


NAN = float("nan")


@pytest.mark.parametrize(
    "wrong",
    [
        "Succeeded",
        None,
        {"account": "a"},
        Succeeded("a", MODEL, NAN),
        Succeeded("a", MODEL, datetime(2026, 11, 20, 12)),  # noqa: DTZ001
        Succeeded("a", MODEL, True),
        Succeeded("a", None, START),
        Succeeded("a", MODEL, START, None),
        Succeeded(None, MODEL, START),
        Held("a", None, START, NAN),
        Held("a", None, START, datetime(2026, 11, 20, 12)),  # noqa: DTZ001
        Blocked("a", "auth_failed", START, "revoked"),
        Blocked("a", "rev", START, "revoked"),
        Blocked("a", "banned", START, None),
        RateLimited("a", MODEL, START, "30"),
        QuotaObserved("a", None, START, (Window("5h", 0.5, NAN),)),
        QuotaObserved("a", None, START, ({"5h": 0.5},)),
        QuotaObserved("a", None, START, [Window("5h", 0.5)]),
        QuotaObserved("a", None, START, (Window(5, 0.5),)),
        Probed("a", START, None),
        Probed("a", START, Availability(ok="yes", checked_at=START)),
    ],
    ids=repr,
)
def test_what_is_no_signal_is_refused_and_nothing_that_came_with_it_is_taken_in(wrong):
    rotator = of_document(account("a"))
    before = rotator.pool
    with pytest.raises(BadArgument):
        rotator.ingest([Succeeded("a", MODEL, START), wrong])
    assert rotator.pool is before


def test_numbers_out_of_range_are_taken_in_within_it():
    rotator = of_document(account("a"))
    rotator.ingest(
        [
            QuotaObserved("a", None, START, (Window("5h", 5.0),)),
            Succeeded("a", MODEL, START, -5),
            Succeeded("a", MODEL, START, 2**70),
            Succeeded("a", MODEL, START, 7),
            RateLimited("a", MODEL, START + 1, 1e19),
            Probed("a", START, Availability(ok=True, checked_at=NAN)),
        ]
    )
    again = Rotator.memory(rotator.document(), clock=FakeClock())
    window = again.pool.account("a").runtime.windows[0]
    assert (window.remaining_fraction, window.spent_tokens) == (1.0, 2**53)
    assert again.explain(MODEL).wake_at.year == 2036


def test_a_response_that_reports_impossible_tokens_teaches_what_it_can():
    rotator = of_document(account("a"))
    rotator.observe("a", MODEL, status=200, tokens=-5)
    rotator.observe("a", MODEL, status=429, headers={"retry-after": "9" * 30})
    assert Rotator.memory(rotator.document(), clock=FakeClock()).pool.account("a").state(MODEL).last_success_at == START


def test_tags_as_one_text_are_a_mistake_that_says_what_to_write():
    rotator = of_document(account("a", tags=["work"]))
    for call in (
        rotator.next,
        rotator.explain,
        rotator.lease,
        rotator.wait,
        lambda model, tags: rotator.when_ready(model, print, tags=tags),
        lambda model, tags: asyncio.run(rotator.wait_async(model, tags=tags)),
    ):
        with pytest.raises(BadArgument, match=r"\['work'\]"):
            call(MODEL, tags="work")
        call(MODEL, tags=None)
    assert rotator.next(MODEL, tags=["work"]).account == "a"


def test_a_closed_engine_chooses_and_learns_nothing_more_but_answers(path):
    save(path, document(account("a"), active="a"))
    rotator = Rotator.open(path, clock=FakeClock())
    lease = rotator.lease(MODEL)
    rotator.close()
    rotator.close()
    before = path.read_bytes()
    for call in (
        lambda: rotator.next(MODEL),
        lambda: rotator.lease(MODEL),
        lambda: rotator.wait(MODEL),
        lambda: rotator.when_ready(MODEL, print),
        lambda: rotator.observe("a", MODEL, **REFUSED),
        lambda: lease.observe(**REFUSED),
        lambda: rotator.ingest([Succeeded("a", MODEL, START)]),
        lambda: rotator.hold("a"),
        lambda: rotator.release("a"),
    ):
        with pytest.raises(BadArgument, match="closed"):
            call()
    lease.release()
    assert rotator.explain(MODEL).account == "a"
    assert rotator.document() == path.read_bytes() == before


def test_a_clock_without_a_time_zone_is_refused_before_anything_is_read_by_it():
    class Naive(FakeClock):
        def now(self):
            return super().now().replace(tzinfo=None)

    with pytest.raises(BadArgument, match="time zone"):
        of_document(account("a"), clock=Naive())


def test_an_engine_in_memory_starts_no_thread_and_round_trips():
    threads = threading.active_count()
    clock = FakeClock()
    rotator = of_document(account("a"), account("b"), clock=clock)
    rotator.next(MODEL)
    rotator.observe("a", MODEL, **REFUSED)
    assert (rotator.next(MODEL).account, rotator.durable, rotator.flush(), rotator.due_at()) == (
        "b",
        False,
        False,
        None,
    )
    assert threading.active_count() == threads
    again = Rotator.memory(rotator.document(), clock=clock)
    assert outcome_json(again.explain(MODEL), durable=False) == outcome_json(rotator.explain(MODEL), durable=False)
    assert again.document() == rotator.document()


def test_a_document_may_be_bytes_text_or_decoded_and_must_be_valid():
    decoded = document(account("a"))
    for form in (decoded, json.dumps(decoded), json.dumps(decoded).encode()):
        assert Rotator.memory(form, clock=FakeClock()).next(MODEL).account == "a"
    for form in ({}, "", b"\xff", {"version": 2, "accounts": [{}]}):
        with pytest.raises(AccountsInvalid):
            Rotator.memory(form)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (json.dumps(document(account("a"))) + "\ud800", AccountsInvalid),
        (document(account("a", weight=NAN)), BadArgument),
        (document(account("a", note={"fake-set"})), BadArgument),
        (document(account("a", note=b"fake-bytes")), BadArgument),
        (bytearray(b'{"version": 2, "accounts": []}'), BadArgument),
        (None, AccountsInvalid),
        (["fake-list"], AccountsInvalid),
    ],
    ids=["half a pair", "NaN", "a set", "bytes", "a bytearray", "None", "a list"],
)
def test_what_is_no_document_is_refused_without_a_word_of_it(wrong, error):
    with pytest.raises(error) as caught:
        Rotator.memory(wrong)
    assert "fake-" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_document_that_holds_itself_is_refused_and_half_a_surrogate_pair_is_carried():
    endless = document(account("a"))
    endless["accounts"].append(endless)
    with pytest.raises(BadArgument):
        Rotator.memory(endless)
    assert Rotator.memory(document(account("\ud800")), clock=FakeClock()).next(MODEL).account == "\ud800"


def test_document_is_what_a_flush_writes(path):
    save(path, document(account("a"), account("b"), note="mine"))
    with Rotator.open(path, clock=FakeClock()) as rotator:
        assert rotator.document() == path.read_bytes()
        rotator.next(MODEL)
        rotator.observe("a", MODEL, **REFUSED)
        expected = rotator.document()
        assert expected != path.read_bytes()
        assert rotator.flush()
        assert path.read_bytes() == expected == rotator.document()


def in_flight(rotator):
    return {c.account: round(-c.score.terms.get("in_flight", 0.0) / 0.01) for c in rotator.explain(MODEL).candidates}


def test_a_lease_counts_until_it_ends_and_ends_once():
    rotator = of_document(account("a"), active="a")
    one, two = rotator.lease(MODEL), rotator.lease(MODEL)
    assert (one.account, one.model, in_flight(rotator)) == ("a", MODEL, {"a": 2})
    one.release()
    one.release()
    one.observe(status=200)
    assert in_flight(rotator) == {"a": 1}
    two.observe(status=200, headers={}, body=None, tokens=5)
    assert in_flight(rotator) == {"a": 0}
    with pytest.raises(ZeroDivisionError), rotator.lease(MODEL):
        assert in_flight(rotator) == {"a": 1}
        raise ZeroDivisionError
    assert in_flight(rotator) == {"a": 0}


def test_ending_a_lease_from_many_threads_ends_it_once():
    rotator = of_document(account("a"))
    keep, lease = rotator.lease(MODEL), rotator.lease(MODEL)
    threads = [threading.Thread(target=lease.release) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_flight(rotator) == {"a": 1}
    keep.release()


def test_near_the_limit_one_request_at_a_time_is_let_in():
    rotator = of_document(account("a", runtime={"rev": 1, "models": {MODEL: served(0.01)}}))
    lease = rotator.lease(MODEL)
    parked = rotator.lease(MODEL)
    assert isinstance(parked, Parked)
    assert parked.wake_at.timestamp() == START + 1.5
    lease.release()
    assert isinstance(rotator.lease(MODEL), Lease)


def test_a_lease_of_an_account_that_left_the_file_meanwhile_ends_quietly(path):
    save(path, document(account("a"), account("b", priority=1)))
    with Rotator.open(path, clock=FakeClock()) as rotator:
        lease = rotator.lease(MODEL)
        save(path, document(account("b")))
        lease.observe(**REFUSED)
        assert rotator.next(MODEL).account == "b"
    assert [a["name"] for a in load(path)["accounts"]] == ["b"]


def test_a_burst_of_leases_spreads_over_equals():
    state = {"rev": 1, "models": {MODEL: served(0.8, 9000)}}
    rotator = of_document(*[account(name, runtime=state) for name in "abcd"])
    taken = Counter(rotator.lease(MODEL).account for _ in range(100))
    assert set(taken) == set("abcd")
    assert max(taken.values()) - min(taken.values()) <= 12


def test_threads_choose_and_learn_at_once_and_nothing_is_lost(path):
    save(path, document(*[account(name) for name in "abcd"]))
    failed = []

    def work(number):
        try:
            for round_ in range(40):
                with rotator.lease(MODEL) as lease:
                    lease.observe(status=200, headers={}, body=None)
                rotator.observe("abcd"[number % 4], f"model-{number}-{round_}", **REFUSED)
                rotator.explain(MODEL)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    with Rotator.open(path) as rotator:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert set(in_flight(rotator).values()) == {0}
    learned = {name: sum(model.startswith("model-") for model in runtime(path, name)["models"]) for name in "abcd"}
    assert learned == dict.fromkeys("abcd", 80)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_parents_facts_to_it_and_learns_its_own(path):
    save(path, document(account("a"), account("b"), policy={"flush_after": 0.01}))
    clock = FakeClock()
    rotator = Rotator.open(path, clock=clock)
    threaded = Rotator.open(path)
    threaded.next(MODEL)
    assert threaded.flush()
    rotator.observe("a", "parents", **REFUSED)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            rotator.flush()
            assert "parents" not in runtime(path, "a").get("models", {})
            rotator.observe("b", "childs", **REFUSED)
            assert rotator.flush()
            threaded.observe("b", "alarms", **REFUSED)
            done = threading.Event()
            for _ in range(500):
                if "alarms" in runtime(path, "b")["models"]:
                    code = 0
                    break
                done.wait(0.01)
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    rotator.close()
    threaded.close()
    assert set(runtime(path, "a")["models"]) == {"parents"}
    assert set(runtime(path, "b")["models"]) == {"childs", "alarms"}


@pytest.mark.parametrize("line", ["import rotator", "from rotator import Rotator, Policy, Selected, RotatorError"])
def test_importing_rotator_loads_no_heavy_dependency(line):
    code = f"{line}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"httpx", "jsonschema", "click", "tenacity", "asyncio", "logging", "json", "filelock", "rich", "typing"}
    assert loaded & heavy == set()


def test_an_engine_cannot_be_copied_by_accident_into_two_that_share_a_lock():
    rotator = of_document(account("a"))
    with pytest.raises(TypeError):
        copy.deepcopy(rotator)


def test_an_engine_that_chooses_loads_nothing_that_it_does_not_need(path):
    save(path, document(account("a"), active="a"))
    code = (
        "import sys; from rotator import Rotator\n"
        "with Rotator.open(sys.argv[1]) as rotator: rotator.next('m')\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    heavy = {
        "typing",
        "dataclasses",
        "enum",
        "re",
        "pathlib",
        "functools",
        "contextlib",
        "json",
        "logging",
        "threading",
    }
    assert set(done.stdout.split()) & heavy == set()


@pytest.mark.parametrize("policy", [None, Policy()])
def test_an_edit_between_two_choices_is_heeded(path, policy):
    save(path, document(account("a"), account("b"), account("c")))
    with Rotator.open(path, policy=policy, clock=FakeClock()) as rotator:
        assert rotator.next(MODEL).account == "a"
        assert rotator.explain(MODEL).account == "b"
        edit(path, lambda found: found["accounts"][1].update(enabled=False))
        assert [rotator.next(MODEL).account for _ in range(3)] == ["c", "a", "c"]


def test_a_refusal_of_one_model_says_nothing_of_another():
    rotator = of_document(account("a"))
    rotator.ingest([RateLimited("a", MODEL, START, 60.0)])
    assert isinstance(rotator.explain(MODEL), Parked)
    assert isinstance(rotator.explain("other"), Selected)


@pytest.mark.parametrize("served", [False, True])
def test_of_a_hundred_parallel_callers_no_account_gets_more_than_its_share_by_more_than_a_fifth(served):
    rotator = of_document(*[account(name) for name in "abcde"])
    for name in "abcde" if served else "":
        rotator.observe(name, MODEL, status=200, tokens=1000)
    taken = Counter(rotator.lease(MODEL).account for _ in range(100))
    assert set(taken) == set("abcde")
    assert max(taken.values()) <= 24
