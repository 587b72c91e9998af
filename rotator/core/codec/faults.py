"""Every fault of a document, with its place, the rule and a remedy; none of them shows a value of the file.

Refuses: deciding whether a document is valid (``decode`` does, and asks here only why not). The rules of the shape are
the packaged JSON Schema, the one file that the core reads.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker

from rotator.core.codec.account import NAMES
from rotator.core.codec.places import Text
from rotator.core.instants import parse
from rotator.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from jsonschema.exceptions import ValidationError

MOST = 100
"""Faults that are named; a file with more has one cause, and the rest is counted."""
_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object {…}",
}
_PLAIN_RULES = {
    "minLength": "must not be empty",
    "not": "must not hold control characters",
    "format": "must be a time such as 2026-11-20T10:00:00Z",
}
_RUNTIME_REMEDY = "mend it or remove it; until then the account's whole runtime counts as missing"
UNNAMED = Fault("", 1, 1, "this could not be read", "compare it with schemas/accounts.schema.json")
"""The fault of a document that is refused though nothing was found in it."""


def faults_of(raw: bytes) -> tuple[Fault, ...]:
    """Every fault outside ``runtime``, in the order of the file; empty when there is none.

    A syntax fault ends the reading, so there is at most one, with the keys that stand twice before it. Otherwise every
    fault of the shape and every name that is taken. After ``MOST`` faults the last one counts the others. A document of
    a newer version is checked for its JSON and for ``version`` alone. Raises nothing, whatever the bytes.
    """
    try:
        return _bounded(_faults(raw))
    except Exception:  # noqa: BLE001  one fault without a name still says that the file is broken
        return (UNNAMED,)


def runtime_faults_of(raw: bytes) -> tuple[Fault, ...]:
    """Every fault inside a ``runtime``: warnings, since such a runtime counts as missing and the document stays valid.

    Empty when the document is no JSON or of a newer version. Bounded and safe as ``faults_of`` is.
    """
    try:
        return _bounded(_runtime_faults(raw))
    except Exception:  # noqa: BLE001  as above
        return (UNNAMED,)


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of the document, version 2; it lies in the package, or beside it in a checkout."""
    here = Path(__file__).resolve().parents
    path = here[2] / "schemas" / "accounts.schema.json"
    if not path.exists():
        path = here[3] / "schemas" / "accounts.schema.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _is_instant(value: Any) -> bool:
    return not isinstance(value, str | int | float) or isinstance(value, bool) or parse(value) is not None


@cache
def validator() -> Draft202012Validator:
    """The schema ready to use, times read as ``instants.parse`` reads them."""
    formats = FormatChecker(formats=())
    formats.checks("date-time", raises=OverflowError)(_is_instant)
    return Draft202012Validator(schema(), format_checker=formats)


@cache
def known_keys() -> frozenset[str]:
    """Every key that the format knows; only these are shown."""
    found: set[str] = set()
    waiting: list[Any] = [schema()]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            found.update(part.get("properties", ()))
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return frozenset(found)


def _is_newer(document: Any) -> bool:
    version = document.get("version", 1) if isinstance(document, dict) else 1
    whole = isinstance(version, int) or (isinstance(version, float) and version.is_integer())
    return bool(whole and version > int(schema()["$id"].rpartition(":")[2]))


def _accounts(document: Any) -> list[Any]:
    accounts = document.get("accounts") if isinstance(document, dict) else None
    return accounts if isinstance(accounts, list) else []


def _faults(raw: bytes) -> Iterator[Fault]:
    text = Text(raw, known_keys())
    yield from text.faults
    if not text.whole or _is_newer(text.value):
        return
    document = text.value
    if accounts := _accounts(document):
        bare = [{k: v for k, v in a.items() if k != "runtime"} if isinstance(a, dict) else a for a in accounts]
        document = {**document, "accounts": bare}
    for error in validator().iter_errors(document):
        yield Fault(*text.place([*error.absolute_path]), _rule(error), _remedy(error))
    yield from _names_taken(text, accounts)


def _runtime_faults(raw: bytes) -> Iterator[Fault]:
    text = Text(raw, known_keys())
    if not text.whole or _is_newer(text.value):
        return
    runtimes = [
        {"id": "-", "runtime": account["runtime"]}
        if isinstance(account, dict) and "runtime" in account
        else {"id": "-"}
        for account in _accounts(text.value)
    ]
    for error in validator().iter_errors({"accounts": runtimes}):
        yield Fault(*text.place([*error.absolute_path]), _rule(error), _RUNTIME_REMEDY)


def _names_taken(text: Text, accounts: list[Any]) -> Iterator[Fault]:
    """A fault for each account whose name stands before it; one that is no name has a fault of its own already."""
    first: dict[str, int] = {}
    for index, account in enumerate(accounts):
        key = next((key for key in NAMES if isinstance(account, dict) and key in account), None)
        name = account[key] if key else None
        if not isinstance(name, str):
            continue
        if name in first:
            rule = f"another account has this name already, on line {first[name]}"
            yield Fault(*text.place(["accounts", index, key or ""]), rule, "give each account a name of its own")
        else:
            first[name] = text.place(["accounts", index, key or ""])[1]


def _rule(error: ValidationError) -> str:
    """What the schema asks for, in words; of the file's own value not a letter."""
    wanted: Any = error.validator_value
    match error.validator:
        case "type":
            types = [wanted] if isinstance(wanted, str) else wanted
            return "must be " + " or ".join(_TYPES[each] for each in types if each != "null")
        case "required":
            return f"{' and '.join(wanted)} must be there"
        case "enum":
            return f"must be one of {', '.join(wanted)}"
        case "anyOf" if "required" in wanted[0]:
            return "the account has no name"
        case "anyOf":
            return 'must be text, or {"env": NAME}, or {"file": PATH, "pointer": "/a/b"}'
        case "minimum" | "maximum" | "exclusiveMinimum":
            bound = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}[error.validator]
            return f"must be {bound} {wanted}"
        case other:
            return _PLAIN_RULES.get(str(other), "is not as the schema asks for")


def _remedy(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    if error.validator == "required":
        return 'add "accounts": []'
    if error.validator == "anyOf" and "required" in wanted[0]:
        return "add an id, a name or an email"
    needed = not error.absolute_path or error.absolute_path[-1] == "accounts"
    example = json.dumps(_example(error.absolute_schema_path), ensure_ascii=False)
    return f"write for example {example}" + ("" if needed else ", or remove it")


def _example(path: Iterable[str | int]) -> Any:
    """The example that stands nearest to a rule of the schema."""
    node: Any = schema()
    example = node["examples"][0]
    for step in path:
        if step == "$ref":
            continue
        if isinstance(node, dict) and step not in node:
            node = schema()["$defs"][node["$ref"].rpartition("/")[2]]
            example = node.get("examples", [example])[0]
        node = node[step]
        if isinstance(node, dict):
            example = node.get("examples", [example])[0]
    return example


def _bounded(found: Iterable[Fault]) -> tuple[Fault, ...]:
    faults = sorted(found, key=lambda fault: (fault.line, fault.column))
    named, more = faults[:MOST], faults[MOST:]
    if more:
        named.append(
            Fault("", more[0].line, more[0].column, f"{len(more)} more faults from here on", "mend these first")
        )
    return tuple(named)
