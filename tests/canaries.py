"""Canaries: a pool with a text of its own in every place of a secret, and whatever a run shows searched for any of them.

Refuses: running anything but the command line (``python -m tests.canaries WORD...``: every log at DEBUG, and every traceback
with its locals, on stderr). Spellings are those in which programs and servers repeat a key: JSON, URL, base64, hex, half of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import pickle
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import keyring.backend

from rotator.core.codec.account import fingerprint
from rotator.core.codec.tokens import mark, short_hash
from tests.simulators import account

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "fake-canary-"
ROOT = Path(__file__).parent.parent
SPELLINGS = {
    "as it is": lambda text: text,
    "in JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "in a URL": lambda text: quote(text, safe=""),
    "in a form": lambda text: quote(text, safe="/"),
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "in base64 behind a byte": lambda text: base64.b64encode(b"k" + text.encode()).decode(),
    "in base64 behind a user": lambda text: base64.b64encode(b"u:" + text.encode()).decode(),
    "in hex": lambda text: text.encode().hex(),
    "its first half": lambda text: text[: len(text) // 2],
    "its second half": lambda text: text[len(text) // 2 :],
    "backwards": lambda text: text[::-1],
    "in capitals": str.upper,
    "with underscores": lambda text: text.replace("-", "_"),
}
PLACES = (
    *("api-key", "api-key-2", "access", "refresh", "client-secret", "kept-refresh", "kept-access", "unrefreshable"),
    *("env", "file", "beside", "ring", "user", "query", "token-user", "token-query", "note", "nested", "key-name"),
    *(
        "top",
        "probe-key",
        "codex",
        "granted-access",
        "granted-refresh",
        "granted-id",
        "cloud",
        "copilot",
        "router",
        "url-key",
    ),
)
_NEEDLE = 12


def canary(place: str) -> str:
    """The text of a place: one that HTTP headers carry, with what JSON, URLs and base64 each spell in another way."""
    assert place in PLACES
    digits = hashlib.sha256(place.encode()).hexdigest()
    return f"{PREFIX}{place}-{digits[:16]}/+{digits[16:32]}=="


@cache
def _needles() -> tuple[tuple[str, str, str], ...]:
    """What to look for: text, place, spelling. Of base64 the middle, which hangs on nothing around it."""
    found = []
    for place in PLACES:
        text = canary(place)
        hashes = {short_hash(text), *(str(fingerprint({key: text})) for key in ("refresh_token", "api_key"))}
        found += [(f"#{each}", place, "its hash") for each in hashes]
        for spelling, spell in SPELLINGS.items():
            spelt = spell(text)
            inner = spelt[4:-8] if "base64" in spelling else spelt
            found.append((inner, place, spelling))
        middle = len(text) - 36
        found += [(text[middle : middle + _NEEDLE], place, "a piece"), (text[-17:-2], place, "a piece")]
    return tuple(found)


def leaks(shown: str | bytes, allowed: Iterable[str] = (), *, hashes: bool = True) -> set[str]:
    """Places whose secret can be read in what was shown, each with the spelling; those ``allowed`` are left out."""
    text = shown.decode("utf-8", "replace") if isinstance(shown, bytes) else shown
    known = frozenset(allowed)
    found = set()
    for needle, place, spelling in _needles():
        if place in known:
            continue
        if needle.startswith("#"):
            if hashes and needle[1:] in text:
                found.add(f"{place}, {spelling}")
        elif needle in text:
            found.add(f"{place}, {spelling}")
    return found


class Keyring(keyring.backend.KeyringBackend):
    """A keyring that holds one canary, and breaks with another in its message."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        if username == "broken":
            raise keyring.errors.KeyringError(f"no session for {canary('ring')}")
        return canary("ring") if username == "me" else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


ENVIRONMENT = {"CANARY_KEY": canary("env"), "PYTHON_KEYRING_BACKEND": "tests.canaries.Keyring"}
"""What the references of the pool need to be resolved in a process."""


def accounts(url: str, folder: Path) -> list[dict[str, Any]]:
    """An account for each way to keep a secret; ``url`` is their provider's, ``folder`` has what they refer to."""
    other = {"tokens": {"access_token": canary("file"), "id_token": canary("beside")}, "key": canary("beside")}
    (folder / "auth.json").write_text(json.dumps(other))
    (folder / "auth.json").chmod(0o600)
    host = url.removeprefix("http://")
    user, query = (quote(canary(place), safe="") for place in ("user", "query"))
    token_user, token_query = (quote(canary(place), safe="") for place in ("token-user", "token-query"))
    token_url = f"{url}/oauth/token"
    loose = {"notes": canary("note"), "mine": {"password": [canary("nested")], canary("key-name"): None}}
    kept = {"refresh_token": canary("kept-refresh")}
    runtime = {
        "rev": 1,
        "access_token": canary("kept-access"),
        "access_for": mark(kept),
        "access_at": "2026-11-20T10:00:00Z",
        "access_expires_at": "2100-01-01T00:00:00Z",
    }
    oauth = {"access_token": canary("access"), "refresh_token": canary("refresh"), "client_id": "client"}
    claude, at = {"provider": "anthropic", "base_url": url}, {"base_url": url}
    return [
        account("plain", **claude, **loose) | {"api_key": canary("api-key")},
        account("second", **claude) | {"api_key": canary("api-key-2"), "token": canary("note")},
        {"name": "oauth", **claude, **oauth, "client_secret": canary("client-secret"), "token_url": token_url}
        | {"expires_at": "2020-01-01T00:00:00Z"},
        {"name": "kept", **claude, **kept, "token_url": token_url, "runtime": runtime},
        {"name": "env", **at, "provider": "openai", "api_key": {"env": "CANARY_KEY"}},
        {"name": "file", **at, "provider": "codex"}
        | {"access_token": {"file": str(folder / "auth.json"), "pointer": "/tokens/access_token"}},
        {"name": "ring", **at, "provider": "google-gemini-api", "api_key": {"keyring": "rotator/me"}},
        {"name": "codex", **at, "provider": "codex", "access_token": canary("codex")},
        {"name": "cloud", **at, "provider": "google-cloudcode", "access_token": canary("cloud"), "project_id": "p"},
        {"name": "copilot", **at, "provider": "github-copilot", "access_token": canary("copilot")},
        {"name": "router", **at, "provider": "openrouter", "api_key": canary("router")},
        {"name": "url", "provider": "openrouter", "api_key": canary("url-key")}
        | {"base_url": f"http://me:{user}@{host}/api/v1?key={query}"},
        {"name": "token-url", "provider": "anthropic", "base_url": url, "refresh_token": canary("unrefreshable")}
        | {"token_url": f"http://me:{token_user}@{host}/oauth/token?key={token_query}"},
    ]


def document(url: str, folder: Path, *names: str) -> dict[str, Any]:
    """The pool of these accounts, or of all."""
    chosen = [each for each in accounts(url, folder) if not names or each["name"] in names]
    return {"version": 2, "top": canary("top"), "accounts": chosen}


def laid(path: Path, found: dict[str, Any] | str) -> Path:
    """The document in a file, as private as rotator makes it."""
    path.write_text(found if isinstance(found, str) else json.dumps(found, indent=2))
    path.chmod(0o600)
    return path


class Records(logging.Handler):
    """All that is logged: each message, and whatever else a record carries along."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = f"{record.name}: {record.getMessage()} {vars(record)!r}"
        self.told.append(said if record.exc_info is None else said + told(record.exc_info[1]))


def told(error: BaseException | None) -> str:
    """All that an error tells whoever looks: its texts, its parts, its pickle, and so of those that it hangs on."""
    found: list[str] = []
    for each in _chain(error):
        found += [str(each), repr(each), repr(each.args), repr(getattr(each, "__dict__", ""))]
        found += getattr(each, "__notes__", [])
        found.append(_pickled(each))
    return "\n".join(found)


def locals_of(error: BaseException) -> list[str]:
    """What a tool that keeps the locals of frames (Sentry, rich) keeps of an error: ``module.function.name = value``.

    The frames of tests are left out, since they hold what they test with; those of the chain are not.
    """
    found = []
    for each in _chain(error):
        taken = traceback.TracebackException(type(each), each, each.__traceback__, capture_locals=True)
        for frame in taken.stack:
            if "/tests/" not in frame.filename:
                place = f"{frame.filename.removeprefix(f'{ROOT}/')}:{frame.name}"
                found += [f"{place}: {name} = {value}" for name, value in (frame.locals or {}).items()]
    return found


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and those that it hangs on, also where they are not shown."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and all(each is not other for other in found):
            found.append(each)
            waiting += [each.__cause__, each.__context__]
    return found


def shown(*things: Any) -> str:
    """What somebody sees of values who prints them, formats them, or looks at what they hold, two floors down."""
    found = []
    for thing in things:
        found += [repr(thing), f"{thing}", str(thing), _pickled(thing)]
        parts = getattr(thing, "__dict__", {})
        found += [f"{key} {value!r}" for key, value in parts.items()]
    return "\n".join(found)


def places(found: Iterable[str]) -> set[str]:
    """The places of what ``leaks`` found."""
    return {each.partition(",")[0] for each in found}


def _pickled(thing: Any) -> str:
    """What is in its pickle, where it has one."""
    try:
        return pickle.dumps(thing, protocol=0).decode("latin-1")
    except Exception:  # noqa: BLE001  whatever refuses to be pickled shows nothing
        return ""


def loose(folder: Path) -> list[str]:
    """Files below a folder that hold a canary and that others than their owner may open."""
    return [
        f"{each} {each.stat().st_mode:o}"
        for each in folder.rglob("*")
        if each.is_file() and not each.is_symlink() and each.stat().st_mode & 0o077 and leaks(each.read_bytes())
    ]


def _quick() -> None:
    """No pause between questions to one host: there is nobody to spare."""
    from rotator.wire import inquiry, polling, probing, tokens

    polling.GAP_SECS = probing.GAP_SECS = inquiry._RETRY_SECS = tokens._RETRY_SECS = 0.0


def main() -> int:
    """The command line with everything on stderr that a process can be made to show."""
    records = Records()
    logging.basicConfig(level=logging.DEBUG, handlers=[records])
    from rotator.cli import commands
    from rotator.cli import main as run

    ending = commands.end

    def end(error: BaseException, given: str | None = None) -> int:
        records.told.append(told(error))
        return ending(error, given)

    commands.end = end
    if {"poll", "probe", "token", "env", "run"} & {*sys.argv}:
        _quick()
    try:
        return run()
    except Exception as error:  # noqa: BLE001  a traceback is what is looked for
        records.told.append("Traceback: " + told(error))
        return 1
    finally:
        line = Path("/proc/self/cmdline").read_bytes().decode()
        sys.stderr.write("\n".join([*records.told, line]))


if __name__ == "__main__":
    sys.exit(main())
