"""``completion``: the script that makes a shell complete commands, accounts and models. Refuses: editing start-up files."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from rotator.cli.quick import COMPLETION
from rotator.cli.voice import say

_WHOLE_WORDS = r"""
_rotator_whole_words() {
    local IFS=$' \t\n' line=${COMP_LINE:0:COMP_POINT} last whole=() place
    read -ra whole <<< "$line"
    [[ $line == *[[:blank:]] ]] && whole+=("")
    last=${whole[${#whole[@]}-1]}
    local COMP_WORDS=("${whole[@]}") COMP_CWORD=$((${#whole[@]}-1))
    _rotator_completion "$@"
    local there=${last%"${last##*[@:=]}"}
    [[ $COMP_WORDBREAKS == *"${there: -1}"* ]] || there=
    for place in "${!COMPREPLY[@]}"; do
        COMPREPLY[place]=${COMPREPLY[place]#"$there"}
    done
}
complete -o nosort -F _rotator_whole_words rotator
"""
"""For bash an @ ends a word, and most accounts are named by an address: words are taken from the line as blanks part them,
and of a name only what stands behind the last such sign is given back."""


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
    if kind is not None:
        # not the class's own source(): for bash that first looks at which bash is installed here
        say(ShellComplete.source(kind(ctx.find_root().command, {}, "rotator", COMPLETION)).strip("\n"))
    if shell == "bash":
        say(_WHOLE_WORDS.rstrip("\n"))
    return 0
