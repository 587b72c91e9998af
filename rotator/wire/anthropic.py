"""For Anthropic's SDK without a transport: ``Accounts`` gives a client its ``credentials=`` and its ``middleware=``.

Refuses: deciding (``exchange``), any other SDK. The middleware runs within the SDK's retries, once for each of them, and there
does what the transport does: it chooses the account, sets its credentials, learns from the answer, and asks the next.
"""

from __future__ import annotations

import anthropic
import httpx2
from anthropic.lib.credentials import AccessToken

from rotator.errors import BadArgument, LoginNeeded, OriginRefused
from rotator.wire.asking import Asking
from rotator.wire.exchange import Exchange
from rotator.wire.httpx2 import AsyncRotatorTransport, RotatorTransport
from rotator.wire.origins import origin, owns, shown
from rotator.wire.refresh import current
from rotator.wire.shared import Shared
from rotator.wire.signing import signed
from rotator.wire.steps import drive, drive_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from rotator.credentials import Credentials
    from rotator.engine import Rotator
    from rotator.wire.asking import Library
    from rotator.wire.origins import Origin

_STATUS_ERRORS = {429: anthropic.RateLimitError, 503: anthropic.InternalServerError}


class Accounts:
    """A pool for one client: ``Anthropic(credentials=accounts.credentials, middleware=accounts.middleware)``.

    The same for ``AsyncAnthropic``. Both are needed: the provider is told the client's ``base_url``, where credentials go.

    ``model``, ``max_accounts`` and ``deadline`` are those of ``RotatorTransport``, and so is what a call raises; when nobody
    is ready it is the SDK's RateLimitError or InternalServerError. With ``model`` the provider also works alone: it then
    gives the account that is best at each attempt, and nothing is learned from the answers.
    """

    def __init__(
        self,
        rotator: Rotator,
        *,
        model: str | None = None,
        max_accounts: int = 3,
        deadline: float | timedelta | None = None,
    ) -> None:
        self._model = model
        self._shared = Shared(rotator, max_accounts, deadline)
        self.credentials = Provider(self._shared, model)
        self.middleware: list[Any] = [_Rotating(self._shared, self.credentials, model)]

    @property
    def rotator(self) -> Rotator:
        """The engine, which is its owner's to close."""
        return self._shared.rotator

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.Accounts of {len(self._shared.rotator.pool)} accounts>"


class Provider:
    """The ``credentials=`` of a client; the SDK asks it before each attempt that the middleware did not set credentials for."""

    def __init__(self, shared: Shared, model: str | None) -> None:
        self._shared = shared
        self._model = model
        self._given: tuple[str, str] | None = None
        self.base: Origin | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.Provider>"

    def for_base_url(self, base_url: str) -> Provider:
        """What the SDK tells it at construction. Raises BadArgument for a second, other origin: make another Accounts."""
        place = origin(httpx2.URL(base_url))
        if self.base is not None and self.base != place:
            message = f"these accounts serve {shown(self.base)} already: make another Accounts for another base_url"
            raise BadArgument(message)
        self.base = place
        return self

    def __call__(self, *, force_refresh: bool = False) -> AccessToken:
        """The token of the best account now. Raises BadArgument without a model, and LoginNeeded when nobody is ready."""
        if self._model is None or self.base is None:
            message = (
                "the provider alone is not told the model: give the client accounts.middleware too, or Accounts a model"
            )
            raise BadArgument(message)
        rotator = self._shared.rotator
        names = self._shared.owners.of(self.base)
        chosen = rotator.next(self._model, among=names) if names else None
        if chosen is None or chosen.account is None:
            message = f"nobody is ready: {chosen.explanation if chosen is not None else 'no account has that origin'}"
            raise LoginNeeded(message)
        before, self._given = self._given, None
        refused = before[1] if force_refresh and before is not None and before[0] == chosen.account else None
        found = current(rotator, chosen.account, rejected=refused)
        token = found.access_token or found.api_key
        if token is None or not owns(found.provider, found.base_url, self.base):
            message = f"{chosen.account} has no token for {shown(self.base)}"
            raise LoginNeeded(message)
        self._given = chosen.account, token
        return AccessToken(token, expires_at=0)


class _Attempt(Asking):
    """One attempt of the SDK's, as the exchange sees it."""

    __slots__ = ("_attempt",)

    def __init__(self, library: Library, request: anthropic.APIRequest, base: Origin | None, model: str | None) -> None:
        if base is None:
            message = "give the client accounts.credentials too: it is told the base_url"
            raise BadArgument(message)
        url = httpx2.URL(request.url)
        body = request.json
        named = body.get("model") if isinstance(body, dict) else None
        self._attempt = request
        self.library = library
        self.origin = origin(url) if url.is_absolute_url else base
        self.first = None
        self.replayable = request.options.content is None and not request.options.files
        self.model = model or (named if isinstance(named, str) else None)

    def mark(self) -> None:
        """Redirects are not followed, since the SDK's client would take an API key along."""

    def signed(self, credentials: Credentials) -> anthropic.APIRequest:
        """A new attempt with the account's credentials. Raises OriginRefused, SecretMissing."""
        if not owns(credentials.provider, credentials.base_url, self.origin):
            message = f"{shown(self.origin)} is no origin of {credentials.account}: its base_url has just changed"
            raise OriginRefused(message)
        request = self._attempt.copy()
        kept: dict[str, Any] = {}
        raw: list[tuple[bytes, bytes]] = [(b"Accept-Encoding", b"gzip, deflate")]
        for name, value in request.headers.items():
            if isinstance(value, str):
                raw.append((name.encode("latin-1"), value.encode("latin-1", "replace")))
            else:
                kept[name] = value
        found = {name.decode("latin-1"): _Masked(value, "latin-1") for name, value in signed(raw, credentials)}
        request.options.headers = {**kept, **found}
        request.options.follow_redirects = False
        return request

    def answered(self, status: int, headers: dict[str, str], body: bytes) -> Any:
        """What the SDK raises for such an answer."""
        scheme, host, port = self.origin
        request = httpx2.Request("POST", httpx2.URL(scheme=scheme, host=host, port=port, path=self._attempt.url))
        response = httpx2.Response(status, headers=headers, content=body, request=request)
        told = response.json()
        raise _STATUS_ERRORS[status](told["error"]["message"], response=response, body=told)


class _Masked(str):
    """The value of a header: the SDK logs the headers of an attempt at DEBUG, and by default it hides none."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class _Chain:
    """The rest of the SDK's chain in the place of a transport: it sends what it is given as an attempt."""

    def __init__(self, call_next: Any) -> None:
        self._call_next = call_next
        self._wrapped: dict[int, Any] = {}

    def handle_request(self, request: anthropic.APIRequest) -> Any:
        return self._kept(self._call_next(request))

    async def handle_async_request(self, request: anthropic.APIRequest) -> Any:
        return self._kept(await self._call_next(request))

    def _kept(self, wrapped: Any) -> Any:
        self._wrapped[id(wrapped.http_response)] = wrapped
        return wrapped.http_response

    def wrapped(self, response: Any) -> Any:
        return self._wrapped[id(response)]


class _Rotating(anthropic.Middleware):
    def __init__(self, shared: Shared, provider: Provider, model: str | None) -> None:
        self._shared = shared
        self._provider = provider
        self._model = model

    def _exchange(self, library: Library, request: anthropic.APIRequest) -> Exchange:
        return Exchange(self._shared, _Attempt(library, request, self._provider.base, self._model))

    def handle(self, request: anthropic.APIRequest, call_next: Any) -> Any:
        chain = _Chain(call_next)
        return chain.wrapped(drive(self._exchange(RotatorTransport.library, request).run(), chain))

    async def handle_async(self, request: anthropic.APIRequest, call_next: Any) -> Any:
        chain = _Chain(call_next)
        return chain.wrapped(await drive_async(self._exchange(AsyncRotatorTransport.library, request).run(), chain))
