"""Door: who may come in over HTTP, and how a refusal reads. It stands before every route.

The API has no login: it trusts whoever can open a connection to a loopback port. A web page in that person's browser can
too, so the door turns browsers' errands away: a foreign ``Host`` (DNS rebinding), any ``Origin``, a cross-site fetch.
Refuses: routes, engines, CORS.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names by which a machine calls itself: always let in."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/?#@\[\]\\]+)(?::[0-9]*)?", re.IGNORECASE)
"""RFC 9110 section 7.2: a host, an IPv6 address in brackets, and perhaps a port."""


class Problem(JSONResponse):
    """A refusal as RFC 9457 ``application/problem+json``; ``detail`` says what to do, and no value of the file."""

    media_type = "application/problem+json"

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
        super().__init__(body, status, dict(headers or {}))


class Door:
    """ASGI: asks who is there before ``app`` hears of it, and marks every response as not to be stored.

    ``allowed_hosts`` are names or addresses without a port, let in beside those of loopback; case does not matter.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(bracketed(host).lower() for host in (*LOOPBACK_HOSTS, *allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        app = self._refusal(Headers(scope=scope)) or self._app
        await app(scope, receive, marked)

    def _refusal(self, headers: Headers) -> Problem | None:
        hosts = headers.getlist("host")
        name = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if name is None or name[1].lower() not in self._allowed:
            detail = "this Host is not served here; to allow a name, start with `rotator serve --allow-host NAME`"
            return Problem(HTTPStatus.BAD_REQUEST, detail)
        if "origin" in headers or headers.get("sec-fetch-site", "").strip().lower() == "cross-site":
            return Problem(HTTPStatus.FORBIDDEN, "web pages of other sites may not ask; open the address itself")
        return None


def bracketed(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address gets its brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
