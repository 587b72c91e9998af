"""Credentials of one account, resolved at use: inline, from the environment, a file that another tool keeps, or a keyring.

Refuses: storing what it resolved, showing it (``repr`` is masked), refreshing it.
"""

from __future__ import annotations

import json
import os

from rotator.core.codec.account import CREDENTIALS
from rotator.core.instants import parse
from rotator.errors import SecretMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SECRETS = (*CREDENTIALS, "client_secret")
"""Keys of an account whose value is a secret or says where one is."""
_PLAIN = ("project_id", "base_url", "account_id", "token_url", "client_id")


class Credentials:
    """The secrets of an account as text, None for those that it has not, and what goes with them as it was written.

    ``expires_at`` is the end of ``access_token`` in epoch seconds. ``probe`` is the command that a person gave, or None.
    ``referred`` are the keys whose value is a reference: what is there is kept by somebody else, and is never replaced.
    """

    __slots__ = (*SECRETS, *_PLAIN, "account", "expires_at", "probe", "provider", "referred")

    def __init__(self, account: str, found: Mapping[str, Any], referred: frozenset[str] = frozenset()) -> None:
        self.account = account
        self.provider: str = found.get("provider", "generic")
        self.api_key: str | None = found.get("api_key")
        self.access_token: str | None = found.get("access_token")
        self.refresh_token: str | None = found.get("refresh_token")
        self.client_secret: str | None = found.get("client_secret")
        self.expires_at: float | None = parse(found["expires_at"]) if "expires_at" in found else None
        self.base_url: str | None = _text(found, "base_url")
        self.project_id: str | None = _text(found, "project_id")
        self.account_id: str | None = _text(found, "account_id")
        self.token_url: str | None = _text(found, "token_url")
        self.client_id: str | None = _text(found, "client_id")
        self.probe: tuple[str, ...] | None = tuple(found["probe"]) if found.get("probe") else None
        self.referred = referred

    def __repr__(self) -> str:
        there = ", ".join(f"{key}=***" for key in SECRETS if getattr(self, key) is not None)
        return f"Credentials({self.account!r}{', ' + there if there else ''})"

    def __reduce__(self) -> Any:
        message = "credentials are not to be pickled"
        raise TypeError(message)


def _text(found: Mapping[str, Any], key: str) -> str | None:
    value = found.get(key)
    return value if isinstance(value, str) else None


def resolve(account: str, document: Mapping[str, Any]) -> Credentials:
    """The credentials of an account's object in the document.

    Raises SecretMissing, which names the account and the reference, when a reference leads nowhere; never a value.
    """
    found = dict(document)
    referred = [key for key in SECRETS if key in found and not isinstance(found[key], str)]
    for key in referred:
        found[key] = _value(account, key, found[key])
    return Credentials(account, found, frozenset(referred))


def _value(account: str, key: str, secret: Any) -> str:
    if "env" in secret:
        value = os.environ.get(secret["env"])
        place, trouble = f"the environment variable {secret['env']}", "which is not set"
    elif "keyring" in secret:
        service, user = _entry(secret)
        value, trouble = _in_keyring(service, user)
        place = f"the keyring at {service}/{user}"
    else:
        path, pointer = os.path.expanduser(secret["file"]), secret.get("pointer", "")
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
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value if isinstance(value, str) else None
