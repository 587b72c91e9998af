"""Streams: what a body tells while it passes: the tokens that were used, and an error after a good beginning.

Refuses: holding a body back, changing it, raising. It keeps some kilobytes of what passes, whatever its length.
"""

from __future__ import annotations

import json
import re
import zlib

from rotator.core.providers.bodies import Body, tokens_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TAIL = 65_536
"""Bytes kept of the end of a body, where the usage stands. Our choice: a usage is well below a kilobyte."""
LONGEST_EVENT = 65_536
"""Bytes up to which one event is looked at; longer ones carry pictures, not errors."""
FIRST_EVENT = 8_192
"""Bytes of a stream that are held back at most, to see whether it begins with an error."""
PACKED = 262_144
"""Bytes of a compressed body that are kept to be read at its end; of a longer one nothing is."""

_END = re.compile(rb"\n\n|\r\n\r\n|\r\r")
_SAYS = re.compile(rb"(?:^|[\r\n])(?:data|event):")
_PING = re.compile(rb'(?:^|[\r\n])(?:event:[ ]?ping[ ]*(?:[\r\n]|$)|data:[ ]?\{\s*"type"\s*:\s*"ping")')
_USAGE = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')
_FAILED = re.compile(rb'"error"\s*:\s*[{"]|event:\s*error|"type"\s*:\s*"error"')
_decoder = json.JSONDecoder(strict=False)


def has_event(text: bytes) -> bool:
    """Whether a whole event of a stream is there; comments and pings, which keep connections alive, are none.

    What else says nothing yet counts: OpenAI's ``response.created`` and ``response.in_progress`` tell the program that work
    has begun, and it may be minutes until the next. An error behind them is seen where it comes in the same part.
    """
    return any(_SAYS.search(event) and not _PING.search(event) for event in _END.split(text)[:-1])


def may_tell_error(text: bytes) -> bool:
    """Whether it is worth reading for an error."""
    return _FAILED.search(text) is not None


def plain(encoding: str, limit: int) -> Callable[[bytes], bytes] | None:
    """What turns the parts of a body into what they stand for, up to ``limit`` bytes in all; None for an unknown encoding.

    What is broken reads as nothing. A limit is needed: a compressed body may be a thousand times longer than it looks.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return bytes
    if name not in ("gzip", "x-gzip", "deflate"):
        return None
    state = [zlib.decompressobj(zlib.MAX_WBITS | 32)]
    left = [limit]

    def unpacked(chunk: bytes) -> bytes:
        if left[0] <= 0:
            return b""
        try:
            text = state[0].decompress(chunk, left[0])
        except zlib.error:
            if name != "deflate" or left[0] < limit:
                left[0] = 0
                return b""
            state[0] = zlib.decompressobj(-zlib.MAX_WBITS)  # deflate without its wrapper is sent too
            left[0] -= 1
            return unpacked(chunk)
        left[0] -= len(text)
        return text

    return unpacked


class Watch:
    """Sees the parts of one body.

    ``encoding`` is its content-encoding. ``ended`` is called once, with the tokens that were used (0 where that is not told) and the text of the first error
    event that passed, or None.
    """

    __slots__ = ("_carry", "_ended", "_events", "_failed", "_kept", "_open", "_plain", "_size", "_usages")

    def __init__(self, encoding: str, ended: Callable[[int, bytes | None], None], *, events: bool) -> None:
        self._ended = ended
        self._events = events
        self._plain = plain(encoding, 1 << 30) if events else plain(encoding, TAIL * 16)
        self._kept: list[bytes] = []
        self._size = 0
        self._carry = b""
        self._usages: list[dict[str, object]] = []
        self._failed: bytes | None = None
        self._open = True

    def saw(self, chunk: bytes) -> None:
        """A part passed, as it came over the wire."""
        if self._plain is None:
            return
        if self._events:
            self._scan(self._plain(chunk))
            return
        self._kept.append(chunk)
        self._size += len(chunk)
        if self._plain is not bytes:
            if self._size > PACKED:
                self._plain, self._kept = None, []
        elif self._size > TAIL + len(chunk):
            while self._size - len(self._kept[0]) >= TAIL:
                self._size -= len(self._kept.pop(0))

    def end(self) -> None:
        """Nothing more passes: the end, an error, or the caller has closed it; the first call counts."""
        if not self._open:
            return
        self._open = False
        if self._plain is not None:
            if self._events:
                self._look(self._carry)
            else:
                self._look_at_tail(self._plain(b"".join(self._kept)))
        tokens = tokens_of(Body(tuple({"usage": usage} for usage in self._usages))) or 0
        self._ended(tokens, self._failed)

    def _scan(self, text: bytes) -> None:
        text = self._carry + text if self._carry else text
        last = max(text.rfind(b"\n\n"), text.rfind(b"\r\n\r\n"))
        if last < 0:
            self._carry = text[-LONGEST_EVENT:]
            return
        self._look(text[: last + 2])
        self._carry = text[last + 2 :][-LONGEST_EVENT:]

    def _look(self, text: bytes) -> None:
        if b'"usage' in text:
            for usage in _usages(text):
                # the first tells what went in, the last all that came out
                self._usages = [*self._usages[:1], usage]
        if self._failed is None and b"error" in text and may_tell_error(text):
            self._failed = text

    def _look_at_tail(self, text: bytes) -> None:
        place = text.rfind(b'"usage')
        self._usages = list(_usages(text[max(place, 0) :])) if place >= 0 else []
        if len(text) < TAIL and b'"error"' in text[:256] and may_tell_error(text[:256]):
            self._failed = text


def _usages(text: bytes) -> Iterator[dict[str, object]]:
    for match in _USAGE.finditer(text):
        try:
            value, _ = _decoder.raw_decode(text[match.end() - 1 : match.end() + 4096].decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value
