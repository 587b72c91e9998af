"""Pending: facts that a file does not hold yet, and what becomes of them when the file changed behind the engine's back.

Refuses: what a fact changes (``transitions``), the file itself.
"""

from __future__ import annotations

from rotator.core.signals import QuotaObserved, Rotated, SessionPlaced, Succeeded
from rotator.core.windows import shows_quota

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rotator.core.signals import Signal
    from rotator.core.state import Pool

_COMMUTING = (QuotaObserved, Succeeded, SessionPlaced, Rotated)
_LOOK_BACK = 8


class Pending:
    """Facts in order of arrival, by account; those that a later one makes needless are let go.

    So a pool that cannot be written holds a bounded number of facts, however many requests it serves.
    """

    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self._by_account: dict[str, list[Signal]] = {}
        self.add(signals)

    def add(self, signals: Iterable[Signal]) -> None:
        """Take facts in."""
        for signal in signals:
            held = self._by_account.setdefault(signal.account, [])
            for back in range(1, min(len(held), _LOOK_BACK) + 1):
                if not isinstance(held[-back], _COMMUTING):
                    break
                if absorbs(signal, held[-back]):
                    del held[-back]
                    break
            held.append(signal)

    def __iter__(self) -> Iterator[Signal]:
        for held in self._by_account.values():
            yield from held

    def __len__(self) -> int:
        return sum(map(len, self._by_account.values()))

    def __bool__(self) -> bool:
        return bool(self._by_account)


def absorbs(later: Signal, earlier: Signal) -> bool:
    """Whether replaying only the later of two neighbouring facts gives what replaying both gives."""
    if type(later) is not type(earlier) or later.account != earlier.account or later.at < earlier.at:
        return False
    if type(later) is Succeeded and type(earlier) is Succeeded:
        return later.model == earlier.model and earlier.tokens == 0
    if type(later) is QuotaObserved and type(earlier) is QuotaObserved:
        known = {w.name: w for w in later.windows if w.remaining_fraction is not None and w.reset_time is not None}
        return (
            later.model == earlier.model
            and all(w.name in known and w.length_secs in (None, known[w.name].length_secs) for w in earlier.windows)
            and shows_quota(later.windows)
        )
    if type(later) is Rotated:
        return True
    if type(later) is SessionPlaced and type(earlier) is SessionPlaced:
        return later.session == earlier.session
    return False


def rebase(known: Pool, read: Pool, pending: Iterable[Signal], read_at: float) -> tuple[Pool, Pending, bool]:
    """A file that changed: what it stands for now, the facts still pending, and whether a write is due.

    ``known`` is what the file held when the engine last read or wrote it, at ``read_at``. Per account by ``rev``: a higher
    one wins (another process wrote). A lower one is a stale editor buffer, and what was known wins. The same one with
    other content, or none where one was known, is a person's deliberate edit: the file wins, and of the pending facts only
    those since ``read_at`` survive.
    """
    edited: set[str] = set()
    due = False
    for account in read:
        if account.name not in known:
            continue
        was, found = known.account(account.name).runtime, account.runtime
        if found.rev > was.rev or found == was:
            continue
        due = True
        if 0 < found.rev < was.rev:
            read = read.with_runtime(account.name, was)
        else:
            edited.add(account.name)
            read = read.with_runtime(account.name, found.replace(rev=was.rev))
    left = [s for s in pending if s.account in read and (s.account not in edited or s.at >= read_at)]
    return read, Pending(left), due
