"""Every error of the system at every call of an exchange: the file is the old one or the new one, never between."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Any

import pytest

from rotator import errors
from rotator.store import writing
from rotator.store.file import ReadOnly, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Leftovers = Callable[[Path], list[str]]

OLD = b'{"accounts": [{"name": "a"}], "note": "the old document is the longer one"}'
NEW = b'{"accounts": []}'

CALLS = [
    *("open", "close", "stat", "fstat", "lstat", "listdir", "urandom", "pread", "pwrite", "fchmod", "fchown"),
    *("ftruncate", "fsync", "rename", "swap", "replace", "unlink", "listxattr", "kill", "flock"),
]
ERRNOS = [
    *(errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENOMEM, errno.EACCES, errno.EPERM),
    *(errno.EROFS, errno.EBUSY, errno.EXDEV, errno.EINVAL, errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOLCK),
]
FEW_ERRNOS = [errno.EIO, errno.EACCES, errno.ENOENT, errno.EMFILE]
LOOKS = {"lstat", "stat", "fstat", "close", "listdir", "listxattr", "kill", "urandom"}
"""Calls that change nothing and are many: they get the few."""


class Faults:
    """Counts the calls of one function, and lets the one that was chosen fail, or all from there on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.count = 0
        self.fail_at = 0
        self.for_ever = False
        self.number = 0
        self.name = name
        module: Any = {"flock": fcntl, "swap": writing}.get(name, os)
        self.real = getattr(module, name)
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        if self.fail_at and (self.count == self.fail_at or (self.for_ever and self.count > self.fail_at)):
            if self.name == "close":
                self.real(*arguments)
            raise OSError(self.number, os.strerror(self.number))
        return self.real(*arguments, **options)

    def arm(self, fail_at: int, number: int, *, for_ever: bool) -> None:
        self.count, self.fail_at, self.number, self.for_ever = 0, fail_at, number, for_ever


def attempt(path: Path, suffix: str | None) -> str:
    """Exchange once; says which document the file must hold then."""
    try:
        answer = Store(path).exchange(lambda _: NEW, timeout_secs=0.2, keep=lambda _: suffix)
    except (errors.RotatorError, ReadOnly):
        return "old"
    assert answer.raw == NEW
    return "new"


def check(path: Path, outcome: str, leftovers: Leftovers, *, may_leave: bool) -> None:
    assert path.read_bytes() == (OLD if outcome == "old" else NEW)
    beside = [name for name in leftovers(path) if name != "twin"]
    if not may_leave:
        assert beside == (["accounts.json.v1.bak"] if outcome == "new" and path.with_name("twin").exists() else [])
    for name in beside:
        assert path.with_name(name).read_bytes() in (OLD, NEW, b"")
        path.with_name(name).unlink()
    backup = path.with_name("accounts.json.bak")
    assert not backup.exists() or backup.read_bytes() in (OLD, NEW)


@pytest.mark.parametrize("way", ["exchanged", "renamed", "in_place"])
@pytest.mark.parametrize("name", CALLS)
def test_one_error_at_any_call_leaves_a_whole_document_and_the_next_exchange_succeeds(
    way: str, name: str, accounts: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place = way == "in_place"
    suffix = ".v1.bak" if in_place else None
    accounts.with_name(".accounts.json.1.01234567.tmp").touch()
    accounts.write_bytes(OLD)
    if in_place:
        os.link(accounts, accounts.with_name("twin"))
    if os.geteuid() == 0:
        os.chown(accounts, 65534, 65534)  # so that there is an owner to keep
    if way == "renamed":
        monkeypatch.setattr(writing, "swap", lambda _one, _other: False)
    faults = Faults(monkeypatch, name)
    faults.arm(0, 0, for_ever=False)
    previous = os.umask(0o277)
    try:
        check(accounts, attempt(accounts, suffix), leftovers, may_leave=True)
        calls = faults.count
        for fail_at in range(1, calls + 1):
            for number in FEW_ERRNOS if name in LOOKS or way == "renamed" else ERRNOS:
                accounts.write_bytes(OLD)
                faults.arm(fail_at, number, for_ever=False)
                outcome = attempt(accounts, suffix)
                faults.arm(0, 0, for_ever=False)
                check(accounts, outcome, leftovers, may_leave=name == "unlink")
                accounts.write_bytes(OLD)
                assert attempt(accounts, None) == "new"
    finally:
        os.umask(previous)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in {"unlink", "close", "flock"}])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_stays_broken_from_any_call_on_leaves_a_whole_document(
    number: int, name: str, accounts: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(monkeypatch, name)
    fail_at = 0
    while fail_at == 0 or faults.count >= fail_at:
        fail_at += 1
        faults.arm(0, 0, for_ever=False)
        accounts.write_bytes(OLD)
        faults.arm(fail_at, number, for_ever=True)
        outcome = attempt(accounts, None)
        reached = faults.count
        faults.arm(0, 0, for_ever=False)
        check(accounts, outcome, leftovers, may_leave=name in {"open", "fstat", "pread"})
        faults.count = reached


@pytest.mark.parametrize("name", ["pwrite", "ftruncate", "fsync"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_write_in_place_that_fails_puts_the_old_bytes_back(
    number: int, name: str, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(accounts, accounts.with_name("twin"))
    before = accounts.read_bytes()
    faults = Faults(monkeypatch, name)
    for raw in (before * 50, b"{}"):
        for fail_at in (1, 2) if name == "pwrite" and len(raw) > len(before) else (1,):
            faults.arm(fail_at, number, for_ever=False)
            with pytest.raises(errors.MachineError) as caught:
                Store(accounts).exchange(lambda _: raw)  # noqa: B023
            assert caught.value.errno == number
            assert accounts.read_bytes() == before


def test_the_errno_of_the_disk_reaches_the_caller(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG):
        with monkeypatch.context() as patch:
            faults = Faults(patch, "pwrite")
            faults.arm(1, number, for_ever=False)
            with pytest.raises(errors.MachineError) as caught:
                Store(accounts).exchange(lambda _: NEW)
        assert caught.value.errno == number
        assert str(accounts) in str(caught.value)


def test_a_rename_that_never_works_is_tried_once_per_target(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(monkeypatch, "swap")
    faults.arm(1, errno.EBUSY, for_ever=True)
    store = Store(accounts)
    for raw in (b"1", b"2", b"3"):
        assert store.exchange(lambda _: raw).raw == accounts.read_bytes() == raw  # noqa: B023
        assert store.mode == "in_place"
    assert faults.count == 1
    other = accounts.with_name("other.json")
    other.write_bytes(b"0")
    accounts.unlink()
    accounts.symlink_to(other)
    store.exchange(lambda _: b"4")
    assert faults.count == 2
    faults.arm(0, 0, for_ever=False)
    store = Store(accounts)
    store.exchange(lambda _: b"5")
    assert store.mode == "file"


def test_a_folder_that_cannot_be_synced_is_said_and_the_new_bytes_are_there(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(monkeypatch, "fsync")
    faults.arm(2, errno.EIO, for_ever=False)
    store = Store(accounts)
    assert store.exchange(lambda _: NEW).raw == accounts.read_bytes() == NEW
    assert store.synced is False
    store.exchange(lambda _: b"{}")
    assert store.synced is True


def test_a_dead_disk_that_takes_the_old_bytes_is_not_called_whole_and_the_copy_of_them_stays(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(accounts, accounts.with_name("twin"))
    before = accounts.read_bytes()
    faults = Faults(monkeypatch, "ftruncate")
    faults.arm(1, errno.EIO, for_ever=True)
    with pytest.raises(errors.MachineError, match="could not be put back"):
        Store(accounts).exchange(lambda _: b"{}", keep=lambda _: ".v1.bak")
    assert accounts.read_bytes() != before
    assert accounts.with_name("accounts.json.v1.bak").read_bytes() == before
    assert [left.raw for left in Store(accounts).leftovers() if left.restores] == [before]


def test_a_descriptor_whose_sync_failed_is_never_synced_again(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second fsync of it may report success for bytes that are gone."""
    os.link(accounts, accounts.with_name("twin"))
    before = accounts.read_bytes()
    synced: list[int] = []

    def fail_once(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == accounts.stat().st_ino:
            synced.append(descriptor)
            if len(synced) == 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(errors.MachineError):
        Store(accounts).exchange(lambda _: NEW)
    assert accounts.read_bytes() == before
    failed, again = synced
    assert failed != again


@pytest.mark.parametrize("swapped", [False, True])
def test_an_interrupt_leaves_the_copy_of_the_old_bytes_only_when_they_are_gone(
    swapped: bool, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = accounts.read_bytes()
    swap = writing.swap

    def interrupt(one: str, other: str) -> bool:
        if swapped:
            swap(one, other)
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "swap", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Store(accounts).exchange(lambda _: NEW, keep=lambda _: ".v1.bak")
    assert accounts.read_bytes() == (NEW if swapped else before)
    assert accounts.with_name("accounts.json.v1.bak").exists() == swapped
