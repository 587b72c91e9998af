"""Inquiry: one small HTTP request that polls and probes send, and the whole answer or the word for why there is none.

Refuses: redirects, cookies, credentials over plain HTTP to another machine, an answer without end, and what any of it means.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception, retry_if_result, stop_after_attempt

from rotator import __version__
from rotator.core.value import Value
from rotator.errors import EndpointFailed, OriginRefused
from rotator.wire.origins import origin_of, trusted
from rotator.wire.unlogged import unlogged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event
    from typing import Any, Self

    from rotator.clock import Clock

USER_AGENT = f"rotator/{__version__}"
CONNECT_SECS, ANSWER_SECS = 5.0, 10.0
"""Our choice: a quota endpoint that takes longer than this for a line of JSON is not well."""
WHOLE_SECS = 30.0
"""Longest time that a body may take, however steadily it drips."""
MOST_BYTES = 2 * 1024 * 1024
"""Longest body; the longest quota document that was seen has 40 kB."""
UNPROXIED = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
"""What a proxy of the environment is not for, as httpx takes it: its loopback is another one, and plain HTTP is only for ours."""
_RETRY_SECS = 1.0
_SERVER_FAULTS = range(500, 600)
_NEVER_MADE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.TimeoutException, "no answer in time"),
    (httpx.ConnectError, "cannot be reached"),
)


class Asked(Value):
    """A request to be sent; ``headers`` hold a credential, so nobody prints one of these."""

    method: str
    url: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Asked({self.method} {self.url})"


class Answer(Value):
    """What came back: the status, headers in lower case, and the decoded body, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def joined(base_url: str | None, home: str, path: str) -> str:
    """The URL of an API's ``path``: below ``base_url``, else below ``home``; what both of them say stands once.

    Raises OriginRefused for what is neither https nor on this machine.

    >>> joined("https://llm.example/anthropic/", "https://api.anthropic.com", "/v1/messages")
    'https://llm.example/anthropic/v1/messages'
    >>> joined("https://openrouter.ai/api/v1", "https://openrouter.ai", "/api/v1/key")
    'https://openrouter.ai/api/v1/key'
    >>> joined("https://chatgpt.com/backend-api/codex", "https://chatgpt.com", "/backend-api/wham/usage")
    'https://chatgpt.com/backend-api/wham/usage'
    """
    base = (base_url or home).strip()
    place = origin_of(base)
    if place is None or not trusted(place):
        message = "its base_url is neither https nor on this machine: no credential goes there"
        raise OriginRefused(message)
    mount, first = [part for part in urlsplit(base).path.split("/") if part], path.split("/")[1]
    if first in mount:
        mount = mount[: mount.index(first)]
    elif mount and mount[-1] in ("v1", "v1beta", "v1internal"):
        mount.pop()
    parts = urlsplit(base)
    netloc = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{netloc}" + "".join(f"/{part}" for part in mount) + path


class Asker:
    """Sends requests, from any thread; a context manager.

    ``luck`` gives numbers of 0..1. With ``stop`` set, no retry and no long body is waited for.
    """

    def __init__(self, clock: Clock, luck: Callable[[], float], stop: Event, answer_secs: float = ANSWER_SECS) -> None:
        self._clock, self._luck, self._stop = clock, luck, stop
        self._longest = max(WHOLE_SECS, answer_secs)
        timeout = httpx.Timeout(answer_secs, connect=CONNECT_SECS)
        self._client = httpx.Client(
            timeout=timeout, follow_redirects=False, headers={"user-agent": USER_AGENT}, mounts=UNPROXIED
        )
        # what one account's answer sets must not go out with the next account's request
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_reason: object) -> None:
        self._client.close()

    def ask(self, asked: Asked, *, repeatable: bool) -> Answer:
        """The answer, whatever its status. Raises EndpointFailed, which says in words why there is none.

        A connection that was never made is tried once more; what is ``repeatable`` (reads, and spends nothing) also when
        the connection broke, and after a 5xx that names no delay.
        """
        again = Retrying(
            stop=stop_after_attempt(2),
            wait=lambda _: _RETRY_SECS * (0.5 + self._luck()),
            sleep=self._sleep,
            retry=retry_if_exception(lambda error: self._passing(error, repeatable=repeatable))
            | retry_if_result(lambda answer: repeatable and self._faulty(answer)),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        trouble = ""
        try:
            answer: Answer = again(self._send, asked)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            trouble = next((words for kind, words in _WORDS if isinstance(error, kind)), "the connection broke")
        if trouble:  # raised out here, where no context holds the request and with it the credential
            raise EndpointFailed(trouble)
        return answer

    def _sleep(self, secs: float) -> None:
        self._clock.wait(self._stop, secs)

    def _passing(self, error: BaseException, *, repeatable: bool) -> bool:
        if self._stop.is_set():
            return False
        broken = isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
        return isinstance(error, _NEVER_MADE) or (repeatable and broken)

    def _faulty(self, answer: Answer) -> bool:
        return answer.status in _SERVER_FAULTS and "retry-after" not in answer.headers and not self._stop.is_set()

    def _send(self, asked: Asked) -> Answer:
        ends = self._clock.monotonic() + self._longest
        found = bytearray()
        stream = self._client.stream(asked.method, asked.url, headers=[*asked.headers], content=asked.body)
        with unlogged, stream as response:
            for piece in response.iter_bytes():
                found += piece
                if len(found) > MOST_BYTES or self._clock.monotonic() > ends or self._stop.is_set():
                    message = "a body without end"
                    raise httpx.ReadError(message)
            headers: dict[str, Any] = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, bytes(found))
