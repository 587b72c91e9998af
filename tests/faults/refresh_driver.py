"""A process that uses one account whose tokens end all the time, or that dies at one step of a refresh.

Usage: refresh_driver.py calls PATH URL SECS, which prints ``{"calls", "again", "failed"}``: requests served, those that
needed a second token, and what went wrong; or refresh_driver.py dies PATH STEP, where STEP is one of ``STEPS``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx

from rotator import Rotator
from rotator.clock import MachineClock
from rotator.engine.renewing import Renewing
from rotator.errors import RotatorError
from rotator.store import private, writing
from rotator.store.file import Store
from rotator.store.room import Room
from rotator.wire import refresh, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]}

STEPS: dict[str, tuple[Any, str, bool]] = {
    "before the lock": (Renewing, "__enter__", True),
    "locked": (Renewing, "__enter__", False),
    "room taken": (Renewing, "reserve", False),
    "before the question": (tokens, "_sent", True),
    "answered": (refresh, "_keep", True),
    "held, not synced": (private, "sync", True),
    "held": (Room, "hold", False),
    "before the exchange": (Store, "exchange", True),
    "written over midway": (os, "ftruncate", True),
    "written over": (writing, "_pave", False),
    "draft written": (writing.Draft, "fill", False),
    "before the swap": (writing, "swap", True),
    "swapped": (writing, "swap", False),
    "exchanged": (Store, "exchange", False),
    "before the backup": (Room, "settle", True),
    "kept": (Room, "settle", False),
    "not unlocked": (Renewing, "__exit__", True),
}
"""Where it dies: at a function's begin (True) or end."""
SECOND = {"written over midway": 2}
"""Those at which it dies in a later call than the first, which is about the room."""


def calls(path: str, url: str, secs: float) -> None:
    rotator = Rotator.open(path, clock=MachineClock())
    told: dict[str, Any] = {"calls": 0, "again": 0, "failed": []}

    def served(token: str | None) -> bool:
        answer = client.post(f"{url}/v1/messages", json=BODY, headers={"authorization": f"Bearer {token}"})
        return answer.status_code == 200

    with httpx.Client() as client:
        print("ready", flush=True)
        sys.stdin.readline()
        ends = time.monotonic() + secs
        while time.monotonic() < ends:
            try:
                token = refresh.current(rotator, "a").access_token
                if not served(token):
                    told["again"] += 1
                    if not served(refresh.current(rotator, "a", rejected=token).access_token):
                        told["failed"].append("refused twice")
            except RotatorError as error:
                told["failed"].append(repr(error))
            told["calls"] += 1
    rotator.close()
    print(json.dumps(told), flush=True)


def dying(function: Callable[..., Any], *, first: bool, calls: int) -> Callable[..., Any]:
    left = iter(range(calls - 1))

    def dies(*args: Any, **parts: Any) -> Any:
        if next(left, None) is not None:
            return function(*args, **parts)
        if not first:
            function(*args, **parts)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    return dies


def main() -> None:
    what, path, *rest = sys.argv[1:]
    if what == "calls":
        calls(path, rest[0], float(rest[1]))
        return
    room, name, first = STEPS[rest[0]]
    rotator = Rotator.open(path, clock=MachineClock())
    setattr(room, name, dying(getattr(room, name), first=first, calls=SECOND.get(rest[0], 1)))
    refresh.current(rotator, "a")
    print("alive", flush=True)


if __name__ == "__main__":
    main()
