"""What a writer that died left is shown before it is removed, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from rotator import errors
from rotator.store import reading
from rotator.store.file import Store
from rotator.store.leftovers import TORN_WITHIN_NS, Restore
from rotator.store.swap import swap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Beside = Callable[[Path], list[str]]

NEW = b'{"accounts": [], "active": "fake-new"}\n'
DRAFT = b'{"accounts": [], "active": "fake-draft"}\n'


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    code = "import os; print(os.getpid())"
    return int(subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, check=True).stdout)


def leave(accounts: Path, process: int, raw: bytes = DRAFT, random: str = "01234567", kind: str = "tmp") -> Path:
    path = accounts.with_name(f".accounts.json.{process}.{random}.{kind}")
    path.write_bytes(raw)
    path.chmod(0o600)
    return path


def test_leftovers_are_shown_newest_first_and_removed_after_the_exchange(
    accounts: Path, dead: int, leftovers: Beside
) -> None:
    for place, random in enumerate(["aaaaaaaa", "bbbbbbbb", "cccccccc"]):
        path = leave(accounts, dead, b"%d" % place, random)
        os.utime(path, ns=(place, (place * 7 + 3) % 10 * 10**9))  # 3 s, 0 s, 7 s
    store = Store(accounts)
    seen: list[list[bytes]] = []

    def rebase(_: reading.Snapshot) -> bytes:
        seen.append([leftover.raw for leftover in store.leftovers()])
        return NEW

    assert [leftover.raw for leftover in store.leftovers()] == [b"2", b"0", b"1"]
    store.exchange(rebase)
    assert seen == [[b"2", b"0", b"1"]]
    assert leftovers(accounts) == []
    assert store.leftovers() == []


def test_leftovers_stay_when_the_exchange_fails(accounts: Path, dead: int) -> None:
    path = leave(accounts, dead)

    def refuse(_: reading.Snapshot) -> bytes:
        raise errors.AccountsInvalid([])

    with pytest.raises(errors.AccountsInvalid):
        Store(accounts).exchange(refuse)
    assert path.read_bytes() == DRAFT


def test_a_draft_from_an_earlier_life_of_our_own_number_is_a_leftover(accounts: Path, leftovers: Beside) -> None:
    leave(accounts, os.getpid())
    store = Store(accounts)
    assert [leftover.raw for leftover in store.leftovers()] == [DRAFT]
    store.exchange(lambda _: NEW)
    assert leftovers(accounts) == []


def test_what_may_be_somebody_elses_is_neither_shown_nor_removed(accounts: Path, dead: int, leftovers: Beside) -> None:
    stays = [
        f".accounts.json.{os.getppid()}.01234567.tmp",
        ".accounts.json.0.01234567.tmp",
        f".accounts.json.{10**30}.01234567.tmp",
        f".accounts.json.{dead}.tmp",
        f".accounts.json.{dead}.01234567.swp",
        f".accounts.json.x{dead}.01234567.tmp",
        f".other.json.{dead}.01234567.tmp",
        f"accounts.json.{dead}.01234567.tmp",
    ]
    for name in stays:
        accounts.with_name(name).write_bytes(DRAFT)
    folder = accounts.with_name(f".accounts.json.{dead}.00000000.tmp")
    folder.mkdir()
    link = accounts.with_name(f".accounts.json.{dead}.11111111.tmp")
    link.symlink_to(accounts)
    huge = leave(accounts, dead, b"", "22222222")
    os.truncate(huge, reading.MAX_BYTES + 1)
    stays += [folder.name, link.name, huge.name]
    if os.geteuid() == 0:
        strange = leave(accounts, dead, DRAFT, "33333333")
        os.chown(strange, 65534, 65534)
        stays.append(strange.name)
    store = Store(accounts)
    assert store.leftovers() == []
    store.exchange(lambda _: NEW)
    assert leftovers(accounts) == sorted(stays)


def test_without_a_lock_nothing_is_removed(accounts: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.store.lock.Lock.acquire", lambda _self: "none")
    path = leave(accounts, dead)
    store = Store(accounts)
    shown: list[Any] = []
    store.exchange(lambda _: shown.extend(store.leftovers()) or NEW)
    assert shown == []
    assert path.exists()


@pytest.mark.parametrize(("late_ns", "restores"), [(10**9, True), (TORN_WITHIN_NS + 1, False)])
def test_only_a_copy_made_shortly_before_the_file_was_torn_restores(
    late_ns: int, restores: bool, accounts: Path, dead: int
) -> None:
    path = leave(accounts, dead, kind="old")
    os.utime(path, ns=(0, accounts.stat().st_mtime_ns - late_ns))
    leave(accounts, dead, random="89abcdef")
    found = {leftover.path: leftover.restores for leftover in Store(accounts).leftovers()}
    assert found == {str(path): restores, str(path).replace("01234567.old", "89abcdef.tmp"): False}


@pytest.mark.parametrize("linked", [False, True])
def test_a_torn_file_is_restored_and_rebased_and_its_torn_bytes_are_kept(
    linked: bool, accounts: Path, dead: int, leftovers: Beside
) -> None:
    whole = accounts.read_bytes()
    accounts.write_bytes(b'{"acc')
    if linked:
        os.link(accounts, accounts.with_name("twin"))
    leave(accounts, dead, whole, kind="old")
    store = Store(accounts)
    seen = []

    def rebase(now: reading.Snapshot) -> bytes:
        seen.append(now.raw)
        if now.raw == b'{"acc':
            raise Restore(store.leftovers()[0])
        return NEW

    assert store.exchange(rebase).raw == accounts.read_bytes() == NEW
    assert seen == [b'{"acc', whole]
    assert leftovers(accounts) == ["accounts.json.torn", *(["twin"] if linked else [])]
    assert accounts.with_name("accounts.json.torn").read_bytes() == b'{"acc'
    assert accounts.with_name("accounts.json.bak").read_bytes() == whole


@pytest.mark.parametrize(
    ("case", "later"),
    [("saved and displaced", True), ("the old bytes", False), ("touched since", False), ("not yet about to", False)],
)
def test_a_save_that_was_displaced_is_told_from_other_leftovers(
    case: str, later: bool, accounts: Path, dead: int
) -> None:
    draft = leave(accounts, dead, kind="tmp" if case == "not yet about to" else "swap")
    if case != "the old bytes":
        os.utime(draft, ns=(0, 0))
    swap(str(draft), str(accounts))
    if case == "touched since":
        while accounts.stat().st_ctime_ns <= draft.stat().st_ctime_ns:  # the clock of a file system has coarse ticks
            accounts.chmod(0o644)
    assert [leftover.later for leftover in Store(accounts).leftovers()] == [later]
