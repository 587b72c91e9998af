"""The bound: what it is on paper for each kind of window, and that nobody exceeds it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_worlds import HOUR, document, request, window
from test_running import scenarios

from rotator.errors import CallerError
from rotator.simulate import optimum as module
from rotator.simulate.optimum import optimum
from rotator.simulate.parsing import read_scenario, scenario_of
from rotator.simulate.policies import POLICIES
from rotator.simulate.result import simulate
from rotator.simulate.world import World

FIXTURES = Path(__file__).parents[2] / "fixtures" / "scenarios"


@pytest.fixture
def bound(monkeypatch):
    """The bound of a world with these requests; bins of three minutes."""

    def of(requests, **given):
        class Made(World):
            def __init__(self, scenario, seed):
                super().__init__(scenario, seed)
                self.requests = requests

        monkeypatch.setattr(module, "World", Made)
        return optimum(scenario_of(document(**given)), 0, 200)

    return of


def each(*at, tokens=400.0, patience=0.0, **given):
    return [request(when, tokens, patience=patience, **given) for when in at]


PAPER = [
    # kind, arrivals of 400 tokens, patience, what is served of them: windows of 1000 tokens may end one request above that
    ("fixed", [0, 600, 1200, 1800, 2400], 0, 1400),
    ("fixed", [0, 600, 1200, 1800, 2400], 6 * HOUR, 2000),
    ("fixed", [4 * HOUR, 4.2 * HOUR, 4.4 * HOUR, 4.6 * HOUR, 5.1 * HOUR], 0, 1800),
    ("first_use", [0, 600, 1200, 1800, 5.1 * HOUR], 0, 1800),
    ("first_use", [HOUR, HOUR + 600, HOUR + 1200, HOUR + 1800, 5.1 * HOUR], 0, 1800),
    ("rolling", [0, 600, 1200, 1800, 5.1 * HOUR], 0, 1800),
    ("rolling", [3 * HOUR, 3.2 * HOUR, 3.4 * HOUR, 5.1 * HOUR, 5.3 * HOUR], 0, 1400),
    ("bucket", [0, 600, 1200, 1800], 0, 1400 + 1800 / 18),
]


@pytest.mark.parametrize(("kind", "arrivals", "patience", "served"), PAPER)
def test_it_is_what_it_is_on_paper(bound, kind, arrivals, patience, served):
    accounts = [{"name": "a", "windows": [window(kind)]}]
    found = bound(each(*arrivals, patience=patience), accounts=accounts)
    slack = 12 if kind == "bucket" else 1e-6  # a bucket refills until the end of the bin of the last arrival
    assert served - 1e-6 <= found <= served + slack


def test_what_is_spent_at_the_start_is_gone(bound):
    for kind, served in (("fixed", 900), ("first_use", 900), ("rolling", 900)):
        accounts = [{"name": "a", "windows": [window(kind, used=0.5, phase=0.5)]}]
        assert bound(each(0, 60, 120, 180), accounts=accounts) == pytest.approx(served), kind
    empty = [{"name": "a", "windows": [window("bucket", used=1.0)]}]
    assert bound(each(0, 60, 120, 180), accounts=empty) == pytest.approx(400, abs=20)


def test_two_windows_that_begin_with_their_use_may_lie_close_together(bound):
    accounts = [{"name": "a", "windows": [window("first_use")]}]
    arrivals = each(4 * HOUR, 8.8 * HOUR, 8.9 * HOUR, 9.1 * HOUR, 9.2 * HOUR, 9.3 * HOUR)
    assert bound(arrivals, accounts=accounts, duration_secs=20 * HOUR) == pytest.approx(2400)


def test_the_tightest_window_binds_and_a_model_is_served_by_who_serves_it(bound):
    accounts = [
        {"name": "a", "windows": [window(capacity=5000), window(capacity=1000, name="7d", length_secs=1e6)]},
        {"name": "b", "models": ["n"], "windows": [window(capacity=300)]},
    ]
    arrivals = each(*range(0, 3000, 600), 5.5 * HOUR)
    assert bound(arrivals, accounts=accounts) == pytest.approx(1400)
    assert bound([*arrivals, *each(0, 60, model="n")], accounts=accounts) == pytest.approx(1400 + 700)


def test_a_group_has_its_quota_once(bound):
    accounts = [{"name": n, "group": "g", "windows": [window()]} for n in "ab"]
    assert bound(each(0, 1, 2, 3, 4), accounts=accounts) == pytest.approx(1400)


def test_windows_of_a_name_overshoot_by_different_requests(bound):
    accounts = [{"name": n, "windows": [window()]} for n in "ab"]
    arrivals = [*each(0, tokens=900), *each(*range(1, 40), tokens=100)]
    assert bound(arrivals, accounts=accounts) == pytest.approx(2 * 1000 + 900 + 3 * 100), "four windows in ten hours"


def test_nobody_serves_while_all_are_down(bound):
    troubles = [{"kind": "down", "at_secs": 0, "for_secs": HOUR}]
    assert bound(each(600), troubles=troubles) == 0
    assert bound(each(600, patience=2 * HOUR), troubles=troubles) == pytest.approx(400)


def test_no_demand_is_no_optimum(bound):
    assert bound([]) == 0


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=scenarios(), seed=st.integers(0, 3), policy=st.sampled_from([*POLICIES]))
def test_nobody_serves_more_than_the_optimum(drawn, seed, policy):
    scenario = scenario_of(drawn)
    assert simulate(scenario, seed, policy).served_tokens <= optimum(scenario, seed, 60) * (1 + 1e-7) + 1e-3


@pytest.mark.parametrize("name", ["rolling", "bucket", "groups", "cold_start"])
def test_nor_in_a_scenario_of_ours(name):
    scenario = read_scenario((FIXTURES / f"{name}.json").read_bytes())
    bound = optimum(scenario, 3)
    for policy in ("rotator", "maximus", "round_robin"):
        assert 0.3 * bound < simulate(scenario, 3, policy).served_tokens <= bound


def test_more_bins_only_tighten_it():
    scenario = read_scenario((FIXTURES / "groups.json").read_bytes())
    coarse, fine = optimum(scenario, 0, 48), optimum(scenario, 0, 480)
    assert 0.9 * coarse < fine <= coarse * (1 + 1e-9)


def test_without_scipy_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(CallerError, match=r"pip install 'rotator\[simulate\]'"):
        optimum(scenario_of(document()), 0)
