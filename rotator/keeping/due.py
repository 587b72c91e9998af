"""Due: when the next write of the file may be, and when it must be.

Refuses: writing, a clock of its own; every instant here is the monotonic seconds of whoever asks. Three things decide: how
long facts may wait, what share of the time may go into writing, and how long to leave a disk alone that failed.
"""

from __future__ import annotations

PROBE_SECS = 60.0
"""How often a file that cannot be written is tried again."""
EDITOR_SECS = 600.0
"""Longest that a write waits for an editor that has the file open: it would warn its person of a change at every save."""
_EDITOR_LOOK_SECS = 1.0
"""How soon to look whether the editor has gone."""
_BACK_OFF_SECS = (5.0, 300.0)
"""First and longest pause after the disk failed; it doubles. Our choice: as the debounce at first, and never so long that
freeing the disk seems to have no effect."""


class Due:
    """The debounce of one file: ``touch`` at each fact, ``begin`` when facts leave for the file, then how that ended."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._urgent = False
        self._taken: tuple[float | None, bool] = (None, False)
        self._rested_at = 0.0
        self._retry_at: float | None = None
        self._failures = 0

    def touch(self, mono: float, *, urgent: bool = False) -> bool:
        """A fact is pending since now; whether the write is due sooner for it."""
        sooner = self._since is None or (urgent and not self._urgent)
        if self._since is None:
            self._since = mono
        self._urgent = self._urgent or urgent
        return sooner

    def at(self, flush_after: float) -> float | None:
        """When to write next, or to try whether one can again; None when there is no need."""
        if self._retry_at is not None:
            return self._retry_at
        if self._since is None:
            return None
        return max(self._since if self._urgent else self._since + flush_after, self._rested_at)

    def put_off(self, mono: float) -> bool:
        """While an editor has the file open: whether the write may wait a little longer, and then it does."""
        if self._since is None or mono - self._since >= EDITOR_SECS:
            return False
        self._rested_at = max(self._rested_at, min(mono + _EDITOR_LOOK_SECS, self._since + EDITOR_SECS))
        return True

    def begin(self) -> None:
        """What is pending leaves for the file; what arrives from here on is pending anew."""
        self._taken = self._since, self._urgent
        self._since, self._urgent = None, False

    def done(self, mono: float, spent: float = 0.0, share: float = 1.0) -> None:
        """It is in the file after ``spent`` seconds of writing, of which ``share`` of all time may consist."""
        self._taken, self._retry_at, self._failures = (None, False), None, 0
        self._rested_at = mono + spent * (1 - share) / share

    def nothing(self) -> None:
        """Nothing is pending after all, and nothing stands in the way."""
        self._since, self._urgent = None, False
        self.cleared()

    def failed(self, mono: float) -> None:
        """The disk, the lock or the file's content failed: what was taken is pending again, after a growing pause."""
        self.put_back()
        self._retry_at = mono + min(_BACK_OFF_SECS[0] * 2 ** min(self._failures, 16), _BACK_OFF_SECS[1])
        self._failures += 1

    def hindered(self, mono: float) -> None:
        """The file cannot be written for now: what was taken is pending again, and somebody looks each minute."""
        self.put_back()
        self._retry_at = mono + PROBE_SECS

    def put_back(self) -> None:
        """What was taken is pending again, since it first was."""
        since, urgent = self._taken
        self._taken = (None, False)
        if since is not None:
            self._since = since if self._since is None else min(since, self._since)
        self._urgent = self._urgent or urgent

    def cleared(self) -> None:
        """What stood in the way is gone: no need to wait out the pause."""
        self._retry_at, self._failures = None, 0
