"""Accounts as a provider keeps them: credentials, quota windows that fill and reset, and how each one misbehaves.

Refuses: how any of it is spelt on the wire (``dialects``, ``tokens``, ``quotas``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.provider.http1 import Gate

WEEK_SECS = 604_800.0


@dataclass
class Answer:
    """An answer word for word. ``body``: a dict or list is sent as JSON, text and bytes as they are.

    ``chunks`` instead of a body: a chunked answer, one write each. ``drop``: the connection ends instead of the answer;
    with ``chunks``, after them.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    chunks: list[str | bytes] | None = None
    drop: bool = False


@dataclass
class Seen:
    """A request that came. ``path`` is without the query, header names are lower case, ``at`` is the server's clock.

    ``account`` is the name that the credential (valid or not any more) belongs to, else None. ``status`` is 0 until the
    answer begins, and stays so when the connection was dropped.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    account: str | None = None
    status: int = 0
    at: float = 0.0
    query: str = ""


@dataclass
class Quota:
    """``limit`` requests in ``secs``: a window that begins with its first request and ends all at once."""

    limit: int
    secs: float
    used: int = 0
    reset_at: float | None = None

    def at(self, now: float) -> Quota:
        """Itself, emptied when its time is over."""
        if self.reset_at is not None and now >= self.reset_at:
            self.used, self.reset_at = 0, None
        return self

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def used_fraction(self) -> float:
        return min(1.0, self.used / self.limit) if self.limit else 1.0

    def spend(self, now: float) -> None:
        self.used += 1
        if self.reset_at is None:
            self.reset_at = now + self.secs


@dataclass
class Standing:
    """What one answer may tell of an account: its quota for this model, and what it hints.

    ``hint``: ``all`` (the truth), ``windows`` (limits, but no delay), ``none`` (neither), or seconds to say instead of
    the truth, as delay and as reset.
    """

    now: float
    model: str
    name: str
    oauth: bool
    hint: str | float
    quota: Quota
    week: Quota

    @property
    def spent(self) -> Quota:
        """The window that refuses: the week's when both do, since it ends last."""
        return self.week if self.week.remaining == 0 else self.quota

    @property
    def shows_windows(self) -> bool:
        return self.hint != "none"

    @property
    def wait_secs(self) -> float | None:
        """The delay to tell on a refusal, above 0."""
        if isinstance(self.hint, int | float):
            return float(self.hint)
        return max(0.001, self.reset_of(self.spent) - self.now) if self.hint == "all" else None

    def reset_of(self, quota: Quota) -> float:
        """When a window is full again; a lie for the spent one where the hint is a number."""
        if isinstance(self.hint, int | float) and quota is self.spent and quota.remaining == 0:
            return self.now + self.hint
        return self.now if quota.reset_at is None else quota.reset_at


@dataclass
class Account:
    """One account; every field can be given to ``Provider.account`` and, later, to ``Provider.change``.

    ``limit`` requests in ``window_secs``, for each model by itself where the family counts so; ``weekly_limit`` in
    seven days over all of them. ``refused``: a state in which every model request is refused (``banned``,
    ``restricted``, ``billing``; ``silent_ban``: rejected with no reset to come, while the quota endpoints show plenty;
    ``bare``: a 429 that names no limit and no delay). ``flapping``: a pattern that repeats, ``x`` answers 401 and ``.``
    serves.

    Streams have ``chunks`` pieces, ``chunk_gap_secs`` apart; ``gated`` ones wait for ``Provider.release`` before each
    piece but the first. ``stream_error``: after so many pieces comes an error event of kind ``stream_error_kind``
    (``overloaded``, ``spent``, ``banned``, ...); ``stream_cut``: after so many pieces the connection ends.
    ``redirect``: a URL (an origin alone gets the request's own path).

    ``poll``: what the quota endpoints answer, ``ok``, ``throttled`` (429 and ``poll_retry_after``), ``failing`` (500)
    or ``scopeless`` (403).

    With ``refresh_token`` or ``access_token`` it is an OAuth account. ``rotation`` ``rotating``: a refresh token is
    used once, and reuse revokes the family; ``static``: it stays. ``superseded_serve``: an access token serves until it
    expires even after a refresh; None: where tokens are static. ``expires_in`` seconds is the life of an access token,
    ``expires_at`` the end of the first one. ``token_delay_secs``: the token endpoint's slowness, in real seconds.
    ``strict``: an OAuth token of Anthropic's needs the beta header on inference too.
    """

    name: str
    key: str | None = None
    dialect: str = "openai"
    limit: int = 1_000_000
    window_secs: float = 60.0
    weekly_limit: int = 1_000_000
    models: tuple[str, ...] = ()
    hint: str | float = "all"
    refused: str | None = None
    flapping: str = ""
    chunks: int = 3
    chunk_gap_secs: float = 0.0
    gated: bool = False
    stream_error: int | None = None
    stream_error_kind: str = "overloaded"
    stream_cut: int | None = None
    delay_secs: float = 0.0
    redirect: str | None = None
    redirect_status: int = 307
    poll: str = "ok"
    poll_retry_after: int = 2895
    strict: bool = False
    refresh_token: str | None = None
    access_token: str | None = None
    expires_in: float = 3600.0
    expires_at: float | None = None
    rotation: str = "rotating"
    superseded_serve: bool | None = None
    token_delay_secs: float = 0.0
    # what the provider keeps of it
    served: int = field(default=0, init=False)
    requests: int = field(default=0, init=False)
    token_requests: int = field(default=0, init=False)
    refreshed: int = field(default=0, init=False)
    reuse_detected: int = field(default=0, init=False)
    revoked: bool = field(default=False, init=False)
    quotas: dict[str, Quota] = field(default_factory=dict, init=False)
    scripts: dict[str, deque[Any]] = field(default_factory=dict, init=False)
    gate: Gate | None = field(default=None, init=False)

    @property
    def oauth(self) -> bool:
        return self.refresh_token is not None or self.access_token is not None

    def quota(self, now: float, model: str) -> Quota:
        """The window that requests for this model count in; ``""`` is all models', or what a new one begins with."""
        if model not in self.quotas:
            common = self.quotas.get("", Quota(self.limit, self.window_secs))
            self.quotas[model] = replace(common)
        return self.quotas[model].at(now)

    def week(self, now: float) -> Quota:
        return self.quotas.setdefault("week", Quota(self.weekly_limit, WEEK_SECS)).at(now)

    def change(self, parts: dict[str, Any]) -> None:
        """Set fields by name; limits count from what is used already."""
        for name, value in parts.items():
            if name not in CHANGEABLE:
                raise TypeError(f"an account has no {name}")
            setattr(self, name, value)
        for counted, quota in self.quotas.items():
            if counted == "week":
                quota.limit = self.weekly_limit
            else:
                quota.limit, quota.secs = self.limit, self.window_secs

    def queue(self, on: str, answers: Iterable[Any]) -> None:
        self.scripts.setdefault(on, deque()).extend(answers)

    def scripted(self, on: str) -> Any:
        """The next answer that a test laid out for this door (``model``, ``quota``, ``token``), or None."""
        waiting = self.scripts.get(on)
        return waiting.popleft() if waiting else None


CHANGEABLE = frozenset(name for name, described in Account.__dataclass_fields__.items() if described.init) - {"name"}
