"""Recovering: what can be had back of a write that was cut short. Refuses: to judge facts; ``ledger`` does, by ``rev``."""

from __future__ import annotations

from rotator.core.codec.decode import decode
from rotator.errors import AccountsInvalid, RotatorError
from rotator.keeping.ledger import Ledger
from rotator.store.file import ReadOnly
from rotator.store.leftovers import Restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.store.file import Store
    from rotator.store.leftovers import Leftover
    from rotator.store.reading import Snapshot, Stamp


class _Mended(Exception):
    """Leaves an exchange early, so that the leftovers stay until what they hold is in the file."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        super().__init__("the file is as it should be")


def opened(store: Store, policy: Policy | None, now: float) -> tuple[Ledger, Stamp, bool]:
    """The file's ledger, the stamp it had, and whether it knows more than the file, from a writer that died.

    Where such a writer left the file torn, or a person's save displaced, that is mended first, under the lock. Raises: what
    ``read`` does, and AccountsInvalid.
    """
    snapshot = store.read()
    left = store.leftovers()
    known = [each.raw for each in left]
    stood: list[Ledger] = []
    try:
        restored(lambda: stood.append(Ledger(snapshot.raw, policy, now)), snapshot.raw, left, policy)
    except Restore:
        known = [*known, snapshot.raw]
        snapshot = _mended(store, policy) or snapshot
        stood.append(Ledger(snapshot.raw, policy, now))
    ledger = stood[-1]
    recovered = [ledger.recover(raw, now) for raw in known]
    return ledger, snapshot.stamp, any(recovered)


def restored(adopt: Callable[[], None], raw: bytes, left: Sequence[Leftover], policy: Policy | None) -> None:
    """Adopt ``raw``, which the file holds.

    Raises: AccountsInvalid as that does, or Restore with the leftover that shows what the file should hold instead: the
    old bytes of a file that a write in place has torn, or a save that was displaced by a writer that then died.
    """
    try:
        adopt()
    except AccountsInvalid:
        old = next((each for each in left if each.restores and _is_document(each.raw, policy)), None)
        if old is None:
            raise
        raise Restore(old) from None
    later = next((each for each in left if each.later and _is_document(each.raw, policy)), None)
    if later and _of_a_person(later.raw) != _of_a_person(raw):
        raise Restore(later)


def outrunning(pool: Pool, shown: Pool | None) -> Pool:
    """The pool with no ``rev`` lower than in one that was taken back out of the file after it was there for a moment.

    An editor may have read it then: what it saves must not bear the ``rev`` of what is written next.
    """
    for account in shown or ():
        if account.name in pool and pool.account(account.name).runtime.rev < account.runtime.rev:
            runtime = pool.account(account.name).runtime
            pool = pool.with_runtime(account.name, runtime.replace(rev=account.runtime.rev))
    return pool


def _mended(store: Store, policy: Policy | None) -> Snapshot | None:
    """The file after what is to be restored was; None when it may not be written, or not now."""

    def rebase(snapshot: Snapshot) -> bytes:
        restored(lambda: _check(snapshot.raw, policy), snapshot.raw, store.leftovers(), policy)
        raise _Mended(snapshot)

    try:
        return store.exchange(rebase)
    except _Mended as mended:
        return mended.snapshot
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


def _of_a_person(raw: bytes) -> Any:
    """What a document holds besides what the engine writes."""
    import json  # only where a writer died

    document = json.loads(raw.decode("utf-8-sig"))
    return {
        key: [{name: part for name, part in account.items() if name != "runtime"} for account in value]
        if key == "accounts"
        else value
        for key, value in document.items()
        if key not in ("active", "version")
    }
