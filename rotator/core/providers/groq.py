"""What Groq's responses mean: OpenAI's header names, but requests per day and tokens per minute.

Refuses: waiting for a request that is larger than its limit, though the message names a delay. Sources:
console.groq.com/docs/rate-limits and /docs/errors, captures of 2024 to 2026.
"""

from __future__ import annotations

from rotator.core.providers import counted, generic
from rotator.core.providers.openai import STATUS_OF_WORD
from rotator.core.providers.response import SUCCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Reading
    from rotator.core.providers.response import Response

_LENGTHS = {"requests": 86_400.0, "tokens": 60.0}
_FLEX_CAPACITY_EXCEEDED = 498
"""Groq's own status."""


def read(response: Response) -> Reading:
    """The reading of one response; limits are per organisation and model."""
    windows = counted.windows(response, _LENGTHS)
    error = response.error
    if error is None:
        kind, scope = generic.by_status(response.status)
        concerned = "model" if windows and response.status in SUCCESS else scope
        return generic.reading(response, kind, concerned, windows=windows)
    told = counted.sentence(error.message, response.model)
    if told.too_large:
        refused = generic.reading(response, "bad_request", "model", reason="request larger than the limit")
    else:
        refused = _refused(response, error)
    return refused.replace(windows=counted.joined(windows, told.windows))


def _refused(response: Response, error: ErrorBody) -> Reading:
    if error.code == "organization_restricted" or "organization has been restricted" in error.message.casefold():
        return generic.reading(response, "banned", "account", reason="organization_restricted")
    status = generic.error_status(response, error, STATUS_OF_WORD)
    if status == _FLEX_CAPACITY_EXCEEDED:
        return generic.refusal(response, "overloaded", "upstream", reason="capacity exceeded")
    kind, scope = generic.by_status(status)
    return generic.refusal(response, kind, scope, reason="" if kind == "restricted" else generic.machine_word(error))
