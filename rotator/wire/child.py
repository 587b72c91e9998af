"""Child: a person's own command, run without a shell and without a terminal, for as long as it may take.

Refuses: showing what it prints, standard input, and leaving it behind when its time is over or the run is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from threading import Thread

from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from threading import Event
    from typing import IO

TAIL_BYTES = 8192
"""What is kept of its output: the end, where programs say why they failed."""
_STEP_SECS = 0.1
"""How often it is looked whether the run is to end."""
_GRACE_SECS = 5.0
"""Between SIGTERM and SIGKILL: it may be writing down a token that it has just renewed."""
_LEFT_SECS = 1.0
"""The same for what a command leaves behind that has ended by itself; what keeps no pipe open may be anything."""
_DRAIN_SECS = 0.5
"""For the rest of its output, when a process that it left behind still holds the pipe."""


class Ran(Value):
    """How a command ended: its exit code (negative: the signal that ended it), None when its time was over, and its last output."""

    code: int | None
    tail: bytes


def run(command: Sequence[str], environment: Mapping[str, str], timeout_secs: float, stop: Event) -> Ran:
    """Run it to its end, at most ``timeout_secs`` or until ``stop`` is set; then what is left of its process group is ended.

    Raises OSError when it cannot be started, and ValueError for a word or a variable that holds a NUL.
    """
    process = subprocess.Popen(  # noqa: S603  a person wrote it into the file for this
        [*command],
        env={**environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that what it starts ends with it, and Ctrl-C is not its business but ours
    )
    assert process.stdout is not None
    tail = bytearray()
    reader = Thread(target=_keep_tail, args=(process.stdout, tail), name="rotator-probe", daemon=True)
    reader.start()
    try:
        code = _wait(process, timeout_secs, stop)
    finally:
        _end(process)
    reader.join(_DRAIN_SECS)
    return Ran(code, bytes(tail))


def _keep_tail(stream: IO[bytes], tail: bytearray) -> None:
    with stream:
        while piece := os.read(stream.fileno(), TAIL_BYTES):
            tail += piece
            del tail[:-TAIL_BYTES]


def _wait(process: subprocess.Popen[bytes], timeout_secs: float, stop: Event) -> int | None:
    ends = time.monotonic() + timeout_secs
    while not stop.is_set() and (left := ends - time.monotonic()) > 0:
        try:
            return process.wait(min(left, _STEP_SECS))
        except subprocess.TimeoutExpired:
            continue
    return process.poll()


def _await_group(group: int, until: float) -> None:
    """Raises ProcessLookupError when nobody is left of it."""
    while time.monotonic() < until:
        time.sleep(_STEP_SECS / 10)
        os.killpg(group, 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all of its group, then SIGKILL to what is left of it."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        if process.poll() is None:
            process.wait(_GRACE_SECS)
        else:
            _await_group(process.pid, time.monotonic() + _LEFT_SECS)
    except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody is left, or on macOS only who is being buried
        pass
    process.wait()
