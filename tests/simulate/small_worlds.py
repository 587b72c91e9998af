"""Small worlds for tests of the simulator: scenarios of a few lines, requests made by hand, agents that do one thing."""

from __future__ import annotations

from random import Random

from rotator.simulate.agent import NEVER, Agent, Board, Setting, Take, Wait
from rotator.simulate.demand import Request
from rotator.simulate.parsing import scenario_of
from rotator.simulate.running import Run
from rotator.simulate.world import World

HOUR = 3600.0


def window(kind="fixed", capacity=1000, **given):
    return {"name": "5h", "kind": kind, "length_secs": 5 * HOUR, "capacity": capacity, "phase": 0, **given}


def document(*, accounts=None, demand=None, **given):
    return {
        "version": 1,
        "name": "small",
        "duration_secs": 10 * HOUR,
        "accounts": accounts or [{"name": "a", "windows": [window()]}],
        "demand": demand or [{"model": "m", "per_hour": 0, "tokens": 100}],
        **given,
    }


def world_of(*, requests=(), seed=0, **given):
    """A world whose demand is exactly these requests."""
    world = World(scenario_of(document(**given)), seed)
    if requests:
        world.requests = sorted(requests, key=lambda each: each.at)
        for index, each in enumerate(world.requests):
            each.index = index
    return world


def request(at=0.0, tokens=100.0, *, world=None, model="m", context=0.0, patience=300.0, talk=None):
    start = scenario_of(document()).start if world is None else world.start
    made = Request(start + at, model, tokens, context, patience)
    made.talk = talk
    made.useful = tokens + 0.1 * context
    made.expected = tokens + context
    return made


def setting(world, processes=1, seed=1):
    return Setting(world.known, Random(seed), Board(), processes)


class Only(Agent):
    """Asks the first account that serves the model; after a refusal it waits so long."""

    def __init__(self, given, pause=60.0):
        self.accounts = given.accounts
        self.pause = pause
        self.blocked = -NEVER
        self.heard = []

    def choose(self, now, request):
        for known in self.accounts:
            if known.serves(request.model):
                return Take(known.name) if now >= self.blocked else Wait(self.blocked)
        return Wait(NEVER)

    def learn(self, now, request, account, response):
        self.heard.append((now, account, response))
        if response.status != 200:
            self.blocked = now + self.pause


def served_by(world, make=Only, processes=1):
    """The tally of a run, and its agents."""
    board = Board()
    agents = [make(Setting(world.known, Random(place), board, processes)) for place in range(processes)]
    return Run(world, agents).go(), agents
