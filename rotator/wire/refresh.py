"""Refresh: an account's credentials as they are to be sent now, with a new access token where the old one has ended.

Refuses: choosing accounts, and sending anything but the one request to the token endpoint (``tokens``). A refresh is one
transaction: a lock of the account's, the file read again, only if still needed, room on the disk, the endpoint, the disk.
What nobody can close is the time from the endpoint's answer to the disk's: a process that dies in it loses the account.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from rotator.core.codec.tokens import short_hash
from rotator.core.cooldowns import ladder
from rotator.core.instants import tidy
from rotator.core.signals import AuthRefused, Polled, Superseded
from rotator.core.value import Value
from rotator.errors import EndpointFailed, LoginNeeded, MachineError, SecretMissing
from rotator.wire.deferring import Deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.credentials import Credentials
    from rotator.engine import Rotator
    from rotator.engine.renewing import Renewing
    from rotator.wire.tokens import Endpoint, Failed, Granted

MARGIN_SECS, MARGIN_FRACTION = 60.0, 0.2
"""How long before its end an access token is refreshed: the shorter of a minute and a fifth of its life. Our choice: a
request is on its way for some seconds, and a token that lives for one second must still be used for most of it."""
REST_SECS, REST_MAX_SECS = 30.0, 900.0
"""How long an endpoint that failed is left alone, first and at most; it doubles. Our choice: where the old token was sent and
no answer came, it is sent once more after the longest grace that is usual for a token that was just replaced."""
LOCK_SECS = 90.0
"""How long to wait for another process that refreshes the same account: as long as its endpoint may take."""
LIVING_LOCK_SECS = 2.0
"""And while the old token lives: most endpoints have answered by then, and many servers refuse it once there is a new one."""
_POLLED = "token"
"""What a failure of the token endpoint is kept under in ``runtime.polls``, for processes that begin later."""
_ROUNDS = 4
"""How often what was sent may turn out to have been replaced meanwhile."""


class _Rest(Value):
    """An account's endpoint that failed at ``at``, so many times in a row, is left alone for ``secs``."""

    account: str
    at: float
    secs: float
    failures: int
    why: str


_resting: WeakKeyDictionary[Rotator, dict[str, _Rest]] = WeakKeyDictionary()
"""By engine and token: a person's new token does not wait for what became of the old one."""


class _Rejected(str):
    """A token that nobody sees who reports errors with the locals of their frames."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def current(rotator: Rotator, name: str, *, rejected: str | None = None) -> Credentials:
    """The credentials of an account with an access token that is not about to end.

    ``rejected`` is an access token that a server has just refused: if the account still has it, it is refreshed. While a
    refresh fails, a token that has not ended is returned all the same. One that has, and that nothing can renew, is None
    beside an API key. It may take as long as the endpoint does, so asynchronous callers use a thread.

    Raises UnknownAccount; SecretMissing (also where an endpoint or a client id is missing); LoginNeeded (the provider says
    that the refresh token is dead, a new one could not be kept, or there is none and the access token has ended);
    EndpointFailed (also for want of room on the disk, and when others refresh for too long).
    """
    rejected = None if rejected is None else _Rejected(rejected)
    found, now = rotator.credentials(name), rotator.now()
    if _serves(found, now, rejected):
        return _sendable(found, now, rejected)
    wait = LIVING_LOCK_SECS if _lives(found, now, rejected) else LOCK_SECS
    failed: LoginNeeded | SecretMissing | EndpointFailed
    try:
        return _renewed(rotator, name, rejected, wait)
    except (LoginNeeded, SecretMissing, EndpointFailed) as error:
        failed = error
    except MachineError as error:
        failed = _put_off(name, error)
    found = rotator.credentials(name)
    if _lives(found, rotator.now(), rejected) and not rotator.pool.account(name).runtime.auth_failed:
        return found
    if found.api_key is not None and not isinstance(failed, EndpointFailed):
        found.access_token = None
        return found
    raise failed


def _put_off(name: str, error: MachineError) -> EndpointFailed:
    why = str(error.args[1]) if len(error.args) > 1 else str(error)
    return EndpointFailed(f"{name}: its tokens were not refreshed: {why}")


def _end(found: Credentials) -> float | None:
    if found.expires_at is not None or found.access_token is None:
        return found.expires_at
    if found.access_token.count(".") != 2:  # noqa: PLR2004  only a JSON Web Token says it itself
        return None
    from rotator.wire.tokens import end_of  # loads httpx

    return end_of(found.access_token)


def _lives(found: Credentials, now: float, rejected: str | None) -> bool:
    """Whether the access token has not ended, as far as anybody knows."""
    if found.access_token is None or found.access_token == rejected:
        return False
    end = _end(found)
    return end is None or now < end


def _serves(found: Credentials, now: float, rejected: str | None) -> bool:
    """Whether there is nothing to refresh: the access token lives for a while, or there is nothing to refresh it with."""
    if found.refresh_token is None and "access_token" not in found.referred:
        return True
    if not _lives(found, now, rejected):
        return False
    end = _end(found)
    if end is None or "access_token" in found.referred:
        return True
    life = None if found.received_at is None else max(end - found.received_at, 0.0)
    margin = MARGIN_SECS if life is None else min(MARGIN_SECS, life * MARGIN_FRACTION)
    return end - now > margin


def is_current(found: Credentials, now: float) -> bool:
    """Whether they go out as they are: ``current`` would neither ask nor take anything out of them."""
    return (found.access_token is None or _lives(found, now, None)) and _serves(found, now, None)


def _sendable(found: Credentials, now: float, rejected: str | None) -> Credentials:
    """Credentials that nothing can renew: no dead access token goes before an API key. Raises LoginNeeded."""
    if found.access_token is None or _lives(found, now, rejected):
        return found
    if found.api_key is not None:
        found.access_token = None
        return found
    end = _end(found)
    if end is not None and end <= now:
        message = f"the access token of {found.account} has ended, and there is nothing to renew it with: log in again"
        raise LoginNeeded(message)
    return found


def _renewed(rotator: Rotator, name: str, rejected: str | None, wait_secs: float) -> Credentials:
    for _ in range(_ROUNDS):
        with rotator.renewing(name, wait_secs) as renewing:
            found, now = renewing.credentials(), rotator.now()
            if _serves(found, now, rejected):
                return _sendable(found, now, rejected)
            _heed_rest(rotator, found)
            endpoint = _askable(renewing, found)
            if endpoint is None:
                return _sendable(found, now, rejected)
            given = _step(rotator, renewing, found, endpoint)
            found = renewing.credentials()
            if given is not None and found.access_token == given.access_token:
                return found
    message = f"{name}: its tokens are replaced by somebody all the time; try again"
    raise EndpointFailed(message)


def _askable(renewing: Renewing, found: Credentials) -> Endpoint | None:
    """Where to ask; None where there is nothing to ask for, and another secret to send. Raises LoginNeeded, SecretMissing."""
    from rotator.wire.tokens import endpoint_of, is_single_use

    name = found.account
    if "access_token" in found.referred:
        message = (
            f"the access token of {name} is kept by another tool and has ended, or was refused: that tool has to refresh"
            " it, so use it once"
        )
        raise LoginNeeded(message)
    try:
        endpoint = endpoint_of(found)
    except SecretMissing:
        if found.api_key is not None:
            return None
        raise
    if renewing.is_superseded(found.refresh_token or ""):
        if renewing.is_unwritten():
            message = f"{name}: its new tokens could not be written so far; they are kept in memory, and tried again"
            raise EndpointFailed(message)
        message = (
            f"the refresh token of {name} in the file was used up by a refresh: an old copy of it was put back, and the"
            " newest is not known here; log in again"
        )
        raise LoginNeeded(message)
    if not is_single_use(found):
        return endpoint
    elsewhere = "refresh_token" in found.referred
    why = "it is kept by another tool, which has to refresh it" if elsewhere else renewing.reserve()
    if why is not None:
        message = (
            f"the access token of {name} has ended, and its refresh token, good for one use, is not spent where the next"
            f" could not be kept: {why}"
        )
        raise LoginNeeded(message)
    return endpoint


def _step(rotator: Rotator, renewing: Renewing, found: Credentials, endpoint: Endpoint) -> Granted | None:
    """Ask the endpoint, and keep what it gives before anybody uses it; None when the token is another one by now.

    Raises LoginNeeded, EndpointFailed.
    """
    from rotator.wire.tokens import Dead, Failed, ask, is_single_use

    with Deferred():
        answer = ask(endpoint, found, rotator.now())
        if not isinstance(answer, Dead | Failed):
            _keep(rotator, renewing, found, answer, losable=not is_single_use(found))
            return answer
    if isinstance(answer, Failed):
        raise _failure(rotator, found, answer)
    if renewing.credentials().refresh_mark != found.refresh_mark:
        return None
    now, why = rotator.now(), f"the refresh token is dead ({answer.code})"
    if found.api_key is None:
        rotator.ingest([AuthRefused(found.account, now, why, final=True)])
    else:  # the account serves on without it
        rotator.ingest([Superseded(found.account, now, short_hash(found.refresh_token or ""))])
    rotator.flush()
    message = f"the provider refused the refresh token of {found.account} ({answer.code}): log in again"
    raise LoginNeeded(message)


def _keep(rotator: Rotator, renewing: Renewing, found: Credentials, answer: Granted, *, losable: bool) -> None:
    from rotator.wire.tokens import end_of

    now, life = rotator.now(), answer.expires_in
    end = end_of(answer.access_token) if life is None else now + life
    durable = renewing.keep(found, answer.access_token, answer.refresh_token, end, losable=losable)
    _resting.get(rotator, {}).pop(found.refresh_mark, None)
    if found.account in rotator.pool:
        kept = rotator.pool.account(found.account).runtime.polls.get(_POLLED)
        if kept is not None and kept.failures:  # else a token that lives for a second would write one each second
            rotator.ingest([Polled(found.account, _POLLED, now, ok=True)])
    if not durable and not losable:
        message = (
            f"{found.account}: new tokens came, and could not be written; they are kept in memory, and tried again"
        )
        raise EndpointFailed(message)


def _rest_of(rotator: Rotator, found: Credentials) -> _Rest | None:
    """The rest that the endpoint has: this process's own for that token, else what another one left in the account.

    That one does not say of which token it was: not of one that was received since, nor where the failure is our own.
    """
    rests = _resting.get(rotator, {})
    rest = rests.get(found.refresh_mark)
    kept = rotator.pool.account(found.account).runtime.polls.get(_POLLED)
    if kept is None or not kept.failures or (rest is not None and rest.at >= kept.at):
        return rest
    own = any(each.account == found.account and tidy(each.at) == kept.at for each in rests.values())
    if own or (found.received_at is not None and found.received_at >= kept.at):
        return rest
    told = kept.until - kept.at
    secs = told if told > _guessed(rotator, kept.failures) + 1 else _secs(kept.failures)
    return _Rest(found.account, kept.at, secs, kept.failures, "failed when another process asked it")


def _secs(failures: int) -> float:
    return ladder(REST_SECS, 2, failures, REST_MAX_SECS)


def _guessed(rotator: Rotator, failures: int) -> float:
    """The pause that is kept after a failed poll where the endpoint named none: too long for a token's grace."""
    policy = rotator.pool.policy
    return ladder(policy.poll_interval, 2, failures, policy.poll_interval_max)


def _heed_rest(rotator: Rotator, found: Credentials) -> None:
    """Raises EndpointFailed while the endpoint is left alone."""
    rest = _rest_of(rotator, found)
    if rest is not None and 0 <= rotator.now() - rest.at < rest.secs:
        message = f"the token endpoint of {found.account} {rest.why}; it is left alone for {rest.secs:.0f} s"
        raise EndpointFailed(message)


def _failure(rotator: Rotator, found: Credentials, failed: Failed) -> EndpointFailed:
    """The error to raise, and the rest that the endpoint has from now on, in this process and those to come."""
    before, now, name = _rest_of(rotator, found), rotator.now(), found.account
    failures = 1 if before is None else before.failures + 1
    secs = max(_secs(failures), failed.retry_delay_secs or 0.0)
    _resting.setdefault(rotator, {})[found.refresh_mark] = _Rest(name, now, secs, failures, failed.why)
    told = None
    if secs > _secs(failures):  # longer than what is guessed, so that it is known to be told
        kept = rotator.pool.account(name).runtime.polls.get(_POLLED)
        told = max(secs, _guessed(rotator, 1 if kept is None else kept.failures + 1) + 2)
    rotator.ingest([Polled(name, _POLLED, now, ok=False, retry_delay_secs=told)])
    rotator.flush()
    doubt = "; whether the token was used up is not known, so it is sent once more then" if failed.sent else ""
    return EndpointFailed(f"the token endpoint of {name} {failed.why}; it is left alone for {secs:.0f} s{doubt}")
