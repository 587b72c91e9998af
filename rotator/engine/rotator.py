"""The engine: chooses, learns, waits. What people import.

Refuses: parsing (``core.codec``, ``core.providers``), bytes on disk (``keeping``, ``store``), HTTP. Every operation reads the
clock once, under the lock of ``running``.
"""

from __future__ import annotations

from rotator.core.deducing import shown_by
from rotator.core.selection import Parked, Selected, Unavailable
from rotator.core.signals import Held, Released
from rotator.engine.learning import facts_of_choice, facts_of_response
from rotator.engine.leases import Lease
from rotator.engine.running import Running
from rotator.errors import AccountsInvalid, BadArgument, UnknownAccount, forget
from rotator.store.file import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta
    from typing import Any

    from rotator.clock import Clock
    from rotator.core.policy import Policy
    from rotator.core.signals import Signal
    from rotator.core.state import Account
    from rotator.credentials import Credentials
    from rotator.engine.renewing import Renewing
    from rotator.engine.running import Path
    from rotator.engine.waiting import Waiting


class Rotator(Running):
    """Which account now, and if none, when. Made by ``open`` or ``memory``; thread-safe; a context manager.

    Once it is closed, whatever chooses or learns raises BadArgument, also a wait that is under way: nothing would write what
    it learns. Questions (``explain``, ``pool``, ``document``) are still answered. A ``clock`` whose ``now`` has no time zone
    is BadArgument too.
    """

    @classmethod
    def open(
        cls, path: Path, *, policy: Policy | None = None, clock: Clock | None = None, record: Path | None = None
    ) -> Rotator:
        """An engine on a file; what it chooses and learns is appended to the log ``record``, for ``rotator replay``.

        The file's own policy goes over ``policy``. Raises AccountsMissing, AccountsDenied, AccountsInvalid, AccountsUnreadable.
        """
        try:
            return cls(Store(path), policy, clock)._recording(record)
        except AccountsInvalid as error:
            forget(error)
            raise

    @classmethod
    def memory(
        cls, document: bytes | str | Mapping[str, Any], *, policy: Policy | None = None, clock: Clock | None = None
    ) -> Rotator:
        """The same engine without a file, on the bytes of a document or on a decoded one.

        Raises AccountsInvalid for what is no document, and BadArgument for what JSON cannot say (NaN, an object of a class).
        """
        try:
            return cls(_bytes_of(document), policy, clock)
        except (AccountsInvalid, BadArgument) as error:
            document = b""
            forget(error)
            raise

    def next(
        self,
        model: str,
        *,
        session: str | None = None,
        tags: Iterable[str] | None = (),
        size: int | None = None,
        among: frozenset[str] | None = None,
    ) -> Selected | Parked | Unavailable:
        """The account for the next request of ``model``, made active.

        ``session`` is the key of a conversation that stays on its account while that is good. Of the accounts only those are
        considered that bear all ``tags`` and are ``among`` the named. ``size``, the tokens that it is expected to take,
        tells whether a conversation does better to wait than to begin anew elsewhere.
        Raises BadArgument for ``tags`` that are one text, and in a closed engine.
        """
        kept = _wanted(tags)
        with self._lock:
            self._refuse_closed()
            return self._taken(self._look(), model, session, kept, among, size)

    def explain(
        self,
        model: str,
        *,
        session: str | None = None,
        tags: Iterable[str] | None = (),
        size: int | None = None,
        among: frozenset[str] | None = None,
    ) -> Selected | Parked | Unavailable:
        """The same choice as ``next`` would make now, not taken."""
        kept = _wanted(tags)
        with self._lock:
            now = self._look()
            return self._choosing.decide(self._keeper.pool, model, now, kept, session, among, size)

    def lease(
        self,
        model: str,
        *,
        session: str | None = None,
        tags: Iterable[str] | None = (),
        size: int | None = None,
        among: frozenset[str] | None = None,
    ) -> Lease | Parked | Unavailable:
        """``next``, and the account counts as serving one more request until the lease ends.

        What transports have put off learning for a tenth of a second (``settle_later``) may not be heeded yet.
        """
        kept = _wanted(tags)
        with self._lock:
            self._refuse_closed()
            outcome = self._taken(self._look(settles=False), model, session, kept, among, size)
            if not isinstance(outcome, Selected):
                return outcome
            self._choosing.count(self._keeper.pool, outcome, 1)
            return Lease(outcome, lambda _name: self._landed(outcome), self._observe_lease)

    def _taken(
        self, now: float, model: str, session: str | None, tags: tuple[str, ...], *narrowed: Any
    ) -> Selected | Parked | Unavailable:
        outcome = self._choosing.decide(self._keeper.pool, model, now, tags, session, *narrowed)
        if isinstance(outcome, Selected):
            facts = facts_of_choice(outcome, session)
            if facts:
                self._add(facts, outcome.decided)
        return self._recorded_choice(outcome, session)

    def _landed(self, lease: Selected) -> None:
        with self._lock:
            self._choosing.count(self._keeper.pool, lease, -1)
            self._watching.tell()

    def observe(
        self,
        account: str,
        model: str,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        tokens: int | None = None,
        refused_before: Iterable[str] = (),
    ) -> tuple[Signal, ...]:
        """Learn from a response to a request that ``account`` made of ``model``; what was learned.

        ``headers`` in any case; ``body`` bytes, text, decoded JSON or None; ``tokens`` what the request used, else the
        body's usage. A response that cannot be understood teaches by its status alone. ``refused_before`` names accounts
        that refused the same request before. A ``Throttled`` among what was learned says that another account of the
        provider would not serve it either: the provider throttles, or the request is to blame. Raises UnknownAccount.
        """
        with self._lock:
            at = self._live()
            pool, known = self._keeper.pool, self._account(account)
            facts = facts_of_response(pool, known, model, at, status=status, headers=headers, body=body, tokens=tokens)
            return self._recorded_news(self._learn(facts, at, tuple(refused_before)), account, model, status)

    def _learn(self, facts: Iterable[Signal], at: float, refused_before: tuple[str, ...] = ()) -> tuple[Signal, ...]:
        """Take facts in one by one, each with what it shows of the provider or the request; all that was learned."""
        learned: list[Signal] = []
        for fact in facts:
            self._add((fact,), at)
            shown = shown_by(self._keeper.pool, fact, refused_before)
            if shown:
                self._add(shown, at)
            learned += (fact, *shown)
        return tuple(learned)

    def _observe_lease(self, account: str, model: str, **response: Any) -> tuple[Signal, ...]:
        """``observe`` for a lease, whose account may have left the file meanwhile."""
        try:
            return self.observe(account, model, **response)
        except UnknownAccount:
            return ()

    def ingest(self, signals: Iterable[Signal]) -> None:
        """Take facts in that you made yourself; about an account that is gone they are dropped.

        Numbers out of range are brought within it (``core.signals.bounded``). Raises BadArgument, and takes none of them
        in, when one is no signal: an instant that is a datetime or NaN, a hard state that there is not, a wrong type.
        """
        from rotator.engine.ingesting import checked  # only who makes facts needs it

        listed = checked(signals)
        with self._lock:
            self._recorded_news(self._learn(listed, self._live()))

    def hold(self, name: str, *, until: datetime | None = None, model: str | None = None) -> None:
        """Set an account (or one model of it) aside, without end or until an aware instant.

        Raises UnknownAccount, and BadArgument for an instant without a time zone.
        """
        if until is not None and until.tzinfo is None:
            message = "an instant needs a time zone: use datetime.now(UTC) + ..."
            raise BadArgument(message)
        with self._lock:
            at = self._live()
            self._account(name)
            self._add([Held(name, model, at, None if until is None else until.timestamp())], at)

    def release(self, name: str, *, model: str | None = None) -> None:
        """Give an account (or one model of it) back; also ends its cooldowns and hard states. Raises UnknownAccount."""
        with self._lock:
            at = self._live()
            self._account(name)
            self._add([Released(name, model, at)], at)

    def _account(self, name: str) -> Account:
        if name not in self._keeper.pool:
            message = f"no account is named {name}"
            raise UnknownAccount(message)
        return self._keeper.pool.account(name)

    def wait(
        self,
        model: str,
        *,
        timeout: float | timedelta | None = None,
        session: str | None = None,
        tags: Iterable[str] | None = (),
        size: int | None = None,
        among: frozenset[str] | None = None,
        progress: Callable[[Parked], None] | None = None,
    ) -> Selected | Unavailable:
        """Wait until somebody is ready, then do what ``next`` does; ``Unavailable`` at once when waiting cannot help.

        ``timeout`` in seconds or as a timedelta; ParkTimeout when it runs out. It sleeps in steps of at most a second of
        the wall clock, so that a suspended machine, a stepped clock, a person's edit and another process are all noticed.
        ``progress`` is called at each step while parked.
        """
        kept = _wanted(tags)
        waiting = self._waiting(lambda: self.next(model, session=session, tags=kept, size=size, among=among), timeout)
        self._watching.enter(waiting)
        try:
            return waiting.run(progress)
        finally:
            self._watching.leave(waiting)

    async def wait_async(
        self,
        model: str,
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109  the same face as wait
        session: str | None = None,
        tags: Iterable[str] | None = (),
        size: int | None = None,
        among: frozenset[str] | None = None,
    ) -> Selected | Unavailable:
        """The awaitable ``wait``; it sleeps on a thread of the loop's executor, which cancelling it wakes."""
        kept = _wanted(tags)
        waiting = self._waiting(lambda: self.next(model, session=session, tags=kept, size=size, among=among), timeout)
        self._watching.enter(waiting)
        try:
            return await waiting.run_async()
        finally:
            self._watching.leave(waiting)

    def when_ready(
        self, model: str, callback: Callable[[Selected | Unavailable], None], *, tags: Iterable[str] | None = ()
    ) -> Callable[[], None]:
        """Call back once, from ``tick`` (on the alarm's thread), when somebody is ready or only a person can help.

        The choice is not taken: whoever is called asks ``next``. Returns a function that cancels the watch.
        """
        kept = _wanted(tags)
        return self._watching.watch(self._waiting(lambda: self.explain(model, tags=kept), None), callback)

    def _waiting(
        self, decide: Callable[[], Selected | Parked | Unavailable], timeout: float | timedelta | None
    ) -> Waiting:
        from rotator.engine.waiting import Waiting  # only who waits needs threading

        self._refuse_closed()
        return Waiting(decide, self._news, self._clock, timeout)

    def credentials(self, name: str) -> Credentials:
        """The account's secrets, resolved now. Raises UnknownAccount, SecretMissing."""
        from rotator.credentials import resolve  # only who sends requests needs it

        with self._lock:
            self._look()
            self._account(name)
            document = self._keeper.document
            if document is not self._entries_of:
                self._entries, self._entries_of = {}, document
            found = self._entries.get(name)
            if found is None:
                found = self._entries[name] = document.account(self._keeper.pool.index(name))
            tokens = self._keeper.tokens(name)
        return resolve(name, found, tokens)

    def renewing(self, name: str, timeout_secs: float) -> Renewing:
        """A refresh of the account's tokens, which nobody else does meanwhile; a context manager.

        Entering it raises AccountsBusy when somebody did it for longer than ``timeout_secs``.
        """
        from rotator.engine.renewing import Renewing  # only who sends requests needs it

        self._refuse_closed()
        return Renewing(self, self._keeper, name, timeout_secs)


def _wanted(tags: Iterable[str] | None) -> tuple[str, ...]:
    """The tags to look for; a text would be taken apart into its letters, and match nobody."""
    if isinstance(tags, str):
        message = f"tags are several texts: use [{tags!r}]"
        raise BadArgument(message)
    return () if tags is None else tuple(tags)


def _bytes_of(document: bytes | str | Mapping[str, Any]) -> bytes:
    """A document as bytes. What is raised carries nothing of it, which holds secrets, neither as a value nor as a context."""
    if isinstance(document, bytes):
        return document
    if isinstance(document, str):
        return document.encode(errors="surrogatepass")  # half a pair is no UTF-8, which decoding says
    import json  # only for a decoded document

    try:
        try:
            return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can carry
            return json.dumps(document, indent=2).encode()
    except (TypeError, ValueError, RecursionError):
        pass
    message = "a decoded document holds only what JSON can say: dict, list, str, int, float (not NaN), bool, None"
    raise BadArgument(message)
