"""``completion``: the script that makes a shell complete commands, accounts and models. Refuses: editing start-up files."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from rotator.cli.quick import COMPLETION
from rotator.cli.voice import say

_WHOLE_NAMES = "COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}"
"""For bash an @ ends a word, and most accounts are named by an address; npm's script does the same."""


@click.command(
    "completion",
    epilog="""\b
Examples:
  eval "$(rotator completion bash)"                # in ~/.bashrc
  eval "$(rotator completion zsh)"                 # in ~/.zshrc
  rotator completion fish > ~/.config/fish/completions/rotator.fish

\b
Exit codes:
  0    the script is on stdout
  2    a shell that is not known""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    """Print the completion script of SHELL, for its start-up file."""
    kind = get_completion_class(shell)
    if shell == "bash":
        say(_WHOLE_NAMES)
    if kind is not None:
        # not the class's own source(): for bash that first looks at which bash is installed here
        say(ShellComplete.source(kind(ctx.find_root().command, {}, "rotator", COMPLETION)).strip("\n"))
    return 0
