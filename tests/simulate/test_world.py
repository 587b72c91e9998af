"""What an account answers, and what it tells: the truth, as imprecise as the scenario says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from small_worlds import HOUR, document, request, window, world_of

from rotator.simulate.demand import requests_of
from rotator.simulate.parsing import scenario_of
from rotator.simulate.world import World


def ask(world, name="a", at=0.0, **given):
    return world.services[name].answer(request(at, world=world, **given), world.start + at)


def test_an_answer_tells_what_was_spent_before_it():
    world = world_of()
    first, second = ask(world, tokens=500), ask(world, at=1, tokens=100)
    assert (first.status, first.tokens, first.windows[0].utilization) == (200, 500, 0.0)
    assert second.windows[0].utilization == 0.5
    assert second.windows[0].reset_time == world.start + 5 * HOUR


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        ({}, 0.56),
        ({"quantum": 0.1}, 0.6),
        ({"quantum": 0.1, "rounding": "down"}, 0.5),
        ({"quantum": 0.25, "rounding": "up"}, 0.75),
        ({"quantum": 0}, 0.555),
    ],
)
def test_utilisation_is_shown_in_steps(answers, shown):
    world = world_of(answers=answers)
    ask(world, tokens=555)
    assert ask(world, tokens=1).windows[0].utilization == pytest.approx(shown)


def test_a_stale_reading_is_repeated_until_it_is_too_old():
    world = world_of(answers={"stale_secs": 60})
    shown = [ask(world, at=at, tokens=100).windows[0].utilization for at in (0, 30, 60, 61, 100)]
    assert shown == [0.0, 0.0, 0.0, 0.3, 0.3]


def test_partial_and_mute_responses_show_less():
    two = [{"name": "a", "windows": [window(capacity=10**9), window(capacity=10**9, name="7d")]}]
    partial = world_of(accounts=two, answers={"partial": 0.5})
    counts = [len(ask(partial).windows) for _ in range(400)]
    assert {*counts} == {1, 2}
    assert 120 < counts.count(1) < 280
    mute = world_of(accounts=two, answers={"mute": 0.25})
    counts = [len(ask(mute).windows) for _ in range(400)]
    assert {*counts} == {0, 2}
    assert 50 < counts.count(0) < 150


def test_a_hidden_window_refuses_without_being_shown():
    world = world_of(accounts=[{"name": "a", "windows": [window(hidden=True)]}])
    assert ask(world, tokens=1000).windows == ()
    refused = ask(world, at=1)
    assert (refused.status, refused.windows, refused.retry_after_secs) == (429, (), 5 * HOUR - 1)


@pytest.mark.parametrize(
    ("answers", "wait", "full"),
    [
        ({}, 5 * HOUR - 10, 1),
        ({"retry_after": "none"}, None, 1),
        ({"retry_after": "none", "full_shown": False}, None, 0),
        ({"retry_after": 60}, 60, 1),
        ({"retry_factor": 6, "full_shown": False}, 6 * (5 * HOUR - 10), 0),
    ],
)
def test_a_refusal_hints_as_the_scenario_says(answers, wait, full):
    world = world_of(answers=answers)
    ask(world, tokens=1000)
    refused = ask(world, at=10)
    assert (refused.status, refused.tokens) == (429, 0)
    assert refused.retry_after_secs == wait
    assert [shown.utilization for shown in refused.windows] == [1.0] * full


def test_a_request_must_fit_into_every_window_that_covers_its_model():
    world = world_of(accounts=[{"name": "a", "windows": [window(), window(capacity=300, name="o", model="opus*")]}])
    assert ask(world, tokens=300, model="opus-4").status == 200
    assert [s.name for s in ask(world, model="opus-4").windows] == ["o"]
    assert ask(world, tokens=700, model="sonnet").status == 200
    assert [s.name for s in ask(world, model="sonnet").windows] == ["5h"]


def test_a_conversation_is_cheap_where_it_is_warm_and_dear_elsewhere():
    world = world_of(accounts=[{"name": n, "windows": [window(capacity=10**9)]} for n in "ab"])
    talk = {"tokens": 10, "context": 1000, "talk": "t"}
    assert ask(world, at=0, **talk).tokens == 1010
    assert ask(world, at=300, **talk).tokens == 110
    assert ask(world, at=601, **talk).tokens == 1010, "the cache lives for 300 s"
    assert ask(world, "b", at=602, **talk).tokens == 1010
    assert ask(world, at=603, tokens=10, context=1000, talk="u").tokens == 1010


def test_accounts_of_a_group_share_their_quota():
    world = world_of(accounts=[{"name": n, "group": "g", "windows": [window()]} for n in "ab"])
    assert ask(world, "a", tokens=1000).status == 200
    assert ask(world, "b").status == 429


FAULTS = [("throttle", 429), ("ban", 429), ("auth", 401), ("forbidden", 403), ("down", 529)]


@pytest.mark.parametrize(("kind", "status"), FAULTS)
def test_a_fault_answers_by_its_status_and_shows_no_window(kind, status):
    world = world_of(troubles=[{"kind": kind, "at_secs": 100, "for_secs": 50, "retry_after_secs": 7}])
    assert [ask(world, at=at).status for at in (99, 100, 149, 150)] == [200, status, status, 200]
    assert (ask(world, at=100).windows, ask(world, at=100).retry_after_secs) == ((), 7)
    for_good = world_of(troubles=[{"kind": kind, "at_secs": 0}])
    assert (ask(for_good, at=9 * HOUR).status, ask(for_good).retry_after_secs) == (status, None)


def test_a_throttle_hits_all_at_once_and_flapping_credentials_each_by_itself():
    plan = [{"name": n, "windows": []} for n in "abc"]
    spread = {"every_secs": 3000, "for_secs": 300}
    throttled = world_of(accounts=plan, troubles=[{"kind": "throttle", **spread}])
    times = [[(b, e) for b, e, _ in service.troubles] for service in throttled.services.values()]
    assert times[0] == times[1] == times[2] != []
    flapping = world_of(accounts=plan, troubles=[{"kind": "auth", **spread}])
    times = [[(b, e) for b, e, _ in service.troubles] for service in flapping.services.values()]
    assert times[0] != times[1] != times[2]


def test_an_account_is_up_where_no_fault_covers_the_stretch():
    world = world_of(
        troubles=[{"kind": "auth", "at_secs": 100, "for_secs": 50}, {"kind": "ban", "at_secs": 140, "for_secs": 60}]
    )
    up = [world.up("a", world.start + begin, world.start + end) for begin, end in [(0, 101), (100, 200), (120, 201)]]
    assert up == [True, False, True]


def test_the_same_seed_is_the_same_world_and_another_is_another():
    scenario = scenario_of(
        document(
            accounts=[{"name": "a", "count": 3, "windows": [window(capacity=[500, 1500], phase=[0, 1])]}],
            demand=[{"model": "m", "per_hour": 60, "tokens": 100, "talk": {"turns": 4, "pause_secs": 30}}],
        )
    )

    def told(seed):
        world = World(scenario, seed)
        requests = [(r.at, r.tokens, r.context, r.talk, r.expected) for r in world.requests]
        return requests, [(w.capacity, w.reset) for s in world.services.values() for w in s.windows]

    assert told(3) == told(3)
    assert told(3) != told(4)
    capacities = [capacity for capacity, _ in told(3)[1]]
    assert len({*capacities}) == 3
    assert all(500 <= capacity <= 1500 for capacity in capacities)


def demand_of(**stream):
    scenario = scenario_of(document(demand=[{"model": "m", "tokens": 100, **stream}], duration_secs=7 * 24 * HOUR))
    return scenario.start, requests_of(scenario, 0)


def test_demand_has_its_rate_its_sizes_and_its_order():
    _, found = demand_of(per_hour=60)
    assert 9600 < len(found) < 10560
    assert [r.at for r in found] == sorted(r.at for r in found)
    assert [r.index for r in found] == [*range(len(found))]
    sizes = sorted(r.tokens for r in found)
    assert 95 < sizes[len(sizes) // 2] < 105
    assert (sizes[0] >= 25, sizes[-1] <= 400) == (True, True)


def test_demand_follows_its_shapes():
    start, found = demand_of(
        per_hour=60, shapes=[{"kind": "hours", "factor": 2, "outside_factor": 0, "from_hour": 9, "to_hour": 17}]
    )
    hours = {(int((r.at - start) // (24 * HOUR)), int((r.at - start) % (24 * HOUR) // HOUR)) for r in found}
    assert hours == {(day, hour) for day in range(5) for hour in range(9, 17)}
    assert 4500 < len(found) < 5100
    start, found = demand_of(
        per_hour=10, shapes=[{"kind": "surge", "factor": 20, "at_secs": 10 * HOUR, "for_secs": HOUR}]
    )
    assert 160 < sum(10 * HOUR <= r.at - start < 11 * HOUR for r in found) < 240
    start, found = demand_of(
        per_hour=100,
        shapes=[{"kind": "bursts", "factor": 1, "outside_factor": 0, "every_secs": HOUR, "for_secs": HOUR}],
    )
    assert 5000 < len(found) < 12000
    gaps = [after.at - before.at for before, after in pairwise(found)]
    assert max(gaps) > HOUR


def test_a_conversation_sends_again_what_was_said():
    _, found = demand_of(per_hour=1, talk={"turns": 10, "pause_secs": 60, "context_tokens": 1000, "context_max": 2000})
    talks = {}
    for each in found:
        talks.setdefault(each.talk, []).append(each)
    assert 5 < len(found) / len(talks) < 15
    for turns in talks.values():
        said = 0.0
        for place, turn in enumerate(turns):
            assert turn.context == min(said, 2000)
            assert turn.tokens > 1000 or place
            said += turn.tokens


def test_callers_of_a_batch_come_at_the_same_instant():
    _, found = demand_of(per_hour=60, batch=10)
    assert len(found) % 10 == 0
    assert len({r.at for r in found}) == len(found) / 10
    assert 8000 < len(found) < 12500
