"""A gauge: how many of some accounts are done, on stderr while it is a terminal, and gone when they all are.

Refuses: a pipe, and saying anything that is to be kept.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from rich.progress import Progress, TaskID


class Gauge:
    """A progress bar as a context manager; rich heeds ``NO_COLOR``, ``FORCE_COLOR`` and ``TERM`` itself."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task(self._doing, total=None)
            self._progress.start()
        return self

    def __exit__(self, *_reason: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: int, total: int) -> None:
        """So many of so many are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)
