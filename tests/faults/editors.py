"""How editors save a file, as the system calls that strace shows of them; and the programs themselves.

Each takes the path and a function from the file's bytes to the saved ones; it returns False when the file was away or
half written, as it is for other editors too, and nothing was saved.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Save = Callable[[Path, int], bool]

SLOW_SECS = 0.002
"""Between truncating and writing, where a program starts or a large buffer is flushed."""


def edited(path: Path, number: int) -> bytes | None:
    """What the editor's buffer holds: the file as it was read, and the edit; None when it cannot be read just now."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    document["note"] = number
    return json.dumps(document, indent=1).encode()


def like_nano(path: Path, number: int) -> bool:
    """Open, truncate, write."""
    raw = edited(path, number)
    if raw is None:
        return False
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        for start in range(0, len(raw), 4096):
            os.write(descriptor, raw[start : start + 4096])
    finally:
        os.close(descriptor)
    return True


def like_a_redirection(path: Path, number: int) -> bool:
    """``jq . f > f`` with the answer ready: the shell opens, and much later somebody writes."""
    raw = edited(path, number)
    if raw is None:
        return False
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        time.sleep(SLOW_SECS)
        os.write(descriptor, raw)
    finally:
        os.close(descriptor)
    return True


def like_vim(path: Path, number: int) -> bool:
    """Rename the old file away, create it anew, sync, remove the old one."""
    raw = edited(path, number)
    if raw is None:
        return False
    aside = path.with_name(path.name + "~")
    os.rename(path, aside)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(descriptor, raw)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.unlink(aside)
    return True


def like_sed(path: Path, number: int) -> bool:
    """A new file under a random name, of the old one's mode, renamed over it; ``jq > t && mv t f`` is the same."""
    raw = edited(path, number)
    if raw is None:
        return False
    other = path.with_name(f"sed{number}")
    descriptor = os.open(other, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o644)
        os.write(descriptor, raw)
    finally:
        os.close(descriptor)
    os.rename(other, path)
    return True


def sed(path: Path, number: int) -> bool:
    """The program; what it reads is a whole file, since nobody else truncates it."""
    command = ["sed", "-i", "-E", f's/("note": *)[0-9]+/\\1{number}/', str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def jq(path: Path, number: int) -> bool:
    """The program, and ``mv``."""
    script = 'jq --argjson n "$2" ".note = \\$n" "$1" > "$1.t" && mv "$1.t" "$1"'
    command = ["sh", "-c", script, "sh", str(path), str(number)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def vim(path: Path, number: int) -> bool:
    """The program, without a terminal; when it sees that the file has changed since, it asks, and saves nothing here."""
    command = ["vim", "-V1", "-Nu", "NONE", "-i", "NONE", "-n", "-es"]
    command += [f'+%s/"note": *\\zs[0-9]\\+/{number}/', "+wq!", str(path)]
    ended = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    return ended.returncode == 0 and b"changed" not in ended.stderr


ENACTED: list[Save] = [like_nano, like_a_redirection, like_vim, like_sed]
PROGRAMS: list[Save] = [sed, jq, vim]
