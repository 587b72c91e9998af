"""All commands by name, loaded when called; the table below is what ``--help`` shows without loading any.

Refuses: what a command does.
"""

from __future__ import annotations

import os
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from rotator import __version__
from rotator.cli.endings import end
from rotator.cli.options import ACCOUNTS
from rotator.cli.quick import COMPLETION
from rotator.errors import RotatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

COMMANDS = {
    "next": ("choosing:next_command", "Print the account for the next request, and make it active."),
    "park": ("choosing:park_command", "Wait until an account is ready, then do what `next` does."),
    "token": ("token:command", "Print the credential of the account for the next request."),
    "env": ("env:command", "Print it as assignments for your shell."),
    "run": ("running:command", "Run a program with it in its environment."),
    "report": ("learning:command", "Learn from a response that an account got."),
    "ingest": ("ingesting:command", "Learn from what Claude Code and Codex say of their quota."),
    "poll": ("polling:command", "Read the providers' quota endpoints."),
    "probe": ("probing:command", "Find out whether an account can really start a session."),
    "status": ("status:command", "Show every account: state, next ready, score, why."),
    "forecast": ("forecasting:command", "Foresee when quota ends, who serves next, and when nobody can."),
    "hold": ("holding:hold_command", "Set an account aside, for a while or until `release`."),
    "release": ("holding:release_command", "Give an account back: ends holds, cooldowns and hard states."),
    "check": ("checking:command", "Validate the file, and say every fault with its place."),
    "edit": ("edit:command", "Edit the file in your editor, validated and with nothing lost."),
    "doctor": ("doctor:command", "Examine the file and where it lies, and say what to do."),
    "serve": ("serve:command", "Serve the status API over HTTP."),
    "replay": ("replaying:command", "Pick again at every request of a recorded log, and compare."),
    "simulate": ("simulating:command", "Judge the policy against providers with hidden quotas."),
    "completion": ("completing:command", "Print the script that completes commands, accounts and models."),
}
"""In the order in which a person meets them: where the command is, and its short help."""


def _named(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    """Let ``--accounts`` behind a command mean what it means before it."""
    if path == "":
        message = "it must not be empty"
        raise click.BadParameter(message)
    if path is not None:
        root = ctx.find_root()
        ctx.obj = root.obj = root.params["accounts"] = path


_AFTER = click.Option([ACCOUNTS], metavar="PATH", expose_value=False, callback=_named, help="The accounts.json to use.")


class Group(click.Group):
    """The commands of the table; an error of rotator's own ends with its exit code, and a command's number is its own."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The names in the table's order."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(f"rotator.cli.{module}"), name)
        if _AFTER not in found.params:
            found.params.append(_AFTER)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        """The table as it stands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The table's names, without importing what they name."""
        found = [CompletionItem(name, help=told) for name, (_, told) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; a usage error with what comes close."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            if close := get_close_matches(args[0], COMMANDS, cutoff=0.65):
                message = f"{error.message} Did you mean {' or '.join(close)}?"
                raise click.UsageError(message, ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors become exit codes."""
        try:
            code = super().invoke(ctx)
        except (RotatorError, OSError) as error:
            code = end(error, ctx.obj)
        if code:
            ctx.exit(code)
        return code


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Start:
  echo '{"accounts": [{"name": "a", "api_key": {"env": "A_KEY"}}]}' > accounts.json
  rotator check
  rotator next -m gemini-3-pro

\b
The file is --accounts PATH, else $ROTATOR_ACCOUNTS, else ./accounts.json, else
$XDG_CONFIG_HOME/rotator/accounts.json. Edit it by hand whenever you like.

\b
Exit codes:
  0 done    1 doctor warns, or the editor failed    2 usage    66 no file
  69 only a person can help    74 I/O    75 parked    77 permission
  78 accounts.json is not valid    124 time ran out    130 Ctrl-C""",
)
@click.option("--accounts", metavar="PATH", help="The accounts.json to use.")
@click.version_option(__version__, prog_name="rotator", message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context, accounts: str | None) -> None:
    """Pick the account that can best serve the next LLM request, and remember why in one hand-editable file."""
    if accounts == "":
        message = "--accounts must not be empty"
        raise click.UsageError(message)
    ctx.obj = accounts


def run(arguments: Sequence[str]) -> int:
    """Run the command line under click and return its exit code. Raises KeyboardInterrupt, and Ended on a signal."""
    try:
        code = group.main([*arguments], "rotator", COMPLETION, standalone_mode=False, color=wants_color(os.environ.get))
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    return code or 0


def wants_color(variable: Any) -> bool | None:
    """Whether to colour: no for ``NO_COLOR`` (no-color.org) and ``TERM=dumb``, yes for ``FORCE_COLOR``, None: as the stream is.

    ``variable`` looks up a variable of the environment; an empty one counts as unset.
    """
    if variable("NO_COLOR"):
        return False
    if variable("FORCE_COLOR"):
        return True
    return False if variable("TERM") == "dumb" else None
