"""Where ChatGPT's Codex shows its quota windows: headers, events, the usage endpoint, the app server, session files.

Refuses: naming a window by its slot while its length is known; trusting the size of a number for its scale, which is
per cent used everywhere. Sources: openai/codex codex-rs rate_limits.rs, captures of 2025 and 2026.
"""

from __future__ import annotations

import re

from rotator.core.providers import times
from rotator.core.providers.bodies import word
from rotator.core.providers.reading import WindowReading, keep_tightest, unused
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from rotator.core.providers.response import Response

SLOTS = ("primary", "secondary", "tertiary")
SHARED = "codex"
"""The id of the limit that all models of the account share."""

_PREFIX = "x-codex-"
_FIELD = re.compile(
    r"(?:(.+)-)?(primary|secondary|tertiary)-(used-percent|window-minutes|reset-after-seconds|reset-at)", re.ASCII
)
_NAME = re.compile(r"[\w. +-]{1,60}", re.ASCII)
_ALIASES = {
    "used": ("used-percent", "used_percent", "usedPercent"),
    "minutes": ("window-minutes", "window_minutes", "windowDurationMins"),
    "secs": ("limit_window_seconds",),
    "at": ("reset-at", "reset_at", "resets_at", "resetsAt"),
    "after": ("reset-after-seconds", "reset_after_seconds", "resets_in_seconds"),
}
_ROUNDING_MINUTES = 3
"""Windows of 299 and 10079 minutes were sent; codex-rs forgives as much when it names them."""

_HOUR, _DAY = 60, 1_440
_MONTH_FROM_DAYS = 28
"""Windows of months are not whole days: 2628000 s was sent, a twelfth of a year."""


class Shown(Value):
    """The windows of one response. ``blocked``: it says that a limit is reached. ``limit``: the limit that it is about.

    ``limit`` is the shared one, else a model's own (``codex_bengalfox``).
    """

    windows: tuple[WindowReading, ...]
    blocked: bool = False
    limit: str = SHARED


def of_headers(headers: Mapping[str, str], now: datetime) -> Shown:
    """Every ``x-codex-[<limit>-]{primary,secondary}-<field>``.

    The fields without a limit are those of ``x-codex-active-limit``: when that names a model's own limit they say
    nothing about the account's. ``premium`` and other plain words are the shared one.
    """
    by_limit: dict[str, dict[str, dict[str, object]]] = {}
    active = headers.get(_PREFIX + "active-limit", "").lower()
    limit = active if active.startswith(SHARED + "_") else SHARED
    for key, value in headers.items():
        match = _FIELD.fullmatch(key.removeprefix(_PREFIX)) if key.startswith(_PREFIX) else None
        if match:
            own = f"{SHARED}_{match[1].replace('-', '_')}" if match[1] else limit
            by_limit.setdefault(own, {}).setdefault(match[2], {}).setdefault(match[3], value)
    found: dict[str, WindowReading] = {}
    for own, slots in by_limit.items():
        label = headers.get(f"{_PREFIX}{own.removeprefix(SHARED + '_').replace('_', '-')}-limit-name", "")
        _gather(found, slots, own, label, now)
    return Shown(tuple(found.values()), limit=limit)


def of_body(response: Response) -> Shown:
    """The windows of the usage endpoint, the app server, a session file's event or a WebSocket event.

    Of several events the later one counts; ``rate_limits: null`` erases nothing. A null window does not exist.
    """
    found: dict[str, WindowReading] = {}
    blocked = False
    for document in response.body.documents:
        if not isinstance(document, dict):
            continue
        for limits, own, label in _limits(document):
            told: dict[str, WindowReading] = {}
            _gather(told, limits, own, label, response.now)
            found.update(told)
            blocked = blocked or (own == SHARED and _reached(limits))
        blocked = blocked or bool(word(document.get("rate_limit_reached_type")))
    return Shown(tuple(found.values()), blocked)


def _limits(document: dict[str, object]) -> Iterator[tuple[dict[str, object], str, str]]:
    """Each set of two slots, with the id of its limit and the name that people know it by."""
    held = document
    for outer in ("payload", "result", "params"):
        inner = document.get(outer)
        if isinstance(inner, dict):
            held = inner
    for key in ("rate_limit", "rate_limits", "rateLimits"):
        limits = held.get(key)
        if isinstance(limits, dict):
            yield limits, _id(limits) or SHARED, _label(limits)
    by_id = held.get("rateLimitsByLimitId")
    for own, limits in by_id.items() if isinstance(by_id, dict) else ():
        if isinstance(limits, dict) and word(own) and own != SHARED:
            yield limits, word(own), _label(limits)
    more = held.get("additional_rate_limits")
    for extra in more if isinstance(more, list) else ():
        limits = extra.get("rate_limit") if isinstance(extra, dict) else None
        if isinstance(limits, dict):
            label = _label(extra)
            yield limits, word(extra.get("metered_feature")) or label or "additional", label


def _id(limits: dict[str, object]) -> str:
    return word(limits.get("limit_id")) or word(limits.get("limitId"))


def _label(limits: dict[str, object]) -> str:
    return word(limits.get("limit_name")) or word(limits.get("limitName"))


def _reached(limits: dict[str, object]) -> bool:
    return (
        limits.get("allowed") is False
        or limits.get("limit_reached") is True
        or bool(word(limits.get("rate_limit_reached_type")) or word(limits.get("rateLimitReachedType")))
    )


def _gather(found: dict[str, WindowReading], slots: Mapping[str, object], own: str, label: str, now: datetime) -> None:
    """Puts the windows of one limit into ``found``; of two with one name the one with less left is kept."""
    for slot in SLOTS:
        fields = slots.get(slot, slots.get(f"{slot}_window"))
        shown = _window(slot, fields, own, label, now) if isinstance(fields, dict) else None
        if shown is not None:
            keep_tightest(found, shown)


def _window(slot: str, fields: Mapping[str, object], own: str, label: str, now: datetime) -> WindowReading | None:
    """One slot; None when it is unused (a length of 0) or its length or use is no number."""
    told = {part: next((fields[key] for key in keys if key in fields), None) for part, keys in _ALIASES.items()}
    minutes, secs, used = (times.number(told[part]) for part in ("minutes", "secs", "used"))
    if any(told[part] is not None and number is None for part, number in (("minutes", minutes), ("used", used))):
        return None
    if minutes is None and secs is not None:
        minutes = secs / 60
    if minutes is not None and not 0 < minutes <= times.FARTHEST.total_seconds() / 60:
        return None
    reset = times.instant(told["at"], now) or times.after(now, times.delay(times.number(told["after"])))
    if used is None and reset is None:
        return None
    name, length = _named(slot, minutes)
    left = unused(used / 100) if used is not None else None
    if own == SHARED:
        return WindowReading(name, left, reset, length)
    known = _NAME.fullmatch(label) is not None
    shown = label if known else own.removeprefix(SHARED + "_")
    glob = "*" + "-".join(label.lower().split()) + "*" if known else None
    return WindowReading(f"{shown}:{name}", left, reset, length, glob, informative=not known)


def _named(slot: str, minutes: float | None) -> tuple[str, float | None]:
    """300 -> ``5h``, 10080 -> ``7d``, 43200 and 43800 -> ``30d``; the slot's name while the length is not told."""
    if minutes is None:
        return slot, None
    whole = round(minutes)
    for unit in (_DAY, _HOUR):
        nearest = round(whole / unit) * unit
        if nearest and abs(nearest - whole) <= _ROUNDING_MINUTES:
            whole = nearest
            break
    whole = max(whole, 1)
    if whole >= _MONTH_FROM_DAYS * _DAY:
        return f"{round(whole / _DAY)}d", whole * 60.0
    if whole % _DAY == 0 and whole > _DAY:
        return f"{whole // _DAY}d", whole * 60.0
    return (f"{whole // _HOUR}h" if whole % _HOUR == 0 else f"{whole}m"), whole * 60.0
