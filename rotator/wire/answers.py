"""Answers: what a program is told when nobody serves it: the client delay, and answers of rotator's own.

Refuses: sending, choosing. What it says holds no secret.
"""

from __future__ import annotations

import json
from math import ceil

from rotator.core.selection import Parked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.selection import Selected, Unavailable

    Said = tuple[int, dict[str, str], bytes]


def client_delay(
    policy: Policy, said_secs: float | None, outcome: Parked | Selected | Unavailable | None, now: float
) -> int | None:
    """Whole seconds that a client is asked to wait, at least 1 and at most ``policy.client_delay_max``.

    The shorter of what the provider said and, when the pool is parked, the time until somebody is ready; None when
    neither is known.
    """
    delays = [] if said_secs is None else [said_secs]
    if isinstance(outcome, Parked):
        delays.append(outcome.wake_at.timestamp() - now)
    if not delays:
        return None
    return max(1, ceil(min(*delays, policy.client_delay_max)))


def delayed(headers: Any, delay: int | None) -> None:
    """Set the client delay in the headers of a provider's answer, instead of the provider's own."""
    for name in ("retry-after", "retry-after-ms"):
        if name in headers:
            del headers[name]
    if delay is not None:
        headers["retry-after"] = str(delay)


def own(outcome: Parked | Unavailable, now: float) -> Said:
    """Status, headers and body of rotator's own answer: 429 while parked, 503 when only a person can help."""
    headers = {"content-type": "application/json"}
    if isinstance(outcome, Parked):
        delay = client_delay(outcome.pool.policy, None, outcome, now)
        headers |= {"x-rotator": "parked", "retry-after": str(delay)}
        return 429, headers, _body(429, "rate_limit_error", "RESOURCE_EXHAUSTED", outcome.explanation)
    headers |= {"x-rotator": "unavailable", "x-should-retry": "false"}
    return 503, headers, _body(503, "api_error", "UNAVAILABLE", outcome.explanation)


def nobody(why: str) -> Said:
    """The 503 to a request that names no model, when no account could send it."""
    headers = {"content-type": "application/json", "x-rotator": "unavailable", "x-should-retry": "false"}
    return 503, headers, _body(503, "api_error", "UNAVAILABLE", why)


def _body(code: int, type_: str, status: str, why: str) -> bytes:
    """One envelope that the SDKs of Anthropic, OpenAI and Google all find type and message in."""
    error = {"type": type_, "code": code, "status": status, "message": f"rotator: {why}"}
    return json.dumps({"type": "error", "error": error}).encode()
