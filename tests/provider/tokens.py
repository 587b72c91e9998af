"""Credentials and the OAuth token endpoint: refresh tokens that rotate, with detection of reuse, or that stay.

Refuses: storing anything for the client. Reuse of a superseded refresh token revokes the family, as Anthropic's and
OpenAI's endpoints do (RFC 9700 4.14.2); Google's keeps the token.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.provider.accounts import Answer

if TYPE_CHECKING:
    from tests.provider.accounts import Account
    from tests.provider.http1 import Request

TOKEN_PATHS = ("/oauth/token", "/v1/oauth/token", "/token")
HEADERS = ("x-api-key", "x-goog-api-key", "api-key")
OPENAI = ("openai", "codex")


@dataclass
class Issued:
    """A credential that was given out; ``superseded`` by a later one of the same account."""

    account: Account
    kind: str
    expires_at: float | None = None
    superseded: bool = False


@dataclass
class Shown:
    """What a request's credentials turned out to be; ``fault``: empty, ``unknown`` or ``expired``."""

    account: Account | None
    fault: str = ""


class Register:
    """Every credential there ever was, and whose."""

    def __init__(self) -> None:
        self._issued: dict[str, Issued] = {}
        self._current: dict[tuple[str, str], str] = {}

    def issue(self, account: Account, kind: str, secret: str, expires_at: float | None = None) -> None:
        """Give out a ``key``, ``access`` or ``refresh`` token; the account's last one of the kind is superseded."""
        before = self._issued.get(self._current.get((account.name, kind), ""))
        if before is not None:
            before.superseded = True
        self._issued[secret] = Issued(account, kind, expires_at)
        self._current[account.name, kind] = secret

    def current(self, account: Account, kind: str) -> str | None:
        return self._current.get((account.name, kind))

    def expires_at(self, account: Account) -> float | None:
        secret = self.current(account, "access")
        return self._issued[secret].expires_at if secret else None

    def expire(self, account: Account, now: float) -> None:
        """The access token is over from now on."""
        secret = self.current(account, "access")
        if secret:
            self._issued[secret].expires_at = now

    def refresh_token(self, secret: str) -> Issued | None:
        found = self._issued.get(secret)
        return found if found is not None and found.kind == "refresh" else None

    def shown(self, request: Request, now: float) -> Shown:
        """Whose request it is. All its credentials must be one account's: a placeholder beside one is a fault."""
        secrets = [request.headers[name] for name in HEADERS if name in request.headers]
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() in ("bearer", "token"):
            secrets.append(token)
        if request.query:
            secrets += parse_qs(request.query).get("key", [])
        found = [self._issued.get(secret) for secret in secrets]
        known = [issued for issued in found if issued is not None]
        if not known:
            return Shown(None, "unknown")
        account = known[0].account
        if len(known) < len(found) or any(issued.account is not account for issued in known):
            return Shown(account, "unknown")
        faults = [fault for fault in (self._fault(issued, now) for issued in known) if fault]
        return Shown(account, faults[0] if faults else "")

    def _fault(self, issued: Issued, now: float) -> str:
        if issued.kind == "refresh" or (issued.kind == "access" and issued.account.revoked):
            return "unknown"
        if issued.expires_at is not None and now >= issued.expires_at:
            return "expired"
        serves = issued.account.superseded_serve
        if serves is None:
            serves = issued.account.rotation == "static"
        return "unknown" if issued.superseded and not serves else ""


def asked(request: Request) -> dict[str, Any]:
    """The fields of a token request, JSON or form."""
    try:
        told = json.loads(request.body)
        return told if isinstance(told, dict) else {}
    except ValueError:
        return {name: values[-1] for name, values in parse_qs(request.body.decode("latin-1")).items()}


def granted(register: Register, account: Account, sent: str, now: float) -> Answer:
    """The answer to a refresh by this refresh token of the account's, whichever of its tokens it is."""
    issued = register.refresh_token(sent)
    if issued is not None and issued.superseded:
        account.reuse_detected += 1
        account.revoked = True
        return refused(account, reused=True)
    if account.revoked:
        return refused(account)
    account.refreshed += 1
    number = account.refreshed
    access = f"fake-{account.name}-access-{number}"
    register.issue(account, "access", access, now + account.expires_in)
    body: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": _secs(account.expires_in)}
    if account.rotation == "rotating":
        body["refresh_token"] = f"fake-{account.name}-refresh-{number}"
        register.issue(account, "refresh", body["refresh_token"])
    if account.dialect == "anthropic":
        body |= {
            "organization": {"uuid": "0", "name": account.name},
            "account": {"uuid": "0", "email_address": account.name},
        }
    elif account.dialect in OPENAI:
        body["id_token"] = f"fake-{account.name}-id-{number}"
    else:
        body["scope"] = "https://www.googleapis.com/auth/cloud-platform"
    return Answer(200, {}, body)


def refused(account: Account | None, *, reused: bool = False) -> Answer:
    """``invalid_grant`` in the account's family's words; OpenAI says 401 and a code of its own."""
    if account is not None and account.dialect in OPENAI:
        code = "refresh_token_reused" if reused else "refresh_token_invalidated"
        said = "Your refresh token has already been used to generate a new access token. Please try signing in again."
        if not reused:
            said = "Your session has ended. Please try signing in again."
        body = {"error": {"message": said, "type": "invalid_request_error", "param": None, "code": code}}
        return Answer(401, {}, body)
    google = account is not None and account.rotation == "static"
    said = "Token has been expired or revoked." if google else "Refresh token not found or invalid"
    return Answer(400, {}, {"error": "invalid_grant", "error_description": said})


def _secs(secs: float) -> float:
    return int(secs) if secs == int(secs) else secs
