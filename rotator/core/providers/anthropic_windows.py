"""Where Anthropic shows its quota windows: unified headers, per-minute headers, the usage endpoint.

Refuses: deciding the kind of a response; trusting the size of a number for its scale. Headers say the fraction used,
the endpoint says per cent used: ``1.0`` is everything in a header and one per cent in the endpoint.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from rotator.core.providers import counted, times
from rotator.core.providers.reading import WindowReading, unused
from rotator.core.providers.response import TOO_MANY_REQUESTS
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from rotator.core.providers.response import Response

PREFIX = "anthropic-ratelimit-"
UNIFIED = PREFIX + "unified-"

SPENT = frozenset({"rejected", "rate_limited", "blocked", "queueing_hard"})
"""Unified states that refuse; the last three were never captured, but peers handle them. ``allowed_warning`` serves."""

_SERVES = frozenset({"allowed", "allowed_warning"})

ACCOUNT_WINDOWS = frozenset({"5h", "7d"})

_FIVE_HOURS, _SEVEN_DAYS, _MINUTE = 18_000.0, 604_800.0, 60.0
_UNIFIED_FIELD = re.compile(r"(.+)-(status|utilization|reset)")
_MINUTE_FIELD = re.compile(r"(.+)-(limit|remaining|reset)")
_SPOKEN = {"five_hour": "5h", "seven_day": "7d"}
_FAMILY_NAMES = {"oi": "fable"}
"""Model families whose window is not named after them: ``7d_oi`` is Fable's week (Claude Code's own label)."""


class Unified(Value):
    """The unified headers of one response.

    ``status`` and ``claim`` are empty when absent; ``claim`` is a window name (``5h``). ``spent`` names the
    windows that the response calls rejected, else the claim's when the whole is rejected, else those that are empty.
    ``reset`` is the claim's.
    """

    status: str
    claim: str
    reset: datetime | None
    spent: frozenset[str]
    windows: tuple[WindowReading, ...]
    overage_disabled: str
    present: bool


def window_name(spoken: str) -> str:
    """``five_hour`` -> ``5h``, ``seven_day_opus`` -> ``7d_opus``, ``weekly`` -> ``7d``; any other name as it is.

    ``seven_day_overage_included`` is the header's ``7d_oi``. ``weekly`` and a hyphen before the family were never
    captured; both are accepted because other tools write them.
    """
    name = spoken.strip().lower()
    for word, short in (*_SPOKEN.items(), ("weekly", "7d")):
        if name == word or name.startswith((word + "_", word + "-")):
            name = short + name[len(word) :]
    if name.startswith(("5h-", "7d-")):
        name = name[:2] + "_" + name[3:]
    return name.replace("_overage_included", "_oi")


def unified(response: Response) -> Unified:
    """Every ``anthropic-ratelimit-unified-<window>-<field>``, new window names included.

    A window gets the overall reset only when the claim names it. A rejected window has nothing left, whatever its use.
    """
    fields = {key.removeprefix(UNIFIED): v for key, v in response.headers.items() if key.startswith(UNIFIED)}
    status = fields.get("status", "").lower()
    claim = window_name(fields.get("representative-claim", ""))
    reset = times.instant(fields.get("reset"), response.now)
    shown = _by_window(fields, _UNIFIED_FIELD, window_name)
    if claim and (status in SPENT or reset):
        own = shown.setdefault(claim, {})
        own.setdefault("reset", fields.get("reset", ""))
        if status in SPENT and own.get("status", "").lower() not in _SERVES:
            own["status"] = status
    paid = shown.get("overage", {})
    if not {"utilization", "reset"} & paid.keys() and claim != "overage":
        shown.pop("overage", None)  # a bare overage-status says whether the plan overflows into money, not a quota
    windows = tuple(_unified_window(name, own, claim, response) for name, own in shown.items())
    spent = frozenset(name for name, own in shown.items() if own.get("status", "").lower() in SPENT)
    if not spent and (status in SPENT or (not status and response.status == TOO_MANY_REQUESTS)):
        spent = frozenset({claim}) if claim and status else _emptied(windows, reset)
    disabled = fields.get("overage-disabled-reason", "").lower()
    return Unified(status, claim, reset, spent, windows, disabled, bool(fields))


def _emptied(windows: tuple[WindowReading, ...], reset: datetime | None) -> frozenset[str]:
    """Which windows a refusal means that names none: those with nothing left, else the one that ends with the overall reset."""
    plan = [window for window in windows if window.name != "overage"]
    empty = [window.name for window in plan if window.remaining_fraction == 0]
    return frozenset(empty or [window.name for window in plan if reset and window.reset_time == reset])


def _by_window(
    fields: Mapping[str, str], pattern: re.Pattern[str], named: Callable[[str], str]
) -> dict[str, dict[str, str]]:
    shown: dict[str, dict[str, str]] = {}
    for key, value in fields.items():
        match = pattern.fullmatch(key)
        if match:
            shown.setdefault(named(match[1]), {}).setdefault(match[2], value)
    return shown


def _unified_window(name: str, own: Mapping[str, str], claim: str, response: Response) -> WindowReading:
    spent = own.get("status", "").lower() in SPENT
    binding = spent or name == claim
    return WindowReading(
        name,
        0.0 if spent else unused(times.number(own.get("utilization"))),
        times.instant(own.get("reset"), response.now),
        _length(name),
        _family(name, response.model if binding else None),
        informative=not (name in ACCOUNT_WINDOWS or _is_named_family(name) or (binding and is_family(name))),
    )


def is_family(name: str) -> bool:
    """Whether a window covers one model family only (``7d_opus``)."""
    return name.startswith(("5h_", "7d_"))


def _is_named_family(name: str) -> bool:
    return name in ("7d_opus", "7d_sonnet")


def _length(name: str) -> float | None:
    if name.startswith("5h"):
        return _FIVE_HOURS
    return _SEVEN_DAYS if name.startswith("7d") else None


def _family(name: str, refused: str | None) -> str | None:
    """The glob of a window's models; when the model that was just refused lies outside of it, that model."""
    if not is_family(name):
        return None
    family = name[3:]
    glob = f"*{_FAMILY_NAMES.get(family, family)}*"
    return glob if refused is None or fnmatchcase(refused.lower(), glob) else refused


def per_minute(response: Response) -> tuple[WindowReading, ...]:
    """The API key's limits, ``anthropic-ratelimit-<name>-{limit,remaining,reset}``: per organisation and model.

    They refill over a minute. ``tokens`` repeats the tightest of the token limits, so it is informative.
    """
    fields = {
        key.removeprefix(PREFIX): value
        for key, value in response.headers.items()
        if key.startswith(PREFIX) and not key.startswith(UNIFIED)
    }
    return tuple(
        WindowReading(
            name,
            counted.share(times.number(own.get("remaining")), times.number(own.get("limit"))),
            times.instant(own.get("reset"), response.now),
            _MINUTE,
            response.model,
            informative=name == "tokens",
        )
        for name, own in _by_window(fields, _MINUTE_FIELD, lambda name: name.replace("-", "_")).items()
    )


def usage(response: Response) -> tuple[WindowReading, ...] | None:
    """The windows of ``GET /api/oauth/usage``; None when the body is not that endpoint's.

    ``limits`` repeats ``five_hour`` and ``seven_day`` and adds the weeks of single models as ``7d:Fable``, by display
    name because the id is null. ``extra_usage`` is money, not a window. A null window does not exist.
    """
    document = response.body.documents[0] if response.body.documents else None
    if not isinstance(document, dict):
        return None
    found: dict[str, WindowReading] = {}
    for key, own in document.items():
        name = window_name(key) if isinstance(key, str) and key != "extra_usage" else ""
        if name and isinstance(own, dict) and "utilization" in own and "resets_at" in own:
            used, known = (own["utilization"], name in ACCOUNT_WINDOWS or _is_named_family(name))
            found[name] = _used_window(name, used, own["resets_at"], response, _family(name, None), known=known)
    limits = document.get("limits")
    for limit in limits if isinstance(limits, list) else ():
        window = _limit(limit, response) if isinstance(limit, dict) else None
        if window:
            found.setdefault(window.name, window)
    expected = isinstance(limits, list) or "five_hour" in document or "seven_day" in document
    return tuple(found.values()) if expected else None


def _limit(limit: dict[str, object], response: Response) -> WindowReading | None:
    kind, used, reset = limit.get("kind"), limit.get("percent"), limit.get("resets_at")
    if kind in ("session", "weekly_all"):
        name = "5h" if kind == "session" else "7d"
        return _used_window(name, used, reset, response, None, known=True)
    scope = limit.get("scope")
    model = scope.get("model") if isinstance(scope, dict) else None
    label = (model.get("display_name") or model.get("id")) if isinstance(model, dict) else None
    if kind != "weekly_scoped" or not isinstance(label, str) or not label.strip():
        return None
    glob = "*" + "-".join(label.lower().split()) + "*"
    return _used_window(f"7d:{label.strip()}", used, reset, response, glob, known=True)


def _used_window(
    name: str, percent: object, reset: object, response: Response, model: str | None, *, known: bool
) -> WindowReading:
    used = times.number(percent) if not isinstance(percent, str) else None
    left = unused(used / 100) if used is not None else None
    return WindowReading(name, left, times.instant(reset, response.now), _length(name), model, informative=not known)
