"""Signals: one frozen value per kind of news; each says whose it is and when it happened.

Refuses: what to do about it (``transitions``) and what a provider's bytes mean (``providers``).
``at`` and every other instant are epoch seconds, delays are seconds. ``model`` None means the whole account.
"""

from __future__ import annotations

from rotator.core.state import Availability, Window
from rotator.core.value import Value


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
    """The account served a request of this model; ``tokens`` used, where known."""

    account: str
    model: str
    at: float
    tokens: int = 0


class RateLimited(Value):
    """The account was refused for a while. ``model`` is the request's; ``account_wide`` says where the block lands.

    ``retry_delay_secs`` as the provider said it, None when it said none; ``source`` is ``retry-after`` or ``reset``.
    """

    account: str
    model: str
    at: float
    retry_delay_secs: float | None = None
    source: str = "retry-after"
    account_wide: bool = False


class ServerFailed(Value):
    """The provider could not serve the request (5xx, overload): a short pause for this model, never a blacklist."""

    account: str
    model: str
    at: float
    retry_delay_secs: float | None = None


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
    | RateLimited
    | ServerFailed
    | AuthRefused
    | Refused
    | Blocked
    | Probed
    | Rotated
    | SessionPlaced
    | Held
    | Released
)
