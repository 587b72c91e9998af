"""HTTP/1.1 as a server speaks it on loopback: requests out of bytes, replies into bytes, streams piece by piece.

Refuses: knowing any provider; TLS, HTTP/2, trailers. An asyncio protocol instead of streams, because benchmarks compare
clients on it and the server must not be what they measure.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable

PHRASES = {status.value: status.phrase for status in HTTPStatus}
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(slots=True)
class Request:
    """One request; ``path`` is decoded and without the query, header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Gate:
    """Where streams and held answers stand until a test lets them go on; used by the loop's thread alone."""

    def __init__(self) -> None:
        self._passes = asyncio.Semaphore(0)
        self._open = asyncio.Event()

    def release(self, pieces: int | None) -> None:
        """Let so many pieces pass; None lets all pass from now on."""
        if pieces is None:
            self._open.set()
        for _ in range(1 if pieces is None else pieces):
            self._passes.release()

    async def passed(self) -> None:
        if not self._open.is_set():
            await self._passes.acquire()
            if self._open.is_set():
                self._passes.release()  # whoever else stands here goes on too


@dataclass(slots=True)
class Reply:
    """One answer. ``pieces``: a chunked body, one write each; ``cut``: the connection ends where the body should.

    ``gate`` is passed before each piece but the first, ``hold`` before the head; ``delay_secs`` and ``gap_secs`` are
    real seconds at the same places. ``drop``: the connection ends without an answer.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: list[bytes] | None = None
    gate: Gate | None = None
    hold: Gate | None = None
    delay_secs: float = 0.0
    gap_secs: float = 0.0
    drop: bool = False
    cut: bool = False

    @property
    def at_once(self) -> bool:
        return self.pieces is None and self.hold is None and not self.delay_secs and not self.drop

    def head(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {PHRASES.get(self.status, '')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append("transfer-encoding: chunked" if self.pieces is not None else f"content-length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Malformed(Exception):
    """The bytes are no HTTP request."""


class Reader:
    """Takes whole requests out of what has arrived so far."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self._head: Request | None = None

    def take(self) -> Request | None:
        """The next request, or None until more arrives; raises ``Malformed``."""
        if self._head is None:
            self._head = self._take_head()
        head = self._head
        if head is None:
            return None
        if "chunked" in head.headers.get("transfer-encoding", ""):
            body = self._take_chunks()
        else:
            body = self._take_bytes(int(head.headers.get("content-length") or 0))
        if body is None:
            return None
        self._head = None
        head.body = body
        return head

    @property
    def wants_permission(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends the body."""
        return self._head is not None and self._head.headers.get("expect", "").lower() == "100-continue"

    def _take_head(self) -> Request | None:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        try:
            method, target, _ = lines[0].split(" ")
        except ValueError:
            raise Malformed(lines[0]) from None
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        path, _, query = target.partition("?")
        return Request(method, unquote(path), query, headers, b"")

    def _take_bytes(self, size: int) -> bytes | None:
        if len(self.buffer) < size:
            return None
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def _take_chunks(self) -> bytes | None:
        found, at = bytearray(), 0
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                return None
            size = int(self.buffer[at:end].partition(b";")[0], 16)
            start = end + 2
            if len(self.buffer) < start + size + 2:
                return None
            found += self.buffer[start : start + size]
            at = start + size + 2
            if size == 0:
                del self.buffer[:at]
                return bytes(found)


class Door(asyncio.Protocol):
    """One connection: requests one after the other, each answered before the next is looked at."""

    def __init__(
        self,
        answer: Callable[[Request], Reply],
        opened: Callable[[asyncio.BaseTransport], None],
        closed: Callable[[asyncio.BaseTransport], None],
    ) -> None:
        self._answer = answer
        self._opened = opened
        self._closed = closed
        self._reader = Reader()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport  # asyncio sets TCP_NODELAY itself
        self._opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed(self._transport)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._reader.buffer += data
        self._serve()

    def _serve(self) -> None:
        while self._task is None:
            try:
                request = self._reader.take()
            except (Malformed, ValueError):
                self._transport.write(Reply(400, {"connection": "close"}).head())
                self._transport.close()
                return
            if request is None:
                if self._reader.wants_permission:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            reply = self._answer(request)
            last = request.headers.get("connection", "").lower() == "close"
            if reply.at_once:
                self._transport.write(reply.head() + reply.body)
                if last:
                    self._transport.close()
            else:
                self._task = asyncio.get_running_loop().create_task(self._send(reply, last=last))

    async def _send(self, reply: Reply, *, last: bool) -> None:
        if reply.hold is not None:
            await reply.hold.passed()
        if reply.delay_secs:
            await asyncio.sleep(reply.delay_secs)
        if reply.drop:
            self._transport.close()
            return
        if reply.pieces is None:
            self._transport.write(reply.head() + reply.body)
        else:
            await self._send_pieces(reply, reply.pieces)
        self._task = None
        if last or reply.cut:
            self._transport.close()
        else:
            self._serve()

    async def _send_pieces(self, reply: Reply, pieces: list[bytes]) -> None:
        head = reply.head()
        for at, piece in enumerate(pieces):
            if at and reply.gate is not None:
                await reply.gate.passed()
            if at and reply.gap_secs:
                await asyncio.sleep(reply.gap_secs)
            self._transport.write(head + b"%x\r\n%b\r\n" % (len(piece), piece))
            head = b""
        self._transport.write(head + (b"" if reply.cut else LAST_CHUNK))
