"""Transports: the two doors, synchronous and asynchronous, of either HTTP library.

Refuses: knowing which library it is (``httpx`` and ``httpx2`` say so), deciding (``exchange``), showing what it holds.
"""

from __future__ import annotations

from rotator.wire.asking import Asking
from rotator.wire.exchange import Exchange
from rotator.wire.shared import Shared
from rotator.wire.steps import drive, drive_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import timedelta
    from types import TracebackType
    from typing import Any, ClassVar, Self

    from rotator.engine import Rotator
    from rotator.wire.asking import Library


class _Door:
    library: ClassVar[Library]
    carrier: ClassVar[Any]
    """The class of the library's own transport, which is used when none is given."""

    def __init__(
        self,
        rotator: Rotator,
        *,
        model: str | None = None,
        inner: Any = None,
        max_accounts: int = 3,
        deadline: float | timedelta | None = None,
    ) -> None:
        self._shared = Shared(rotator, max_accounts, deadline)
        self._model = model
        self._inner = type(self).carrier() if inner is None else inner

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} of {len(self._shared.rotator.pool)} accounts>"

    def _exchange(self, request: Any) -> Exchange:
        return Exchange(self._shared, Asking(self.library, request, self._model))


class Door(_Door):
    """To be mixed into a synchronous transport."""

    def handle_request(self, request: Any) -> Any:
        """Send one request with the accounts of the pool; see the class for what is raised."""
        return drive(self._exchange(request).run(), self._inner)

    def close(self) -> None:
        """Close the transport below; the rotator is its owner's."""
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


class AsyncDoor(_Door):
    """To be mixed into an asynchronous transport."""

    def handle_async_request(self, request: Any) -> Coroutine[Any, Any, Any]:
        """Send one request with the accounts of the pool; see the class for what is raised."""
        return drive_async(self._exchange(request).run(), self._inner)

    async def aclose(self) -> None:
        """Close the transport below; the rotator is its owner's."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)
