"""News: what a reading says about one account, as signals.

Refuses: reading responses (the families do), changing a pool. A reading without a scope says nothing about the account,
but for a refusal: whoever observes it says that it answered a request of the model, and then it is that model's.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from rotator.core.signals import AuthRefused, Blocked, QuotaObserved, RateLimited, Refused, ServerFailed, Succeeded
from rotator.core.state import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from rotator.core.providers.reading import Reading, WindowReading
    from rotator.core.signals import Signal

_REFUSALS = ("rate_limited", "quota_exhausted")


def signals_of(
    reading: Reading,
    *,
    account: str,
    model: str,
    at: float,
    known_models: Iterable[str] = (),
    tokens: int | None = None,
) -> tuple[Signal, ...]:
    """The facts of one response to a request of ``model`` by ``account`` at ``at`` (epoch seconds), in order.

    ``known_models`` are the models that a window of a model family is kept for besides the request's own. ``tokens``
    overrides what the body says was used. Raises nothing.
    """
    news: list[Signal] = list(_observed(reading, account, model, at, known_models))
    verdict = _verdict(reading, account, model, at, reading.tokens if tokens is None else tokens)
    return (*news, verdict) if verdict is not None else tuple(news)


def _observed(
    reading: Reading, account: str, model: str, at: float, known_models: Iterable[str]
) -> list[QuotaObserved]:
    by_model: dict[str | None, list[Window]] = {}
    for seen in reading.windows:
        if not seen.informative:
            for target in _targets(seen, reading, model, known_models):
                by_model.setdefault(target, []).append(_window(seen))
    refused = reading.kind != "ok"
    return [
        QuotaObserved(account, target, at, tuple(windows), with_refusal=refused) for target, windows in by_model.items()
    ]


def _targets(seen: WindowReading, reading: Reading, model: str, known_models: Iterable[str]) -> list[str | None]:
    """Which models a window limits: the whole account, the one it names, or those of its family that are known."""
    if seen.model is None:
        return [None]
    spent = seen.remaining_fraction is not None and seen.remaining_fraction <= 0
    decisive = reading.kind in _REFUSALS and reading.scope == "model" and spent
    if not any(character in seen.model for character in "*?["):
        return [model] if decisive else [seen.model]
    family = sorted({name for name in (model, *known_models) if fnmatchcase(name.lower(), seen.model.lower())})
    return [*family] if family or not decisive else [model]


def _window(seen: WindowReading) -> Window:
    reset = None if seen.reset_time is None else seen.reset_time.timestamp()
    return Window(seen.name, seen.remaining_fraction, reset, seen.length_secs)


def _verdict(reading: Reading, account: str, model: str, at: float, tokens: int | None) -> Signal | None:
    kind, scope, delay = reading.kind, reading.scope, reading.retry_after_secs
    if kind == "ok":
        return Succeeded(account, model, at, tokens or 0)
    if kind == "bad_request" or (scope is None and kind not in _REFUSALS):
        return None
    if kind in ("overloaded", "server_error") or scope == "upstream":
        return ServerFailed(account, model, at, delay, kind == "overloaded" or kind in _REFUSALS)
    wide = scope == "account"
    limited = RateLimited(
        account, model, at, delay, reading.retry_source or "retry-after", wide, kind == "quota_exhausted"
    )
    if kind in _REFUSALS:
        return limited
    if kind == "auth_failed":
        return AuthRefused(account, at, reading.reason or "credential refused", reading.final)
    if kind == "billing":
        if not wide:
            return Refused(account, model, at, reading.reason or "billing")
        return limited if delay is not None else Blocked(account, "restricted", at, reading.reason or "billing")
    if kind == "restricted" and not reading.reason:
        return Refused(account, None, at, "forbidden")
    return Blocked(account, kind, at, reading.reason or kind)
