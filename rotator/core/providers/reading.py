"""What one response says: its kind, whom it concerns, how long to wait, and the quota windows it names.

Refuses: deciding what follows from it; clamping a delay; any text a provider wrote freely.
"""

from __future__ import annotations

from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    Kind = Literal[
        "ok",
        "rate_limited",
        "quota_exhausted",
        "overloaded",
        "auth_failed",
        "restricted",
        "banned",
        "billing",
        "bad_request",
        "server_error",
    ]
    Scope = Literal["account", "model", "upstream"]
    RetrySource = Literal["retry-after", "reset"]


class WindowReading(Value):
    """One quota window as a response shows it; a field that the response does not tell is None.

    ``remaining_fraction`` is 0..1. ``reset_time`` is aware and may lie in the past, as the provider said it; one that
    is more than 400 days away was dropped. ``length_secs`` is known where the name or the provider tells it. ``model``
    is None for the account's own window, else the model or a glob of the models that the window limits. An
    ``informative`` window never blocks and is never scored: it repeats other windows, is about paid overflow, or has an
    unknown name.
    """

    name: str
    remaining_fraction: float | None = None
    reset_time: datetime | None = None
    length_secs: float | None = None
    model: str | None = None
    informative: bool = False


class Reading(Value):
    """What one response means.

    ``scope`` None: nothing is said about the account (a client mistake, a probe endpoint's own throttle, the egress).
    ``retry_after_secs`` is finite, above 0 and unclamped; ``retry_source`` says whether it was given as a delay
    (``retry-after``) or is the reset of a quota (``reset``), and is None without a delay. ``reason`` is a short text in
    rotator's or the provider's fixed words, never a message; it is empty for a 403 that was not recognised. ``final``
    goes with ``auth_failed``: this credential will not work again. ``tokens`` is what the body's usage says was spent.
    """

    kind: Kind
    scope: Scope | None = None
    retry_after_secs: float | None = None
    windows: tuple[WindowReading, ...] = ()
    retry_source: RetrySource | None = None
    reason: str = ""
    final: bool = False
    tokens: int | None = None


def keep_tightest(found: dict[str, WindowReading], shown: WindowReading) -> None:
    """Put a window into ``found`` by its name; of two with one name the one with less left is kept, unknown being more."""
    known = found.get(shown.name)
    if known is None or _left(shown) < _left(known):
        found[shown.name] = shown


def _left(window: WindowReading) -> float:
    return 2.0 if window.remaining_fraction is None else window.remaining_fraction


def fraction(value: float | None) -> float | None:
    """A remaining fraction clamped to 0..1; below 0 means unknown, as in Azure's -1."""
    if value is None or not value >= 0:
        return None
    return min(1.0, float(value))


def unused(used: float | None) -> float | None:
    """What is left when this fraction is used: 1.08 used leaves 0; below 0 means unknown."""
    known = fraction(used)
    return None if known is None else 1.0 - known
