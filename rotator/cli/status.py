"""`rotator status`: every account, what it can serve and why, for a person or as JSON.

Refuses: taking a choice, laying it out (``screen``), repeating it (``watch``).
"""

from __future__ import annotations

import sys

import click

from rotator.cli.accounts import path_of
from rotator.cli.opening import Opened
from rotator.cli.params import json_option, model_option
from rotator.cli.voice import say, say_json
from rotator.server.overview import decisions, file_json, modelless, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.console import Console

    from rotator.cli.screen import Screen
    from rotator.engine import Rotator

_UNBOUNDED = 100_000
"""Columns of a pipe: one line per account, whole, for grep."""


@click.command(
    "status",
    epilog="""\b
Examples:
  rotator status
  rotator status -m gemini-3-pro --json
  rotator status --watch

\b
--json prints what `rotator next -m MODEL --peek --json` does, with `file` beside it,
and without -m one object with `models`, one such object for each known model. A model of
which nothing is known but that it was released is shown for -m alone.

\b
Exit codes:
  0 shown    2 usage    66 no file    77 permission    78 the file is not valid    130 Ctrl-C""",
)
@model_option(required=False, meaning="Only this model, known or not. Otherwise every known one.")
@json_option()
@click.option("--watch", is_flag=True, help="Stay, and show every change; needs a terminal. Ctrl-C leaves.")
@click.option("--utc", is_flag=True, help="Show UTC instead of local time.")
@click.pass_context
def command(ctx: click.Context, model: str | None, *, as_json: bool, watch: bool, utc: bool) -> None:
    """Show every account: state, next ready, what is left, score, why.

    Nothing is chosen or written: it says what `rotator next` would do now. The marked account is the one that it would
    print. A parked pool is a status too, so the exit code is 0.
    """
    if watch and (as_json or not _on_terminal()):
        message = "--watch draws on a terminal; for programs use --json, again for each look"
        raise click.UsageError(message, ctx)
    with Opened(path_of(ctx.obj)) as rotator:
        if as_json:
            say_json(status(rotator, model))
            return
        console = _console()
        if watch:
            from rotator.cli.watch import keep_showing

            keep_showing(lambda: picture(rotator, model, utc=utc), lambda: rotator.pool, console)
        drawn = picture(rotator, model, utc=utc)
        try:
            with console.capture() as shown:
                console.print(drawn)
        except OSError as error:  # a capture ends with a write of nothing, which an unbuffered stdout passes on
            raise OSError(error.errno, error.strerror, "stdout") from None
        say(shown.get().rstrip("\n"))


def picture(rotator: Rotator, model: str | None, *, utc: bool) -> Screen:
    """What is shown of an engine now; accounts without a model when none is known."""
    from datetime import UTC

    from rotator.cli.screen import Screen

    outcomes, note = decisions(rotator, model), ""
    if not outcomes:
        outcomes, note = [modelless(rotator)], "no model is known yet; -m MODEL asks for one"
    return Screen(outcomes, file_json(rotator), zone=UTC if utc else None, note=note)


def _console() -> Console:
    """As wide as the terminal, or as ``COLUMNS`` says; rich heeds ``NO_COLOR``, ``FORCE_COLOR`` and ``TERM`` itself."""
    import os

    from rich.console import Console

    bounded = _on_terminal() or os.environ.get("COLUMNS", "").isdigit()
    return Console(width=None if bounded else _UNBOUNDED, highlight=False, emoji=False, markup=False, soft_wrap=False)


def _on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()
