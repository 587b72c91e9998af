"""Token endpoints: where each provider's is, how a refresh is asked for (RFC 6749, section 6), and what the answer means.

Refuses: keeping anything, and asking twice. Only a connection that was never made is tried again, since a single-use token
may be used up as soon as it was sent. Answers are values: an error of httpx holds its request, and that holds the token.
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from rotator import __version__
from rotator.core.instants import aware
from rotator.core.providers.error_words import known_word
from rotator.core.providers.times import retry_after
from rotator.core.value import Value
from rotator.errors import SecretMissing
from rotator.wire.inquiry import UNPROXIED
from rotator.wire.origins import origin_of, trusted
from rotator.wire.unlogged import unlogged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.credentials import Credentials

CONNECT_SECS, ANSWER_SECS = 10.0, 30.0
"""Our choice: an identity provider under load answers late, and an answer that nobody waited for costs the account."""
WHOLE_SECS = 60.0
MOST_BYTES = 1024 * 1024
"""Our choice: an answer is some kilobytes of JSON, which come at once."""
_TRIES = 3
_RETRY_SECS = 0.2
_NEVER_MADE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_DEAD = ("invalid_grant", "refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated")
_OF_THE_CLIENT = ("invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope")
_OK, _REFUSALS, _SERVER_FAULTS = range(200, 300), range(400, 500), range(500, 600)
_TOO_MANY = 429
_LONGEST_LIFE_SECS = 315_360_000.0


class Endpoint(Value):
    """Where to ask, in JSON or as a form; ``client_id`` is the public one, where the provider has one for everybody."""

    url: str
    json: bool = False
    client_id: str | None = None


_GOOGLE = Endpoint("https://oauth2.googleapis.com/token")
_OPENAI = Endpoint("https://auth.openai.com/oauth/token", json=True, client_id="app_EMoamEEZ73f0CkXaXp7hrann")
KNOWN = {
    "anthropic": Endpoint(
        "https://platform.claude.com/v1/oauth/token", json=True, client_id="9d1c250a-e61b-44d9-88ed-5944d1962f5e"
    ),
    "codex": _OPENAI,
    "google-cloudcode": _GOOGLE,
    "google-gemini-api": _GOOGLE,
    "google-vertex": _GOOGLE,
    "openai": _OPENAI,
}
"""Provider name -> its endpoint: Google's OAuth 2.0 document; for Anthropic and OpenAI what their own open command line
tools send, whose client ids are no secret."""


class _Said(Value):
    """An answer as it came; its body may hold tokens."""

    status: int
    retry_after: str | None
    body: bytes

    def __repr__(self) -> str:
        return f"_Said({self.status})"


class Granted(Value):
    """New tokens; ``refresh_token`` None: the one that was sent goes on. ``expires_in`` seconds, None when it is not said."""

    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None

    def __repr__(self) -> str:
        return "Granted(***)"


class Dead(Value):
    """The endpoint says that the refresh token is no good any more; ``code`` is its word for that.

    A status alone says it of nobody: a proxy that wants to be logged in to answers 401 too.
    """

    code: str


class Failed(Value):
    """No usable answer, and ``why``. ``sent``: the token may have been used up.

    ``retry_delay_secs`` is how long the endpoint asked to be left alone.
    """

    why: str
    sent: bool = False
    retry_delay_secs: float | None = None


def is_single_use(found: Credentials) -> bool:
    """Whether a refresh may use up the refresh token: always, but for Google's, which stays (its OAuth 2.0 document)."""
    return not found.provider.startswith("google")


def endpoint_of(found: Credentials) -> Endpoint:
    """The account's own ``token_url``, else its provider's endpoint, with the client id to send.

    Raises SecretMissing, which says what is missing in the account, or wrong with it.
    """
    known = KNOWN.get(found.provider)
    url = found.token_url or (known.url if known else None)
    if url is None:
        message = f"{found.account}: no token endpoint of {found.provider} is known; give the account a token_url"
        raise SecretMissing(message)
    place = origin_of(url)
    if place is None or not trusted(place):
        url = ""  # who reports errors with the locals of their frames
        message = f"{found.account}: its token_url is neither https nor on this machine; no token goes there"
        raise SecretMissing(message)
    client_id = found.client_id or (known.client_id if known else None)
    if known is _GOOGLE and client_id is None and found.token_url is None:
        message = (
            f"{found.account}: Google wants the client_id that the refresh token was made for, and mostly its client_secret;"
            " give both to the account"
        )
        raise SecretMissing(message)
    return Endpoint(url, known is not None and known.json, client_id)


def ask(endpoint: Endpoint, found: Credentials, now: float) -> Granted | Dead | Failed:
    """Ask for new tokens, once. Raises nothing; ``now`` is for delays that the endpoint names as dates."""
    fields = {"grant_type": "refresh_token", "refresh_token": found.refresh_token or ""}
    if endpoint.client_id is not None:
        fields["client_id"] = endpoint.client_id
    if found.client_secret is not None:
        fields["client_secret"] = found.client_secret
    said = _sent(endpoint, fields)
    return said if isinstance(said, Failed) else _read(said, now)


def _sent(endpoint: Endpoint, fields: dict[str, str]) -> _Said | Failed:
    headers = {"accept": "application/json", "user-agent": f"rotator/{__version__}"}
    body = {"json": fields} if endpoint.json else {"data": fields}
    attempts = Retrying(
        retry=retry_if_exception_type(_NEVER_MADE),
        stop=stop_after_attempt(_TRIES),
        wait=wait_exponential(multiplier=_RETRY_SECS / 2, max=1.0),
        reraise=True,
    )
    try:
        timeout = httpx.Timeout(ANSWER_SECS, connect=CONNECT_SECS)
        with unlogged, httpx.Client(timeout=timeout, follow_redirects=False, mounts=UNPROXIED) as client:
            return attempts(_posted, client, endpoint.url, headers, body)
    except _NEVER_MADE:
        return Failed("cannot be reached")
    except httpx.UnsupportedProtocol:
        return Failed("cannot be asked: its URL is wrong")
    except httpx.TimeoutException:
        return Failed("gave no answer in time", sent=True)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return Failed("broke off", sent=True)


def _posted(client: httpx.Client, url: str, headers: dict[str, str], body: dict[str, Any]) -> _Said | Failed:
    """The whole answer, if it is one of a token endpoint's size and comes in time, however steadily it drips."""
    ends = time.monotonic() + WHOLE_SECS
    content = b""
    with client.stream("POST", url, headers=headers, **body) as response:
        for piece in response.iter_bytes():
            content += piece
            if len(content) > MOST_BYTES or time.monotonic() > ends:
                return Failed("gave no answer of a token endpoint", sent=True)
        return _Said(response.status_code, response.headers.get("retry-after"), content)


def _read(said: _Said, now: float) -> Granted | Dead | Failed:
    status, body = said.status, _object(said.body)
    if status in _OK:
        return _granted(body)
    code = _code(body)
    if status == _TOO_MANY or status in _SERVER_FAULTS:
        delay = None if said.retry_after is None else retry_after(said.retry_after, aware(now))
        return Failed(f"answered {status}", sent=status != _TOO_MANY, retry_delay_secs=delay)
    if code in _OF_THE_CLIENT:
        return Failed(f"refused the request ({code}): check client_id, client_secret and token_url")
    if status in _REFUSALS and code in _DEAD:
        return Dead(code)
    return Failed(f"answered {status}" + (f" ({code})" if code else ""))


def _granted(body: dict[str, Any]) -> Granted | Failed:
    access, refresh = body.get("access_token"), body.get("refresh_token")
    if not isinstance(access, str) or not access:
        return Failed("answered without an access token", sent=True)
    return Granted(access, refresh if isinstance(refresh, str) and refresh else None, _life(body.get("expires_in")))


def _life(said: Any) -> float | None:
    """Seconds, also where they are sent as a text; None for what is no such number."""
    try:
        secs = -1.0 if isinstance(said, bool) else float(said)
    except (TypeError, ValueError, OverflowError):
        return None
    return secs if 0 <= secs <= _LONGEST_LIFE_SECS else None


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _code(body: dict[str, Any]) -> str:
    """The error's code, in RFC 6749's form or OpenAI's; a word that is known, so that nothing that repeats a token gets on."""
    error = body.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("type")
    if not isinstance(error, str):
        return ""
    return error if error in (*_DEAD, *_OF_THE_CLIENT) else known_word(error)


def end_of(token: str) -> float | None:
    """When a JSON Web Token says that it ends (RFC 7519, 4.1.4), epoch seconds; None for any other token."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  header, claims, signature
        return None
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    return float(end) if isinstance(end, int | float) and not isinstance(end, bool) and end > 0 else None
