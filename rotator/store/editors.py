"""Editors: the files that an editor keeps beside the one that it has open.

Refuses: to know what is in them. Editors take no lock of ours, so this is courtesy; what protects a save is the exchange.
"""

from __future__ import annotations

import os
import time

STALE_SECS = 3600.0
"""A mark that has not been touched for so long was left by an editor that died. Our choice: vim writes its own every few
seconds of typing."""


def is_mark(entry: str, name: str) -> bool:
    """Whether a folder's entry says that an editor has ``name`` open: vim's and nano's swap, emacs' and LibreOffice's lock."""
    swap = entry.startswith(f".{name}.sw") and len(entry) == len(f".{name}.swp")
    return swap or entry in (f".#{name}", f".~lock.{name}#")


def is_open(path: str) -> bool:
    """Whether an editor seems to have the file open, links followed. Raises nothing."""
    folder, name = os.path.split(os.path.realpath(path))
    try:
        marks = [entry for entry in os.listdir(folder) if is_mark(entry, name)]
        return any(time.time() - os.lstat(os.path.join(folder, mark)).st_mtime < STALE_SECS for mark in marks)
    except OSError:
        return False
