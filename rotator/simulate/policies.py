"""Policies: every one that can be simulated, by name, with what it is.

Refuses: running them.
"""

from __future__ import annotations

from rotator.simulate.baselines.simple import (
    Chain,
    LaterChain,
    LeastUsed,
    Random,
    RoundRobin,
    SoonestReset,
    Sticky,
)
from rotator.simulate.baselines.weighing import Maximus, Maxpool, SixTerms
from rotator.simulate.ours import Ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.simulate.agent import Agent, Setting

OURS = "rotator"

POLICIES: dict[str, tuple[Callable[[Setting], Agent], str]] = {
    OURS: (Ours, "rotator itself: its own core"),
    "round_robin": (RoundRobin, "in turn, passing over who cools down"),
    "random": (Random, "any that does not cool down"),
    "sticky": (Sticky, "one account until it is refused"),
    "chain_75": (Chain, "in order up to 75 % of the longest window, then most left (token-monitor)"),
    "chain_90": (LaterChain, "the same up to 90 %"),
    "least_used": (LeastUsed, "most left in the tightest window"),
    "soonest_reset": (SoonestReset, "what expires first"),
    "maxpool": (Maxpool, "lowest adaptive cost (maxpool)"),
    "six_terms": (SixTerms, "the six terms of the origin, literally"),
    "maximus": (Maximus, "highest product of 1 - time left x utilisation (shunt)"),
}
