"""Assignments as shells and dotenv readers understand them: any text comes out as it went in, or is refused.

Refuses: choosing what is assigned, and any value that a format cannot say; a message never shows one.
"""

from __future__ import annotations

import re

from rotator.errors import OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMATS = ("sh", "sh-no-export", "fish", "powershell", "cmd", "dotenv", "json")
_CMD_CANNOT = re.compile(r'["%!]|[^ -~]')
_CMD_LINE = 8191
"""The longest line that cmd.exe takes (learn.microsoft.com, "Command prompt line string limitation")."""
_BARE = re.compile(r"[A-Za-z0-9_./:@%+=,-]+")
_PLAIN_RUN = re.compile(r"([ -~]+)|([^ -~])", re.DOTALL)


def shell_of(path: str) -> str:
    """The format for the shell at ``path``, as ``$SHELL`` has it: fish, powershell, else sh.

    >>> shell_of("/usr/bin/fish"), shell_of("/opt/pwsh"), shell_of("/bin/zsh"), shell_of("")
    ('fish', 'powershell', 'sh', 'sh')
    """
    name = path.replace("\\", "/").rpartition("/")[2].removesuffix(".exe")
    return {"fish": "fish", "pwsh": "powershell", "powershell": "powershell"}.get(name, "sh")


def script(form: str, values: Mapping[str, str], gone: Iterable[str]) -> str:
    """What makes a shell of that format hold ``values`` and none of ``gone``; one statement after another, no newline at the end.

    ``dotenv`` cannot take a variable away, so ``gone`` is left out there. ``json`` is not made here. Raises OperatorError,
    which names the variable, for a value with NUL or half a surrogate pair, and for what ``cmd`` and ``dotenv`` cannot say.
    """
    say, unset = _SPOKEN[form]
    lines = []
    for name, value in values.items():
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            _refuse(name, "a NUL or half a character, which no environment can hold")
        lines.append(say(name, value))
    if unset:
        lines += [unset.format(name) for name in sorted(gone)]
    return "\n".join(lines)


def _refuse(name: str, why: str) -> None:
    message = f"{name} would hold {why}"
    raise OperatorError(message)


def _posix(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _sh(name: str, value: str) -> str:
    # the semicolon keeps them apart when somebody forgets the quotes of eval "$(...)"
    return f"export {name}={_posix(value)};"


def _sh_no_export(name: str, value: str) -> str:
    return f"{name}={_posix(value)};"


def _fish(name: str, value: str) -> str:
    """In fish's single quotes a backslash escapes itself and the quote, and nothing else means anything."""
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}';"


def _powershell(name: str, value: str) -> str:
    """All in printable ASCII and on one line: piped text comes to PowerShell line by line, in whatever code page.

    Other characters are [char] of their UTF-16 units, which also keeps away the curly quotes that end its strings.
    """
    parts = ["''"]  # a text whatever comes after it: [char] + [char] is a number
    for plain, other in _PLAIN_RUN.findall(value):
        if plain:
            parts.append("'" + plain.replace("'", "''") + "'")
        else:
            units = other.encode("utf-16-be")
            parts += [f"[char]0x{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]
    return f"$env:{name} = ({'+'.join(parts)})"


def _cmd(name: str, value: str) -> str:
    """Within ``set "..."`` only the quote, ``%`` and ``!`` mean something, and other than ASCII hangs on the code page."""
    if _CMD_CANNOT.search(value):
        _refuse(name, "a quote, %, !, a control character or a letter beyond ASCII, which cmd cannot be told; use json")
    line = f'set "{name}={value}"'
    if len(line) > _CMD_LINE:
        _refuse(name, f"more than cmd takes on a line ({_CMD_LINE}); use json")
    return line


def _dotenv(name: str, value: str) -> str:
    """Bare where every reader agrees, docker's too; else in single quotes as python-dotenv reads them."""
    if _BARE.fullmatch(value):
        return f"{name}={value}"
    if "${" in value or "\r" in value:
        _refuse(name, "${ or a carriage return, on which readers of dotenv files disagree; use json")
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{quoted}'"


_SPOKEN = {
    "sh": (_sh, "unset {};"),
    "sh-no-export": (_sh_no_export, "unset {};"),
    "fish": (_fish, "set -eg {};"),
    "powershell": (_powershell, "Remove-Item Env:{} -ErrorAction SilentlyContinue"),
    "cmd": (_cmd, 'set "{}="'),
    "dotenv": (_dotenv, ""),
}
"""By format: how a value is said, and how a variable is taken away ({} is its name)."""
