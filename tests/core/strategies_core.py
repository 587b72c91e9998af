"""Pools and news as hypothesis draws them: few names and few instants, so that facts meet each other."""

from __future__ import annotations

from hypothesis import strategies as st

from rotator.core.policy import Policy
from rotator.core.pool import Pool
from rotator.core.signals import (
    AuthRefused,
    Blocked,
    Held,
    Probed,
    QuotaObserved,
    QuotaShared,
    RateLimited,
    Refused,
    Released,
    Rotated,
    ServerFailed,
    SessionPlaced,
    Signal,
    Succeeded,
    Throttled,
)
from rotator.core.state import Account, Availability, Window
from rotator.core.transitions import replay

T0 = 1_795_168_800.0
"""2026-11-20T10:00:00Z, on a whole second."""
POLICY = Policy()
NAMES = ("a", "b", "c")
MODELS = ("m-1", "m-2")
LENGTHS = {"5h": 18000.0, "7d": 604800.0, "requests-per-minute": 60.0, "default": None}

instants = st.one_of(
    st.integers(0, 40).map(lambda n: T0 + n),
    st.integers(0, 40000).map(lambda n: round(T0 + n / 1000, 3)),
    st.integers(-90000, 90000).map(lambda n: T0 + n),
)
delays = st.one_of(
    st.sampled_from([0.0, 0.25, 1.0, 5.0, 30.0, 301.0]), st.floats(0.0, 700000.0).map(lambda f: round(f, 4))
)
fractions = st.one_of(
    st.sampled_from([0.0, 0.001, 0.0015, 0.01, 0.04, 0.05, 0.5, 1.0]), st.floats(0.0, 1.0, allow_subnormal=False)
)
names = st.sampled_from(NAMES)
models = st.sampled_from(MODELS)
scopes = st.sampled_from((None, *MODELS))


@st.composite
def window_news(draw, name=None):
    """A window as a reading tells it: any part may be missing, and its length is always the same one."""
    name = name or draw(st.sampled_from(sorted(LENGTHS)))
    length = draw(st.sampled_from([LENGTHS[name], None]))
    return Window(name, draw(st.none() | fractions), draw(st.none() | instants), length)


windows = st.lists(st.sampled_from(sorted(LENGTHS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda chosen: st.tuples(*[window_news(name) for name in chosen])
)
quota = st.builds(QuotaObserved, names, scopes, instants, windows, st.sampled_from([1.0, 0.5]), st.booleans())
successes = st.builds(Succeeded, names, models, instants, st.sampled_from([0, 0, 7, 1000]))
shares = st.builds(QuotaShared, names, models, instants, st.sampled_from([0, 0, 7]))
limits = st.builds(
    RateLimited, names, models, instants, delays, st.sampled_from(["retry-after", "reset"]), st.booleans()
)
probes = st.builds(
    Probed, names, instants, st.builds(Availability, st.booleans(), st.just(0.0), st.sampled_from(["", "login"]))
)
holds = st.builds(Held, names, scopes, instants, st.none() | instants)
releases = st.builds(Released, names, scopes, instants)
blocks = st.builds(Blocked, names, st.sampled_from(["banned", "restricted"]), instants, st.just("said so"))
failures = st.builds(ServerFailed, names, models, instants, delays, st.booleans())
throttles = st.builds(
    lambda name, model, at, secs: Throttled(name, model, at, at + secs),
    names,
    models,
    instants,
    st.sampled_from([0.0, 5.0, 30.0]),
)
rotations = st.builds(Rotated, names, st.none() | names, instants, st.just("best_score"))
placements = st.builds(SessionPlaced, names, st.sampled_from(["s-1", "s-2", "s-3"]), instants)

explicit = st.one_of(quota, successes, limits, probes, holds, releases, blocks, failures, throttles)
"""Facts that say for themselves how long they last."""
climbing = st.one_of(
    st.builds(RateLimited, names, models, instants, st.none(), st.just("retry-after"), st.booleans()),
    st.builds(ServerFailed, names, models, instants),
    st.builds(AuthRefused, names, instants, st.just("revoked"), st.booleans()),
    st.builds(Refused, names, scopes, instants, st.just("forbidden")),
)
"""Facts whose length depends on how many came before."""
signals: st.SearchStrategy[Signal] = st.one_of(explicit, climbing, rotations, placements, shares)


@st.composite
def accounts(draw, name, *, plain=False):
    """An account as a person may write it; a plain one has no tiers, tags, reserve or globs."""
    if plain:
        return Account(name)
    return Account(
        name,
        enabled=draw(st.sampled_from([True, True, True, False])),
        priority=draw(st.sampled_from([0, 0, 0, 1])),
        emergency=draw(st.sampled_from([False, False, False, True])),
        models=draw(st.sampled_from([("*",), ("*",), ("m-1",), ("m-?", "other")])),
        weight=draw(st.sampled_from([1.0, 2.0, 0.5])),
        min_remaining=draw(st.none() | st.sampled_from([0.0, 0.05, 0.3])),
        tags=draw(st.sampled_from([(), ("work",), ("work", "fast")])),
    )


@st.composite
def pools(draw, *, facts=signals, most=8, plain=False, policies=None, size=3):
    """A pool that some facts were told already, so its runtime is one that can come about."""
    listed = [draw(accounts(name, plain=plain)) for name in NAMES[:size]]
    pool = Pool(listed, draw(st.none() | names), POLICY if policies is None else draw(policies))
    pool = pool.with_active(pool.active if pool.active in pool else None)
    return replay(pool, draw(st.lists(facts, max_size=most)))


def pool_of(*accounts, active=None, policy=POLICY):
    """A pool of accounts, given by name or whole."""
    return Pool([Account(a) if isinstance(a, str) else a for a in accounts], active, policy)


def told(pool, *facts):
    """The pool after facts."""
    return replay(pool, facts)


def readiness(pool):
    """When each account can serve each model, with and without heed to probes."""
    return {
        (account.name, model, heeded): account.ready_at(model, pool.policy, probes=heeded)[0]
        for account in pool
        for model in (*MODELS, "never-heard-of")
        for heeded in (True, False)
    }
