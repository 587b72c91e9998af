"""``ingest``: quota that Claude Code and Codex were told of anyway, told to the engine; they never report by themselves.

Refuses: understanding what a provider says (``core.providers``), any verdict: a quota reading is no success and no refusal.
"""

from __future__ import annotations

import json
import os
import sys
import time

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import IO, OK
from rotator.cli.hearing import Heard, account_for, hear, line_of, object_of
from rotator.cli.params import Words, completing, json_option, names_of
from rotator.cli.rollouts import folder_of, latest
from rotator.cli.voice import printable, say, say_json, talk
from rotator.core.instants import tidy
from rotator.errors import AccountsDenied, AccountsInvalid, AccountsMissing, RotatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATUSLINE, SESSIONS = "claude-statusline", "codex-sessions"
NO_INPUT, DENIED = AccountsMissing.exit_code, AccountsDenied.exit_code
"""Of the sessions' folder, as of the accounts' file."""
_MOST_BYTES = 1024 * 1024
"""Of stdin. Our choice: what Claude Code writes there is a few kilobytes."""


@click.command(
    "ingest",
    epilog="""\b
Examples:
  rotator ingest claude-statusline < status.json
  rotator ingest codex-sessions --account work

\b
Claude Code, ~/.claude/settings.json (claude.ai plans only; others have no rate_limits):
  {"statusLine": {"type": "command", "command": "rotator ingest claude-statusline"}}

\b
Codex, each minute by cron, or from a systemd timer:
  * * * * * rotator ingest codex-sessions > /dev/null

\b
The account is --account, else ROTATOR_ACCOUNT (`rotator run` and `rotator env` set it), else the
active one of the provider (anthropic, codex), else the only one. A program started without your
shell finds the file by --accounts PATH or ROTATOR_ACCOUNTS.

\b
Exit codes:
  0    learned, or there was nothing to learn; claude-statusline always ends so
  2    no such account, or it is not clear which one
  66, 74, 77, 78   no file or folder, I/O, permission, file not valid""",
)
@click.argument("source", type=click.Choice([STATUSLINE, SESSIONS]))
@click.option(
    "--account",
    metavar="NAME",
    type=Words(),
    help="Whose quota it is.",
    shell_complete=completing(names_of),
)
@click.option(
    "--dir", "folder", metavar="DIR", type=Words(), help="Codex's sessions; else $CODEX_HOME or ~/.codex, /sessions."
)
@json_option()
@click.pass_context
def command(ctx: click.Context, /, source: str, account: str | None, folder: str | None, *, as_json: bool) -> int:
    """Learn the quota windows that a coding tool was told of, and print one line about the account.

    claude-statusline reads the JSON of Claude Code's status line from stdin, and its line is a status line.
    codex-sessions reads the latest limits in Codex's session files; it is quick however large they are.
    """
    if source == SESSIONS:
        return _sessions(ctx, account, folder_of(folder), as_json=as_json)
    if folder is not None:
        message = "--dir is for codex-sessions"
        raise click.UsageError(message)
    return _statusline(ctx, account, as_json=as_json)


def _statusline(ctx: click.Context, account: str | None, *, as_json: bool) -> int:
    """Always 0: Claude Code would show nothing at all for a status line that fails."""
    heard = None
    try:
        told = _status_json()
        model = told.get("model")
        name = model.get("id") if isinstance(model, dict) else None
        bodies = [(tidy(time.time()), _as_endpoint(told.get("rate_limits")))]
        heard = _heard(ctx, account, "anthropic", bodies, name if isinstance(name, str) else None)
        line = "rotator: which account? --account NAME says it" if heard is None else line_of(heard)
    except AccountsInvalid:
        line = "rotator: accounts.json is not valid, see `rotator check`"
    except (RotatorError, OSError) as error:
        line = "rotator: " + _message(error).partition("\n")[0]
    try:
        if as_json:
            say_json(object_of(STATUSLINE, heard, None if heard else line))
        else:
            say(printable(line))
    except OSError:
        pass
    return OK


def _message(error: RotatorError | OSError) -> str:
    """What happened, without the number that an OSError begins with."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _status_json() -> dict[str, Any]:
    """What stands on stdin; empty when that is a terminal, closed, or no JSON object."""
    if sys.stdin is None or sys.stdin.isatty():
        return {}
    try:
        told = json.loads(sys.stdin.buffer.read(_MOST_BYTES))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _as_endpoint(limits: object) -> dict[str, Any]:
    """The limits as Anthropic's usage endpoint says them, which the provider's family reads: the same windows by other keys."""
    found = {
        name: {"utilization": window.get("used_percentage"), "resets_at": window.get("resets_at")}
        for name, window in (limits.items() if isinstance(limits, dict) else ())
        if isinstance(window, dict)
    }
    return {**found, "limits": []}  # that list marks the endpoint, whichever windows there are


def _heard(
    ctx: click.Context, account: str | None, provider: str, bodies: list[tuple[float, Any]], model: str | None
) -> Heard | None:
    """What was learned from bodies, each with the instant of it; None when it is not clear whose they are."""
    from rotator.cli.opening import Opened

    opened = Opened(path_of(ctx.obj))
    with opened as rotator:
        whose, since = account_for(rotator.pool, account, provider)
        heard = None
        if whose is not None:
            fresh = [each for each in bodies if each[0] >= since]
            heard = hear(rotator, whose, provider, fresh, model)
    return None if heard is None else heard.replace(durable=opened.durable, failed=opened.failed)


def _sessions(ctx: click.Context, account: str | None, folder: str, *, as_json: bool) -> int:
    now = tidy(time.time())
    try:
        events = latest(folder, now)
    except OSError as error:
        talk(f"{folder}: {error.strerror}; --dir says where Codex keeps its sessions")
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        return NO_INPUT if missing else DENIED if isinstance(error, PermissionError) else IO
    heard = _heard(ctx, account, "codex", [(event.at, event.body) for event in events], None)
    if heard is None:
        message = "it is not clear whose sessions these are: --account NAME says it"
        raise click.UsageError(message)
    if as_json:
        say_json(object_of(SESSIONS, heard, None))
    else:
        said = line_of(heard) if heard.at is not None else f"{line_of(heard)}; no limits of it in {os.fspath(folder)}"
        say(printable(said))
    return IO if heard.failed else OK
