"""Shared: what all requests of one transport have in common: the engine, what is worked out for it once, and the limits.

Refuses: anything of one request.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.errors import BadArgument
from rotator.wire.keys import Keys
from rotator.wire.origins import Owners
from rotator.wire.turns import Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.engine import Rotator


class Limits(Value):
    """How far one request may go: distinct accounts, and seconds for all of it (None: no waiting, no end)."""

    max_accounts: int = 3
    deadline: float | None = None


class Shared:
    """Raises BadArgument for limits that cannot be."""

    def __init__(self, rotator: Rotator, max_accounts: int, deadline: float | None) -> None:
        if max_accounts < 1 or (deadline is not None and not deadline >= 0):
            message = "max_accounts is at least 1, deadline None or seconds from 0"
            raise BadArgument(message)
        self.rotator = rotator
        self.limits = Limits(max_accounts, deadline)
        self.owners = Owners(rotator)
        self.keys = Keys(rotator)
        self.turns = Turns(rotator)
