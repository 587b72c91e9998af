"""What a run does with requests, whatever the policy: laws, and tiny worlds whose outcome is known on paper."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_worlds import HOUR, Only, document, request, served_by, window, world_of

from rotator.simulate.agent import NEVER, Agent, Take, Wait
from rotator.simulate.parsing import scenario_of
from rotator.simulate.policies import POLICIES
from rotator.simulate.result import simulate
from rotator.simulate.running import ATTEMPTS_MAX

KINDS = ["fixed", "first_use", "rolling", "bucket"]


@st.composite
def scenarios(draw):
    """A small scenario of any kind of window, manner and fault, about at capacity."""
    kind = draw(st.sampled_from(KINDS))
    windows = [
        window(kind, draw(st.sampled_from([2000, 20000])), phase=[0, 1], used=draw(st.sampled_from([0, [0, 1]])))
    ]
    if draw(st.booleans()):
        windows.append(window("fixed", 30000, name="7d", length_secs=24 * HOUR, hidden=draw(st.booleans())))
    talk = draw(st.sampled_from([None, {"turns": 5, "pause_secs": 60, "context_tokens": 200}]))
    kinds = draw(st.lists(st.sampled_from(["throttle", "auth", "ban", "down"]), max_size=2, unique=True))
    return document(
        accounts=[
            {"name": "a", "count": draw(st.integers(1, 3)), "windows": windows},
            {"name": "b", "models": ["m", "n"], "group": draw(st.sampled_from([None, "g"])), "windows": windows},
            {
                "name": "c",
                "group": "g",
                "windows": windows,
                "outside": draw(st.sampled_from([None, {"per_hour": 3, "tokens": 100}])),
            },
        ],
        demand=[
            {
                "model": "m",
                "per_hour": draw(st.integers(1, 60)),
                "tokens": 100,
                "talk": talk,
                "batch": draw(st.sampled_from([1, 7])),
            },
            {"model": "n", "per_hour": 3, "tokens": 50, "patience_secs": [0, 2000]},
        ],
        duration_secs=draw(st.sampled_from([2, 12])) * HOUR,
        answers={
            "partial": draw(st.sampled_from([0, 0.5])),
            "stale_secs": draw(st.sampled_from([0, 300])),
            "retry_after": draw(st.sampled_from(["exact", "none", 60])),
            "retry_factor": draw(st.sampled_from([1, 5])),
            "full_shown": draw(st.booleans()),
            "server_errors": draw(st.sampled_from([0, 0.1])),
        },
        troubles=[{"kind": kind, "every_secs": 2 * HOUR, "for_secs": 600} for kind in kinds],
        engine={
            "processes": draw(st.sampled_from([1, 1, 2])),
            "restart_every_secs": draw(st.sampled_from([None, 1500])),
        },
    )


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=scenarios(), seed=st.integers(0, 5))
def test_every_request_ends_once_and_no_window_gives_more_than_it_holds(policy, drawn, seed):
    scenario, kept = scenario_of(drawn), {}
    result = simulate(scenario, seed, policy, before=lambda world, run: kept.update(world=world, run=run))
    assert (
        result.arrived == result.served + result.failed + result.dropped + result.waiting == len(kept["world"].requests)
    )
    assert 0 <= result.served_tokens <= result.arrived_tokens + 1e-6
    assert result.charged_tokens >= result.served_tokens - 1e-6
    assert result.waiting == 0 or any(r.until >= kept["world"].end - 20 for r in kept["world"].requests)
    cost = max((r.tokens + r.context for r in kept["world"].requests), default=0)
    for service in kept["world"].services.values():
        spent_outside = any(plan.outside for plan in scenario.accounts)
        for each in service.windows:
            assert spent_outside or each.used <= each.capacity + cost + 1e-6, each.name


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_scenario_seed_and_policy_give_the_same_result_to_the_bit(policy):
    drawn = document(
        accounts=[{"name": "a", "count": 3, "windows": [window("first_use", [4000, 6000])]}],
        demand=[{"model": "m", "per_hour": 30, "tokens": 100, "talk": {"turns": 5, "pause_secs": 60}}],
        answers={"partial": 0.2, "server_errors": 0.05},
        troubles=[{"kind": "auth", "every_secs": HOUR, "for_secs": 300}],
        engine={"processes": 2, "restart_every_secs": 3600},
    )
    scenario = scenario_of(drawn)
    assert simulate(scenario, 1, policy) == simulate(scenario, 1, policy)
    assert simulate(scenario, 1, policy) != simulate(scenario, 2, policy)


PAPER = [
    # kind of the one window of 1000 tokens and 5 h, begun at 0; arrivals of 400 tokens; which of them are served at once
    ("fixed", [0, 1, 2, 3, 5 * HOUR], [True, True, True, False, True]),
    ("first_use", [HOUR, HOUR + 1, HOUR + 2, 5 * HOUR, 6 * HOUR], [True, True, True, False, True]),
    ("rolling", [0, HOUR, 2 * HOUR, 3 * HOUR, 5 * HOUR], [True, True, True, False, True]),
    ("bucket", [0, 1, 2, 2 * HOUR, 2.5 * HOUR], [True, True, False, True, False]),
]


@pytest.mark.parametrize(("kind", "arrivals", "served"), PAPER)
def test_a_tiny_world_serves_what_it_serves_on_paper(kind, arrivals, served):
    requests = [request(at, 400, patience=0) for at in arrivals]
    world = world_of(requests=requests, accounts=[{"name": "a", "windows": [window(kind)]}])
    tally, _ = served_by(world, lambda given: Only(given, pause=0))
    assert (tally.served, tally.dropped) == (sum(served), len(served) - sum(served))
    assert tally.useful == 400 * sum(served)
    assert tally.refused == {429: len(served) - sum(served)}


def test_a_refused_request_waits_as_long_as_the_policy_says_and_is_served_then():
    world = world_of(requests=[request(0, 1000), request(10, 10, patience=6 * HOUR)])
    tally, _ = served_by(world, lambda given: Only(given, pause=5 * HOUR))
    assert (tally.served, tally.refused) == (2, {429: 1})
    assert tally.waits == [0, 5 * HOUR + 0.5]


def test_those_who_wait_are_served_in_order_of_arrival():
    order = []

    class Noting(Only):
        def choose(self, now, asked):
            decision = super().choose(now, asked)
            if isinstance(decision, Take):
                order.append(asked.index)
            return decision

    world = world_of(requests=[request(0, 1000), *[request(at, 1, patience=6 * HOUR) for at in (5, 6, 7, 8)]])
    served_by(world, lambda given: Noting(given, pause=5 * HOUR))
    assert order == [0, 1, 1, 2, 3, 4]


def test_news_are_a_reason_to_try_those_who_wait_again():
    class OneAtATime(Only):
        busy = False

        def choose(self, now, asked):
            if self.busy:
                return Wait(now + HOUR)
            self.busy = True
            return Take("a")

        def learn(self, now, asked, account, response):
            self.busy = False

    world = world_of(requests=[request(0), request(1)], answers={"latency_secs": 10})
    tally, _ = served_by(world, OneAtATime)
    assert tally.waits == [0, 9]


def test_callers_who_give_up_are_dropped_and_those_who_would_wait_on_are_waiting():
    world = world_of(
        requests=[request(0, 1000), request(9 * HOUR, 1, patience=60), request(9 * HOUR, 1, patience=2 * HOUR)]
    )
    world.services["a"].windows[0].reset = world.end + 1
    tally, _ = served_by(world, lambda given: Only(given, pause=HOUR))
    assert (tally.arrived, tally.served, tally.dropped, tally.waiting) == (3, 1, 1, 1)


def test_a_model_that_nobody_serves_fails_at_once():
    world = world_of(requests=[request(0, model="x")], accounts=[{"name": "a", "models": ["m"], "windows": []}])
    tally, _ = served_by(world)
    assert (tally.failed, tally.waiting) == (1, 0)


def test_a_policy_that_never_learns_fails_after_so_many_refusals():
    class Stubborn(Agent):
        def choose(self, now, asked):
            return Take("a")

        def learn(self, now, asked, account, response):
            pass

    world = world_of(requests=[request(0, patience=9 * HOUR)], troubles=[{"kind": "ban", "at_secs": 0}])
    tally, _ = served_by(world, lambda _given: Stubborn())
    assert (tally.failed, tally.refused) == (1, {429: ATTEMPTS_MAX})


def test_one_request_may_wait_alone_while_others_go_on():
    class Picky(Only):
        def choose(self, now, asked):
            if asked.index == 0 and now < asked.at + 100:
                return Wait(asked.at + 100, alone=True)
            return super().choose(now, asked)

    world = world_of(requests=[request(0), request(1)])
    tally, _ = served_by(world, Picky)
    assert sorted(tally.waits) == [0, 100]


def test_moving_a_warm_conversation_is_a_switch_and_costs_its_context():
    class Alternating(Agent):
        def choose(self, now, asked):
            return Take("ab"[asked.index % 2])

        def learn(self, now, asked, account, response):
            pass

    turns = [request(at, 10, context=1000, talk="t") for at in (0, 60, 120, 600)]
    world = world_of(requests=turns, accounts=[{"name": n, "windows": []} for n in "ab"])
    tally, _ = served_by(world, lambda _given: Alternating())
    assert tally.switches == 3
    assert tally.lost_to_switches == 900, "0 was nowhere warm, 120 still was where it went, and so was nobody at 600"


def test_outside_use_is_charged_and_seen_by_nobody():
    plan = [{"name": "a", "windows": [window(capacity=10**6)], "outside": {"per_hour": 60, "tokens": 100}}]
    world = world_of(requests=[request(9.9 * HOUR)], accounts=plan)
    tally, _ = served_by(world)
    assert tally.served == 1
    assert 45_000 < world.services["a"].windows[0].charged + 0 < 75_000


def test_each_process_serves_its_own_callers_and_is_restarted_by_itself():
    class Counting(Only):
        def __init__(self, given):
            super().__init__(given)
            self.seen = Counter()

        def choose(self, now, asked):
            self.seen[asked.process] += 1
            return super().choose(now, asked)

        def restart(self, now):
            self.seen["restarts"] += 1

        def sync(self, now):
            self.seen["syncs"] += 1

    world = world_of(
        accounts=[{"name": "a", "windows": []}],
        demand=[{"model": "m", "per_hour": 60, "tokens": 1}],
        engine={"processes": 2, "sync_secs": 60, "restart_every_secs": 3600},
    )
    _, agents = served_by(world, Counting, processes=2)
    for place, agent in enumerate(agents):
        assert agent.seen[place] > 200
        assert agent.seen[1 - place] == 0
        assert agent.seen["syncs"] in (599, 600)
        assert agent.seen["restarts"] in (9, 10)


def test_never_is_no_time_to_wake_at():
    class Silent(Only):
        def choose(self, now, asked):
            return Wait(NEVER)

    tally, _ = served_by(world_of(requests=[request(0), request(5)]), Silent)
    assert (tally.failed, tally.served) == (2, 0)
