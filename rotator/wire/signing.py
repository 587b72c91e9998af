"""Signing: the headers of one request with an account's credentials instead of those that came, or with none at all.

Refuses: deciding where credentials may go (``origins``), changing the request that it is given headers of.
"""

from __future__ import annotations

import re

from rotator.errors import SecretMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from rotator.credentials import Credentials

    Headers = list[tuple[bytes, bytes]]

OAUTH_BETA = b"oauth-2025-04-20"
"""Anthropic takes an OAuth token on its API only with this beta."""

_BEARER = b"Authorization"
_PLACED = (b"x-api-key", b"authorization", b"api-key", b"x-goog-api-key")
"""Headers in which an SDK puts a key, the one first that decides where an account's own goes."""
_OURS = frozenset({*_PLACED, b"chatgpt-account-id"})
_ANY = re.compile(
    rb"auth|key|token|secret|cookie|credential|account-id|session|signature|organization|project", re.IGNORECASE
)
"""What the name of a header holds that may bear or name an identity; on a way to strangers rather one too many goes."""
_QUERY = re.compile(
    rb"(?:^|(?<=&))(?:key|api[-_]?key|access_token|token|auth|sig|signature|client_secret)=[^&#]*&?", re.IGNORECASE
)
_READABLE = (b"gzip", b"deflate", b"identity")
_UNFIT = re.compile(r"[^\x21-\x7e]")


def signed(raw: Iterable[tuple[bytes, bytes]], credentials: Credentials) -> Headers:
    """The headers as they go out; ``raw`` as httpx gives them, names in any case.

    Raises SecretMissing when a credential is nothing that a header can carry.
    """
    kept: Headers = []
    there: set[bytes] = set()
    for name, value in raw:
        lower = name.lower()
        if lower in _OURS:
            there.add(lower)
        elif lower == b"accept-encoding":
            kept.append((name, _readable(value)))
        else:
            kept.append((name, value))
    provider = credentials.provider
    if provider == "codex" and credentials.account_id is not None:
        kept.append((b"ChatGPT-Account-Id", _sendable(credentials, credentials.account_id)))
    if credentials.access_token is not None:
        kept.append((_BEARER, b"Bearer " + _sendable(credentials, credentials.access_token)))
        if provider == "anthropic":
            return _with_beta(kept)
    elif credentials.api_key is not None:
        key = _sendable(credentials, credentials.api_key)
        place = _place(provider, there)
        kept.append((_BEARER, b"Bearer " + key) if place == b"authorization" else (place, key))
    return kept


def bare(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers without any that may bear a credential or name an account."""
    return [(name, value) for name, value in raw if _ANY.search(name) is None]


def without_key(query: bytes) -> bytes:
    """The query without the parameters that bear credentials."""
    return _QUERY.sub(b"", query).rstrip(b"&")


def _place(provider: str, there: set[bytes]) -> bytes:
    """The header for an API key: the provider's, or where it takes several the one that the request used."""
    if provider == "anthropic":
        return b"authorization" if b"authorization" in there and b"x-api-key" not in there else b"x-api-key"
    if provider.startswith("google-"):
        return b"x-goog-api-key"
    if provider == "azure-openai":
        return b"api-key"
    if provider == "generic":
        return next((place for place in _PLACED if place in there), b"authorization")
    return b"authorization"


def _with_beta(headers: Headers) -> Headers:
    flags: list[bytes] = []
    for name, value in headers:
        if name.lower() == b"anthropic-beta":
            flags += [flag.strip() for flag in value.split(b",")]
    kept = [(name, value) for name, value in headers if name.lower() != b"anthropic-beta"]
    flags = [flag for flag in flags if flag and flag != OAUTH_BETA]
    return [*kept, (b"anthropic-beta", b",".join([*flags, OAUTH_BETA]))]


def _readable(value: bytes) -> bytes:
    """Of the encodings that the caller takes those that can be read in passing."""
    asked = [part.strip() for part in value.split(b",")]
    known = [part for part in asked if part.partition(b";")[0].strip().lower() in _READABLE]
    return value if len(known) == len(asked) else b", ".join(known) or b"identity"


def _sendable(credentials: Credentials, secret: str) -> bytes:
    """The secret as a header's value; the HTTP libraries quote a value that they refuse, so it must not come so far."""
    text = secret.strip()
    if not text or _UNFIT.search(text):
        secret = text = ""  # who reports errors with the locals of their frames
        message = f"a credential of {credentials.account} is empty, or holds what no HTTP header can: look at its ends"
        raise SecretMissing(message)
    return text.encode("ascii")
