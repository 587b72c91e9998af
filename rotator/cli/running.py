"""``run``: a program with the chosen account's credentials in its environment, and the next account when it says that it was refused.

Refuses: a secret in any argument; reading what the program prints.
"""

from __future__ import annotations

import os
from datetime import timedelta

import click

from rotator.cli.accounts import VARIABLE, path_of
from rotator.cli.children import replace, run
from rotator.cli.endings import end
from rotator.cli.opening import Opened
from rotator.cli.params import Length
from rotator.cli.taking import Taken, choice_options, sought, take
from rotator.cli.voice import talk
from rotator.clock import MachineClock
from rotator.core.signals import DELAY_MAX
from rotator.errors import RotatorError
from rotator.wire.environment import applied, variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rotator.cli.taking import Sought
    from rotator.credentials import Credentials

HOLD_SECS = 900.0
"""How long an account is set aside after a code of --retry-on. Our choice: longer than a limit per minute, and a 5-hour
window that was misjudged costs a twentieth."""
MOST_ACCOUNTS = 3
"""Accounts at one call. Our choice: as many as the transports try; a fault of the request itself ends there."""
_LAST_CODE = 255


class _Codes(click.ParamType):  # type: ignore[type-arg]  # click 8.2 has none
    """Exit codes, separated by commas."""

    name = "codes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[int]:
        """The codes; a usage error for what is none of a failure."""
        if isinstance(value, frozenset):
            return value
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isascii() and word.isdigit() and 0 < int(word[:4]) <= _LAST_CODE for word in words):
            self.fail("exit codes are numbers from 1 to 255, such as 75 or 1,75", param, ctx)
        return frozenset(int(word) for word in words)


@click.command(
    "run",
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Examples:
  rotator run -m gemini-3-pro -- python batch.py
  rotator run --provider anthropic -- claude -p "say ok"
  rotator run -m gpt-5 --retry-on 75 --retry-on 28,29 -- ./ask.sh
  rotator run -m gpt-5 --wait 2h -- make answers

\b
systemd, in a unit:
  ExecStart=rotator run -m gemini-3-pro --wait 1h -- /usr/bin/batch
  Restart=on-failure
  RestartPreventExitStatus=78

\b
Without --retry-on the program takes rotator's place: same process, same signals, same end. With
it rotator waits, passes on the signals that it gets, and starts the program again; what was read
from stdin stays read.

\b
Exit codes:
  N    the program's own; 128 and the signal's number when one ended it
  126  the program cannot be run, 127 it is not there
  2    no such account, or options that contradict each other
  69   nobody can serve until a person helps; stderr says how
  75   nobody is ready yet; stderr says until when
  124  --wait ran out
  66, 74, 77, 78   no file, I/O or no answer, permission, file or reference not valid""",
)
@choice_options(waits=True)
@click.option(
    "--retry-on", "codes", metavar="CODE[,CODE]", type=_Codes(), multiple=True, help="Codes that mean: take the next."
)
@click.option(
    "--max-accounts",
    "most",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=MOST_ACCOUNTS,
    show_default=True,
    help="Try so many accounts at most.",
)
@click.option(
    "--hold-for",
    "hold_secs",
    metavar="SECS",
    type=Length(),
    default=HOLD_SECS,
    show_default="15m",
    help="Set the account aside this long after such a code, for the model alone with -m.",
)
@click.argument("words", metavar="CMD [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Run CMD with the credentials of the account that can best serve MODEL, in its environment alone.

    The variables are those of `rotator env`; what another account of the provider left there is taken away, and
    ROTATOR_ACCOUNT says who it is. Nothing secret is an argument.
    """
    wish = sought(given)
    codes: frozenset[int] = frozenset().union(*given["codes"])
    words, path = given["words"], path_of(ctx.obj)
    if codes and wish.account is not None:
        message = "--account names one, so there is no next one for --retry-on"
        raise click.UsageError(message)
    with Opened(path) as rotator:
        taken = take(rotator, wish, variables)
    if taken.credentials is None:
        return taken.code
    if not codes:
        return replace(words, _environment(taken.credentials, taken.before, path))
    return _tried(words, codes, taken, path, lambda name, tried: _next(path, wish, name, tried, given))


def _tried(
    words: tuple[str, ...],
    codes: frozenset[int],
    taken: Taken,
    path: str,
    following: Callable[[str, frozenset[str]], Taken],
) -> int:
    """Run the program with one account after another, as long as its code asks for that; its last code."""
    tried: frozenset[str] = frozenset()
    code = taken.code
    while taken.credentials is not None:
        ended = run(words, _environment(taken.credentials, taken.before, path))
        code = ended.code
        if not ended.exited or ended.asked or code not in codes:
            break
        name = taken.credentials.account
        tried |= {name}
        talk(f"{words[0]} ended with {code} on {name}")
        taken = following(name, tried)
    return code


def _next(path: str, wish: Sought, name: str, tried: frozenset[str], given: dict[str, Any]) -> Taken:
    """Set an account aside and take the next, if there may be one; what goes wrong is told, for the program's code stands."""
    try:
        with Opened(path) as rotator:
            if given["hold_secs"] and name in rotator.pool:
                until = MachineClock().now() + timedelta(seconds=min(given["hold_secs"], DELAY_MAX))
                rotator.hold(name, until=until, model=wish.model)
            if len(tried) >= given["most"]:
                return Taken(None)
            return take(rotator, wish, variables, tried)
    except (RotatorError, OSError) as error:
        return Taken(None, end(error, path))


def _environment(credentials: Credentials, before: str | None, path: str) -> dict[str, str]:
    """This process's own with the account's variables, and the file's path for a `rotator` that the program calls."""
    return {**applied(os.environ, credentials, before), VARIABLE: os.path.abspath(path)}
