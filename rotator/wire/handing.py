"""Handing up: which of the provider's answers the program is given when nobody serves it, and with which delay.

Refuses: asking another account, answers of rotator's own (``answers``).
"""

from __future__ import annotations

from rotator.wire.answers import client_delay, delayed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.selection import Parked, Selected, Unavailable
    from rotator.wire.asking import Asking
    from rotator.wire.judging import Refusal
    from rotator.wire.steps import Incoming


def better(kept: Refusal | None, news: Refusal) -> Refusal:
    """Of two refusals of one request the one to hand up: the newer, unless only the other says that there is a limit.

    A program waits for the end of a limit; one account's credential trouble, or a fault of the server, would end it. What
    the request is to blame for stands above both.
    """
    if kept is None or news.passes or not (kept.passes and news.rotates):
        return news
    return kept


def given(incoming: Incoming, asked: Asking) -> Any:
    """The response with what was read of its body put back."""
    response = incoming.response
    if incoming.closed:
        response.stream = asked.library.byte_stream(b"".join(incoming.held))
    elif incoming.chunks is not None:
        response.stream = asked.library.passing(response.stream, incoming.held, incoming.chunks, None)
    return response


def handed_up(
    refused: Refusal, asked: Asking, policy: Policy, outcome: Parked | Selected | Unavailable | None, now: float
) -> Any:
    """The provider's answer, with the client delay where another account, or time, might have helped."""
    response = given(refused.incoming, asked)
    if refused.rotates:
        delayed(response.headers, client_delay(policy, refused.reading.retry_after_secs, outcome, now))
    return response
