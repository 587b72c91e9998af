"""How others choose: each baseline on a case made by hand, and what all of them do about refusals."""

from __future__ import annotations

import pytest
from small_worlds import HOUR, request, setting, world_of

from rotator.simulate.agent import NEVER, Take, Wait
from rotator.simulate.policies import OURS, POLICIES
from rotator.simulate.world import Response, Shown

WEEK = 168 * HOUR
BASELINES = [name for name in POLICIES if name != OURS]


class Desk:
    """A baseline, three accounts and a clock."""

    def __init__(self, policy, names="abc", **plan):
        self.world = world_of(accounts=[{"name": name, "windows": [], **plan} for name in names])
        self.agent = POLICIES[policy][0](setting(self.world))
        self.now = self.world.start

    def ask(self, **given):
        return self.agent.choose(self.now, request(self.now - self.world.start, world=self.world, **given))

    def taken(self, **given):
        decision = self.ask(**given)
        return decision.account if isinstance(decision, Take) else decision

    def hear(self, account, status=200, wait=None, **windows):
        """A response that shows ``five=(used, reset in)`` and ``week=(used, reset in)``."""
        lengths = {"five": 5 * HOUR, "week": WEEK}
        shown = tuple(
            Shown(name, used, None if resets is None else self.now + resets, lengths[name], None)
            for name, (used, resets) in windows.items()
        )
        self.agent.learn(self.now, request(world=self.world), account, Response(status, shown, wait))

    def later(self, secs):
        self.now += secs
        return self


@pytest.mark.parametrize("policy", BASELINES)
def test_a_refused_account_is_not_asked_before_the_time_it_named(policy):
    desk = Desk(policy, "ab")
    desk.hear("a", 429, 600, five=(1.0, 600))
    assert {desk.taken() for _ in range(6)} == {"b"}
    desk.hear("b", 429, 300, five=(1.0, 300))
    waiting = desk.ask()
    assert isinstance(waiting, Wait)
    assert desk.now + 300 <= waiting.until <= desk.now + 301
    assert desk.later(302).taken() == "b"


@pytest.mark.parametrize("policy", BASELINES)
def test_a_refusal_without_a_hint_is_waited_for_longer_each_time(policy):
    desk = Desk(policy, "a")
    for pause in (30, 60, 120, 240, 480, 960, 1800, 1800):
        assert desk.taken() == "a"
        desk.hear("a", 429)
        early = desk.ask()
        assert isinstance(early, Wait)
        assert desk.now + pause <= early.until <= desk.now + pause + 1
        desk.later(pause + 1)
    desk.taken()
    desk.hear("a")
    desk.hear("a", 401)
    assert isinstance(desk.ask(), Wait)
    assert desk.later(31).taken() == "a", "a success ends the ladder"


@pytest.mark.parametrize("policy", BASELINES)
def test_a_success_ends_the_cooldown_of_a_refusal(policy):
    desk = Desk(policy, "a")
    desk.taken()
    desk.taken()
    desk.hear("a", 429, 600)
    assert isinstance(desk.ask(), Wait)
    desk.hear("a")
    assert desk.taken() == "a"


@pytest.mark.parametrize("policy", BASELINES)
def test_who_serves_no_such_model_is_never_asked(policy):
    desk = Desk(policy, "a", models=["m"])
    assert desk.ask(model="x") == Wait(NEVER)


@pytest.mark.parametrize("policy", BASELINES)
def test_what_one_of_a_group_shows_is_known_of_all(policy):
    desk = Desk(policy, "ab", group="g")
    desk.hear("a", week=(0.4, WEEK))
    assert [seat.windows["week"].utilization for seat in desk.agent.seats] == [0.4, 0.4]


def test_round_robin_goes_on_behind_the_last_one():
    desk = Desk("round_robin")
    assert [desk.taken() for _ in range(4)] == ["a", "b", "c", "a"]
    desk.hear("b", 429, 60)
    assert [desk.taken() for _ in range(3)] == ["c", "a", "c"]


def test_random_takes_all_by_weight():
    desk = Desk("random")
    taken = [desk.taken() for _ in range(600)]
    assert all(150 < taken.count(name) < 250 for name in "abc")


@pytest.mark.parametrize(("policy", "threshold"), [("chain_75", 0.75), ("chain_90", 0.90)])
def test_chain_rides_in_order_to_its_threshold_and_then_takes_who_has_most_left(policy, threshold):
    desk = Desk(policy)
    desk.hear("a", five=(0.97, HOUR), week=(threshold - 0.01, WEEK))
    assert desk.taken() == "a", "the shorter window is not heeded"
    desk.hear("a", week=(threshold, WEEK))
    assert desk.taken() == "b"
    desk.hear("b", week=(0.95, WEEK))
    desk.hear("c", week=(0.94, WEEK))
    assert desk.taken() == "a"
    desk.hear("a", week=(0.96, WEEK))
    assert desk.taken() == "c"
    desk.hear("c", 429, 60)
    desk.hear("b", 429, 30)
    desk.hear("a", 429, 90)
    assert desk.later(31).taken() == "b", "and last whoever is back first"


def test_least_used_looks_at_the_tightest_window():
    desk = Desk("least_used")
    desk.hear("a", five=(0.1, HOUR), week=(0.8, WEEK))
    desk.hear("b", five=(0.5, HOUR), week=(0.1, WEEK))
    desk.hear("c", five=(0.6, HOUR), week=(0.1, WEEK))
    assert desk.taken() == "b"
    assert desk.later(HOUR).taken() in "bc", "what has been reset is empty"


def test_soonest_reset_spends_what_expires_first():
    desk = Desk("soonest_reset")
    desk.hear("a", five=(0.2, HOUR), week=(0.2, 50 * HOUR))
    desk.hear("b", five=(0.2, 4 * HOUR), week=(0.9, 20 * HOUR))
    assert desk.taken() == "c", "one request tells what nobody knows"
    desk.hear("c", five=(0.2, HOUR), week=(0.2, 21 * HOUR))
    assert desk.taken() == "b"


def test_sticky_stays_until_it_is_refused_and_does_not_go_back():
    desk = Desk("sticky")
    assert [desk.taken() for _ in range(3)] == ["a"] * 3
    desk.hear("a", 429, 60)
    assert desk.taken() == "b"
    assert desk.later(61).taken() == "b"


def test_maximus_takes_the_highest_product():
    desk = Desk("maximus")
    desk.hear("a", five=(0.8, 0.5 * HOUR), week=(0.5, 84 * HOUR))  # 0.92 x 0.75
    desk.hear("b", five=(0.2, 5 * HOUR), week=(0.1, WEEK))  # 0.8 x 0.9
    desk.hear("c", five=(0.9, 0.1 * HOUR), week=(0.5, 42 * HOUR))  # 0.982 x 0.875
    assert desk.taken() == "c"
    desk.hear("c", five=(0.9, 5 * HOUR), week=(0.5, 42 * HOUR))
    assert desk.taken() == "b"


def test_six_terms_take_the_fullest_and_leave_it_for_a_clear_winner_alone():
    desk = Desk("six_terms")
    for name, used in (("a", 0.30), ("b", 0.10), ("c", 0.5)):
        desk.hear(name, five=(used, 5 * HOUR))
    assert desk.taken() == "b"
    desk.hear("b", five=(0.33, 5 * HOUR))
    assert desk.taken() == "b", "a lead of less than 0.05 is none"
    desk.hear("b", five=(0.37, 5 * HOUR))
    assert desk.taken() == "a"
    desk.hear("a", 429, 1)
    assert desk.later(2).taken() == "b", "a refusal costs half a point"


@pytest.mark.parametrize("policy", ["least_used", "maximus", "soonest_reset", "six_terms", "maxpool", "chain_75"])
def test_a_conversation_stays_while_its_account_is_ready(policy):
    desk = Desk(policy)
    for name in "abc":
        desk.hear(name, five=(0.1, HOUR), week=(0.1, WEEK))
    home = desk.taken(talk="t")
    desk.hear(home, five=(0.6, 5 * HOUR), week=(0.6, WEEK))
    assert desk.taken(talk="t") == home
    assert desk.taken(talk="u") != home or policy == "chain_75"
    desk.hear(home, 429, 60)
    assert desk.taken(talk="t") != home


def test_maxpool_spreads_by_load_and_spares_who_burns_too_fast():
    desk = Desk("maxpool")
    for name in "abc":
        desk.hear(name, five=(0.1, 4 * HOUR), week=(0.1, WEEK))
    assert sorted(desk.taken() for _ in range(3)) == ["a", "b", "c"], "what is in flight counts"
    for name in "abc":
        desk.hear(name, week=(0.5 if name == "b" else 0.6, 84 * HOUR if name == "b" else WEEK))
    assert desk.taken() == "b"


def test_maxpool_leaves_the_last_tenth_of_five_hours_and_the_last_per_cents_of_a_week():
    desk = Desk("maxpool")
    desk.hear("a", five=(0.9, HOUR), week=(0.1, WEEK))
    desk.hear("b", five=(0.1, HOUR), week=(0.985, 20 * HOUR))
    desk.hear("c", five=(0.89, HOUR), week=(0.96, WEEK))
    assert [desk.taken() for _ in range(3)] == ["c"] * 3
    desk.hear("c", five=(0.9, 2 * HOUR))
    waiting = desk.ask()
    assert isinstance(waiting, Wait)
    assert desk.now + HOUR <= waiting.until <= desk.now + HOUR + 1


def test_maxpool_takes_bare_refusals_of_all_for_the_providers_and_probes_with_one_request():
    desk = Desk("maxpool")
    for name in "abc":
        desk.taken()
        desk.hear(name, 429)
    waiting = desk.ask()
    assert isinstance(waiting, Wait)
    desk.later(16)
    assert isinstance(desk.ask(), Take)
    assert isinstance(desk.ask(), Wait), "one probe at a time"
    desk.hear("a")
    assert isinstance(desk.ask(), Take)
    assert isinstance(desk.ask(), Take)
