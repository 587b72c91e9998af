"""What lies beside the file and came from it: backups, drafts, copies, and signs of an open editor.

Refuses: removing any of it, and reading more of a folder than it takes to say what is there.
"""

from __future__ import annotations

import os
import re
import stat as modes

from rotator.cli.finding import note, warning
from rotator.cli.surroundings import OTHERS
from rotator.store import leftovers
from rotator.store.editors import is_mark
from rotator.store.file import BACKUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.cli.finding import Finding

_MOST = 1000
"""Entries of a folder that are looked at; one with more is no place for this file."""
_MOST_BYTES = 1024 * 1024
_TEXTS = (".json", ".bak", ".old", ".orig", ".save", ".copy", ".txt", "~")
_SECRET = re.compile(rb'"(?:refresh_token|access_token|api_key|client_secret)"\s*:\s*"')


def findings(target: str) -> Iterator[Finding]:
    """What there is to say of the folder of a resolved path."""
    folder, name = os.path.split(target)
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        yield note("copies", "the folder may not be listed, so nobody knows what lies beside the file")
        return
    others = [entry for entry in entries if entry not in (name, f".{name}.lock")]
    left = {os.path.basename(path) for path in leftovers.find(target)}
    yield from _drafts(left)
    if opened := [entry for entry in others if is_mark(entry, name)]:
        yield note(
            "editor",
            f"an editor seems to have it open ({', '.join(opened)})",
            "save soon, or use rotator edit, which keeps what is learned meanwhile",
        )
    ours = [entry for entry in others if entry not in left and is_copy(entry, name)]
    private = [entry for entry in ours if entry != name + BACKUP and not _is_loose(os.path.join(folder, entry))]
    if private:
        yield note("copies", f"private copies beside it: {', '.join(private)}", "remove those that you do not need")
    strange = [entry for entry in others[:_MOST] if entry not in ours and entry not in left and entry.endswith(_TEXTS)]
    for entry in [*ours, *[each for each in strange if _holds_secrets(os.path.join(folder, each))]]:
        path = os.path.join(folder, entry)
        if _is_loose(path):
            what = f"{entry} has a copy of credentials, or may have, and others may read it"
            yield warning("copies", what, f"remove {path}, or chmod 600 it")


def is_copy(entry: str, name: str) -> bool:
    """Whether a file of that name is an older or unsaved state of ``name``: ``.bak``, ``.v1.bak``, ``~``, ``#name#`` ..."""
    if is_mark(entry, name):
        return False
    return entry.startswith((f"{name}.", f"{name}~", f".{name}.")) or entry == f"#{name}#"


def _drafts(left: set[str]) -> Iterator[Finding]:
    if left:
        what = f"a writer died here and left {', '.join(sorted(left))}"
        yield note("leftovers", what, "nothing to do: the next write takes what is newer in it, and removes it")


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _is_loose(path: str) -> bool:
    status = _status(path)
    return status is not None and modes.S_ISREG(status.st_mode) and bool(status.st_mode & OTHERS)


def _holds_secrets(path: str) -> bool:
    """Whether credentials stand in a file that others may read; what is private, large or no file is not opened."""
    status = _status(path)
    if not _is_loose(path) or status is None or status.st_size > _MOST_BYTES:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            return _SECRET.search(file.read(_MOST_BYTES)) is not None
    except OSError:
        return False
