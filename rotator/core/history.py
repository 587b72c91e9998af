"""History: the lines of a log of requests and responses as values, and values as lines; neither holds a secret.

A line is a JSON object with ``kind``: ``pool`` (what was known, without credentials), ``request`` (a choice), ``response``
(what came back: facts, or as other tools write it ``headers`` and ``body``), ``facts`` (what was learned otherwise).
Conversations are named by a hash. Refuses: files, choosing, what follows from a line (whoever replays it knows).
"""

from __future__ import annotations

import json
from hashlib import sha256
from zlib import crc32

from rotator.core.codec.decode import VERSION, decode
from rotator.core.codec.rewrite import encode_runtime
from rotator.core.instants import parse, rfc3339, tidy
from rotator.core.policy import Policy
from rotator.core.signals import Signal, Superseded, bounded
from rotator.core.state import UNKNOWN, Account, Availability, Window
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from rotator.core.pool import Pool

SCHEMA_VERSION = 1
_HASH_DIGITS = 16
_INSTANTS = frozenset({"at", "until", "reset_time", "updated_at", "reset_updated_at", "checked_at"})
_TEXTS = frozenset(
    {"account", "model", "reason", "source", "state", "session", "endpoint", "name", "previous", "shadow"}
)
_FLAGS = frozenset({"account_wide", "with_refusal", "final", "ok", "exhausted", "overloaded"})
_CLASSES: dict[str, type] = {each.__name__: each for each in Signal.__args__}
_UNTOLD = ("rev", "seal", "sealed_over", "superseded", "next_ready_at")
"""Parts of a runtime that steer no choice; what is left of a token, if only its hash, is no business of a log."""
_BLANK = Account("")
_DEFAULTS = Policy()


class Broken(ValueError):
    """A line that says nothing; the message says what is wrong with it, and quotes nothing of it."""


class Asked(Value):
    """A request, and what was chosen for it then; ``outcome`` is ``""`` when only the account is known.

    ``in_flight``, ``closed`` (providers that were to be sent nothing) and ``among`` are what the choice knew besides the pool.
    """

    at: float
    model: str
    account: str | None
    outcome: str = ""
    reason: str | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    size: int | None = None
    among: frozenset[str] | None = None
    in_flight: Mapping[str, int] = {}
    closed: frozenset[str] = frozenset()


class Heard(Value):
    """A response, or facts that came otherwise (``status`` None); ``facts`` None: ``headers`` and ``body`` are to be read."""

    at: float
    account: str
    model: str
    status: int | None
    facts: tuple[Signal, ...] | None
    headers: Mapping[str, str] = {}
    body: Any = None
    tokens: int | None = None


class Stood(Value):
    """What was known from ``at`` on, whatever was known before."""

    at: float
    pool: Pool


def session_hash(session: str) -> str:
    """The name of a conversation in a log: the same key gives the same, and the key cannot be read from it."""
    return sha256(session.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]


def account_json(account: Account, policy: Policy) -> dict[str, Any]:
    """An account as in ``accounts.json``, without credentials, defaults, and what its runtime keeps for the file's sake."""
    found: dict[str, Any] = {"name": account.name}
    for field in Account.__match_args__:
        value = getattr(account, field)
        if field not in ("name", "runtime") and value != getattr(_BLANK, field):
            found[field] = list(value) if isinstance(value, tuple) else value
    runtime = encode_runtime(account, policy, None, UNKNOWN, None, {})
    for key in _UNTOLD:
        runtime.pop(key, None)
    if "sessions" in runtime:
        runtime["sessions"] = {session_hash(key): used for key, used in runtime["sessions"].items()}
    if runtime:
        found["runtime"] = runtime
    return found


def pool_line(pool: Pool, at: float, accounts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The line of a pool whose ``accounts`` are already JSON; it is a valid ``accounts.json`` too."""
    policy = {
        field: getattr(pool.policy, field)
        for field in Policy.__match_args__
        if getattr(pool.policy, field) != getattr(_DEFAULTS, field)
    }
    active = {} if pool.active is None else {"active": pool.active}
    head = {"schema_version": SCHEMA_VERSION, "at": rfc3339(tidy(at)), "kind": "pool", "version": VERSION}
    return {**head, "policy": policy, "accounts": [*accounts], **active}


def fact_json(fact: Signal) -> dict[str, Any] | None:
    """A fact as JSON, None where it is none or of no use: its class as ``signal``, then its fields, those that are None left out."""
    kept = None if isinstance(fact, Superseded) else bounded(fact)
    return None if kept is None else {"signal": type(kept).__name__, **_fields_json(kept)}


def _fields_json(value: Value) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in value.__match_args__:
        part = getattr(value, field)
        if field == "session":
            found[field] = session_hash(part)
        elif field == "windows":
            found[field] = [_fields_json(window) for window in part]
        elif isinstance(part, Value):
            found[field] = _fields_json(part)
        elif part is not None and not (isinstance(value, Window) and part == 0.0 and field != "remaining_fraction"):
            found[field] = rfc3339(tidy(part)) if field in _INSTANTS else part
    return found


def line_text(value: Mapping[str, Any]) -> bytes:
    """A line of a log, with its end; ASCII, so that no locale and no editor breaks it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def mark_of(text: Any) -> int:
    """A short number that differs when JSON differs, whatever the order of its members."""
    return crc32(json.dumps(text, sort_keys=True, separators=(",", ":")).encode())


def entry_of(line: bytes) -> Asked | Heard | Stood:
    """What a line says. Raises Broken."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        message = "it is no JSON object"
        raise Broken(message)
    kind = value.get("kind")
    if kind == "pool":
        return _stood(value, line)
    if kind == "request":
        return _asked(value)
    if kind in ("response", "facts"):
        return _heard(value)
    message = "kind is none of pool, request, response, facts"
    raise Broken(message)


def _stood(value: dict[str, Any], line: bytes) -> Stood:
    try:
        return Stood(_instant(value, "at"), decode(line.strip())[1])
    except Broken:
        raise
    except ValueError:
        pass  # and leave the handler: what is wrong may quote the line
    message = "its accounts are not valid"
    raise Broken(message)


def _asked(value: dict[str, Any]) -> Asked:
    among, flying = value.get("among"), value.get("in_flight", {})
    if not isinstance(flying, dict) or not all(type(count) is int for count in flying.values()):
        message = "in_flight is no object of numbers"
        raise Broken(message)
    session = _text(value, "session", optional=True)
    return Asked(
        _instant(value, "at"),
        str(_text(value, "model")),
        _text(value, "account", optional=True),
        _text(value, "outcome", optional=True) or "",
        _text(value, "reason", optional=True),
        session,
        _listed(value, "tags"),
        _whole(value, "size"),
        None if among is None else frozenset(_listed(value, "among")),
        flying,
        frozenset(_listed(value, "closed")),
    )


def _heard(value: dict[str, Any]) -> Heard:
    at, told = _instant(value, "at"), value.get("facts")
    if value["kind"] == "facts" or told is not None:
        if not isinstance(told, list):
            message = "facts is no list"
            raise Broken(message)
        facts = tuple([_fact(each) for each in told])
        if value["kind"] == "facts":
            return Heard(at, "", "", None, facts)
    headers = value.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(part, str) for part in headers.values()):
        message = "headers is no object of texts"
        raise Broken(message)
    status = _whole(value, "status")
    if status is None:
        message = "status is missing"
        raise Broken(message)
    account, model = str(_text(value, "account")), str(_text(value, "model"))
    read = None if told is None else facts
    return Heard(at, account, model, status, read, headers, value.get("body"), _whole(value, "tokens"))


def _fact(value: Any) -> Signal:
    cls = _CLASSES.get(str(value.get("signal"))) if isinstance(value, dict) else None
    if cls is None:
        message = "a fact is of no known class"
        raise Broken(message)
    fact: Signal = _made(cls, {key: part for key, part in value.items() if key != "signal"})
    return fact


def _made(cls: Any, value: Any) -> Any:
    """A value of that class from its fields; unknown ones, of a newer log, are left out."""
    if not isinstance(value, dict):
        message = "a part of a fact is no object"
        raise Broken(message)
    fields: dict[str, Any] = {}
    for field in cls.__match_args__:
        if field in value:
            fields[field] = _field(value, field, optional=field != "at")
        elif field in ("model", "until", "previous"):
            fields[field] = None
    try:
        return cls(**fields)
    except TypeError:
        pass
    message = f"a {cls.__name__} lacks a field"
    raise Broken(message)


def _field(value: dict[str, Any], field: str, *, optional: bool) -> Any:
    part = value[field]
    if field in _INSTANTS:
        return _instant(value, field, optional=optional)
    if field == "windows":
        return tuple([_made(Window, each) for each in part]) if isinstance(part, list) else _made(Window, part)
    if field == "availability":
        return _made(Availability, part)
    if field in _TEXTS:
        return _text(value, field, optional=field in ("model", "previous", "shadow"))
    good = isinstance(part, bool) if field in _FLAGS else part is None or isinstance(part, int | float | str)
    if not good or (isinstance(part, bool) and field not in _FLAGS):
        message = f"{field} is of a wrong type"
        raise Broken(message)
    return part


def _instant(value: dict[str, Any], key: str, *, optional: bool = False) -> Any:
    found = parse(value.get(key))
    if found is None and not (optional and value.get(key) is None):
        message = f"{key} is no instant (RFC 3339, or epoch seconds)"
        raise Broken(message)
    return found


def _text(value: dict[str, Any], key: str, *, optional: bool = False) -> str | None:
    found = value.get(key)
    if not isinstance(found, str) and not (optional and found is None):
        message = f"{key} is no text"
        raise Broken(message)
    return found


def _whole(value: dict[str, Any], key: str) -> int | None:
    found = value.get(key)
    if found is not None and (type(found) is not int or found < 0):
        message = f"{key} is no whole number"
        raise Broken(message)
    return found


def _listed(value: dict[str, Any], key: str) -> tuple[str, ...]:
    found = value.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        message = f"{key} is no list of texts"
        raise Broken(message)
    return tuple(found)
