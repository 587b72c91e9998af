"""What LLM providers' responses mean: ``read`` finds the family by the provider's name and asks it.

Refuses: changing any state, asking the time, raising.
"""

from __future__ import annotations

from importlib import import_module

from rotator.core.providers import generic
from rotator.core.providers.marks import provider_of
from rotator.core.providers.reading import Reading, WindowReading
from rotator.core.providers.response import received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["Reading", "WindowReading", "read"]

FAMILIES = {
    "anthropic": "anthropic",
    "azure-openai": "openai",
    "codex": "codex",
    "github": "github",
    "github-copilot": "copilot",
    "github-models": "github",
    "google-cloudcode": "google",
    "google-gemini-api": "google",
    "google-vertex": "google",
    "groq": "groq",
    "ietf": "ietf",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
}
"""Provider name -> module of this package with ``read(response) -> Reading``.

A name that is not here is ``generic``: such a response is read by its family when it bears an unmistakable mark.
"""


def read(
    provider: str,
    *,
    status: int,
    headers: Mapping[str, str],
    body: object = None,
    model: str | None = None,
    now: datetime,
) -> Reading:
    """What one response means.

    ``headers``: any mapping, names in any case. ``body``: bytes, text, a decoded JSON value or None. ``model``: the one
    that was asked for, if any. ``now``: the aware instant of receipt. Never raises: what cannot be read is read by its
    status alone.

    >>> from datetime import UTC, datetime
    >>> reading = read("anthropic", status=529, headers={}, now=datetime(2026, 11, 20, tzinfo=UTC))
    >>> reading.kind, reading.scope
    ('overloaded', 'upstream')
    """
    try:
        response = received(provider, status=status, headers=headers, body=body, model=model, now=now)
        if provider not in FAMILIES:
            response = response.replace(provider=provider_of(response) or provider)
        family = FAMILIES.get(response.provider)
        if family is None:
            return generic.oauth(response) or generic.read(response)
        reading: Reading = import_module(f"{__name__}.{family}").read(response)
    except Exception:  # noqa: BLE001  a caller that reports what it received must never be stopped by it
        return Reading(*generic.by_status(status if type(status) is int else 0))
    return reading
