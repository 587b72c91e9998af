"""Words to a question, for the common forms of ``next`` alone; what it does not fully understand is click's turn.

Refuses: messages, help, completion, anything doubtful. What it takes, click takes in the same sense.
"""

from __future__ import annotations

from rotator.cli.options import ACCOUNTS, FLAG, NEXT, SECS, TEXTS, Asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rotator.cli.options import Option

COMPLETION = "_ROTATOR_COMPLETE"
_FLAGS = {flag: option for option in NEXT for flag in option.flags}


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Asked | None:
    """The question in ``arguments`` (without the program's name), or None when click has to look at them."""
    if COMPLETION in environment:
        return None
    words = iter(arguments)
    found: dict[str, Any] = {}
    word = next(words, "")
    if word.partition("=")[0] == ACCOUNTS:
        found["accounts"] = _value(word.partition("="), words)
        if not found["accounts"]:
            return None
        word = next(words, "")
    if word != "next":
        return None
    for word in words:
        option, parts = _option(word)
        if option is None or not _take(option, parts, words, found):
            return None
    return Asked(**found) if "model" in found and not {"peek", "record"} <= found.keys() else None


def _option(word: str) -> tuple[Option | None, tuple[str, str, str]]:
    """The option that a word names, and the word as (flag, sign, value); ``-mM`` counts as ``-m=M``."""
    if word[:1] == "-" and word[:2] != "--" and len(word) > 2:  # noqa: PLR2004  a letter with its value
        parts = (word[:2], "=", word[2:]) if word[2] != "=" else ("", "", "")
    else:
        parts = word.partition("=")
    return _FLAGS.get(parts[0]), parts


def _take(option: Option, parts: tuple[str, str, str], words: Any, found: dict[str, Any]) -> bool:
    """Note one option; whether it was understood. A value that is given twice or looks like an option is doubtful."""
    if option.kind == FLAG:
        found[option.name] = True
        return not parts[1]
    value = None if option.kind == SECS else _value(parts, words)
    if not value:
        return False
    if option.kind == TEXTS:
        found[option.name] = (*found.get(option.name, ()), value)
        return True
    known = option.name in found
    found[option.name] = value
    return not known


def _value(parts: tuple[str, str, str], words: Any) -> str | None:
    """What stands behind the sign, else the next word unless that looks like an option; None when there is none."""
    if parts[1]:
        return parts[2]
    word: str = next(words, "")
    return word if word[:1] != "-" else None
