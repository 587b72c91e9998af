"""`rotator poll`: what the quota endpoints say of each account, learned and told in a line each.

Refuses: asking (``wire.polling``), and taking an endpoint's silence for anything but that.
"""

from __future__ import annotations

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import IO, OK
from rotator.cli.gauge import Gauge
from rotator.cli.naming import account_of
from rotator.cli.params import Words, completing, json_option, names_of
from rotator.cli.voice import local, printable, say, say_json
from rotator.core.explain import percent
from rotator.core.instants import rfc3339
from rotator.core.status import SCHEMA_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from rotator.core.providers import WindowReading
    from rotator.wire.polling import PollResult

SOME_FAILED = 1
_SHOWN = 6
"""Windows in a line; Cloud Code lists one for each of some thirty models, and the tightest come first."""


@click.command(
    "poll",
    epilog="""\b
Examples:
  rotator poll                        everybody whose turn it is
  rotator poll a@example.com --force  this one, even if it was asked a minute ago
  rotator poll --json | jq '.polls[] | select(.outcome == "failed")'
  */10 * * * * rotator poll >/dev/null    from cron; what is not due is not asked

\b
Endpoints:
  anthropic         /api/oauth/usage (subscriptions; an API key has none)
  codex             /backend-api/wham/usage
  google-cloudcode  retrieveUserQuota and fetchAvailableModels
  openrouter        /api/v1/key
  github-copilot    /copilot_internal/user
  github            /rate_limit
At the account's base_url when it has one. Other providers tell their limits in the headers
of each response alone, and need no polling.

\b
These endpoints throttle whoever asks every minute: each is asked at most every
policy.poll_interval seconds (300), less often after failures and when it says so. A poll
that fails changes no account's readiness; it lowers the confidence in what is known.

\b
Exit codes:
  0    every account answered, was not due, or has no endpoint
  1    an endpoint gave no answer, or a credential is missing or refused
  2    no such account
  66, 74, 77, 78   no file, I/O, permission, file not valid""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=Words(), shell_complete=completing(names_of))
@click.option("--force", is_flag=True, help="Ask even where the endpoint is to be left alone.")
@json_option()
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], *, force: bool, as_json: bool) -> int:
    """Read the quota endpoints of these accounts, or of all, and learn what is left and when it resets.

    No quota is spent. Accounts of one host are asked one after the other, a second or so apart, four hosts at once.
    """
    from rotator.cli.opening import Opened
    from rotator.wire.polling import FAILED, poll

    opened = Opened(path_of(ctx.obj))
    with opened as rotator:
        for name in names:
            account_of(rotator.pool, name)
        with Gauge("polling") as gauge:
            results = poll(rotator, names or None, force=force, progress=gauge.show)
    if as_json:
        polls = [_told(result) for result in results]
        say_json({"schema_version": SCHEMA_VERSION, "durable": opened.durable, "polls": polls})
    else:
        for result in results:
            say(printable(_line(result)))
    if opened.failed:
        return IO
    return SOME_FAILED if any(result.outcome == FAILED for result in results) else OK


def _line(result: PollResult) -> str:
    """``a@example.com usage: 5h 89 % left, resets 2026-11-20 14:30:00+01:00; next poll 2026-11-20 12:05:00+01:00``."""
    name = result.account if result.endpoint is None else f"{result.account} {result.endpoint}"
    if result.reason:
        what = f"{result.outcome.replace('_', ' ')}, {result.reason}"
    else:
        what = _windows(result.windows) or "it names no limit"
    return f"{name}: {what}" + ("" if result.next_at is None else f"; next poll {local(result.next_at)}")


def _windows(windows: tuple[WindowReading, ...]) -> str:
    shown = sorted(
        [window for window in windows if not window.informative],
        key=lambda window: 2.0 if window.remaining_fraction is None else window.remaining_fraction,
    )
    parts = []
    for window in shown[:_SHOWN]:
        left = "unknown" if window.remaining_fraction is None else f"{percent(window.remaining_fraction)} left"
        until = "" if window.reset_time is None else f" (resets {local(window.reset_time)})"
        parts.append(f"{window.name} {left}{until}")
    more = len(shown) - _SHOWN
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _told(result: PollResult) -> dict[str, Any]:
    return {
        "account": result.account,
        "provider": result.provider,
        "endpoint": result.endpoint,
        "outcome": result.outcome,
        "reason": result.reason or None,
        "at": _instant(result.at),
        "next_at": _instant(result.next_at),
        "windows": [
            {
                "name": window.name,
                "model": window.model,
                "remaining_fraction": window.remaining_fraction,
                "reset_time": _instant(window.reset_time),
                "informative": window.informative,
            }
            for window in result.windows
        ],
    }


def _instant(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value.timestamp())
