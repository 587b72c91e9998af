"""The ledger: what one document and the facts not yet in it stand for. ``pool = replay(document, pending)``.

Refuses: files, locks, clocks; ``now`` are epoch seconds, one for each operation. Facts are pending until they are settled,
also while they are on their way to the file.
"""

from __future__ import annotations

from rotator.core.codec.account import fingerprint
from rotator.core.codec.decode import decode
from rotator.core.codec.tokens import mark
from rotator.core.lineage import builds_on, forked
from rotator.core.pending import Pending, rebase
from rotator.core.signals import AuthRefused, Blocked, Refused, Rotated, Superseded
from rotator.core.transitions import apply, replay, significant
from rotator.errors import AccountsInvalid
from rotator.keeping.renewals import Renewals, forgotten, may_recall
from rotator.keeping.stepped import TOLERATED_SECS, brought_back, facts_brought_back, is_ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.codec.decode import Document
    from rotator.core.codec.tokens import Tokens
    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.core.signals import Signal
    from rotator.core.state import Account

_OF_A_CREDENTIAL = (AuthRefused, Blocked, Refused)
"""Facts that say nothing any more once the account's credential is another."""
_TRIM_EVERY = 4096
"""Facts between two looks at how many are pending."""
_KEPT_OF_A_KIND = 64
"""Facts of one kind, account and model that a trim leaves: more than any ladder of refusals has steps."""


class Ledger:
    """``generation`` rises when accounts may have come, gone or changed otherwise than by ``add``.

    Raises AccountsInvalid when the bytes are no document, here and in ``adopt``, which then changes nothing.
    """

    def __init__(self, raw: bytes, policy: Policy | None, now: float) -> None:
        self._defaults = policy
        self.document: Document
        self.document, self._base = decode(raw, policy)
        self.pool: Pool = self._base
        self._pending = Pending()
        self._taken: Pending | None = None
        self.renewals = Renewals()
        self._renewals_taken: dict[str, Tokens] = {}
        self._stepped: dict[str, float] = {}
        self._stepped_when_taken: dict[str, float] = {}
        self._added = 0
        self._touched = False
        self._read_at = now
        self.generation = 0

    @property
    def underway(self) -> bool:
        """Whether facts have been taken for the file and are neither settled nor put back."""
        return self._taken is not None

    @property
    def changed(self) -> bool:
        """Whether the pool knows something that the document does not hold."""
        if not self._touched:
            return False
        from rotator.core.codec.encode import changed  # loads json, and a pick that changes nothing writes nothing

        return bool(self.renewals) or changed(self.document, self.pool)

    def add(self, signal: Signal, now: float) -> tuple[int, bool] | None:
        """Take one fact in: (the account's place, whether it is significant), or None when it changed nothing."""
        if signal.account not in self.pool:
            return None
        if signal.at <= now + TOLERATED_SECS:
            self._heed_step(signal, now)
        before = self.pool
        self.pool = apply(before, signal)
        if self.pool is before:
            return None
        self._touched = True
        self._pending.add((signal,))
        self._trim()
        index = before.index(signal.account)
        model = getattr(signal, "model", None)
        return index, significant(before.at(index).runtime, self.pool.at(index).runtime, model)

    def _heed_step(self, signal: Signal, now: float) -> None:
        """Before a fact made now: nothing that it is weighed against may be of the future (see ``stepped``)."""
        self._read_at = min(self._read_at, now)
        names = [signal.account]
        if type(signal) is Rotated and self.pool.active is not None:
            names.append(self.pool.active)
        for name in names:
            runtime = self.pool.account(name).runtime
            if is_ahead(runtime, now):
                self._stepped[name] = now
                self._pending = Pending(facts_brought_back(self._pending, name, now))
                if self._taken is not None:
                    self._taken = Pending(facts_brought_back(self._taken, name, now))
                self.pool = self.pool.with_runtime(name, brought_back(runtime, now))
                self.generation += 1

    def _trim(self) -> None:
        """Where nothing can be written for long, refusals pile up: of each kind, account and model the newest count.

        And the one whose delay ends last, since newer and shorter ones do not shorten it.
        """
        self._added += 1
        if self._added < _TRIM_EVERY:
            return
        self._added = 0
        kinds: dict[tuple[type, str, str | None], list[Signal]] = {}
        for signal in self._pending:
            kinds.setdefault((type(signal), signal.account, getattr(signal, "model", None)), []).append(signal)
        kept = {id(signal) for same in kinds.values() for signal in (max(same, key=_ends_at), *same[-_KEPT_OF_A_KIND:])}
        self._pending = Pending([signal for signal in self._pending if id(signal) in kept])

    def adopt(self, raw: bytes, now: float) -> bool:
        """Stand on what the file now holds, with the pending facts over it; whether a write is due for it."""
        if raw == self.document.raw:
            return False
        document, read = decode(raw, self._defaults)
        spent = [*self.renewals.recall(document, read, self.document, self.pool), *forgotten(self.pool, read)]
        pending = self._without_old_credentials(document, read)
        found = rebase(self._base, read, pending, self._read_at, lambda name: _sealed(document, read.index(name)))
        self._base, self._pending, due = found
        self.document, self._read_at = document, now
        self._touched = self._touched or due
        self.generation += 1
        self._stand()
        return self._supersede(spent, now) or due

    def renew(self, name: str, tokens: Tokens, sent: str | None, now: float, *, usable: bool) -> None:
        """A refresh gave an account these tokens; ``sent`` is the short hash of what it has used up, None for nothing.

        ``usable``: they may be sent before the file holds them.
        """
        self._touched = True
        self.renewals.add(name, tokens, usable=usable)
        if sent is not None:
            self.add(Superseded(name, now, sent), now)

    def recall(self, raw: bytes, now: float) -> bool:
        """Of a copy of the file, such as its backup, take the tokens to which refreshes of the file's led; whether any did."""
        if not may_recall(self.document, raw):
            return False
        try:
            document, found = decode(raw, self._defaults)
        except AccountsInvalid:
            return False
        recalled = self.renewals.recall(self.document, self.pool, document, found)
        self._supersede(recalled, now)
        return bool(recalled)

    def _supersede(self, spent: list[tuple[str, str]], now: float) -> bool:
        """Take in that tokens of accounts are superseded; whether that was new, or comes with newer tokens."""
        news = [self.add(Superseded(name, now, token), now) for name, token in spent]
        self._touched = self._touched or bool(self.renewals)
        return any(news) or bool(self.renewals)

    def _without_old_credentials(self, document: Document, read: Pool) -> list[Signal]:
        """The pending facts, but for refusals of a credential that a person has replaced since, or a refresh.

        A refresh ends only what was said of the token: the account may be banned all the same.
        """
        refused = {s.account for s in self._pending if isinstance(s, _OF_A_CREDENTIAL)}
        replaced = {
            name
            for name in refused
            if name in read
            and name in self._base
            and fingerprint(document.account(read.index(name)))
            != fingerprint(self.document.account(self._base.index(name)))
        }
        refreshed = {
            name
            for name in replaced
            if mark(self.document.account(self._base.index(name))) in read.account(name).runtime.superseded
        }
        return [
            s
            for s in self._pending
            if s.account not in replaced
            or not isinstance(s, _OF_A_CREDENTIAL)
            or (s.account in refreshed and not isinstance(s, AuthRefused))
        ]

    def recover(self, raw: bytes, now: float) -> bool:
        """Of a document that never became the file, take the runtimes whose ``rev`` is higher; whether there were any.

        And the tokens to which refreshes of the file's led. A runtime that was written beside what the file holds is
        joined with it; one that was built on what a person has edited since is not taken. Everything else in it is a
        person's, and theirs is what the file holds. Bytes that are no document hold nothing.
        """
        try:
            document, found = decode(raw, self._defaults)
        except AccountsInvalid:
            return False
        before = self._base
        recalled = [] if document.newer else self.renewals.recall(self.document, self.pool, document, found)
        for account in () if document.newer else found:
            if account.name in before and account.runtime.rev > before.account(account.name).runtime.rev:
                self._recover(account)
        if self._base is not before:
            self._touched = True
            self.generation += 1
            self._stand()
        self._supersede(recalled, now)
        return self._base is not before or bool(recalled)

    def _recover(self, account: Account) -> None:
        was, found = self._base.account(account.name).runtime, account.runtime
        if builds_on(found, was) and not _sealed(self.document, self._base.index(account.name)):
            return
        if forked(was, found):
            from rotator.core.joining import join  # as rebase does

            found = join(was, found, self._base.policy)
        self._base = self._base.with_runtime(account.name, found)

    def _stand(self) -> None:
        pool = self._base
        for name, at in self._stepped.items():
            if name in pool and is_ahead(pool.account(name).runtime, at):
                pool = pool.with_runtime(name, brought_back(pool.account(name).runtime, at))
        self.pool = replay(pool, self._pending)

    def take(self) -> tuple[Document, Pool, dict[str, Tokens]]:
        """The pending facts and new tokens leave for the file: what to encode. What arrives from here on is pending anew."""
        self._taken, self._pending = self._pending, Pending()
        self._stepped_when_taken = dict(self._stepped)
        self._renewals_taken = self.renewals.taken()
        return self.document, self.pool, self._renewals_taken

    def put_back(self) -> None:
        """Facts that were on their way are pending again."""
        if self._taken is not None:
            self._pending = Pending([*self._taken, *self._pending])
            self._taken = None

    def settle(self, document: Document, pool: Pool, now: float) -> None:
        """The file holds that document since ``now``: stand on it, with what arrived meanwhile over it."""
        self.document, self._base, self._read_at, self._taken = document, pool, now, None
        then = self._stepped_when_taken
        self._stepped = {name: at for name, at in self._stepped.items() if then.get(name) != at}
        self.renewals.settle(self._renewals_taken)
        self._touched = bool(self._pending) or bool(self.renewals)
        self._stand()

    def drop(self) -> None:
        """Nothing is pending after all."""
        self._pending, self._touched = Pending(), False

    def forget(self) -> None:
        """Nothing but the document is known: the pending facts are somebody else's to write."""
        self._pending, self._taken, self._stepped, self._touched = Pending(), None, {}, False
        self.renewals.forget()
        self.pool = self._base
        self.generation += 1


def _sealed(document: Document, index: int) -> bool:
    """Whether rotator wrote that account's runtime as it stands; the one thing that needs its JSON once more."""
    from rotator.core.codec.seal import is_sealed  # loads json

    return is_sealed(document.account(index).get("runtime"))


def _ends_at(signal: Signal) -> float:
    return signal.at + (getattr(signal, "retry_delay_secs", None) or 0.0)
