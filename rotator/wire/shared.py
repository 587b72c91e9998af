"""Shared: what all requests of one transport have in common: the engine, what is worked out for it once, and the limits.

Refuses: anything of one request.
"""

from __future__ import annotations

from datetime import timedelta

from rotator.core.value import Value
from rotator.engine import Rotator
from rotator.errors import BadArgument
from rotator.wire.aside import Aside
from rotator.wire.keys import Keys
from rotator.wire.origins import Owners
from rotator.wire.turns import Turns


class Limits(Value):
    """How far one request may go: distinct accounts, and seconds for all of it (None: no waiting, no end)."""

    max_accounts: int = 3
    deadline: float | None = None


class Shared:
    """Raises BadArgument for what is no Rotator, and for limits that cannot be."""

    def __init__(self, rotator: object, max_accounts: int, deadline: float | timedelta | None) -> None:
        if not isinstance(rotator, Rotator):
            message = "a transport is given a Rotator: Rotator.open(path), or Rotator.memory(document)"
            raise BadArgument(message)
        if isinstance(deadline, timedelta):
            deadline = deadline.total_seconds()
        if max_accounts < 1 or (deadline is not None and not deadline >= 0):
            message = "max_accounts is at least 1, deadline None, a timedelta or seconds from 0"
            raise BadArgument(message)
        self.rotator = rotator
        self.limits = Limits(max_accounts, deadline)
        self.owners = Owners(rotator)
        self.keys = Keys(rotator)
        self.turns = Turns(rotator)
        self.aside = Aside(rotator)
