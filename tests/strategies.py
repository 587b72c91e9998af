"""Documents, runtimes and bytes for laws: ``accounts.json`` as people, editors and other tools write it.

Refuses: what the program does with them. Every credential begins with ``fake-``.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

from hypothesis import Phase, settings
from hypothesis import strategies as st

from rotator.core.state import Availability, Cooldown, ModelState, Poll, Runtime, Selection, Window

quick = settings(max_examples=100, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
"""For laws over whole documents: their examples are small, and to shrink one takes minutes."""

JSON = Any
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Spelled(NamedTuple):
    """A number with the letters that the file uses for it, such as ``1e5``."""

    letters: str


class Style(NamedTuple):
    """How a document is laid out; ``indent`` None is one line."""

    indent: str | None
    newline: str
    mark: bytes
    colon: str
    comma: str
    escaped: bool
    end: str


styles = st.builds(
    Style,
    st.sampled_from([None, "  ", "    ", "\t", " ", ""]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf"]),
    st.sampled_from([": ", ":", " : ", ":\t"]),
    st.sampled_from([",", " ,"]),
    st.booleans(),
    st.sampled_from(["", "\n", "\r\n\r\n", " \t"]),
)

names = st.one_of(
    st.sampled_from(
        ["a@example.com", "work", "b", "Zoë", "ключ", "日本", "a/b~c", '"', "\\", "[{", "😀", "id", "runtime"]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8),
    st.sampled_from(["\ud800", "x\udfff"]),
)
words = st.one_of(
    st.sampled_from(["default", "5h", "7d", "gpt-5", "claude-*", "*", "[", "}", "é", "\ud800"]), st.text(max_size=5)
)
credentials = st.one_of(
    st.text('abc123[]{}"\\é', max_size=6).map("fake-".__add__),
    st.just(""),
    names.map(lambda name: {"env": name}),
    st.sampled_from(
        [{"file": "/run/fake-secret"}, {"file": "~/x", "pointer": "/a/0"}, {"file": "x", "pointer": "", "note": 1}]
    ),
)
spelled = st.sampled_from(
    ["0", "-0", "1", "1e5", "1E+5", "1.0", "0.50", "-1.5e-3", "1e400", "-1e400", "12345678901234567890123", "9" * 400]
).map(Spelled)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), spelled, words, st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
unknown = st.dictionaries(
    st.sampled_from(["note", "x-extra", "_comment", "ключ", "", "quota", "\udc00"]), anything, max_size=2
)
fractions = st.one_of(st.sampled_from([0, 1, 0.5, 0.63, Spelled("5e-1"), Spelled("1.0")]), st.floats(0, 1))
counts = st.one_of(st.integers(0, 20), st.sampled_from([Spelled("3.0"), Spelled("1e1"), 2**53, 2**63]))
secs = st.one_of(st.sampled_from([0, 0.0, 30, 18000, 0.25]), st.floats(0, 1e7))

milliseconds = st.integers(1_577_836_800_000, 1_893_456_000_000)
instants = milliseconds.map(lambda ms: ms / 1000)
"""Epoch seconds of this decade, whole milliseconds, as the engine keeps them."""


def _text_time(ms: int, hours: int) -> str:
    instant = _EPOCH + timedelta(milliseconds=ms)
    if hours:
        return instant.astimezone(timezone(timedelta(hours=hours))).isoformat()
    return instant.isoformat().replace("+00:00", "Z")


times = st.one_of(
    st.builds(_text_time, milliseconds, st.sampled_from([0, 0, 0, 2, -8])),
    milliseconds,
    milliseconds.map(lambda ms: ms // 1000),
    st.sampled_from(
        ["0001-01-01T00:00:00Z", "2026-11-20 10:00:00", "2026-11-20t10:00:00z", 0, "9999-12-31T23:59:59.999999Z"]
    ),
)


def _absent_or(value: st.SearchStrategy[JSON]) -> st.SearchStrategy[JSON]:
    return st.one_of(value, value, value, st.none())


def _some(known: dict[str, st.SearchStrategy[JSON]], most: int = 6) -> st.SearchStrategy[dict[str, JSON]]:
    """Objects with a few of the known keys, null counting as absent, among keys that nobody knows, in any order."""

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, JSON]:
        keys = draw(st.lists(st.sampled_from(sorted(known)), unique=True, max_size=most))
        found = {key: draw(_absent_or(known[key])) for key in keys}
        found.update(draw(unknown))
        return dict(draw(st.permutations(list(found.items()))))

    return build()


_cooldown = {
    "cooldown_until": times,
    "cooldown_at": times,
    "cooldown_source": st.sampled_from(["reset", "default", "", "new"]),
}
_held = {"held": st.booleans(), "held_until": times, "held_at": times, "released_at": times, "quota_left_at": times}
_cooldowns = {"cooldowns": st.lists(_some({"until": times, "at": times, "source": words}), max_size=2)}
_window = _some(
    {
        "remaining_fraction": fractions,
        "reset_time": times,
        "length_secs": secs,
        "updated_at": times,
        "reset_updated_at": times,
        "spent_tokens": counts,
        "capacity_tokens": counts,
        "kind": st.sampled_from(["fixed", "", "new"]),
    }
)
_windows = {"windows": st.dictionaries(words, _window, max_size=2)}
_model = _some(
    {
        **_cooldown,
        **_held,
        **_cooldowns,
        **_windows,
        "remaining_fraction": fractions,
        "reset_time": times,
        "last_retry_delay_secs_raw": secs,
        "last_retry_delay_secs_client": secs,
        "consecutive_429": counts,
        "last_429_at": times,
        "last_success_at": times,
        "confidence": fractions,
        "updated_at": times,
    }
)
runtimes = _some(
    {
        **_cooldown,
        **_held,
        **_cooldowns,
        **_windows,
        "rev": st.integers(0, 10**6),
        "seal": words,
        "sealed_over": words,
        "last_active_at": times,
        "banned": st.booleans(),
        "restricted": st.booleans(),
        "auth_failed": st.booleans(),
        "blocked_reason": words,
        "blocked_at": times,
        "blocked_credential": words,
        "consecutive_401": counts,
        "consecutive_403": counts,
        "consecutive_failures": counts,
        "last_failure_at": times,
        "sessions": st.dictionaries(words, times, max_size=2),
        "polls": st.dictionaries(words, _some({"at": times, "failures": counts, "until": times}), max_size=2),
        "superseded": st.lists(words, max_size=2),
        "availability": _some({"ok": st.booleans(), "checked_at": times, "reason": words}),
        "next_ready_at": anything,
        "selected": _some({"from": names, "at": times, "reason": words, "shadow": names}),
        "models": st.dictionaries(words, _model, max_size=2),
    },
    most=9,
)
"""A ``runtime`` as JSON that can be read."""

_person = {
    "provider": st.sampled_from(["generic", "anthropic", "new"]),
    "api_key": credentials,
    "access_token": credentials,
    "refresh_token": credentials,
    "expires_at": times,
    "project_id": names,
    "base_url": st.just("https://api.example.com/v1"),
    "enabled": st.booleans(),
    "priority": st.one_of(st.integers(-3, 3), st.sampled_from([Spelled("1.0"), Spelled("1e2")])),
    "emergency": st.booleans(),
    "models": st.lists(words.filter(bool), max_size=3),
    "weight": st.sampled_from([1, 0.5, 20, 1e9, Spelled("1e-5")]),
    "min_remaining": fractions,
    "quota_group": names,
    "tags": st.lists(names, max_size=2),
}
policies = st.fixed_dictionaries(
    {},
    optional={
        "selector": st.sampled_from(["score", "chain", "round_robin", "shadow"]),
        "min_remaining": fractions,
        "recheck": st.sampled_from([1, 60.5, Spelled("1e2")]),
        "sessions_max": st.sampled_from([0, 5, Spelled("1e1")]),
        "unheard_of": anything,
    },
)


@st.composite
def accounts(draw: st.DrawFn, name: str, *, runtime: bool = True) -> dict[str, JSON]:
    """One account of that name as JSON, its keys in any order."""
    keys = draw(st.lists(st.sampled_from(sorted(_person)), unique=True, max_size=5))
    found = {draw(st.sampled_from(["id", "name", "email"])): name, **{key: draw(_person[key]) for key in keys}}
    found.update(draw(unknown))
    if runtime and draw(st.booleans()):
        found["runtime"] = draw(runtimes)
    return dict(draw(st.permutations(list(found.items()))))


@st.composite
def documents(draw: st.DrawFn, *, version: int | None = None, runtime: bool = True, most: int = 3) -> dict[str, JSON]:
    """A valid document as JSON: version 1 (said or silent) or 2, its keys in any order."""
    called = draw(st.lists(names, unique=True, max_size=most))
    found: dict[str, JSON] = {"accounts": [draw(accounts(name, runtime=runtime)) for name in called]}
    said = version if version is not None else draw(st.sampled_from([None, 1, 2, 2, 2, Spelled("2.0")]))
    if said is not None:
        found["version"] = said
    if draw(st.booleans()):
        found["active"] = draw(st.sampled_from([None, *called, "gone"]))
    if draw(st.booleans()):
        found["policy"] = draw(st.one_of(policies, st.none()))
    if draw(st.booleans()):
        found["$schema"] = "./accounts.schema.json"
    found.update(draw(unknown))
    return dict(draw(st.permutations(list(found.items()))))


def _string(text: str, style: Style) -> str:
    escaped = style.escaped or any("\ud800" <= character <= "\udfff" for character in text)
    said = json.dumps(text, ensure_ascii=escaped)
    return said.replace("/", "\\/").replace("a", "\\u0061") if style.escaped and "\\" not in said else said


def written(value: JSON, style: Style, depth: int = 0) -> str:
    """JSON text of a value in that style."""
    if isinstance(value, Spelled):
        return value.letters
    if isinstance(value, str):
        return _string(value, style)
    if isinstance(value, dict):
        parts = [f"{_string(key, style)}{style.colon}{written(part, style, depth + 1)}" for key, part in value.items()]
        return _bracketed("{", parts, "}", style, depth)
    if isinstance(value, list):
        return _bracketed("[", [written(part, style, depth + 1) for part in value], "]", style, depth)
    return json.dumps(value)


def _bracketed(first: str, parts: list[str], last: str, style: Style, depth: int) -> str:
    if not parts:
        return first + last
    if style.indent is None:
        return first + f"{style.comma} ".join(parts) + last
    inner, outer = style.newline + style.indent * (depth + 1), style.newline + style.indent * depth
    return first + inner + f"{style.comma}{inner}".join(parts) + outer + last


def as_bytes(document: JSON, style: Style) -> bytes:
    """The bytes of a document in that style."""
    return style.mark + (written(document, style) + style.end).encode()


PLAIN = Style("  ", "\n", b"", ": ", ",", False, "\n")

files = st.builds(as_bytes, documents(), styles)
"""Bytes of valid documents of versions 1 and 2, with and without runtime, laid out in every way."""

_odd = [None, True, False, 0, -1, 1, 2, 3, 1.5, 2**63 + 1, "", "x", "a\n", "\x7f", "2026-11-20", "2026-11-20T10:00:00Z"]
_odd_parts = [[], [""], ["x"], [[]], {}, {"x": {}}, {"x": None}, {"env": ""}, {"env": "X", "file": 1}]
_odd_files = [{"file": "x", "pointer": "a"}, {"file": "x", "pointer": "\n"}, {"pointer": ""}]
oddities = st.sampled_from([*_odd, Spelled("1e400"), Spelled("2.0"), *_odd_parts, *_odd_files])
"""Values that are right in few places."""


def _paths(value: JSON, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, part in value.items():
            found += _paths(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            found += _paths(part, (*path, index))
    return found


_GONE = object()


def _changed(value: JSON, path: tuple[Any, ...], new: JSON) -> JSON:
    """A copy with another value at the path, or without that part."""
    if not path:
        return value if new is _GONE else new
    parts = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    if len(path) == 1 and new is _GONE:
        del parts[path[0]]
    else:
        parts[path[0]] = _changed(parts[path[0]], path[1:], new)
    return parts if isinstance(value, dict) else list(parts.values())


@st.composite
def mutated(draw: st.DrawFn, document: st.SearchStrategy[JSON] | None = None) -> JSON:
    """A document with one part replaced by an oddity, or left out; it may still be valid."""
    value = draw(documents() if document is None else document)
    path = draw(st.sampled_from(_paths(value)))
    if isinstance(value, dict) and draw(st.integers(0, 3)) == 0:
        return {
            **value,
            "policy": {draw(st.sampled_from(["recheck", "selector", "sessions_max", "x"])): draw(oddities)},
        }
    return _changed(value, path, draw(st.one_of(oddities, oddities, st.just(_GONE))))


_keys = st.text(max_size=4)
_seen = st.one_of(st.just(0.0), instants)
_told = st.one_of(st.none(), instants)
_part = st.one_of(st.none(), st.floats(0, 1))


def _sorted_cooldowns(found: list[Cooldown]) -> tuple[Cooldown, ...]:
    return tuple(sorted(found, key=lambda c: (-c.until, c.at, c.source)))


@st.composite
def _window_values(draw: st.DrawFn, name: str) -> Window:
    reset = draw(_told)
    return Window(
        name,
        draw(_part),
        reset,
        draw(st.one_of(st.none(), secs.map(float))),
        draw(_seen),
        0.0 if reset is None else draw(_seen),
        draw(st.integers(0, 10**9)),
        draw(st.one_of(st.none(), st.integers(1, 10**9))),
        draw(st.sampled_from([None, "fixed", "bucket"])),
    )


cooldown_values = st.lists(
    st.builds(Cooldown, instants, _seen, st.sampled_from(["retry-after", "reset", "default", "person"])), max_size=3
).map(_sorted_cooldowns)
window_values = st.lists(_keys, unique=True, max_size=2).flatmap(
    lambda found: st.tuples(*[_window_values(name) for name in sorted(found)])
)
model_values = st.builds(
    ModelState,
    window_values,
    cooldown_values,
    _seen,
    _seen,
    st.booleans(),
    _told,
    _seen,
    st.one_of(st.none(), secs.map(float)),
    st.one_of(st.none(), secs.map(float)),
    st.integers(0, 50),
    _seen,
    _seen,
    _part,
    _seen,
)
runtime_values = st.builds(
    Runtime,
    rev=st.integers(0, 10**6),
    last_active_at=_seen,
    banned=st.booleans(),
    restricted=st.booleans(),
    auth_failed=st.booleans(),
    blocked_reason=_keys,
    blocked_at=_seen,
    released_at=_seen,
    held=st.booleans(),
    held_until=_told,
    held_at=_seen,
    consecutive_401=st.integers(0, 50),
    consecutive_403=st.integers(0, 50),
    consecutive_failures=st.integers(0, 50),
    last_failure_at=_seen,
    cooldowns=cooldown_values,
    quota_left_at=_seen,
    windows=window_values,
    availability=st.one_of(st.none(), st.builds(Availability, st.booleans(), _seen, _keys)),
    selected=st.one_of(
        st.none(), st.builds(Selection, st.one_of(st.none(), names), _seen, _keys, st.one_of(st.none(), names))
    ),
    sessions=st.dictionaries(_keys, instants, max_size=2),
    polls=st.dictionaries(_keys, st.builds(Poll, _seen, st.integers(0, 9), _seen), max_size=2),
    superseded=st.lists(st.sampled_from(["0b7f6a3391c4", "91c4d2e80b7f"]), unique=True).map(tuple),
    models=st.dictionaries(st.one_of(_keys, st.just("\ud800")), model_values, max_size=2),
    seal=st.sampled_from(["", "5e2d9c01"]),
    sealed_over=st.sampled_from(["", "0b7f6a33 91c4d2e8"]),
)
"""A ``Runtime`` as the engine could hold it: instants in whole milliseconds, windows by name, the latest cooldown first."""
