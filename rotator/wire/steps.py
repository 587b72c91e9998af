"""Steps: what an exchange has to have done, each in a synchronous and an asynchronous way.

Refuses: deciding anything. Whatever can block (a refresh, a wait) leaves an event loop alone.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.wire.refresh import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from rotator.credentials import Credentials
    from rotator.engine import Rotator
    from rotator.engine.waiting import Waiting


class Incoming:
    """A response while it comes in; ``held`` are the parts of its body that were read and not handed on.

    Headers that came in several lines are joined by a comma (RFC 9110, section 5.3). They are read where they are asked for:
    of most successes in a burst nobody asks for more than two.
    """

    __slots__ = ("_headers", "chunks", "closed", "held", "response")

    def __init__(self, response: Any) -> None:
        self.response = response
        self._headers: dict[str, str] | None = None
        self.chunks: Any = None
        self.closed = False
        self.held: list[bytes] = []

    @property
    def headers(self) -> dict[str, str]:
        """All of them, by lower-case name."""
        headers = self._headers
        if headers is None:
            headers = self._headers = {}
            for raw_name, raw_value in self.response.headers.raw:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def header(self, name: bytes) -> str:
        """The first of that name, in lower case; empty where there is none."""
        if self._headers is not None:
            return self._headers.get(name.decode(), "")
        for raw_name, raw_value in self.response.headers.raw:
            if len(raw_name) == len(name) and raw_name.lower() == name:
                found: str = raw_value.decode("latin-1")
                return found
        return ""


class Send(Value):
    """Send a request; gives the Incoming response."""

    request: Any

    def perform(self, inner: Any) -> Incoming:
        """On this thread."""
        return Incoming(inner.handle_request(self.request))

    async def perform_async(self, inner: Any) -> Incoming:
        """On the event loop."""
        return Incoming(await inner.handle_async_request(self.request))


class Pull(Value):
    """Read one more part of a body; gives it, or None when the body has ended. A failure closes the response."""

    incoming: Incoming

    def perform(self, _inner: Any) -> bytes | None:
        """On this thread."""
        incoming, stream = self.incoming, self.incoming.response.stream
        try:
            if incoming.chunks is None:
                incoming.chunks = iter(stream)
            chunk: bytes | None = next(incoming.chunks, None)
        except BaseException:
            stream.close()
            raise
        if chunk is None:
            incoming.closed = True
            stream.close()
        return chunk

    async def perform_async(self, _inner: Any) -> bytes | None:
        """On the event loop."""
        incoming, stream = self.incoming, self.incoming.response.stream
        try:
            if incoming.chunks is None:
                incoming.chunks = aiter(stream)
            chunk: bytes | None = await anext(incoming.chunks, None)
        except BaseException:
            await stream.aclose()
            raise
        if chunk is None:
            incoming.closed = True
            await stream.aclose()
        return chunk


class Close(Value):
    """Close a response whose body is not wanted any more."""

    incoming: Incoming

    def perform(self, _inner: Any) -> None:
        """On this thread."""
        self.incoming.closed = True
        self.incoming.response.stream.close()

    async def perform_async(self, _inner: Any) -> None:
        """On the event loop."""
        self.incoming.closed = True
        await self.incoming.response.stream.aclose()


class Fetch(Value):
    """Get an account's credentials from where that may take long; ``rejected`` is a token that was just refused.

    Raises SecretMissing, LoginNeeded, EndpointFailed.
    """

    rotator: Rotator
    account: str
    rejected: str | None = None

    def __repr__(self) -> str:
        return f"Fetch({self.account!r})"

    def perform(self, _inner: Any) -> Credentials:
        """On this thread."""
        return current(self.rotator, self.account, rejected=self.rejected)

    async def perform_async(self, _inner: Any) -> Credentials:
        """On a thread of the loop's executor."""
        from asyncio import to_thread  # costs 40 ms, and only asynchronous programs need it

        return await to_thread(current, self.rotator, self.account, rejected=self.rejected)


class Wait(Value):
    """Wait until one of some accounts is ready, for at most ``secs``. Raises ParkTimeout, and BadArgument when the engine is closed."""

    rotator: Rotator
    model: str
    among: frozenset[str]
    secs: float

    def perform(self, _inner: Any) -> None:
        """On this thread."""
        waiting = self._waiting()
        self.rotator._watching.enter(waiting)
        try:
            waiting.run(None)
        finally:
            self.rotator._watching.leave(waiting)

    async def perform_async(self, _inner: Any) -> None:
        """On a thread of the loop's executor."""
        waiting = self._waiting()
        self.rotator._watching.enter(waiting)
        try:
            await waiting.run_async()
        finally:
            self.rotator._watching.leave(waiting)

    def _waiting(self) -> Waiting:
        return self.rotator._waiting(lambda: self.rotator.explain(self.model, among=self.among), self.secs)


Step = Send | Pull | Close | Fetch | Wait


def drive(steps: Generator[Step, Any, Any], inner: Any) -> Any:
    """Perform the steps on this thread; what they come to in the end."""
    try:
        step = next(steps)
        while True:
            try:
                result = step.perform(inner)
            except BaseException as error:  # noqa: BLE001  the exchange puts its things in order and raises it again
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as done:
        return done.value


async def drive_async(steps: Generator[Step, Any, Any], inner: Any) -> Any:
    """Perform the steps on the event loop; what they come to in the end."""
    try:
        step = next(steps)
        while True:
            try:
                if type(step) is Send:  # not by its own coroutine: whatever the network says passes through each layer
                    result: Any = Incoming(await inner.handle_async_request(step.request))
                else:
                    result = await step.perform_async(inner)
            except BaseException as error:  # noqa: BLE001  the exchange puts its things in order and raises it again
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as done:
        return done.value
