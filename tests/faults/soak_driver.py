"""Engines in processes of their own that learn and flush until they are killed, again and again, at a random instant.

Usage: soak_driver.py PATH WORKERS KILLS SEED WAY. A worker says on its pipe what it starts and what was acknowledged; the
history is printed as JSON. WAY ``unlocked`` takes the lock and the comparison with what was read away from the store.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import traceback
from pathlib import Path

import filelock  # noqa: F401  loaded once, before the forks

import rotator.store.lock
from rotator import Rotator
from rotator.clock import MachineClock
from rotator.core.codec.decode import decode
from rotator.core.codec.encode import encode  # noqa: F401  as above
from rotator.core.signals import Succeeded
from rotator.store import writing
from rotator.store.file import Store
from rotator.store.reading import Snapshot

NAMES = "abc"
KILLED_ONCE_IN = 6
LONGEST_SPIN = 40000


def unlock() -> None:
    """A store as careful as before in everything but who else writes."""

    def rename(store, target, seen, raw, like, _backup):
        with writing.Draft(target, like) as draft:
            draft.fill(raw)
            stamp, store.synced = draft.replace(seen, like, target + ".bak")
        return Snapshot(raw, stamp)

    rotator.store.lock.Lock.acquire = lambda _lock: "none"
    Store._rename = rename


def work(path: str, worker: int, number: int, said: int) -> None:
    """Learn and flush until killed; each fact is one that nobody else learns."""
    clock = MachineClock()
    engine = Rotator.open(path, clock=clock)
    while True:
        os.write(said, f"start {number}\n".encode())
        fact = Succeeded(NAMES[number % len(NAMES)], f"w{worker}-{number}", clock.now().timestamp())
        engine.ingest([fact])
        if engine.flush():
            os.write(said, f"ok {number}\n".encode())
        number += 1


class Worker:
    """One place at the file, filled anew whenever its process is killed."""

    def __init__(self, path: str, place: int) -> None:
        self.path, self.place = path, place
        self.started: list[int] = []
        self.acknowledged: list[int] = []
        self.begin()

    def begin(self) -> None:
        hears, says = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                os.close(hears)
                work(self.path, self.place, len(self.started), says)
            except BaseException:  # noqa: BLE001  the driver's own code must not run on in a child
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(says)
        self.pipe, self.rest = hears, b""

    def listen(self) -> bool:
        """Note what it says; False when it will say no more."""
        heard = os.read(self.pipe, 65536)
        *lines, self.rest = (self.rest + heard).split(b"\n")
        for line in lines:
            what, number = line.split()
            (self.started if what == b"start" else self.acknowledged).append(int(number))
        return bool(heard)

    def kill(self) -> int:
        os.kill(self.process, signal.SIGKILL)
        while self.listen():
            pass
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def soak(path: str, count: int, kills: int, luck: random.Random) -> dict[str, object]:
    """Run until so many were killed and then everyone is; raises when the file is no document in between."""
    workers = [Worker(path, place) for place in range(count)]
    ends = []
    while len(ends) < kills:
        ready, _, _ = select.select([worker.pipe for worker in workers], [], [], 60)
        if not ready:
            break
        for worker in workers:
            if worker.pipe in ready:
                going = worker.listen()
                if not going or luck.randrange(KILLED_ONCE_IN) == 0:
                    for _ in range(luck.randrange(LONGEST_SPIN)):
                        pass
                    ends.append(worker.kill())
                    decode(Path(path).read_bytes())
                    worker.begin()
    ends += [worker.kill() for worker in workers]
    return {
        "ends": ends,
        "started": [f"w{w.place}-{n}" for w in workers for n in w.started],
        "acknowledged": [f"w{w.place}-{n}" for w in workers for n in w.acknowledged],
    }


def main() -> None:
    path, workers, kills, seed, way = sys.argv[1:]
    if way == "unlocked":
        unlock()
    print(json.dumps(soak(path, int(workers), int(kills), random.Random(int(seed)))))


if __name__ == "__main__":
    main()
