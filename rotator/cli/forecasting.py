"""`rotator forecast`: when quota ends at the present burn, who serves next and when, and when nobody can.

Refuses: forecasting (``core.forecast``), drawing (``simulate.drawing``). Nothing is chosen or written.
"""

from __future__ import annotations

import sys

import click

from rotator.cli.accounts import path_of
from rotator.cli.cells import Zone
from rotator.cli.opening import Opened
from rotator.cli.params import Length, Words, json_option, model_option
from rotator.cli.voice import printable, say, say_json, talk
from rotator.core.explain import duration, percent
from rotator.core.forecast import outlook, windows
from rotator.core.instants import rfc3339
from rotator.core.state import NEVER
from rotator.core.value import Value
from rotator.server.overview import known_models

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rich.console import Console, RenderableType

    from rotator.core.forecast import Outlook, Spell, Switch, WindowOutlook
    from rotator.core.pool import Pool

SCHEMA_VERSION = 1
_UNBOUNDED = 100_000
_HOUR_SECS = 3600.0
_LEAST_SECS, _MOST_SECS = 60.0, 31 * 86400.0
_MOST_BURN = 1000.0
_MOST_MODELS = 8
"""Models that are looked at when none is named: each takes a tenth of a second."""
_SHOWN = 12
"""Changes of one model that a table shows; JSON has more."""
_NOTHING = (
    "nothing is known yet of what is left: let requests be served (and `rotator report` their responses), or read the "
    "providers' quota endpoints with `rotator poll`"
)


class _Burn(click.ParamType):  # type: ignore[type-arg]  # click 8.2 has none
    """A multiple of the present burn: ``2x`` or ``0.5``."""

    name = "burn"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The factor; a usage error for anything but a number above 0, at most a thousand."""
        text = str(value).strip().removesuffix("x")
        try:
            factor = float(text)
        except ValueError:
            factor = 0.0
        if not 0 < factor <= _MOST_BURN:
            self.fail("the burn is a multiple of the present one, such as 2x or 0.5", param, ctx)
        return factor


class Foreseen(Value):
    """All that one run tells: from ``now`` to ``until``, at ``factor`` times the present burn."""

    now: float
    until: float
    factor: float
    windows: tuple[WindowOutlook, ...]
    models: tuple[Outlook, ...]
    known: bool
    left_out: int


@click.command(
    "forecast",
    epilog="""\b
Examples:
  rotator forecast
  rotator forecast -m gemini-3-pro --for 7d
  rotator forecast --burn 2x --json
  rotator forecast -m gemini-3-pro --plot ahead.svg

\b
Exit codes:
  0 shown    2 usage    66 no file    74 I/O    77 permission    78 file not valid    130 Ctrl-C""",
)
@model_option(required=False, meaning="Only this model, known or not. Otherwise every known one.")
@click.option(
    "--for", "ahead", metavar="TIME", type=Length(), default=86400.0, help="How far ahead, such as 7d; else 24h."
)
@click.option(
    "--burn", "factor", metavar="N", type=_Burn(), default=1.0, help="What if: this multiple of the burn (2x)."
)
@json_option()
@click.option("--plot", metavar="FILE", type=Words(), help="Draw what will be left: .png or .svg.")
@click.option("--utc", is_flag=True, help="Show UTC instead of local time.")
@click.pass_context
def command(ctx: click.Context, /, model: str | None, *, as_json: bool, utc: bool, **given: Any) -> None:
    """Foresee, at the present burn, when quota ends, which account serves next and when, and when nobody can.

    A window lasts when its reset comes before its limit. Who serves is what `rotator next` would choose then, as if all
    requests were for that model; what refuses or comes back by surprise is not foreseen, nor what stays for its session.
    """
    secs, factor, plot = given["ahead"], given["factor"], given["plot"]
    if not _LEAST_SECS <= secs <= _MOST_SECS:
        message = "--for is from 1m to 31d"
        raise click.UsageError(message, ctx)
    if plot is not None:
        from rotator.simulate.drawing import check

        check(plot)
    with Opened(path_of(ctx.obj)) as rotator:
        seen = rotator.explain("")  # looks at the file
        pool, now = seen.pool, seen.decided
    names = [model] if model is not None else known_models(pool)
    if plot is not None and not names:
        message = "--plot needs a model, and none is known yet: name one with -m"
        raise click.UsageError(message, ctx)
    told = foresee(pool, now, names, secs, factor)
    if as_json:
        say_json(as_object(told))
    else:
        _say_tables(told, Zone(now, _utc() if utc else None))
    if plot is not None:
        from rotator.simulate.drawing import draw

        draw(outlook(pool, names[0], now, secs=secs, factor=factor, sampled=True), now, plot, factor)
    if not told.known and not as_json:
        talk(_NOTHING)


def foresee(pool: Pool, now: float, models: list[str], secs: float, factor: float) -> Foreseen:
    """The forecast of these models, the first few when there are many."""
    each = windows(pool, now, factor=factor)
    ahead = tuple([outlook(pool, model, now, secs=secs, factor=factor) for model in models[:_MOST_MODELS]])
    left_out = max(len(models) - _MOST_MODELS, 0)
    return Foreseen(now, now + secs, factor, each, ahead, bool(each), left_out)


def as_object(told: Foreseen) -> dict[str, Any]:
    """The JSON object; instants RFC 3339, fractions 0..1, burn as the fraction of a window in an hour."""
    return {
        "schema_version": SCHEMA_VERSION,
        "at": rfc3339(told.now),
        "until": rfc3339(told.until),
        "burn_factor": told.factor,
        "known": told.known,
        "note": None if told.known else _NOTHING,
        "models_left_out": told.left_out,
        "windows": [_window_object(each) for each in told.windows],
        "models": [_model_object(each) for each in told.models],
    }


def _window_object(each: WindowOutlook) -> dict[str, Any]:
    return {
        "account": each.account,
        "model": each.model,
        "window": each.window,
        "remaining_fraction": each.remaining_fraction,
        "burn_per_hour": round(each.burn * _HOUR_SECS, 6),
        "min_remaining": each.reserve,
        "reserve_at": _instant(each.reserve_at),
        "limit_at": _instant(each.limit_at),
        "reset_time": _instant(each.reset_time),
        "lasts": each.lasts,
    }


def _model_object(each: Outlook) -> dict[str, Any]:
    return {
        "model": each.model,
        "account": each.account,
        "until": rfc3339(each.until),
        "complete": not each.cut,
        "changes": each.told,
        "switches": [
            {
                "at": rfc3339(switch.at),
                "previous": switch.previous,
                "account": switch.account,
                "selection_reason": switch.reason,
                "explanation": switch.explanation,
            }
            for switch in each.switches
        ],
        "parked": [
            {"at": rfc3339(spell.at), "until": _instant(spell.until), "secs": _secs(spell, each.until)}
            for spell in each.spells
        ],
    }


def _secs(spell: Spell, end: float) -> float:
    """How long nobody is ready within the forecast."""
    return round(max(min(spell.until, end) - spell.at, 0.0), 3)


def _instant(value: float | None) -> str | None:
    return None if value is None or value == NEVER else rfc3339(value)


def _say_tables(told: Foreseen, zone: Zone) -> None:
    console = _console()
    burn = "at the present burn" if told.factor == 1 else f"at {told.factor:g} times the present burn"
    head = f"from {zone.time(told.now)} {zone.offset} for {duration(told.until - told.now)}, {burn}"
    parts: list[RenderableType] = [head]
    if told.windows:
        parts += ["", _windows_table(told.windows, zone)]
    for each in told.models:
        parts += ["", *_model_lines(each, zone)]
    if told.left_out:
        parts += ["", f"and {told.left_out} more models: -m MODEL shows one"]
    with console.capture() as shown:
        for part in parts:
            console.print(part)
    lines = [line.rstrip() for line in shown.get().rstrip("\n").split("\n")]
    say("\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before))


def _windows_table(rows: tuple[WindowOutlook, ...], zone: Zone) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("account", "window", "left", "burn", "reserve", "limit", "resets", ""):
        table.add_column(name, justify="right" if name in ("left", "burn") else "left", overflow="fold")
    for row in rows:
        name = row.window if row.model is None else f"{row.window} ({row.model})"
        style = {True: "green", False: "red", None: "dim"}[row.lasts]
        verdict = {True: "lasts", False: "ends before its reset", None: "cannot be told"}[row.lasts]
        cells = (
            printable(row.account),
            printable(name),
            percent(row.remaining_fraction),
            f"{100 * row.burn * _HOUR_SECS:.1f} %/h" if row.burn else "-",
            _reached(row.reserve_at, row.reset_time, zone),
            _reached(row.limit_at, row.reset_time, zone),
            "-" if row.reset_time is None else zone.when(row.reset_time),
        )
        table.add_row(*map(Text, cells), Text(verdict, style))
    return table


def _reached(at: float | None, reset: float | None, zone: Zone) -> str:
    """When a threshold is reached, unless the window is reset before that."""
    if at is None or (reset is not None and at >= reset):
        return "-"
    return "now" if at <= zone.now else zone.when(at)


def _model_lines(each: Outlook, zone: Zone) -> list[RenderableType]:
    """Who serves now, and one line for each change that comes."""
    from rich.text import Text

    heading = Text(printable(each.model), "bold").append(": ", "dim")
    heading.append(printable(each.account or "nobody"), "green" if each.account else "yellow")
    changes: list[Switch | Spell] = sorted([*each.switches, *each.spells], key=lambda change: change.at)
    lines: list[RenderableType] = [heading]
    if not changes:
        lines.append(Text(f"  stays until {zone.time(each.until)}", "dim"))
    lines += [Text(f"  {_change(change, zone)}") for change in changes[:_SHOWN]]
    if each.told > _SHOWN:
        lines.append(Text(f"  and {each.told - _SHOWN} more changes (--json)", "dim"))
    if each.cut:
        lines.append(Text(f"  not looked further than {zone.time(each.until)}", "dim"))
    return lines


def _change(change: Any, zone: Zone) -> str:
    when = "now" if change.at <= zone.now else zone.when(change.at)
    if hasattr(change, "account"):
        return (
            f"{when}: {printable(change.account)} ({change.reason.replace('_', ' ')}) {printable(change.explanation)}"
        )
    if change.until == NEVER:
        return f"{when}: nobody, until a person helps"
    return f"{when}: nobody is ready for {duration(change.until - change.at)}, until {zone.time(change.until)}"


def _utc() -> Any:
    from datetime import UTC

    return UTC


def _console() -> Console:
    """As wide as the terminal; a pipe gets whole lines."""
    from rich.console import Console

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(width=None if on_terminal else _UNBOUNDED, highlight=False, emoji=False, markup=False)
