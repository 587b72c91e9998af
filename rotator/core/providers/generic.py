"""What a status code, a Retry-After header, RateLimit fields and an RFC 6749 error mean whoever sent them.

Refuses: provider words; a family that knows better decides first and falls back to this.
"""

from __future__ import annotations

from rotator.core.providers import counted, standard, times
from rotator.core.providers.bodies import tokens_of
from rotator.core.providers.error_words import known_word
from rotator.core.providers.reading import Reading
from rotator.core.providers.response import FIRST_BEYOND, REFUSED_FROM, SUCCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Kind, RetrySource, Scope, WindowReading
    from rotator.core.providers.response import Response

_BY_STATUS: dict[int, tuple[Kind, Scope | None]] = {
    401: ("auth_failed", "account"),
    402: ("billing", "account"),
    403: ("restricted", "account"),
    408: ("server_error", "upstream"),
    429: ("rate_limited", "model"),
    503: ("overloaded", "upstream"),
    529: ("overloaded", "upstream"),
}

_CLIENT_MISTAKES = frozenset({
    "disabled_client", "invalid_client", "invalid_request", "invalid_scope", "unauthorized_client",
    "unsupported_grant_type",
})  # fmt: skip
"""RFC 6749 5.2 errors about the client or its request (``disabled_client`` is Google's): no account's fault."""

_FIRST = 100
_SERVER_FAULTS_FROM = 500


def read(response: Response) -> Reading:
    """A response of a provider that is not known, or of a family for what only HTTP tells.

    429 concerns the model, 401, 402 and 403 the account, 408 and 5xx the provider, any other refusal nobody. A 403
    keeps an empty reason: it was not recognised. A 200 that carries an error is never ``ok``. The windows of the RateLimit
    fields are taken for the request's model, because that is whom a 429 concerns.
    """
    windows = standard.windows(response, response.model)
    kind, scope = by_status(error_status(response, response.error, {}))
    if kind == "ok":
        return reading(response, kind, "model" if windows else scope, windows=windows)
    reason = "" if kind == "restricted" else machine_word(response.error)
    delay = stated_delay(response)
    if kind == "rate_limited":
        delay = delay or counted.reset_delay(windows, response.now)
    return reading(response, kind, scope, reason=reason, delay=delay, windows=windows)


def by_status(status: int) -> tuple[Kind, Scope | None]:
    """Kind and scope of a bare status; what is no HTTP status is the provider's fault, never ``ok``."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status in SUCCESS:
        return "ok", None
    if _FIRST <= status < SUCCESS.start or SUCCESS.stop <= status < _SERVER_FAULTS_FROM:
        return "bad_request", None
    return "server_error", "upstream"


def error_status(response: Response, error: ErrorBody | None, of_word: Mapping[str, int]) -> int:
    """The status of a response, or what its error stands for when the status was no refusal.

    ``of_word``: error.code or error.type in lower case -> the status that the provider sends it with.
    """
    if error is None or response.status >= REFUSED_FROM:
        return response.status
    told = (of_word.get(word.lower()) for word in (error.code, error.type))
    return next((status for status in told if status), 0) or told_status(error)


def told_status(error: ErrorBody) -> int:
    """The status that an error inside a 200 stands for: its numeric code, else 500."""
    code = times.number(error.code)
    return int(code) if code is not None and REFUSED_FROM <= code < FIRST_BEYOND else _SERVER_FAULTS_FROM


def reading(
    response: Response,
    kind: Kind,
    scope: Scope | None,
    *,
    reason: str = "",
    delay: tuple[float, RetrySource] | None = None,
    windows: tuple[WindowReading, ...] = (),
    final: bool = False,
) -> Reading:
    """A reading of exactly these parts, and of the tokens that the body says were used.

    Words inside a success never ban: what they say is taken for a doubtful credential, and the next request tells.
    """
    secs, source = delay or (None, None)
    if kind == "banned" and response.status in SUCCESS:
        kind = "auth_failed"
    return Reading(kind, scope, secs, windows, source, reason, final, tokens_of(response.body))


def refusal(
    response: Response,
    kind: Kind,
    scope: Scope | None,
    *,
    reason: str = "",
    delay: tuple[float, RetrySource] | None = None,
    final: bool = False,
) -> Reading:
    """A reading without windows; without a ``delay`` it has the one that the response states."""
    return reading(response, kind, scope, reason=reason, delay=delay or stated_delay(response), final=final)


def stated_delay(response: Response) -> tuple[float, RetrySource] | None:
    """The delay in seconds that headers, else the message, state: ``retry-after-ms`` is finer and wins (OpenAI SDK)."""
    said = header_delay(response)
    if said is not None:
        return said, "retry-after"
    told = times.delay_in_text(response.error.message) if response.error else None
    return (told[0], "reset" if told[1] else "retry-after") if told else None


def header_delay(response: Response) -> float | None:
    """Seconds of ``retry-after-ms`` or ``retry-after``; None when absent, 0 or unreadable."""
    finer = times.number(response.headers.get("retry-after-ms"))
    if finer is not None and times.delay(finer / 1000) is not None:
        return finer / 1000
    said = response.headers.get("retry-after")
    return times.retry_after(said, response.now) if said else None


def oauth(response: Response) -> Reading | None:
    """The reading of a token endpoint's error (RFC 6749 5.2), else None.

    Only the code counts: the description varies. ``invalid_grant`` is final for this credential, but another process
    may have rotated it: read the store again first.
    """
    code = response.error.code if response.error else ""
    if code == "invalid_grant":
        return refusal(response, "auth_failed", "account", reason=code, final=True)
    if code in _CLIENT_MISTAKES and response.error and not response.error.type:
        return refusal(response, "bad_request", None, reason=code)
    return None


def machine_word(error: ErrorBody | None) -> str:
    """The first of the error's type, code and status that is a known word such as ``rate_limit_error``; empty for others."""
    told = map(known_word, (error.type, error.code, error.status) if error else ())
    return next(filter(None, told), "")
