"""Bytes of ``accounts.json`` to a ``Document`` and its ``Pool``: strict, by itself, and fast.

Refuses: naming what is wrong (``faults`` does, when asked), and any value outside ``runtime`` that the format forbids.
Version 1 (the list that tools of this field write, without ``version``) is read as version 2 without runtime.
A newer version is read for what is understood and marked unwritable.
"""

from __future__ import annotations

import gc

from rotator.core.codec.account import account_or_none, is_whole
from rotator.core.codec.scan import Refused, check_depth, document, text_of, value_at
from rotator.core.policy import RANGE_MAX, RANGES, SELECTORS, WHOLE_NUMBERS, Policy
from rotator.core.pool import Pool
from rotator.core.state import Account
from rotator.errors import AccountsInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.state import Runtime

VERSION = 2
NEWER = f"the file was written by a newer rotator (version above {VERSION}): update rotator to keep what it learns"
"""Why a newer document is not written, for people."""


class Document:
    """The bytes of a file, where each part of them lies, and the runtimes that they hold.

    ``spans`` are byte ranges of the account objects; ``runtimes`` those objects' runtimes as decoded, which tell by
    identity what has changed since; ``unreadable`` are the indexes of accounts whose runtime counts as missing.
    ``opening`` and ``closing`` are the bytes behind the first and of the last brace; ``members`` the spans of the
    engine's own top-level keys (``version``, ``active``), ``last`` the end of the last value.
    """

    __slots__ = ("active", "closing", "last", "members", "opening", "raw", "runtimes", "spans", "unreadable", "version")

    def __init__(
        self,
        raw: bytes,
        version: int,
        active: str | None,
        spans: list[tuple[int, int]],
        runtimes: list[Runtime],
        unreadable: frozenset[int],
        members: dict[str, tuple[int, int]],
        opening: int,
        last: int,
        closing: int,
    ) -> None:
        self.raw = raw
        self.version = version
        self.active = active
        self.spans = spans
        self.runtimes = runtimes
        self.unreadable = unreadable
        self.members = members
        self.opening = opening
        self.last = last
        self.closing = closing

    @property
    def newer(self) -> bool:
        """Whether a newer rotator wrote it: it is read for what is understood, and never written."""
        return self.version > VERSION

    def account(self, index: int) -> dict[str, Any]:
        """The JSON object of an account, decoded anew; it holds secrets."""
        start, end = self.spans[index]
        return _Entry(value_at(self.raw[start:end].decode(), 0)[0])


class _Entry(dict[str, "Any"]):
    """A JSON object of which ``repr`` shows nothing: it is kept where locals and attributes may be looked at."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "{***}"


def decode(raw: bytes, policy: Policy | None = None) -> tuple[Document, Pool]:
    """The document and its pool; the document's own ``policy`` goes over ``policy``.

    Raises AccountsInvalid with every fault named when the bytes are not a valid document; nothing else leaves.
    """
    collecting = gc.isenabled()
    gc.disable()  # nothing made here is garbage, and looking for some doubles the time of a large file
    try:
        return _decode(raw, policy or Policy())
    except Refused:
        pass  # and leave the handler: as a context, a refusal carries parser errors, and those carry the whole text
    finally:
        if collecting:
            gc.enable()
    from rotator.core.codec.faults import UNNAMED, faults_of  # loads jsonschema, only for a broken file

    raise AccountsInvalid(faults_of(raw) or (UNNAMED,))


def _decode(raw: bytes, policy: Policy) -> tuple[Document, Pool]:
    check_depth(raw)
    text, skipped = text_of(raw)
    found = document(text, "accounts", account_or_none)
    values = {member.key: value for member, value in found}
    version = _version(values)
    strict = version <= VERSION
    if not isinstance(values.get("$schema", ""), str) and strict:
        raise Refused
    elements = values.get("accounts")
    if type(elements) is not list or (elements and type(elements[0]) is not tuple):
        if strict:
            raise Refused
        elements = []
    accounts, places, unreadable = _accounts(elements, strict=strict)
    names = {account.name for account in accounts}
    active = values.get("active")
    if active is not None and type(active) is not str:
        if strict:
            raise Refused
        active = None
    pool = Pool(accounts, active if active in names else None, _policy(values.get("policy"), policy, strict=strict))
    ends = [(m.key, m.start, m.end) for m, _ in found]
    at = _bytes_at(text, skipped)
    spans = [(at(start), at(end)) for start, end in places]
    own = {key: (at(start), at(end)) for key, start, end in ends if key in ("version", "active")}
    last = max((end for _, _, end in ends), default=0)
    return (
        Document(
            raw,
            version,
            active,
            spans,
            [account.runtime for account in accounts],
            frozenset(unreadable),
            own,
            at(text.index("{") + 1),
            at(last),
            at(text.rindex("}")),
        ),
        pool,
    )


def _accounts(elements: list[Any], *, strict: bool) -> tuple[list[Account], list[tuple[int, int]], set[int]]:
    """The accounts, their spans and the places of those whose runtime could not be read; a name may stand once."""
    accounts: list[Account] = []
    places: list[tuple[int, int]] = []
    unreadable: set[int] = set()
    names: set[str] = set()
    for start, end, decoded in elements:
        if decoded is None or decoded[0].name in names:
            if strict:
                raise Refused
            continue
        account, readable = decoded
        names.add(account.name)
        if not readable:
            unreadable.add(len(accounts))
        places.append((start, end))
        accounts.append(account)
    return accounts, places, unreadable


class _bytes_at:  # noqa: N801  used as a function
    """Text index to byte offset; quick when asked in rising order, as accounts are."""

    __slots__ = ("_ascii", "_at", "_offset", "_skipped", "_text")

    def __init__(self, text: str, skipped: int) -> None:
        self._text, self._skipped, self._ascii = text, skipped, text.isascii()
        self._at = self._offset = 0

    def __call__(self, index: int) -> int:
        if self._ascii:
            return index + self._skipped
        if index < self._at:
            self._at = self._offset = 0
        self._offset += len(self._text[self._at : index].encode())
        self._at = index
        return self._offset + self._skipped


def _version(values: dict[str, Any]) -> int:
    version = values.get("version", 1)
    if not is_whole(version) or version < 1:
        raise Refused
    return int(version)


def _policy(overrides: Any, policy: Policy, *, strict: bool) -> Policy:
    if overrides is None and not strict:
        return policy
    changes: dict[str, Any] = {}
    if type(overrides) is not dict:
        if overrides is not None and strict:
            raise Refused
        return policy
    for key, value in overrides.items():
        if key not in Policy.__match_args__:
            continue
        if key == "selector":
            good = value in SELECTORS if type(value) is str else False
        else:
            low, high = RANGES.get(key, (0.0, RANGE_MAX))
            good = (type(value) is float or type(value) is int) and low <= value <= high
            good = good and (key not in WHOLE_NUMBERS or is_whole(value))
        if good:
            whole = key in WHOLE_NUMBERS
            changes[key] = value if key == "selector" else int(value) if whole else float(value)
        elif strict:
            raise Refused
    return policy.replace(**changes) if changes else policy
