"""What a terminal or a pipe is told: data to stdout, talk to stderr, as UTF-8 whatever the locale.

Refuses: deciding what to say. Text from the file reaches a terminal without control characters.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any, TextIO

_TURNS = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Line and paragraph separator, and the characters with Bidi_Control (Unicode PropList)."""
LATEST = 253_402_300_799.0 - 2 * 86_400.0
"""Epoch seconds, two days before the calendar ends: up to here, and its neighbours too, an instant has a local time in
every zone. What is later means for ever."""


def say(text: str) -> None:
    """Lines for stdout. Raises OSError when it is closed or does not take them; then nothing more is written there."""
    if sys.stdout is None:
        import errno  # what is read on the quick path is paid for at every pick

        raise OSError(errno.EBADF, "it is closed", "stdout")
    try:
        _write(sys.stdout, text)
    except OSError as error:
        _abandon(sys.stdout)
        raise OSError(error.errno, error.strerror, "stdout") from None


def say_name(name: str) -> None:
    """An account's name on stdout, as it stands in the file: what a program reads here, every command knows again.

    A terminal gets what could move its cursor or turn its direction as an escape. Raises what ``say`` raises.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        name = "".join(c.encode("unicode_escape").decode() if _moves(c) else c for c in name)
    say(name)


def talk(text: str) -> None:
    """Lines for stderr, each begun with the program's name; a stderr that takes nothing ends no run."""
    whisper("\n".join(f"rotator: {printable(line)}" for line in text.split("\n")))


def whisper(text: str, end: str = "\n") -> None:
    """Text for stderr as it is."""
    if sys.stderr is not None:
        try:
            _write(sys.stderr, text, end)
        except OSError:
            _abandon(sys.stderr)


def say_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout, a line of its own; a lone surrogate is written as its escape."""
    import json

    say(json.dumps(value, ensure_ascii=False, allow_nan=False))


def printable(text: str) -> str:
    r"""The text with what moves a cursor or hides letters shown as an escape, ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def local(instant: datetime) -> str:
    """An instant in local time with its offset, rounded up to the second: ``2026-11-20 11:00:00+01:00``."""
    return in_zone(-(-instant.timestamp() // 1)).isoformat(" ", "seconds")


def _moves(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or character in _TURNS


def in_zone(seconds: float, zone: tzinfo | None = None) -> datetime:
    """Epoch seconds as a datetime of ``zone``, else of the machine's; what is later than ``LATEST`` is shown as that."""
    return datetime.fromtimestamp(min(seconds, LATEST), UTC).astimezone(zone)


def _write(stream: TextIO, text: str, end: str = "\n") -> None:
    stream.flush()
    # as an escape, a lone surrogate is valid JSON and valid UTF-8
    stream.buffer.write((text + end).encode("utf-8", "backslashreplace"))
    stream.buffer.flush()


def _abandon(stream: TextIO) -> None:
    """Lead a broken stream nowhere, or the interpreter tries once more at its exit and says so."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass
