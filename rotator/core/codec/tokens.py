"""Tokens of one account in the document: which are there, which are newer, and where new ones go.

A rotated token replaces the old one's string in place, and ``expires_at`` keeps the form in which it was written. Refuses:
asking for tokens, judging whether they still serve. Where a person changed what was to be replaced, theirs stays. An access
token that has no place of a person's is kept in ``runtime``, which is decoded without it: no value that people see holds one.
"""

from __future__ import annotations

from rotator.core.instants import parse, rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rotator.core.codec.scan import Member

    Piece = tuple[int, int, str]

_HEX_DIGITS = 12
_MILLISECONDS_ABOVE = 1e11
"""As ``instants.parse`` tells them."""
_SAME_WITHIN_SECS = 1.0
"""What a form without fractions may have cut off."""


class Tokens:
    """What a refresh gave an account, or what it was known to have; ``repr`` shows none of it.

    ``refresh_token`` None: the one that was sent goes on. ``over`` are the marks (``mark``) of those that it replaces,
    ``saw`` the short hash of the access token that it replaces: empty for none, None for whichever is there. Instants are
    epoch seconds; ``expires_at`` None is not known.
    """

    __slots__ = ("access_token", "expires_at", "over", "received_at", "refresh_token", "saw")

    def __init__(
        self,
        access_token: str | None,
        refresh_token: str | None,
        received_at: float,
        expires_at: float | None,
        over: Iterable[str],
        saw: str | None = None,
    ) -> None:
        self.access_token = access_token
        self.refresh_token = refresh_token
        self.received_at = received_at
        self.expires_at = expires_at
        self.over = frozenset(over)
        self.saw = saw

    def __repr__(self) -> str:
        return "Tokens(***)"

    def __reduce__(self) -> Any:
        message = "tokens are not to be pickled"
        raise TypeError(message)


class Access:
    """The access token that an account has in the document, when it was received and when it ends.

    ``token`` None: it has none, or a reference. Instants are epoch seconds, None is not known.
    """

    __slots__ = ("expires_at", "received_at", "token")

    def __init__(self, token: str | None, received_at: float | None, expires_at: float | None) -> None:
        self.token = token
        self.received_at = received_at
        self.expires_at = expires_at

    def __repr__(self) -> str:
        return "Access(***)"


def short_hash(token: str) -> str:
    """Twelve hex digits of the SHA-256 of a token: enough to know it again, too few to find it."""
    from hashlib import sha256  # only who has tokens needs it

    return sha256(token.encode(errors="surrogatepass")).hexdigest()[:_HEX_DIGITS]


def mark(account: dict[str, Any]) -> str:
    """The short hash of an account's refresh token; of where it is, when it is a reference; empty when there is none."""
    refresh = account.get("refresh_token")
    return "" if refresh is None else short_hash(refresh if type(refresh) is str else repr(refresh))


def access_of(account: dict[str, Any]) -> Access:
    """The access token of an account's JSON object: a person's own, else the one in ``runtime`` that its refresh gave."""
    own = account.get("access_token")
    end = parse(account["expires_at"]) if "expires_at" in account else None
    known = account.get("runtime")
    if type(known) is not dict or "access_for" not in known or type(own) is dict:
        return Access(own if type(own) is str else None, None, end)
    at, until = parse(known.get("access_at")), parse(known.get("access_expires_at"))
    if type(own) is str:
        if known["access_for"] != short_hash(own):
            return Access(own, None, end)
        told = end is not None and (end > (at or 0.0) if until is None else abs(end - until) >= _SAME_WITHIN_SECS)
        return Access(own, at, end if told else until)
    token = known.get("access_token")
    if type(token) is not str or known["access_for"] != mark(account):
        return Access(None, None, None)
    return Access(token, at, until)


def later(account: dict[str, Any], other: dict[str, Any], superseded: Iterable[str]) -> Tokens | None:
    """The tokens of ``other``, when those of ``account`` are among the ``superseded`` that led to them; else None."""
    mine, theirs = account.get("refresh_token"), other.get("refresh_token")
    if type(mine) is not str or type(theirs) is not str or mine == theirs:
        return None
    known = [*superseded]
    if short_hash(mine) not in known or short_hash(theirs) in known:
        return None
    access = access_of(other)
    return Tokens(access.token, theirs, access.received_at or 0.0, access.expires_at, known)


def placed(
    found: list[tuple[Member, Any]], tokens: Tokens
) -> tuple[list[Piece], dict[str, Any], dict[str, Any]] | None:
    """Where the tokens go in an account's object, of which these are the members, read anew.

    As pieces (text indexes, new text), the object as it is then, and the keys to lay over its ``runtime``, None dropping one.
    Nothing (None) where a person has changed the credential meanwhile.
    """
    places = {member.key: member for member, _ in found}
    values = {member.key: value for member, value in found}
    now, token = mark(values), tokens.refresh_token
    if now not in tokens.over and (token is None or now != short_hash(token)):
        return None
    put: dict[str, Any] = {}
    if token is not None and type(values.get("refresh_token")) is str:
        put["refresh_token"] = token
    laid: dict[str, Any] = {}
    own, access = values.get("access_token"), tokens.access_token
    if access is not None and type(own) is not dict:
        if own is None:
            laid = {"access_token": access, **_times(tokens), "access_for": mark({**values, **put})}
        elif tokens.saw is None or short_hash(own) == tokens.saw:
            put["access_token"] = access
            laid = {"access_token": None, **_times(tokens), "access_for": short_hash(access)}
            if tokens.expires_at is not None and "expires_at" in values:
                put["expires_at"] = _as_written(values["expires_at"], tokens.expires_at)
    import json  # loaded already by whoever encodes

    pieces = [(places[key].start, places[key].end, json.dumps(value)) for key, value in put.items()]
    return pieces, {**values, **put}, laid


def _times(tokens: Tokens) -> dict[str, Any]:
    end = tokens.expires_at
    return {"access_at": rfc3339(tokens.received_at), "access_expires_at": None if end is None else rfc3339(end)}


def _as_written(old: Any, seconds: float) -> Any:
    """An instant in the form of the old one: RFC 3339, epoch seconds or milliseconds; never later than it is."""
    whole = float(int(seconds))
    if type(old) is str:
        return rfc3339(whole)
    number = seconds * 1000 if old > _MILLISECONDS_ABOVE else seconds
    return int(number) if type(old) is int else round(number, 3)


def overlaid(account: dict[str, Any], tokens: Tokens) -> tuple[str | None, Access] | None:
    """The refresh token and the access that an account has with tokens that its document does not hold (yet).

    A refresh token None: the one in the document. Nothing (None) where a person has changed the credential meanwhile.
    """
    now, token = mark(account), tokens.refresh_token
    if now not in tokens.over and (token is None or now != short_hash(token)):
        return None
    own = account.get("access_token")
    kept = type(own) is dict or (type(own) is str and tokens.saw is not None and short_hash(own) != tokens.saw)
    if kept or tokens.access_token is None:
        return token, access_of(account)
    return token, Access(tokens.access_token, tokens.received_at, tokens.expires_at)
