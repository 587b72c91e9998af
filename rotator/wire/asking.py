"""Asking: one request of a program as the exchange sees it, and the requests that go out for it.

Refuses: changing the program's own request (but for a mark that redirects carry on), reading a body that can be read but once.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.errors import OriginRefused
from rotator.wire.forms import is_replayable, model_of_form
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
"""Providers whose queries may hold a ``key`` that is no credential, and to which cookies may matter."""


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
        is_whole = isinstance(stream, library.byte_stream)
        self.replayable = is_whole or is_replayable(stream)
        if model is None:
            content = b"".join(stream) if is_whole else None
            model = model_of(content, request.url.raw_path)
            if model is None and self.replayable:
                model = model_of_form(stream, content, request.headers.get("content-type", ""))
        self.model = model

    def mark(self) -> None:
        """Make the hops of a redirect known as such."""
        if self.first is None:
            self._request.extensions[_MARK] = self.origin

    def signed(self, credentials: Credentials) -> Any:
        """A new request with the account's credentials. Raises OriginRefused, SecretMissing.

        A provider's API is sent no cookies: those that it set came with another account's answer.
        """
        if not owns(credentials.provider, credentials.base_url, self.origin):
            message = f"{shown(self.origin)} is no origin of {credentials.account}: its base_url has just changed"
            raise OriginRefused(message)
        request = self._request
        url = request.url
        if b"key=" in url.query and credentials.provider not in _FREE:
            url = url.copy_with(query=without_key(url.query) or None)
        headers = request.headers.raw
        if credentials.provider not in _FREE:
            headers = [(name, value) for name, value in headers if name.lower() != b"cookie"]
        return self._outgoing(url, signed(headers, credentials))

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
