"""A decision as plain aligned text: every candidate with its reason, score and terms, and the decision in one line.

Refuses: colours, and cutting a name short to fit a terminal.
"""

from __future__ import annotations

from rotator.cli.voice import printable, whisper
from rotator.core.explain import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.selection import Candidate, Parked, Selected, Unavailable

_HEAD = ("  account", "reason", "score", "ready", "terms")
_NUMBER = 2
"""The column that is set flush right."""


def show(outcome: Selected | Parked | Unavailable) -> None:
    """Write the table and the explanation to stderr."""
    rows = [_HEAD, *(_row(candidate, outcome) for candidate in outcome.candidates)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if place == _NUMBER else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        whisper("  ".join(cells).rstrip())
    whisper(printable(outcome.explanation))


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
