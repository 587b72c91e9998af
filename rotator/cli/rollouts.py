"""Where Codex keeps what the provider told it of the quota: the token_count events of its session files, the latest first.

Refuses: what they mean (``core.providers.codex``); reading more of a file than its end, which may be gigabytes.
"""

from __future__ import annotations

import json
import os

from rotator.core.instants import parse
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

SHARED = "codex"
"""The limit that all models of an account share (openai/codex, ``limit_id``)."""
_MOST_FILES = 200
"""Files that are looked at, the newest names first. Our choice: weeks of work; most cost no more than their date."""
_MOST_BYTES = 16 * 1024 * 1024
"""Of one file, from its end. Our choice: an event follows each answer, and what a tool printed in between is shorter."""
_BLOCK_BYTES = 64 * 1024


class Event(Value):
    """One event that bears limits: when it was written (epoch seconds), about which limit, and all of it as it stood."""

    at: float
    limit: str
    body: Any


def folder_of(given: str | None) -> str:
    """The folder of the sessions: ``given``, else Codex's own."""
    return given or os.path.join(os.environ.get("CODEX_HOME") or os.path.expanduser("~/.codex"), "sessions")


def latest(folder: str, before: float) -> list[Event]:
    """The latest event of each limit, the oldest first; none from after ``before`` (epoch seconds), as no clock is ahead of now.

    Raises OSError when the folder itself cannot be read; a file that cannot is passed over.
    """
    found: dict[str, Event] = {}
    for count, entry in enumerate(_files(folder)):
        if count == _MOST_FILES:
            break
        known = found.get(SHARED)
        try:
            if known is not None and entry.stat().st_mtime < known.at:
                continue  # whatever stands in it was written before
            with open(entry.path, "rb") as file:
                events = [*_events(file)]
        except OSError:
            continue
        for event in events:
            if event.at <= before and (event.limit not in found or event.at > found[event.limit].at):
                found[event.limit] = event
    return sorted(found.values(), key=lambda event: event.at)


def _files(folder: str, depth: int = 3) -> Iterator[os.DirEntry[str]]:
    """Session files under YYYY/MM/DD, the newest names first; a name begins with the time at which the session began."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name, reverse=True)
    for entry in listed:
        if depth and entry.name.isdigit() and entry.is_dir():
            try:
                yield from _files(entry.path, depth - 1)
            except OSError:
                continue
    yield from (e for e in listed if e.name.startswith("rollout-") and e.name.endswith(".jsonl") and e.is_file())


def _events(file: BinaryIO) -> Iterator[Event]:
    """Events with limits, the last first, up to the last one about the shared limit."""
    for line in _lines_from_end(file):
        event = _event(line) if b"rate_limits" in line and b"token_count" in line else None
        if event is not None:
            yield event
            if event.limit == SHARED:
                return


def _event(line: bytes) -> Event | None:
    """None for another event, for limits that are null, and for a line that is cut."""
    try:
        body = json.loads(line)
        limits = body["payload"]["rate_limits"]
        at = parse(body["timestamp"])
        if body["payload"]["type"] != "token_count" or not isinstance(limits, dict) or at is None:
            return None
        limit = limits.get("limit_id")
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return Event(at, limit if isinstance(limit, str) and limit else SHARED, body)


def _lines_from_end(file: BinaryIO) -> Iterator[bytes]:
    """The lines of the file's end, the last first; the blocks grow, so that one long line is not copied again and again."""
    end = file.seek(0, os.SEEK_END)
    least, size, rest = max(end - _MOST_BYTES, 0), _BLOCK_BYTES, b""
    while end > least:
        start = max(end - size, least)
        file.seek(start)
        first, *lines = (file.read(end - start) + rest).split(b"\n")
        yield from reversed(lines)
        end, size, rest = start, size * 2, first
    if end == 0:
        yield rest
