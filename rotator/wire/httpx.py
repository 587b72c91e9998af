"""Transports for httpx: ``RotatorTransport`` and ``AsyncRotatorTransport``.

Refuses: everything but naming the classes of httpx; what they do stands in ``transport`` and ``exchange``.
"""

from __future__ import annotations

import httpx

from rotator.wire.asking import Library
from rotator.wire.passing import AsyncPassing, Passing
from rotator.wire.transport import AsyncDoor, Door

__all__ = ["AsyncRotatorTransport", "RotatorTransport"]


class _Passing(Passing, httpx.SyncByteStream):
    pass


class _AsyncPassing(AsyncPassing, httpx.AsyncByteStream):
    pass


class RotatorTransport(Door, httpx.BaseTransport):
    """Sends each request of a ``httpx.Client`` with the account that can best serve it, and learns from the answers.

    ``model``: of every request; None reads it from the body or the path. ``inner``: the transport that sends, by default
    ``httpx.HTTPTransport()``; give your own for a proxy, certificates or limits. ``max_accounts``: distinct accounts
    that one request is tried with, from 1. ``deadline``: seconds for all attempts of one request, by the clock's monotonic;
    within it a parked pool is waited for, and no attempt begins after it (one that is under way ends by its own timeouts).

    A request raises OriginRefused when no account owns its origin, SecretMissing, LoginNeeded or EndpointFailed when no account
    had credentials to send, BadArgument when the rotator is closed, and what the bare client would raise. Made with a
    ``max_accounts`` or ``deadline`` that cannot be, it raises BadArgument.
    """

    library = Library(httpx.Request, httpx.Response, httpx.ByteStream, _Passing)
    carrier = httpx.HTTPTransport


class AsyncRotatorTransport(AsyncDoor, httpx.AsyncBaseTransport):
    """``RotatorTransport`` for a ``httpx.AsyncClient``: what may block (a refresh, a wait) is done on a thread."""

    library = Library(httpx.Request, httpx.Response, httpx.ByteStream, _AsyncPassing)
    carrier = httpx.AsyncHTTPTransport
