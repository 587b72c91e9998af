"""The exchange: one request of a program, served by as many accounts as it takes, as steps for a door to perform.

Refuses: I/O of its own. It is a generator that yields what is to be done and is sent the result, so that the synchronous and
the asynchronous doors drive the same decisions.
"""

from __future__ import annotations

from tenacity import Retrying, retry_if_result, wait_none

from rotator.core.selection import Parked, Unavailable
from rotator.core.signals import AuthRefused, ServerFailed, Throttled
from rotator.core.state import NEVER
from rotator.core.value import Value
from rotator.engine import Lease
from rotator.errors import (
    EndpointFailed,
    LoginNeeded,
    OriginRefused,
    ParkTimeout,
    RotatorError,
    SecretMissing,
    UnknownAccount,
)
from rotator.wire.answers import client_delay, delayed, nobody, own
from rotator.wire.judging import Refusal, refusal, watched
from rotator.wire.origins import shown
from rotator.wire.refresh import _serves
from rotator.wire.steps import Close, Fetch, Send, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from tenacity import RetryCallState

    from rotator.credentials import Credentials
    from rotator.wire.asking import Asking
    from rotator.wire.shared import Shared
    from rotator.wire.steps import Incoming, Step
    from rotator.wire.turns import Turn

_SERVER_ERRORS = 500
_SERVER_TRIES = 2
"""Accounts that a request is tried with when the provider fails at serving it: the fault is seldom the account's."""
_OF_THE_ACCOUNT = (SecretMissing, LoginNeeded, EndpointFailed, UnknownAccount)


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
        self._rotator = rotator
        self._clock = rotator._clock
        self._owners = shared.owners
        self._keys = shared.keys
        self._turns = shared.turns
        self._limits = limits = shared.limits
        self._asked = asked
        self._model = asked.model or ""
        self._began = 0.0 if limits.deadline is None else self._clock.monotonic()
        self._names: frozenset[str] = frozenset()
        self._tried: set[str] = set()
        self._since_wait: set[str] = set()
        self._server_tries = 0
        self._refusers: list[str] = []
        self._parked: Parked | None = None
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
                raise OriginRefused(_unowned(asked))
            return (yield Send(asked.bare())).response
        asked.mark()
        if asked.model is None:
            return (yield from self._once())
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
        return len(self._tried) >= self._limits.max_accounts or self._left() <= 0

    def _left(self) -> float:
        """Seconds of the deadline that are left."""
        if self._limits.deadline is None:
            return NEVER
        return self._limits.deadline - (self._clock.monotonic() - self._began)

    def _attempt(self) -> Generator[Step, Any, Ended]:
        """One account, or none. An end without a response to give leaves the lease ended."""
        if self._parked is not None:
            try:
                yield Wait(self._rotator, self._model, self._names, self._left())
            except ParkTimeout:
                return _UNSERVED
            self._parked = None
            self._since_wait.clear()
        lease = self._leased()
        if not isinstance(lease, Lease):
            return self._not_leased(lease)
        turn, ended = self._turns.begin(lease), _UNSERVED
        try:
            if turn.account not in self._since_wait:
                ended = yield from self._sent(turn)
        finally:
            if not ended.served:
                turn.ends()
        return ended

    def _leased(self) -> Lease | Parked | Unavailable:
        """A choice among the accounts that own the origin, also when the choice found that a person has just edited them."""
        while True:
            lease = self._rotator.lease(self._model, among=self._names)
            names = self._owning()
            if names == self._names:
                return lease
            if isinstance(lease, Lease):
                lease.release()
            self._names = names
            if not names:
                raise OriginRefused(_unowned(self._asked))

    def _not_leased(self, outcome: Parked | Unavailable) -> Ended:
        self._outcome = outcome
        if not isinstance(outcome, Parked) or self._limits.deadline is None:
            return _UNSERVED
        if outcome.wake_at.timestamp() - outcome.decided > self._left():
            return _UNSERVED
        self._parked = outcome
        return Ended(rotates=True)

    def _sent(self, turn: Turn) -> Generator[Step, Any, Ended]:
        """One account's attempt, and a second one with a renewed token."""
        name, asked = turn.account, self._asked
        self._tried.add(name)
        self._since_wait.add(name)
        try:
            credentials = yield from self._credentials(name)
            request = asked.signed(credentials)
        except _OF_THE_ACCOUNT as error:
            return self._without_credentials(name, error)
        incoming = yield Send(request)
        refused = yield from refusal(incoming, credentials.provider, self._model, self._clock)
        if refused is not None and refused.reading.kind == "auth_failed":
            fresh = yield from self._renewed(credentials)
            if fresh is not None:
                yield from _closed(incoming)
                incoming = yield Send(asked.signed(fresh))
                refused = yield from refusal(incoming, fresh.provider, self._model, self._clock)
        if refused is None:
            return Ended(served=True, response=watched(incoming, turn, asked.library))
        return (yield from self._refused(turn, refused))

    def _refused(self, turn: Turn, refused: Refusal) -> Generator[Step, Any, Ended]:
        response = refused.incoming.response
        facts = turn.learn((response.status_code, refused.incoming.headers), refused.text, self._refusers)
        self._refusers.append(turn.account)
        self._refusal = refused
        if response.status_code >= _SERVER_ERRORS:
            self._server_tries += 1
        throttled = any(isinstance(fact, Throttled) for fact in facts)
        others = refused.rotates and self._asked.replayable and not throttled and self._server_tries < _SERVER_TRIES
        if others:
            yield from _closed(refused.incoming)
        return Ended(rotates=others)

    def _without_credentials(self, name: str, error: RotatorError) -> Ended:
        """Keep the account out for a while: a token endpoint may soon answer again, a person may mend the rest."""
        at = self._rotator.now()
        if isinstance(error, EndpointFailed):
            self._rotator.ingest([ServerFailed(name, self._model, at)])
        else:
            self._rotator.ingest([AuthRefused(name, at, type(error).__name__)])
        self._error = error
        return Ended(rotates=True)

    def _credentials(self, name: str) -> Generator[Step, Any, Credentials]:
        """What to send now; only where a token has to be renewed it is fetched."""
        credentials = self._keys.of(name)
        if credentials is not None:
            if credentials.refresh_token is None and not credentials.referred:
                return credentials
            if _serves(credentials, self._rotator.now(), None):
                return credentials
        renewed: Credentials = yield Fetch(self._rotator, name)
        return renewed

    def _renewed(self, credentials: Credentials) -> Generator[Step, Any, Credentials | None]:
        """The credentials with another token than the one that was refused; None where there is none to be had."""
        token = credentials.access_token
        if token is None or not self._asked.replayable:
            return None
        try:
            fresh: Credentials = yield Fetch(self._rotator, credentials.account, token)
        except _OF_THE_ACCOUNT:
            return None
        return None if fresh.access_token in (None, token) else fresh

    def _once(self) -> Generator[Step, Any, Any]:
        """A request that names no model: one account, and nothing learned but that its credential is refused."""
        name = self._usable()
        if name is None:
            return self._asked.answered(*nobody("no account for this origin can be used without a person's help"))
        credentials = yield from self._credentials(name)
        incoming = yield Send(self._asked.signed(credentials))
        refused = yield from refusal(incoming, credentials.provider, None, self._clock)
        if refused is None or refused.reading.kind != "auth_failed":
            return _given(incoming, self._asked)
        fresh = yield from self._renewed(credentials)
        if fresh is not None:
            yield from _closed(incoming)
            incoming = yield Send(self._asked.signed(fresh))
            refused = yield from refusal(incoming, fresh.provider, None, self._clock)
        if refused is not None and refused.reading.kind == "auth_failed":
            reason = refused.reading.reason or "credential refused"
            self._rotator.ingest([AuthRefused(name, self._rotator.now(), reason, refused.reading.final)])
        return _given(incoming, self._asked)

    def _usable(self) -> str | None:
        """The active account, else the first that time or nothing keeps from serving."""
        pool = self._rotator.pool
        listed = [account for account in pool if account.name in self._names]
        listed.sort(key=lambda account: account.name != pool.active)
        return next((account.name for account in listed if account.next_ready_at(pool.policy) < NEVER), None)

    def _handed_up(self) -> Any:
        refused, now = self._refusal, self._rotator.now()
        if self._error is not None and refused is None:
            raise self._error
        if refused is None:
            assert self._outcome is not None, "an attempt that sends nothing has an outcome or an error"
            return self._asked.answered(*own(self._outcome, now))
        response = _given(refused.incoming, self._asked)
        if refused.rotates:
            outcome = self._rotator.explain(self._model, among=self._names)
            policy = self._rotator.pool.policy
            delayed(response.headers, client_delay(policy, refused.reading.retry_after_secs, outcome, now))
        return response


def _given(incoming: Incoming, asked: Asking) -> Any:
    """The response with what was read of its body put back."""
    response = incoming.response
    if incoming.closed:
        response.stream = asked.library.byte_stream(b"".join(incoming.held))
    elif incoming.chunks is not None:
        response.stream = asked.library.passing(response.stream, incoming.held, incoming.chunks, None)
    return response


def _closed(incoming: Incoming) -> Generator[Step, Any, None]:
    if not (incoming.closed or incoming.response.is_closed):
        yield Close(incoming)


def _unowned(asked: Asking) -> str:
    place = shown(asked.origin)
    if place.startswith("http:"):
        return f"no account has the origin {place}: plain http is for loopback alone; use https, and say so in base_url"
    return f"no account has the origin {place}: give an account that base_url, or the provider whose API that is"


def _rotates(ended: Ended) -> bool:
    return ended.rotates


def _at_once(_secs: float) -> None:
    """No sleep between attempts: what there is to wait for is waited for as a step."""


def _as_it_was(_state: RetryCallState) -> None:
    """Whoever iterates knows how the last attempt ended."""
