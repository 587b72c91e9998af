"""Signals: one frozen value per kind of news; each says whose it is and when it happened.

Refuses: what to do about it (``transitions``) and what a provider's bytes mean (``providers``).
``at`` and every other instant are epoch seconds, delays are seconds. ``model`` None means the whole account. Whoever takes
a signal in brings its numbers within what a document can hold, with ``bounded``.
"""

from __future__ import annotations

from rotator.core.state import COUNT_MAX, Availability, Window
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DELAY_MAX = 315_360_000.0
"""Ten years, the longest delay and window that is believed. Our choice: more would leave the instants that RFC 3339 can say."""
HARD_STATES = ("banned", "restricted")
"""What ``Blocked.state`` may be."""


class QuotaObserved(Value):
    """A reading of quota windows, all of one scope; a window that it does not name keeps what was known.

    ``confidence`` is 0..1: 1 for a response's own headers, less for a poll or a guess. ``with_refusal``: it came with a
    refusal, so quota that it shows is no sign that the account can be used, and ends no cooldown.
    """

    account: str
    model: str | None
    at: float
    windows: tuple[Window, ...]
    confidence: float = 1.0
    with_refusal: bool = False


class Succeeded(Value):
    """The account served a request of this model; ``tokens`` used, where known, by as many ``requests`` as it stands for."""

    account: str
    model: str
    at: float
    tokens: int = 0
    requests: int = 1


class QuotaShared(Value):
    """Another account of its quota group served a request of this model: their common limit was not reached at ``at``.

    ``tokens`` went from that limit. Of the account itself it says nothing: no success, no valid credential.
    """

    account: str
    model: str
    at: float
    tokens: int = 0


class RateLimited(Value):
    """The account was refused for a while. ``model`` is the request's; ``account_wide`` says where the block lands.

    ``retry_delay_secs`` as the provider said it, None when it said none; ``source`` is ``retry-after`` or ``reset``.
    ``exhausted``: a quota that it names is spent, so it is the account's own however short the delay.
    """

    account: str
    model: str
    at: float
    retry_delay_secs: float | None = None
    source: str = "retry-after"
    account_wide: bool = False
    exhausted: bool = False


class ServerFailed(Value):
    """The provider could not serve the request (5xx, overload): a short pause for this model, never a blacklist.

    ``overloaded``: it refused for want of capacity (529, a 429 that says so), and did not fail at serving.
    """

    account: str
    model: str
    at: float
    retry_delay_secs: float | None = None
    overloaded: bool = False


class Throttled(Value):
    """The provider refuses this model whoever asks: what the account was refused just before ``at`` was not its own doing.

    ``until`` is when one request may find out whether that is over; ``at`` itself when the request is to blame, and there
    is nothing to wait for.
    """

    account: str
    model: str
    at: float
    until: float


class AuthRefused(Value):
    """The credential was refused. ``final`` when a refresh says that the token is dead; else it may oscillate."""

    account: str
    at: float
    reason: str
    final: bool = False


class Refused(Value):
    """A refusal that is not recognised (403): a growing pause, the third in a row restricts the account.

    ``model`` set: the account refuses this model alone, and it never restricts the account.
    """

    account: str
    model: str | None
    at: float
    reason: str


class Blocked(Value):
    """A hard state: ``state`` is ``banned`` or ``restricted``, and only a person, a success or a new credential ends it."""

    account: str
    state: str
    at: float
    reason: str


class Probed(Value):
    """A probe found out whether the account can really start a session."""

    account: str
    at: float
    availability: Availability


class Polled(Value):
    """A quota endpoint was asked about the account. ``ok`` False: it gave no answer, which says nothing of the account.

    ``endpoint`` is its short name; ``retry_delay_secs`` how long the endpoint itself asked to be left alone.
    """

    account: str
    endpoint: str
    at: float
    ok: bool
    retry_delay_secs: float | None = None


class Superseded(Value):
    """A refresh gave the account a new token; ``token`` is the short hash of the old one, which is never to be sent again."""

    account: str
    at: float
    token: str


class Rotated(Value):
    """The account was chosen and made active."""

    account: str
    previous: str | None
    at: float
    reason: str
    shadow: str | None = None


class SessionPlaced(Value):
    """A conversation was placed on the account, or stayed there; ``session`` is its key as the caller gave it."""

    account: str
    session: str
    at: float


class Held(Value):
    """A person set the account (or one model of it) aside; ``until`` None is without end."""

    account: str
    model: str | None
    at: float
    until: float | None


class Released(Value):
    """A person gave the account (or one model of it) back: hold, cooldowns and hard states are over."""

    account: str
    model: str | None
    at: float


Signal = (
    QuotaObserved
    | Succeeded
    | QuotaShared
    | RateLimited
    | ServerFailed
    | Throttled
    | AuthRefused
    | Refused
    | Blocked
    | Probed
    | Polled
    | Superseded
    | Rotated
    | SessionPlaced
    | Held
    | Released
)


def bounded(signal: Signal) -> Signal | None:
    """The signal with each number brought to the nearest that a document can hold; None when it says nothing.

    Fractions and confidence 0..1, delays and lengths up to ``DELAY_MAX``, tokens 0..``COUNT_MAX``. What is not a number
    counts as not told, and without an instant (or with a hard state that there is not) nothing is told at all. Instants
    are brought within RFC 3339 where they are kept.
    """
    if signal.at != signal.at:
        return None
    bounds = _BOUNDS.get(type(signal))
    kept: Signal | None = signal if bounds is None else bounds(signal)
    return kept


def _within(value: float | None, most: float) -> float | None:
    if value is None or value != value:  # noqa: PLR0124
        return None
    return value if 0 <= value <= most else 0.0 if value < 0 else most


def _bounded_window(window: Window) -> Window:
    left, length, reset = (
        _within(window.remaining_fraction, 1.0),
        _within(window.length_secs, DELAY_MAX),
        window.reset_time,
    )
    if reset is not None and reset != reset:  # noqa: PLR0124
        reset = None
    length = length or None
    if left is window.remaining_fraction and length is window.length_secs and reset is window.reset_time:
        return window
    return window.replace(remaining_fraction=left, length_secs=length, reset_time=reset)


def _bounded_quota(news: QuotaObserved) -> QuotaObserved:
    windows = tuple([_bounded_window(window) for window in news.windows])
    trust = _within(news.confidence, 1.0) or 0.0
    if trust == news.confidence and all(map(_is, windows, news.windows)):
        return news
    return news.replace(windows=windows, confidence=trust)


def _is(one: object, other: object) -> bool:
    return one is other


def _bounded_tokens(news: Succeeded | QuotaShared) -> Signal:
    tokens = int(_within(news.tokens, COUNT_MAX) or 0)
    if isinstance(news, Succeeded) and (type(news.requests) is not int or not 1 <= news.requests <= COUNT_MAX):
        news = news.replace(requests=1)
    return news if type(news.tokens) is int and tokens == news.tokens else news.replace(tokens=tokens)


def _bounded_delay(news: RateLimited | ServerFailed | Polled) -> Signal:
    delay = _within(news.retry_delay_secs, DELAY_MAX)
    return news if delay is news.retry_delay_secs else news.replace(retry_delay_secs=delay)


def _bounded_hold(news: Held) -> Held | None:
    return None if news.until is not None and news.until != news.until else news


def _bounded_throttle(news: Throttled) -> Throttled | None:
    if news.until != news.until:
        return None
    until = min(max(news.until, news.at), news.at + DELAY_MAX)
    return news if until == news.until else news.replace(until=until)


def _bounded_block(news: Blocked) -> Blocked | None:
    return news if news.state in HARD_STATES else None


_BOUNDS: dict[type, Callable[[Any], Signal | None]] = {
    QuotaObserved: _bounded_quota,
    Succeeded: _bounded_tokens,
    QuotaShared: _bounded_tokens,
    RateLimited: _bounded_delay,
    ServerFailed: _bounded_delay,
    Throttled: _bounded_throttle,
    Polled: _bounded_delay,
    Held: _bounded_hold,
    Blocked: _bounded_block,
}
