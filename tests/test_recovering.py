"""What a writer that died had learned comes into the file with the next write, and nothing of a person's goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from simulators import MODEL, START, FakeClock, account, document, edit, load, runtime, save

from rotator import Rotator
from rotator.errors import AccountsInvalid
from rotator.store import writing
from rotator.store.swap import swap

REFUSED = {"status": 429, "headers": {"retry-after": "600"}, "body": None}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(account("a", runtime=learned(5)), account("b"), note="mine"))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def dead():
    code = "import os; print(os.getpid())"
    return int(subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, check=True).stdout)


def learned(rev, refusals=1):
    return {"rev": rev, "models": {MODEL: {"consecutive_429": refusals, "last_429_at": "2026-11-20T09:59:00Z"}}}


def leave(path, process, raw, random="01234567", kind="tmp"):
    left = path.with_name(f".{path.name}.{process}.{random}.{kind}")
    if isinstance(raw, bytes):
        left.write_bytes(raw)
    else:
        save(left, raw)
    left.chmod(0o600)
    return left


def opened(path):
    return Rotator.open(path, clock=FakeClock())


def refusals(path, name):
    return runtime(path, name)["models"][MODEL]["consecutive_429"]


def beside(path):
    return sorted(set(os.listdir(path.parent)) - {path.name, f".{path.name}.lock", f"{path.name}.bak"})


def test_a_draft_that_was_about_to_become_the_file_is_heeded_at_opening_and_written(path, dead):
    leave(path, dead, document(account("a", runtime=learned(6, 9)), account("b", runtime=learned(1, 4)), note="old"))
    with opened(path) as rotator:
        assert rotator.pool.account("a").runtime.models[MODEL].consecutive_429 == 9
        assert rotator.due_at().timestamp() == START, "what only a leftover holds is written at once"
        assert rotator.flush()
    assert (refusals(path, "a"), refusals(path, "b")) == (9, 4)
    assert runtime(path, "a")["rev"] > 6
    assert load(path)["note"] == "mine"
    assert beside(path) == []


def test_a_draft_found_under_the_lock_is_heeded_by_an_engine_that_runs(path, dead):
    with opened(path) as rotator:
        leave(path, dead, document(account("a", runtime=learned(6, 9)), account("b")))
        rotator.observe("b", MODEL, **REFUSED)
        assert rotator.flush()
        assert rotator.pool.account("a").runtime.models[MODEL].consecutive_429 == 9
    assert (refusals(path, "a"), refusals(path, "b")) == (9, 1)
    assert beside(path) == []


@pytest.mark.parametrize("rev", [4, 5])
def test_a_draft_that_holds_nothing_newer_is_only_removed(path, dead, rev):
    left = leave(path, dead, document(account("a", runtime=learned(rev, 9)), account("gone", runtime=learned(3))))
    with opened(path) as rotator:
        assert rotator.due_at() is None
        assert rotator.pool.account("a").runtime.models[MODEL].consecutive_429 == 1
        assert left.exists(), "nothing to write, so no lock was taken"
        rotator.observe("b", MODEL, **REFUSED)
        assert rotator.flush()
    assert refusals(path, "a") == 1
    assert [a["name"] for a in load(path)["accounts"]] == ["a", "b"]
    assert beside(path) == []


@pytest.mark.parametrize("raw", [b"", b'{"accounts": [{"na', b"\xff\x00", b'{"version": 3, "accounts": []}'])
def test_a_draft_that_is_no_document_of_ours_is_only_removed(path, dead, raw):
    leave(path, dead, raw)
    with opened(path) as rotator:
        rotator.observe("b", MODEL, **REFUSED)
        assert rotator.flush()
    assert refusals(path, "a") == 1
    assert beside(path) == []


def test_of_several_drafts_the_highest_rev_of_each_account_counts(path, dead):
    leave(path, dead, document(account("a", runtime=learned(7, 7)), account("b", runtime=learned(1, 1))), "aaaaaaaa")
    leave(path, dead, document(account("a", runtime=learned(6, 6)), account("b", runtime=learned(2, 2))), "bbbbbbbb")
    with opened(path) as rotator:
        assert rotator.flush()
    assert (refusals(path, "a"), refusals(path, "b")) == (7, 2)


def test_what_a_person_wrote_after_the_crash_stays(path, dead):
    leave(path, dead, document(account("a", runtime=learned(6, 9)), account("b"), note="of the draft"))
    edit(path, lambda data: data.update(note="since then") or data["accounts"][1].update(weight=3))
    before = load(path)
    with opened(path) as rotator:
        assert rotator.flush()
    after = load(path)
    assert (after["note"], after["accounts"][1]) == ("since then", before["accounts"][1])
    assert refusals(path, "a") == 9


def tear(path, dead):
    """As a power cut does in the middle of a write in place."""
    whole = path.read_bytes()
    leave(path, dead, whole, kind="old")
    path.write_bytes(whole[:40] + bytes(20))
    return whole


def test_a_torn_file_is_mended_when_it_is_opened(path, dead):
    whole = tear(path, dead)
    torn = path.read_bytes()
    with opened(path) as rotator:
        assert path.read_bytes() == whole
        assert rotator.pool.account("a").runtime.rev == 5
        assert not path.with_name("accounts.json.bak").exists(), "what did not decode is no backup"
        rotator.observe("b", MODEL, **REFUSED)
        assert rotator.flush()
    assert path.with_name("accounts.json.torn").read_bytes() == torn
    assert beside(path) == ["accounts.json.torn"]


def test_a_torn_file_is_mended_by_an_engine_that_has_something_to_write(path, dead):
    with opened(path) as rotator:
        whole = tear(path, dead)
        rotator.observe("b", MODEL, **REFUSED)
        assert rotator.flush()
    assert refusals(path, "b") == 1
    assert path.with_name("accounts.json.bak").read_bytes() == whole
    assert beside(path) == ["accounts.json.torn"]


@pytest.mark.parametrize("case", ["old bytes torn too", "a person broke it later", "it may not be written"])
def test_a_broken_file_that_nothing_can_mend_is_refused_and_left_as_it_is(path, dead, case):
    tear(path, dead)
    old = path.with_name(f".accounts.json.{dead}.01234567.old")
    if case == "old bytes torn too":
        old.write_bytes(b"{")
    if case == "a person broke it later":
        os.utime(old, (START - 3600, START - 3600))
    if case == "it may not be written":
        path.chmod(0o400)
    torn = path.read_bytes()
    with pytest.raises(AccountsInvalid) as caught:
        opened(path)
    assert caught.value.faults
    assert path.read_bytes() == torn
    assert old.exists()


def test_the_bytes_of_an_unreadable_runtime_outlive_the_rolling_backup(path):
    save(path, document(account("a", runtime={"rev": "three"}), account("b")))
    with opened(path) as rotator:
        for name in ("a", "b", "a"):
            rotator.observe(name, MODEL, **REFUSED)
            assert rotator.flush()
    kept = json.loads(path.with_name("accounts.json.unreadable.bak").read_bytes())
    assert kept["accounts"][0]["runtime"] == {"rev": "three"}
    assert runtime(path.with_name("accounts.json.bak"), "a")["rev"] == 1


def test_what_was_in_the_file_for_a_moment_bears_another_rev_than_what_is_written_then(path, monkeypatch):
    """An editor may have read it in that moment, and its save must not be taken for a person's change of runtime."""
    shown = []
    swap = writing.swap

    def swap_with_a_person(one, other):
        if not shown:
            edit(path, lambda data: data.update(note="saved meanwhile"))
        else:
            shown.append(runtime(path, "a")["rev"])
        shown.append(None)
        return swap(one, other)

    monkeypatch.setattr(writing, "swap", swap_with_a_person)
    with opened(path) as rotator:
        rotator.observe("a", MODEL, **REFUSED)
        assert rotator.flush()
    assert shown[1] == 6, "ours, about to be taken out again"
    assert runtime(path, "a")["rev"] > 6
    assert load(path)["note"] == "saved meanwhile"


@pytest.mark.parametrize("moment", ["opening", "running"])
def test_a_save_that_was_displaced_by_a_writer_that_then_died_is_the_file_again(path, dead, moment):
    """Between the exchange and the look at what came out of it, nobody may die; somebody does."""
    engine = opened(path) if moment == "running" else None
    draft = leave(path, dead, document(account("a", runtime=learned(6, 9)), account("b"), note="mine"), kind="swap")
    edit(path, lambda data: data.update(note="saved meanwhile"))
    swap(str(path), str(draft))
    assert load(path)["note"] == "mine"
    with engine or opened(path) as rotator:
        rotator.observe("b", MODEL, **REFUSED)
        assert rotator.flush()
    assert load(path)["note"] == "saved meanwhile"
    assert (refusals(path, "a"), refusals(path, "b")) == (9, 1)
    assert beside(path) == []


def test_what_was_displaced_and_since_then_edited_again_is_not_brought_back(path, dead):
    draft = leave(path, dead, document(account("a", runtime=learned(6, 9)), account("b"), note="mine"), kind="swap")
    edit(path, lambda data: data.update(note="saved meanwhile"))
    swap(str(path), str(draft))
    edit(path, lambda data: data.update(note="the last word"))
    with opened(path) as rotator:
        rotator.observe("b", MODEL, **REFUSED)
        assert rotator.flush()
    assert load(path)["note"] == "the last word"


def test_mending_removes_no_leftover_whose_facts_are_not_in_the_file_yet(path, dead):
    draft = leave(path, dead, document(account("a", runtime=learned(6, 9)), account("b")), "89abcdef")
    tear(path, dead)
    with opened(path) as rotator:
        assert draft.exists()
        assert rotator.flush()
    assert refusals(path, "a") == 9
