"""The engine: chooses, learns, waits. The only room with a lock and a clock.

Refuses: parsing (``core.codec``, ``core.providers``), bytes on disk (``keeping``, ``store``), HTTP. Every operation reads the
clock once. With an injected clock, and in memory, it starts no thread: its owner calls ``due_at`` and ``tick``.
"""

from __future__ import annotations

import os
import threading
import weakref

from rotator.alarm import Alarm
from rotator.clock import MachineClock
from rotator.core.instants import aware, tidy
from rotator.core.ranking import Ranking
from rotator.core.selection import Parked, Selected, Unavailable, select
from rotator.core.signals import Held, Released, Rotated, SessionPlaced
from rotator.errors import BadArgument, ParkTimeout, UnknownAccount
from rotator.keeping import Keeper
from rotator.store.file import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime, timedelta
    from types import TracebackType
    from typing import Any, Self

    from rotator.clock import Clock
    from rotator.core.policy import Policy
    from rotator.core.signals import Signal
    from rotator.core.state import Pool
    from rotator.credentials import Credentials
    from rotator.keeping import FileState

_STEP_SECS = 1.0
"""A waiting engine looks at the file's stamp this often."""
_LEAST_STEP_SECS = 0.02
"""Shortest sleep while waiting, so that no clock can make it spin."""
_SESSION_NOTE_SECS = 60.0
"""A session that stays where it is is noted at most this often; its time to live is far longer."""
_MOST_RANKINGS = 256
"""Orders kept at once, one for each model and set of tags that was asked for."""

_engines: weakref.WeakSet[Rotator] = weakref.WeakSet()


class Lease:
    """A chosen account while a request is in flight on it; ends with ``observe``, ``release`` or the ``with`` block."""

    def __init__(self, rotator: Rotator, selected: Selected) -> None:
        self._rotator = rotator
        self._open = True
        self.selected = selected
        self.account = selected.account
        self.model = selected.model

    def observe(
        self, *, status: int, headers: Mapping[str, str] | None = None, body: Any = None, tokens: int | None = None
    ) -> None:
        """Learn from the response and end the lease."""
        self.release()
        self._rotator.observe(self.account, self.model, status=status, headers=headers, body=body, tokens=tokens)

    def release(self) -> None:
        """End the lease without news; ending it twice is nothing."""
        if self._open:
            self._open = False
            self._rotator._landed(self.account)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()


class Rotator:
    """Which account now, and if none, when. Made by ``open`` or ``memory``; thread-safe; a context manager."""

    def __init__(self, store: Store | None, raw: bytes | None, policy: Policy | None, clock: Clock | None) -> None:
        self._lock = threading.RLock()
        self._clock: Clock = clock or MachineClock()
        self._keeper = Keeper(store, raw, policy, self._lock, _warn)
        self._keeper.opened(self._now())
        self._generation = self._keeper.generation
        self._rankings: dict[tuple[str, tuple[str, ...]], tuple[Ranking, set[int]]] = {}
        self._in_flight: dict[str, int] = {}
        self._news = threading.Event()
        self._watches: list[_Watch] = []
        self._alarm: Alarm | None = None
        if clock is None and store is not None:
            self._alarm = Alarm(self._due_in, self.tick, lambda error: _warn(f"alarm: {type(error).__name__}"))
        self._closed = False
        _engines.add(self)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, policy: Policy | None = None, clock: Clock | None = None
    ) -> Rotator:
        """An engine on a file. ``policy`` are the defaults that the file's own ``policy`` goes over.

        Raises AccountsMissing, AccountsDenied, AccountsInvalid (with every fault), AccountsUnreadable.
        """
        return cls(Store(path), None, policy, clock)

    @classmethod
    def memory(
        cls, document: bytes | str | Mapping[str, Any], *, policy: Policy | None = None, clock: Clock | None = None
    ) -> Rotator:
        """The same engine without a file, on the bytes of a document or on a decoded one. Raises AccountsInvalid."""
        if isinstance(document, str):
            document = document.encode()
        if not isinstance(document, bytes):
            import json  # noqa: PLC0415  only for a decoded document

            document = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2).encode()
        return cls(None, document, policy, clock)

    # -- choosing ----------------------------------------------------------------------------------------------------

    def next(
        self, model: str, *, session: str | None = None, tags: Iterable[str] = (), size: int | None = None
    ) -> Selected | Parked | Unavailable:
        """The account for the next request of ``model``, made active.

        ``session`` is the key of a conversation that stays on its account while that is good; ``tags`` limit the
        accounts to those that bear all of them; ``size`` is the expected number of tokens.
        """
        with self._lock:
            outcome = self._decide(model, tuple(tags), session, size)
            if isinstance(outcome, Selected):
                self._take(outcome, session)
            return outcome

    def explain(
        self, model: str, *, session: str | None = None, tags: Iterable[str] = (), size: int | None = None
    ) -> Selected | Parked | Unavailable:
        """The same choice as ``next`` would make now, not taken."""
        with self._lock:
            return self._decide(model, tuple(tags), session, size)

    def lease(
        self, model: str, *, session: str | None = None, tags: Iterable[str] = (), size: int | None = None
    ) -> Lease | Parked | Unavailable:
        """``next``, and the account counts as serving one more request until the lease ends."""
        with self._lock:
            outcome = self.next(model, session=session, tags=tags, size=size)
            if not isinstance(outcome, Selected):
                return outcome
            self._count(outcome.account, 1)
            return Lease(self, outcome)

    def _decide(
        self, model: str, tags: tuple[str, ...], session: str | None, _size: int | None
    ) -> Selected | Parked | Unavailable:
        now = self._now()
        self._look(now)
        pool = self._keeper.pool
        key = (model, tags)
        known = self._rankings.get(key)
        if known is None:
            if len(self._rankings) >= _MOST_RANKINGS:
                self._rankings.pop(next(iter(self._rankings)))
            known = self._rankings[key] = (Ranking(model, tags), set())
        ranking, touched = known
        ranking.follow(pool, now, self._in_flight, touched)
        touched.clear()
        return select(
            pool, model, now=now, tags=tags, session=session, in_flight=self._in_flight, ranking=ranking
        )

    def _take(self, chosen: Selected, session: str | None) -> None:
        name, at = chosen.account, chosen.decided
        facts: list[Signal] = []
        if chosen.switched:
            facts.append(Rotated(name, chosen.previous, at, chosen.selection_reason or "", chosen.shadow))
        if session is not None:
            noted = chosen.pool.account(name).runtime.sessions.get(session, 0.0)
            if at - noted >= _SESSION_NOTE_SECS or chosen.selection_reason != "sticky_session":
                facts.append(SessionPlaced(name, session, at))
        if facts:
            self._add(facts)

    def _count(self, name: str, change: int) -> None:
        flying = dict(self._in_flight)
        flying[name] = flying.get(name, 0) + change
        if flying[name] <= 0:
            del flying[name]
        self._in_flight = flying
        if name in self._keeper.pool:
            self._touch(self._keeper.pool.index(name))

    def _landed(self, name: str) -> None:
        with self._lock:
            self._count(name, -1)
            self._news.set()

    # -- learning ----------------------------------------------------------------------------------------------------

    def observe(
        self,
        account: str,
        model: str,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        tokens: int | None = None,
    ) -> tuple[Signal, ...]:
        """Learn from a response to a request that ``account`` made of ``model``; what was learned.

        ``headers`` in any case; ``body`` bytes, text, decoded JSON or None; ``tokens`` what the request used, else the
        body's usage. A response that cannot be understood teaches by its status alone. Raises UnknownAccount.
        """
        from rotator.core.providers import read  # noqa: PLC0415  a program that never observes need not load them
        from rotator.core.providers.news import signals_of  # noqa: PLC0415

        with self._lock:
            at = self._now()
            self._look(at)
            known = self._account(account)
            reading = read(known.provider, status=status, headers=headers or {}, body=body, model=model, now=aware(at))
            facts = signals_of(
                reading, account=account, model=model, at=at, known_models=known.runtime.models, tokens=tokens
            )
            self._add(facts)
        return facts

    def ingest(self, signals: Iterable[Signal]) -> None:
        """Take facts in that you made yourself; about an account that is gone they are dropped."""
        with self._lock:
            self._look(self._now())
            self._add(signals)

    def hold(self, name: str, *, until: datetime | None = None, model: str | None = None) -> None:
        """Set an account (or one model of it) aside, without end or until an aware instant. Raises UnknownAccount."""
        end = None if until is None else _seconds(until)
        with self._lock:
            at = self._now()
            self._look(at)
            self._account(name)
            self._add([Held(name, model, at, end)])

    def release(self, name: str, *, model: str | None = None) -> None:
        """Give an account (or one model of it) back; also ends its cooldowns and hard states. Raises UnknownAccount."""
        with self._lock:
            at = self._now()
            self._look(at)
            self._account(name)
            self._add([Released(name, model, at)])

    def _account(self, name: str):  # type: ignore[no-untyped-def]
        if name not in self._keeper.pool:
            message = f"no account is named {name}"
            raise UnknownAccount(message)
        return self._keeper.pool.account(name)

    def _add(self, signals: Iterable[Signal]) -> None:
        mono = self._clock.monotonic()
        early = False
        for signal in signals:
            added = self._keeper.add(signal, mono)
            if added is not None:
                self._touch(added[0])
                early = early or added[1]
        if self._alarm is not None and (early or not self._poked):
            self._poked = True
            self._alarm.poke()
        self._news.set()

    _poked = False

    def _touch(self, index: int) -> None:
        for _, touched in self._rankings.values():
            touched.add(index)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def wait(
        self,
        model: str,
        *,
        timeout: float | timedelta | None = None,
        session: str | None = None,
        tags: Iterable[str] = (),
        size: int | None = None,
        progress: Callable[[Parked], None] | None = None,
    ) -> Selected | Unavailable:
        """Wait until somebody is ready, then do what ``next`` does; ``Unavailable`` at once when waiting cannot help.

        ``timeout`` in seconds or as a timedelta; ParkTimeout when it runs out. It sleeps in steps of at most a second of
        the wall clock, so that a suspended machine, a stepped clock, a person's edit and another process are all noticed.
        ``progress`` is called at each step while parked.
        """
        steps = self._waiting(model, timeout, session, tuple(tags), size, progress)
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                outcome: Selected | Unavailable = stop.value
                return outcome
            self._clock.wait(self._news, step)

    async def wait_async(
        self,
        model: str,
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109  the same face as wait
        session: str | None = None,
        tags: Iterable[str] = (),
        size: int | None = None,
    ) -> Selected | Unavailable:
        """The awaitable ``wait``; cancelling it leaves a thread asleep for at most a second."""
        from asyncio import to_thread  # noqa: PLC0415  costs 40 ms, and only asynchronous programs need it

        steps = self._waiting(model, timeout, session, tuple(tags), size, None)
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                outcome: Selected | Unavailable = stop.value
                return outcome
            await to_thread(self._clock.wait, self._news, step)

    def _waiting(  # noqa: PLR0913
        self,
        model: str,
        timeout: float | timedelta | None,
        session: str | None,
        tags: tuple[str, ...],
        size: int | None,
        progress: Callable[[Parked], None] | None,
    ) -> Iterator[float]:
        """Steps to sleep in seconds; returns the outcome. Decides again only when something can have changed."""
        limit = None if timeout is None else timeout if isinstance(timeout, int | float) else timeout.total_seconds()
        began = self._now(), self._clock.monotonic()
        while True:
            self._news.clear()
            outcome = self.next(model, session=session, tags=tags, size=size)
            if not isinstance(outcome, Parked):
                return outcome
            planned = outcome.wake_at.timestamp() + self._jitter(outcome.pool)
            decided = now, mono = outcome.decided, self._clock.monotonic()
            while True:
                spent = max(now - began[0], mono - began[1])
                if limit is not None and spent >= limit:
                    message = f"nobody became ready for {model} within {limit:g} s: {outcome.explanation}"
                    raise ParkTimeout(message, outcome.wake_at)
                if progress is not None:
                    progress(outcome)
                left = min(_STEP_SECS, planned - now, *([] if limit is None else [limit - spent]))
                yield max(left, _LEAST_STEP_SECS)
                before, now, mono = now, self._now(), self._clock.monotonic()
                waited = max(now - decided[0], mono - decided[1])
                if now >= planned or now < before or waited >= outcome.pool.policy.recheck:
                    break
                if self._changed(outcome) and now < outcome.wake_at.timestamp():
                    break

    def _changed(self, outcome: Parked) -> bool:
        """Whether the file, or a fact, says something else than when the outcome was decided."""
        with self._lock:
            self._news.clear()
            self._look(self._now())
            return self._keeper.pool is not outcome.pool

    def _jitter(self, pool: Pool) -> float:
        from random import uniform  # noqa: PLC0415  only who waits needs luck

        return uniform(0.0, pool.policy.wake_jitter)  # noqa: S311  no secret hangs on it

    def when_ready(
        self, model: str, callback: Callable[[Selected | Unavailable], None], *, tags: Iterable[str] = ()
    ) -> Callable[[], None]:
        """Call back once, on the alarm's thread, when somebody is ready for ``model`` (or only a person can help).

        The choice is not taken: whoever is called asks ``next``. Returns a function that cancels the watch.
        """
        watch = _Watch(model, tuple(tags), callback)
        with self._lock:
            self._watches.append(watch)
        if self._alarm is not None:
            self._alarm.poke()
        return lambda: self._unwatch(watch)

    def _unwatch(self, watch: _Watch) -> None:
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)

    # -- what is due -------------------------------------------------------------------------------------------------

    def due_at(self) -> datetime | None:
        """When ``tick`` has something to do; None when it has not."""
        secs = self._due_in()
        return None if secs is None else aware(self._now() + max(secs, 0.0))

    def tick(self) -> None:
        """Do what is due: write the file, look whether it can be written again, call back those who watch."""
        due = self._keeper_due()
        if due is not None and due <= 0:
            self.flush()
        self._inspect()
        for watch in tuple(self._watches):
            self._ring(watch)

    def _keeper_due(self) -> float | None:
        with self._lock:
            return self._keeper.due_in(self._clock.monotonic())

    def _due_in(self) -> float | None:
        with self._lock:
            self._poked = False
            due = self._keeper.due_in(self._clock.monotonic())
            now = self._now()
            for watch in self._watches:
                secs = max(watch.look_at - now, 0.0)
                due = secs if due is None else min(due, secs)
            return due

    def _ring(self, watch: _Watch) -> None:
        with self._lock:
            now = self._now()
            if watch not in self._watches:
                return
            outcome = self._decide(watch.model, watch.tags, None, None)
            if isinstance(outcome, Parked):
                watch.planned = outcome.wake_at.timestamp() + watch.jitter(self._jitter(outcome.pool))
                watch.look_at = min(max(watch.planned, now + _LEAST_STEP_SECS), now + _STEP_SECS)
                return
            if now < watch.planned and watch.pool is outcome.pool:
                watch.look_at = watch.planned
                return
            self._watches.remove(watch)
        watch.callback(outcome)

    def _inspect(self) -> None:
        """Look closer at a file that changed: what is wrong within a runtime is said once, and harms only that account."""
        with self._lock:
            raw = self._keeper.unseen_content()
            unreadable = bool(self._keeper.document.unreadable)
        if raw is not None and unreadable:
            from rotator.core.codec.faults import runtime_faults_of  # noqa: PLC0415  loads jsonschema

            for fault in runtime_faults_of(raw):
                _warn(str(fault))

    # -- the file ----------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Write what is pending, durably; False when nothing durable could be done (the facts stay pending)."""
        with self._lock:
            now = self._now()
        return self._keeper.flush(now, self._clock.monotonic)

    def document(self) -> bytes:
        """The bytes that a flush would write now; they hold secrets."""
        with self._lock:
            return self._keeper.raw()

    def credentials(self, name: str) -> Credentials:
        """The account's secrets, resolved now. Raises UnknownAccount, SecretMissing."""
        from rotator.credentials import resolve  # noqa: PLC0415  only who sends requests needs it

        with self._lock:
            self._look(self._now())
            self._account(name)
            found = self._keeper.document.account(self._keeper.pool.index(name))
        return resolve(name, found)

    @property
    def pool(self) -> Pool:
        """The accounts and what is known of them, as one frozen value."""
        return self._keeper.pool

    @property
    def durable(self) -> bool:
        """Whether what is learned reaches the disk."""
        return self._keeper.durable

    def file_state(self) -> FileState:
        """What people are told of the file: path, mode, durability, last error."""
        with self._lock:
            return self._keeper.file_state()

    def close(self) -> None:
        """Flush, and stop the alarm; closing twice is nothing."""
        if self._closed:
            return
        self._closed = True
        if self._alarm is not None:
            self._alarm.stop()
        self.flush()
        _engines.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _now(self) -> float:
        return tidy(self._clock.now().timestamp())

    def _look(self, now: float) -> None:
        self._keeper.look(now, self._clock.monotonic())
        if self._keeper.generation != self._generation:
            self._generation = self._keeper.generation
            self._rankings.clear()
            if self._alarm is not None:
                self._alarm.poke()

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._news = threading.Event()
        self._in_flight, self._watches = {}, []
        self._rankings.clear()
        self._keeper.forget_parent(self._lock)
        self._generation = self._keeper.generation
        if self._alarm is not None:
            self._alarm = Alarm(self._due_in, self.tick, lambda error: _warn(f"alarm: {type(error).__name__}"))
            self._poked = False


class _Watch:
    """Somebody who wants to be called when a model can be served."""

    def __init__(
        self, model: str, tags: tuple[str, ...], callback: Callable[[Selected | Unavailable], None]
    ) -> None:
        self.model = model
        self.tags = tags
        self.callback = callback
        self.look_at = 0.0
        self.planned = 0.0
        self.pool: Pool | None = None
        self._jitter: float | None = None

    def jitter(self, drawn: float) -> float:
        """One draw for each wait, or the deadline would move at each look."""
        if self._jitter is None:
            self._jitter = drawn
        return self._jitter


def _seconds(instant: datetime) -> float:
    if instant.tzinfo is None:
        message = "an instant needs a time zone: use datetime.now(UTC) + ..."
        raise BadArgument(message)
    return instant.timestamp()


def _warn(message: str) -> None:
    import logging  # noqa: PLC0415  13 ms that a run without trouble does not pay

    logging.getLogger("rotator").warning("%s", message)


def _after_fork() -> None:
    for engine in tuple(_engines):
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
