"""What looks like a slip of the pen: a key close to a known one, a provider that is not known, two names that look alike.

Refuses: unknown keys as such, which are a person's notes and are carried along; one that begins with a sign (``_api_key``,
``//models``) was put aside on purpose. It shows keys, never a value.
"""

from __future__ import annotations

from difflib import get_close_matches

from rotator.cli.finding import WARNING, Finding
from rotator.core.codec.account import NAMES
from rotator.core.codec.faults import known_keys, schema
from rotator.core.codec.places import Text
from rotator.core.providers import FAMILIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    Path = tuple[str | int, ...]

_CLOSE = 0.8
"""Ratio of difflib: one letter wrong in six (``refesh_token``, ``model``), and not ``note`` for ``name``. Our choice."""
PROVIDERS = ("generic", *sorted(FAMILIES))


def findings(raw: bytes) -> Iterator[Finding]:
    """A warning for each such slip, with its place; none when the text is no JSON."""
    text = Text(raw, known_keys())
    if not text.whole:
        return
    for path, close in _slips(text.value, schema(), ()):
        what = "is no key that rotator knows, so it has no effect"
        yield _finding(text, path, "keys", what, f"did you mean {close}?")
    accounts = text.value.get("accounts") if isinstance(text.value, dict) else None
    listed = [*enumerate(accounts)] if isinstance(accounts, list) else []
    objects = [(index, account) for index, account in listed if isinstance(account, dict)]
    yield from _providers(text, objects)
    yield from _alike(text, objects)


def _finding(text: Text, path: Path, about: str, what: str, remedy: str) -> Finding:
    _, line, column = text.place(path)
    pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    return Finding(WARNING, about, what, remedy, pointer, line, column)


def _providers(text: Text, accounts: list[tuple[int, dict[str, Any]]]) -> Iterator[Finding]:
    """Providers without a module here; their responses are read by what HTTP says."""
    for index, account in accounts:
        provider = account.get("provider", "generic")
        if not isinstance(provider, str) or provider in PROVIDERS:
            continue
        close = close_key(provider, PROVIDERS)
        meant = f"did you mean {close}? There is" if close else "write generic if that is meant; there is"
        what = "is no provider that rotator knows, so its responses are read as generic ones"
        yield _finding(text, ("accounts", index, "provider"), "provider", what, f"{meant} {', '.join(PROVIDERS)}")


def _alike(text: Text, accounts: list[tuple[int, dict[str, Any]]]) -> Iterator[Finding]:
    """Names that a person would take for one that stands before; the same name twice is a fault, and no finding here."""
    first: dict[str, tuple[str, int]] = {}
    for index, account in accounts:
        key = next((key for key in NAMES if key in account), None)
        name = account[key] if key else None
        if key is None or not isinstance(name, str):
            continue
        path = ("accounts", index, key)
        before, line = first.setdefault("".join(name.split()).casefold(), (name, text.place(path)[1]))
        if before != name:
            what = f"differs from the name on line {line} in case or spaces alone, and these are two accounts"
            yield _finding(text, path, "names", what, "name it apart, or remove one")


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
