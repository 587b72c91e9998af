"""The shape of one account's ``runtime`` in the document: decoded JSON to ``Runtime`` and back over what was there.

Refuses: where it stands in the document. Decoding is all or nothing: a runtime with one wrong part counts as missing.
Unknown keys survive, in their place; a null counts as absent. Each plain key stands once, in a table, with its kind.
"""

from __future__ import annotations

from datetime import datetime

from rotator.core.codec.scan import Refused
from rotator.core.instants import parse, rfc3339, tidy
from rotator.core.state import NEVER, Availability, Cooldown, ModelState, Runtime, Selection, Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.state import Account
    from rotator.core.value import Value

_LARGEST = 2**63
_LATEST = tidy(_LARGEST)
_RFC3339_Z = 20
"""Characters of the shortest time in UTC, which is how nearly all of them are written."""


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Refused
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Refused
    return value


def _time(value: Any) -> float:
    if type(value) is str and value[-1:] == "Z" and len(value) >= _RFC3339_Z:
        try:
            seconds = datetime.fromisoformat(value).timestamp()
        except ValueError:
            raise Refused from None
        return seconds if 0.0 <= seconds <= _LATEST else tidy(seconds)
    parsed = parse(value)
    if parsed is None:
        raise Refused
    return tidy(parsed)


def _fraction(value: Any) -> float:
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= 1:
        raise Refused
    return float(value)


def _secs(value: Any) -> float:
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= _LARGEST:
        raise Refused
    return float(value)


def _whole(value: Any) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise Refused
    return value


def _tokens(value: Any) -> int | None:
    return _whole(value) or None


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise Refused
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Refused
    return value


def _word(value: Any) -> str | None:
    return _text(value) or None


def _number(value: float) -> float:
    """A whole number is written without its ``.0``, as a person would."""
    return int(value) if type(value) is float and value.is_integer() else value


def _same(value: Any) -> Any:
    return value


_KINDS: dict[Callable[[Any], Any], Callable[[Any], Any]] = {
    _time: rfc3339,
    _fraction: _number,
    _secs: _number,
    _whole: _same,
    _tokens: _same,
    _flag: _same,
    _text: _same,
    _word: _same,
}
"""How each kind of value is read, and how it is written."""

_WINDOW = {
    "remaining_fraction": _fraction,
    "reset_time": _time,
    "length_secs": _secs,
    "updated_at": _time,
    "reset_updated_at": _time,
    "spent_tokens": _whole,
    "capacity_tokens": _tokens,
    "kind": _word,
}
_MODEL = {
    "held": _flag,
    "held_until": _time,
    "held_at": _time,
    "released_at": _time,
    "quota_left_at": _time,
    "last_retry_delay_secs_raw": _secs,
    "last_retry_delay_secs_client": _secs,
    "consecutive_429": _whole,
    "last_429_at": _time,
    "last_success_at": _time,
    "confidence": _fraction,
    "updated_at": _time,
}
_RUNTIME = {
    "rev": _whole,
    "last_active_at": _time,
    "banned": _flag,
    "restricted": _flag,
    "auth_failed": _flag,
    "blocked_reason": _text,
    "blocked_at": _time,
    "held": _flag,
    "held_until": _time,
    "held_at": _time,
    "released_at": _time,
    "consecutive_401": _whole,
    "consecutive_403": _whole,
    "consecutive_failures": _whole,
    "last_failure_at": _time,
    "quota_left_at": _time,
}
_KNOWN_AT_ZERO = frozenset(
    {"remaining_fraction", "confidence", "length_secs", "reset_time", "held_until"}
    | {"last_retry_delay_secs_raw", "last_retry_delay_secs_client"}
)
"""Keys of which nothing and 0 are two things."""
_COOLDOWN = {"until": _time, "at": _time, "source": _text}
_FIRST_COOLDOWN = {"cooldown_until": _time, "cooldown_at": _time, "cooldown_source": _text}
_AVAILABILITY = {"ok": _flag, "checked_at": _time, "reason": _text}
_SELECTION = {"from": _word, "at": _time, "reason": _text, "shadow": _word}


def _known(table: Mapping[str, Callable[[Any], Any]], found: dict[str, Any]) -> dict[str, Any]:
    """The values of the keys that the table knows and that are not null, read by their kinds."""
    values: dict[str, Any] = {}
    for key, value in found.items():
        if value is not None and key in table:
            values[key] = table[key](value)
    return values


def _window(name: str, value: Any) -> Window:
    values = _known(_WINDOW, _object(value))
    if values.get("reset_time") is None:
        values["reset_updated_at"] = 0.0
    values.setdefault("reset_updated_at", values.get("updated_at", 0.0))
    return Window(name, **values)


def _windows(found: dict[str, Any]) -> tuple[Window, ...]:
    value = found.get("windows")
    if value is None:
        return ()
    windows = _object(value)
    return tuple([_window(name, windows[name]) for name in sorted(windows)])


def _cooldown(values: dict[str, Any], prefix: str) -> Cooldown | None:
    until = values.get(prefix + "until")
    if until is None:
        return None
    return Cooldown(until, values.get(prefix + "at", 0.0), values.get(prefix + "source") or "person")


def _cooldowns(found: dict[str, Any]) -> tuple[Cooldown, ...]:
    more = found.get("cooldowns")
    others = [] if more is None else [_cooldown(_known(_COOLDOWN, _object(each)), "") for each in _list(more)]
    first = _cooldown(_known(_FIRST_COOLDOWN, found), "cooldown_")
    if first is None:
        return ()
    listed = [first, *[c for c in others if c is not None]]
    return tuple(sorted(listed, key=lambda c: (-c.until, c.at, c.source))) if others else (first,)


def _model(value: Any) -> ModelState:
    found = _object(value)
    values = _known(_MODEL, found)
    windows = _windows(found)
    left, reset = found.get("remaining_fraction"), found.get("reset_time")
    left = None if left is None else _fraction(left)
    reset = None if reset is None else _time(reset)
    if left is not None and not windows:
        seen_at = values.get("updated_at", 0.0)
        windows = (Window("default", left, reset, None, seen_at, 0.0 if reset is None else seen_at),)
    return ModelState(windows, _cooldowns(found), **values)


def decode_runtime(value: Any) -> Runtime:
    """The runtime of decoded JSON; raises Refused when any part that rotator knows has a wrong type or range."""
    found = _object(value)
    values = _known(_RUNTIME, found)
    if found.get("availability") is not None:
        seen = _known(_AVAILABILITY, _object(found["availability"]))
        values["availability"] = Availability(
            seen.get("ok", False), seen.get("checked_at", 0.0), seen.get("reason", "")
        )
    if found.get("selected") is not None:
        seen = _known(_SELECTION, _object(found["selected"]))
        values["selected"] = Selection(
            seen.get("from"), seen.get("at", 0.0), seen.get("reason", ""), seen.get("shadow")
        )
    if found.get("sessions") is not None:
        sessions = _object(found["sessions"])
        values["sessions"] = {key: _time(used) for key, used in sorted(sessions.items()) if used is not None}
    if found.get("models") is not None:
        values["models"] = {model: _model(state) for model, state in _object(found["models"]).items()}
    if "windows" in found:
        values["windows"] = _windows(found)
    if "cooldown_until" in found or "cooldowns" in found:
        values["cooldowns"] = _cooldowns(found)
    elif "cooldown_at" in found or "cooldown_source" in found:
        _cooldowns(found)
    return Runtime(**values)


def _lay(table: Mapping[str, Callable[[Any], Any]], record: Value, into: dict[str, Any]) -> None:
    """Set what is known and drop what is not; 0 is known only of what is None when it is not."""
    for key, read in table.items():
        value = getattr(record, key)
        if value or (value == 0 and key in _KNOWN_AT_ZERO):
            into[key] = _KINDS[read](value)
        elif key in into:
            del into[key]


def _over(old: Any) -> dict[str, Any]:
    return dict(old) if type(old) is dict else {}


def _put(into: dict[str, Any], key: str, value: Any) -> None:
    if value:
        into[key] = value
    else:
        into.pop(key, None)


def _window_json(window: Window, old: Any) -> dict[str, Any]:
    into = _over(old)
    _lay(_WINDOW, window, into)
    if window.reset_time is None or window.reset_updated_at == window.updated_at:
        into.pop("reset_updated_at", None)
    else:
        into["reset_updated_at"] = rfc3339(window.reset_updated_at)
    return into


def _put_windows(into: dict[str, Any], windows: tuple[Window, ...], held: tuple[Window, ...]) -> None:
    if windows is not held and (windows or "windows" in into):
        old = _over(into.get("windows"))
        _put(into, "windows", {w.name: _window_json(w, old.get(w.name)) for w in windows})


def _put_cooldowns(into: dict[str, Any], cooldowns: tuple[Cooldown, ...]) -> None:
    if not cooldowns:
        for key in (*_FIRST_COOLDOWN, "cooldowns"):
            into.pop(key, None)
        return
    first = cooldowns[0]
    into["cooldown_until"] = rfc3339(first.until)
    _put(into, "cooldown_at", rfc3339(first.at) if first.at else None)
    into["cooldown_source"] = first.source
    more = [{"until": rfc3339(c.until), "at": rfc3339(c.at), "source": c.source} for c in cooldowns[1:]]
    _put(into, "cooldowns", more)


def _model_json(state: ModelState, old: Any, held: ModelState | None) -> dict[str, Any]:
    into = _over(old)
    if state is held:
        return into
    binding = None
    for window in state.windows:
        left = window.remaining_fraction
        if left is not None and (binding is None or left < (binding.remaining_fraction or 0.0)):
            binding = window
    if binding is None:
        into.pop("remaining_fraction", None)
        into.pop("reset_time", None)
    else:
        into["remaining_fraction"] = _number(binding.remaining_fraction or 0.0)
        _put(into, "reset_time", rfc3339(binding.reset_time) if binding.reset_time else None)
    _put_windows(into, state.windows, held.windows if held is not None and "windows" in into else ())
    _put_cooldowns(into, state.cooldowns)
    _lay(_MODEL, state, into)
    return into


def encode_runtime(
    account: Account, policy: Policy, old: Any, held: Runtime, credential: str | None
) -> dict[str, Any]:
    """The runtime of an account as JSON over ``old``, the decoded JSON that was there, which stands for ``held``.

    Parts that are the same objects in both are taken over as they are; an ``old`` that is no object counts as nothing.

    ``credential`` is the fingerprint of the credential that a hard state was learned with, so that a new credential
    ends it even when no process was there to see the change; None when there is no hard state.
    """
    runtime = account.runtime
    into = {"rev": runtime.rev, **_over(old)}
    _lay(_RUNTIME, runtime, into)
    into["rev"] = runtime.rev
    _put(into, "blocked_credential", credential)
    _put_cooldowns(into, runtime.cooldowns)
    _put_windows(into, runtime.windows, held.windows)
    seen, selected = runtime.availability, runtime.selected
    _put(into, "availability", None if seen is None else _availability_json(seen, into.get("availability")))
    ready = account.next_ready_at(policy)
    into.pop("next_ready_at", None)
    if ready:
        into["next_ready_at"] = None if ready == NEVER else rfc3339(ready)
    _put(into, "selected", None if selected is None else _selection_json(selected, into.get("selected")))
    if runtime.sessions or "sessions" in into:
        _put(into, "sessions", {key: rfc3339(used) for key, used in runtime.sessions.items()})
    if runtime.models or "models" in into:
        was = _over(into.pop("models", None))
        knew = held.models
        models = {m: _model_json(state, was.get(m), knew.get(m)) for m, state in runtime.models.items()}
        _put(into, "models", models)
    return into


def _availability_json(seen: Availability, old: Any) -> dict[str, Any]:
    into = {**_over(old), "ok": seen.ok, "checked_at": rfc3339(seen.checked_at)}
    _put(into, "reason", seen.reason)
    return into


def _selection_json(selected: Selection, old: Any) -> dict[str, Any]:
    into = _over(old)
    _put(into, "from", selected.previous)
    into["at"] = rfc3339(selected.at)
    _put(into, "reason", selected.reason)
    _put(into, "shadow", selected.shadow)
    return into
