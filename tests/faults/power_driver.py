"""Power cuts under an engine that flushes, on a disk of its own; for a mount namespace that ends with the process.

Usage: power_driver.py FOLDER FILE_SYSTEM OPTIONS WAY SYNCED CUTS. It prints one line of JSON for each cut: what the engine
had acknowledged, what was in the file after the power came back, and whether the next engine could open and flush.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

from rotator import Rotator
from rotator.clock import MachineClock
from rotator.core.signals import Succeeded

SHUTDOWN = 0x8004587D
WITHOUT_LOG = struct.pack("I", 2)
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
SIZE = {"ext4": 32 << 20, "xfs": 320 << 20}


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def learn(path: Path, told: int) -> None:
    """Flush one fact after the other, and tell each once it is acknowledged."""
    rotator = Rotator.open(path, clock=MachineClock())
    number = 0
    while True:
        number += 1
        rotator.ingest([Succeeded("a", "m", float(number))])
        if rotator.flush():
            os.write(told, struct.pack("I", number))


def cut(disk: Path, path: Path, after_secs: float) -> int:
    """Let an engine work for a while and take the power away under it; the last fact that it had acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            learn(path, writer)
        finally:
            os._exit(1)
    os.close(writer)
    told = os.read(reader, 4)  # it has begun
    time.sleep(after_secs)
    folder = os.open(disk, os.O_RDONLY)
    fcntl.ioctl(folder, SHUTDOWN, WITHOUT_LOG)
    os.close(folder)
    os.kill(child, 9)
    os.waitpid(child, 0)
    while piece := os.read(reader, 1 << 16):
        told += piece
    os.close(reader)
    return int(struct.unpack("I", told[len(told) // 4 * 4 - 4 : len(told) // 4 * 4])[0])


def fact(path: Path) -> float | None:
    """The fact that a new engine knows; None when it cannot open the file."""
    try:
        with Rotator.open(path, clock=MachineClock()) as rotator:
            state = rotator.pool.account("a").runtime.models.get("m")
            return 0.0 if state is None else state.last_success_at
    except Exception as error:  # noqa: BLE001  whatever it is, the file was not there for it
        print(f"after the cut: {type(error).__name__}", file=sys.stderr)
        return None


def main() -> None:
    base, kind, options, way, synced, cuts = sys.argv[1:]
    image, disk = Path(base) / "image", Path(base) / "disk"
    disk.mkdir()
    with image.open("wb") as stream:
        stream.truncate(SIZE[kind])
    run(*MAKE[kind], image)
    run("mount", "-o", options, image, disk)
    path = disk / "accounts.json"
    path.write_text('{"version": 2, "note": "mine", "accounts": [{"name": "a", "api_key": "fake-a"}]}')
    path.chmod(0o600)
    if way == "in_place":
        os.link(path, disk / "twin")
    os.sync()
    for number in range(int(cuts)):
        if synced == "no":
            os.fsync = lambda _descriptor: None
        acknowledged = cut(disk, path, 0.02 * (number + 1))
        run("umount", disk)
        run("mount", "-o", options, image, disk)
        known = fact(path)
        beside = sorted(os.listdir(disk))
        raw = path.read_bytes()
        print(
            json.dumps({"acknowledged": acknowledged, "known": known, "mine": b'"mine"' in raw, "beside": beside}),
            flush=True,
        )
        if known is None:
            break
    run("umount", disk)


if __name__ == "__main__":
    main()
