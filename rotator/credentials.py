"""Credentials of one account, resolved at use: inline, from the environment, a file that another tool keeps, or a keyring.

Refuses: storing what it resolved, showing it (``repr`` is masked), refreshing it.
"""

from __future__ import annotations

import json
import os

from rotator.core.codec.account import CREDENTIALS
from rotator.core.codec.tokens import access_of, mark, overlaid
from rotator.core.instants import parse
from rotator.errors import SecretMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rotator.core.codec.tokens import Access, Tokens

SECRETS = (*CREDENTIALS, "client_secret")
"""Keys of an account whose value is a secret or says where one is."""
_ENDS = ("expires_at", "expiresAt", "expiry_date", "expires", "expired")
"""What the tools of this field call the end of an access token that they keep: Anthropic's SDK, Claude Code, Gemini CLI,
opencode, CLIProxyAPI."""
_PLAIN = ("project_id", "base_url", "account_id", "token_url", "client_id")


class Credentials:
    """The secrets of an account as text, None for those that it has not, and what goes with them as it was written.

    ``expires_at`` is the end of ``access_token`` in epoch seconds and ``received_at`` when a refresh gave it, both None
    where not known. ``probe`` is the command that a person gave, or None.
    ``referred`` are the keys whose value is a reference: what is there is kept by somebody else, and is never replaced.
    ``variables`` are the environment variables that were read, by key.
    """

    __slots__ = (
        *(*SECRETS, *_PLAIN, "account", "expires_at", "probe", "provider"),
        *("_refresh", "received_at", "referred", "variables"),
    )

    def __init__(
        self, account: str, found: Mapping[str, Any], referred: Mapping[str, Any], access: Access, refresh: Any
    ) -> None:
        self.account = account
        self.provider: str = found.get("provider", "generic")
        self.api_key: str | None = found.get("api_key")
        self.access_token: str | None = found.get("access_token") if access.token is None else access.token
        self.refresh_token: str | None = found.get("refresh_token")
        self.client_secret: str | None = found.get("client_secret")
        self.expires_at = access.expires_at
        self.received_at = access.received_at
        self._refresh = refresh
        self.base_url: str | None = _text(found, "base_url")
        self.project_id: str | None = _text(found, "project_id")
        self.account_id: str | None = _text(found, "account_id")
        self.token_url: str | None = _text(found, "token_url")
        self.client_id: str | None = _text(found, "client_id")
        self.probe: tuple[str, ...] | None = tuple(found["probe"]) if found.get("probe") else None
        self.referred = frozenset(referred)
        self.variables: dict[str, str] = {key: secret["env"] for key, secret in referred.items() if "env" in secret}

    @property
    def refresh_mark(self) -> str:
        """The short hash of the refresh token, or of where it is when that is a reference; empty when there is none."""
        return "" if self._refresh is None else mark({"refresh_token": self._refresh})

    def __repr__(self) -> str:
        there = ", ".join(f"{key}=***" for key in SECRETS if getattr(self, key) is not None)
        return f"Credentials({self.account!r}{', ' + there if there else ''})"

    def __reduce__(self) -> Any:
        message = "credentials are not to be pickled"
        raise TypeError(message)


def _text(found: Mapping[str, Any], key: str) -> str | None:
    value = found.get(key)
    return value if isinstance(value, str) else None


def resolve(account: str, document: Mapping[str, Any], renewed: Tokens | None = None) -> Credentials:
    """The credentials of an account's object in the document, with ``renewed`` tokens that this does not hold yet.

    Where the access token is in another tool's file, so is its end, if that says so beside it. Raises SecretMissing, which
    names the account and the reference, when a reference leads nowhere; never a value.
    """
    found = dict(document)
    access, over = access_of(found), None if renewed is None else overlaid(found, renewed)
    if over is not None:
        access = over[1]
        if over[0] is not None:
            found["refresh_token"] = over[0]
    refresh = found.get("refresh_token")
    referred = {key: _placed(found[key]) for key in SECRETS if key in found and not isinstance(found[key], str)}
    if "access_token" in referred:
        found_end = _end_beside(referred["access_token"])
        access.expires_at = access.expires_at if found_end is None else found_end
    try:
        found.update({key: _value(account, key, secret) for key, secret in referred.items()})
    except SecretMissing:
        found, over, refresh = {}, None, None  # who reports errors with the locals of their frames
        raise
    return Credentials(account, found, referred, access, refresh)


def _placed(secret: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reference with its path as it is to be opened."""
    if "file" not in secret:
        return secret
    return {**secret, "file": os.path.expanduser(secret["file"])}


def _end_beside(secret: Mapping[str, Any]) -> float | None:
    """When the access token ends that is in another tool's file, by what that file says beside it; None where it does not."""
    pointer = secret.get("pointer", "")
    if "file" not in secret or not pointer:
        return None
    try:
        with open(secret["file"], encoding="utf-8") as file:
            beside = _within(json.loads(file.read()), pointer.rpartition("/")[0])
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(beside, dict):
        return None
    ends = [parse(beside[key]) for key in _ENDS if key in beside]
    return next((end for end in ends if end is not None), None)


def _value(account: str, key: str, secret: Any) -> str:
    if "env" in secret:
        value = os.environ.get(secret["env"])
        place, trouble = f"the environment variable {secret['env']}", "which is not set"
    elif "keyring" in secret:
        service, user = _entry(secret)
        value, trouble = _in_keyring(service, user)
        place = f"the keyring at {service}/{user}"
    else:
        path, pointer = secret["file"], secret.get("pointer", "")
        value, trouble = _in_file(path, pointer)
        place = f"{path} at {pointer}" if pointer else path
    if not value:
        message = f"{key} of {account} is in {place}, {trouble}"
        raise SecretMissing(message)
    return value


def _entry(secret: Mapping[str, Any]) -> tuple[str, str]:
    """Service and user of a keyring's entry: ``SERVICE/USER`` in one, or the user as ``username``."""
    if "username" in secret:
        return secret["keyring"], secret["username"]
    service, _, user = secret["keyring"].rpartition("/")
    return (service, user) if service else (user, "")


def _in_keyring(service: str, user: str) -> tuple[str | None, str]:
    """What is there, or None, and what to say then."""
    try:
        import keyring  # an extra, 60 ms that only who keeps secrets there pays
        from keyring.errors import KeyringError
    except ImportError:
        return None, "and keyring is not installed: pip install 'rotator[keyring]'"
    try:
        return keyring.get_password(service, user), "which has no such entry"
    except KeyringError as error:
        return None, f"which cannot be read ({type(error).__name__}: is a keyring running here?)"


def _in_file(path: str, pointer: str) -> tuple[str | None, str]:
    """What is there, or None, and what to say then.

    Nothing is raised from within a handler: a parser's error holds the text that it parsed, and would hang on to ours.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if not pointer:
            return text.strip(), "which is empty"
        return _pointed(json.loads(text), pointer), "and there is no text"
    except OSError as error:
        return None, f"which cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return None, "which is not JSON" if pointer else "which is not UTF-8"


def _pointed(value: Any, pointer: str) -> str | None:
    """The text that an RFC 6901 pointer names, None where there is none."""
    found = _within(value, pointer)
    return found if isinstance(found, str) else None


def _within(value: Any, pointer: str) -> Any:
    """The value that an RFC 6901 pointer names, None where there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
