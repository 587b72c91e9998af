"""Origins: to which scheme, host and port the credentials of an account may go, and which accounts may go to one.

Refuses: reading secrets, choosing among the accounts, sending. Plain http is nobody's origin but on loopback.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.codec.decode import Document
    from rotator.engine import Rotator

    Origin = tuple[str, str, int]

_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535

KNOWN: dict[str, tuple[str, ...]] = {
    "anthropic": ("api.anthropic.com",),
    "codex": ("chatgpt.com",),
    "github": ("api.github.com",),
    "github-copilot": (
        "api.githubcopilot.com",
        "api.individual.githubcopilot.com",
        "api.business.githubcopilot.com",
        "api.enterprise.githubcopilot.com",
    ),
    "github-models": ("models.github.ai", "models.inference.ai.azure.com"),
    "google-cloudcode": (
        "cloudcode-pa.googleapis.com",
        "daily-cloudcode-pa.googleapis.com",
        "daily-cloudcode-pa.sandbox.googleapis.com",
        "autopush-cloudcode-pa.sandbox.googleapis.com",
    ),
    "google-gemini-api": ("generativelanguage.googleapis.com",),
    "google-vertex": ("aiplatform.googleapis.com", "*-aiplatform.googleapis.com"),
    "groq": ("api.groq.com",),
    "mistral": ("api.mistral.ai", "codestral.mistral.ai"),
    "openai": ("api.openai.com", "eu.api.openai.com", "us.api.openai.com"),
    "openrouter": ("openrouter.ai",),
}
"""Provider name -> its hosts, by https at the usual port (the providers' own documents; regions of Vertex by their suffix).

Azure has none: each resource has a host of its own, so its accounts say their ``base_url``; so do ``generic`` and ``ietf``.
"""


def origin(url: Any) -> Origin:
    """The origin of a URL of httpx or httpx2."""
    scheme = url.scheme
    return scheme, url.raw_host.decode("ascii").lower(), url.port or _PORTS.get(scheme, 0)


@lru_cache(maxsize=4096)
def origin_of(base_url: str) -> Origin | None:
    """The origin of a ``base_url`` as a person wrote it; None where none is to be read."""
    try:
        parts = urlsplit(base_url.strip())
        host, port = parts.hostname, parts.port
        if host and not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError:
        return None
    if not host or parts.scheme not in _PORTS or not 0 <= (port or 0) <= _LAST_PORT:
        return None
    return parts.scheme, host.lower(), port or _PORTS[parts.scheme]


def trusted(place: Origin) -> bool:
    """Whether credentials may go there at all: by https, and by plain http on loopback alone."""
    scheme, host, _ = place
    if scheme == "https":
        return True
    if host == "localhost":
        return scheme == "http"
    try:
        return scheme == "http" and ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def owns(provider: str, base_url: str | None, place: Origin) -> bool:
    """Whether an account of that provider may send its credentials there.

    A ``base_url`` stands instead of the provider's known hosts; one that cannot be read allows nothing.
    """
    if not trusted(place):
        return False
    if base_url is not None:
        return origin_of(base_url) == place
    scheme, host, port = place
    if scheme != "https" or port != _PORTS["https"]:
        return False
    return any(
        host == known or (known.startswith("*") and host.endswith(known[1:])) for known in KNOWN.get(provider, ())
    )


def shown(place: Origin) -> str:
    """An origin as a person reads it."""
    scheme, host, port = place
    return f"{scheme}://{host}" + ("" if port == _PORTS.get(scheme) else f":{port}")


def unowned(place: Origin) -> str:
    """Why a request to an origin that no account has is refused, and what a person can do about it."""
    name, (scheme, _, _) = shown(place), place
    if not trusted(place) and scheme == "http":
        return f"no account has the origin {name}: plain http is for loopback alone; use https, and say so in base_url"
    if scheme == "http":
        return (
            f"no account has the origin {name}: on this machine too a base_url counts as it is written, port and all, and"
            " localhost is another name than 127.0.0.1"
        )
    return f"no account has the origin {name}: give an account that base_url, or the provider whose API that is"


class Owners:
    """Which accounts own an origin, worked out once until accounts change."""

    def __init__(self, rotator: Rotator) -> None:
        self._rotator = rotator
        self._found: tuple[int, dict[Origin, frozenset[str]]] = (-1, {})

    def of(self, place: Origin) -> frozenset[str]:
        """The names of the accounts whose credentials may go there; the same object until the accounts change."""
        keeper = self._rotator._keeper
        generation, found = self._found
        if generation != keeper.generation:
            generation, found = self._found = keeper.generation, {}
        names = found.get(place)
        if names is None:
            with self._rotator._lock:
                document, pool = keeper.document, keeper.pool
                names = frozenset(
                    account.name
                    for index, account in enumerate(pool)
                    if owns(account.provider, _base_url(document, index), place)
                )
            if len(found) < _MOST_ORIGINS:
                found[place] = names
        return names

    def look_again(self, place: Origin) -> frozenset[str]:
        """``of``, once the file has been looked at: a person may just have edited it."""
        with self._rotator._lock:
            self._rotator._look()
        return self.of(place)


_MOST_ORIGINS = 256
"""Origins kept at once; a program speaks to a few, and a server that redirects to ever new ones fills nothing."""


def _base_url(document: Document, index: int) -> str | None:
    """The account's; its object is decoded only where that can hold one, since a pool may have ten thousand without."""
    start, end = document.spans[index]
    text = document.raw[start:end]
    if b"base_url" not in text and b"\\u" not in text:
        return None
    value = document.account(index).get("base_url")
    return value if isinstance(value, str) else None
