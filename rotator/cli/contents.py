"""What stands in the file: faults, version, accounts that cannot serve, credentials that are missing, shared or open.

Refuses: where the file lies (``surroundings``), and showing a credential; accounts and references are named.
"""

from __future__ import annotations

import os
import stat as modes
import time

from rotator.cli.finding import ERROR, WARNING, note, of_fault, ok, warning
from rotator.cli.surroundings import OTHERS
from rotator.core.codec.account import CREDENTIALS
from rotator.core.codec.decode import VERSION, decode
from rotator.core.codec.faults import runtime_faults_of
from rotator.credentials import SECRETS, resolve
from rotator.errors import AccountsInvalid, SecretMissing
from rotator.keeping.stepped import TOLERATED_SECS, is_ahead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rotator.cli.finding import Finding
    from rotator.core.codec.decode import Document
    from rotator.core.pool import Pool
    from rotator.core.state import Account

_INVALID = 78
_NO_EARLIER = 1767225600.0
"""2026-01-01: no rotator is older, so a clock before it was never set."""
_REMEDIES = {
    "banned": "when the provider lets it in again, rotator release it; else remove it",
    "restricted": "settle it with the provider, then rotator release it",
    "auth_failed": "give it a new credential: that ends this state",
    "model_not_served": "name models, or remove the key for all of them",
}


def findings(raw: bytes, now: float, changed_at: float) -> Iterator[Finding]:
    """What there is to say of these bytes at ``now``; ``changed_at`` is when the file last was; both epoch seconds."""
    try:
        document, pool = decode(raw)
    except AccountsInvalid as error:
        for fault in error.faults:
            yield of_fault(ERROR, "content", fault, _INVALID)
        yield from _clock(None, now, changed_at)
        return
    yield ok("content", f"valid, {_count(len(pool), 'account')}")
    yield _version(document)
    for fault in runtime_faults_of(raw):
        yield of_fault(WARNING, "runtime", fault)
    yield from _usable(pool)
    if not document.newer:
        yield from _credentials(document, pool)
    yield from _clock(pool, now, changed_at)


def has_secrets(raw: bytes) -> bool:
    """Whether credentials may stand in the file itself; a file that cannot be read may have them."""
    try:
        document, pool = decode(raw)
    except AccountsInvalid:
        return True
    if document.newer:
        return True
    accounts = [document.account(index) for index in range(len(pool))]
    learned = [account.get("runtime") for account in accounts]
    if any(isinstance(runtime, dict) and "access_token" in runtime for runtime in learned):
        return True
    return any(isinstance(account.get(key), str) and account[key] for account in accounts for key in SECRETS)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _version(document: Document) -> Finding:
    if document.newer:
        what = f"{document.version}, newer than the {VERSION} of this rotator, so it is read and never written"
        return warning("version", what, "update rotator")
    if document.version < VERSION:
        what = f"{document.version}; the first write makes it {VERSION} and keeps the old bytes in a .v1.bak beside it"
        return note("version", what)
    return ok("version", str(document.version))


def _usable(pool: Pool) -> Iterator[Finding]:
    """Accounts that only a person can help."""
    stuck = 0
    for account in pool:
        why = _stuck(account)
        if why is None:
            continue
        stuck += 1
        if why in _REMEDIES:
            told = "serves no model" if why == "model_not_served" else f"is {why}"
            yield warning("accounts", f"{account.name} {told}, so nobody can use it", _REMEDIES[why])
        else:
            remedy = "rotator release it" if why == "held" else "set enabled to true"
            yield note("accounts", f"{account.name} is {why}, so nobody uses it", f"{remedy}, unless that is meant")
    if not len(pool):
        yield warning("accounts", "there is none, so nobody can be chosen", "add one with rotator edit")
    elif stuck == len(pool):
        yield warning("accounts", "none of them can be chosen", "help one of them as said above")


def _stuck(account: Account) -> str | None:
    if not account.models:
        return account.blocked_for_good("")
    return account.replace(models=("*",)).blocked_for_good("")


def _credentials(document: Document, pool: Pool) -> Iterator[Finding]:
    holders: dict[tuple[str, str], list[Account]] = {}
    for index, account in enumerate(pool):
        written = document.account(index)
        if not any(key in written for key in CREDENTIALS):
            yield note("credentials", f"{account.name} has none", "add one, unless its name is all that you need")
        for key in CREDENTIALS:
            if key in written:
                secret, found = _secret(account.name, key, written[key])
                yield from found
                if secret and account not in holders.setdefault((key, secret), []):
                    holders[key, secret].append(account)
    for (key, _), accounts in holders.items():
        groups = {account.quota_group for account in accounts}
        if len(accounts) > 1 and (len(groups) > 1 or None in groups):
            yield warning(
                "credentials",
                f"{' and '.join(account.name for account in accounts)} have the same {key}, so one's limit is the other's",
                "keep one of them, or give them the same quota_group",
            )


def _secret(name: str, key: str, written: Any) -> tuple[str | None, list[Finding]]:
    """The credential, to be compared and never shown, and what there is to say of where it is."""
    if isinstance(written, str):
        empty = warning("credentials", f"{key} of {name} is empty", "fill it in, or remove the key")
        return written, [] if written else [empty]
    found = []
    if "file" in written:
        found = [*_credential_file(name, key, os.path.expanduser(written["file"]))]
        if any(finding.about == "credentials" and finding.severity == WARNING for finding in found):
            return None, found
    try:
        resolved = resolve(name, {key: written})
    except SecretMissing as error:
        remedy = "mend the file, or name another" if "file" in written else "set it where rotator runs"
        return None, [*found, warning("credentials", str(error), remedy)]
    return getattr(resolved, key), found


def _credential_file(name: str, key: str, path: str) -> Iterator[Finding]:
    """What there is to say of a file that a reference names; one that is not there is found out by resolving it."""
    if not os.path.isabs(path):
        what = f"{key} of {name} is in {path}, which is looked for in the folder that rotator is started in"
        yield note("credentials", what, "write the whole path, or one that begins with ~/")
    try:
        status = os.stat(path)
    except OSError:
        return
    if not modes.S_ISREG(status.st_mode):
        yield warning("credentials", f"{key} of {name} is in {path}, which is no regular file", "name the file itself")
    elif status.st_mode & OTHERS:
        what = f"{path}, where {key} of {name} is, lets others at it (mode {modes.S_IMODE(status.st_mode):04o})"
        yield warning("credential file", what, f"chmod 600 {path}")


def _clock(pool: Pool | None, now: float, changed_at: float) -> Iterator[Finding]:
    """Whether this machine's clock can be believed."""
    if now < _NO_EARLIER:
        yield warning("clock", "this machine's clock is years behind, so no reset can be waited for", "set the clock")
        return
    ahead = [account.name for account in pool or () if is_ahead(account.runtime, now)]
    if ahead or changed_at > now + TOLERATED_SECS:
        what = "this machine's clock is behind what the file knows"
        told = f"{what} of {', '.join(ahead)}" if ahead else f"{what}: it was changed in the future"
        yield warning("clock", told, "set the clock, here or on the other machine that writes the file")
    elif not time.get_clock_info("monotonic").monotonic:
        yield warning(
            "clock", "this machine has no clock that only runs forward", "expect waits to be off by its steps"
        )
    else:
        yield ok("clock", "nothing in the file is of the future")
