"""Kinds of arguments that click does not know: accounts and models that complete, lengths of time, texts that say something.

Refuses: the file's content beyond names; completion is silent about every trouble.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from rotator.cli import options
from rotator.cli.accounts import path_of
from rotator.cli.moments import seconds
from rotator.server.overview import known_models

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rotator.core.pool import Pool

    Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class Length(click.ParamType):  # type: ignore[type-arg]  # click 8.2 has none
    """A length of time, as seconds."""

    name = "secs"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; a usage error for anything but a length."""
        if isinstance(value, int | float):
            return float(value)
        found = seconds(value)
        if found is None:
            self.fail("a length of time is 90, 30s, 15m, 5h, 2d or 1h30m", param, ctx)
        return found


class Words(click.ParamType):  # type: ignore[type-arg]  # as above
    """A text that is not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; a usage error when it is empty."""
        if not value:
            self.fail("it must not be empty", param, ctx)
        return str(value)


def names_of(pool: Pool) -> Iterable[str]:
    """The names of all accounts, in file order."""
    return [account.name for account in pool]


def completing(words: Callable[[Pool], Iterable[str]]) -> Complete:
    """A completion of what ``words`` finds in the file; nothing when the file is absent or broken."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            from rotator.core.codec.decode import decode
            from rotator.store.reading import read

            given = ctx.find_root().params.get("accounts")
            _, pool = decode(read(path_of(given)).raw)
            return [CompletionItem(word) for word in words(pool) if word.startswith(incomplete) and word.isprintable()]
        except Exception:  # noqa: BLE001  a person who presses Tab is told nothing rather than a traceback
            return []

    return complete


def name_argument() -> Callable[[Any], Any]:
    """The argument NAME, an account."""
    return click.argument("name", metavar="NAME", type=Words(), shell_complete=completing(names_of))


def from_table(*names: str) -> Callable[[Any], Any]:
    """The options of the table ``options.NEXT`` with these names, as a decorator; all of them without names."""

    def decorate(function: Any) -> Any:
        for option in reversed(options.NEXT):
            if not names or option.name in names:
                function = _option(option)(function)
        return function

    return decorate


def model_option(*, required: bool, meaning: str) -> Callable[[Any], Any]:
    """``-m/--model`` of the other commands."""
    return click.option(
        "-m",
        "--model",
        metavar="MODEL",
        type=Words(),
        required=required,
        help=meaning,
        shell_complete=completing(known_models),
    )


def json_option() -> Callable[[Any], Any]:
    """``--json`` of the other commands."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _option(option: options.Option) -> Callable[[Any], Any]:
    if option.kind == options.FLAG:
        return click.option(*option.flags, option.name, is_flag=True, help=option.help)
    return click.option(
        *option.flags,
        option.name,
        metavar=option.metavar,
        type=Length() if option.kind == options.SECS else Words(),
        required=option.required,
        multiple=option.kind == options.TEXTS,
        help=option.help,
        shell_complete=completing(known_models) if option.name == "model" else None,
    )
