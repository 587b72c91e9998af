"""The exchange: one request of a program, served by as many accounts as it takes, as steps for a door to perform.

Refuses: I/O of its own. It is a generator that yields what is to be done and is sent the result, so that the synchronous and
the asynchronous doors drive the same decisions.
"""

from __future__ import annotations

from tenacity import Retrying, retry_if_result, wait_none

from rotator.core.selection import Parked, Selected, Unavailable
from rotator.core.signals import Throttled
from rotator.core.state import NEVER
from rotator.core.value import Value
from rotator.engine import Lease
from rotator.errors import OriginRefused, ParkTimeout, SecretMissing, UnknownAccount
from rotator.wire.answers import own
from rotator.wire.handing import better, handed_up
from rotator.wire.judging import watched
from rotator.wire.origins import unowned
from rotator.wire.sending import OF_THE_ACCOUNT, Sender, closed
from rotator.wire.steps import Send, Wait
from rotator.wire.unnamed import unnamed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from tenacity import RetryCallState

    from rotator.core.signals import Signal
    from rotator.errors import RotatorError
    from rotator.wire.asking import Asking
    from rotator.wire.judging import Refusal
    from rotator.wire.shared import Shared
    from rotator.wire.steps import Step
    from rotator.wire.turns import Turn

_SERVER_ERRORS = 500
_SERVER_TRIES = 2
"""Accounts that a request is tried with when the provider fails at serving it: the fault is seldom the account's."""
_NOBODY: frozenset[str] = frozenset()


class Ended(Value):
    """How one attempt ended. ``served``: ``response`` goes to the program; ``rotates``: another attempt may help."""

    served: bool = False
    response: Any = None
    rotates: bool = False


_UNSERVED = Ended()


class Exchange:
    """One request; ``run`` is used once."""

    def __init__(self, shared: Shared, asked: Asking) -> None:
        rotator = shared.rotator
        self._shared = shared
        self._rotator = rotator
        self._clock = rotator._clock
        self._owners = shared.owners
        self._sender = Sender(shared, asked)
        self._limits = limits = shared.limits
        self._asked = asked
        self._model = asked.model or ""
        self._began = 0.0 if limits.deadline is None else self._clock.monotonic()
        self._names = _NOBODY
        self._missing = _NOBODY
        self._heeds_aside = True
        self._tried = _NOBODY
        self._since_wait = _NOBODY
        self._server_tries = 0
        self._refusers: list[str] = []
        self._awaited: frozenset[str] | None = None
        self._refusal: Refusal | None = None
        self._error: RotatorError | None = None
        self._outcome: Parked | Unavailable | None = None

    def run(self) -> Generator[Step, Any, Any]:
        """The response for the program: one that served it, else the provider's last own answer, else one of rotator's.

        Raises OriginRefused, what the HTTP library raises, and what keeps an account's credentials away when no account had
        any (SecretMissing, LoginNeeded, EndpointFailed).
        """
        asked = self._asked
        self._names = self._owning()
        if not self._names:
            if asked.first is None:
                raise OriginRefused(unowned(asked.origin))
            return (yield Send(asked.bare())).response
        asked.mark()
        if asked.model is None:
            return (yield from unnamed(self._shared, asked, self._names))
        ended = yield from self._attempt()
        if ended.rotates:
            ended = yield from self._rotate(ended)
        return ended.response if ended.served else self._handed_up()

    def _owning(self) -> frozenset[str]:
        """The accounts that may serve it; across a redirect only those that own both ends."""
        asked = self._asked
        names = self._owners.of(asked.origin) or self._owners.look_again(asked.origin)
        if asked.first is not None and asked.first != asked.origin:
            names &= self._owners.of(asked.first)
        return names

    def _rotate(self, ended: Ended) -> Generator[Step, Any, Ended]:
        """More attempts, after a first one that ended so, until one serves or no other may help."""
        for attempt in Retrying(
            retry=retry_if_result(_rotates),
            stop=self._spent,
            wait=wait_none(),
            sleep=_at_once,
            retry_error_callback=_as_it_was,
        ):
            if attempt.retry_state.attempt_number > 1:
                ended = yield from self._attempt()
            attempt.retry_state.set_result(ended)
        return ended

    def _spent(self, _state: RetryCallState) -> bool:
        if self._limits.deadline is None:
            return len(self._tried) >= self._limits.max_accounts
        return self._left() <= 0

    def _left(self) -> float:
        """Seconds of the deadline that are left."""
        if self._limits.deadline is None:
            return NEVER
        return self._limits.deadline - (self._clock.monotonic() - self._began)

    def _attempt(self) -> Generator[Step, Any, Ended]:
        """One account, or none. An end without a response to give leaves the lease ended."""
        if self._awaited is not None:
            try:
                yield Wait(self._rotator, self._model, self._awaited, self._left())
            except ParkTimeout:
                return _UNSERVED
            self._awaited = None
            self._since_wait = _NOBODY
            self._refusers.clear()
        lease = self._leased()
        if not isinstance(lease, Lease):
            return self._not_leased(lease)
        turn, ended = self._shared.turns.begin(lease), _UNSERVED
        try:
            ended = yield from self._sent(turn)
        finally:
            if not ended.served:
                turn.ends()
        return ended

    def _candidates(self) -> frozenset[str]:
        """Who may be asked at all: once as many were as may be, only those again, after a wait."""
        names = self._names - self._missing if self._missing else self._names
        if self._heeds_aside:
            names = self._shared.aside.without(names)
        return names & self._tried if len(self._tried) >= self._limits.max_accounts else names

    def _leased(self) -> Lease | Parked | Unavailable | None:
        """A choice among those that were not asked since the last wait; None when there are none.

        They own the origin also when the choice found that a person has just edited them.
        """
        while True:
            among = self._candidates()
            among = among - self._since_wait if self._since_wait else among
            lease = self._rotator.lease(self._model, among=among) if among else None
            names = self._owning()
            if names == self._names:
                return lease
            if isinstance(lease, Lease):
                lease.release()
            self._names = names
            if not names:
                raise OriginRefused(unowned(self._asked.origin))

    def _not_leased(self, outcome: Parked | Unavailable | None) -> Ended:
        """Wait for whoever may be asked, within the deadline; the end when nobody is worth it."""
        among = self._candidates()
        if self._since_wait and among:
            found = self._rotator.explain(self._model, among=among)
            if isinstance(found, Selected):
                return _UNSERVED
            outcome = found
        self._outcome = outcome
        if isinstance(outcome, Unavailable) and self._heeds_aside and self._refusal is None:
            self._heeds_aside = False  # that a secret is missing is said rather than that the others are of no use
            return Ended(rotates=True)
        if not isinstance(outcome, Parked) or self._limits.deadline is None:
            return _UNSERVED
        if outcome.wake_at.timestamp() - outcome.decided > self._left():
            return _UNSERVED
        self._awaited = among
        return Ended(rotates=True)

    def _sent(self, turn: Turn) -> Generator[Step, Any, Ended]:
        """One account's attempt."""
        name = turn.account
        try:
            incoming, refused = yield from self._sender.sent(name, self._model)
        except OF_THE_ACCOUNT as error:
            self._sender.without_credentials(name, self._model, error)
            self._error = error
            if isinstance(error, SecretMissing | UnknownAccount):
                self._missing |= {name}
            else:
                self._note(name)
            return Ended(rotates=True)
        if refused is None:
            return Ended(served=True, response=watched(incoming, turn, self._asked.library))
        self._note(name)
        return (yield from self._refused(turn, refused))

    def _note(self, name: str) -> None:
        self._tried |= {name}
        self._since_wait |= {name}

    def _refused(self, turn: Turn, refused: Refusal) -> Generator[Step, Any, Ended]:
        response = refused.incoming.response
        facts = turn.learn((response.status_code, refused.incoming.headers), refused.text, self._refusers)
        self._refusers.append(turn.account)
        self._refusal = better(self._refusal, refused)
        others = refused.rotates and self._asked.replayable and self._may_help(refused, facts)
        if others or self._refusal is not refused:
            yield from closed(refused.incoming)
        return Ended(rotates=others)

    def _may_help(self, refused: Refusal, facts: tuple[Signal, ...]) -> bool:
        """Whether another account, or a wait within the deadline, may help; neither does when the request is to blame."""
        waits = self._limits.deadline is not None
        throttles = [fact for fact in facts if isinstance(fact, Throttled)]
        if any(not waits or fact.until <= fact.at for fact in throttles):
            return False
        if refused.incoming.response.status_code >= _SERVER_ERRORS and not (waits and refused.passes):
            self._server_tries += 1
        return self._server_tries < _SERVER_TRIES

    def _handed_up(self) -> Any:
        refused, now = self._refusal, self._rotator.now()
        if refused is None:
            if self._error is not None and not isinstance(self._outcome, Parked):
                raise self._error
            assert self._outcome is not None, "an attempt that sends nothing has an outcome or an error"
            return self._asked.answered(*own(self._outcome, now))
        outcome = self._rotator.explain(self._model, among=self._names) if refused.rotates else None
        return handed_up(refused, self._asked, self._rotator.pool.policy, outcome, now)


def _rotates(ended: Ended) -> bool:
    return ended.rotates


def _at_once(_secs: float) -> None:
    """No sleep between attempts: what there is to wait for is waited for as a step."""


def _as_it_was(_state: RetryCallState) -> None:
    """Whoever iterates knows how the last attempt ended."""
