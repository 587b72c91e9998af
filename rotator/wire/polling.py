"""Polling: what the quota endpoints say of each account, as readings with less than full confidence.

Refuses: taking an endpoint's answer for a model's. A quota document is no success, and an endpoint that throttles, fails or
lacks a scope says nothing about readiness: it only lowers confidence and is left alone for a while.
"""

from __future__ import annotations

import json
import random
from threading import Event

from rotator.core.instants import aware
from rotator.core.providers import read
from rotator.core.providers.news import signals_of
from rotator.core.signals import Polled, QuotaObserved
from rotator.core.value import Value
from rotator.errors import EndpointFailed, LoginNeeded, RotatorError
from rotator.wire import refresh
from rotator.wire.endpoints import ENDPOINTS, place_of, question, secret_of
from rotator.wire.inquiry import Asker
from rotator.wire.origins import origin_of
from rotator.wire.spread import visited, wanted_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from rotator.core.pool import Pool
    from rotator.core.providers import Reading, WindowReading
    from rotator.core.signals import Signal
    from rotator.core.state import Account
    from rotator.credentials import Credentials
    from rotator.engine import Rotator
    from rotator.wire.endpoints import Endpoint
    from rotator.wire.inquiry import Answer

ANSWERED, FAILED, NOT_DUE, NO_ENDPOINT, SKIPPED = "answered", "failed", "not_due", "no_endpoint", "skipped"
"""What may become of an account's turn."""
CONFIDENCE = 0.9
"""Our choice: a quota document may lag behind the responses' own headers by a minute."""
HOSTS_AT_ONCE = 4
GAP_SECS = 1.0
"""Between two accounts at one host, times 0.5 to 1.5. Our choice: what a person does who looks at one after the other."""
DELAY_MOST = 86_400.0
"""Longest delay that is believed of an endpoint about itself; 2,895 s is the longest that was seen."""
_SUCCESS = range(200, 300)
_UNAUTHORIZED = 401
_TOLD = ("ok", "quota_exhausted", "billing")
"""Kinds of a reading that a quota document can have: the last two say that something in it is spent."""
_SAYS_QUOTA = {"five_hour", "seven_day", "rate_limit", "buckets", "models", "data", "quota_snapshots", "resources"}
"""What the endpoints' documents have, also where it is empty: an account that nothing limits, or that has not begun yet."""


class PollResult(Value):
    """One endpoint's turn for one account.

    ``outcome`` is one of the words above; ``endpoint`` is None when there is none to name. ``reason`` says why there are no
    ``windows``, in words without a secret. ``at`` is when it was asked, ``next_at`` before when it is not asked again.
    """

    account: str
    provider: str
    endpoint: str | None
    outcome: str
    reason: str = ""
    windows: tuple[WindowReading, ...] = ()
    at: datetime | None = None
    next_at: datetime | None = None


def poll(
    rotator: Rotator,
    names: Iterable[str] | None = None,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
    luck: Callable[[], float] = random.random,
) -> list[PollResult]:
    """Ask the quota endpoints about the accounts of these names, or of the whole pool, and learn what they say.

    In threads: at most ``HOSTS_AT_ONCE`` hosts at once, the accounts of one host one after the other with a jittered gap.
    Of the whole pool, accounts that are disabled or need a login are skipped. An endpoint that is to be left alone
    (``policy.poll_interval``, longer after failures) is not asked unless ``force``. ``progress`` is called here with
    accounts done and accounts in all. The time is the engine's; ``luck`` gives numbers of 0..1.

    The results are in the order of the accounts. Raises UnknownAccount, before anything is asked.
    """
    wanted, stop, clock = wanted_of(rotator.pool, names), Event(), rotator._clock
    with Asker(clock, luck, stop) as asker:
        turn = _Turn(rotator, asker, force=force, all_of_them=names is None)
        results = visited(
            rotator,
            wanted,
            lambda name: _door(rotator, name),
            turn.take,
            at_once=HOSTS_AT_ONCE,
            pause=lambda: clock.wait(stop, GAP_SECS * (0.5 + luck())),
            progress=progress,
            stop=stop,
        )
    return [result for each in results for result in each]


def _door(rotator: Rotator, name: str) -> str:
    """The host that the account's first endpoint is at; empty for those that nobody asks."""
    try:
        endpoints = ENDPOINTS.get(rotator.pool.account(name).provider)
        return str(origin_of(place_of(endpoints[0], rotator.credentials(name).base_url))) if endpoints else ""
    except RotatorError:  # its turn says what is amiss
        return ""


class _Turn:
    """How an account is asked about."""

    def __init__(self, rotator: Rotator, asker: Asker, *, force: bool, all_of_them: bool) -> None:
        self._rotator = rotator
        self._asker = asker
        self._force = force
        self._all = all_of_them

    def take(self, name: str) -> tuple[list[PollResult], bool]:
        """One result for each endpoint, or one that says why there is none; and whether any was asked."""
        results = self._taken(name)
        return results, any(result.at is not None for result in results)

    def _taken(self, name: str) -> list[PollResult]:
        try:
            account = self._rotator.pool.account(name)
        except KeyError:  # taken out of the file meanwhile
            return [PollResult(name, "", None, SKIPPED, "it is not in the file any more")]
        endpoints = ENDPOINTS.get(account.provider)
        if not endpoints:
            return [_without(account, NO_ENDPOINT, f"{account.provider} has no quota endpoint")]
        if self._all and (not account.enabled or account.runtime.auth_failed):
            return [_without(account, SKIPPED, "needs a new login" if account.enabled else "is disabled")]
        try:
            own = self._rotator.credentials(name)  # also looks at the file, which another process may have written
            account = self._rotator.pool.account(name)
            due = [endpoint for endpoint in endpoints if self._force or self._due(account, endpoint)]
            if not due:
                return [self._not_due(account, endpoint) for endpoint in endpoints]
            if own.access_token is None and own.refresh_token is None and all(e.oauth for e in endpoints):
                word = (
                    "it has an API key alone, and the endpoint is for subscriptions" if own.api_key else "no credential"
                )
                return [_without(account, NO_ENDPOINT if own.api_key else FAILED, word)]
            return self._ask_all(account, endpoints, due)
        except RotatorError as error:  # what is wrong with its credential; the endpoint was not asked
            return [_without(account, FAILED, str(error))]

    def _now(self) -> float:
        return self._rotator.now()

    def _due(self, account: Account, endpoint: Endpoint) -> bool:
        asked = account.runtime.polls.get(endpoint.name)
        return asked is None or asked.until <= self._now()

    def _not_due(self, account: Account, endpoint: Endpoint) -> PollResult:
        asked = account.runtime.polls[endpoint.name]
        word = "it gave no answer and is left alone" if asked.failures else "it was asked just now"
        until = aware(asked.until)
        return PollResult(account.name, account.provider, endpoint.name, NOT_DUE, word, next_at=until)

    def _ask_all(self, account: Account, endpoints: tuple[Endpoint, ...], due: list[Endpoint]) -> list[PollResult]:
        try:
            credentials = refresh.current(self._rotator, account.name)
        except (EndpointFailed, LoginNeeded) as error:
            return [self._unasked(account, endpoint, endpoint in due, str(error)) for endpoint in endpoints]
        at = self._now()  # before the first byte is sent: news that came meanwhile is newer
        results = []
        for endpoint in endpoints:
            if endpoint not in due:
                results.append(self._not_due(account, endpoint))
                continue
            result, credentials = self._ask(account, endpoint, credentials, at)
            results.append(result)
        return results

    def _unasked(self, account: Account, endpoint: Endpoint, due: bool, why: str) -> PollResult:
        """A failed poll of an endpoint that nobody could be sent to; the token's own may have been asked."""
        if not due:
            return self._not_due(account, endpoint)
        result = PollResult(account.name, account.provider, endpoint.name, FAILED)
        return self._learn(result, account, self._now(), [], None, why)

    def _ask(
        self, account: Account, endpoint: Endpoint, credentials: Credentials, at: float
    ) -> tuple[PollResult, Credentials]:
        result = PollResult(account.name, account.provider, endpoint.name, FAILED, "no credential for it")
        secret = secret_of(endpoint, credentials)
        if secret is None:
            return result, credentials
        asked = question(endpoint, credentials)
        trouble = ""
        try:
            answer = self._asker.ask(asked, repeatable=True)
            if answer.status == _UNAUTHORIZED and secret == credentials.access_token:
                credentials, trouble = self._renewed(account.name, credentials)
                if credentials.access_token not in (None, secret):
                    answer = self._asker.ask(question(endpoint, credentials), repeatable=True)
        except EndpointFailed as error:
            return self._learn(result, account, at, [], None, str(error)), credentials
        reading = read(
            account.provider, status=answer.status, headers=answer.headers, body=answer.body, now=aware(self._now())
        )
        why = _why_not(answer, reading)
        if why is None:
            facts = _facts(account, self._rotator.pool, reading, at)
            return self._learn(result.replace(windows=reading.windows), account, at, facts, None, ""), credentials
        delay = None if reading.retry_after_secs is None else min(reading.retry_after_secs, DELAY_MOST)
        return self._learn(result, account, at, [], delay, trouble or why), credentials

    def _renewed(self, name: str, refused: Credentials) -> tuple[Credentials, str]:
        """The credentials after one refresh, and what was amiss with it; a final refusal is on record by then."""
        try:
            return refresh.current(self._rotator, name, rejected=refused.access_token), ""
        except LoginNeeded as error:
            return refused, f"401, and {error}"
        except RotatorError as error:
            return refused, f"401, and it could not be refreshed: {error}"

    def _learn(
        self, result: PollResult, account: Account, at: float, facts: list[Signal], delay: float | None, why: str
    ) -> PollResult:
        name = str(result.endpoint)
        self._rotator.ingest([*facts, Polled(account.name, name, at, ok=not why, retry_delay_secs=delay)])
        pool = self._rotator.pool
        kept = pool.account(account.name).runtime.polls.get(name) if account.name in pool else None
        return result.replace(
            outcome=FAILED if why else ANSWERED,
            reason=why,
            at=aware(at),
            next_at=None if kept is None else aware(kept.until),
        )


def _without(account: Account, outcome: str, reason: str) -> PollResult:
    return PollResult(account.name, account.provider, None, outcome, reason)


def _why_not(answer: Answer, reading: Reading) -> str | None:
    """Why an answer is none, in rotator's own words; None when it is one."""
    if answer.status not in _SUCCESS:
        more = f" ({reading.reason})" if reading.reason else ""
        return f"it answered {answer.status}{more}"
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return "its answer is no JSON object"
    if reading.kind == "ok" and not reading.windows and not document.keys() & _SAYS_QUOTA:
        return "it answered nothing that rotator reads"
    return None if reading.kind in _TOLD else f"its answer says {reading.kind}"


def _facts(account: Account, pool: Pool, reading: Reading, at: float) -> list[Signal]:
    """The readings of quota, and nothing else that a response of a model would be.

    A window of a model family is kept for each model that is known of any account and that this one serves.
    """
    known = {*pool.models(), *(pattern for pattern in account.models if not set(pattern) & set("*?["))}
    served = [model for model in known if account.serves(model)]
    news = signals_of(reading, account=account.name, model="", at=at, known_models=served)
    return [
        fact.replace(confidence=CONFIDENCE) for fact in news if isinstance(fact, QuotaObserved) and fact.model != ""
    ]
