"""One response as every family reads it: lower-case header names, text values, a decoded body, the instant of receipt.

Refuses: nothing; what is odd is made plain here, so that no family has to look twice.
"""

from __future__ import annotations

from datetime import UTC, datetime

from rotator.core.providers.bodies import Body, ErrorBody, decode, error_of
from rotator.core.value import Value

LONGEST_HEADER = 4_000
"""Characters kept of a header value."""

SUCCESS = range(200, 300)
REFUSED_FROM = 400
FIRST_BEYOND = 600
TOO_MANY_REQUESTS = 429
OVERLOADED = 529
"""Anthropic's own status; the others are RFC 9110's."""

LONGEST_STATUS = 4


class Response(Value):
    """What came back for one request; ``error`` is None when neither the status nor the body tells of one."""

    provider: str
    status: int
    headers: dict[str, str]
    body: Body
    error: ErrorBody | None
    model: str | None
    now: datetime


def received(provider: str, *, status: object, headers: object, body: object, model: object, now: datetime) -> Response:
    """The same response in plain form.

    A status that is no number is 0. Of a header that comes twice the first value counts. A ``now`` without a zone is
    UTC.
    """
    code = _status(status)
    decoded = decode(body)
    instant = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
    error = error_of(decoded, refused=not 0 < code < REFUSED_FROM)
    return Response(
        provider, code, _headers(headers), decoded, error, model if isinstance(model, str) and model else None, instant
    )


def _status(status: object) -> int:
    if isinstance(status, int) and not isinstance(status, bool):
        return int(status)
    if isinstance(status, str) and status.isascii() and status.isdigit() and len(status) <= LONGEST_STATUS:
        return int(status)
    return 0


def _headers(headers: object) -> dict[str, str]:
    plain: dict[str, str] = {}
    items = getattr(headers, "items", None)
    if not callable(items):
        return plain
    for name, value in items():
        key, text = _text(name).lower(), _text(value)
        if key and text:
            plain.setdefault(key, text)
    return plain


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = str(value)
        except ValueError:
            return ""
    return value[:LONGEST_HEADER].strip() if isinstance(value, str) else ""
