"""Renewing: what a refresh of tokens needs of a file: a lock of its own, room on the disk, and to be written at once.

Refuses: asking for tokens, deciding whether they are needed, threads.
"""

from __future__ import annotations

import errno

from rotator.errors import MachineError, OperatorError
from rotator.keeping.keeper import Keeper
from rotator.store.file import ReadOnly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.codec.tokens import Tokens
    from rotator.store.lock import Lock
    from rotator.store.room import Room

_SLACK_BYTES = 64 * 1024
"""What a document may grow by while an answer is awaited: what a person adds, and tokens. Our choice."""
_COPIES = 2
"""The copy that is held until the file holds the tokens, and the draft of the file."""

_WRITE_SECS = 30.0
"""How long to wait for the file's lock with a new token in hand; what holds it is a write of some milliseconds."""


class RenewingKeeper(Keeper):
    """A keeper whose accounts may get new tokens. Unlike those of `Keeper`, these methods take the lock themselves."""

    def tokens(self, name: str) -> Tokens | None:
        """Tokens that may be sent and are newer than the document's; called under the lock."""
        return self._ledger.renewals.usable(name)

    def is_unwritten(self, name: str) -> bool:
        """Whether there are tokens of the account that the file does not hold yet."""
        return name in self._ledger.renewals.taken()

    def lock_for(self, purpose: str, timeout_secs: float) -> Lock | None:
        """Keep out whoever does the same to the same file; None in memory, and where there can be no lock file.

        Raises: AccountsBusy, MachineError as `Store.lock_for`.
        """
        return None if self._store is None else self._store.lock_for(purpose, timeout_secs)

    def catch_up(self, now: float) -> None:
        """Read the file again, and mend what an old copy in its place, or a writer that died, did to its tokens."""
        store = self._store
        if store is None:
            return
        copies = [store.backup(), *[leftover.raw for leftover in store.leftovers()]]
        with self._lock:
            self.look(now)
            for raw in copies:
                self._ledger.recall(raw, now)
            mends = bool(self._ledger.renewals)
        if mends:
            self.flush(now)

    def reserve(self, now: float) -> Room | str:
        """Room for the next document, or why there is none: then this is memory mode.

        Raises: MachineError when the disk has no such room, or the file cannot be read now.
        """
        store = self._store
        if store is None:
            return "nothing is kept in a file here"
        with self._lock:
            self.look(now)
            self._probe()
            if self._bad is not None:
                raise MachineError(errno.EAGAIN, self._error or "the file cannot be read")
            if self._obstacle is not None:
                return self._obstacle
            size = len(self.document.raw)
        try:
            return store.reserve(_COPIES * size + _SLACK_BYTES)
        except ReadOnly as error:
            with self._lock:
                self._failed(error)
            return error.obstacle
        except OperatorError as error:
            raise MachineError(errno.EAGAIN, str(error.args[1] if len(error.args) > 1 else error)) from None

    def renew(
        self, name: str, tokens: Tokens, sent: str | None, room: Room | None, now: float, *, losable: bool
    ) -> bool:
        """Keep new tokens; whether they lie on the disk now. ``sent`` is the short hash of the token that they used up.

        ``losable`` ones may be sent before they do, as those of a refresh token that stays what it was. Where the file could not be written although there was room, they are in that, for the next write to find.
        """
        from rotator.core.codec.encode import encode  # as in raw

        with self._flushing:
            with self._lock:
                self.look(now)
                self._ledger.renew(name, tokens, sent, now, usable=losable)
                self._due.touch(self._mono(), urgent=True)
                document, pool, renewed = self.document, self.pool, self._ledger.renewals.taken()
            if self._store is None or (self._obstacle is not None and room is None):
                return False
            held = room is not None and _holds(room, encode(document, pool, renewed)[0].raw)
            written = self._write(self._store, now, _WRITE_SECS, room)
        if held and not written:
            with self._lock:
                self._ledger.renewals.allow(name)
        return written or held


def _holds(room: Room, raw: bytes) -> bool:
    try:
        room.hold(raw)
    except OSError:
        return False
    return True
