"""Where each part of a JSON text stands, and, in a person's words, why a text is not strict JSON.

Refuses: what the parts mean, speed (a megabyte takes a tenth of a second), and showing anything that stands in the file: a
key is named only when the format knows it. It is for broken files; ``scan`` reads the good ones.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right

from rotator.core.codec.scan import MAX_DEPTH
from rotator.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any, NoReturn

    Path = Sequence[str | int]
    Said = tuple[str, str]

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*+")
_LINE_END = re.compile(r"\r\n|\n|\r")
_INNER = r'[^"\\\x00-\x1f\ud800-\udfff]*+'
_STRING = re.compile(rf'"{_INNER}(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{{4}}){_INNER})*+')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+")
_LITERAL = re.compile(r"true|false|null")
_WORD = re.compile(r"[\w$]")
_AFTER_NUMBER = re.compile(r"[\w$.+-]")
_CLOSES = {"{": "}", "[": "]"}

_EMPTY = ("the file is empty", 'write at least {"accounts": []}, or put a backup back')
_ONLY_NUL = ("the file holds nothing but NUL bytes, as after a crash", "put a backup back")
_UTF16 = ("the file is UTF-16 or UTF-32", "save it as UTF-8")
_NEVER_CLOSED = ("this bracket is never closed", "close it where its part ends")
_NO_VALUE = ("a value is missing here", "write one, or remove what asks for it")
_NO_KEY = ("a key in double quotes is expected here", 'write "key": value')
_NO_COLON = ("a colon is missing after this key", 'write "key": value')
_EQUALS = ("an equals sign stands where a colon belongs", 'write "key": value')
_UNQUOTED_KEY = ("a key stands without double quotes", "put double quotes around it")
_UNQUOTED = ("text stands without double quotes", "put double quotes around it")
_MISSING_COMMA = ("a comma is missing here", "put one between the two parts")
_TRAILING_COMMA = ("a comma stands before a closing bracket", "remove the comma")
_TWO_COMMAS = ("a comma stands here with nothing before it", "remove the comma")
_QUOTE_INSIDE = ("text follows the end of a string", 'write a quote within a string as \\"')
_STRING_OPEN = ("this string is not closed on its line", 'close it with ", and write line breaks as \\n')
_ESCAPE = ("this backslash escape is not known to JSON", "write a backslash itself as \\\\")
_TAB = ("a tab stands within a string", "write it as \\t")
_CONTROL = ("a control character stands within a string", "remove it")
_NOT_EXPECTED = ("a comma or a closing bracket is expected here", "look for a missing quote or bracket before it")
_TOO_MANY = ("a closing bracket too many", "remove it")
_AFTER_END = ("text follows the end of the document", "remove it")
_NUMBER_LONG = ("a number has too many digits", "write a shorter one, or put it in quotes")
_NUMBER_ODD = ("this is not a number as JSON writes it", "write it as -12.5 or 1e5, or put it in quotes")
_DEEP = (f"brackets nest deeper than {MAX_DEPTH}", "flatten this part")
_NUL = ("a NUL byte stands here, as after a crash", "remove it, or put a backup back")
_NOT_UTF8 = ("this byte is not UTF-8", "save the file as UTF-8")

_ANYWHERE: tuple[tuple[re.Pattern[str], Said], ...] = (
    (re.compile(r"<{7}|={7}|>{7}|\|{7}"), ("a merge conflict was left here", "choose a side, remove the marker lines")),
    (re.compile("\x00"), _NUL),
    (re.compile(r"[\ud800-\udfff]"), _NOT_UTF8),
    (re.compile(r"//|/\*|#"), ("a comment stands here, and JSON has none", "remove it, or put it in a key of its own")),
    (re.compile("'"), ("single quotes stand here", "use double quotes")),
    (
        re.compile("[\u2018-\u201f\u00ab\u00bb`\u00b4]"),
        ("typographic quotes stand here", 'use plain double quotes (")'),
    ),
    (re.compile("\ufeff"), ("a byte order mark stands within the text", "remove it")),
    (re.compile(r"\s|[\u200b-\u200f\u2060]"), ("this white space is not known to JSON", "use a plain space")),
)
_AS_VALUE: tuple[tuple[re.Pattern[str], Said], ...] = (
    (
        re.compile(r"[+-]?(?:nan|inf(?:inity)?)\b", re.IGNORECASE),
        ("NaN and Infinity are no JSON numbers", "write a number or null"),
    ),
    (re.compile(r"(?:true|false)\b", re.IGNORECASE), ("true and false are lower case", "write true or false")),
    (
        re.compile(r"(?:null|none|nil|undefined)\b", re.IGNORECASE),
        ("this is not how JSON writes nothing", "write null"),
    ),
    (re.compile(r"[+-]?0[0-9]"), ("a number begins with a zero too many", "remove the zero, or put it in quotes")),
    (re.compile(r"[-+.0-9]"), _NUMBER_ODD),
    (_WORD, _UNQUOTED),
)


class _Stop(Exception):
    pass


class _Node:
    """An object or a list: where it begins, and its parts as nodes or, for anything else, as where they begin."""

    __slots__ = ("at", "kind", "parts")

    def __init__(self, at: int, kind: str) -> None:
        self.at = at
        self.kind = kind
        self.parts: dict[str, _Node | int] | list[_Node | int] = {} if kind == "{" else []


class Text:
    """A text as read: ``faults`` of its JSON, and ``value``, decoded, which counts only when it is ``whole``.

    ``whole`` is False after a syntax fault, where the reading stops. A key that stands twice is a fault too, and the
    later one counts. ``known`` are the keys that a pointer may show; every other key is shown as ``*``.
    """

    def __init__(self, raw: bytes, known: Collection[str]) -> None:
        body = raw.removeprefix(_BOM)
        self.text = body.decode(errors="surrogateescape")
        self.value: Any = None
        self.whole = False
        self.faults: list[Fault] = []
        self._known = known
        self.root: _Node | int = 0
        self._lines = [0, *[end.end() for end in _LINE_END.finditer(self.text)]]
        try:
            self._refuse_encodings(body)
            _Reader(self).read()
        except _Stop:
            return
        self.whole = True
        self.value = json.loads(self.text)

    def line_and_column(self, at: int) -> tuple[int, int]:
        """Both from 1, of a text index; columns count characters, the byte order mark is none."""
        line = bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def place(self, path: Path) -> tuple[str, int, int]:
        """The RFC 6901 pointer of a path as far as it exists, masked, and the line and column of what it leads to."""
        node, parts = self.root, [""]
        for part in path:
            if not isinstance(node, _Node):
                break
            if isinstance(node.parts, list):
                if not isinstance(part, int) or part >= len(node.parts):
                    break
                node = node.parts[part]
                parts.append(str(part))
            else:
                if part not in node.parts:
                    break
                node = node.parts[str(part)]
                parts.append(str(part) if part in self._known else "*")
        return "/".join(parts), *self.line_and_column(node.at if isinstance(node, _Node) else node)

    def note(self, at: int, path: Path, said: Said) -> None:
        """Add a fault at a text index within the part that the path leads to."""
        self.faults.append(Fault(self.place(path)[0], *self.line_and_column(at), *said))

    def stop(self, at: int, path: Path, said: Said) -> NoReturn:
        """Add the syntax fault that ends the reading."""
        self.note(at, path, said)
        raise _Stop

    def _refuse_encodings(self, body: bytes) -> None:
        if not body.strip(b" \t\r\n"):
            self.stop(0, (), _EMPTY)
        if not body.strip(b"\x00"):
            self.stop(0, (), _ONLY_NUL)
        if body[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(body) > 1 and (body[0] == 0) != (body[1] == 0)):
            self.stop(0, (), _UTF16)


class _Reader:
    """One reading from front to end, without recursion; it fills the nodes and faults of its ``Text``."""

    def __init__(self, found: Text) -> None:
        self._found = found
        self._text = found.text
        self._open: list[_Node] = []
        self._path: list[str | int] = []
        self._last = 0
        """Index behind the last part that was read, where a missing comma belongs."""

    def read(self) -> None:
        at = self._value(self._skip(0))
        while self._open:
            at = self._member(self._skip(at))
        at = self._skip(at)
        if at < len(self._text):
            self._stop(at, _TOO_MANY if self._text[at] in "]}" else self._odd(at) or _AFTER_END)

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _stop(self, at: int, said: Said) -> NoReturn:
        self._found.stop(at, self._path, said)

    def _odd(self, at: int, more: tuple[tuple[re.Pattern[str], Said], ...] = ()) -> Said | None:
        return next((said for pattern, said in (*_ANYWHERE, *more) if pattern.match(self._text, at)), None)

    def _attach(self, node: _Node | int) -> None:
        if not self._open:
            self._found.root = node
            return
        parts = self._open[-1].parts
        if isinstance(parts, list):
            self._path[-1] = len(parts)
            parts.append(node)
        else:
            parts[str(self._path[-1])] = node

    def _value(self, at: int) -> int:
        first = self._text[at : at + 1]
        if first in _CLOSES:
            if len(self._open) == MAX_DEPTH:
                self._stop(at, _DEEP)
            node = _Node(at, first)
            self._attach(node)
            self._open.append(node)
            self._path.append("")
            return at + 1
        if first == '"':
            end = self._string(at)
        elif found := _NUMBER.match(self._text, at):
            end = self._number(at, found.end())
        elif (found := _LITERAL.match(self._text, at)) and not _WORD.match(self._text, found.end()):
            end = found.end()
        else:
            self._no_value(at)
        self._attach(at)
        self._last = end
        return end

    def _no_value(self, at: int) -> NoReturn:
        if at >= len(self._text):
            self._never_closed()
        if self._text[at] == ",":
            self._stop(at, _TWO_COMMAS if self._open and self._open[-1].kind == "[" else _NO_VALUE)
        self._stop(at, self._odd(at, _AS_VALUE) or _NO_VALUE)

    def _never_closed(self) -> NoReturn:
        self._path.pop()
        self._stop(self._open[-1].at, _NEVER_CLOSED)

    def _number(self, at: int, end: int) -> int:
        if _AFTER_NUMBER.match(self._text, end):
            self._stop(at, self._odd(at, _AS_VALUE) or _NUMBER_ODD)
        digits = self._text[at:end]
        if digits.lstrip("-").isdigit():
            try:
                int(digits)
            except ValueError:
                self._stop(at, _NUMBER_LONG)
        return end

    def _string(self, at: int) -> int:
        found = _STRING.match(self._text, at)
        end = found.end() if found else at
        if self._text[end : end + 1] != '"':
            self._broken_string(at, end)
        return end + 1

    def _broken_string(self, at: int, end: int) -> NoReturn:
        wrong = self._text[end : end + 1]
        if wrong in ("", "\n", "\r"):
            self._stop(at, _STRING_OPEN)
        if wrong == "\\":
            self._stop(end, _ESCAPE)
        if wrong == "\t":
            self._stop(end, _TAB)
        self._stop(end, _NUL if wrong == "\x00" else _CONTROL if wrong < " " else _NOT_UTF8)

    def _member(self, at: int) -> int:
        """The end of the innermost open bracket, or its next part."""
        text, node = self._text, self._open[-1]
        if text[at : at + 1] == _CLOSES[node.kind]:
            self._open.pop()
            self._path.pop()
            self._last = at + 1
            return at + 1
        if node.parts:
            if text[at : at + 1] != ",":
                self._no_comma(at, node)
            comma, at = at, self._skip(at + 1)
            if text[at : at + 1] in ("]", "}"):
                self._stop(comma, _TRAILING_COMMA)
        if node.kind == "{":
            at = self._key(at, node)
        elif text[at : at + 1] == "}":
            self._wrong_closer(at, node)
        return self._value(at)

    def _no_comma(self, at: int, node: _Node) -> NoReturn:
        if at >= len(self._text):
            self._never_closed()
        if self._text[at] in "]}":
            self._wrong_closer(at, node)
        if self._text[at - 1] == '"' and _WORD.match(self._text, at):
            self._stop(at, _QUOTE_INSIDE)
        said = self._odd(at)
        if said is None and (self._text[at] in '"{[-' or _WORD.match(self._text, at)):
            self._stop(self._last, _MISSING_COMMA)
        self._stop(at, said or _NOT_EXPECTED)

    def _wrong_closer(self, at: int, node: _Node) -> NoReturn:
        line, column = self._found.line_and_column(node.at)
        rule = (
            f"{self._text[at]} stands where {_CLOSES[node.kind]} has to close the {node.kind} of line {line}:{column}"
        )
        self._stop(at, (rule, "close what was opened last first"))

    def _key(self, at: int, node: _Node) -> int:
        text = self._text
        if text[at : at + 1] != '"':
            if at >= len(text):
                self._never_closed()
            if text[at] == "]":
                self._wrong_closer(at, node)
            said = _TWO_COMMAS if text[at] == "," else _UNQUOTED_KEY if _WORD.match(text, at) else _NO_KEY
            self._stop(at, self._odd(at) or said)
        end = self._string(at)
        key = json.loads(text[at:end])
        self._path[-1] = key
        if key in node.parts:
            _, line, column = self._found.place(self._path)
            rule = f"a key stands twice in one object; its first value is at line {line}:{column}"
            self._found.note(at, self._path, (rule, "keep one of them"))
        colon = self._skip(end)
        if text[colon : colon + 1] != ":":
            if colon >= len(text):
                self._never_closed()
            said = _EQUALS if text[colon] == "=" else _NO_COLON
            self._stop(end, self._odd(colon) or said)
        return self._skip(colon + 1)
