"""Strict JSON with places: the parts of a document and the bytes that they span.

Refuses: what the parts mean. It takes RFC 8259 and no more: no NaN, no duplicate names, no nesting over ``MAX_DEPTH``,
UTF-8 with or without a byte order mark. The standard library's C scanner does the reading; its ``json`` package, whose
import costs as much as all of ``rotator next``, is only the fallback where there is no such scanner.
"""

from __future__ import annotations

try:
    from _json import make_scanner, scanstring
except ImportError:  # another Python implementation: its scanner is written in Python, and json knows it
    from json.decoder import scanstring  # type: ignore[attr-defined, no-redef]
    from json.scanner import make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_DEPTH = 100
"""Deepest nesting that is read. Deeper is no account file, and would end in the interpreter's own limit."""

_UNREADABLE = (StopIteration, ValueError, RecursionError, SystemError)
"""What the scanner raises for bad text. SystemError: CPython 3.11's looks for the class of its error in ``json.decoder``, and
where that was never imported it fails without an error."""
_BOM = b"\xef\xbb\xbf"
_SPACE = " \t\n\r"
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND = bytes.maketrans(b"[]{}", b"()()")


class Refused(Exception):
    """The bytes are not a document; ``faults`` says why, in words and with places."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused
    return found


def _no_constant(_name: str) -> Any:
    raise Refused


class _Context:
    """What a scanner asks its decoder for."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_pairs)
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_constant)


def _scanner() -> Any:
    if make_scanner.__module__ == "_json":
        return make_scanner(_Context())  # type: ignore[arg-type]
    from json import JSONDecoder

    return JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]


_value_at = _scanner()


def text_of(raw: bytes) -> tuple[str, int]:
    """The document as text, without a byte order mark, and how many bytes that mark took; Refused when not UTF-8."""
    skipped = len(_BOM) if raw.startswith(_BOM) else 0
    try:
        return (raw[skipped:] if skipped else raw).decode(), skipped
    except UnicodeDecodeError:
        raise Refused from None


def check_depth(raw: bytes) -> None:
    """Refused when brackets nest deeper than ``MAX_DEPTH``, or do not pair; brackets within strings do not count.

    Strings are cut out, brackets of both kinds become one, and pairs are removed from the inside out, one level a round.
    """
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = raw.translate(_ONE_KIND, _NO_MARKS)
    brackets = b"".join(brackets.split(b'"')[::2])
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"()", b"")
    if brackets:
        raise Refused


def value_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that starts at that index, and the index behind it; Refused when there is none."""
    if start >= len(text):
        raise Refused
    try:
        value, end = _value_at(text, start)
    except _UNREADABLE:
        raise Refused from None
    return value, end


def skip(text: str, at: int) -> int:
    """The index of the next character that is not white space; the length of the text when there is none."""
    size = len(text)
    while at < size and text[at] in _SPACE:
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    at = skip(text, at)
    if text[at : at + 1] != character:
        raise Refused
    return at + 1


class Member:
    """One ``"key": value`` of an object: the key, where it starts, and where its value lies (text indexes)."""

    __slots__ = ("end", "key", "key_at", "start")

    def __init__(self, key: str, key_at: int, start: int, end: int) -> None:
        self.key = key
        self.key_at = key_at
        self.start = start
        self.end = end


def members(
    text: str, start: int, walk: str | None = None, each: Callable[[Any], Any] | None = None
) -> tuple[list[tuple[Member, Any]], int]:
    """The members of the object that starts at that index, with their values, and the index behind the object.

    The array under the key ``walk`` is walked: its value is ``elements`` of it, so that the span of each is known, and
    ``each`` makes of an element's value what is kept.
    Raises Refused for anything but an object, and for a key that stands twice.
    """
    found: list[tuple[Member, Any]] = []
    at = skip(text, _expect(text, start, "{"))
    if text[at : at + 1] == "}":
        return found, at + 1
    seen: set[str] = set()
    while True:
        key_at = skip(text, at)
        at = _expect(text, key_at, '"')
        try:
            key, at = scanstring(text, at, True)
        except _UNREADABLE:
            raise Refused from None
        if key in seen:
            raise Refused
        seen.add(key)
        begin = skip(text, _expect(text, at, ":"))
        value: Any
        if key == walk and text[begin : begin + 1] == "[":
            value, at = elements(text, begin, each)
        else:
            value, at = value_at(text, begin)
        found.append((Member(key, key_at, begin, at), value))
        at = skip(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        at = _expect(text, at, ",")


def document(text: str, walk: str, each: Callable[[Any], Any] | None = None) -> list[tuple[Member, Any]]:
    """The members of a text that is one JSON object and nothing else; Refused when it is not."""
    found, end = members(text, 0, walk, each)
    if skip(text, end) != len(text):
        raise Refused
    return found


def elements(text: str, start: int, each: Callable[[Any], Any] | None = None) -> tuple[list[tuple[int, int, Any]], int]:
    """The elements of the array that starts at that index as (start, end, value), and the index behind the array."""
    found: list[tuple[int, int, Any]] = []
    at = skip(text, start + 1)
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        value, end = value_at(text, at)
        found.append((at, end, value if each is None else each(value)))
        at = skip(text, end)
        if text[at : at + 1] == "]":
            return found, at + 1
        at = skip(text, _expect(text, at, ","))
