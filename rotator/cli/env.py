"""``env``: the chosen account's credentials as assignments that a shell or a dotenv reader takes.

Refuses: which variables they are (``wire.environment``), and how they are quoted (``quoting``).
"""

from __future__ import annotations

import os

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import OK
from rotator.cli.quoting import FORMATS, script, shell_of
from rotator.cli.taking import choice_options, sought, take
from rotator.cli.voice import say, say_json
from rotator.wire.environment import variables, withdrawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.credentials import Credentials


@click.command(
    "env",
    epilog="""\b
Examples:
  env=$(rotator env -m gemini-3-pro) && eval "$env"
  rotator env -m gemini-3-pro --format fish | source
  rotator env -m gemini-3-pro --format powershell | Out-String | Invoke-Expression
  (umask 077; rotator env -m gpt-5 --format dotenv > .env)
  for /f "delims=" %i in ('rotator env -m gpt-5 --format cmd') do @%i

\b
direnv, .envrc (`rotator run` leaves no secret in a shell; eval "$(...)" would hide a failure):
  env=$(rotator env -m gemini-3-pro --format sh) && eval "$env"

\b
systemd, in a unit:
  ExecStart=rotator run -m gemini-3-pro -- /usr/bin/batch

\b
Formats:
  sh, sh-no-export, fish, powershell: any text
  cmd: a value with ", %, ! or other than printable ASCII is refused (exit 78)
  dotenv: as python-dotenv reads it; ${ and carriage returns are refused; takes nothing away
  json: one object of names and values; null is a variable to take away

\b
Exit codes:
  0    the assignments are on stdout
  2    no such account, or options that contradict each other
  69   nobody can serve until a person helps; stderr says how
  75   nobody is ready yet; stderr says until when, stdout is empty
  124  --wait ran out
  66, 74, 77, 78   no file, I/O or no answer, permission, file not valid or a value not sayable""",
)
@choice_options(waits=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Whose assignments; else those of the shell in $SHELL.",
)
@click.pass_context
def command(ctx: click.Context, /, *, form: str | None, **given: Any) -> int:
    """Print the credentials of the account that can best serve the next request as assignments for your shell.

    Each provider has its variables, such as ANTHROPIC_API_KEY, OPENAI_API_KEY and OPENAI_BASE_URL, GEMINI_API_KEY,
    GITHUB_TOKEN; a provider of no known family gets ROTATOR_TOKEN and ROTATOR_BASE_URL. ROTATOR_ACCOUNT is the account.
    What another account of the provider left in the environment is taken away. What is printed is secret.
    An account whose credentials are not to be had, or cannot be said so, is passed over, which stderr says.
    """
    wish = sought(given)
    from rotator.cli.opening import Opened

    spoken = form or shell_of(os.environ.get("SHELL", ""))

    def fit(credentials: Credentials) -> None:
        values = variables(credentials)
        if spoken != "json":
            script(spoken, values, ())

    with Opened(path_of(ctx.obj)) as rotator:
        taken = take(rotator, wish, fit)
    if taken.credentials is None:
        return taken.code
    values, gone = variables(taken.credentials), withdrawn(taken.credentials, taken.before)
    if spoken == "json":
        say_json({**values, **dict.fromkeys(sorted(gone))})
    else:
        say(script(spoken, values, gone))
    return OK
