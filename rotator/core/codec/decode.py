"""Bytes of ``accounts.json`` to a ``Document`` and its ``Pool``: strict, by itself, and fast.

Refuses: naming what is wrong (``faults`` does, when asked), and any value outside ``runtime`` that the format forbids.
Version 1 (the list that tools of this field write, without ``version``) is read as version 2 without runtime.
A newer version is read for what is understood and marked unwritable.
"""

from __future__ import annotations

from rotator.core.codec.runtime import decode_runtime
from rotator.core.codec.scan import Refused, check_depth, document, text_of, value_at
from rotator.core.instants import parse
from rotator.core.policy import RANGE_MAX, RANGES, SELECTORS, WHOLE_NUMBERS, Policy
from rotator.core.state import UNKNOWN, Account, Pool, Runtime
from rotator.errors import AccountsInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 2
NEWER = f"the file was written by a newer rotator (version above {VERSION}): update rotator to keep what it learns"
"""Why a newer document is not written, for people."""
CREDENTIALS = ("api_key", "access_token", "refresh_token")
NAMES = ("id", "name", "email")
WEIGHT_MAX = 1e9
_BLOCKS = {"banned": False, "restricted": False, "auth_failed": False, "blocked_reason": "", "blocked_at": 0.0}


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
        value: dict[str, Any] = value_at(self.raw[start:end].decode(), 0)[0]
        return value


def decode(raw: bytes, policy: Policy | None = None) -> tuple[Document, Pool]:
    """The document and its pool; the document's own ``policy`` goes over ``policy``.

    Raises AccountsInvalid with every fault named when the bytes are not a valid document; nothing else leaves.
    """
    try:
        return _decode(raw, policy or Policy())
    except Refused:
        pass  # and leave the handler: as a context, a refusal carries parser errors, and those carry the whole text
    from rotator.core.codec.faults import UNNAMED, faults_of  # loads jsonschema, only for a broken file

    raise AccountsInvalid(faults_of(raw) or (UNNAMED,))


def _decode(raw: bytes, policy: Policy) -> tuple[Document, Pool]:
    check_depth(raw)
    text, skipped = text_of(raw)
    found = document(text, "accounts", _each)
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


def _each(value: Any) -> tuple[Account, bool] | None:
    """One account as soon as it is scanned, so that the decoded JSON of all of them is never held at once."""
    try:
        return decode_account(value)
    except Refused:
        return None


def _is_whole(value: Any) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


def _version(values: dict[str, Any]) -> int:
    version = values.get("version", 1)
    if not _is_whole(version) or version < 1:
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
            good = good and (key not in WHOLE_NUMBERS or _is_whole(value))
        if good:
            whole = key in WHOLE_NUMBERS
            changes[key] = value if key == "selector" else int(value) if whole else float(value)
        elif strict:
            raise Refused
    return policy.replace(**changes) if changes else policy


def _is_text(value: Any) -> bool:
    return type(value) is str and value != ""


def is_name(value: Any) -> bool:
    """Whether a value can be an account's name: a text, not empty, without control characters."""
    return _is_text(value) and not any(character < " " or character == "\x7f" for character in value)


def _is_credential(value: Any) -> bool:
    if type(value) is str:
        return True
    if type(value) is not dict:
        return False
    if "env" in value:
        return _is_text(value["env"])
    pointer = value.get("pointer", "")
    return _is_text(value.get("file")) and type(pointer) is str and (pointer == "" or pointer[0] == "/")


def _is_texts(value: Any) -> bool:
    return type(value) is list and all(map(_is_text, value))


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_weight(value: Any) -> bool:
    return (type(value) is int or type(value) is float) and 0 < value <= WEIGHT_MAX


def _is_fraction(value: Any) -> bool:
    return (type(value) is int or type(value) is float) and 0 <= value <= 1


def _is_time(value: Any) -> bool:
    return parse(value) is not None


_CHECKS = {
    "id": is_name,
    "name": is_name,
    "email": is_name,
    "provider": _is_text,
    "api_key": _is_credential,
    "access_token": _is_credential,
    "refresh_token": _is_credential,
    "expires_at": _is_time,
    "project_id": _is_text,
    "base_url": _is_text,
    "enabled": _is_flag,
    "priority": _is_whole,
    "emergency": _is_flag,
    "models": _is_texts,
    "weight": _is_weight,
    "min_remaining": _is_fraction,
    "quota_group": _is_text,
    "tags": _is_texts,
}
_ALL_MODELS = ("*",)


def decode_account(value: Any) -> tuple[Account, bool]:
    """The account of decoded JSON, and whether its runtime could be read; raises Refused for a fault outside runtime."""
    if type(value) is not dict:
        raise Refused
    for key, check in _CHECKS.items():
        if key in value and not check(value[key]):
            raise Refused
    name = value.get("id", value.get("name", value.get("email")))
    if name is None:
        raise Refused
    runtime, readable = UNKNOWN, True
    if "runtime" in value:
        try:
            runtime = decode_runtime(value["runtime"])
        except Refused:
            readable = False
        if runtime.banned or runtime.restricted or runtime.auth_failed:
            learned_with = value["runtime"].get("blocked_credential")
            if learned_with is not None and learned_with != fingerprint(value):
                runtime = runtime.replace(**_BLOCKS)
    models, left = value.get("models"), value.get("min_remaining")
    account = Account(
        name,
        value.get("provider", "generic"),
        value.get("enabled", True),
        int(value.get("priority", 0)),
        value.get("emergency", False),
        _ALL_MODELS if models is None else tuple(models),
        float(value.get("weight", 1.0)),
        None if left is None else float(left),
        value.get("quota_group"),
        tuple(value.get("tags", ())),
        runtime,
    )
    return account, readable


def fingerprint(account: dict[str, Any]) -> str | None:
    """Twelve hex digits that change when the account's credential does; None when it has none.

    Of the refresh token, else the key, else the access token: a rotated access token is no new credential. A reference
    counts by where it leads, not by what is there.
    """
    for key in ("refresh_token", "api_key", "access_token"):
        if key in account:
            from hashlib import sha256

            return sha256(repr(account[key]).encode(errors="surrogatepass")).hexdigest()[:12]
    return None
