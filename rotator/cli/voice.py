"""What a terminal or a pipe is told: data to stdout, talk to stderr, as UTF-8 whatever the locale.

Refuses: deciding what to say. Text from the file reaches a terminal without control characters.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


def say(text: str) -> None:
    """Lines for stdout. Raises OSError when it does not take them; then nothing more is written there."""
    if sys.stdout is not None:
        try:
            _write(sys.stdout, text)
        except OSError as error:
            _abandon(sys.stdout)
            raise OSError(error.errno, error.strerror, "stdout") from None


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
    whole = datetime.fromtimestamp(-(-instant.timestamp() // 1), UTC)
    return whole.astimezone().isoformat(" ", "seconds")


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
