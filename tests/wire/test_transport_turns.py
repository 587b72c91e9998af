from __future__ import annotations

import json
import os
import signal
import threading
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from rotator import Rotator
from rotator.core.signals import Throttled
from rotator.wire.httpx2 import RotatorTransport
from rotator.wire.turns import Turn, Turns
from tests.wire.programs import ASKED, MODEL, in_flight, pool_of

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
URL = "https://api.anthropic.com/v1/messages"
BARE = {"type": "error", "error": {"type": "rate_limit_error", "message": "Error"}}


class Clock:
    """Goes on by ``tick`` seconds each time that it is asked for the wall clock."""

    def __init__(self, tick=0.0):
        self.tick = tick
        self.passed = 0.0

    def now(self):
        self.passed += self.tick
        return NOON + timedelta(seconds=self.passed)

    def monotonic(self):
        return self.passed

    def wait(self, event, secs):
        raise AssertionError


def pool(*names):
    accounts = [{"id": name, "provider": "anthropic", "api_key": f"fake-key-{name}"} for name in names]
    return {"version": 2, "accounts": accounts}


def head(remaining):
    limits = {"limit": "100", "remaining": str(remaining), "reset": "2026-11-20T12:01:00Z"}
    return 200, {f"anthropic-ratelimit-requests-{name}": value for name, value in limits.items()}


def left(rotator):
    """What is known to whoever asks."""
    return _windows(pool_of(rotator, "a"))


def learned(rotator):
    """What was learned so far, asked of nobody."""
    return _windows(rotator._keeper.pool.account("a").runtime)


def _windows(runtime):
    state = runtime.models.get(MODEL)
    return None if state is None else [(w.remaining_fraction, w.spent_tokens) for w in state.windows]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rotator(clock):
    return Rotator.memory(pool("a"), clock=clock)


@pytest.fixture
def begin(rotator):
    turns = Turns(rotator)
    return lambda: turns.begin(rotator.lease(MODEL))


def test_whoever_asks_is_told_all_that_was_heard(rotator, begin):
    for remaining in (90, 80, 70):
        begin().ends(head(remaining), 5)
        assert left(rotator)[0][0] == remaining / 100


def test_of_many_in_a_moment_the_newest_is_learned_with_the_tokens_of_all(rotator, clock, begin):
    turns = [begin() for _ in range(4)]
    turns[0].ends(head(90), 1)
    assert learned(rotator) == [(0.9, 1)]
    clock.passed += 0.01
    turns[1].ends(head(80), 2)
    clock.passed += 0.01
    turns[2].ends(head(70), 4)
    turns[3].ends()
    assert learned(rotator) == [(0.9, 1)], "something was just learned"
    assert left(rotator) == [(0.7, 6)]
    assert in_flight(rotator) == 0


def test_a_lease_alone_does_not_have_it_learned_before_its_time(rotator, clock, begin):
    begin().ends(head(90))
    begin().ends(head(80))
    begin()
    assert learned(rotator) == [(0.9, 0)]
    clock.passed += 0.2
    begin()
    assert learned(rotator) == [(0.8, 0)]


def test_it_is_not_put_off_for_long(rotator, clock, begin):
    turns = [begin() for _ in range(3)]
    turns[0].ends(head(90))
    clock.passed += 0.2
    turns[1].ends(head(80))
    assert learned(rotator) == [(0.8, 0)]


@pytest.mark.parametrize(
    "asks",
    [
        lambda rotator: rotator.next(MODEL),
        lambda rotator: rotator.explain(MODEL),
        lambda rotator: rotator.pool,
        lambda rotator: rotator.document(),
        lambda rotator: rotator.tick(),
        lambda rotator: rotator.flush(),
        lambda rotator: rotator.close(),
        lambda rotator: rotator.observe("a", "another", status=200),
    ],
    ids=["next", "explain", "pool", "document", "tick", "flush", "close", "observe"],
)
def test_whatever_asks_or_writes_has_it_learned_before(rotator, begin, asks):
    begin().ends(head(90))
    begin().ends(head(80), 3)
    asks(rotator)
    assert learned(rotator) == [(0.8, 3)]


def test_the_engine_says_when_something_that_was_put_off_is_due(rotator, clock, begin):
    begin().ends(head(90))
    assert rotator.due_at() is None
    begin().ends(head(80))
    clock.passed += 0.1
    assert rotator.due_at() == clock.now()
    rotator.tick()
    assert (rotator.due_at(), learned(rotator)) == (None, [(0.8, 0)])


def test_an_engine_that_nobody_asks_learns_and_writes_it_by_itself(tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({**pool("a"), "policy": {"flush_after": 0}}))
    path.chmod(0o600)
    settled = threading.Event()
    with Rotator.open(path) as rotator:
        turns = Turns(rotator)
        turns.begin(rotator.lease(MODEL)).ends(head(90))
        turns.begin(rotator.lease(MODEL)).ends(head(80))
        told = rotator._late[0]
        rotator._late[0] = lambda: (told(), settled.set())
        assert settled.wait(30)
        assert learned(rotator) == [(0.8, 0)]


def test_a_success_that_waited_does_not_end_the_cooldown_of_a_refusal_after_it(rotator, clock, begin):
    turns = [begin() for _ in range(3)]
    turns[0].ends(head(90))
    clock.passed += 0.01
    turns[1].ends(head(80))
    clock.passed += 0.01
    turns[2].learn((429, {"retry-after": "60"}), b"{}")
    turns[2].ends()
    assert left(rotator) == [(0.8, 0)]
    assert rotator.pool.account("a").ready_at(MODEL, rotator.pool.policy)[1] == "cooldown"


def test_the_tokens_of_a_long_body_are_charged_at_the_instant_of_its_head(rotator, clock, begin):
    clock.tick = 0.002
    turn = begin()
    turn.serves(head(90))
    turn.ends(None, 7)
    assert left(rotator) == [(0.9, 7)]


def test_ending_twice_is_nothing(rotator, begin):
    turn = begin()
    turn.ends(head(90), 7)
    turn.ends(head(10), 9)
    assert left(rotator) == [(0.9, 7)]


def test_a_closed_engine_and_an_account_that_is_gone_are_no_trouble(rotator, begin):
    turns = [begin() for _ in range(3)]
    turns[0].serves(head(90))
    rotator.close()
    turns[0].ends(None, 3)
    turns[1].ends(head(80), 3)
    assert turns[2].learn((429, {})) == ()


def test_when_the_request_is_to_blame_no_more_accounts_are_asked():
    """Three accounts refuse it alike, while another is served."""
    clock = Clock(tick=0.05)
    rotator = Rotator.memory(pool(*"abcdef"), clock=clock)
    rotator.hold("f")
    asked = []

    def answered(request):
        rotator.observe("f", MODEL, status=200)
        asked.append(request.headers["x-api-key"][-1])
        return httpx2.Response(429, json=BARE)

    transport = RotatorTransport(rotator, inner=httpx2.MockTransport(answered), max_accounts=9)
    with httpx2.Client(transport=transport) as client:
        assert client.post(URL, json=ASKED).json() == BARE
    assert len(set(asked)) == len(asked) == 3
    now = clock.now().timestamp()
    assert all(rotator.pool.account(name).ready_at(MODEL, rotator.pool.policy)[0] <= now for name in asked)


def test_what_the_engine_calls_a_throttle_ends_the_rotation_although_others_are_ready(monkeypatch):
    rotator = Rotator.memory(pool(*"abc"))

    def learn(self, *_said):
        rotator.hold(self.account)
        return (Throttled(self.account, self.model, 0.0, 0.0),)

    monkeypatch.setattr(Turn, "learn", learn)
    asked = []
    transport = RotatorTransport(rotator, inner=httpx2.MockTransport(lambda r: asked.append(r) or httpx2.Response(429)))
    with httpx2.Client(transport=transport) as client:
        assert client.post(URL, json=ASKED).status_code == 429
    assert len(asked) == 1


def test_a_forked_child_learns_what_it_hears_itself_and_not_what_waited_in_its_parent(tmp_path, clock):
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps(pool("a")))
    path.chmod(0o600)
    with Rotator.open(path, clock=clock) as rotator:
        turns = Turns(rotator)
        for remaining in (90, 80):
            turns.begin(rotator.lease(MODEL)).ends(head(remaining), 5)
        with turns._lock:  # held by a thread that the child has not
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # a child that waits for ever is a failure too
                wrong = 1
                try:
                    for remaining in (70, 60):
                        turns.begin(rotator.lease(MODEL)).ends(head(remaining), 1)
                    wrong = left(rotator) != [(0.6, 2)]
                finally:
                    os._exit(wrong)
        assert os.waitpid(child, 0)[1] == 0
