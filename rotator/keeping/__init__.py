"""Keeping: one file, and what it and the facts not yet in it stand for. ``pool = replay(file, pending)``.

Refuses: choosing accounts, threads, HTTP.
"""

from __future__ import annotations

from rotator.keeping.keeper import FileState, Keeper
from rotator.keeping.renewing import RenewingKeeper

__all__ = ["FileState", "Keeper", "RenewingKeeper"]
