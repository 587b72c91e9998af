"""Renewals: tokens that are newer than those in the file, until the file holds them.

Refuses: asking for tokens, files, and judging whose they are (``codec.tokens``). ``usable`` ones may be sent by now: they lie
on a disk, or are of the kind that may be lost.
"""

from __future__ import annotations

from rotator.core.codec.tokens import later, short_hash
from rotator.core.state import SUPERSEDED_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.codec.decode import Document
    from rotator.core.codec.tokens import Tokens
    from rotator.core.pool import Pool


class Renewals:
    """The newest tokens known of each account that has some which its document does not hold."""

    def __init__(self) -> None:
        self._known: dict[str, Tokens] = {}
        self._usable: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, name: str, tokens: Tokens, *, usable: bool) -> None:
        """Newer than what was known of that account."""
        self._known[name] = tokens
        self.allow(name, usable=usable)

    def allow(self, name: str, *, usable: bool = True) -> None:
        """Whether they may be sent."""
        (self._usable.add if usable else self._usable.discard)(name)

    def usable(self, name: str) -> Tokens | None:
        """Tokens to send instead of the document's, if there are."""
        return self._known[name] if name in self._usable and name in self._known else None

    def taken(self) -> dict[str, Tokens]:
        """Those known by now, as they leave for the file."""
        return dict(self._known)

    def settle(self, taken: dict[str, Tokens]) -> None:
        """The file holds these, or a person's own."""
        for name, tokens in taken.items():
            if self._known.get(name) is tokens:
                del self._known[name]
                self._usable.discard(name)

    def forget(self) -> None:
        """In a forked child: what may not be sent yet is the parent's to write."""
        self._known = {name: tokens for name, tokens in self._known.items() if name in self._usable}

    def recall(self, document: Document, pool: Pool, other: Document, others: Pool) -> list[tuple[str, str]]:
        """Of another document, take the tokens that refreshes of the document's led to, as where an old copy was put back.

        Returns which tokens are superseded as the other one knows, by account.
        """
        recalled: list[tuple[str, str]] = []
        for index, account in enumerate(others):
            if not account.runtime.superseded or account.name not in pool:
                continue
            place = pool.index(account.name)
            one, two = document.spans[place], other.spans[index]
            if document.raw[slice(*one)] == other.raw[slice(*two)]:
                continue
            mine, theirs = document.account(place), other.account(index)
            known = self._known.get(account.name)
            have = mine if known is None or known.refresh_token is None else {"refresh_token": known.refresh_token}
            tokens = later(have, theirs, account.runtime.superseded)
            if tokens is not None:
                self.add(account.name, tokens, usable=True)
                recalled += [(account.name, token) for token in account.runtime.superseded]
        return recalled


def forgotten(before: Pool, after: Pool) -> list[tuple[str, str]]:
    """Superseded tokens, by account, of which the later pool does not know that any more.

    As where a person took a runtime out: the tokens are no better for it. None where there is no room for them beside
    those that it knows.
    """
    lost: list[tuple[str, str]] = []
    for account in before:
        known = account.runtime.superseded
        if known and account.name in after and known is not after.account(account.name).runtime.superseded:
            still = after.account(account.name).runtime.superseded
            missing = [token for token in known if token not in still]
            if len(missing) + len(still) <= SUPERSEDED_MAX:
                lost += [(account.name, token) for token in missing]
    return lost


def may_recall(document: Document, raw: bytes) -> bool:
    """Whether these bytes say of a token in the document that it is superseded; quick, and true once too often at most."""
    if b'"superseded"' not in raw or b'"refresh_token"' not in document.raw or raw == document.raw:
        return False
    for index in range(len(document.spans)):
        start, end = document.spans[index]
        if document.raw.find(b'"refresh_token"', start, end) >= 0:
            token = document.account(index).get("refresh_token")
            if type(token) is str and short_hash(token).encode() in raw:
                return True
    return False
