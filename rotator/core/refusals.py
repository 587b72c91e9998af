"""Refusals: what each kind of refusal does to an account, as one rule each; ``transitions`` has their table.

Refuses: what ends a refusal (a success, a release: ``transitions``), how cooldowns join (``cooldowns``).
"""

from __future__ import annotations

from rotator.core.cooldowns import counted, excuses, joined, ladder
from rotator.core.instants import tidy
from rotator.core.state import UNKNOWN_MODEL, UPSTREAM, Cooldown, ModelState, Runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.signals import AuthRefused, Blocked, RateLimited, Refused, ServerFailed, Throttled

_AUTH_GROWTH = 1.7
_REFUSED_GROWTH = 4
_REFUSED_IN_A_ROW = 3


def with_model(runtime: Runtime, model: str, state: ModelState, **changes: Any) -> Runtime:
    """The runtime with another state of a model, and other changes."""
    models = dict(runtime.models)
    models[model] = state
    return runtime.replace(models=models, **changes)


def _ended(runtime: Runtime, state: ModelState | None = None) -> float:
    """The latest end of refusals of the model, or else of the account: what was learned by then is over."""
    success_at = runtime.last_success_at() if state is None else max(state.last_success_at, state.released_at)
    return max(success_at, runtime.released_at)


def _cooled(
    runtime: Runtime,
    model: str | None,
    cooldown: Cooldown,
    policy: Policy,
    state: ModelState | None = None,
    **changes: Any,
) -> Runtime:
    """The runtime with a cooldown at the scope of ``model``; ``state`` is the model's state if that changed too."""
    if model is None:
        changes["cooldowns"] = joined(runtime.cooldowns, cooldown, _ended(runtime), runtime.quota_left_at, policy)
        return runtime.replace(**changes)
    state = state or runtime.models.get(model, UNKNOWN_MODEL)
    cooldowns = joined(state.cooldowns, cooldown, _ended(runtime, state), state.quota_left_at, policy)
    return with_model(runtime, model, state.replace(cooldowns=cooldowns), **changes)


def _excused(states: Iterable[ModelState], cooldown: Cooldown, policy: Policy) -> bool:
    """Whether a shared back-off that was heard of before already stands for it."""
    return any(excuses(shared, cooldown, policy) for state in states for shared in state.cooldowns)


def _refused_since(state: ModelState, at: float) -> float:
    """When the present row of refusals began, with one at ``at``."""
    if at <= state.last_success_at:
        return state.refused_since
    return min(state.refused_since, at) if state.refused_since else at


def rate_limited(runtime: Runtime, news: RateLimited, policy: Policy) -> Runtime:
    """A 429: a cooldown as long as the provider said, else a step of the ladder."""
    at = tidy(news.at)
    state = runtime.models.get(news.model, UNKNOWN_MODEL)
    delay, source = news.retry_delay_secs, news.source or "retry-after"
    count = counted(state.consecutive_429, at, _ended(runtime, state), runtime.cooldowns, state.cooldowns)
    changes = {"last_429_at": max(at, state.last_429_at), "refused_since": _refused_since(state, at)}
    if delay is not None and source != "default" and at >= state.last_429_at:
        changes["last_retry_delay_secs_raw"] = delay
        changes["last_retry_delay_secs_client"] = min(delay, policy.client_delay_max)
    if delay is None:
        source = "default"
        delay = ladder(policy.default_cooldown, 2, count, policy.default_cooldown_max)
        if count >= policy.quarantine_after:
            delay = policy.quarantine
    cooldown = Cooldown(tidy(at + max(delay, policy.retry_delay_min)), at, source)
    if _excused(runtime.models.values() if news.account_wide else (state,), cooldown, policy):
        return with_model(runtime, news.model, state.replace(**changes))
    state = state.replace(consecutive_429=count, **changes)
    if not news.account_wide:
        return _cooled(runtime, news.model, cooldown, policy, state)
    return _cooled(with_model(runtime, news.model, state), None, cooldown, policy)


def server_failed(runtime: Runtime, news: ServerFailed, policy: Policy) -> Runtime:
    """A 5xx: a short pause of the model. An overload counts as a 429 of it for when that was last heard."""
    at = tidy(news.at)
    state = runtime.models.get(news.model, UNKNOWN_MODEL)
    count = counted(runtime.consecutive_failures, at, _ended(runtime), state.cooldowns)
    delay, source = news.retry_delay_secs, "retry-after"
    if delay is None:
        delay, source = ladder(policy.server_cooldown, 2, count, policy.server_cooldown_max), "default"
    cooldown = Cooldown(tidy(at + max(delay, policy.retry_delay_min)), at, source)
    if _excused((state,), cooldown, policy):
        count = runtime.consecutive_failures
    if news.overloaded:
        state = state.replace(last_429_at=max(at, state.last_429_at), refused_since=_refused_since(state, at))
    failed_at = max(at, runtime.last_failure_at)
    return _cooled(runtime, news.model, cooldown, policy, state, consecutive_failures=count, last_failure_at=failed_at)


def auth_refused(runtime: Runtime, news: AuthRefused, policy: Policy) -> Runtime:
    """A 401: a growing pause; the hard state when it is final, or after many in a row."""
    at = tidy(news.at)
    if at < _ended(runtime):
        return runtime
    count = counted(runtime.consecutive_401, at, 0.0, runtime.cooldowns)
    delay = ladder(policy.auth_cooldown, _AUTH_GROWTH, count, policy.auth_cooldown_max)
    changes: dict[str, Any] = {"consecutive_401": count, "last_failure_at": max(at, runtime.last_failure_at)}
    if news.final or count >= policy.auth_failed_after:
        changes |= {"auth_failed": True, **_because(runtime, news.reason, at)}
    return _cooled(runtime, None, Cooldown(tidy(at + delay), at, "default"), policy, **changes)


def refused(runtime: Runtime, news: Refused, policy: Policy) -> Runtime:
    """A 403 that is not recognised: a pause that grows fast; of the whole account, the third is the hard state."""
    at = tidy(news.at)
    if news.model is not None:
        state = runtime.models.get(news.model, UNKNOWN_MODEL)
        count = counted(state.consecutive_429, at, _ended(runtime, state), state.cooldowns)
        delay = ladder(policy.refused_cooldown, _REFUSED_GROWTH, count, policy.quarantine)
        failed_at = max(at, runtime.last_failure_at)
        state = state.replace(consecutive_429=count)
        cooldown = Cooldown(tidy(at + delay), at, "default")
        return _cooled(runtime, news.model, cooldown, policy, state, last_failure_at=failed_at)
    if at < _ended(runtime):
        return runtime
    count = counted(runtime.consecutive_403, at, 0.0, runtime.cooldowns)
    delay = ladder(policy.refused_cooldown, _REFUSED_GROWTH, count, policy.quarantine)
    changes: dict[str, Any] = {"consecutive_403": count, "last_failure_at": max(at, runtime.last_failure_at)}
    if count >= _REFUSED_IN_A_ROW:
        changes |= {"restricted": True, **_because(runtime, news.reason, at)}
    return _cooled(runtime, None, Cooldown(tidy(at + delay), at, "default"), policy, **changes)


def _because(runtime: Runtime, reason: str, at: float) -> dict[str, Any]:
    return {"blocked_reason": reason, "blocked_at": at} if at >= runtime.blocked_at else {}


def blocked(runtime: Runtime, news: Blocked, _policy: Policy) -> Runtime:
    """A hard state."""
    at = tidy(news.at)
    if at < _ended(runtime):
        return runtime
    return runtime.replace(**{news.state: True}, **_because(runtime, news.reason, at))


def throttled(runtime: Runtime, news: Throttled, policy: Policy) -> Runtime:
    """The shared back-off stands for what the account was refused just before, and that counts no more.

    It is the model's; of account-wide cooldowns it takes away those that refusals of requests set.
    """
    at, state = tidy(news.at), runtime.models.get(news.model, UNKNOWN_MODEL)
    shared = Cooldown(max(tidy(news.until), at), at, UPSTREAM)
    charged = [c for c in state.cooldowns if excuses(shared, c, policy)]
    wide = [
        c
        for c in runtime.cooldowns
        if excuses(shared, c, policy) and (c.source != "default" or c.at == state.last_429_at)
    ]
    if wide:
        runtime = runtime.replace(cooldowns=tuple([c for c in runtime.cooldowns if c not in wide]))
    if at < _ended(runtime, state):
        return runtime
    instants = [c.at for c in (*charged, *wide)]
    if runtime.last_failure_at in instants:
        runtime = runtime.replace(consecutive_failures=max(runtime.consecutive_failures - 1, 0))
    if any(instant != runtime.last_failure_at for instant in instants):
        state = state.replace(consecutive_429=max(state.consecutive_429 - 1, 0))
    return _cooled(runtime, news.model, shared, policy, state)
