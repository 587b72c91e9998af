"""Pending: facts that a file does not hold yet, and what becomes of them when the file changed behind the engine's back.

Refuses: what a fact changes (``transitions``), the file itself.
"""

from __future__ import annotations

from rotator.core.instants import tidy
from rotator.core.lineage import forked
from rotator.core.signals import QuotaObserved, Rotated, SessionPlaced, Succeeded
from rotator.core.windows import shows_quota

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rotator.core.pool import Pool
    from rotator.core.signals import Signal
    from rotator.core.state import Runtime

    Slot = tuple[type, object]


class Pending:
    """Facts in order of arrival; those that a later one of the same account makes needless are let go.

    So a pool that cannot be written holds no more successes, readings, placements and rotations than there are models,
    windows and sessions, however many requests it serves; refusals and what people say are all kept. Replaying what is
    held gives what replaying everything gives, but for what own traffic teaches of windows and requests (``metering``): that
    is told from fewer readings, and the tokens of successes that became one are charged at the instant of the last.
    """

    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self._facts: dict[int, Signal] = {}
        self._slots: dict[str, dict[Slot, list[int]]] = {}
        self._arrived = 0
        self.add(signals)

    def add(self, signals: Iterable[Signal]) -> None:
        """Take facts in."""
        for signal in signals:
            slot, kept = _slot(signal), signal
            slots = self._slots.setdefault(signal.account, {})
            if slot is None:
                slots.clear()
            else:
                numbers = slots.setdefault(slot, [])
                while numbers and (both := self._both(slots, numbers[-1], self._arrived, kept)) is not None:
                    kept = both
                    del self._facts[numbers.pop()]
                    if slot[0] is QuotaObserved:
                        self._close_up(slots)
                numbers.append(self._arrived)
            self._facts[self._arrived] = kept
            self._arrived += 1

    def _close_up(self, slots: dict[Slot, list[int]]) -> None:
        """Make one of neighbouring successes of each model, where the reading that parted them is gone."""
        for slot, numbers in slots.items():
            for place in range(len(numbers) - 1 if slot[0] is Succeeded else 0, 0, -1):
                earlier, later = numbers[place - 1], numbers[place]
                both = self._both(slots, earlier, later, self._facts[later])
                if both is not None:
                    self._facts[later] = both
                    del self._facts[earlier], numbers[place - 1]

    def _both(self, slots: dict[Slot, list[int]], earlier: int, later: int, signal: Signal) -> Signal | None:
        """The fact that says what two say, by their numbers; None when that takes both."""
        was = self._facts[earlier]
        if type(was) is Succeeded and was.tokens:
            readings = [numbers for slot, numbers in slots.items() if slot[0] is QuotaObserved]
            if any(earlier < number < later for numbers in readings for number in numbers):
                return None
        return merged(signal, was)

    def __iter__(self) -> Iterator[Signal]:
        return iter(list(self._facts.values()))

    def __len__(self) -> int:
        return len(self._facts)


def _slot(signal: Signal) -> Slot | None:
    """What a later fact must share to stand for this one too; None for a fact that parts what comes before and after."""
    if type(signal) is Succeeded:
        return Succeeded, signal.model
    if type(signal) is QuotaObserved:
        return QuotaObserved, (signal.model, frozenset([w.name for w in signal.windows]))
    if type(signal) is SessionPlaced:
        return SessionPlaced, signal.session
    return (Rotated, None) if type(signal) is Rotated else None


def merged(later: Signal, earlier: Signal) -> Signal | None:
    """The one fact whose replay gives what replaying two of the same slot gives; None when there is none."""
    if tidy(later.at) < tidy(earlier.at):
        return None
    if type(later) is Succeeded and type(earlier) is Succeeded:
        if not earlier.tokens:
            return later
        if not later.tokens:
            return earlier.replace(at=later.at)
        return later.replace(tokens=earlier.tokens + later.tokens, requests=earlier.requests + later.requests)
    if type(later) is QuotaObserved and type(earlier) is QuotaObserved:
        return later if _covers(later, earlier) else None
    return later


def _covers(later: QuotaObserved, earlier: QuotaObserved) -> bool:
    """Whether a newer reading tells all that an older one of the same windows told, and ends what that ended."""
    if tidy(later.at) == tidy(earlier.at) or (_ends(earlier) and not _ends(later)):
        return False
    known = {w.name: w for w in later.windows}
    return all(
        (w.remaining_fraction is None or known[w.name].remaining_fraction is not None)
        and (w.reset_time is None or known[w.name].reset_time is not None)
        and (w.length_secs is None or w.length_secs <= (known[w.name].length_secs or 0.0))
        and (w.kind is None or known[w.name].kind is not None)
        for w in earlier.windows
    )


def _ends(reading: QuotaObserved) -> bool:
    """Whether it ends cooldowns that were only guessed."""
    return shows_quota(reading.windows) and not reading.with_refusal


def rebase(
    known: Pool,
    read: Pool,
    pending: Iterable[Signal],
    read_at: float,
    sealed: Callable[[str], bool] = lambda _name: False,
) -> tuple[Pool, Pending, bool]:
    """A file that changed: what it stands for now, the facts still pending, and whether a write is due.

    ``known`` is what the file held when the engine last read or wrote it, at ``read_at``; ``sealed`` tells whether an
    account's runtime in the file bears the seal of its content, and is asked only where that decides. Per account by
    ``rev``: a higher one wins (another process wrote). A lower one is a stale editor buffer, and what was known wins. The
    same one with other content, or none where one was known, is a person's deliberate edit: the file wins, and of the
    pending facts only those since ``read_at`` survive. But whatever its ``rev``, a sealed state that was written without
    sight of the known one is another process's, over a stale buffer that hid it: the two are joined.

    A runtime that a person edited in a stale buffer is a stale buffer: what in it is theirs and what is old cannot be
    told. One that they edited in what another process wrote over such a buffer wins by its ``rev``, or else is joined.
    """
    edited: set[str] = set()
    due = False
    for account in read:
        if account.name not in known:
            continue
        was, found = known.account(account.name).runtime, account.runtime
        if _same(was, found):
            continue
        if forked(was, found) and (found.rev < was.rev or sealed(account.name)):
            from rotator.core.joining import join  # two processes and a stale buffer have to meet first

            due = True
            read = read.with_runtime(account.name, join(was, found, read.policy))
        elif found.rev > was.rev:
            continue
        elif 0 < found.rev < was.rev:
            due = True
            read = read.with_runtime(account.name, was)
        else:
            due = True
            edited.add(account.name)
            read = read.with_runtime(account.name, found.replace(rev=was.rev))
    left = [s for s in pending if s.account in read and (s.account not in edited or s.at >= read_at)]
    return read, Pending(left), due


def _same(was: Runtime, found: Runtime) -> bool:
    """Whether a file says what was known; without its seal it says so too."""
    if found == was:
        return True
    return found.rev == was.rev and found.replace(seal=was.seal, sealed_over=was.sealed_over) == was
