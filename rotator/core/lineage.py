"""Lineage: which of two states of one account's runtime was built on which, told by their seals.

Refuses: how a seal is made and whether it is right (``codec.seal``), what to do about a fork (``pending``). A state names
those that it was built on, newest first; one that neither names nor is named was written beside the other, unseen.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.state import Runtime

KEPT = 8
"""Seals that a state names: so many writes of others may pass between two looks at the file. Our choice: 71 characters for
each account that was written so often, and an engine that serves looks at every pick."""


def line(runtime: Runtime) -> str:
    """What the next state is built on: this one and those that it names; empty when it bears no seal."""
    return " ".join([runtime.seal, *runtime.sealed_over.split()][:KEPT]) if runtime.seal else ""


def builds_on(later: Runtime, earlier: Runtime) -> bool:
    """Whether a state is the other one, or was built on it as far as it can tell."""
    return bool(earlier.seal) and earlier.seal in line(later).split()


def forked(one: Runtime, other: Runtime) -> bool:
    """Whether two states were surely written without sight of each other; False where their seals do not reach so far.

    Each write names one state more and raises ``rev`` by one at least, so a line as long as the difference would name the
    other state had it been built on it.
    """
    if not one.seal or not other.seal or builds_on(one, other) or builds_on(other, one):
        return False
    later, earlier = (one, other) if one.rev >= other.rev else (other, one)
    return later.rev - earlier.rev <= len(later.sealed_over.split())
