"""Transports for httpx2: ``RotatorTransport`` and ``AsyncRotatorTransport``.

Refuses: everything but naming the classes of httpx2; what they do stands in ``transport`` and ``exchange``.
"""

from __future__ import annotations

try:
    import httpx2
except ModuleNotFoundError:
    message = "httpx2 is not installed; it comes with rotator's extra of that name: pip install '.[httpx2]'"
    raise ModuleNotFoundError(message, name="httpx2") from None

from rotator.wire.asking import Library
from rotator.wire.passing import AsyncPassing, Passing
from rotator.wire.transport import AsyncDoor, Door

__all__ = ["AsyncRotatorTransport", "RotatorTransport"]


class _Passing(Passing, httpx2.SyncByteStream):
    pass


class _AsyncPassing(AsyncPassing, httpx2.AsyncByteStream):
    pass


class RotatorTransport(Door, httpx2.BaseTransport):
    """Sends each request of a ``httpx2.Client`` with the account that can best serve it, and learns from the answers.

    ``model``: of every request; None reads it from the body or the path. ``inner``: the transport that sends, by default
    ``httpx2.HTTPTransport()``; give your own for a proxy, certificates or limits. ``max_accounts``: distinct accounts
    that one request is tried with, from 1. ``deadline``: seconds for all attempts of one request, by the clock's monotonic;
    within it a parked pool is waited for, and no attempt begins after it (one that is under way ends by its own timeouts).

    A request raises OriginRefused when no account owns its origin, SecretMissing, LoginNeeded or EndpointFailed when no account
    had credentials to send, BadArgument when the rotator is closed, and what the bare client would raise. Made with a
    ``max_accounts`` or ``deadline`` that cannot be, it raises BadArgument.
    """

    library = Library(httpx2.Request, httpx2.Response, httpx2.ByteStream, _Passing)
    carrier = httpx2.HTTPTransport


class AsyncRotatorTransport(AsyncDoor, httpx2.AsyncBaseTransport):
    """``RotatorTransport`` for a ``httpx2.AsyncClient``: what may block (a refresh, a wait) is done on a thread."""

    library = Library(httpx2.Request, httpx2.Response, httpx2.ByteStream, _AsyncPassing)
    carrier = httpx2.AsyncHTTPTransport
