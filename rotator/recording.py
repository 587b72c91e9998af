"""Recording: a log of choices and responses, appended to whole lines at a time, for ``rotator replay``.

Refuses: what the lines mean (``core.history``), and to stand in the way: a log that cannot be written is said once, and
the pick goes on. No credential, header, body or name of a conversation gets in; the file is 0600.
"""

from __future__ import annotations

import errno
import json
import os
import stat as modes
from zlib import crc32

from rotator.core.history import (
    SCHEMA_VERSION,
    account_json,
    fact_json,
    line_text,
    mark_of,
    pool_line,
    session_hash,
)
from rotator.core.instants import rfc3339, tidy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rotator.core.pool import Pool
    from rotator.core.selection import Parked, Selected, Unavailable
    from rotator.core.signals import Signal
    from rotator.core.state import Account

_PRIVATE = 0o600
_OTHERS = 0o077
_HEAD = f'{{"schema_version":{SCHEMA_VERSION},"at":'.encode()
"""How every log begins: what begins otherwise, such as ``accounts.json``, is not to be appended to."""
_TAIL_BYTES = 65536
"""The end of a log in which its last line is looked for; longer ones count as unknown, which costs a line with the pool."""


class Recorder:
    """Appends to the log at ``path``, each time with one write; ``warn`` is called with the first trouble.

    Every line bears a ``mark`` of what was known after it. Where the present pool does not bear the mark of the log's
    last line, since somebody else learned something or edited the file, the whole pool is told first: so a log has in it
    whatever its choices knew. Not thread-safe: an engine calls it under its lock.
    """

    def __init__(self, path: str | os.PathLike[str], warn: Callable[[str], None]) -> None:
        self._path = os.fspath(path)
        self._warn: Callable[[str], None] | None = warn
        self._told: dict[str, tuple[Account, dict[str, Any], int]] = {}
        self._end = -1
        self._mark = ""
        self._parked: tuple[Any, ...] | None = None

    def request(
        self, outcome: Selected | Parked | Unavailable, session: str | None, size: int | None, after: Pool
    ) -> None:
        """A choice, and the pool once it was taken. A pool that stays parked for the same question is told once."""
        wanted, flying, closed = outcome._wanted, outcome._in_flight, outcome._choice.closed
        line: dict[str, Any] = {
            "kind": "request",
            "model": outcome.model,
            "session": None if session is None else session_hash(session),
            "tags": [*wanted.tags],
            "size": size,
            "outcome": outcome.outcome,
            "account": outcome.account,
            "reason": outcome.selection_reason,
        }
        if wanted.among is not None:
            line["among"] = sorted(wanted.among)
        if flying:
            line["in_flight"] = dict(flying)
        if closed:
            line["closed"] = sorted(closed)
        same = None if outcome.account is not None else (json.dumps(line), self._mark_of(outcome.pool))
        if same is None or same != self._parked:
            self._add(line, outcome.decided, outcome.pool, after)
        self._parked = same

    def news(
        self,
        facts: Iterable[Signal],
        at: float,
        before: Pool,
        after: Pool,
        account: str = "",
        model: str = "",
        status: int | None = None,
    ) -> None:
        """What was learned from a response, or without one (``status`` None); and the pool before and after it."""
        line: dict[str, Any] = {"kind": "facts"}
        if status is not None:
            line = {"kind": "response", "account": account, "model": model, "status": status}
        listed = [told for told in map(fact_json, facts) if told is not None]
        self._add({**line, "facts": listed}, at, before, after)

    def _add(self, line: dict[str, Any], at: float, before: Pool, after: Pool) -> None:
        mark = self._mark_of(before)
        try:
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, _PRIVATE
            )
            try:
                text = self._start(descriptor, mark, before, at)
                self._mark = self._mark_of(after)
                head = {"schema_version": SCHEMA_VERSION, "at": rfc3339(tidy(at))}
                text += line_text({**head, **line, "mark": self._mark})
                self._end = -1
                if os.write(descriptor, text) == len(text):
                    self._end = os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)
        except OSError as error:
            self._end = -1
            self._say(f"{self._path}: {error.strerror}; what follows is not recorded")

    def _start(self, descriptor: int, mark: str, pool: Pool, at: float) -> bytes:
        """What has to stand before a line: the end of one that was cut off, and the pool unless the log knows it."""
        status = os.fstat(descriptor)
        if modes.S_ISREG(status.st_mode) and status.st_mode & _OTHERS:
            os.fchmod(descriptor, _PRIVATE)
        text = b""
        if status.st_size != self._end:
            if os.path.isfile(self._path) and not _HEAD.startswith(os.pread(descriptor, len(_HEAD), 0)):
                raise OSError(errno.EINVAL, "it is there, and no log of rotator's")
            tail = _tail(descriptor, status.st_size)
            text = b"\n" if tail[-1:] not in (b"", b"\n") else b""
            self._mark = _last_mark(tail)
        if self._mark == mark:
            return text
        accounts = [self._told[account.name][1] for account in pool]
        return text + line_text(pool_line(pool, at, accounts))

    def _mark_of(self, pool: Pool) -> str:
        """Eight hex digits of what a pool knows; of accounts that are the same objects as before, it is known already."""
        marks = []
        for account in pool:
            known = self._told.get(account.name)
            if known is None or known[0] is not account:
                told = account_json(account, pool.policy)
                known = self._told[account.name] = (account, told, mark_of(told))
            marks.append(known[2])
        return f"{crc32(repr((marks, pool.active, pool.policy)).encode(errors='surrogatepass')):08x}"

    def _say(self, message: str) -> None:
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(message)


def _tail(descriptor: int, size: int) -> bytes:
    """The last bytes of the log; none where it cannot be read again, such as a pipe."""
    try:
        return os.pread(descriptor, min(size, _TAIL_BYTES), max(size - _TAIL_BYTES, 0))
    except OSError:
        return b""


def _last_mark(tail: bytes) -> str:
    try:
        found = json.loads(tail[tail.rindex(b"\n", 0, len(tail) - 1) + 1 :])
        mark = found["mark"]
    except (ValueError, LookupError, TypeError):
        return ""
    return mark if isinstance(mark, str) else ""
