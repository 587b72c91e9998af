"""Our own agent: what it makes of responses, and what it keeps over restarts and shares with other processes."""

from __future__ import annotations

from random import Random

import pytest
from small_worlds import HOUR, document, request, setting, window, world_of

from rotator.core.codec.decode import decode
from rotator.core.state import NEVER
from rotator.simulate.agent import Board, Setting, Take, Wait
from rotator.simulate.ours import Ours, document_of, reading_of
from rotator.simulate.parsing import scenario_of
from rotator.simulate.result import simulate
from rotator.simulate.world import Known, Response, Shown

NOW = 1_800_000_000.0
FULL = Shown("5h", 1.0, NOW + 3600, 18000.0, None)
HALF = Shown("7d", 0.5, NOW + 9e4, 604800.0, None)
OPUS = Shown("7d_opus", 1.0, NOW + 9e4, 604800.0, "opus")

READINGS = [
    # response -> kind, scope, delay, source
    (Response(200, (HALF,), None, 12.0), ("ok", "account", None, None)),
    (Response(429, (FULL, HALF), 3600), ("quota_exhausted", "account", 3600, "reset")),
    (Response(429, (FULL,), 60), ("quota_exhausted", "account", 60, "retry-after")),
    (Response(429, (FULL,)), ("quota_exhausted", "account", 3600, "retry-after")),
    (Response(429, (OPUS,), 9e4), ("quota_exhausted", "model", 9e4, "reset")),
    (Response(429, (), 60), ("rate_limited", "model", 60, "retry-after")),
    (Response(429), ("rate_limited", "model", None, None)),
    (Response(401), ("auth_failed", "account", None, None)),
    (Response(403), ("restricted", "account", None, None)),
    (Response(529), ("overloaded", "model", None, None)),
]


@pytest.mark.parametrize(("response", "meaning"), READINGS)
def test_a_response_means_what_a_provider_module_would_read(response, meaning):
    reading = reading_of(response, NOW)
    if response == Response(429, (FULL,)):
        meaning = (*meaning[:3], "reset")
    assert (reading.kind, reading.scope, reading.retry_after_secs, reading.retry_source) == meaning
    assert [w.remaining_fraction for w in reading.windows] == [1 - s.utilization for s in response.windows]
    assert reading.tokens == (12 if response.status == 200 else None)


def test_its_document_is_what_a_person_would_write():
    known = (Known("a", ("*",), None, 1.0), Known("b", ("opus", "x*"), "org", 4.0))
    _, pool = decode(document_of(known))
    assert [(a.name, a.models, a.quota_group, a.weight) for a in pool] == [
        ("a", ("*",), None, 1.0),
        ("b", ("opus", "x*"), "org", 4.0),
    ]


def asked(agent, world, at=0.0, **given):
    return agent.choose(world.start + at, request(at, world=world, **given))


def told(agent, world, response, at=0.0, account="a"):
    agent.learn(world.start + at, request(at, world=world), account, response)


def shown(world, name="5h", used=1.0, resets=HOUR, model=None):
    return Shown(name, used, world.start + resets, 18000.0, model)


def test_it_takes_and_parks_as_the_core_decides():
    world = world_of(accounts=[{"name": n, "windows": []} for n in "ab"])
    agent = Ours(setting(world))
    assert asked(agent, world) == Take("a")
    told(agent, world, Response(429, (shown(world),), HOUR))
    assert asked(agent, world, 1) == Take("b")
    told(agent, world, Response(429, (shown(world, resets=40),), 40), 1, "b")
    waiting = asked(agent, world, 2)
    assert isinstance(waiting, Wait)
    assert world.start + 40 <= waiting.until <= world.start + 44
    told(agent, world, Response(429, (shown(world, resets=HOUR),), HOUR), 50, "b")
    assert asked(agent, world, 51).until == world.start + 51 + 60, "it looks again, in case quota comes back early"


def test_who_nobody_can_help_fails():
    world = world_of(accounts=[{"name": "a", "models": ["m"], "windows": []}])
    assert asked(Ours(setting(world)), world, model="x") == Wait(NEVER)


def test_what_one_of_a_group_learns_is_known_of_all():
    world = world_of(accounts=[{"name": n, "group": "g", "windows": []} for n in "ab"])
    agent = Ours(setting(world))
    asked(agent, world)
    told(agent, world, Response(429, (shown(world),), HOUR))
    assert isinstance(asked(agent, world, 1), Wait)
    told(agent, world, Response(200, (shown(world, used=0.2),), None, 5.0), HOUR + 1)
    assert isinstance(asked(agent, world, HOUR + 2), Take)


def test_a_restart_keeps_what_is_in_the_document_and_loses_the_rest():
    world = world_of(accounts=[{"name": n, "windows": []} for n in "ab"])
    agent = Ours(setting(world))
    asked(agent, world, talk="t")
    told(agent, world, Response(200, (shown(world, used=0.4),), None, 10.0), 1)
    asked(agent, world, 2)
    before = agent.pool
    agent.restart(world.start + 3)
    assert agent._in_flight == {}
    after = agent.pool.account("a").runtime
    assert after.windows == before.account("a").runtime.windows
    assert "t" in after.sessions
    assert (after.rev, agent.pool.active) == (1, "a")
    told(agent, world, Response(200, (), None, 10.0), 4)
    assert agent._in_flight == {}, "a lease from before is nobody's"


def test_processes_meet_at_the_board_and_not_before():
    world = world_of(accounts=[{"name": n, "windows": []} for n in "ab"])
    board = Board()
    one, other = (Ours(Setting(world.known, Random(n), board, 2)) for n in range(2))
    asked(one, world)
    told(one, world, Response(429, (shown(world),), HOUR), 1)
    asked(other, world)
    told(other, world, Response(429, (shown(world, "7d", resets=2 * HOUR),), 2 * HOUR), 1, "b")
    assert asked(one, world, 2) == Take("b")
    one.sync(world.start + 3)
    other.sync(world.start + 4)
    assert isinstance(asked(other, world, 5), Wait), "it heard of a, and still knows of b"
    one.sync(world.start + 6)
    assert isinstance(asked(one, world, 7), Wait)
    _, pool = decode(board.raw)
    assert {a.name for a in pool if a.runtime.cooldowns} == {"a", "b"}


def test_what_was_learned_is_not_lost_between_meetings():
    whole = document(
        accounts=[{"name": "a", "count": 3, "windows": [window(capacity=10**9)]}],
        demand=[{"model": "m", "per_hour": 600, "tokens": 10}],
        engine={"processes": 3, "sync_secs": 5},
        duration_secs=HOUR,
    )
    assert simulate(scenario_of(whole), 0, "rotator").refused_429 == 0


def test_bare_refusals_of_several_accounts_are_the_providers_and_one_request_finds_out():
    world = world_of(accounts=[{"name": n, "windows": []} for n in "abcd"])
    agent = Ours(setting(world))
    first = request(0, world=world)
    for at, name in ((0.5, "a"), (1.0, "b"), (1.5, "c")):
        assert agent.choose(world.start + at, first) == Take(name)
        agent.learn(world.start + at, first, name, Response(429))
    assert isinstance(asked(agent, world, 2), Wait), "d is not asked either"
    later = [request(20, world=world) for _ in range(3)]
    for place, each in enumerate(later):
        each.index = place + 1
    decisions = [agent.choose(world.start + 20, each) for each in later]
    assert [type(each) for each in decisions] == [Take, Wait, Wait]
    agent.learn(world.start + 21, later[0], decisions[0].account, Response(200))
    assert isinstance(agent.choose(world.start + 60, later[1]), Take)
    assert isinstance(agent.choose(world.start + 60, later[2]), Take)
