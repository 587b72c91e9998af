"""State: an account, what is known of each model and window, and what follows from that alone.

Refuses: JSON, news, scores, any clock. Instants are epoch seconds, fractions 0..1. None means "not known".
"""

from __future__ import annotations

from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rotator.core.policy import Policy

NEVER = float("inf")
"""The ``ready_at`` of an account that only a person can help."""
COUNT_MAX = 2**53
"""Where counting ends: the last whole number up to which every reader of JSON is exact (RFC 8259, section 6)."""

SUPERSEDED_MAX = 16
"""Hashes of superseded tokens that are remembered. Our choice: a copy that is older than sixteen refreshes is no token any more."""

_GLOB = frozenset("*?[")
_ROLLED = 0.005
"""Share of its length in which a rolling window gives back half a per cent, which is worth asking for again."""
_LENGTHS = (60.0, 3600.0, 18000.0, 86400.0, 604800.0, 2592000.0)
"""Lengths of the windows of this field: a minute, an hour, 5 hours, a day, a week, 30 days."""


class Window(Value):
    """One named quota window: what was left at ``updated_at``, and its end as told at ``reset_updated_at``.

    The ledger of own traffic: ``spent_tokens`` since what is left last changed, ``measured_tokens`` since it was
    ``measured_from``, and ``capacity_tokens``, what a whole window holds as learned from these; ``kind`` is learned too.
    """

    name: str
    remaining_fraction: float | None = None
    reset_time: float | None = None
    length_secs: float | None = None
    updated_at: float = 0.0
    reset_updated_at: float = 0.0
    spent_tokens: int = 0
    capacity_tokens: int | None = None
    kind: str | None = None
    measured_from: float | None = None
    measured_tokens: int = 0

    def length(self) -> float:
        """Its length in seconds; where unknown, the shortest usual one that holds what is left until the reset."""
        if self.length_secs is not None:
            return self.length_secs
        ahead = (self.reset_time or 0.0) - self.updated_at
        for length in _LENGTHS:
            if ahead <= length:
                return length
        return _LENGTHS[-1]

    def left(self) -> float | None:
        """The remaining fraction, unless it was seen before the present window began; None is "not known"."""
        if self.reset_updated_at > self.updated_at and self.reset_time is not None and self.length_secs is not None:
            began = self.reset_time - self.length_secs
            return None if began > self.updated_at else self.remaining_fraction
        return self.remaining_fraction

    def exhausted(self, policy: Policy) -> bool:
        """Whether nothing was left, whenever that was."""
        left = self.left()
        return left is not None and left <= policy.exhausted_below

    def back_at(self, policy: Policy) -> float:
        """When there is quota again, once it is exhausted; a guess where the reset is not known.

        A rolling window never resets: it gives back a little all the time.
        """
        if self.kind == "rolling":
            return self.updated_at + max(policy.default_cooldown, _ROLLED * self.length())
        return self.updated_at + policy.default_cooldown if self.reset_time is None else self.reset_time


UPSTREAM = "upstream"
"""Source of the cooldown that all accounts of a provider share while it throttles a model."""


class Cooldown(Value):
    """A block that was learned at one instant and ends at another; ``source`` says from what."""

    until: float
    at: float
    source: str


class Availability(Value):
    """What the last probe found: can this account really start a session."""

    ok: bool
    checked_at: float
    reason: str = ""


class Poll(Value):
    """When a quota endpoint was last asked about the account, how often it failed in a row, and until when it is left alone."""

    at: float
    failures: int = 0
    until: float = 0.0


class Selection(Value):
    """The last transition to an account."""

    previous: str | None
    at: float
    reason: str
    shadow: str | None = None


class ModelState(Value):
    """What is known of one model on one account.

    ``cooldowns`` are those that no other one outlasts: usually none or one, the first ends last.
    ``quota_left_at`` is when a reading last showed quota left, ``released_at`` when a person last gave it back.
    ``request_tokens`` is what a request takes, a mean that forgets; 0.0 while unknown. ``refused_since`` is
    the first 429 since its last success, 0.0 for none.
    """

    windows: tuple[Window, ...] = ()
    cooldowns: tuple[Cooldown, ...] = ()
    quota_left_at: float = 0.0
    released_at: float = 0.0
    held: bool = False
    held_until: float | None = None
    held_at: float = 0.0
    last_retry_delay_secs_raw: float | None = None
    last_retry_delay_secs_client: float | None = None
    consecutive_429: int = 0
    last_429_at: float = 0.0
    last_success_at: float = 0.0
    confidence: float | None = None
    updated_at: float = 0.0
    request_tokens: float = 0.0
    refused_since: float = 0.0


UNKNOWN_MODEL = ModelState()


class Runtime(Value):
    """What the engine knows of one account; ``models`` maps a model's name to its state and is never changed in place.

    ``polls`` are by endpoint; ``superseded`` are short hashes of tokens that are never to be sent again, the newest last.
    ``seal`` and ``sealed_over`` are of the written state that this one goes on from (see ``lineage``).
    """

    rev: int = 0
    last_active_at: float = 0.0
    banned: bool = False
    restricted: bool = False
    auth_failed: bool = False
    blocked_reason: str = ""
    blocked_at: float = 0.0
    released_at: float = 0.0
    held: bool = False
    held_until: float | None = None
    held_at: float = 0.0
    consecutive_401: int = 0
    consecutive_403: int = 0
    consecutive_failures: int = 0
    last_failure_at: float = 0.0
    cooldowns: tuple[Cooldown, ...] = ()
    quota_left_at: float = 0.0
    windows: tuple[Window, ...] = ()
    availability: Availability | None = None
    selected: Selection | None = None
    sessions: Mapping[str, float] = {}
    polls: Mapping[str, Poll] = {}
    superseded: tuple[str, ...] = ()
    models: Mapping[str, ModelState] = {}
    seal: str = ""
    sealed_over: str = ""

    def last_success_at(self) -> float:
        """When the account last served any model."""
        return max([state.last_success_at for state in self.models.values()], default=0.0)

    def probe_ends_at(self, policy: Policy) -> float:
        """When a failed probe no longer counts; 0.0 without one, or when the account has served since."""
        seen = self.availability
        if seen is None or seen.ok or seen.checked_at <= self.last_success_at():
            return 0.0
        return seen.checked_at + policy.probe_ttl


UNKNOWN = Runtime()


class Account(Value):
    """One account as a person wrote it, without its credentials, and what is known of it."""

    name: str
    provider: str = "generic"
    enabled: bool = True
    priority: int = 0
    emergency: bool = False
    models: tuple[str, ...] = ("*",)
    weight: float = 1.0
    min_remaining: float | None = None
    quota_group: str | None = None
    tags: tuple[str, ...] = ()
    runtime: Runtime = UNKNOWN

    def serves(self, model: str) -> bool:
        """Whether one of its globs names the model; case matters."""
        for pattern in self.models:
            if pattern in ("*", model):
                return True
            if not _GLOB.isdisjoint(pattern):
                from fnmatch import fnmatchcase

                if fnmatchcase(model, pattern):
                    return True
        return False

    def state(self, model: str) -> ModelState:
        """What is known of a model; all unknown when it was never heard of."""
        return self.runtime.models.get(model, UNKNOWN_MODEL)

    def blocked_for_good(self, model: str) -> str | None:
        """The word for why only a person can help; None when time can."""
        runtime = self.runtime
        if not self.enabled:
            return "disabled"
        if runtime.banned:
            return "banned"
        if runtime.restricted:
            return "restricted"
        if runtime.auth_failed:
            return "auth_failed"
        if not self.serves(model):
            return "model_not_served"
        state = self.state(model)
        if (runtime.held and runtime.held_until is None) or (state.held and state.held_until is None):
            return "held"
        return None

    def ready_at(self, model: str, policy: Policy, *, probes: bool = True) -> tuple[float, str | None]:
        """When it can serve the model, and the word for what decides that; (0.0, None) when nothing ever blocked it.

        The latest of hold, cooldowns, resets of exhausted windows and, with ``probes``, the end of a failed probe's
        time to live. ``NEVER`` when a person is needed. A window that is not exhausted delays nobody.
        """
        word = self.blocked_for_good(model)
        if word is not None:
            return NEVER, word
        runtime, state = self.runtime, self.state(model)
        ready, why = 0.0, None
        for held_until in (runtime.held_until, state.held_until):
            if held_until is not None and held_until > ready:
                ready, why = held_until, "held"
        for cooldowns in (runtime.cooldowns, state.cooldowns):
            if cooldowns and cooldowns[0].until > ready:
                ready, why = cooldowns[0].until, "cooldown"
        for windows in (runtime.windows, state.windows):
            for window in windows:
                if window.exhausted(policy) and window.back_at(policy) > ready:
                    ready, why = window.back_at(policy), "quota"
        if probes and runtime.probe_ends_at(policy) > ready:
            ready, why = runtime.probe_ends_at(policy), "unavailable"
        return ready, why

    def next_ready_at(self, policy: Policy) -> float:
        """The earliest instant at which it can serve any model; 0.0 when nothing blocks it, ``NEVER`` when all is blocked.

        Of what it may serve, the models that nothing is known of count too: a glob may always mean another one.
        """
        known = self.runtime.models
        ready = [self.ready_at(model, policy)[0] for model in known if self.serves(model)]
        if not all(pattern in known and _GLOB.isdisjoint(pattern) for pattern in self.models):
            unheard = max(known, key=len, default="") + "?"
            ready.append(self.replace(models=(unheard,)).ready_at(unheard, policy)[0])
        return min(ready, default=NEVER)
