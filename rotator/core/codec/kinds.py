"""Kinds: how each plain value of a runtime is read and written, and the tables of keys that have one.

Refuses: which part of a runtime a table belongs to, and what it means. A wrong type or range is Refused.
"""

from __future__ import annotations

from datetime import datetime

from rotator.core.codec.scan import Refused
from rotator.core.instants import parse, rfc3339, tidy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from rotator.core.value import Value


_LARGEST = 2**63
_LATEST = tidy(_LARGEST)
_REV_MAX = 2**62
_read: dict[str, float] = {}
"""Times as they were last read: what was learned together stands several times."""
_READ_MAX = 4096
_RFC3339_Z = 20
"""Characters of the shortest time in UTC, which is how nearly all of them are written."""


def as_object(value: Any) -> dict[str, Any]:
    """A JSON object."""
    if type(value) is not dict:
        raise Refused
    return value


def as_list(value: Any) -> list[Any]:
    """A JSON array."""
    if type(value) is not list:
        raise Refused
    return value


def as_time(value: Any) -> float:
    """Epoch seconds of an RFC 3339 text or a number."""
    if type(value) is str and value[-1:] == "Z" and len(value) >= _RFC3339_Z:
        seconds = _read.get(value)
        if seconds is None:
            try:
                seconds = datetime.fromisoformat(value).timestamp()
            except ValueError:
                raise Refused from None
            seconds = seconds if 0.0 <= seconds <= _LATEST else tidy(seconds)
            if len(_read) >= _READ_MAX:
                _read.clear()
            _read[value] = seconds
        return seconds
    parsed = parse(value)
    if parsed is None:
        raise Refused
    return tidy(parsed)


def as_fraction(value: Any) -> float:
    """0..1, both ends included."""
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= 1:
        raise Refused
    return float(value)


def as_secs(value: Any) -> float:
    """Seconds, 0 and up."""
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= _LARGEST:
        raise Refused
    return float(value)


def as_whole(value: Any) -> int:
    """A whole number, 0 and up; 3.0 is one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise Refused
    return value


def as_rev(value: Any) -> int:
    """A whole number; one that no counting of writes could reach says nothing, or the next write could not be read."""
    rev = as_whole(value)
    return rev if rev < _REV_MAX else 0


def as_tokens(value: Any) -> int | None:
    """A number of tokens; 0 says nothing."""
    return as_whole(value) or None


def as_flag(value: Any) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise Refused
    return value


def as_text(value: Any) -> str:
    """A text."""
    if type(value) is not str:
        raise Refused
    return value


def as_word(value: Any) -> str | None:
    """A text; the empty one says nothing."""
    return as_text(value) or None


def number_json(value: float) -> float:
    """A whole number is written without its ``.0``, as a person would."""
    return int(value) if type(value) is float and value.is_integer() else value


def _same(value: Any) -> Any:
    return value


_KINDS: dict[Callable[[Any], Any], Callable[[Any], Any]] = {
    as_time: rfc3339,
    as_fraction: number_json,
    as_secs: number_json,
    as_whole: _same,
    as_rev: _same,
    as_tokens: _same,
    as_flag: _same,
    as_text: _same,
    as_word: _same,
}
"""How each kind of value is read, and how it is written."""

WINDOW = {
    "remaining_fraction": as_fraction,
    "reset_time": as_time,
    "length_secs": as_secs,
    "updated_at": as_time,
    "reset_updated_at": as_time,
    "spent_tokens": as_whole,
    "capacity_tokens": as_tokens,
    "kind": as_word,
    "measured_from": as_fraction,
    "measured_tokens": as_whole,
}
MODEL = {
    "held": as_flag,
    "held_until": as_time,
    "held_at": as_time,
    "released_at": as_time,
    "quota_left_at": as_time,
    "last_retry_delay_secs_raw": as_secs,
    "last_retry_delay_secs_client": as_secs,
    "consecutive_429": as_whole,
    "last_429_at": as_time,
    "last_success_at": as_time,
    "confidence": as_fraction,
    "updated_at": as_time,
    "request_tokens": as_secs,
    "refused_since": as_time,
}
RUNTIME = {
    "rev": as_rev,
    "last_active_at": as_time,
    "banned": as_flag,
    "restricted": as_flag,
    "auth_failed": as_flag,
    "blocked_reason": as_text,
    "blocked_at": as_time,
    "held": as_flag,
    "held_until": as_time,
    "held_at": as_time,
    "released_at": as_time,
    "consecutive_401": as_whole,
    "consecutive_403": as_whole,
    "consecutive_failures": as_whole,
    "last_failure_at": as_time,
    "quota_left_at": as_time,
    "seal": as_text,
    "sealed_over": as_text,
}
_KNOWN_AT_ZERO = frozenset(
    {"remaining_fraction", "measured_from", "confidence", "length_secs", "reset_time", "held_until"}
    | {"last_retry_delay_secs_raw", "last_retry_delay_secs_client"}
)
"""Keys of which nothing and 0 are two things."""
COOLDOWN = {"until": as_time, "at": as_time, "source": as_text}
FIRST_COOLDOWN = {"cooldown_until": as_time, "cooldown_at": as_time, "cooldown_source": as_text}
AVAILABILITY = {"ok": as_flag, "checked_at": as_time, "reason": as_text}
POLL = {"at": as_time, "failures": as_whole, "until": as_time}
SELECTION = {"from": as_word, "at": as_time, "reason": as_text, "shadow": as_word}


def known(table: Mapping[str, Callable[[Any], Any]], found: dict[str, Any]) -> dict[str, Any]:
    """The values of the keys that the table knows and that are not null, read by their kinds.

    ``held_until`` is a hold by itself, and none beside ``"held": false``, by which a person ends it.
    """
    values = {key: table[key](value) for key, value in found.items() if key in table and value is not None}
    if values.get("held") is False:
        values.pop("held_until", None)
    return values


def lay(table: Mapping[str, Callable[[Any], Any]], record: Value, into: dict[str, Any]) -> None:
    """Set what is known and drop what is not; 0 is known only of what is None when it is not."""
    for key, read in table.items():
        value = getattr(record, key)
        if value or (value == 0 and key in _KNOWN_AT_ZERO):
            into[key] = _KINDS[read](value)
        elif key in into:
            del into[key]
