"""Leases: a chosen account while a request is in flight on it.

Refuses: choosing, counting (the engine does both); it only makes sure that the end is told once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self

    from rotator.core.selection import Selected
    from rotator.core.signals import Signal


class Lease:
    """Ends with ``observe``, ``release`` or the ``with`` block, whichever comes first; until then it is in flight.

    A lease that nobody ends counts until its process does.
    """

    def __init__(
        self, selected: Selected, ended: Callable[[str], None], observe: Callable[..., tuple[Signal, ...]]
    ) -> None:
        self.selected = selected
        self.account = selected.account
        self.model = selected.model
        self._open = [ended]
        self._observe = observe

    def observe(
        self,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        tokens: int | None = None,
        refused_before: Iterable[str] = (),
    ) -> tuple[Signal, ...]:
        """Learn from the response and end the lease; what was learned, nothing when the account has left the file.

        As ``Rotator.observe``: ``refused_before`` names accounts that refused the same request before.
        """
        try:
            return self.learn(status=status, headers=headers, body=body, tokens=tokens, refused_before=refused_before)
        finally:
            self.release()

    def learn(
        self,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        tokens: int | None = None,
        refused_before: Iterable[str] = (),
    ) -> tuple[Signal, ...]:
        """``observe`` of a response that is still on its way: the lease goes on."""
        said = {"status": status, "headers": headers, "body": body, "tokens": tokens}
        return self._observe(self.account, self.model, **said, refused_before=refused_before)

    def release(self) -> None:
        """End the lease without news; ending it twice, also from two threads, is nothing."""
        try:
            ended = self._open.pop()
        except IndexError:
            return
        ended(self.account)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.release()
