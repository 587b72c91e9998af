"""Spec: what a decoded JSON value must be, as small checks that compose; each fault says its place and what would do.

Refuses: knowing scenarios (``scenario`` says what they are made of).
"""

from __future__ import annotations

from math import isfinite

from rotator.core.instants import parse
from rotator.core.value import Value
from rotator.errors import BadArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random
    from typing import Any, NoReturn

    Check = Callable[[Any, str], Any]

REQUIRED = object()
"""The default of a key that must be there."""
_PAIR = 2
_SEED_MAX = 2**31


class Span(Value):
    """An even spread of numbers; both ends the same is a plain number."""

    low: float
    high: float

    def draw(self, luck: Random) -> float:
        """One number of it; luck moves on by one draw even where both ends are the same."""
        return self.low + (self.high - self.low) * luck.random()


def refuse(where: str, rule: str) -> NoReturn:
    """Say that the value at a JSON pointer breaks a rule. Raises BadArgument."""
    message = f"{where or '/'}: {rule}"
    raise BadArgument(message)


def text(value: Any, where: str) -> str:
    """A text that is not empty."""
    if type(value) is not str or not value:
        refuse(where, "must be a text")
    return value


def flag(value: Any, where: str) -> bool:
    """True or false."""
    if type(value) is not bool:
        refuse(where, "must be true or false")
    return value


def instant(value: Any, where: str) -> float:
    """Epoch seconds of an RFC 3339 text."""
    found = parse(value) if type(value) is str else None
    if found is None:
        refuse(where, "must be an instant such as 2026-11-16T00:00:00Z")
    return found


def number(low: float, high: float = 1e15, *, above: bool = False) -> Check:
    """A number of a closed range, or of one without its lower end."""

    def check(value: Any, where: str) -> float:
        good = type(value) in (int, float) and isfinite(value) and low <= value <= high
        if not good or (above and value == low):
            refuse(where, f"must be a number {'above' if above else 'from'} {low:g}, at most {high:g}")
        return float(value)

    return check


def span(low: float, high: float = 1e15, *, above: bool = False) -> Check:
    """A number, or ``[low, high]`` to draw from."""
    one = number(low, high, above=above)

    def check(value: Any, where: str) -> Span:
        if type(value) is not list:
            value = [value, value]
        if len(value) != _PAIR:
            refuse(where, "must be a number, or two that span a range")
        ends = [one(end, f"{where}/{place}") for place, end in enumerate(value)]
        if ends[0] > ends[1]:
            refuse(where, "must begin with the lower end")
        return Span(*ends)

    return check


def one_of(*words: str) -> Check:
    """One of these texts."""

    def check(value: Any, where: str) -> str:
        if value not in words:
            refuse(where, f"must be one of {', '.join(words)}")
        return str(value)

    return check


def either(*checks: Check) -> Check:
    """What the first check takes that takes it; else the last one's fault."""

    def check(value: Any, where: str) -> Any:
        for each in checks[:-1]:
            try:
                return each(value, where)
            except BadArgument:
                continue
        return checks[-1](value, where)

    return check


def nothing(value: Any, where: str) -> None:
    """Null."""
    if value is not None:
        refuse(where, "must be null")


def many(check: Check, least: int = 0) -> Check:
    """A list of what ``check`` takes, as a tuple."""

    def listed(value: Any, where: str) -> tuple[Any, ...]:
        if type(value) is not list or len(value) < least:
            refuse(where, f"must be a list of at least {least}" if least else "must be a list")
        return tuple([check(each, f"{where}/{place}") for place, each in enumerate(value)])

    return listed


def keys(value: Any, where: str, table: Mapping[str, tuple[Check, Any]]) -> dict[str, Any]:
    """The checked members of an object by the table's names, defaults where they are absent; an unknown key is a fault."""
    if type(value) is not dict:
        refuse(where, "must be an object")
    for key in value:
        if key not in table and key != "$schema":
            refuse(f"{where}/{key}", f"is not known here; known are {', '.join(table)}")
    found = {}
    for key, (check, default) in table.items():
        if key in value:
            found[key] = check(value[key], f"{where}/{key}")
        elif default is REQUIRED:
            refuse(where, f"needs {key}")
        else:
            found[key] = default
    return found


def made(kind: type[Value], table: Mapping[str, tuple[Check, Any]]) -> Check:
    """A value of that class, whose fields are the table's keys."""
    return lambda value, where: kind(**keys(value, where, table))


def seeds(value: Any, where: str) -> tuple[int, ...]:
    """Whole numbers that are different."""
    if type(value) is not list or not all(type(each) is int and 0 <= each < _SEED_MAX for each in value):
        refuse(where, "must be a list of whole numbers from 0")
    return tuple(dict.fromkeys(value))
