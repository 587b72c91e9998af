"""Transitions: the only way a pool changes. ``apply`` one signal, ``replay`` many.

Refuses: a clock, JSON, scores, how windows and cooldowns join (``windows``, ``cooldowns``). Its laws, each a property test:

- Replay is a fold: ``replay(p, a + b) == replay(replay(p, a), b)``.
- Facts land by their own time: any order of the same facts with explicit delays gives the same readiness. Readings,
  ends and successes are joins (the latest ``at``); a cooldown that was learned before the latest end of cooldowns is
  ignored, and of the others every one that could still decide is kept. Exempt is what is said of one account within
  one millisecond when it is a success or a person who says it: one ends what the other begins, and the later stands. Exempt too is what
  an account hears of its quota group's successes: a cooldown of before one, heard after it, stands until its deadline.
- Partial news never erases: a reading updates the windows that it names, and of those the parts that it knows.
- A fact about an account that is gone is dropped.
"""

from __future__ import annotations

from rotator.core.cooldowns import LIMITS, counted, joined, ladder, without
from rotator.core.instants import tidy
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
    Succeeded,
    bounded,
)
from rotator.core.state import UNKNOWN_MODEL, Cooldown, ModelState, Runtime, Selection
from rotator.core.windows import charged, forgotten, observed, shows_quota, spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.signals import Signal

_AUTH_GROWTH = 1.7
_REFUSED_GROWTH = 4
_REFUSED_IN_A_ROW = 3
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


def _with_model(runtime: Runtime, model: str, state: ModelState, **changes: Any) -> Runtime:
    models = dict(runtime.models)
    models[model] = state
    return runtime.replace(models=models, **changes)


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
    return _with_model(runtime, str(news.model), state)


def _succeeded(runtime: Runtime, news: Succeeded, _policy: Policy) -> Runtime:
    at = tidy(news.at)
    state = runtime.models.get(news.model, UNKNOWN_MODEL)
    after = state.replace(
        last_success_at=max(at, state.last_success_at),
        cooldowns=without(state.cooldowns, at),
        consecutive_429=0 if at >= state.last_429_at else state.consecutive_429,
        windows=charged(state.windows, news.tokens, at),
    )
    changes: dict[str, Any] = {
        "cooldowns": without(runtime.cooldowns, at),
        "windows": charged(runtime.windows, news.tokens, at),
    }
    if at >= runtime.last_failure_at:
        changes |= {"consecutive_401": 0, "consecutive_403": 0, "consecutive_failures": 0}
    if at >= runtime.blocked_at:
        changes |= _NO_FLAGS
    return _with_model(runtime, news.model, after, **changes)


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
    return after if served == state else _with_model(after, news.model, served)


def _ended(runtime: Runtime, state: ModelState | None = None) -> float:
    """The latest end of refusals of the model, or else of the account: what was learned by then is over."""
    success_at = runtime.last_success_at() if state is None else max(state.last_success_at, state.released_at)
    return max(success_at, runtime.released_at)


def _cooled(
    runtime: Runtime, model: str | None, cooldown: Cooldown, state: ModelState | None = None, **changes: Any
) -> Runtime:
    """The runtime with a cooldown at the scope of ``model``; ``state`` is the model's state if that changed too."""
    if model is None:
        changes["cooldowns"] = joined(runtime.cooldowns, cooldown, _ended(runtime), runtime.quota_left_at)
        return runtime.replace(**changes)
    state = state or runtime.models.get(model, UNKNOWN_MODEL)
    cooldowns = joined(state.cooldowns, cooldown, _ended(runtime, state), state.quota_left_at)
    return _with_model(runtime, model, state.replace(cooldowns=cooldowns), **changes)


def _rate_limited(runtime: Runtime, news: RateLimited, policy: Policy) -> Runtime:
    at = tidy(news.at)
    state = runtime.models.get(news.model, UNKNOWN_MODEL)
    delay, source = news.retry_delay_secs, news.source or "retry-after"
    count = counted(state.consecutive_429, at, _ended(runtime, state), runtime.cooldowns, state.cooldowns)
    changes = {"last_429_at": max(at, state.last_429_at)}
    if delay is not None and at >= state.last_429_at:
        changes["last_retry_delay_secs_raw"] = delay
        changes["last_retry_delay_secs_client"] = min(delay, policy.client_delay_max)
    if delay is None:
        source = "default"
        delay = ladder(policy.default_cooldown, 2, count, policy.default_cooldown_max)
        if count >= policy.quarantine_after:
            delay = policy.quarantine
    cooldown = Cooldown(tidy(at + max(delay, policy.retry_delay_min)), at, source)
    state = state.replace(consecutive_429=count, **changes)
    if not news.account_wide:
        return _cooled(runtime, news.model, cooldown, state)
    return _cooled(_with_model(runtime, news.model, state), None, cooldown)


def _server_failed(runtime: Runtime, news: ServerFailed, policy: Policy) -> Runtime:
    at = tidy(news.at)
    state = runtime.models.get(news.model, UNKNOWN_MODEL)
    count = counted(runtime.consecutive_failures, at, _ended(runtime), state.cooldowns)
    delay, source = news.retry_delay_secs, "retry-after"
    if delay is None:
        delay, source = ladder(policy.server_cooldown, 2, count, policy.server_cooldown_max), "default"
    cooldown = Cooldown(tidy(at + max(delay, policy.retry_delay_min)), at, source)
    failed_at = max(at, runtime.last_failure_at)
    return _cooled(runtime, news.model, cooldown, consecutive_failures=count, last_failure_at=failed_at)


def _auth_refused(runtime: Runtime, news: AuthRefused, policy: Policy) -> Runtime:
    at = tidy(news.at)
    if at < _ended(runtime):
        return runtime
    count = counted(runtime.consecutive_401, at, 0.0, runtime.cooldowns)
    delay = ladder(policy.auth_cooldown, _AUTH_GROWTH, count, policy.auth_cooldown_max)
    changes: dict[str, Any] = {"consecutive_401": count, "last_failure_at": max(at, runtime.last_failure_at)}
    if news.final or count >= policy.auth_failed_after:
        changes |= {"auth_failed": True, **_because(runtime, news.reason, at)}
    return _cooled(runtime, None, Cooldown(tidy(at + delay), at, "default"), **changes)


def _refused(runtime: Runtime, news: Refused, policy: Policy) -> Runtime:
    at = tidy(news.at)
    if news.model is not None:
        state = runtime.models.get(news.model, UNKNOWN_MODEL)
        count = counted(state.consecutive_429, at, _ended(runtime, state), state.cooldowns)
        delay = ladder(policy.refused_cooldown, _REFUSED_GROWTH, count, policy.quarantine)
        state = state.replace(consecutive_429=count, last_429_at=max(at, state.last_429_at))
        return _cooled(runtime, news.model, Cooldown(tidy(at + delay), at, "default"), state)
    if at < _ended(runtime):
        return runtime
    count = counted(runtime.consecutive_403, at, 0.0, runtime.cooldowns)
    delay = ladder(policy.refused_cooldown, _REFUSED_GROWTH, count, policy.quarantine)
    changes: dict[str, Any] = {"consecutive_403": count, "last_failure_at": max(at, runtime.last_failure_at)}
    if count >= _REFUSED_IN_A_ROW:
        changes |= {"restricted": True, **_because(runtime, news.reason, at)}
    return _cooled(runtime, None, Cooldown(tidy(at + delay), at, "default"), **changes)


def _because(runtime: Runtime, reason: str, at: float) -> dict[str, Any]:
    return {"blocked_reason": reason, "blocked_at": at} if at >= runtime.blocked_at else {}


def _blocked(runtime: Runtime, news: Blocked, _policy: Policy) -> Runtime:
    at = tidy(news.at)
    if at < _ended(runtime):
        return runtime
    return runtime.replace(**{news.state: True}, **_because(runtime, news.reason, at))


def _probed(runtime: Runtime, news: Probed, _policy: Policy) -> Runtime:
    at, seen, found = tidy(news.at), runtime.availability, news.availability
    if at <= runtime.released_at or (seen is not None and (seen.checked_at, not seen.ok) >= (at, not found.ok)):
        return runtime
    return runtime.replace(availability=found.replace(checked_at=at))


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
    return held if isinstance(held, Runtime) else _with_model(runtime, str(news.model), held)


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
    RateLimited: _rate_limited,
    ServerFailed: _server_failed,
    AuthRefused: _auth_refused,
    Refused: _refused,
    Blocked: _blocked,
    Probed: _probed,
    Rotated: _rotated,
    SessionPlaced: _session_placed,
    Held: _held,
    Released: _released,
}
