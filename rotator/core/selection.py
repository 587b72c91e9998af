"""Selection: many accounts to one decision, as a value that can explain itself.

Refuses: changing the pool (taking a choice is a ``Rotated`` signal), any clock. The same call serves ``next``, ``explain``,
``status`` and the API; candidates are worked out when somebody looks at them.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from rotator.core.choice import ANYBODY, Choice, Wanted, shut, stand
from rotator.core.instants import aware
from rotator.core.ranking import Ranking, scored_at
from rotator.core.scorer import Score, Tier, confidence, score_of
from rotator.core.state import NEVER
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rotator.core.pool import Pool
    from rotator.core.scorer import Standing
    from rotator.core.state import Account

_SESSION_NOTE_SECS = 60.0
"""A session that stays where it is is noted at most this often; its time to live is far longer."""
_LOOKED_AT = 200
"""Accounts among which an explanation looks for others to name: enough for a line, however large the pool."""
_TOLD = 3
"""Accounts named in an explanation: the chosen one and two others say enough."""


class Candidate(Value):
    """One account as the decision saw it; ``ready_at`` is None when only a person can help."""

    account: str
    ready: bool
    ready_at: datetime | None
    next_ready_at: datetime | None
    blocked_by: str | None
    tier: Tier
    score: Score
    selection_reason: str | None
    confidence: float
    last_known_model_state_summary: str

    @property
    def selection_score(self) -> float | None:
        """The sum of the terms; None when only a person can help."""
        return None if self.ready_at is None else self.score.total


class Outcome:
    """What all decisions share. ``decided`` is epoch seconds; the rest of the instants are aware UTC datetimes."""

    __slots__ = ("_choice", "_in_flight", "_wanted", "decided", "model", "pool")
    __match_args__: tuple[str, ...] = ()
    outcome = ""

    def __init__(
        self,
        pool: Pool,
        model: str,
        decided: float,
        wanted: Wanted,
        in_flight: Mapping[str, int],
        choice: Choice,
    ) -> None:
        self.pool = pool
        self.model = model
        self.decided = decided
        self._wanted = wanted
        self._in_flight = in_flight
        self._choice = choice

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.explanation!r})"

    @property
    def decided_at(self) -> datetime:
        """When the choice was made: the one ``now`` of the operation."""
        return aware(self.decided)

    @property
    def account(self) -> str | None:
        """The chosen account's name, None when nobody was."""
        return None

    @property
    def wake_at(self) -> datetime | None:
        """When somebody is ready again; None unless parked."""
        return None

    @property
    def previous(self) -> str | None:
        """The account that was active before."""
        return self.pool.active

    @property
    def switched(self) -> bool:
        """Whether taking this choice changes the active account."""
        return False

    @property
    def emergency(self) -> bool:
        """Whether the chosen account is a last resort."""
        return False

    @property
    def selection_reason(self) -> str | None:
        """The word for why this account; None when nobody was chosen."""
        return self._choice.reason

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every account that was considered, in file order, with every term of its score."""
        best = None if self._choice.index is None else self.pool.at(self._choice.index)
        best_tier = None if best is None else self._standing(best).tier
        return tuple([self._candidate(a, best, best_tier) for a in self.pool if self._wanted.has(a)])

    @property
    def explanation(self) -> str:
        """The decision in one line."""
        return self.outcome

    def _standing(self, account: Account) -> Standing:
        when = scored_at(self.pool.index(account.name), len(self.pool), self.decided)
        policy, flying = self.pool.policy, self._in_flight.get(account.name, 0)
        probes, closed, outlook = self._choice.probes, self._choice.closed, self._choice.outlook
        model, now = self.model, self.decided
        return stand(account, model, now, when, policy, flying, probes=probes, closed=closed, outlook=outlook)

    def _shown(self, account: Account, standing: Standing) -> Account:
        """The account as people see it: one that waits for its turn at its provider shows that."""
        waits = standing.guarded and account.provider in self._choice.closed
        return shut(account, self.decided, self.pool.policy) if waits else account

    def _candidate(self, account: Account, best: Account | None, best_tier: Tier | None) -> Candidate:
        from rotator.core.explain import summary

        standing = self._standing(account)
        ready = standing.blocked_by is None
        reason = standing.blocked_by
        if best is account:
            reason = self._choice.reason
        elif ready and best_tier is not None:
            reason = "lower_tier" if standing.tier > best_tier else "lower_score"
        elif ready and self._choice.waits:
            reason = "admission"
        next_ready = min(account.next_ready_at(self.pool.policy), standing.ready_at)
        return Candidate(
            account.name,
            ready,
            None if standing.ready_at == NEVER else aware(max(standing.ready_at, self.decided)),
            None if next_ready == NEVER else aware(max(next_ready, self.decided)),
            standing.blocked_by,
            standing.tier,
            score_of(standing),
            reason,
            confidence(account, self.model, self.decided, self.pool.policy),
            summary(self._shown(account, standing), self.model, self.decided),
        )

    def _others(self, most: int) -> list[str]:
        """Why those that were not chosen were not, the first few in words."""
        from rotator.core.explain import blocked

        told: list[str] = []
        for account in islice(self.pool, _LOOKED_AT):
            if len(told) == most:
                break
            if account.name != self.account and self._wanted.has(account):
                standing = self._standing(account)
                if standing.blocked_by is not None:
                    shown = self._shown(account, standing)
                    told.append(blocked(shown, standing.blocked_by, standing.ready_at, self.decided))
        return told


class Selected(Outcome):
    """An account was chosen: ``account`` is its name."""

    __slots__ = ()
    __match_args__ = ("account",)
    outcome = "selected"

    @property
    def _chosen(self) -> Account:
        return self.pool.at(self._choice.index or 0)

    @property
    def account(self) -> str:
        """The chosen account's name."""
        return self._chosen.name

    @property
    def switched(self) -> bool:
        """Whether taking this choice changes the active account."""
        return self._chosen.name != self.pool.active

    @property
    def emergency(self) -> bool:
        """Whether the chosen account is a last resort."""
        return self._chosen.emergency

    def must_note(self, session: str | None) -> bool:
        """Whether taking this choice places the session anew, or was last noted too long ago."""
        if session is None:
            return False
        noted = self._chosen.runtime.sessions.get(session, 0.0)
        return self.selection_reason != "sticky_session" or self.decided - noted >= _SESSION_NOTE_SECS

    @property
    def shadow(self) -> str | None:
        """What the scorer would have picked, with the selector ``shadow``."""
        return None if self._choice.shadow is None else self.pool.at(self._choice.shadow).name

    @property
    def explanation(self) -> str:
        """The decision in one line."""
        from rotator.core.explain import chosen

        told = [chosen(self._chosen, self.model, self.decided), *self._next_in_line()]
        return "; ".join([*told, *self._others(_TOLD - len(told))])

    def _next_in_line(self) -> list[str]:
        """In words, the best of those that could serve and stand behind the chosen one's tier; empty when nobody does.

        A last resort goes without saying.
        """
        from rotator.core.explain import behind

        tier = self._standing(self._chosen).tier
        others = [a for a in islice(self.pool, _LOOKED_AT) if a is not self._chosen and self._wanted.has(a)]
        ready = [(s.tier, -s.total, a) for a in others if (s := self._standing(a)).blocked_by is None]
        losers = [each for each in ready if each[0] > tier and each[0][0] == tier[0]]
        if not losers:
            return []
        lower, _, account = min(losers, key=lambda each: each[:2])
        return [behind(account, self.model, self.decided, lower, tier)]


class Parked(Outcome):
    """Nobody is ready; somebody will be at ``wake_at`` (aware UTC)."""

    __slots__ = ()
    __match_args__ = ("wake_at",)
    outcome = "parked"

    @property
    def for_itself(self) -> bool:
        """Whether only this conversation waits: others would be served."""
        return self._choice.waits

    @property
    def wake_at(self) -> datetime:
        """The earliest instant at which an account can serve, to the microsecond and never before it."""
        wake_at = max(self._choice.wake_at, self.decided)
        instant = aware(wake_at)
        return instant if instant.timestamp() >= wake_at else instant + timedelta(microseconds=1)

    @property
    def explanation(self) -> str:
        """The decision in one line."""
        from rotator.core.explain import parked

        told = parked(self.model, self._choice.wake_at - self.decided, for_itself=self.for_itself)
        return "; ".join([told, *self._others(_TOLD)])


class Unavailable(Outcome):
    """Nobody is ready and waiting does not help; ``reason`` says what a person must do."""

    __slots__ = ()
    __match_args__ = ("reason",)
    outcome = "unavailable"

    @property
    def reason(self) -> str:
        """Who is out and what a person can do about it."""
        from rotator.core.explain import remedy

        out = [c.blocked_by or "" for c in self.candidates]
        if not out:
            if not self._wanted.tags:
                return f"no account is there for {self.model}: add one to the file"
            tags = " and ".join(self._wanted.tags)
            return f"no account with the tag {tags} is there for {self.model}: add one to the file with that tag"
        told = "; ".join(self._others(_TOLD)) + ("" if len(out) <= _TOLD else f"; and {len(out) - _TOLD} more")
        return f"no account can serve {self.model}: {told}. To do: {remedy(out)}"

    @property
    def explanation(self) -> str:
        """The decision in one line."""
        return self.reason


def outcome_of(
    pool: Pool, model: str, now: float, wanted: Wanted, in_flight: Mapping[str, int], choice: Choice
) -> Selected | Parked | Unavailable:
    """The value that stands for a ranking's choice."""
    if choice.index is not None:
        return Selected(pool, model, now, wanted, in_flight, choice)
    kind = Unavailable if choice.wake_at == NEVER else Parked
    return kind(pool, model, now, wanted, in_flight, choice)


def select(
    pool: Pool,
    model: str,
    *,
    now: float,
    tags: tuple[str, ...] = (),
    session: str | None = None,
    in_flight: Mapping[str, int] | None = None,
    among: frozenset[str] | None = None,
    size: int | None = None,
    ranking: Ranking | None = None,
) -> Selected | Parked | Unavailable:
    """The decision for one request of ``model`` at ``now`` (epoch seconds).

    Only accounts that bear all ``tags`` are considered, and unless it is None, only those ``among`` the named. A ``session``
    stays where it is while that account is ready and of no lower priority, or waits for it as ``homes`` says by its ``size``.
    ``in_flight`` counts leases by account. ``ranking`` is one that already follows this pool.
    """
    flying = in_flight or {}
    wanted = Wanted(tags, among) if tags or among is not None else ANYBODY
    if ranking is None:
        ranking = Ranking(model, wanted)
        ranking.follow(pool, now, flying, None)
    choice = None
    if session is not None and pool.policy.selector in ("score", "chain"):
        from rotator.core.homes import settled  # most who choose have no conversations

        choice = settled(pool, model, session, now, size, ranking)
    return outcome_of(pool, model, now, wanted, flying, choice or ranking.choose(anew=session is not None))
