"""A scenario: accounts with hidden quotas, how they answer, what goes wrong, and who asks for what.

Refuses: JSON (``parsing``), and luck: what is drawn for a seed is ``world``'s and ``demand``'s. Durations are seconds, quotas
and requests tokens, shares 0..1.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.simulate.spec import Span

KINDS = ("fixed", "first_use", "rolling", "bucket")
"""Windows: with resets of their own calendar, begun by the first request, sliding, and refilling evenly."""
TROUBLES = ("throttle", "ban", "auth", "forbidden", "down")
"""What goes wrong: bare 429s for everybody, 429 for ever, 401, 403, 529."""


class Quota(Value):
    """One hidden window. ``phase`` is the share of it that has passed at the start, ``used`` what is spent of it by then."""

    name: str
    kind: str
    length_secs: float
    capacity: Span
    phase: Span = Span(0.0, 1.0)
    used: Span = Span(0.0, 0.0)
    model: str | None = None
    hidden: bool = False


class Manner(Value):
    """How an account answers: what its responses tell, how exactly, and after how long.

    ``quantum`` and ``rounding`` are of the shown utilisation, ``stale_secs`` how old it may be. ``partial`` and ``mute``
    are shares of responses that show one window, and none. ``retry_after`` of a refusal for quota is ``exact``, ``none`` or
    a number of seconds, times ``retry_factor``; ``full_shown`` is whether such a refusal shows which window is full.
    """

    quantum: float = 0.01
    rounding: str = "nearest"
    stale_secs: float = 0.0
    partial: float = 0.0
    mute: float = 0.0
    retry_after: str | float = "exact"
    retry_factor: float = 1.0
    full_shown: bool = True
    latency_secs: Span = Span(2.0, 20.0)
    refusal_secs: float = 0.5
    server_errors: float = 0.0


class Outside(Value):
    """What others spend of an account, unseen: a person at another keyboard."""

    per_hour: float
    tokens: Span


class Plan(Value):
    """An account, or ``count`` of them: quotas are drawn for each; those of a ``group`` share one set of quotas."""

    name: str
    count: int = 1
    models: tuple[str, ...] = ("*",)
    group: str | None = None
    weight: float = 1.0
    windows: tuple[Quota, ...] = ()
    outside: Outside | None = None
    answers: Manner = Manner()


class Trouble(Value):
    """A fault, once from ``at_secs`` or again and again about ``every_secs``, for about ``for_secs``; None is for good."""

    kind: str
    accounts: tuple[str, ...] | None = None
    at_secs: float | None = None
    every_secs: float | None = None
    for_secs: float | None = None
    retry_after_secs: float | None = None


class Shape(Value):
    """How demand changes with time: ``hours`` of workdays, ``surge`` once, ``bursts`` again and again; ``factor`` within."""

    kind: str
    factor: float
    outside_factor: float = 1.0
    from_hour: float = 8.0
    to_hour: float = 18.0
    at_secs: float = 0.0
    for_secs: float = 3600.0
    every_secs: float = 3600.0


class Talk(Value):
    """A conversation: about ``turns`` turns, each some ``pause_secs`` after the last; what was said is sent again."""

    turns: float
    pause_secs: float
    context_tokens: float = 0.0
    context_max: float = 200_000.0


class Stream(Value):
    """Requests of one model: ``per_hour`` of them, or of conversations; each of about ``tokens`` new tokens (a median).

    ``spread`` is the sigma of their logarithm; ``batch`` arrive at once.
    """

    model: str
    per_hour: float
    tokens: float
    spread: float = 0.6
    patience_secs: Span = Span(300.0, 300.0)
    batch: int = 1
    shapes: tuple[Shape, ...] = ()
    talk: Talk | None = None


class Cache(Value):
    """The prompt cache: how long an account keeps a conversation warm, and what its context costs then."""

    ttl_secs: float = 300.0
    warm_cost: float = 0.1


class Engine(Value):
    """How the engine runs: how many processes, how often they meet at the document, how often they are restarted."""

    processes: int = 1
    sync_secs: float = 5.0
    restart_every_secs: float | None = None


class Seeds(Value):
    """Seeds to tune on, and seeds that are only for the report."""

    train: tuple[int, ...] = tuple(range(12))
    held_out: tuple[int, ...] = tuple(range(100, 110))


class Scenario(Value):
    """One scenario; ``start`` is epoch seconds."""

    name: str
    about: str
    duration_secs: float
    accounts: tuple[Plan, ...]
    demand: tuple[Stream, ...]
    start: float
    troubles: tuple[Trouble, ...] = ()
    cache: Cache = Cache()
    engine: Engine = Engine()
    seeds: Seeds = Seeds()


def account_names(plans: tuple[Plan, ...]) -> list[str]:
    """Every account by name, in order; of several copies each bears its number, ``max-1``, ``max-2``."""
    return [name for plan in plans for name in copies(plan)]


def copies(plan: Plan) -> list[str]:
    """The names of a plan's accounts."""
    return [plan.name] if plan.count == 1 else [f"{plan.name}-{number}" for number in range(1, plan.count + 1)]
