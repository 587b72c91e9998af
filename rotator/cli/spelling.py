"""Keys that look like a slip of the pen: close to one that the schema knows, and without effect.

Refuses: unknown keys as such, which are a person's notes and are carried along; one that begins with a sign (``_api_key``,
``//models``) was put aside on purpose. It shows keys, never a value.
"""

from __future__ import annotations

from difflib import get_close_matches

from rotator.cli.finding import WARNING, Finding
from rotator.core.codec.faults import known_keys, schema
from rotator.core.codec.places import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Path = tuple[str | int, ...]

_CLOSE = 0.8
"""Ratio of difflib: one letter wrong in six (``refesh_token``, ``model``), and not ``note`` for ``name``. Our choice."""


def findings(raw: bytes) -> Iterator[Finding]:
    """A warning for each such key, with its place; none when the text is no JSON."""
    text = Text(raw, known_keys())
    if not text.whole:
        return
    for path, close in _slips(text.value, schema(), ()):
        _, line, column = text.place(path)
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
        what = "is no key that rotator knows, so it has no effect"
        yield Finding(WARNING, "keys", what, f"did you mean {close}?", pointer, line, column)


def close_key(key: str, known: Iterable[str]) -> str | None:
    """The known key that was probably meant; None when nothing is close.

    >>> close_key("refesh_token", ["api_key", "refresh_token"]), close_key("apiKey", ["api_key"]), close_key("note", ["name"])
    ('refresh_token', 'api_key', None)
    """
    if not key[:1].isalpha():
        return None
    squeezed = {_squeezed(each): each for each in known}
    found = get_close_matches(_squeezed(key), squeezed, 1, _CLOSE)
    return squeezed[found[0]] if found else None


def _squeezed(key: str) -> str:
    return "".join(letter for letter in key.casefold() if letter.isalnum())


def _slips(value: Any, rule: dict[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    """The paths of such keys and what is close to them, as deep as the schema goes."""
    rule = _resolved(rule)
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from _slips(part, rule.get("items", {}), (*path, index))
    elif isinstance(value, dict):
        known = _properties(rule)
        others = rule.get("additionalProperties", {})
        for key, part in value.items():
            if key in known:
                yield from _slips(part, known[key], (*path, key))
            elif others:
                yield from _slips(part, others, (*path, key))
            elif close := close_key(key, [each for each in known if each not in value]):
                yield (*path, key), close


def _resolved(rule: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    return rule


def _properties(rule: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = dict(rule.get("properties", {}))
    for each in rule.get("anyOf", ()):
        found.update(each.get("properties", {}))
    return found
