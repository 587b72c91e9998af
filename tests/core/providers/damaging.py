"""Damage as networks, proxies and careless programs do it to a response: seeded, so that every finding can be repeated.

Knows nothing of what a response means. ``single_damages`` hit one place and leave no number in it; ``damaged`` may do anything.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

GARBAGE = (None, "", "x", [], {}, True, float("nan"), "NaN", "rejected\r\nretry-after: 1")
HUGE = (10**400, -(10**30), 1e308, float("inf"), -0.0, 2**63, "9" * 400, "1e999", "-1", "0", "0x10", "١٢٣", "1_000")
ODD = (
    *GARBAGE,
    *HUGE,
    "Fri, 99 Foo 99999 99:99:99 +9999",
    "2026-13-45T99:99:99Z",
    "\x00",
    "\ud800",
    b"\xff",
    ["1"],
    ("2", 3),
)


def single_damages(headers: dict, body: object) -> Iterator[tuple[str, dict, object]]:
    """Each header and each place of the body lost or made garbage, one at a time: where, the headers, the body."""
    for name in headers:
        kept = {key: value for key, value in headers.items() if key != name}
        yield name, kept, body
        for garbage in GARBAGE:
            yield name, {**kept, name: garbage}, body
    if isinstance(body, dict | list):
        for path in places(body):
            yield "/".join(map(str, path)), headers, without(body, path)
            for garbage in GARBAGE:
                yield "/".join(map(str, path)), headers, replaced(body, path, garbage)
    for lost in (None, "", b"\xff\xfe", "<html>", "null", [], {}):
        yield "body", headers, lost


def places(value: object, path: tuple = ()) -> Iterator[tuple]:
    """The way to every member of a document."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*path, key)
        yield from places(inner, (*path, key))


def replaced(value: object, path: tuple, new: object) -> object:
    """The document with another value in one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


def without(value: object, path: tuple) -> object:
    """The document without one of its members."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(copy[path[0]], path[1:])
    return copy


def damaged(luck: Random, headers: dict, body: object) -> tuple[dict, object]:
    """Headers and body after one to five faults of any kind."""
    for _ in range(luck.randint(1, 5)):
        if headers and luck.random() < 0.5:
            headers = _damaged_headers(luck, headers)
        else:
            body = _damaged_value(luck, body) if isinstance(body, dict | list) else _damaged_text(luck, body)
    return headers, body


def _damaged_headers(luck: Random, headers: dict) -> dict:
    names = list(headers)
    name, other = luck.choice(names), luck.choice(names)
    value = headers[name]
    fault = luck.randrange(8)
    if fault == 0:
        return {key: headers[key] for key in names if key != name}
    if fault == 1:
        return {**headers, name: headers[other], other: value}
    if fault == 2:
        return {**headers, str(name).upper(): luck.choice(ODD)}
    if fault == 3:
        return {**headers, luck.choice((None, 7, "", b"retry-after", f"{name}-x", str(name)[:-1])): value}
    if fault == 4:
        return {**headers, name: luck.choice(ODD)}
    if fault == 5:
        return {key: headers[key] for key in luck.sample(names, len(names))}
    if fault == 6:
        return {**headers, name: f" {value}\r\n {value} "}
    return {**headers, name: _flipped(luck, str(value))}


def _damaged_value(luck: Random, body: dict | list) -> object:
    ways = list(places(body))
    fault = luck.randrange(9)
    if not ways or fault == 0:
        return _damaged_text(luck, json.dumps(body))
    path = luck.choice(ways)
    held = body
    for key in path:
        held = held[key]
    if fault == 1:
        return without(body, path)
    if fault == 2:
        return replaced(body, path, luck.choice([odd for odd in ODD if not isinstance(odd, bytes | tuple)]))
    if fault == 3:
        return replaced(body, path, _swapped(held))
    if fault == 4:
        return replaced(body, path, [held, held])
    if fault == 5:
        return replaced(body, path, {"error": held, "details": [held], "message": held, "": held})
    if fault == 6:
        return [body, body] if luck.random() < 0.5 else {"error": body, "detail": body}
    if fault == 7:
        depth = luck.choice((3, 50, 3000))
        return json.dumps(replaced(body, path, "@")).replace('"@"', "[" * depth + "1" + "]" * depth)
    return "event: error\ndata: " + json.dumps(body) + "\n\n"


def _swapped(value: object) -> object:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return {"message": value}
    return str(value) if not isinstance(value, dict | list) else json.dumps(value)


def _damaged_text(luck: Random, body: object) -> object:
    raw = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
    start, end = sorted((luck.randint(0, len(raw)), luck.randint(0, len(raw))))
    return luck.choice((
        raw[:start],
        raw[start:],
        raw[:start] + raw[end:],
        raw[:end] + raw[start:end] + raw[end:],
        raw[:start] + luck.randbytes(3) + raw[start:],
        _flipped(luck, raw.decode("latin-1")).encode(),
        b"429 Too Many Requests: " + raw + b"\n    at fetch",
        raw.decode("utf-8", "replace"),
        json.dumps(raw.decode("latin-1")),
        raw + b" " * luck.choice((1, 1000)),
        None,
    ))  # fmt: skip


def _flipped(luck: Random, text: str) -> str:
    if not text:
        return "\x00"
    at = luck.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ (1 << luck.randrange(7))) + text[at + 1 :]
