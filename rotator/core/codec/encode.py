"""A pool over its document: the bytes of the next version of the file.

Only the engine's spans change: ``runtime`` of the accounts that learned something, ``active``, and ``version`` at a
migration. Every other byte is the person's and is carried over. New parts follow the file's own indentation and line
ends. Refuses: what the values mean.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right

from rotator.core.codec.account import fingerprint
from rotator.core.codec.decode import VERSION, Document
from rotator.core.codec.rewrite import encode_runtime
from rotator.core.codec.scan import members
from rotator.core.codec.seal import within_json
from rotator.core.codec.tokens import placed
from rotator.core.lineage import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rotator.core.codec.tokens import Tokens
    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.core.state import Account, Runtime

_NESTED = ("windows", "models", "sessions", "polls")
"""Parts of a runtime that get a line for each member; everything else stands on one line."""


def changed(document: Document, pool: Pool) -> bool:
    """Whether the pool knows something that the document does not hold."""
    if document.newer:
        return False
    if pool.active is not None and pool.active != document.active:
        return True
    known = zip(document.runtimes, pool, strict=True)
    return any(account.runtime is not runtime for runtime, account in known)


def encode(document: Document, pool: Pool, renewed: Mapping[str, Tokens] | None = None) -> tuple[Document, Pool]:
    """The document that holds the pool, and the pool with the ``rev`` of each changed account one higher.

    The pool must have the document's accounts in the document's order. ``renewed`` are new tokens by account, which go
    in unless a person has changed the credential. A pool that knows nothing new gives the same document.
    """
    fresh = {} if renewed is None or document.newer else renewed
    if not fresh and not changed(document, pool):
        return document, pool
    raw = document.raw
    newline = "\r\n" if b"\r" in raw and b"\r\n" in raw else "\n"  # one letter is found forty times as fast as two
    pieces: list[tuple[int, int, bytes]] = []
    runtimes = list(document.runtimes)
    for index, account in enumerate(pool):
        tokens = fresh.get(account.name) if fresh else None
        if account.runtime is not document.runtimes[index] or tokens is not None:
            edits, runtimes[index] = _account_pieces(document, index, account, pool.policy, newline, tokens)
            pieces += edits
            pool = pool.with_runtime(account.name, runtimes[index])
    pieces += _top_level_pieces(document, pool)
    return (_spliced(document, pool, pieces, runtimes), pool) if pieces else (document, pool)


def _account_pieces(
    document: Document, index: int, account: Account, policy: Policy, newline: str, tokens: Tokens | None
) -> tuple[list[tuple[int, int, bytes]], Runtime]:
    """An account's next state as replacements of bytes, and that state: one ``rev`` higher, and sealed."""
    start, end = document.spans[index]
    text = document.raw[start:end].decode()
    found, _ = members(text, 0)
    place, old = next(((member, value) for member, value in found if member.key == "runtime"), (None, None))
    runtime, values = account.runtime, {member.key: value for member, value in found}
    edits: list[tuple[int, int, bytes]] = []
    laid: dict[str, Any] = {}
    if tokens is not None:
        put = placed(found, tokens)
        if put is not None:
            edits, values, laid = [_piece(text, start, *piece) for piece in put[0]], put[1], put[2]
        elif runtime is document.runtimes[index]:
            return [], runtime
    blocked = runtime.banned or runtime.restricted or runtime.auth_failed
    blocked = blocked or bool(runtime.consecutive_401 or runtime.consecutive_403)
    learned_with = fingerprint(values) if blocked else None
    if index in document.unreadable:
        old = None
    runtime = runtime.replace(rev=runtime.rev + 1, sealed_over=line(runtime))
    account = account.replace(runtime=runtime)
    value = encode_runtime(account, policy, old, document.runtimes[index], learned_with, laid)
    runtime = runtime.replace(seal=value["seal"])
    before = text[1 : found[0][0].key_at]
    indent = before.rpartition("\n")[2] if "\n" in before else None
    outer = text.rpartition("\n")[2][:-1]
    unit = indent[len(outer) :] if indent and not outer.strip() and indent.startswith(outer) else ""
    body = _runtime_text(value, indent, unit or "  ", newline)
    if place is not None:
        return [*edits, _piece(text, start, place.start, place.end, body)], runtime
    last = found[-1][0].end
    gap = f",{newline}{indent}" if indent is not None else ", "
    return [*edits, _piece(text, start, last, last, f'{gap}"runtime": {body}')], runtime


def _piece(text: str, offset: int, start: int, end: int, body: str) -> tuple[int, int, bytes]:
    """A replacement of text indexes of an account as a replacement of bytes of the document."""
    first = offset + len(text[:start].encode())
    return first, first + len(text[start:end].encode()), body.encode()


_readable = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _line(value: Any) -> str:
    try:
        text = _readable(value)
    except ValueError:
        value = within_json(value)
        text = _readable(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can carry
        return json.dumps(value, allow_nan=False)
    return text


def _runtime_text(value: dict[str, Any], indent: str | None, unit: str, newline: str) -> str:
    """The runtime with a line for each member, and for each model and window, in the file's indentation."""
    if indent is None:
        return _line(value)
    inner = indent + unit
    return _block(
        [(key, _nested(key, part, inner, unit, newline)) for key, part in value.items()], indent, unit, newline
    )


def _nested(key: str, part: Any, indent: str, unit: str, newline: str) -> str:
    if key in _NESTED and part:
        return _block([(name, _line(each)) for name, each in part.items()], indent, unit, newline)
    return _line(part)


def _block(parts: list[tuple[str, str]], indent: str, unit: str, newline: str) -> str:
    lines = f",{newline}{indent}{unit}".join(f"{_line(key)}: {body}" for key, body in parts)
    return f"{{{newline}{indent}{unit}{lines}{newline}{indent}}}"


def _top_level_pieces(document: Document, pool: Pool) -> list[tuple[int, int, bytes]]:
    pieces: list[tuple[int, int, bytes]] = []
    raw = document.raw
    begin = document.opening
    after = begin
    while raw[after : after + 1] in (b" ", b"\t", b"\r", b"\n"):
        after += 1
    lead = raw[begin:after].decode()
    if document.version < VERSION:
        if "version" in document.members:
            pieces.append((*document.members["version"], str(VERSION).encode()))
        else:
            pieces.append((begin, begin, f'{lead}"version": {VERSION},{"" if lead else " "}'.encode()))
    if pool.active != document.active and pool.active is not None:
        active = _line(pool.active).encode()
        if "active" in document.members:
            pieces.append((*document.members["active"], active))
        else:
            gap = lead if "\n" in lead else " "
            pieces.append((document.last, document.last, f',{gap}"active": '.encode() + active))
    return pieces


def _spliced(document: Document, pool: Pool, pieces: list[tuple[int, int, bytes]], runtimes: list[Any]) -> Document:
    """The document after the replacements, its places moved along."""
    pieces.sort(key=lambda piece: piece[:2])
    parts: list[bytes | memoryview] = []
    view, at = memoryview(document.raw), 0
    ends: list[int] = []
    shifts = [0]
    for start, end, body in pieces:
        parts += (view[at:start], body)
        at = end
        ends.append(end)
        shifts.append(shifts[-1] + len(body) - (end - start))
    parts.append(view[at:])
    raw = b"".join(parts)
    starts = [start for start, _, _ in pieces]

    def moved(offset: int) -> int:
        return offset + shifts[bisect_right(ends, offset)]

    def moved_end(offset: int) -> int:  # what is inserted behind a part is not in it
        return offset + shifts[bisect_left(starts, offset)]

    before = bisect_right(document.spans, starts[0], key=lambda span: span[1])
    spans = document.spans[:before]
    spans += [(moved(start), moved_end(end)) for start, end in document.spans[before:]]
    own = {key: (moved(start), moved_end(end)) for key, (start, end) in document.members.items()}
    last = moved(document.last)
    if pool.active is not None and "active" not in own and pool.active != document.active:
        own["active"] = (last - len(_line(pool.active).encode()), last)
    if "version" not in own:
        digit = raw.index(b'"version": ', document.opening) + len(b'"version": ')
        own["version"] = (digit, digit + 1)
    unreadable = frozenset(i for i in document.unreadable if runtimes[i] is document.runtimes[i])
    active = pool.active if pool.active is not None else document.active
    return Document(
        raw, VERSION, active, spans, runtimes, unreadable, own, document.opening, last, moved(document.closing)
    )
