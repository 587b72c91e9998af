"""One account's ``runtime`` as JSON over the JSON that was there: unknown keys survive, in their place.

Refuses: reading it (``runtime``), where it stands in the document (``encode``).
"""

from __future__ import annotations

from rotator.core.codec.kinds import (
    FIRST_COOLDOWN,
    MODEL,
    POLL,
    RUNTIME,
    WINDOW,
    lay,
    number_json,
)
from rotator.core.codec.seal import seal_of
from rotator.core.instants import rfc3339
from rotator.core.state import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.state import Account, Availability, Cooldown, ModelState, Poll, Runtime, Selection, Window


def _over(old: Any) -> dict[str, Any]:
    return dict(old) if type(old) is dict else {}


def _put(into: dict[str, Any], key: str, value: Any) -> None:
    if value:
        into[key] = value
    else:
        into.pop(key, None)


def _window_json(window: Window, old: Any) -> dict[str, Any]:
    into = _over(old)
    lay(WINDOW, window, into)
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
        for key in (*FIRST_COOLDOWN, "cooldowns"):
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
        into["remaining_fraction"] = number_json(binding.remaining_fraction or 0.0)
        _put(into, "reset_time", rfc3339(binding.reset_time) if binding.reset_time else None)
    _put_windows(into, state.windows, held.windows if held is not None and "windows" in into else ())
    _put_cooldowns(into, state.cooldowns)
    lay(MODEL, state, into)
    return into


def encode_runtime(
    account: Account, policy: Policy, old: Any, held: Runtime, credential: str | None, laid: Mapping[str, Any]
) -> dict[str, Any]:
    """The runtime of an account as JSON over ``old``, the decoded JSON that was there, which stands for ``held``.

    Parts that are the same objects in both are taken over as they are; an ``old`` that is no object counts as nothing.

    ``credential`` is the fingerprint of the credential that a hard state was learned with, so that a new credential
    ends it even when no process was there to see the change; None when there is no hard state. ``laid`` are keys of which
    ``Runtime`` knows nothing, None dropping one. ``seal`` is made anew.
    """
    runtime = account.runtime
    into = _over(old)
    lay(RUNTIME, runtime, into)
    into.pop("seal", None)
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
    if runtime.polls or "polls" in into:
        asked = _over(into.get("polls"))
        _put(
            into, "polls", {endpoint: _poll_json(poll, asked.get(endpoint)) for endpoint, poll in runtime.polls.items()}
        )
    _put(into, "superseded", [*runtime.superseded])
    if runtime.models or "models" in into:
        was = _over(into.pop("models", None))
        knew = held.models
        models = {m: _model_json(state, was.get(m), knew.get(m)) for m, state in runtime.models.items()}
        _put(into, "models", models)
    for key, part in laid.items():
        _put(into, key, part)
    return {"rev": runtime.rev, "seal": seal_of(into), **into}


def _poll_json(poll: Poll, old: Any) -> dict[str, Any]:
    into = _over(old)
    lay(POLL, poll, into)
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
