"""Decisions laid out for a terminal of any width, or for a pipe.

Every account has one line of cells; what does not fit goes to a line below it, and a name is never cut. Refuses: what the
cells say (``cells``), deciding, knowing what the console is: rich tells the width, the encoding and whether there is colour.
"""

from __future__ import annotations

from rich.text import Text

from rotator.cli.cells import Zone, known, why, window_name
from rotator.cli.voice import printable
from rotator.core.explain import binding, percent
from rotator.core.state import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from typing import Any

    from rich.console import Console, ConsoleOptions, RenderResult

    from rotator.core.selection import Candidate, Parked, Selected, Unavailable
    from rotator.core.state import Account

_GAP = 2
_BAR_CELLS = 8
_LOW = 0.25
"""Remaining fraction under which a bar turns yellow: a quarter tank."""
_STYLES = {None: "green", "cooldown": "yellow", "quota": "yellow", "held": "cyan", "disabled": "dim"}
_BLOCKED_STYLE = "red"
_TITLES = {
    "mark": "",
    "account": "account",
    "state": "state",
    "ready": "next ready",
    "away": "next ready",
    "left": "left",
    "share": "left",
    "resets": "resets",
    "until": "resets",
    "score": "score",
    "why": "why",
    "known": "",
}
_LAYOUTS = (
    ("mark", "account", "state", "ready", "left", "resets", "score", "why", "known"),
    ("mark", "account", "state", "ready", "left", "resets", "score", "why"),
    ("mark", "account", "state", "ready", "left", "until", "score"),
    ("mark", "account", "state", "ready", "left", "score"),
    ("mark", "account", "state", "away", "left", "score"),
    ("mark", "account", "state", "away", "share", "score"),
    ("mark", "account", "state", "away", "share"),
    ("mark", "account", "state", "away"),
    (),
)
"""Cells on an account's own line, the widest first: the first that fits is taken. With none, the name stands alone."""
_BELOW = (("share", "left"), ("resets", "until"), ("score", "score"), ("why", "why"), ("known", "known"))
"""Cells that go below unless they, or what tells the same, stand above."""
_BELOW_WORDS = {"share": "{} left", "resets": "resets {}", "score": "score {}"}
_INDENT = 3
_DOT = " · "


class Screen:
    """A renderable: the file, then for each decision what it is and every account in file order.

    ``file`` is as in ``status_json``; ``zone`` None is the machine's local time. ``note`` is a line about the whole.
    """

    def __init__(
        self,
        outcomes: list[Selected | Parked | Unavailable],
        file: dict[str, Any],
        *,
        zone: tzinfo | None = None,
        note: str = "",
    ) -> None:
        self._outcomes = outcomes
        self._file = file
        self._zone = zone
        self._note = note

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        sections = [(outcome, self._rows(outcome, plain=plain)) for outcome in self._outcomes]
        cells = [cells for _, rows in sections for cells in rows]
        widths = {key: max([len(title), *(row[key].cell_len for row in cells)]) for key, title in _TITLES.items()}
        layout = next(keys for keys in _LAYOUTS if _width(keys, widths) <= options.max_width)
        yield self._head()
        if self._note:
            yield Text(self._note, "dim")
        for outcome, rows in sections:
            yield Text()
            yield _heading(outcome, plain=plain)
            yield from _wrapped(Text(printable(outcome.explanation)), 0, console, options)
            if rows:
                yield Text()
                yield from _grid(rows, layout, widths, console, options)

    def _head(self) -> Text:
        file = self._file
        head = Text(overflow="fold").append(printable(file["path"] or "no file"), "bold")
        head.append(f"  mode {file['mode']}, ", "dim")
        head.append("durable", "green") if file["durable"] else head.append("not durable", "yellow")
        if file["last_error"]:
            head.append(f": {printable(file['last_error'])}", "yellow")
        if self._outcomes:
            zone = Zone(self._outcomes[0].decided, self._zone)
            head.append(f"  {zone.time(zone.now)} {zone.offset}", "dim")
        return head

    def _rows(self, outcome: Selected | Parked | Unavailable, *, plain: bool) -> list[dict[str, Text]]:
        zone = Zone(outcome.decided, self._zone)
        candidates = outcome.candidates
        chosen = next((c for c in candidates if c.account == outcome.account), None)
        return [_cells(c, chosen, outcome, zone, plain=plain) for c in candidates]


def _cells(
    candidate: Candidate,
    chosen: Candidate | None,
    outcome: Selected | Parked | Unavailable,
    zone: Zone,
    *,
    plain: bool,
) -> dict[str, Text]:
    account = outcome.pool.account(candidate.account)
    best, style = candidate is chosen, _STYLES.get(candidate.blocked_by, _BLOCKED_STYLE)
    left, window = binding(account, outcome.model, zone.now)
    reset = None if window is None else window.reset_time
    ready_at = NEVER if candidate.ready_at is None else candidate.ready_at.timestamp()
    help_needed = ready_at == NEVER
    score = candidate.selection_score
    facts = known(account, outcome.model, zone, active=account.name == outcome.pool.active)
    return {
        "mark": Text(("*" if plain else "●") if best else " ", "bold green"),
        "account": Text(printable(candidate.account), "bold" if best else "dim" if help_needed else ""),
        "state": Text((candidate.blocked_by or "ready").replace("_", " "), style),
        "ready": Text("needs you" if help_needed else "now" if candidate.ready else zone.when(ready_at)),
        "away": Text("needs you" if help_needed else "now" if candidate.ready else zone.away(ready_at)),
        "left": _left(account, left, outcome, window_name(window), plain=plain),
        "share": Text("" if left is None else percent(left)),
        "resets": Text("" if reset is None else zone.when(reset), "dim"),
        "until": Text("" if reset is None else zone.away(reset), "dim"),
        "score": Text("" if score is None else f"{score:.2f}", "" if candidate.ready else "dim"),
        "why": Text(why(candidate, chosen), "green" if best else "dim"),
        "known": Text(", ".join(facts).replace("×", "x") if plain else _DOT.join(facts), "dim"),  # noqa: RUF001
    }


def _left(
    account: Account, left: float | None, outcome: Selected | Parked | Unavailable, name: str, *, plain: bool
) -> Text:
    """A bar, per cent and the window's name: ``━━━━━─── 63 % 5h``."""
    if left is None:
        return Text("unknown", "dim")
    reserve = outcome.pool.policy.min_remaining if account.min_remaining is None else account.min_remaining
    style = "red" if left < reserve else "yellow" if left < _LOW else "green"
    full, half = divmod(round(left * _BAR_CELLS * 2), 2)
    done = "#" * full if plain else "━" * full + "╸" * half
    bar = Text().append(done, style).append(("." if plain else "─") * (_BAR_CELLS - len(done)), "dim")
    bar.append(f" {percent(left):>5}", style)
    return bar.append(f" {name}", "dim") if name else bar


def _heading(outcome: Selected | Parked | Unavailable, *, plain: bool) -> Text:
    """The model and who serves it, or what stands instead."""
    style = {"selected": "bold green", "parked": "bold yellow"}.get(outcome.outcome, "bold red")
    arrow = " -> " if plain else " → "
    heading = Text(overflow="fold").append(printable(outcome.model), "bold").append(arrow, "dim")
    return heading.append(printable(outcome.account or outcome.outcome), style)


def _wrapped(text: Text, indent: int, console: Console, options: ConsoleOptions) -> Iterator[Text]:
    for line in text.wrap(console, max(options.max_width - indent, 1), overflow="fold"):
        line.rstrip()
        yield Text(" " * indent) + line


def _width(keys: tuple[str, ...], widths: dict[str, int]) -> int:
    return sum(widths[key] for key in keys) + _GAP * (len(keys) - 1)


def _grid(
    rows: list[dict[str, Text]],
    keys: tuple[str, ...],
    widths: dict[str, int],
    console: Console,
    options: ConsoleOptions,
) -> Iterator[Text]:
    own = keys or ("mark", "account")
    if keys:
        yield _line({key: Text(title, "dim") for key, title in _TITLES.items()}, keys, widths)
    for cells in rows:
        yield _line(cells, own, widths if keys else {})
        below = _below(cells, keys, ", " if options.ascii_only else _DOT)
        if below:
            yield from _wrapped(below, _INDENT, console, options)


def _line(cells: dict[str, Text], keys: tuple[str, ...], widths: dict[str, int]) -> Text:
    """Cells side by side, numbers to the right, nothing behind the last."""
    line = Text(overflow="fold")
    for key in keys:
        pad = " " * (widths.get(key, 0) - cells[key].cell_len)
        line.append_text(Text(pad) + cells[key] if key in ("score", "share") else cells[key] + Text(pad))
        line.append(" " * _GAP)
    line.rstrip()
    return line


def _below(cells: dict[str, Text], keys: tuple[str, ...], between: str) -> Text:
    """What the account's own line does not hold, nothing twice."""
    parts = [] if keys else [cells["state"], cells["away"]]
    for key, same in _BELOW:
        text = cells[key].plain
        if key in keys or same in keys or not text or (key == "why" and text == cells["state"].plain):
            continue
        style = cells[key].style
        parts.append(Text(_BELOW_WORDS.get(key, "{}").format(text), style))
    return Text(between, "dim").join(parts)
