"""App: the status API, as an ASGI application around an engine that somebody else opened and closes.

Refuses: sockets and signals (``listening``), who may come in (``door``), deciding. A route is one blocking function; it
runs on a thread of Starlette's, so that a slow disk never holds up the others.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from rotator.server.door import Door, Problem
from rotator.server.overview import file_json, known_pool, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from rotator.engine import Rotator

_ADVICE = {
    HTTPStatus.NOT_FOUND: "there is GET /v1/accounts/status and GET /healthz",
    HTTPStatus.METHOD_NOT_ALLOWED: "this is a question: use GET",
}


class JSON(JSONResponse):
    """JSON in ASCII with escapes, which holds any name: half a surrogate pair has no UTF-8."""

    def render(self, content: object) -> bytes:
        """The body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def status_app(rotator: Rotator, *, allowed_hosts: Iterable[str] = ()) -> ASGIApp:
    """``GET /v1/accounts/status[?model=]`` and ``GET /healthz`` about that engine.

    A parked or unavailable pool is a status too: 200. ``allowed_hosts`` are the names, without a port, by which it may
    be called beside those of loopback. Other query parameters than ``model`` are ignored; an empty ``model`` is 422, since
    it is more often a variable that was not set than a wish for every model. Refusals are RFC 9457 problems.
    """

    def accounts_status(request: Request) -> Response:
        model = request.query_params.get("model")
        if model == "":
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "model is empty: name one, or leave it out for all")
        return JSON(status(rotator, model))

    def healthz(_request: Request) -> Response:
        accounts = len(known_pool(rotator))
        file = file_json(rotator)
        return JSON({"status": "ok", "durable": file["durable"], "accounts": accounts, "file": file})

    routes = [Route("/v1/accounts/status", accounts_status), Route("/healthz", healthz)]
    handlers = {HTTPException: _refused, Exception: _failed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Door(app, allowed_hosts)


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    standard = error.detail == HTTPStatus(error.status_code).phrase
    detail = _ADVICE.get(HTTPStatus(error.status_code), error.detail) if standard else error.detail
    return Problem(error.status_code, detail, error.headers)


def _failed(_request: Request, _error: Exception) -> Response:
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "rotator failed to answer; its log says why")
