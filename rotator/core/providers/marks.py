"""Marks: by what a response gives its provider away when the account does not name one.

Refuses: guessing. Only marks count that no other provider sends; the rest is read as ``generic``. The list of accounts that
tools of this field already write names no provider, so without this a reset in a body would be overlooked.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.response import Response

_HEADERS = {"anthropic-ratelimit-": "anthropic", "x-codex-": "codex"}
"""Prefix of a header's name -> the provider that sends it."""
_GOOGLE_TYPES = "type.googleapis.com/google.rpc."
_GOOGLE_STATES = frozenset({
    "INVALID_ARGUMENT", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "UNAVAILABLE",
})  # fmt: skip
"""``google.rpc.Code`` names (google/rpc/code.proto) that stand as ``error.status`` beside a numeric ``error.code``."""


def provider_of(response: Response) -> str | None:
    """The provider whose mark the response bears; None when it bears none."""
    for name in response.headers:
        for prefix, provider in _HEADERS.items():
            if name.startswith(prefix):
                return provider
    error = response.error
    if error is None:
        return None
    if error.enveloped:
        return "anthropic"
    if any(str(detail.get("@type", "")).startswith(_GOOGLE_TYPES) for detail in error.details):
        return "google-cloudcode"
    return "google-cloudcode" if error.status in _GOOGLE_STATES and error.code.isdigit() else None
