"""What OpenAI's responses mean, and those of Azure OpenAI, which limits a deployment instead of a model.

Refuses: taking a bucket's reset for a delay, since it tells when the bucket is full and not when one request fits; waiting
for a request that is larger than its limit. Sources: OpenAI's rate limit guide, captures of 2023 to 2026.
"""

from __future__ import annotations

from rotator.core.providers import bodies, counted, generic
from rotator.core.providers.response import SUCCESS, TOO_MANY_REQUESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Kind, Reading, Scope, WindowReading
    from rotator.core.providers.response import Response

CODES: dict[str, tuple[Kind, Scope | None]] = {
    "insufficient_quota": ("billing", "account"),
    "billing_hard_limit_reached": ("billing", "account"),
    "billing_not_active": ("billing", "account"),
    "account_deactivated": ("banned", "account"),
    "access_terminated": ("banned", "account"),
    "unsupported_country_region_territory": ("restricted", None),
}
"""error.code or error.type -> kind and scope, whatever the status; the country is the egress's, not the account's."""

_PHRASES: tuple[tuple[str, str], ...] = (
    ("you exceeded your current quota", "insufficient_quota"),
    ("your account is not active, please check your billing", "billing_not_active"),
    ("account associated with this api key has been deactivated", "account_deactivated"),
    ("country, region, or territory not supported", "unsupported_country_region_territory"),
)
"""Parts of messages, without case, for bodies whose code was lost on the way -> the code."""

_CAPACITY = ("currently overloaded", "currently experiencing high demand")
"""Parts of messages that are about the provider's capacity, under 429 and 503 alike."""

STATUS_OF_WORD = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "tokens": 429,
    "requests": 429,
    "usage_limit_reached": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "server_is_overloaded": 503,
    "slow_down": 503,
}
"""error.code or error.type -> the status that it comes with, for errors inside a 200 stream."""

_MINUTE = 60.0
_AZURE_NEVER_SECS = 86_400.0
"""The delay that Azure states for a request which is larger than the deployment's limit."""


def read(response: Response) -> Reading:
    """The reading of one response, with the windows that its headers or the sentence of its refusal show."""
    token_error = generic.oauth(response)
    if token_error:
        return token_error
    azure = response.provider == "azure-openai"
    # the tokens are per minute; the requests per minute or per day, which the headers do not say
    windows = counted.windows(response, {"tokens": _MINUTE}, _spelt if azure else str)
    response = with_stream_error(response)
    error = response.error
    if error is not None:
        told = counted.sentence(error.message, response.model)
        if told.too_large:
            refused = generic.reading(response, "bad_request", "model", reason="request larger than the limit")
        else:
            refused = _refused(response, error, windows if azure else None)
        return refused.replace(windows=counted.joined(windows, told.windows))
    kind, scope = generic.by_status(response.status)
    return generic.reading(
        response, kind, "model" if windows and response.status in SUCCESS else scope, windows=windows
    )


def with_stream_error(response: Response) -> Response:
    """The response with the error of a Responses API stream that ends in ``response.failed``: a 200 all the same."""
    if response.error is not None:
        return response
    held = (document.get("response") for document in response.body.documents if isinstance(document, dict))
    return response.replace(error=bodies.error_of(bodies.Body(tuple(held)), refused=False))


def known_code(error: ErrorBody) -> str:
    """The code, type or phrase of an error that ``CODES`` knows; empty for any other."""
    for code in (error.code.lower(), error.type.lower()):
        if code in CODES:
            return code
    message = error.message.casefold()
    return next((code for phrase, code in _PHRASES if phrase in message), "")


def _spelt(header: str) -> str:
    """Azure also sends ``x-rate-limit-reset-tokens``."""
    return header.replace("x-rate-limit-", counted.PREFIX, 1) if header.startswith("x-rate-limit-") else header


def _refused(response: Response, error: ErrorBody, azure: tuple[WindowReading, ...] | None) -> Reading:
    code = known_code(error)
    if code:
        return generic.reading(response, *CODES[code], reason=code)  # no delay: money and bans do not come back by it
    status = generic.error_status(response, error, STATUS_OF_WORD)
    if any(phrase in error.message.casefold() for phrase in _CAPACITY):
        return generic.refusal(response, "overloaded", "upstream", reason="overloaded")
    kind, scope = generic.by_status(status)
    reason = "" if kind == "restricted" else generic.machine_word(error)
    if status != TOO_MANY_REQUESTS or azure is None:
        return generic.refusal(response, kind, scope, reason=reason)
    # Azure's reset is a delay to the next one, so any window that is not known to have something left may be the cause
    delay = generic.stated_delay(response) or counted.latest(
        (w.reset_time for w in azure if not w.remaining_fraction), response.now
    )
    if delay and delay[0] == _AZURE_NEVER_SECS:
        return generic.reading(response, "bad_request", "model", reason="request larger than the limit")
    return generic.reading(response, kind, scope, reason=reason, delay=delay)
