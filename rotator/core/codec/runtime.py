"""The shape of one account's ``runtime`` in the document: decoded JSON to ``Runtime``.

Refuses: where it stands in the document, writing it (``rewrite``). It is all or nothing: a runtime with one wrong part
counts as missing. Unknown keys and nulls count as absent.
"""

from __future__ import annotations

from rotator.core.codec.kinds import (
    AVAILABILITY,
    COOLDOWN,
    FIRST_COOLDOWN,
    MODEL,
    POLL,
    RUNTIME,
    SELECTION,
    WINDOW,
    as_fraction,
    as_list,
    as_object,
    as_text,
    as_time,
    known,
)
from rotator.core.state import Availability, Cooldown, ModelState, Poll, Runtime, Selection, Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COOLDOWN_KEYS = frozenset(FIRST_COOLDOWN) | {"cooldowns"}


def _window(name: str, value: Any) -> Window:
    values = known(WINDOW, as_object(value))
    if values.get("reset_time") is None:
        values["reset_updated_at"] = 0.0
    values.setdefault("reset_updated_at", values.get("updated_at", 0.0))
    return Window(name, **values)


def _windows(found: dict[str, Any]) -> tuple[Window, ...]:
    value = found.get("windows")
    if value is None:
        return ()
    windows = as_object(value)
    return tuple([_window(name, windows[name]) for name in sorted(windows)])


def _cooldown(values: dict[str, Any], prefix: str) -> Cooldown | None:
    until = values.get(prefix + "until")
    if until is None:
        return None
    return Cooldown(until, values.get(prefix + "at", 0.0), values.get(prefix + "source") or "person")


def _cooldowns(found: dict[str, Any]) -> tuple[Cooldown, ...]:
    if _COOLDOWN_KEYS.isdisjoint(found):
        return ()
    more = found.get("cooldowns")
    others = [] if more is None else [_cooldown(known(COOLDOWN, as_object(each)), "") for each in as_list(more)]
    first = _cooldown(known(FIRST_COOLDOWN, found), "cooldown_")
    if first is None:
        return ()
    listed = [first, *[c for c in others if c is not None]]
    return tuple(sorted(listed, key=lambda c: (-c.until, c.at, c.source))) if others else (first,)


def _model(value: Any) -> ModelState:
    found = as_object(value)
    values = known(MODEL, found)
    windows = _windows(found)
    left, reset = found.get("remaining_fraction"), found.get("reset_time")
    left = None if left is None else as_fraction(left)
    reset = None if reset is None else as_time(reset)
    if left is not None and not windows:
        seen_at = values.get("updated_at", 0.0)
        windows = (Window("default", left, reset, None, seen_at, 0.0 if reset is None else seen_at),)
    return ModelState(windows, _cooldowns(found), **values)


def _poll(value: Any) -> Poll:
    seen = known(POLL, as_object(value))
    return Poll(seen.get("at", 0.0), seen.get("failures", 0), seen.get("until", 0.0))


def decode_runtime(value: Any) -> Runtime:
    """The runtime of decoded JSON; raises Refused when any part that rotator knows has a wrong type or range."""
    found = as_object(value)
    values = known(RUNTIME, found)
    if found.get("availability") is not None:
        seen = known(AVAILABILITY, as_object(found["availability"]))
        values["availability"] = Availability(
            seen.get("ok", False), seen.get("checked_at", 0.0), seen.get("reason", "")
        )
    if found.get("selected") is not None:
        seen = known(SELECTION, as_object(found["selected"]))
        values["selected"] = Selection(
            seen.get("from"), seen.get("at", 0.0), seen.get("reason", ""), seen.get("shadow")
        )
    if found.get("sessions") is not None:
        sessions = as_object(found["sessions"])
        values["sessions"] = {key: as_time(used) for key, used in sorted(sessions.items()) if used is not None}
    if found.get("polls") is not None:
        polls = as_object(found["polls"])
        values["polls"] = {
            endpoint: _poll(polls[endpoint]) for endpoint in sorted(polls) if polls[endpoint] is not None
        }
    if found.get("superseded") is not None:
        values["superseded"] = tuple([as_text(t) for t in as_list(found["superseded"]) if t is not None])
    if found.get("models") is not None:
        values["models"] = {model: _model(state) for model, state in as_object(found["models"]).items()}
    if "windows" in found:
        values["windows"] = _windows(found)
    values["cooldowns"] = _cooldowns(found)
    return Runtime(**values)
