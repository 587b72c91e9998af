"""What two widespread ways of saving accounts lose under faults, next to what rotator loses under the same: nothing.

Each way is re-enacted in a few lines of our own from what its save is known to do: ``truncating`` opens the file in place
and writes it (as codex's ``FileAuthStorage::save`` does); ``forgiving`` does so too, and where its load meets any error it
goes on with an empty list, which the next save writes (as antigravity-claude-proxy's ``storage.js`` does). What is compared
is the way of saving alone, on one and the same document.
``pytest -m "" -s tests/faults/test_faults_peers.py`` prints the table.
"""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator import Rotator
from rotator.clock import MachineClock
from rotator.errors import RotatorError

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

COUNT = 5
FACT = "m"
NOTE = "typed by a person"


def truncating_load(path):
    return json.loads(path.read_text())


def truncating_save(path, document):
    """Opens with truncation, mode 0600, writes; no lock, no sync."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(document, indent=2))
        file.flush()


def truncating(path):
    """Learns one fact: loads, changes, saves."""
    document = truncating_load(path)
    document["accounts"][0]["learned"] = FACT
    truncating_save(path, document)


def forgiving_load(path):
    """Of an account it knows four fields; any error is an empty list."""
    try:
        known = ("name", "api_key", "refresh_token", "learned")
        return {"accounts": [{k: a[k] for k in known if k in a} for a in json.loads(path.read_text())["accounts"]]}
    except (OSError, ValueError):
        return {"accounts": []}


def forgiving(path):
    """Learns one fact about the account with which it was asked to work, if there is one."""
    document = forgiving_load(path)
    for account in document["accounts"][:1]:
        account["learned"] = FACT
    path.write_text(json.dumps(document, indent=2))


def with_rotator(path):
    """Learns one fact; what could not be written waits, and the file stays as it was."""
    engine = Rotator.open(path, clock=MachineClock())
    engine.observe("n0", FACT, status=200, headers={}, body=None)
    engine.flush()


WAYS: dict[str, Callable[[Path], None]] = {
    "truncate in place": truncating,
    "any error is an empty list": forgiving,
    "rotator": with_rotator,
}


def in_a_child(act, *prepare):
    """Run it in a child, where limits and a kill harm nobody else; the signal that ended it, or 0."""
    child = os.fork()
    if child == 0:
        try:
            for each in prepare:
                each()
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_while_writing(path, way):
    """Killed once half of the new file is written, by the signal of a file size limit: the one kill that is that exact."""

    def die_midway():
        half = path.stat().st_size // 2
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (half, half))

    assert in_a_child(lambda: way(path), die_midway) == -signal.SIGXFSZ


def half_saved(path, way):
    """It learns while a person's editor, which writes in place, is half done; then the person's other half comes."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    in_a_child(lambda: ignoring(way, path))
    if path.read_bytes() == whole[: len(whole) // 2]:
        path.write_bytes(whole)


def on_a_full_disk(path, way):
    """Every write of more than a few bytes is refused."""

    def fill_the_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    in_a_child(lambda: ignoring(way, path), fill_the_disk)


def while_a_person_types(path, way):
    """No fault at all: the document has a key that the program does not know."""
    in_a_child(lambda: way(path))


def ignoring(way, path):
    try:
        way(path)
    except (OSError, ValueError, RotatorError):
        pass


FAULTS = {
    "killed in the middle of a write": killed_while_writing,
    "an editor is half done saving": half_saved,
    "the disk is full": on_a_full_disk,
    "a person's own key in the file": while_a_person_types,
}


def lost(path):
    """What is gone of a file of five accounts, each with a note of a person."""
    try:
        accounts = json.loads(path.read_bytes())["accounts"]
    except ValueError:
        return "everything: no document"
    if len(accounts) < COUNT:
        return f"{COUNT - len(accounts)} of {COUNT} accounts"
    noted = sum(account.get("note") == NOTE for account in accounts)
    return f"{COUNT - noted} of {COUNT} notes" if noted < COUNT else "nothing"


def lose(folder, fault, way):
    path = folder / "accounts.json"
    listed = [{"name": f"n{n}", "api_key": f"fake-{n}", "note": NOTE} for n in range(COUNT)]
    path.write_text(json.dumps({"version": 2, "accounts": listed}, indent=2))
    path.chmod(0o600)
    FAULTS[fault](path, WAYS[way])
    return lost(path)


@pytest.mark.parametrize(
    ("fault", "truncated", "forgiven"),
    [
        ("killed in the middle of a write", "everything: no document", "everything: no document"),
        ("an editor is half done saving", "nothing", "5 of 5 accounts"),
        ("the disk is full", "everything: no document", "everything: no document"),
        ("a person's own key in the file", "nothing", "5 of 5 notes"),
    ],
)
def test_under_the_same_fault_two_widespread_ways_lose_what_rotator_keeps(tmp_path, fault, truncated, forgiven):
    found = [lose(tmp_path, fault, way) for way in WAYS]
    print(f"| {fault} | {' | '.join(found)} |")
    assert found == [truncated, forgiven, "nothing"]
