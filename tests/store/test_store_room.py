"""Room that is taken before it is needed, and a lock for one purpose."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from rotator import errors
from rotator.store import room as rooms
from rotator.store.file import ReadOnly, Store
from rotator.store.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 300_000


def rooms_beside(path: Path) -> list[Path]:
    return [entry for entry in path.parent.iterdir() if entry.suffix == ".room"]


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_room_is_private_and_taken_on_the_disk_at_once(accounts, mask):
    before = os.umask(mask)
    try:
        with Store(accounts).reserve(SIZE):
            (found,) = rooms_beside(accounts)
            status = found.stat()
            assert status.st_mode & 0o777 == 0o600
            assert status.st_uid == accounts.stat().st_uid
            assert status.st_blocks * 512 >= SIZE
    finally:
        os.umask(before)
    assert rooms_beside(accounts) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file for somebody else")
def test_room_beside_another_users_file_is_that_users(owned):
    with Store(owned).reserve(SIZE):
        assert rooms_beside(owned)[0].stat().st_uid == owned.stat().st_uid != 0


def test_a_disk_without_room_says_so_and_nothing_is_left(accounts, monkeypatch):
    def full(_descriptor, _offset, _size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rooms.os, "posix_fallocate", full)
    with pytest.raises(errors.MachineError, match="No space left"):
        Store(accounts).reserve(SIZE)
    assert rooms_beside(accounts) == []


def test_a_file_system_that_cannot_allocate_is_written_to(accounts, monkeypatch):
    def unheard_of(_descriptor, _offset, _size):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(rooms.os, "posix_fallocate", unheard_of)
    with Store(accounts).reserve(SIZE):
        assert rooms_beside(accounts)[0].stat().st_size == SIZE


def test_a_read_only_file_has_no_room_beside_it(accounts):
    accounts.chmod(0o400)
    with pytest.raises(ReadOnly):
        Store(accounts).reserve(SIZE)
    assert rooms_beside(accounts) == []


def test_what_it_holds_is_left_for_others_to_find_unless_it_was_settled(accounts):
    store = Store(accounts)
    with store.reserve(SIZE) as room:
        room.hold(b"a copy")
        assert Store(accounts).leftovers() == []
    assert [left.raw for left in Store(accounts).leftovers()] == [b"a copy"]
    assert rooms_beside(accounts)[0].stat().st_size == len(b"a copy")
    store.exchange(lambda now: now.raw + b" ")
    assert rooms_beside(accounts) == []


@pytest.mark.parametrize("held", [b"the same", b"something longer than that", b""])
def test_settled_it_is_the_backup_of_what_the_file_holds(accounts, held):
    with Store(accounts).reserve(SIZE) as room:
        room.hold(held)
        room.settle(b"the same")
    assert rooms_beside(accounts) == []
    assert Store(accounts).backup() == b"the same"
    assert accounts.with_name("accounts.json.bak").stat().st_mode & 0o777 == 0o600


def test_a_write_by_others_leaves_room_alone_that_somebody_still_needs(accounts):
    with Store(accounts).reserve(SIZE) as room:
        Store(accounts).exchange(lambda now: now.raw + b" ")
        assert len(rooms_beside(accounts)) == 1
        room.hold(b"a copy")
        assert rooms_beside(accounts)[0].read_bytes() == b"a copy"


def test_there_may_be_no_backup(accounts):
    assert Store(accounts).backup() == b""
    accounts.with_name("accounts.json.bak").mkdir()
    assert Store(accounts).backup() == b""


def test_a_lock_for_one_purpose_excludes_that_purpose_and_no_write(accounts):
    store = Store(accounts)
    lock = store.lock_for("refresh-1", 1.0)
    assert lock is not None
    other = store.lock_for("refresh-2", 0.0)
    assert other is not None
    store.exchange(lambda now: now.raw + b" ")
    with pytest.raises(errors.AccountsBusy, match="refresh-1"):
        Store(accounts).lock_for("refresh-1", 0.0)
    lock.release()
    other.release()
    again = Store(accounts).lock_for("refresh-1", 0.0)
    assert again is not None
    again.release()
    found = accounts.with_name(".accounts.json.refresh-1.lock")
    assert found.read_bytes() == b""
    assert found.stat().st_mode & 0o777 == 0o600


def test_it_is_the_same_lock_by_every_name_of_the_file_and_in_every_thread(accounts, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(accounts)
    lock = Store(link).lock_for("refresh-1", 1.0)
    assert lock is not None
    refused: list[errors.AccountsBusy] = []

    def take() -> None:
        try:
            Store(accounts).lock_for("refresh-1", 0.0)
        except errors.AccountsBusy as error:
            refused.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    lock.release()
    assert len(refused) == 1


def test_where_no_lock_file_can_be_made_there_is_none_and_the_folder_is_left_alone(
    owned: Path, as_nobody: Callable[[Callable[[], object]], object]
):
    owned.parent.chmod(0o500)

    def take() -> object:
        lock = Store(owned).lock_for("refresh-1", 0.0)
        folder = Lock(str(owned), 0.0)
        kind = folder.acquire()
        folder.release()
        return lock, kind

    assert as_nobody(take) == (None, "directory")
