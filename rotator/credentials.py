"""Credentials of one account, resolved at use: inline, from the environment, or from a file that another tool keeps.

Refuses: storing what it resolved, showing it (``repr`` is masked), refreshing it.
"""

from __future__ import annotations

import json
import os

from rotator.core.codec.account import CREDENTIALS
from rotator.errors import SecretMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Credentials:
    """The secrets of an account as text, None for those that it has not; ``base_url`` and ``project_id`` as written."""

    __slots__ = ("access_token", "account", "api_key", "base_url", "project_id", "refresh_token")

    def __init__(self, account: str, found: Mapping[str, Any]) -> None:
        self.account = account
        self.api_key: str | None = found.get("api_key")
        self.access_token: str | None = found.get("access_token")
        self.refresh_token: str | None = found.get("refresh_token")
        self.base_url: str | None = found.get("base_url")
        self.project_id: str | None = found.get("project_id")

    def __repr__(self) -> str:
        there = ", ".join(f"{key}=***" for key in CREDENTIALS if getattr(self, key) is not None)
        return f"Credentials({self.account!r}{', ' + there if there else ''})"

    def __reduce__(self) -> Any:
        message = "credentials are not to be pickled"
        raise TypeError(message)


def resolve(account: str, document: Mapping[str, Any]) -> Credentials:
    """The credentials of an account's object in the document.

    Raises SecretMissing, which names the account and the reference, when a reference leads nowhere; never a value.
    """
    found = {key: document[key] for key in ("base_url", "project_id") if key in document}
    for key in CREDENTIALS:
        if key in document:
            found[key] = _value(account, key, document[key])
    return Credentials(account, found)


def _value(account: str, key: str, secret: Any) -> str:
    if isinstance(secret, str):
        return secret
    if "env" in secret:
        value = os.environ.get(secret["env"])
        place, trouble = f"the environment variable {secret['env']}", "which is not set"
    else:
        path, pointer = os.path.expanduser(secret["file"]), secret.get("pointer", "")
        value, trouble = _in_file(path, pointer)
        place = f"{path} at {pointer}" if pointer else path
    if not value:
        message = f"{key} of {account} is in {place}, {trouble}"
        raise SecretMissing(message)
    return value


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
