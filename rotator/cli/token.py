"""``token``: prints the chosen account's credential, for programs that ask a helper for theirs.

Refuses: prompting, reading stdin, a secret anywhere but on stdout.
"""

from __future__ import annotations

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import OK
from rotator.cli.params import json_option
from rotator.cli.taking import choice_options, sought, take
from rotator.cli.voice import say, say_json
from rotator.errors import OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.credentials import Credentials

SCHEMA_VERSION = 1


@click.command(
    "token",
    epilog="""\b
Examples:
  rotator token -m gemini-3-pro
  rotator token -m gpt-5 | sed 's/^/Authorization: Bearer /' | curl -H @- https://...

\b
Claude Code, ~/.claude/settings.json (a 429 does not run the helper again, so keep this short):
  {"apiKeyHelper": "rotator token --provider anthropic",
   "env": {"CLAUDE_CODE_API_KEY_HELPER_TTL_MS": "30000"}}

\b
Codex, ~/.codex/config.toml (0 would ask again only after a 401):
  [model_providers.pool]
  name = "pool"
  base_url = "https://api.openai.com/v1"
  wire_api = "responses"
  [model_providers.pool.auth]
  command = "rotator"
  args = ["token", "--provider", "openai"]
  timeout_ms = 5000
  refresh_interval_ms = 30000

\b
A program started without your shell finds the file by --accounts PATH or ROTATOR_ACCOUNTS.

\b
Exit codes:
  0    the credential is on stdout
  2    no such account, or options that contradict each other
  69   nobody can serve until a person helps; stderr says how
  75   nobody is ready yet; stderr says until when, stdout is empty
  66, 74, 77, 78   no file, I/O or no answer, permission, file or reference not valid""",
)
@choice_options(waits=False)
@json_option()
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool, **given: Any) -> int:
    """Print the credential of the account that can best serve the next request, and make it the active one.

    It is the access token, refreshed when it is about to end, else the API key; nothing else is on stdout. With --json it
    is {"schema_version", "account", "token", "expires_at"}: of all --json this one holds a secret.
    An account whose credential is not to be had, or is no line, is passed over, which stderr says.
    """
    wish = sought(given)
    from rotator.cli.opening import Opened

    with Opened(path_of(ctx.obj)) as rotator:
        taken = take(rotator, wish, _line)
    credentials = taken.credentials
    if credentials is None:
        return taken.code
    secret = _line(credentials)
    if as_json:
        ends = credentials.expires_at if secret == credentials.access_token else None
        say_json(
            {
                "schema_version": SCHEMA_VERSION,
                "account": credentials.account,
                "token": secret,
                "expires_at": None if ends is None else _instant(ends),
            }
        )
    else:
        say(secret)
    return OK


def _line(credentials: Credentials) -> str:
    """The credential as a line. Raises SecretMissing when there is none, OperatorError when it is no line."""
    from rotator.wire.environment import token

    secret = token(credentials)
    if any(character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in secret):
        message = f"the credential of {credentials.account} holds a control character or half of one; write it anew"
        raise OperatorError(message)
    return secret


def _instant(seconds: float) -> str:
    from rotator.core.instants import rfc3339

    return rfc3339(seconds)
