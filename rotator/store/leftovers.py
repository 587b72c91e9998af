"""What writers that died left beside a file. Refuses: to judge it, and to touch what is not certainly a dead writer's.

A draft whose rename a power cut took back may hold the only copy of what was learned, so nothing is removed unseen.
"""

from __future__ import annotations

import fcntl
import os
import stat as modes

from rotator.store.reading import MAX_BYTES, close, read_all

DRAFT = "tmp"
SWAP = "swap"
OLD = "old"
ROOM = "room"
"""Room that was taken on the disk beforehand. Whoever needs it keeps it locked, also while the file's lock is free; one that
nobody has locked is a leftover, be its process dead or not."""

TORN_WITHIN_NS = 60 * 10**9
"""How much later than the copy of its old bytes a file can be torn by the write for which that copy was made. Our choice:
that write takes milliseconds, and whoever breaks the file by hand does so later."""

DISPLACED_WITHIN_NS = 60 * 10**9
"""How much later an editor may still write into a save that a draft has displaced. Our choice: editors write at once."""

_RANDOM_DIGITS = 8


class Leftover:
    """The bytes of one such file, whole or not.

    ``restores`` when they are what an interrupted write in place overwrote. ``later`` when they lay where a draft and the
    file changed places, and were written after the file was, which nobody has touched since: the save of a person that a
    draft displaced, whose writer died before it looked, or, with nothing of a person's in it, that draft.
    """

    __slots__ = ("later", "path", "raw", "restores")

    def __init__(self, path: str, raw: bytes, *, restores: bool, later: bool) -> None:
        self.path = path
        self.raw = raw
        self.restores = restores
        self.later = later

    def __repr__(self) -> str:
        return f"Leftover({self.path!r}, {len(self.raw)} bytes, restores={self.restores}, later={self.later})"


class Restore(Exception):
    """Raised by who computes the next bytes of a file: this leftover is what it should hold now, and what to go on from."""

    def __init__(self, leftover: Leftover) -> None:
        self.leftover = leftover
        super().__init__("an interrupted write is undone")


def find(target: str) -> list[str]:
    """Paths of files whose names say that they are a dead process's drafts, or its copies of old bytes.

    A process has none from before when it begins to write, so those under its own number are of another life of that
    number, as after each restart of a container.
    """
    folder, name = os.path.split(target)
    prefix = f".{name}."
    try:
        entries = os.listdir(folder or ".")
    except OSError:
        return []
    return [
        os.path.join(folder, entry) for entry in entries if entry.startswith(prefix) and _is_of_the_dead(entry, prefix)
    ]


def offered(target: str) -> list[Leftover]:
    """Those of them that belong to the file's owner or to this user, newest first; what cannot be read is left out."""
    paths = find(target)
    if not paths:
        return []
    try:
        status = os.stat(target)
    except OSError:
        return []
    found = [leftover for path in paths if (leftover := _read(path, status)) is not None]
    found.sort(key=lambda pair: -pair[0])
    return [leftover for _, leftover in found]


def _is_of_the_dead(entry: str, prefix: str) -> bool:
    process, _, rest = entry[len(prefix) :].partition(".")
    random, _, kind = rest.partition(".")
    if kind not in (DRAFT, SWAP, OLD, ROOM) or len(random) != _RANDOM_DIGITS:
        return False
    if not (process.isascii() and process.isdecimal()):
        return False
    return kind == ROOM or int(process) == os.getpid() or _is_dead(int(process))


def _is_dead(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _is_held(descriptor: int) -> bool:
    """Whether somebody, in whatever process or container, still has a use for the open file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _read(path: str, target: os.stat_result) -> tuple[int, Leftover] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not modes.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            return None
        if path.endswith(f".{ROOM}") and _is_held(descriptor):
            return None
        if status.st_uid not in (target.st_uid, os.geteuid()):
            return None
        raw = read_all(descriptor, status.st_size)
    except OSError:
        return None
    finally:
        close(descriptor)
    restores = path.endswith(f".{OLD}") and target.st_mtime_ns <= status.st_mtime_ns + TORN_WITHIN_NS
    untouched = 0 <= status.st_ctime_ns - target.st_ctime_ns < DISPLACED_WITHIN_NS
    later = path.endswith(f".{SWAP}") and untouched and target.st_mtime_ns < status.st_mtime_ns
    return status.st_mtime_ns, Leftover(path, raw, restores=restores, later=later)
