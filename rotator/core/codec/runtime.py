"""The shape of one account's ``runtime`` in the document: decoded JSON to ``Runtime`` and back over what was there.

Refuses: where it stands in the document. Decoding is all or nothing: a runtime with one wrong part counts as missing.
Unknown keys survive, in their place; a null counts as absent.
"""

from __future__ import annotations

from rotator.core.codec.scan import Refused
from rotator.core.instants import parse, rfc3339
from rotator.core.state import (
    NEVER,
    Availability,
    Cooldown,
    ModelState,
    Runtime,
    Selection,
    Window,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.state import Account

_LARGEST = 2**63


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Refused
    return value


def _time(found: dict[str, Any], key: str) -> float | None:
    value = found.get(key)
    if value is None:
        return None
    seconds = parse(value)
    if seconds is None:
        raise Refused
    return seconds


def _fraction(found: dict[str, Any], key: str) -> float | None:
    value = found.get(key)
    if value is None:
        return None
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= 1:
        raise Refused
    return float(value)


def _secs(found: dict[str, Any], key: str) -> float | None:
    value = found.get(key)
    if value is None:
        return None
    if (type(value) is not float and type(value) is not int) or not 0 <= value <= _LARGEST:
        raise Refused
    return float(value)


def _whole(found: dict[str, Any], key: str) -> int:
    value = found.get(key)
    if value is None:
        return 0
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise Refused
    return value


def _flag(found: dict[str, Any], key: str) -> bool:
    value = found.get(key)
    if value is None:
        return False
    if type(value) is not bool:
        raise Refused
    return value


def _text(found: dict[str, Any], key: str) -> str | None:
    value = found.get(key)
    if value is not None and type(value) is not str:
        raise Refused
    return value


def _window(name: str, value: Any) -> Window:
    found = _object(value)
    updated_at = _time(found, "updated_at") or 0.0
    reset_seen = _time(found, "reset_updated_at")
    return Window(
        name,
        _fraction(found, "remaining_fraction"),
        _time(found, "reset_time"),
        _secs(found, "length_secs"),
        updated_at,
        updated_at if reset_seen is None else reset_seen,
        _whole(found, "spent_tokens"),
        _whole(found, "capacity_tokens") or None,
        _text(found, "kind"),
    )


def _windows(found: dict[str, Any]) -> tuple[Window, ...]:
    value = found.get("windows")
    if not value and (value is None or type(value) is dict):
        return ()
    windows = _object(value)
    return tuple([_window(name, windows[name]) for name in sorted(windows)])


def _cooldown(found: dict[str, Any], prefix: str) -> Cooldown | None:
    until, at = _time(found, prefix + "until"), _time(found, prefix + "at")
    source = _text(found, prefix + "source")
    return None if until is None else Cooldown(until, at or 0.0, source or "person")


def _cooldowns(found: dict[str, Any]) -> tuple[Cooldown, ...]:
    first = _cooldown(found, "cooldown_")
    more = found.get("cooldowns")
    if more is None:
        return () if first is None else (first,)
    if type(more) is not list:
        raise Refused
    others = [_cooldown(_object(each), "") for each in more]
    if first is None:
        return ()
    listed = [first, *[c for c in others if c is not None]]
    return tuple(sorted(listed, key=lambda c: (-c.until, c.at, c.source)))


def _model(value: Any) -> ModelState:
    found = _object(value)
    windows = _windows(found)
    updated_at = _time(found, "updated_at") or 0.0
    left, reset = _fraction(found, "remaining_fraction"), _time(found, "reset_time")
    if left is not None and not windows:
        windows = (Window("default", left, reset, None, updated_at, updated_at),)
    return ModelState(
        windows,
        _cooldowns(found),
        _time(found, "quota_left_at") or 0.0,
        _time(found, "released_at") or 0.0,
        _flag(found, "held"),
        _time(found, "held_until"),
        _time(found, "held_at") or 0.0,
        _secs(found, "last_retry_delay_secs_raw"),
        _secs(found, "last_retry_delay_secs_client"),
        _whole(found, "consecutive_429"),
        _time(found, "last_429_at") or 0.0,
        _time(found, "last_success_at") or 0.0,
        _fraction(found, "confidence"),
        updated_at,
    )


def _availability(found: dict[str, Any]) -> Availability | None:
    value = found.get("availability")
    if value is None:
        return None
    seen = _object(value)
    return Availability(_flag(seen, "ok"), _time(seen, "checked_at") or 0.0, _text(seen, "reason") or "")


def _selection(found: dict[str, Any]) -> Selection | None:
    value = found.get("selected")
    if value is None:
        return None
    seen = _object(value)
    return Selection(_text(seen, "from"), _time(seen, "at") or 0.0, _text(seen, "reason") or "", _text(seen, "shadow"))


def _sessions(found: dict[str, Any]) -> dict[str, float]:
    value = found.get("sessions")
    if value is None:
        return {}
    sessions = _object(value)
    return {key: _time(sessions, key) or 0.0 for key in sorted(sessions)}


def decode_runtime(value: Any) -> Runtime:
    """The runtime of decoded JSON; raises Refused when any part that rotator knows has a wrong type or range."""
    found = _object(value)
    models = found.get("models")
    return Runtime(
        _whole(found, "rev"),
        _time(found, "last_active_at") or 0.0,
        _flag(found, "banned"),
        _flag(found, "restricted"),
        _flag(found, "auth_failed"),
        _text(found, "blocked_reason") or "",
        _time(found, "blocked_at") or 0.0,
        _time(found, "released_at") or 0.0,
        _flag(found, "held"),
        _time(found, "held_until"),
        _time(found, "held_at") or 0.0,
        _whole(found, "consecutive_401"),
        _whole(found, "consecutive_403"),
        _whole(found, "consecutive_failures"),
        _time(found, "last_failure_at") or 0.0,
        _cooldowns(found),
        _time(found, "quota_left_at") or 0.0,
        _windows(found),
        _availability(found),
        _selection(found),
        _sessions(found),
        {} if models is None else {model: _model(state) for model, state in _object(models).items()},
    )


def _put(into: dict[str, Any], **values: Any) -> None:
    """Set what is known and drop what is not; a float is written as a whole number when it is one."""
    for key, value in values.items():
        name = "from" if key == "previous" else key
        if value is None or value is False or value in ("", 0):
            into.pop(name, None)
        else:
            into[name] = int(value) if type(value) is float and value.is_integer() else value


def _at(seconds: float | None) -> str | None:
    return rfc3339(seconds) if seconds else None


def _over(old: Any) -> dict[str, Any]:
    return dict(old) if type(old) is dict else {}


def _put_nested(into: dict[str, Any], key: str, value: dict[str, Any]) -> None:
    if value:
        into[key] = value
    else:
        into.pop(key, None)


def _window_json(window: Window, old: Any) -> dict[str, Any]:
    into = _over(old)
    reset_seen = window.reset_updated_at
    _put(
        into,
        reset_time=_at(window.reset_time),
        length_secs=window.length_secs,
        updated_at=_at(window.updated_at),
        reset_updated_at=_at(reset_seen) if reset_seen != window.updated_at else None,
        spent_tokens=window.spent_tokens,
        capacity_tokens=window.capacity_tokens,
        kind=window.kind,
    )
    into.pop("remaining_fraction", None)
    return into if window.remaining_fraction is None else {"remaining_fraction": window.remaining_fraction, **into}


def _put_windows(into: dict[str, Any], windows: tuple[Window, ...]) -> None:
    old = _over(into.get("windows"))
    _put_nested(into, "windows", {w.name: _window_json(w, old.get(w.name)) for w in windows})


def _put_cooldowns(into: dict[str, Any], cooldowns: tuple[Cooldown, ...]) -> None:
    first = cooldowns[0] if cooldowns else None
    _put(
        into,
        cooldown_until=_at(first.until) if first else None,
        cooldown_at=_at(first.at) if first else None,
        cooldown_source=first.source if first else None,
    )
    more = [{"until": _at(c.until), "at": _at(c.at), "source": c.source} for c in cooldowns[1:]]
    into.pop("cooldowns", None)
    if more:
        into["cooldowns"] = more


def _model_json(state: ModelState, old: Any) -> dict[str, Any]:
    into = _over(old)
    known = [w for w in state.windows if w.remaining_fraction is not None]
    binding = min(known, key=lambda w: (w.remaining_fraction or 0.0, -(w.reset_time or 0.0), w.name), default=None)
    into.pop("remaining_fraction", None)
    _put(into, reset_time=_at(binding.reset_time) if binding else None)
    _put_windows(into, state.windows)
    _put_cooldowns(into, state.cooldowns)
    _put(
        into,
        held=state.held,
        held_until=_at(state.held_until),
        held_at=_at(state.held_at),
        released_at=_at(state.released_at),
        quota_left_at=_at(state.quota_left_at),
        last_retry_delay_secs_raw=state.last_retry_delay_secs_raw,
        last_retry_delay_secs_client=state.last_retry_delay_secs_client,
        consecutive_429=state.consecutive_429,
        last_429_at=_at(state.last_429_at),
        last_success_at=_at(state.last_success_at),
        updated_at=_at(state.updated_at),
    )
    into.pop("confidence", None)
    if state.confidence is not None:
        into["confidence"] = state.confidence
    return into if binding is None else {"remaining_fraction": binding.remaining_fraction, **into}


def encode_runtime(account: Account, policy: Policy, old: Any, credential: str | None) -> dict[str, Any]:
    """The runtime of an account as JSON over the decoded JSON that was there (anything else counts as nothing).

    ``credential`` is the fingerprint of the credential that a hard state was learned with, so that a new credential
    ends it even when no process was there to see the change.
    """
    runtime = account.runtime
    into = {"rev": runtime.rev, **{k: v for k, v in _over(old).items() if k != "rev"}}
    seen, selected = runtime.availability, runtime.selected
    blocked = runtime.banned or runtime.restricted or runtime.auth_failed
    _put(
        into,
        last_active_at=_at(runtime.last_active_at),
        banned=runtime.banned,
        restricted=runtime.restricted,
        auth_failed=runtime.auth_failed,
        blocked_reason=runtime.blocked_reason,
        blocked_at=_at(runtime.blocked_at),
        blocked_credential=credential if blocked else None,
        held=runtime.held,
        held_until=_at(runtime.held_until),
        held_at=_at(runtime.held_at),
        released_at=_at(runtime.released_at),
        consecutive_401=runtime.consecutive_401,
        consecutive_403=runtime.consecutive_403,
        consecutive_failures=runtime.consecutive_failures,
        last_failure_at=_at(runtime.last_failure_at),
        quota_left_at=_at(runtime.quota_left_at),
    )
    _put_cooldowns(into, runtime.cooldowns)
    _put_windows(into, runtime.windows)
    into.pop("availability", None)
    if seen is not None:
        into["availability"] = {"ok": seen.ok, "checked_at": _at(seen.checked_at), "reason": seen.reason}
    ready = account.next_ready_at(policy)
    into.pop("next_ready_at", None)
    if ready:
        into["next_ready_at"] = None if ready == NEVER else _at(ready)
    if selected is not None:
        was = _over(into.get("selected"))
        _put(was, previous=selected.previous, at=_at(selected.at), reason=selected.reason, shadow=selected.shadow)
        into["selected"] = was
    _put_nested(into, "sessions", {key: _at(used) for key, used in runtime.sessions.items()})
    old_models = _over(into.get("models"))
    _put_nested(into, "models", {m: _model_json(s, old_models.get(m)) for m, s in runtime.models.items()})
    return into
