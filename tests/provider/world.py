"""The provider itself: who is asking, for what, and which answer follows; and what a test may tell it.

Refuses: sockets (``http1``), threads and processes (``server``). One lock, because the test's thread tells while the
server's thread answers.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.provider import quotas, shapes, tokens
from tests.provider.accounts import Account, Answer, Quota, Seen, Standing
from tests.provider.dialects import DIALECTS, counts_by_model
from tests.provider.http1 import Gate, Reply, Request
from tests.provider.spelling import http_date

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = {"content-type": "application/json"}
NOBODY = Account("")


class World:
    """All accounts, all that was seen, and the time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {}
        self.seen: list[Seen] = []
        self.recording = True
        self.connections = 0
        self._register = tokens.Register()
        self._overloads: dict[str, float] = {}
        self._frozen: float | None = None
        self._ahead = 0.0
        self._numbers = count(1)

    # what a test tells

    def account(self, name: str, **parts: Any) -> None:
        """A new account; see ``Account`` for the parts."""
        made = Account(name)
        made.change(parts)
        if made.dialect not in DIALECTS:
            raise ValueError(f"no dialect {made.dialect}: {', '.join(DIALECTS)}")
        made.gate = Gate()
        self.accounts[name] = made
        self._give_out(made)

    def change(self, name: str, **parts: Any) -> None:
        """Set parts of an account; a credential that is set supersedes the one before."""
        account = self.accounts[name]
        account.change(parts)
        self._give_out(account, *parts)

    def script(self, name: str, answers: Sequence[Any], on: str = "model") -> None:
        """What the account's next requests are answered with, at the ``model``, ``quota`` or ``token`` door.

        An ``Answer``, None (its own behaviour for once), the name of a refusal of its family, or, at the token door:
        ``drop`` (rotates, then the connection ends), ``hold`` (rotates, and answers after ``release``).
        """
        self.accounts[name].queue(on, answers)

    def spend(self, name: str, used: int, model: str = "", reset_in: float | None = None) -> None:
        """So many requests of a window are used, which ends ``reset_in`` seconds from now (None: its own length).

        ``model``: one model's window; ``week``: the weekly one; empty: all of them, those of models not seen yet too.
        """
        account, now = self.accounts[name], self.now()
        account.week(now)
        account.quota(now, "week" if model == "week" else model)
        for counted, quota in account.quotas.items():
            if counted == model or (model == "" and counted != "week"):
                quota.used, quota.reset_at = used, now + (quota.secs if reset_in is None else reset_in)

    def overloaded(self, model: str, until: float | datetime | None) -> None:
        """No capacity for a model (or a glob), for anybody, until this instant; None ends it (``*``: every one)."""
        if until is not None:
            self._overloads[model] = _epoch(until)
            return
        for name in [name for name in self._overloads if fnmatchcase(name, model)]:
            del self._overloads[name]

    def release(self, name: str, pieces: int | None = 1) -> None:
        """Let so many pieces of the account's gated streams, or held token answers, go; None: all from now on."""
        gate = self.accounts[name].gate
        assert gate is not None
        gate.release(pieces)

    def login(self, name: str) -> None:
        """The person signs in again: new access and refresh tokens, nothing revoked."""
        account = self.accounts[name]
        account.revoked = False
        account.refreshed += 1
        for kind, expires_at in (("access", self.now() + account.expires_in), ("refresh", None)):
            self._register.issue(account, kind, f"fake-{name}-{kind}-{account.refreshed}", expires_at)

    def expire(self, name: str) -> None:
        """The account's access token is over."""
        self._register.expire(self.accounts[name], self.now())

    def look(self, name: str) -> dict[str, Any]:
        """What the provider knows of an account; see ``steering.Held`` for the names."""
        account, now = self.accounts[name], self.now()
        counted = ("served", "requests", "token_requests", "refreshed", "reuse_detected", "revoked")
        found = {part: getattr(account, part) for part in counted}
        issued = {f"{kind}_token": self._register.current(account, kind) for kind in ("access", "refresh")}
        found |= {"key": account.key, **issued, "expires_at": self._register.expires_at(account)}
        present = {model: quota.at(now) for model, quota in account.quotas.items()}
        lowest = min((quota.remaining for model, quota in present.items() if model != "week"), default=account.limit)
        told = {
            model: {"used": quota.used, "remaining": quota.remaining, "reset_at": quota.reset_at}
            for model, quota in present.items()
        }
        return {**found, "quotas": told, "remaining": lowest}

    def totals(self) -> dict[str, Any]:
        """Counts over all accounts, and the server's clock."""
        counted = ("token_requests", "reuse_detected", "served")
        found = {part: sum(getattr(account, part) for account in self.accounts.values()) for part in counted}
        return {**found, "connections": self.connections, "clock": self.now()}

    def requests(self) -> list[Seen]:
        return list(self.seen)

    def forget(self, *, recording: bool = True) -> None:
        """Forget the requests that were seen, and go on recording them or not."""
        self.seen.clear()
        self.recording = recording

    def set_time(self, at: float | datetime | None) -> None:
        """The clock stands still there until it is set again or advanced; None: the machine's time."""
        self._frozen, self._ahead = None if at is None else _epoch(at), 0.0

    def advance(self, secs: float) -> None:
        if self._frozen is None:
            self._ahead += secs
        else:
            self._frozen += secs

    def now(self) -> float:
        return time.time() + self._ahead if self._frozen is None else self._frozen

    # what a client asks

    def answer(self, request: Request) -> Reply:
        """The reply to a request, which is on record with its status before the first byte goes out."""
        with self.lock:
            now = self.now()
            shown = self._register.shown(request, now)
            seen = Seen(request.method, request.path, request.headers, request.body, at=now, query=request.query)
            seen.account = shown.account.name if shown.account else None
            if self.recording:
                self.seen.append(seen)
            if request.method == "POST" and request.path in tokens.TOKEN_PATHS:
                reply = self._token(request, seen, now)
            else:
                reply = self._routed(request, shown, now)
            seen.status = 0 if reply.drop else reply.status
            reply.headers = {"date": http_date(now), **reply.headers}
            return reply

    def _give_out(self, account: Account, *only: str) -> None:
        now = self.now()
        given = {"key": "key", "access_token": "access", "refresh_token": "refresh"}
        for part, kind in given.items():
            secret = getattr(account, part)
            if secret is not None and (not only or part in only):
                ends = now + account.expires_in if account.expires_at is None else account.expires_at
                self._register.issue(account, kind, secret, ends if kind == "access" else None)

    def _token(self, request: Request, seen: Seen, now: float) -> Reply:
        sent = str(tokens.asked(request).get("refresh_token"))
        issued = self._register.refresh_token(sent)
        if issued is None or tokens.asked(request).get("grant_type") != "refresh_token":
            return _said(tokens.refused(None))
        account = issued.account
        seen.account = account.name
        account.token_requests += 1
        scripted = account.scripted("token")
        if isinstance(scripted, Answer):
            return _said(scripted)
        reply = _said(tokens.granted(self._register, account, sent, now))
        reply.delay_secs = account.token_delay_secs
        reply.drop = scripted == "drop"
        reply.hold = account.gate if scripted == "hold" else None
        return reply

    def _routed(self, request: Request, shown: tokens.Shown, now: float) -> Reply:
        endpoint = quotas.ENDPOINTS.get(request.path)
        endpoint = endpoint if endpoint and endpoint[0] == request.method else None
        ask = shapes.asked(request.path, request.query, request.body) if request.method == "POST" else None
        account = shown.account
        if account is None or shown.fault:
            families = endpoint[1] if endpoint else {shapes.FAMILY_OF_SHAPE[ask.shape] if ask else "openai"}
            dialect = account.dialect if account else min(families)
            return _said(DIALECTS[dialect].refuse(shown.fault, self._standing(account or NOBODY, "", now, request)))
        account.requests += 1
        if account.redirect:
            return Reply(account.redirect_status, {"location": _target(account.redirect, request)})
        if endpoint:
            if account.dialect not in endpoint[1]:
                return _said(DIALECTS[min(endpoint[1])].refuse("unknown", self._standing(account, "", now, request)))
            scripted = account.scripted("quota")
            return _said(scripted or quotas.answer(account, request.path, request.headers, now))
        if ask is None:
            return Reply(404, dict(JSON), b'{"error": {"type": "not_found_error", "message": "Not found"}}')
        return self._model(request, account, ask, now)

    def _model(self, request: Request, account: Account, ask: shapes.Ask, now: float) -> Reply:
        dialect = DIALECTS[account.dialect]
        standing = self._standing(account, ask.model, now, request)
        scripted = account.scripted("model")
        if isinstance(scripted, Answer):
            return _said(scripted)
        refusal = scripted or self._refusal(account, ask.model, standing, request)
        if refusal:
            return _said(dialect.refuse(refusal, standing))
        standing.quota.spend(now)
        standing.week.spend(now)
        account.served += 1
        headers = {**ask.content_type, **dialect.windows(standing)}
        number = next(self._numbers)
        if not ask.stream:
            body = json.dumps(shapes.whole(ask, account.name, number)).encode()
            return Reply(200, headers, body, delay_secs=account.delay_secs)
        pieces = shapes.stream(ask, account.name, number, max(1, account.chunks))
        if account.stream_error is not None:
            told = dialect.refuse(account.stream_error_kind, standing)
            pieces = [*pieces[: account.stream_error], shapes.error_event(ask, told.body)]
        cut = account.stream_cut is not None
        pieces = pieces[: account.stream_cut] if cut else pieces
        gate = account.gate if account.gated else None
        gap = account.chunk_gap_secs
        return Reply(200, headers, pieces=pieces, gate=gate, delay_secs=account.delay_secs, gap_secs=gap, cut=cut)

    def _refusal(self, account: Account, model: str, standing: Standing, request: Request) -> str | None:
        """Why this request is not served; None when it is."""
        if account.flapping and account.flapping[(account.requests - 1) % len(account.flapping)] == "x":
            return "unknown"
        beta = quotas.OAUTH_BETA in request.headers.get("anthropic-beta", "")
        if account.strict and standing.oauth and account.dialect == "anthropic" and not beta:
            return "unknown"
        if any(standing.now < until and fnmatchcase(model, glob) for glob, until in self._overloads.items()):
            return "overloaded"
        if account.refused:
            return account.refused
        return "spent" if standing.spent.remaining == 0 else None

    def _standing(self, account: Account, model: str, now: float, request: Request) -> Standing:
        # a bearer token may be an API key: Anthropic's SDK sends both so
        oauth = account.oauth or (account is NOBODY and request.headers.get("authorization", "") != "")
        if account is NOBODY:
            return Standing(now, model, "", oauth, "none", Quota(1, 60.0), Quota(1, 60.0))
        counted = model if counts_by_model(account.dialect, oauth=oauth) else ""
        return Standing(now, model, account.name, oauth, account.hint, account.quota(now, counted), account.week(now))


def _epoch(at: float | datetime) -> float:
    return at.timestamp() if isinstance(at, datetime) else at


def _target(redirect: str, request: Request) -> str:
    parts = urlsplit(redirect)
    if parts.path not in ("", "/"):
        return redirect
    query = f"?{request.query}" if request.query else ""
    return f"{parts.scheme}://{parts.netloc}{request.path}{query}"


def _said(answer: Answer) -> Reply:
    """An answer as bytes."""
    if answer.chunks is not None:
        pieces = [piece.encode() if isinstance(piece, str) else piece for piece in answer.chunks]
        return Reply(answer.status, dict(answer.headers), pieces=pieces, cut=answer.drop)
    body, headers = answer.body, dict(answer.headers)
    if isinstance(body, str):
        body = body.encode()
    elif body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        if not any(name.lower() == "content-type" for name in headers):
            headers |= JSON
    return Reply(answer.status, headers, body or b"", drop=answer.drop)
