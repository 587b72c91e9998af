"""The engine: the current pool and the pending facts; the only room with a lock and a clock.

Refuses: parsing (``core``), bytes on disk (``keeping``, ``store``), HTTP.
"""

from __future__ import annotations

from rotator.engine.leases import Lease
from rotator.engine.rotator import Rotator

__all__ = ["Lease", "Rotator"]
