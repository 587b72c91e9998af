"""What an exchange writes is private and stays its owner's; what this user may not write stays as it is."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from rotator import errors
from rotator.store import private, reading
from rotator.store.file import ReadOnly, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[[Callable[[], Any]], Any]
    Leftovers = Callable[[Path], list[str]]

NEW = b'{"accounts": [], "active": "fake-new"}\n'


def replace(store: Store, raw: bytes = NEW) -> reading.Snapshot:
    return store.exchange(lambda _: raw)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_every_file_is_private_from_the_start_under_any_umask(
    umask: int, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    pwrite = os.pwrite

    def look(descriptor: int, data: bytes, offset: int) -> int:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", look)
    previous = os.umask(umask)
    try:
        Store(accounts).exchange(lambda _: NEW, keep=lambda _: ".v1.bak")
    finally:
        os.umask(previous)
    assert seen == [0o600, 0o600]
    names = [".accounts.json.lock", "accounts.json", "accounts.json.bak", "accounts.json.v1.bak"]
    assert {path.name: permissions(path) for path in accounts.parent.iterdir()} == dict.fromkeys(names, 0o600)


@pytest.mark.parametrize(("before", "said"), [(0o644, True), (0o660, True), (0o600, False)])
@pytest.mark.parametrize("linked", [False, True])
def test_looser_bits_are_dropped_at_the_first_write_and_said_once(
    before: int, said: bool, linked: bool, accounts: Path
) -> None:
    accounts.chmod(before)
    if linked:
        os.link(accounts, accounts.with_name("twin"))
    store = Store(accounts)
    replace(store)
    assert (permissions(accounts), store.tightened) == (0o600, said)
    replace(store, b"{}")
    assert store.tightened is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write files of other users")
def test_root_leaves_file_lock_and_backup_to_their_owner(owned: Path, as_nobody: Run) -> None:
    Store(owned).exchange(lambda _: NEW, keep=lambda _: ".v1.bak")
    owner = owned.parent.stat().st_uid
    assert owner != 0
    assert {path.name: path.stat().st_uid for path in owned.parent.iterdir()} == {
        "accounts.json": owner,
        ".accounts.json.lock": owner,
        "accounts.json.v1.bak": owner,
        "accounts.json.bak": owner,
    }
    assert as_nobody(lambda: replace(Store(owned), b"{}").raw) == b"{}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_an_owner_that_cannot_be_kept_is_kept_by_writing_in_place(owned: Path, as_nobody: Run) -> None:
    os.chown(owned, 0, 0)
    owned.chmod(0o666)

    def write() -> str:
        store = Store(owned)
        replace(store)
        return store.mode

    assert as_nobody(write) == "in_place"
    assert owned.read_bytes() == NEW
    assert owned.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_file_of_another_user_is_read_only(owned: Path, as_nobody: Run, leftovers: Leftovers) -> None:
    os.chown(owned, 0, 0)
    owned.chmod(0o644)
    error = as_nobody(lambda: replace(Store(owned)))
    assert type(error) is ReadOnly
    assert leftovers(owned) == []


def test_a_closed_folder_is_written_in_place(owned: Path, as_nobody: Run, leftovers: Leftovers) -> None:
    before = owned.stat().st_ino
    owned.parent.chmod(0o555)

    def write() -> tuple[str, str]:
        store = Store(owned)
        replace(store, b"{}")
        replace(store)
        return store.mode, store.lock_kind

    assert as_nobody(write) == ("in_place", "directory")
    assert (owned.read_bytes(), owned.stat().st_ino) == (NEW, before)
    assert leftovers(owned) == []


def test_old_bytes_that_cannot_be_kept_are_not_overwritten(owned: Path, as_nobody: Run) -> None:
    before = owned.read_bytes()
    owned.parent.chmod(0o555)
    error = as_nobody(lambda: Store(owned).exchange(lambda _: NEW, keep=lambda _: ".v1.bak"))
    assert type(error) is ReadOnly
    assert owned.read_bytes() == before


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_a_file_without_a_write_bit_stays_as_it_is(mode: int, accounts: Path) -> None:
    before = accounts.read_bytes()
    accounts.chmod(mode)
    with pytest.raises(ReadOnly) as caught:
        Store(accounts).exchange(lambda _: pytest.fail("asked in vain"))
    assert caught.value.obstacle == f"the file is read-only (mode {mode:04o})"
    assert accounts.read_bytes() == before
    assert os.listdir(accounts.parent) == ["accounts.json"]
    accounts.chmod(0o600)
    assert replace(Store(accounts)).raw == NEW


def test_a_file_that_may_no_longer_be_read_is_not_taken_for_one_to_write_in_place(owned: Path, as_nobody: Run) -> None:
    def rebase(_: reading.Snapshot) -> bytes:
        owned.chmod(0o200)
        return NEW

    before = owned.read_bytes()
    assert type(as_nobody(lambda: Store(owned).exchange(rebase))) is errors.AccountsDenied
    assert owned.read_bytes() == before


def test_extended_attributes_stay(accounts: Path) -> None:
    try:
        os.setxattr(accounts, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    replace(Store(accounts))
    assert os.getxattr(accounts, "user.note") == b"mine"


def test_a_name_that_is_taken_by_a_link_is_not_written_through(
    accounts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    monkeypatch.setattr(os, "urandom", lambda _: b"\0\0\0\0")
    accounts.with_name(f".accounts.json.{os.getpid()}.00000000.tmp").symlink_to(victim)
    accounts.with_name("accounts.json.v1.bak").symlink_to(victim)
    with pytest.raises(errors.MachineError):
        Store(accounts).exchange(lambda _: NEW, keep=lambda _: ".v1.bak")
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize(("before", "mode"), [(0o600, "in_place"), (0o755, "file")])
def test_on_a_mount_without_modes_the_bits_get_no_looser(
    before: int, mode: str, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_modes(_descriptor: int, _mode: int) -> None:
        raise PermissionError(1, "no modes here")

    def create_with_the_bits_of_the_mount(path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o755)

    accounts.chmod(before)
    monkeypatch.setattr(os, "fchmod", without_modes)
    monkeypatch.setattr(private, "create", create_with_the_bits_of_the_mount)
    store = Store(accounts)
    assert replace(store).raw == NEW
    assert (store.mode, permissions(accounts), store.tightened) == (mode, before, False)
