"""Passing: bodies on their way to the program, part by part as they come, seen by a watch.

Refuses: holding a part back, changing one. A watch hears of the end once: exhausted, closed, failed or cancelled.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Any

    from rotator.wire.streams import Watch


class _Body:
    """``held`` was read before and comes first; ``chunks`` goes on from there, None when nothing was read."""

    def __init__(self, stream: Any, held: list[bytes], chunks: Any, watch: Watch | None) -> None:
        self._stream = stream
        self._held = held
        self._chunks = chunks
        self._watch = watch

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.end()


class Passing(_Body):
    """To be mixed into a synchronous stream of httpx or httpx2."""

    def __iter__(self) -> Iterator[bytes]:
        watch = self._watch
        try:
            for chunk in self._held:
                if watch is not None:
                    watch.saw(chunk)
                yield chunk
            for chunk in self._stream if self._chunks is None else self._chunks:
                if watch is not None:
                    watch.saw(chunk)
                yield chunk
        finally:
            self._end()

    def close(self) -> None:
        """Close the connection's end of it."""
        try:
            self._stream.close()
        finally:
            self._end()


class AsyncPassing(_Body):
    """To be mixed into an asynchronous stream of httpx or httpx2."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        watch = self._watch
        try:
            for chunk in self._held:
                if watch is not None:
                    watch.saw(chunk)
                yield chunk
            async for chunk in self._stream if self._chunks is None else self._chunks:
                if watch is not None:
                    watch.saw(chunk)
                yield chunk
        finally:
            self._end()

    async def aclose(self) -> None:
        """Close the connection's end of it."""
        try:
            await self._stream.aclose()
        finally:
            self._end()
