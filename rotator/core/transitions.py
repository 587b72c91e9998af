"""Transitions: the only way a pool changes. ``apply`` one signal, ``replay`` many.

Refuses: a clock, JSON, scores, how windows and cooldowns join (``windows``, ``cooldowns``). Its laws, each a property test:

- Replay is a fold: ``replay(p, a + b) == replay(replay(p, a), b)``.
- Facts land by their own time: any order of the same facts with explicit delays gives the same readiness. Readings,
  ends and successes are joins (the latest ``at``); a cooldown that was learned before the latest end of cooldowns is
  ignored, and of the others every one that could still decide is kept. Exempt is what is said of one account within
  one millisecond when it is a success or a person who says it: one ends what the other begins, and the later stands. Exempt too is what
  an account hears of its quota group's successes: a cooldown of before one, heard after it, stands until its deadline.
- A shared back-off learned at t stands for the brief cooldowns learned in the ``throttle_within`` seconds until t, whichever
  is heard first. Exempt is an account-wide one that is heard after both the back-off and a later release of its model.
- Partial news never erases: a reading updates the windows that it names, and of those the parts that it knows.
- A fact about an account that is gone is dropped.
"""

from __future__ import annotations

from rotator.core.cooldowns import LIMITS, ladder, without
from rotator.core.instants import tidy
from rotator.core.pool import Pool
from rotator.core.refusals import auth_refused, blocked, rate_limited, refused, server_failed, throttled, with_model
from rotator.core.signals import (
    AuthRefused,
    Blocked,
    Held,
    Polled,
    Probed,
    QuotaObserved,
    QuotaShared,
    RateLimited,
    Refused,
    Released,
    Rotated,
    ServerFailed,
    SessionPlaced,
    Succeeded,
    Superseded,
    Throttled,
    bounded,
)
from rotator.core.state import COUNT_MAX, SUPERSEDED_MAX, UNKNOWN_MODEL, ModelState, Poll, Runtime, Selection
from rotator.core.windows import charged, forgotten, observed, shows_quota, spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.signals import Signal

_KEPT = 0.9
"""Share of the known mean of tokens per request that is kept at each request. Our choice: ten requests tell."""
_NO_FLAGS = {"banned": False, "restricted": False, "auth_failed": False, "blocked_reason": "", "blocked_at": 0.0}


def apply(pool: Pool, signal: Signal) -> Pool:
    """The pool after one signal; the same pool when the signal says nothing (new) or its account is gone."""
    news = bounded(signal) if signal.account in pool else None
    if news is None:
        return pool
    runtime = pool.account(signal.account).runtime
    after = _RULES[type(news)](runtime, news, pool.policy)
    if after is not runtime and after != runtime:
        pool = pool.with_runtime(signal.account, after)
    if type(signal) is Rotated and pool.active != signal.account:
        now_active = pool.active
        known = now_active is not None and now_active in pool
        if not known or pool.account(str(now_active)).runtime.last_active_at <= tidy(signal.at):
            pool = pool.with_active(signal.account)
    return pool


def replay(pool: Pool, signals: Iterable[Signal]) -> Pool:
    """The pool after all signals, in this order."""
    for signal in signals:
        pool = apply(pool, signal)
    return pool


def significant(before: Runtime, after: Runtime, model: str | None) -> bool:
    """Whether a change is worth an early write: readiness or a hard state differs for the account or this model.

    ``model`` None is every model.
    """
    if before is after:
        return False
    if _blocks(before) != _blocks(after):
        return True
    for name in after.models if model is None else (model,):
        was, now = before.models.get(name, UNKNOWN_MODEL), after.models.get(name, UNKNOWN_MODEL)
        if was is not now and _shuts(was) != _shuts(now):
            return True
    return False


def _shuts(holder: Runtime | ModelState) -> tuple[Any, ...]:
    return holder.cooldowns, holder.held, holder.held_until, spent(holder.windows)


def _blocks(runtime: Runtime) -> tuple[Any, ...]:
    return _shuts(runtime), runtime.banned, runtime.restricted, runtime.auth_failed, runtime.availability


def _quota_observed(runtime: Runtime, news: QuotaObserved, policy: Policy) -> Runtime:
    at = tidy(news.at)
    holder: Runtime | ModelState = runtime if news.model is None else runtime.models.get(news.model, UNKNOWN_MODEL)
    left_at, cooldowns = holder.quota_left_at, holder.cooldowns
    if shows_quota(news.windows) and not news.with_refusal:
        left_at = max(left_at, at)
        cooldowns = without(cooldowns, at, soft_only=True)
    windows = observed(holder.windows, news.windows, at, max(holder.released_at, runtime.released_at), policy)
    if isinstance(holder, Runtime):
        return holder.replace(windows=windows, cooldowns=cooldowns, quota_left_at=left_at)
    newest = at >= holder.updated_at
    state = holder.replace(
        windows=windows,
        cooldowns=cooldowns,
        quota_left_at=left_at,
        updated_at=max(at, holder.updated_at),
        confidence=round(news.confidence, 6) if newest else holder.confidence,
    )
    return with_model(runtime, str(news.model), state)


def _succeeded(runtime: Runtime, news: Succeeded, _policy: Policy) -> Runtime:
    at = tidy(news.at)
    state = runtime.models.get(news.model, UNKNOWN_MODEL)
    after = state.replace(
        last_success_at=max(at, state.last_success_at),
        cooldowns=without(state.cooldowns, at),
        consecutive_429=0 if at >= state.last_429_at else state.consecutive_429,
        windows=charged(state.windows, news.tokens, at),
        request_tokens=_usual(state.request_tokens, news),
        refused_since=0.0 if at >= state.last_429_at else max(state.refused_since, at),
    )
    changes: dict[str, Any] = {
        "cooldowns": without(runtime.cooldowns, at),
        "windows": charged(runtime.windows, news.tokens, at),
    }
    if at >= runtime.last_failure_at:
        changes |= {"consecutive_401": 0, "consecutive_403": 0, "consecutive_failures": 0}
    if at >= runtime.blocked_at:
        changes |= _NO_FLAGS
    return with_model(runtime, news.model, after, **changes)


def _usual(known: float, news: Succeeded) -> float:
    """What a request takes, after some more of them: a mean over about the last ten."""
    if not news.tokens:
        return known
    seen = news.tokens / news.requests
    return round(seen + (known - seen) * _KEPT**news.requests if known else seen, 1)


def _quota_shared(runtime: Runtime, news: QuotaShared, _policy: Policy) -> Runtime:
    """What another account's success says of the common limit: what its 429s set for all of them is over.

    A guessed cooldown of the account stays while its own credential was refused in a row.
    """
    at, state = tidy(news.at), runtime.models.get(news.model, UNKNOWN_MODEL)
    refused = runtime.consecutive_401 or runtime.consecutive_403
    cooldowns = without(runtime.cooldowns, at, sources=LIMITS[:2] if refused else LIMITS)
    after = runtime.replace(cooldowns=cooldowns, windows=charged(runtime.windows, news.tokens, at))
    served = state.replace(
        cooldowns=without(state.cooldowns, at, sources=LIMITS),
        consecutive_429=0 if at >= state.last_429_at else state.consecutive_429,
        windows=charged(state.windows, news.tokens, at),
    )
    return after if served == state else with_model(after, news.model, served)


def _probed(runtime: Runtime, news: Probed, _policy: Policy) -> Runtime:
    at, seen, found = tidy(news.at), runtime.availability, news.availability
    if at <= runtime.released_at or (seen is not None and (seen.checked_at, not seen.ok) >= (at, not found.ok)):
        return runtime
    return runtime.replace(availability=found.replace(checked_at=at))


def _polled(runtime: Runtime, news: Polled, policy: Policy) -> Runtime:
    at, was = tidy(news.at), runtime.polls.get(news.endpoint)
    if was is not None and was.at >= at:
        return runtime
    failures = 0 if news.ok else min((was.failures if was is not None else 0) + 1, COUNT_MAX)
    delay = policy.poll_interval if news.ok else ladder(policy.poll_interval, 2, failures, policy.poll_interval_max)
    until = tidy(at + max(delay, news.retry_delay_secs or 0.0))
    polls = {**runtime.polls, news.endpoint: Poll(at, failures, until)}
    return runtime.replace(polls={endpoint: polls[endpoint] for endpoint in sorted(polls)})


def _superseded(runtime: Runtime, news: Superseded, _policy: Policy) -> Runtime:
    if news.token in runtime.superseded:
        return runtime
    return runtime.replace(superseded=(*runtime.superseded, news.token)[-SUPERSEDED_MAX:])


def _rotated(runtime: Runtime, news: Rotated, _policy: Policy) -> Runtime:
    at = tidy(news.at)
    if at < runtime.last_active_at:
        return runtime
    return runtime.replace(
        last_active_at=at, selected=Selection(news.previous or None, at, news.reason, news.shadow or None)
    )


def _session_placed(runtime: Runtime, news: SessionPlaced, policy: Policy) -> Runtime:
    at = tidy(news.at)
    if runtime.sessions.get(news.session, 0.0) >= at:
        return runtime
    sessions = {key: used for key, used in runtime.sessions.items() if used > at - policy.session_ttl}
    sessions[news.session] = at
    newest = sorted(sessions, key=lambda key: (-sessions[key], key))[: policy.sessions_max]
    return runtime.replace(sessions={key: sessions[key] for key in sorted(newest)})


def _held(runtime: Runtime, news: Held, _policy: Policy) -> Runtime:
    at = tidy(news.at)
    holder: Runtime | ModelState = runtime if news.model is None else runtime.models.get(news.model, UNKNOWN_MODEL)
    if at < max(holder.released_at, runtime.released_at, holder.held_at):
        return runtime
    held = holder.replace(held=True, held_until=None if news.until is None else tidy(news.until), held_at=at)
    return held if isinstance(held, Runtime) else with_model(runtime, str(news.model), held)


def _released(runtime: Runtime, news: Released, policy: Policy) -> Runtime:
    at = tidy(news.at)
    models = {
        model: _released_model(state, at, policy) if news.model in (None, model) else state
        for model, state in runtime.models.items()
    }
    if news.model is not None:
        models.setdefault(news.model, _released_model(UNKNOWN_MODEL, at, policy))
        return runtime.replace(models=models)
    changes: dict[str, Any] = {"released_at": max(at, runtime.released_at), "models": models}
    if at >= runtime.held_at:
        changes |= {"held": False, "held_until": None}
    if at >= runtime.blocked_at:
        changes |= _NO_FLAGS
    if at >= runtime.last_failure_at:
        changes |= {"consecutive_401": 0, "consecutive_403": 0, "consecutive_failures": 0}
    if runtime.availability is not None and at >= runtime.availability.checked_at:
        changes["availability"] = None
    return runtime.replace(
        cooldowns=without(runtime.cooldowns, at), windows=forgotten(runtime.windows, at, policy), **changes
    )


def _released_model(state: ModelState, at: float, policy: Policy) -> ModelState:
    changes: dict[str, Any] = {"held": False, "held_until": None} if at >= state.held_at else {}
    return state.replace(
        released_at=max(at, state.released_at),
        cooldowns=without(state.cooldowns, at),
        consecutive_429=0 if at >= state.last_429_at else state.consecutive_429,
        windows=forgotten(state.windows, at, policy),
        **changes,
    )


_RULES: dict[type, Callable[[Runtime, Any, Policy], Runtime]] = {
    QuotaObserved: _quota_observed,
    Succeeded: _succeeded,
    QuotaShared: _quota_shared,
    RateLimited: rate_limited,
    ServerFailed: server_failed,
    AuthRefused: auth_refused,
    Refused: refused,
    Blocked: blocked,
    Throttled: throttled,
    Probed: _probed,
    Polled: _polled,
    Superseded: _superseded,
    Rotated: _rotated,
    SessionPlaced: _session_placed,
    Held: _held,
    Released: _released,
}
