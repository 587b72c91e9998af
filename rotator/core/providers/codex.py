"""What responses to a ChatGPT subscription mean: Codex over HTTP and WebSocket, its usage endpoint, its token refresh.

Refuses: the outer status of a WebSocket event, whose own stands inside it; taking one free slot for a free account.
Sources: openai/codex codex-rs, captures of 2025 and 2026; none of it is documented by OpenAI.
"""

from __future__ import annotations

from rotator.core.providers import codex_windows, counted, generic, openai, times
from rotator.core.providers.reading import WindowReading
from rotator.core.providers.response import FIRST_BEYOND, REFUSED_FROM, TOO_MANY_REQUESTS, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.codex_windows import Shown
    from rotator.core.providers.reading import Kind, Reading, RetrySource, Scope
    from rotator.core.providers.response import Response

_CODES: dict[str, tuple[Kind, Scope | None]] = {
    **openai.CODES,
    "usage_not_included": ("billing", "account"),
    "deactivated_workspace": ("restricted", "account"),
    "invalid_workspace_selected": ("restricted", "account"),
    "token_invalidated": ("auth_failed", "account"),
    "token_revoked": ("auth_failed", "account"),
    "token_expired": ("auth_failed", "account"),
    "refresh_token_reused": ("auth_failed", "account"),
    "refresh_token_expired": ("auth_failed", "account"),
    "refresh_token_invalidated": ("auth_failed", "account"),
}
_FINAL = frozenset({
    "token_invalidated", "token_revoked", "refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated",
})  # fmt: skip
"""Only a new sign-in helps, unless another process holds a newer refresh token: read the store again first."""

_LIMIT_PHRASES = ("hit your usage limit", "usage limit has been reached")
"""Parts of messages, for errors whose type was lost on the way."""

_USAGE_LIMIT = "usage_limit"
"""The window of a refusal that does not say which window is spent."""


def read(response: Response) -> Reading:
    """The reading of one response, with the windows that its headers, its event or its body show."""
    token_error = generic.oauth(response)
    if token_error:
        return token_error
    response = openai.with_stream_error(_unwrapped(response))
    headers, body = codex_windows.of_headers(response.headers, response.now), codex_windows.of_body(response)
    windows = counted.joined(headers.windows, body.windows)
    if response.error is not None:
        return _refused(response, response.error, headers.replace(windows=windows))
    kind, scope = generic.by_status(response.status)
    if kind != "ok":
        return generic.reading(response, kind, scope, windows=windows)
    spent = body.blocked or any(_is_spent(window) for window in body.windows)
    if spent and not _served(response):
        return generic.reading(response, "quota_exhausted", "account", reason="usage limit", windows=windows)
    return generic.reading(response, kind, "account" if windows else None, windows=windows)


def _is_spent(window: WindowReading) -> bool:
    return window.remaining_fraction == 0 and window.model is None and not window.informative


def _served(response: Response) -> bool:
    """Whether this is an answer that was streamed: it may tell that it spent the last of a window."""
    return any(
        isinstance(event, dict) and event.get("type") == "response.completed" for event in response.body.documents
    )


def _unwrapped(response: Response) -> Response:
    """A WebSocket event as the response that it stands for: the status and the headers inside it count."""
    for event in response.body.documents:
        if not isinstance(event, dict) or not isinstance(event.get("error"), dict):
            continue
        inner = received(
            response.provider,
            status=event.get("status_code", event.get("status")),
            headers=event.get("headers"),
            body=None,
            model=None,
            now=response.now,
        )
        status = response.status
        if status < REFUSED_FROM <= inner.status < FIRST_BEYOND:
            status = inner.status
        return response.replace(status=status, headers=response.headers | inner.headers)
    return response


def _refused(response: Response, error: ErrorBody, shown: Shown) -> Reading:
    words = (error.code.lower(), error.type.lower(), error.message.lower())
    code = next((code for code in words if code in _CODES), openai.known_code(error))
    if code:
        reading = generic.reading(response, *_CODES[code], reason=code, final=code in _FINAL)
        return reading.replace(windows=shown.windows)
    status = generic.error_status(response, error, openai.STATUS_OF_WORD)
    silent = status == TOO_MANY_REQUESTS and not any(words) and any(map(_is_spent, shown.windows))
    if silent or "usage_limit_reached" in words or any(phrase in words[-1] for phrase in _LIMIT_PHRASES):
        return _limit_reached(response, error, shown)
    kind, scope = generic.by_status(status)
    reason = "" if kind == "restricted" else generic.machine_word(error)
    return generic.refusal(response, kind, scope, reason=reason).replace(windows=shown.windows)


def _limit_reached(response: Response, error: ErrorBody, shown: Shown) -> Reading:
    """A spent plan, or a model's own limit when the headers name that as the active one.

    The delay is the body's, else the header's, else the latest reset of a spent window: that is the reset of what was
    spent. A body alone does not say which window it was: then there is one of that name.
    """
    scope: Scope = "account" if shown.limit == codex_windows.SHARED else "model"
    told = _told(response)
    reset = times.instant(told.get("resets_at"), response.now)
    wait = times.delay(times.number(told.get("resets_in_seconds"))) or times.until(response.now, reset)
    delay: tuple[float, RetrySource] | None = (wait, "reset") if wait else generic.stated_delay(response)
    delay = delay or counted.reset_delay(shown.windows, response.now)
    reset = reset or times.after(response.now, delay[0] if delay else None)
    windows = shown.windows
    if not windows and scope == "account":
        windows = (WindowReading(_USAGE_LIMIT, 0.0, reset),)
    reason = generic.machine_word(error)
    return generic.reading(response, "quota_exhausted", scope, reason=reason, delay=delay, windows=windows)


def _told(response: Response) -> dict[str, object]:
    """The error object as it came, for the fields that only this error has; it may stand as ``detail`` or bare."""
    documents = [document for document in response.body.documents if isinstance(document, dict)]
    for document in documents:
        for holder in (document, document.get("response")):
            error = holder.get("error", holder.get("detail")) if isinstance(holder, dict) else None
            if isinstance(error, dict):
                return error
    return documents[0] if documents else {}
