"""The pool: the accounts in file order, which of them is active, and the document's policy.

Refuses: what one account is (``state``), what happens to it. A changed pool shares all but a hundredth of the old one.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rotator.core.policy import Policy
    from rotator.core.state import Account, Runtime

_CHUNK = 100


class Pool:
    """The accounts in file order, which of them is active, and the document's policy.

    Frozen: a change is a new pool that shares all but a hundredth of the old one, so ten thousand accounts cost a
    fact no more than ten. ``account`` raises KeyError for an unknown name.
    """

    __slots__ = ("_chunks", "_index", "active", "policy")

    _chunks: tuple[tuple[Account, ...], ...]
    _index: dict[str, int]
    active: str | None
    policy: Policy

    def __init__(self, accounts: Iterable[Account], active: str | None, policy: Policy) -> None:
        listed = tuple(accounts)
        chunks = [listed[i : i + _CHUNK] for i in range(0, len(listed), _CHUNK)]
        self._set(tuple(chunks), {a.name: i for i, a in enumerate(listed)}, active, policy)

    def _set(
        self, chunks: tuple[tuple[Account, ...], ...], index: dict[str, int], active: str | None, policy: Policy
    ) -> None:
        put = object.__setattr__
        put(self, "_chunks", chunks)
        put(self, "_index", index)
        put(self, "active", active)
        put(self, "policy", policy)

    def __setattr__(self, name: str, _value: object) -> None:
        message = f"Pool is frozen: {name} cannot be set"
        raise AttributeError(message)

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[Account]:
        for chunk in self._chunks:
            yield from chunk

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pool):
            return NotImplemented
        same = self.active == other.active and self.policy == other.policy
        return same and self._chunks == other._chunks

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Pool({len(self)} accounts, active={self.active!r})"

    def index(self, name: str) -> int:
        """The place of an account in file order, from 0."""
        return self._index[name]

    def at(self, index: int) -> Account:
        """The account at a place in file order."""
        return self._chunks[index // _CHUNK][index % _CHUNK]

    def account(self, name: str) -> Account:
        """The account of that name."""
        return self.at(self._index[name])

    def models(self) -> tuple[str, ...]:
        """Every model that some account knows of, sorted."""
        return tuple(sorted({model for account in self for model in account.runtime.models}))

    def with_runtime(self, name: str, runtime: Runtime) -> Pool:
        """The pool in which that account knows ``runtime``."""
        index = self._index[name]
        place, inner = divmod(index, _CHUNK)
        chunk = list(self._chunks[place])
        chunk[inner] = chunk[inner].replace(runtime=runtime)
        chunks = list(self._chunks)
        chunks[place] = tuple(chunk)
        pool = object.__new__(Pool)
        pool._set(tuple(chunks), self._index, self.active, self.policy)
        return pool

    def with_active(self, name: str | None) -> Pool:
        """The pool in which that account is the active one."""
        pool = object.__new__(Pool)
        pool._set(self._chunks, self._index, name, self.policy)
        return pool
