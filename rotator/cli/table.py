"""A decision as plain aligned text: every candidate with its reason, score and terms, and the decision in words.

What does not fit a terminal goes to lines below, as `rotator status` does it.

Refuses: colours, and cutting a name short to fit a terminal.
"""

from __future__ import annotations

import os
import sys

from rotator.cli.voice import printable, whisper
from rotator.core.explain import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.selection import Candidate, Parked, Selected, Unavailable

_HEAD = ("  account", "reason", "score", "ready", "terms")
_BELOW = " " * 4
_WHOLE: dict[str, Any] = {"replace_whitespace": False, "break_on_hyphens": False}
_TIE = "\0"
_UNBOUNDED = 100_000
_LEAST = 20
_NUMBER = 2
"""The column that is set flush right."""


def show(outcome: Selected | Parked | Unavailable) -> None:
    """Write the table and the explanation to stderr."""
    from textwrap import wrap

    columns = _columns()
    rows = [_HEAD, *(_row(candidate, outcome) for candidate in outcome.candidates)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    above = len(_HEAD) if sum(widths) + 2 * (len(widths) - 1) <= columns else len(_HEAD) - 1
    for row in rows:
        cells = [
            cell.rjust(width) if place == _NUMBER else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines = wrap("  ".join(cells[:above]), columns, subsequent_indent=_BELOW, **_WHOLE)
        if row is not _HEAD:
            for cell in row[above:]:
                lines += wrap(_tied(cell), columns, initial_indent=_BELOW, subsequent_indent=_BELOW, **_WHOLE)
        for line in lines:
            whisper(line.rstrip().replace(_TIE, " "))
    for line in wrap(printable(outcome.explanation), columns, **_WHOLE):
        whisper(line)


def _tied(terms: str) -> str:
    """Terms whose numbers stay on the line of their names."""
    return terms.replace(" +", f"{_TIE}+").replace(" -", f"{_TIE}-")


def _columns() -> int:
    """Columns of the terminal, or what ``COLUMNS`` says; a pipe gets whole lines."""
    told = os.environ.get("COLUMNS", "")
    try:
        found = int(told) if told.isdecimal() else os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return _UNBOUNDED
    return max(found or _UNBOUNDED, _LEAST)


def _row(candidate: Candidate, outcome: Selected | Parked | Unavailable) -> tuple[str, ...]:
    score, ready_at = candidate.selection_score, candidate.ready_at
    ready = "only a person can help" if ready_at is None else "now"
    if ready_at is not None and not candidate.ready:
        ready = f"in {duration(ready_at.timestamp() - outcome.decided)}"
    return (
        f"{'>' if candidate.account == outcome.account else ' '} {printable(candidate.account)}",
        candidate.selection_reason or "",
        "-" if score is None else f"{score:.3f}",
        ready,
        "  ".join(f"{name} {value:+.3f}" for name, value in candidate.score.terms.items() if value),
    )
