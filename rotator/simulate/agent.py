"""The agent: what every policy must answer so that a world can be served by it: whom to ask now, or when to ask again.

Refuses: any particular policy. An agent knows the accounts as a person would write them down, and what they answered.
"""

from __future__ import annotations

from math import inf

from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

    from rotator.simulate.demand import Request
    from rotator.simulate.world import Known, Response

NEVER = inf
"""``Wait.until`` when waiting does not help: the request fails."""


class Take(Value):
    """Send the request to this account; it is in flight until ``learn`` is told the response."""

    account: str


class Wait(Value):
    """Nobody can serve it before ``until`` (epoch seconds).

    ``alone``: that is because of this request, and says nothing about others of its model.
    """

    until: float
    alone: bool = False


class Board:
    """The document through which several processes meet; ``raw`` is what was last written."""

    def __init__(self) -> None:
        self.raw = b""


class Setting(Value):
    """What an agent begins with: the accounts, luck of its own, and the board on which its ``processes`` meet."""

    accounts: tuple[Known, ...]
    luck: Random
    board: Board
    processes: int


class Agent:
    """One process of a policy. ``now`` are epoch seconds and never go back."""

    def choose(self, now: float, request: Request) -> Take | Wait:
        """Whom to ask. The same request comes again after a refusal and after a wait; its ``attempts`` count refusals."""
        raise NotImplementedError

    def learn(self, now: float, request: Request, account: str, response: Response) -> None:
        """A response arrived to a request that ``choose`` sent."""
        raise NotImplementedError

    def restart(self, now: float) -> None:
        """The process ends in order and begins again. Without a document nothing is lost: that is in its favour."""

    def sync(self, now: float) -> None:
        """The process meets the others at the board."""
