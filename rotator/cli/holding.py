"""``hold`` and ``release``: a person sets an account aside, and gives it back. Refuses: facts that nobody stated."""

from __future__ import annotations

from datetime import timedelta

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import IO, OK
from rotator.cli.moments import instant
from rotator.cli.naming import account_of
from rotator.cli.params import Length, Words, json_option, model_option, name_argument
from rotator.cli.voice import LATEST, local, printable, say, say_json
from rotator.clock import MachineClock
from rotator.core.explain import blocked, cure, duration
from rotator.core.instants import rfc3339
from rotator.core.status import SCHEMA_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from rotator.cli.opening import Opened
    from rotator.core.state import Account

_EXIT_CODES = """

\b
Exit codes:
  0    done (with a warning where the file cannot be written: then it is forgotten)
  2    no such account{}
  66, 74, 77, 78   no file, I/O, permission, file not valid"""


@click.command(
    "hold",
    epilog="""\b
Examples:
  rotator hold a@example.com
  rotator hold a@example.com --for 5h
  rotator hold a@example.com --until 17:30 -m gemini-3-pro"""
    + _EXIT_CODES.format(", or a time that means nothing"),
)
@name_argument()
@click.option(
    "--until", metavar="T", type=Words(), help="RFC 3339, or local: HH:MM (the next one) or 'YYYY-MM-DD HH:MM'."
)
@click.option("--for", "length", metavar="D", type=Length(), help="90 (seconds), 30s, 15m, 5h, 2d, 1h30m.")
@model_option(required=False, meaning="Only for this model.")
@json_option()
@click.pass_context
def hold_command(
    ctx: click.Context, name: str, until: str | None, length: float | None, model: str | None, *, as_json: bool
) -> int:
    """Set account NAME aside: it is not chosen until the hold ends. Without --until and --for only `release` ends it."""
    now = MachineClock().now()
    end = _end(until, length, now)
    opened = _opened(ctx)
    with opened as rotator:
        account_of(rotator.pool, name)
        rotator.hold(name, until=end, model=model)
    if as_json:
        told = None if end is None else rfc3339(end.timestamp())
        _say_json(name, model, durable=opened.durable, held=True, until=told)
    else:
        how_long = (
            f"until {local(end)} (in {duration((end - now).total_seconds())})" if end else "until `rotator release`"
        )
        say(printable(f"{name}{_for(model)}: on hold {how_long}"))
    return IO if opened.failed else OK


@click.command(
    "release",
    epilog="""\b
Examples:
  rotator release a@example.com
  rotator release a@example.com -m gemini-3-pro"""
    + _EXIT_CODES.format(""),
)
@name_argument()
@model_option(required=False, meaning="Only for this model.")
@json_option()
@click.pass_context
def release_command(ctx: click.Context, name: str, model: str | None, *, as_json: bool) -> int:
    """Give account NAME back: its hold ends, and so do cooldowns and states such as banned that were learned.

    With -m only those of that model end; what still blocks the account itself is said.
    """
    opened = _opened(ctx)
    with opened as rotator:
        account_of(rotator.pool, name)
        rotator.release(name, model=model)
        after = rotator.pool
    account, now = account_of(after, name), MachineClock().now().timestamp()
    if model is None:
        account = account.replace(models=("*",))
    ready_at, word = account.ready_at(model or "", after.policy)
    if ready_at <= now:
        word = None
    if as_json:
        _say_json(name, model, durable=opened.durable, held=False, until=None, blocked_by=word)
    else:
        still = "" if word is None else f"; {_still(account, word, ready_at, now)}"
        say(printable(f"{name}{_for(model)}: released{still}"))
    return IO if opened.failed else OK


def _still(account: Account, word: str, ready_at: float, now: float) -> str:
    blocks = blocked(account, word, ready_at, now).removeprefix(account.name)
    return f"the account itself{blocks}: {cure(word)}"


def _end(until: str | None, length: float | None, now: datetime) -> datetime | None:
    """When a hold ends; None is never, and so is what is beyond ``LATEST``. A usage error for both, for what is no time, and for the past."""
    if until is not None and length is not None:
        message = "--until and --for say the same; give one of them"
        raise click.UsageError(message)
    if length == 0:
        message = "--for 0 ends at once; to give an account back there is `rotator release`"
        raise click.UsageError(message)
    if length is not None:
        return now + timedelta(seconds=length) if length < LATEST - now.timestamp() else None
    if until is None:
        return None
    end = instant(until, now)
    if end is None:
        message = "--until takes RFC 3339 (2026-11-20T17:30:00Z), or local HH:MM or 'YYYY-MM-DD HH:MM'"
        raise click.UsageError(message)
    if end <= now:
        message = f"--until {local(end)} is in the past"
        raise click.UsageError(message)
    return end if end.timestamp() < LATEST else None


def _opened(ctx: click.Context) -> Opened:
    from rotator.cli.opening import Opened

    return Opened(path_of(ctx.obj))


def _for(model: str | None) -> str:
    return "" if model is None else f" for {model}"


def _say_json(
    name: str, model: str | None, *, durable: bool, held: bool, until: str | None, **more: str | None
) -> None:
    say_json(
        {
            "schema_version": SCHEMA_VERSION,
            "account": name,
            "model": model,
            "held": held,
            "held_until": until,
            "durable": durable,
            **more,
        }
    )
