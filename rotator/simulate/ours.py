"""Ours: the real core as an agent: the same select, the same replay, leases as requests in flight, a wait as parked.

Refuses: the engine, which needs a file, a lock and a clock; what it does around the core is done here in a few lines. What
is not in the document does not survive a restart, and reaches other processes through the document alone.
"""

from __future__ import annotations

import json

from rotator.core.choice import ANYBODY
from rotator.core.codec.decode import decode
from rotator.core.codec.encode import encode
from rotator.core.deducing import shared, shown_by
from rotator.core.instants import aware, tidy
from rotator.core.pending import Pending, rebase
from rotator.core.providers.news import signals_of
from rotator.core.providers.reading import Reading, WindowReading
from rotator.core.ranking import Ranking
from rotator.core.selection import Parked, Selected, select
from rotator.core.signals import Rotated, SessionPlaced, Signal
from rotator.core.throttling import Throttling
from rotator.core.transitions import apply, replay
from rotator.simulate.agent import NEVER, Agent, Take, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.simulate.agent import Setting
    from rotator.simulate.demand import Request
    from rotator.simulate.world import Known, Response, Shown

_OK, _TOO_MANY, _UNAUTHORIZED, _FORBIDDEN = 200, 429, 401, 403
_SAME_NEWS_SECS = 5.0
"""A delay and a reset that differ by less are one piece of news told twice."""


def document_of(accounts: Iterable[Known]) -> bytes:
    """The ``accounts.json`` that a person would write for these accounts."""
    listed = [
        {
            "name": known.name,
            "models": list(known.models),
            **({} if known.group is None else {"quota_group": known.group}),
            **({} if known.weight == 1 else {"weight": known.weight}),
        }
        for known in accounts
    ]
    return json.dumps({"version": 2, "accounts": listed}, indent=1).encode()


def reading_of(response: Response, now: float) -> Reading:
    """What a provider module reads in a response; a refusal without a window is the model's, as a generic 429 is."""
    windows = tuple([_window(shown) for shown in response.windows])
    if response.status == _OK:
        return Reading("ok", "account", None, windows, tokens=round(response.tokens))
    if response.status == _UNAUTHORIZED:
        return Reading("auth_failed", "account", None, windows)
    if response.status == _FORBIDDEN:
        return Reading("restricted", "account", None, windows)
    if response.status != _TOO_MANY:
        return Reading("overloaded", "model", response.retry_after_secs, windows)
    full = [shown for shown in response.windows if shown.utilization >= 1]
    resets = [shown.reset_time - now for shown in full if shown.reset_time is not None and shown.reset_time > now]
    wait, source = response.retry_after_secs, None if response.retry_after_secs is None else "retry-after"
    if wait is None and resets:
        wait = max(resets)
    if wait is not None and resets and abs(max(resets) - wait) <= _SAME_NEWS_SECS:
        source = "reset"
    told: Literal["retry-after", "reset"] | None = "reset" if source == "reset" else "retry-after" if source else None
    wide: Literal["account", "model"] = "account" if any(shown.model is None for shown in full) else "model"
    return Reading("quota_exhausted" if full else "rate_limited", wide, wait, windows, told)


def _window(shown: Shown) -> WindowReading:
    reset = None if shown.reset_time is None else aware(shown.reset_time)
    return WindowReading(shown.name, 1 - shown.utilization, reset, shown.length_secs, shown.model)


class Ours(Agent):
    """One process of rotator; ``policy`` is what the document's own policy would go over."""

    def __init__(self, setting: Setting, policy: Policy | None = None) -> None:
        self._policy = policy
        self._luck = setting.luck
        self._board = setting.board
        if not self._board.raw:
            self._board.raw = document_of(setting.accounts)
        self._document, self._base = decode(self._board.raw, policy)
        self.pool: Pool = self._base
        self._pending = Pending()
        self._read_at = 0.0
        self._shares = any(known.group is not None for known in setting.accounts)
        self._alone = setting.processes == 1
        self._forget()

    def _forget(self) -> None:
        self._rankings: dict[tuple[str, frozenset[str]], tuple[Ranking, set[int]]] = {}
        self._refused: dict[int, tuple[str, ...]] = {}
        self._throttling = Throttling()
        self._sent: dict[int, tuple[str, str, float]] = {}
        self._in_flight: dict[str, int] = {}

    def choose(self, now: float, request: Request) -> Take | Wait:
        """The core's decision, taken."""
        at, talk = tidy(now), request.talk
        closed = self._throttling.closed(self.pool, request.model, at)
        found = self._rankings.get((request.model, closed))
        if found is None:
            found = self._rankings[request.model, closed] = (Ranking(request.model, ANYBODY, closed=closed), set())
        ranking, touched = found
        ranking.follow(self.pool, at, self._in_flight, touched)
        touched.clear()
        decided = select(
            self.pool,
            request.model,
            now=at,
            session=talk,
            in_flight=self._in_flight,
            ranking=ranking,
            size=round(request.expected),
        )
        if isinstance(decided, Selected):
            if decided.switched:
                reason = decided.selection_reason or ""
                self._take_in(Rotated(decided.account, decided.previous, at, reason, decided.shadow))
            if talk is not None and decided.must_note(talk):
                self._take_in(SessionPlaced(decided.account, talk, at))
            self._count(decided.account, 1)
            self._sent[request.index] = sent = (decided.account, request.model, at)
            self._throttling.count(*sent, 1)
            return Take(decided.account)
        if not isinstance(decided, Parked):
            return Wait(NEVER)
        policy = self.pool.policy
        jitter = self._luck.uniform(0, policy.wake_jitter)
        until = min(decided.wake_at.timestamp() + jitter, now + policy.recheck)
        return Wait(until, alone=decided.for_itself)

    def learn(self, now: float, request: Request, account: str, response: Response) -> None:
        """A response becomes facts, also for the accounts of its quota group."""
        self._count(account, -1)
        sent = self._sent.pop(request.index, None)
        if sent is not None:
            self._throttling.count(*sent, -1)
        at, before = tidy(now), self._refused.pop(request.index, ())
        if response.status != _OK:
            self._refused[request.index] = (*before, account)
        known = self.pool.account(account).runtime.models
        facts = signals_of(reading_of(response, now), account=account, model=request.model, at=at, known_models=known)
        for fact in facts:
            self._tell(fact)
            for excuse in shown_by(self.pool, fact, before):
                self._tell(excuse)

    def _tell(self, fact: Signal) -> None:
        for each in shared(self.pool, fact) if self._shares else (fact,):
            self._take_in(each)

    def _take_in(self, fact: Signal) -> None:
        after = apply(self.pool, fact)
        if after is not self.pool:
            self.pool = after
            self._touch(fact.account)
            if not self._alone:
                self._pending.add((fact,))

    def _touch(self, account: str) -> None:
        index = self.pool.index(account)
        self._throttling.touch(index)
        for _, touched in self._rankings.values():
            touched.add(index)

    def _count(self, account: str, change: int) -> None:
        flying = {**self._in_flight, account: self._in_flight.get(account, 0) + change}
        if flying[account] <= 0:
            del flying[account]
        self._in_flight = flying
        self._touch(account)

    def restart(self, now: float) -> None:
        """Write the document and begin from it: leases, orders and whatever else is not in it are gone."""
        if self._alone:
            self._board.raw = encode(self._document, self.pool)[0].raw
            self._document, self._base = decode(self._board.raw, self._policy)
            self.pool = self._base
        else:
            self.sync(now)
        self._forget()

    def sync(self, now: float) -> None:
        """Stand on what the others wrote, with the own pending facts over it, and write that."""
        if self._board.raw != self._document.raw:
            self._document, read = decode(self._board.raw, self._policy)
            self._base, self._pending, _ = rebase(self._base, read, self._pending, self._read_at)
        pool = replay(self._base, self._pending)
        self._document, self._base = encode(self._document, pool)
        self._board.raw, self._read_at, self.pool = self._document.raw, tidy(now), self._base
        self._pending = Pending()
        self._rankings = {}
        self._throttling.forget()
