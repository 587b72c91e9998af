"""Three versions of one document made one: what a person's copy began as, what they made of it, and the file by now.

The person's bytes win outside what the engine owns; what engines learned meanwhile is laid over them by span. Refuses:
to decide between two persons (``crossed`` says when it would have to), and files, locks, clocks.
"""

from __future__ import annotations

import json

from rotator.core.codec.account import NAMES, fingerprint
from rotator.core.codec.decode import decode
from rotator.core.codec.scan import members
from rotator.errors import AccountsInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.codec.decode import Document
    from rotator.core.codec.scan import Member

    Piece = tuple[int, int, bytes]

_TOKENS = ("access_token", "refresh_token", "expires_at")
"""What a refresh replaces outside ``runtime``: rolled back, a single-use token loses the account."""
_REVS = 2**63
_ENGINES_OWN = ("version", "active")


class _Account:
    """One account of a document: its text, where that begins in the bytes, and its members by key."""

    __slots__ = ("members", "start", "text", "values")

    def __init__(self, raw: bytes, start: int, end: int) -> None:
        self.text = raw[start:end].decode()
        self.start = start
        found, _ = members(self.text, 0)
        self.members: dict[str, Member] = {member.key: member for member, _ in found}
        self.values: dict[str, Any] = {member.key: value for member, value in found}

    def said(self, key: str) -> str | None:
        """A member's value as it is spelled; None when there is no such member."""
        member = self.members.get(key)
        return None if member is None else self.text[member.start : member.end]

    def meant(self, key: str) -> str | None:
        """A member's value however it is spelled, comparable; None when there is no such member."""
        return _letters(self.values[key]) if key in self.values else None

    def put(self, key: str, body: str) -> Piece:
        """The piece that gives a member another value, or adds it behind the last one."""
        if key in self.members:
            member = self.members[key]
            return self.piece(member.start, member.end, body)
        first, *_, last = [*self.members.values()] * 2
        lead = self.text[1 : first.key_at]
        return self.piece(last.end, last.end, f",{lead if chr(10) in lead else ' '}{json.dumps(key)}: {body}")

    def piece(self, start: int, end: int, body: str) -> Piece:
        """Text indexes of the account as bytes of the document."""
        at = self.start + len(self.text[:start].encode())
        return at, at + len(self.text[start:end].encode()), body.encode()


class _Version:
    """One of the three: the document, and its accounts by name."""

    __slots__ = ("accounts", "document")

    def __init__(self, document: Document, accounts: dict[str, _Account]) -> None:
        self.document = document
        self.accounts = accounts


def _version(raw: bytes) -> _Version | None:
    """None for what is no document, or of a newer rotator, which is never written."""
    try:
        document, pool = decode(raw)
    except AccountsInvalid:
        return None
    if document.newer:
        return None
    spans = zip(pool, document.spans, strict=True)
    return _Version(document, {account.name: _Account(raw, *span) for account, span in spans})


def crossed(base: bytes, mine: bytes, theirs: bytes) -> bool:
    """Whether somebody changed in ``theirs`` what ``merged`` would overwrite: anything of ``base`` that is a person's.

    White space between the parts does not count, nor how a string escapes its letters; order and the spelling of numbers
    do. ``runtime``, ``active``, a migrated ``version`` and a rotated token are the engine's; a token that changed on both
    sides, to two others, is crossed. A file that is no document (any more) is crossed unless it is the same bytes.
    """
    if theirs == base:
        return False
    was, now, own = _version(base), _version(theirs), _version(mine)
    if was is None or now is None or _of_a_person(base) != _of_a_person(theirs):
        return True
    return own is not None and any(
        len({account.meant(key) for account in (was.accounts[before], now.accounts[before], own.accounts[name])}) > 2  # noqa: PLR2004  three versions
        for name, before in _same_accounts(own, was).items()
        for key in _TOKENS
    )


def merged(base: bytes, mine: bytes, theirs: bytes) -> bytes:
    """The person's text ``mine`` with what engines learned between ``base`` and ``theirs``; a valid document.

    Byte for byte the person's, but for: the ``runtime`` of an account whose runtime the person left as it was in ``base``
    (its ``rev`` aside) is that of ``theirs``; so are tokens that the person left, ``active``, and a migrated ``version``.
    A runtime that the person did change stays theirs and gets the highest ``rev`` that the file has had: same ``rev``,
    other content is how engines know a deliberate edit (``pending.rebase``), and a lower one would be a stale buffer.
    An account is known by its name, else by its credential. Where ``base`` or ``theirs`` is no document, or ``mine`` is of
    a newer version, it is ``mine`` as it is. Raises AccountsInvalid when ``mine`` is not valid.
    """
    own, was, now = _version(mine), _version(base), _version(theirs)
    if own is None:
        decode(mine)
        return mine
    if was is None or now is None:
        return mine
    pieces: list[Piece] = []
    for name, before in _same_accounts(own, was).items():
        if before in now.accounts:
            three = own.accounts[name], was.accounts[before], now.accounts[before]
            pieces += _runtime_pieces(*three)
            pieces += _token_pieces(*three)
    pieces += _top_level_pieces(own, was.document, now.document)
    pieces.sort()
    parts, at = [], 0
    for start, end, body in pieces:
        parts += [mine[at:start], body]
        at = end
    return b"".join([*parts, mine[at:]])


def _same_accounts(own: _Version, was: _Version) -> dict[str, str]:
    """The accounts that were there already: their names in the person's text, and what they were called before."""
    same = {name: name for name in own.accounts if name in was.accounts}
    gone: dict[str | None, list[str]] = {}
    for name, account in was.accounts.items():
        if name not in same:
            gone.setdefault(fingerprint(account.values), []).append(name)
    new: dict[str | None, list[str]] = {}
    for name, account in own.accounts.items():
        if name not in same:
            new.setdefault(fingerprint(account.values), []).append(name)
    for key, names in new.items():
        before = gone.get(key, [])
        if key is not None and len(names) == len(before) == 1:
            same[names[0]] = before[0]
    return same


def _letters(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _learned(runtime: Any) -> str:
    """A runtime without its ``rev``, comparable; one that is absent knows as much as an empty one."""
    if isinstance(runtime, dict) and type(runtime.get("rev")) in (int, float):
        return _letters({key: value for key, value in runtime.items() if key != "rev"})
    return _letters(runtime)


def _rev(runtime: Any) -> int:
    rev = runtime.get("rev") if isinstance(runtime, dict) else None
    return int(rev) if (type(rev) is int or type(rev) is float) and 0 <= rev < _REVS else 0


def _runtime_pieces(own: _Account, was: _Account, now: _Account) -> list[Piece]:
    mine, before, theirs = [account.values.get("runtime", {}) for account in (own, was, now)]
    if _learned(mine) in (_learned(before), _learned(theirs)):
        return [] if _letters(mine) == _letters(theirs) else [own.put("runtime", now.said("runtime") or "{}")]
    rev = max(_rev(before), _rev(theirs))
    if not rev or not isinstance(mine, dict) or _rev(mine) == rev:
        return []
    if not mine:
        return [own.put("runtime", f'{{"rev": {rev}}}')]
    runtime = own.members["runtime"]
    found, _ = members(own.text, runtime.start)
    for member, _ in found:
        if member.key == "rev":
            return [own.piece(member.start, member.end, str(rev))]
    first = found[0][0].key_at
    lead = own.text[runtime.start + 1 : first]
    return [own.piece(first, first, f'"rev": {rev},{lead or " "}')]


def _token_pieces(own: _Account, was: _Account, now: _Account) -> list[Piece]:
    pieces = []
    for key in _TOKENS:
        said = now.said(key)
        same = own.meant(key) == was.meant(key) != now.meant(key)
        if said is not None and same and key in own.members:
            pieces.append(own.put(key, said))
    return pieces


def _top_level_pieces(own: _Version, was: Document, now: Document) -> list[Piece]:
    pieces = []
    document = own.document
    raw, begin = document.raw, document.opening
    lead = raw[begin : len(raw) - len(raw[begin:].lstrip(b" \t\r\n"))]
    if document.version < now.version and document.version == was.version:
        version = str(now.version).encode()
        if "version" in document.members:
            pieces.append((*document.members["version"], version))
        else:
            pieces.append((begin, begin, lead + b'"version": ' + version + (b"," if lead else b", ")))
    if document.active == was.active != now.active and now.active in own.accounts:
        account = own.accounts[now.active]
        name = (account.said(next(key for key in NAMES if key in account.members)) or "").encode()
        if "active" in document.members:
            pieces.append((*document.members["active"], name))
        else:
            gap = lead if b"\n" in lead else b" "
            pieces.append((document.last, document.last, b"," + gap + b'"active": ' + name))
    return pieces


def _of_a_person(raw: bytes) -> list[tuple[str, Any]]:
    """What a person says in a valid document, as pairs in their order, numbers as they are spelled."""
    whole = json.loads(
        raw.decode("utf-8-sig"),
        object_pairs_hook=lambda pairs: ("object", pairs),
        parse_float=lambda letters: ("number", letters),
        parse_int=lambda letters: ("number", letters),
    )[1]
    return [
        (key, [_account_of_a_person(pairs) for _, pairs in value] if key == "accounts" else value)
        for key, value in whole
        if key not in _ENGINES_OWN
    ]


def _account_of_a_person(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Without its runtime; of a token that is a text only that it is there."""
    return [
        (key, None if key == "expires_at" or (key in _TOKENS and isinstance(value, str)) else value)
        for key, value in pairs
        if key != "runtime"
    ]
