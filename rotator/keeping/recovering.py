"""Recovering: what can be had back of a write that was cut short. Refuses: to judge facts; ``ledger`` does, by ``rev``."""

from __future__ import annotations

from rotator.core.codec.decode import decode
from rotator.errors import AccountsInvalid, RotatorError
from rotator.keeping.ledger import Ledger
from rotator.store.file import ReadOnly
from rotator.store.leftovers import Restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rotator.core.policy import Policy
    from rotator.store.file import Store
    from rotator.store.leftovers import Leftover
    from rotator.store.reading import Snapshot, Stamp


def opened(store: Store, policy: Policy | None, now: float) -> tuple[Ledger, Stamp, bool]:
    """The file's ledger, the stamp it had, and whether it knows more than the file, from a writer that died.

    A file that is no document is mended first, under the lock, where a copy of its old bytes shows that a write in place
    has torn it. Raises: what ``read`` does, and AccountsInvalid.
    """
    snapshot = store.read()
    try:
        ledger = Ledger(snapshot.raw, policy, now)
    except AccountsInvalid:
        mended = _mended(store, policy)
        if mended is None:
            raise
        snapshot = mended
        ledger = Ledger(snapshot.raw, policy, now)
    recovered = [ledger.recover(leftover.raw) for leftover in store.leftovers()]
    return ledger, snapshot.stamp, any(recovered)


def restored(adopt: Callable[[], None], leftovers: Iterable[Leftover], policy: Policy | None) -> None:
    """Adopt what the file holds. Raises: AccountsInvalid as that does, or Restore when a leftover shows what it held."""
    try:
        adopt()
    except AccountsInvalid:
        old = next((each for each in leftovers if each.restores and _is_document(each.raw, policy)), None)
        if old is None:
            raise
        raise Restore(old) from None


def _mended(store: Store, policy: Policy | None) -> Snapshot | None:
    def rebase(snapshot: Snapshot) -> None:
        restored(lambda: _check(snapshot.raw, policy), store.leftovers(), policy)

    if not any(leftover.restores for leftover in store.leftovers()):
        return None
    try:
        return store.exchange(rebase)
    except (RotatorError, ReadOnly):
        return None


def _check(raw: bytes, policy: Policy | None) -> None:
    decode(raw, policy)


def _is_document(raw: bytes, policy: Policy | None) -> bool:
    try:
        decode(raw, policy)
    except AccountsInvalid:
        return False
    return True
