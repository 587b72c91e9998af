"""Ingesting: whether what a caller made are signals that can be taken in.

Refuses: taking them in, and bringing numbers within their ranges (``core.signals.bounded``).
"""

from __future__ import annotations

from rotator.core.signals import HARD_STATES, Blocked, Held, Probed, QuotaObserved, Refused, Released, Signal, Throttled
from rotator.core.state import Availability, Window
from rotator.errors import BadArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Kinds = tuple[tuple[type, ...], str]

_TEXT: Kinds = ((str,), "a text")
_TEXT_OR_NONE: Kinds = ((str, type(None)), "a text or None")
_NUMBER: Kinds = ((int, float), "a number")
_NUMBER_OR_NONE: Kinds = ((int, float, type(None)), "a number or None")
_INSTANT: Kinds = ((int, float), "epoch seconds, such as an aware datetime's timestamp()")
_INSTANT_OR_NONE: Kinds = ((int, float, type(None)), f"None or {_INSTANT[1]}")
_FLAG: Kinds = ((bool,), "true or false")

_FIELDS: dict[str, Kinds] = {
    "account": _TEXT,
    "model": _TEXT,
    "at": _INSTANT,
    "reason": _TEXT,
    "source": _TEXT,
    "state": _TEXT,
    "session": _TEXT,
    "endpoint": _TEXT,
    "token": _TEXT,
    "name": _TEXT,
    "tokens": _NUMBER,
    "confidence": _NUMBER,
    "retry_delay_secs": _NUMBER_OR_NONE,
    "until": _INSTANT_OR_NONE,
    "reset_time": _INSTANT_OR_NONE,
    "remaining_fraction": _NUMBER_OR_NONE,
    "length_secs": _NUMBER_OR_NONE,
    "kind": _TEXT_OR_NONE,
    "previous": _TEXT_OR_NONE,
    "shadow": _TEXT_OR_NONE,
    "account_wide": _FLAG,
    "with_refusal": _FLAG,
    "final": _FLAG,
    "ok": _FLAG,
    "exhausted": _FLAG,
    "overloaded": _FLAG,
    "availability": ((Availability,), "an Availability"),
    "windows": ((tuple,), "a tuple of Window"),
}
"""What is looked at of a signal, and of the values in it; a bool is no number."""
_MODEL_OR_NONE = (QuotaObserved, Refused, Held, Released)


def checked(signals: Iterable[Signal]) -> list[Signal]:
    """The signals as a list. Raises BadArgument for the first that is none, which says why and changes nothing."""
    listed = list(signals)
    for signal in listed:
        fault = _fault(signal)
        if fault is not None:
            message = f"{type(signal).__name__} cannot be taken in: {fault}"
            raise BadArgument(message)
    return listed


def _fault(signal: object) -> str | None:
    if not isinstance(signal, Signal):
        return "it is no class of rotator.core.signals"
    inner: tuple[object, ...] = ()
    fault = _fault_of_fields(signal)
    if fault is None and isinstance(signal, Blocked) and signal.state not in HARD_STATES:
        fault = f"state must be {' or '.join(HARD_STATES)}"
    elif fault is None and isinstance(signal, Probed):
        inner = (signal.availability.replace(checked_at=signal.at),)
    elif fault is None and isinstance(signal, QuotaObserved):
        inner = signal.windows
    for part in inner:
        fault = fault or _fault_of_fields(part)
    return fault


def _fault_of_fields(value: object) -> str | None:
    looked_at = _looked_at.get(type(value))
    if looked_at is None:
        if not isinstance(value, Signal | Window | Availability):
            return f"windows must be {_FIELDS['windows'][1]}"
        looked_at = _looked_at[type(value)] = _table(value)
    for field, kinds, words, instant in looked_at:
        found = getattr(value, field)
        if type(found) not in kinds and (type(found) is bool or not isinstance(found, kinds)):
            return f"{field} must be {words}"
        if instant and found != found:  # noqa: PLR0124  NaN
            return f"{field} must be {words}, not NaN"
    return None


_looked_at: dict[type, list[tuple[str, tuple[type, ...], str, bool]]] = {}
"""Of each class that was met: its fields that are looked at, their kinds in types and in words, and which are instants."""


def _table(value: Signal | Window | Availability) -> list[tuple[str, tuple[type, ...], str, bool]]:
    found: list[tuple[str, tuple[type, ...], str, bool]] = []
    for field in value.__match_args__:
        if field in _FIELDS:
            kinds, words = _FIELDS[field]
            if field == "until" and isinstance(value, Throttled):
                kinds, words = _INSTANT
            if field == "model" and isinstance(value, _MODEL_OR_NONE):
                kinds, words = _TEXT_OR_NONE
            found.append((field, kinds, words, words in (_INSTANT[1], _INSTANT_OR_NONE[1])))
    return found
