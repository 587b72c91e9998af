"""Simulators: a clock that a test moves, documents, and facts, for tests of whatever is told the time.

Refuses: real time. ``FakeClock.wait`` moves the clock itself, so a test of a day's wait takes milliseconds.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rotator.core.instants import rfc3339

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

START = datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()
MODEL = "gemini-3-pro"


class FakeClock:
    """A wall clock and a monotonic one that stand still until told, or until somebody waits on them.

    ``plan`` runs a function once the wall clock is that many seconds past the start: a person who saves, a clock that is
    set. ``naps`` are the seconds of every wait, ``readings`` counts the questions for the wall clock.
    """

    def __init__(self, start: float = START) -> None:
        self.wall = start
        self.mono = 1000.0
        self.readings = 0
        self.naps: list[float] = []
        self._plans: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> datetime:
        self.readings += 1
        return datetime.fromtimestamp(self.wall, UTC)

    def monotonic(self) -> float:
        return self.mono

    def wait(self, event: threading.Event, secs: float) -> bool:
        self.naps.append(secs)
        if not event.is_set():
            self.advance(secs)
        return event.is_set()

    def advance(self, secs: float) -> None:
        """Time passes on both clocks."""
        self.wall += secs
        self.mono += secs
        self._run_plans()

    def step(self, secs: float) -> None:
        """The wall clock is set, forward or back."""
        self.wall += secs

    def suspend(self, secs: float) -> None:
        """The machine sleeps: Linux's monotonic clock stands still."""
        self.step(secs)

    def plan(self, at: float, action: Callable[[], object]) -> None:
        self._plans.append((self.mono + at, action))
        self._plans.sort(key=lambda plan: plan[0])

    def _run_plans(self) -> None:
        while self._plans and self._plans[0][0] <= self.mono:
            self._plans.pop(0)[1]()


def instant(secs: float = 0.0) -> str:
    """RFC 3339 of so many seconds after the start."""
    return rfc3339(START + secs)


def account(name: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "api_key": f"fake-{name}", **parts}


def document(*accounts: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"version": 2, **parts, "accounts": list(accounts)}


def save(path: Path, document: dict[str, Any]) -> None:
    """As an editor that renames does: a new inode, whole at every instant."""
    draft = path.with_name("draft~")
    draft.write_text(json.dumps(document, indent=2))
    draft.chmod(0o600)
    draft.replace(path)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A person opens the file, changes it and saves it."""
    found = load(path)
    change(found)
    save(path, found)


def runtime(path: Path, name: str) -> dict[str, Any]:
    """The runtime of an account as it is in the file."""
    return next(a.get("runtime", {}) for a in load(path)["accounts"] if a["name"] == name)


def served(remaining: float | None = None, reset_in: float = 3600.0, at: float = -60.0, **parts: Any) -> dict[str, Any]:
    """A model's state in the file: it served at ``at`` seconds after the start."""
    state: dict[str, Any] = {"last_success_at": instant(at), "updated_at": instant(at), **parts}
    if remaining is not None:
        state |= {"remaining_fraction": remaining, "reset_time": instant(reset_in)}
    return state


def cooling(secs: float, source: str = "retry-after", at: float = -5.0) -> dict[str, Any]:
    """A model's state in the file: refused at ``at``, and cooling down until ``secs`` after the start."""
    return {
        "cooldown_until": instant(secs),
        "cooldown_at": instant(at),
        "cooldown_source": source,
        "consecutive_429": 1,
        "last_429_at": instant(at),
    }
