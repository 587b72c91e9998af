"""An engine that learns and flushes as fast as it can, until stdin closes.

Usage: race_engine.py PATH ACCOUNT WAY. It prints what the engine last acknowledged of each model, and how often it
flushed. WAY is ``exchanged``, ``renamed`` for the same store without the exchange of names, or ``killed``: then engine
after engine is killed in the middle of its work, and only their number is printed.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

from rotator import Rotator
from rotator.clock import MachineClock
from rotator.core.signals import Succeeded
from rotator.store import writing

MODELS = 20


def stopped() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def warm_up() -> None:
    """Load what a flush needs, so that a child that lives for some milliseconds gets to one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "accounts.json")
        path.write_text('{"version": 2, "accounts": [{"name": "a"}]}')
        with Rotator.open(path, clock=MachineClock()) as rotator:
            rotator.ingest([Succeeded("a", "m", 1.0)])


def kill_one_after_the_other(path: str, account: str) -> None:
    warm_up()
    print("ready", flush=True)
    luck = random.Random(account)
    deaths = 0
    while not stopped():
        child = os.fork()
        if child == 0:
            clock = MachineClock()
            try:
                rotator = Rotator.open(path, clock=clock)
                while True:
                    rotator.ingest([Succeeded(account, "m", round(clock.now().timestamp(), 3))])
                    rotator.flush()
            finally:
                os._exit(1)
        time.sleep(luck.uniform(0.005, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        deaths += 1
    print(json.dumps({"flushes": deaths, "turns": deaths, "acknowledged": {}}), flush=True)


def main() -> None:
    path, account, way = sys.argv[1:]
    if way == "killed":
        kill_one_after_the_other(path, account)
        return
    if way == "renamed":
        writing.swap = lambda _one, _other: False
    clock = MachineClock()
    rotator = Rotator.open(path, clock=clock)
    acknowledged: dict[str, float] = {}
    flushes = turn = 0
    print("ready", flush=True)
    while not stopped():
        turn += 1
        model, at = f"m{turn % MODELS}", round(clock.now().timestamp(), 3)
        rotator.ingest([Succeeded(account, model, at)])
        if rotator.flush():
            flushes += 1
            acknowledged[model] = at
    for _ in range(100):
        if rotator.flush():
            break
    rotator.close()
    print(json.dumps({"flushes": flushes, "turns": turn, "acknowledged": acknowledged}), flush=True)


if __name__ == "__main__":
    main()
