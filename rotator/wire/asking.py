"""Asking: one request of a program as the exchange sees it, and the requests that go out for it.

Refuses: changing the program's own request (but for a mark that redirects carry on), reading a body that can be read but once.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.errors import OriginRefused
from rotator.wire.models import model_of
from rotator.wire.origins import origin, owns, shown
from rotator.wire.signing import bare, signed, without_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.credentials import Credentials
    from rotator.wire.origins import Origin

_MARK = "rotator.origin"
"""The extension of a request that holds its origin; httpx and httpx2 copy extensions to the request of a redirect."""

_FREE = ("generic", "ietf")
"""Providers whose queries may hold a ``key`` that is no credential; all others take theirs in a header too."""


class Library(Value):
    """The classes of httpx or httpx2; ``passing`` is the stream through which a body passes, synchronous or not."""

    request: Any
    response: Any
    byte_stream: Any
    passing: Any


class Asking:
    """One request of httpx or httpx2. ``first`` is where the program sent it, when this is a hop of a redirect."""

    __slots__ = ("_request", "first", "library", "model", "origin", "replayable")

    def __init__(self, library: Library, request: Any, model: str | None) -> None:
        self.library = library
        self._request = request
        self.origin = origin(request.url)
        self.first: Origin | None = request.extensions.get(_MARK)
        stream = request.stream
        self.replayable = isinstance(stream, library.byte_stream)
        if model is None:
            model = model_of(b"".join(stream) if self.replayable else None, request.url.raw_path)
        self.model = model

    def mark(self) -> None:
        """Make the hops of a redirect known as such."""
        if self.first is None:
            self._request.extensions[_MARK] = self.origin

    def signed(self, credentials: Credentials) -> Any:
        """A new request with the account's credentials. Raises OriginRefused, SecretMissing."""
        if not owns(credentials.provider, credentials.base_url, self.origin):
            message = f"{shown(self.origin)} is no origin of {credentials.account}: its base_url has just changed"
            raise OriginRefused(message)
        request = self._request
        url = request.url
        if b"key=" in url.query and credentials.provider not in _FREE:
            url = url.copy_with(query=without_key(url.query) or None)
        return self._outgoing(url, signed(request.headers.raw, credentials))

    def bare(self) -> Any:
        """A new request without credentials of any kind."""
        url = self._request.url
        if url.query:
            url = url.copy_with(query=without_key(url.query) or None)
        return self._outgoing(url, bare(self._request.headers.raw))

    def _outgoing(self, url: Any, headers: list[tuple[bytes, bytes]]) -> Any:
        request = self._request
        return self.library.request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    def answered(self, status: int, headers: dict[str, str], body: bytes) -> Any:
        """A response that no provider gave."""
        return self.library.response(status, headers=headers, content=body)
