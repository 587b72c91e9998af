"""Turns: one request's turn on an account, and what the answers of many at once say, learned once for all of them.

Refuses: refusals, which are learned each and at once. A success is learned at once too, unless one of the same account and
model was learned just before: then the newest stands for those between, at the instant it came, and it is learned a tenth of
a second later, or before anybody asks what is known. Tokens are added up, none is lost.
"""

from __future__ import annotations

import _thread
import os

from rotator.core.signals import Succeeded
from rotator.engine.learning import facts_of_response
from rotator.errors import RotatorError
from rotator.wire.steps import Incoming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rotator.core.signals import Signal
    from rotator.engine import Lease, Rotator

    Key = tuple[str, str]
    Head = tuple[int, Mapping[str, str] | Incoming]

_ONCE_IN_SECS = 0.1
"""Seconds within which one reading stands for all. Our choice: a fiftieth of the time after which the file is written."""


class _Heard:
    """What is known of the turns of one account and model: ``head`` and ``tokens`` are still to be learned.

    ``at`` is when the newest head came, ``learned`` when something was learned last, by the monotonic clock.
    """

    __slots__ = ("at", "head", "learned", "tokens", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.learned = float("-inf")
        self.at = 0.0
        self.head: Head | None = None
        self.tokens = 0


class Turns:
    """All turns of one transport; thread-safe."""

    def __init__(self, rotator: Rotator) -> None:
        self.now = rotator.now
        self._monotonic = rotator._clock.monotonic
        self._rotator = rotator
        self._lock = _thread.allocate_lock()
        self._heard: dict[Key, _Heard] = {}
        self._waiting = False
        self._process = os.getpid()

    def begin(self, lease: Lease) -> Turn:
        """A lease becomes a turn."""
        self._heed_fork()
        with self._lock:
            heard = self._heard.get((lease.account, lease.model))
            if heard is None:
                heard = self._heard[lease.account, lease.model] = _Heard()
            heard.under_way += 1
        return Turn(self, lease)

    def hear(self, turn: Turn, head: Head | None, tokens: int, *, leaves: bool) -> None:
        """What a turn heard; if it is time to, that is learned with what waited."""
        self._heed_fork()
        mono, key = self._monotonic(), (turn.account, turn.model)
        with self._lock:
            heard = self._heard[key]
            heard.under_way -= leaves
            heard.tokens += tokens
            if turn.at >= heard.at:
                heard.at, heard.head = turn.at, head or heard.head
            waits = 0 <= mono - heard.learned < _ONCE_IN_SECS
            at, due, used = heard.at, heard.head, heard.tokens
            first = waits and not self._waiting and (due is not None or used > 0)
            self._waiting = self._waiting or first
            if not waits:
                heard.head, heard.tokens, heard.learned = None, 0, mono
        if first:
            self._rotator.settle_later(self.settle, _ONCE_IN_SECS)
        if waits:
            return
        if due is not None and due is head:
            turn.at = self._learn_now(key, due, used) or turn.at
        else:
            self._learn_late(key, at, due, used)

    def _heed_fork(self) -> None:
        """In a forked child: what waited is the parent's to learn, and so is whoever held the lock."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._lock = _thread.allocate_lock()
        self._waiting = False
        for heard in self._heard.values():
            heard.head, heard.tokens = None, 0

    def settle(self) -> None:
        """Learn all that waits."""
        mono = self._monotonic()
        with self._lock:
            self._waiting = False
            due = [(key, heard.at, heard.head, heard.tokens) for key, heard in self._heard.items()]
            for key, heard in tuple(self._heard.items()):
                if heard.head is not None or heard.tokens:
                    heard.head, heard.tokens, heard.learned = None, 0, mono
                elif not heard.under_way:
                    del self._heard[key]
        for key, at, head, tokens in due:
            if head is not None or tokens:
                self._learn_late(key, at, head, tokens)

    def _learn_now(self, key: Key, head: Head, tokens: int) -> float | None:
        """Learn a head that has just come; the instant that it was learned at. Nothing is raised: the answer is there."""
        try:
            facts = self._rotator.observe(*key, status=head[0], headers=_headers(head), tokens=tokens)
        except RotatorError:  # the account has left the file, or the engine is closed
            return None
        return facts[-1].at if facts else None

    def _learn_late(self, key: Key, at: float, head: Head | None, tokens: int) -> None:
        """Learn what came at ``at``, and waited. Nothing is raised."""
        name, model = key
        facts: tuple[Signal, ...] = (Succeeded(name, model, at, tokens),) if tokens else ()
        pool = self._rotator.pool
        if head is not None and name in pool:
            account = pool.account(name)
            facts = facts_of_response(
                pool, account, model, at, status=head[0], headers=_headers(head), body=None, tokens=tokens
            )
        try:
            self._rotator.ingest(facts)
        except RotatorError:
            return


def _headers(head: Head) -> Mapping[str, str]:
    return head[1].headers if isinstance(head[1], Incoming) else head[1]


class Turn:
    """From the lease to the end of the body, which is told once. ``at`` is when the head came, epoch seconds."""

    __slots__ = ("_lease", "_open", "_turns", "account", "at", "model")

    def __init__(self, turns: Turns, lease: Lease) -> None:
        self._turns = turns
        self._lease = lease
        self._open = [True]
        self.account = lease.account
        self.model = lease.model
        self.at = 0.0

    def learn(self, head: Head, body: bytes | None = None, refused_before: Iterable[str] = ()) -> tuple[Signal, ...]:
        """Learn a refusal; nothing when the engine is closed."""
        try:
            return self._lease.learn(status=head[0], headers=_headers(head), body=body, refused_before=refused_before)
        except RotatorError:
            return ()

    def serves(self, head: Head) -> None:
        """The head of a success is there (status and headers), and its body may take long."""
        self.at = self._turns.now()
        self._turns.hear(self, head, 0, leaves=False)

    def ends(self, head: Head | None = None, tokens: int = 0) -> None:
        """The lease ends. ``head``: of a success, if it was not told yet; ``tokens``: what it used."""
        try:
            self._open.pop()
        except IndexError:
            return
        self._lease.release()
        if head is not None:
            self.at = self._turns.now()
        self._turns.hear(self, head, tokens, leaves=True)
