"""``next`` and ``park`` as click commands. Refuses: deciding; ``next.answer`` and ``waiting`` do."""

from __future__ import annotations

import click

from rotator.cli.options import Asked
from rotator.cli.params import Length, from_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@click.command(
    "next",
    epilog="""\b
Examples:
  rotator next -m gemini-3-pro
  account=$(rotator next -m gemini-3-pro --wait 10m) || exit
  rotator next -m gemini-3-pro --peek --explain
  rotator next -m gemini-3-pro --record picks.jsonl

\b
Exit codes:
  0    the account's name is on stdout
  69   nobody can serve until a person helps; stderr says how
  75   nobody is ready yet; stderr and --json say until when
  124  --wait ran out
  66, 74, 77, 78   no file, I/O, permission, file not valid""",
)
@from_table()
@click.pass_context
def next_command(ctx: click.Context, /, **given: Any) -> int:
    """Print the name of the account that can best serve the next request of MODEL, and make it the active one.

    The name is all that stdout gets. Choosing the account that is active already writes nothing.
    """
    asked = Asked(ctx.obj, **given)
    if asked.peek and asked.record is not None:
        message = "--peek takes nothing, so there is nothing to --record"
        raise click.UsageError(message)
    if asked.wait is None:
        from rotator.cli.next import answer

        return answer(asked)
    if asked.peek:
        message = "--peek takes nothing, so it cannot --wait"
        raise click.UsageError(message)
    from rotator.cli.waiting import wait

    return wait(asked, asked.wait)


@click.command(
    "park",
    epilog="""\b
Examples:
  rotator park -m gemini-3-pro && run-the-batch
  rotator park -m gemini-3-pro --timeout 6h

\b
Exit codes:
  0    the account's name is on stdout
  69   waiting cannot help, a person must; at once
  124  --timeout ran out
  130  Ctrl-C (143 for SIGTERM, 129 for SIGHUP)
  66, 74, 77, 78   no file, I/O, permission, file not valid""",
)
@from_table("model", "session", "tags", "json", "explain", "record")
@click.option("--timeout", metavar="SECS", type=Length(), help="Give up after this long (90, 15m, 5h); else never.")
@click.pass_context
def park_command(ctx: click.Context, /, timeout: float | None, **given: Any) -> int:
    """Wait until somebody is ready for MODEL, then print the name and make the account active.

    It wakes at the earliest instant that can help, and earlier when somebody edits the file, releases an account or
    learns that quota is back. A terminal shows a countdown on stderr; elsewhere stderr gets a line a minute.
    """
    from rotator.cli.waiting import wait

    return wait(Asked(ctx.obj, **given), timeout)
