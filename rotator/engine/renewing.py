"""Renewing: one refresh of one account's tokens, from the lock that keeps others out until they lie on the disk.

Refuses: to ask for tokens, and to decide whether they are needed (``wire.refresh``). The lock is not the file's: what is
learned meanwhile is written as ever.
"""

from __future__ import annotations

from rotator.core.codec.tokens import Tokens, short_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Protocol, Self

    from rotator.core.pool import Pool
    from rotator.credentials import Credentials
    from rotator.keeping import RenewingKeeper
    from rotator.store.lock import Lock
    from rotator.store.room import Room

    class _Engine(Protocol):
        """What is asked of the engine."""

        @property
        def pool(self) -> Pool: ...
        def now(self) -> float: ...
        def credentials(self, name: str) -> Credentials: ...


_PURPOSE = "refresh-"


class Renewing:
    """A context manager: within it nobody else refreshes this account, if it is in a file.

    Entering raises AccountsBusy when somebody did for longer than ``timeout_secs``.
    """

    def __init__(self, engine: _Engine, keeper: RenewingKeeper, name: str, timeout_secs: float) -> None:
        self._engine = engine
        self._keeper = keeper
        self._name = name
        self._timeout_secs = timeout_secs
        self._lock: Lock | None = None
        self._room: Room | None = None

    def __enter__(self) -> Self:
        self._lock = self._keeper.lock_for(_PURPOSE + short_hash(self._name), self._timeout_secs)
        self._keeper.catch_up(self._engine.now())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._room is not None:
            self._room.__exit__(kind, error, trace)
        if self._lock is not None:
            self._lock.release()

    def credentials(self) -> Credentials:
        """What the account has by now, read again. Raises UnknownAccount, SecretMissing."""
        return self._engine.credentials(self._name)

    def is_superseded(self, token: str) -> bool:
        """Whether a refresh has used up this refresh token, of whichever account: it is never to be sent again."""
        spent = short_hash(token)
        return any(spent in account.runtime.superseded for account in self._engine.pool)

    def is_unwritten(self) -> bool:
        """Whether there are newer tokens than the file's, which could not be written so far."""
        return self._keeper.is_unwritten(self._name)

    def reserve(self) -> str | None:
        """Make sure that a new token could be kept; else, why not. Raises MachineError when the disk has no room."""
        found = self._keeper.reserve(self._engine.now())
        if isinstance(found, str):
            return found
        if self._lock is None:
            found.__exit__(None, None, None)
            return "no lock file can be made beside the file"
        self._room = found
        return None

    def keep(
        self,
        found: Credentials,
        access_token: str,
        refresh_token: str | None,
        expires_at: float | None,
        *,
        losable: bool,
    ) -> bool:
        """Keep what a refresh of ``found`` gave just now, durably; whether it is.

        Where a person changed what was to be replaced, theirs stays. ``refresh_token`` None: the one that was sent goes on. ``losable``: without a disk it is kept in memory.
        """
        at = self._engine.now()
        rotated = refresh_token is not None and refresh_token != found.refresh_token
        saw = short_hash(found.access_token) if found.access_token is not None else ""
        tokens = Tokens(access_token, refresh_token if rotated else None, at, expires_at, {found.refresh_mark}, saw)
        sent = found.refresh_mark if rotated else None
        return self._keeper.renew(self._name, tokens, sent, self._room, at, losable=losable)
