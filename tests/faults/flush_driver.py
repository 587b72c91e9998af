"""Many flushes of the real engine, each in a process of its own, one of whose system calls is to go wrong.

Usage: flush_driver.py PLAN WAY. It loads everything, says ``ready`` and waits for a line; somebody may attach to it
meanwhile. PLAN has a line ``FOLDER CALL SHIFT`` for each flush: a child makes that many vain calls of that kind, so that
the call on which the error lies (counted in each process anew) is the wanted one, flushes, and notes in FOLDER/told what
the engine answered. ``getppid`` marks where a flush begins, ``getuid`` where it ends.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

from rotator import Rotator
from rotator.clock import MachineClock
from rotator.store import writing

NUMBERS = {
    "read": 0, "write": 1, "close": 3, "lseek": 8, "pread64": 17, "pwrite64": 18, "flock": 73, "fsync": 74,
    "ftruncate": 77, "getdents64": 217, "rename": 82, "unlink": 87, "readlink": 89, "fchmod": 91, "fchown": 93,
    "listxattr": 194, "openat": 257, "newfstatat": 262, "renameat2": 316, "statfs": 137, "fcntl": 72, "ioctl": 16,
    "getrandom": 318,
}  # fmt: skip
"""Of x86_64."""
NOWHERE = -1


def flush(folder: Path, call: str, shift: int) -> None:
    vain = ctypes.CDLL(None).syscall
    rotator = Rotator.open(folder / "accounts.json", clock=MachineClock())
    rotator.observe("b", "m", status=429, headers={"retry-after": "7200"}, body=None)
    for _ in range(shift):
        vain(NUMBERS[call], NOWHERE, 0, 0, 0, 0)
    os.getppid()
    durable = rotator.flush()
    os.getuid()
    (folder / "told").write_text("durable" if durable else "pending")


def main() -> None:
    plan, way = sys.argv[1:]
    if way == "renamed":
        writing.swap = lambda _one, _other: False
    warm = Path(plan).with_name("warm")
    shutil.copytree(Path(plan).with_name("pattern"), warm)
    flush(warm, "", 0)
    print("ready", flush=True)
    sys.stdin.readline()
    for line in Path(plan).read_text().splitlines():
        folder, call, shift = line.split()
        child = os.fork()
        if child == 0:
            try:
                flush(Path(folder), call, int(shift))
            finally:
                os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
