"""One writer at a time, whatever can be locked."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from rotator import errors
from rotator.store.file import Store
from rotator.store.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rotator.store.reading import Snapshot

    Run = Callable[[Callable[[], Any]], Any]


def add_one(now: Snapshot) -> bytes:
    return b"%d" % (int(now.raw) + 1)


def in_processes(count: int, work: Callable[[int], None]) -> None:
    """Fork them, wait for all, and fail if one did not end well."""
    children = []
    for number in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads, of which the children use none
            child = os.fork()
        if child == 0:
            status = 1
            try:
                work(number)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count


@pytest.mark.parametrize("linked", [False, True])
def test_eight_processes_lose_nothing_of_one_another(linked: bool, accounts: Path) -> None:
    accounts.write_bytes(b"0")
    twin = accounts.with_name("twin")
    if linked:
        os.link(accounts, twin)

    def work(number: int) -> None:
        store = Store(twin if linked and number % 2 else accounts)
        for _ in range(15):
            store.exchange(add_one)

    in_processes(8, work)
    assert accounts.read_bytes() == b"120"


def test_processes_that_come_by_two_names_exclude_one_another(accounts: Path, tmp_path: Path) -> None:
    accounts.write_bytes(b"0")
    link = tmp_path / "link.json"
    link.symlink_to(accounts)

    def work(number: int) -> None:
        store = Store((accounts, link)[number % 2])
        for _ in range(15):
            store.exchange(add_one)

    in_processes(4, work)
    assert accounts.read_bytes() == b"60"


def test_readers_never_see_half_of_a_write_in_place(accounts: Path) -> None:
    documents = [b"a" * 50_000, b"b" * 150_000]
    accounts.write_bytes(documents[0])
    os.link(accounts, accounts.with_name("twin"))

    def work(number: int) -> None:
        store = Store(accounts)
        for turn in range(40):
            if number < 2:
                store.exchange(lambda _: documents[(number + turn) % 2])  # noqa: B023
            else:
                assert store.read().raw in documents

    in_processes(4, work)


@pytest.mark.parametrize("shared", [False, True])
def test_threads_lose_nothing_of_one_another(shared: bool, accounts: Path) -> None:
    accounts.write_bytes(b"0")
    one = Store(accounts)

    def work() -> None:
        store = one if shared else Store(accounts)
        for _ in range(10):
            store.exchange(add_one)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accounts.read_bytes() == b"40"


def test_who_does_not_get_the_lock_in_time_is_told_and_writes_nothing(accounts: Path) -> None:
    before = accounts.read_bytes()

    def try_too(_: Snapshot) -> None:
        for store in (outer, Store(accounts)):
            with pytest.raises(errors.AccountsBusy) as caught:
                store.exchange(lambda _: b"never", timeout_secs=0.02)
            assert caught.value.errno == errno.ETIMEDOUT
            assert isinstance(caught.value, TimeoutError)

    outer = Store(accounts)
    outer.exchange(try_too)
    assert accounts.read_bytes() == before
    assert outer.exchange(lambda _: b"later", timeout_secs=0).raw == b"later"


def test_a_writer_in_place_waits_for_readers_no_longer_than_it_was_told(accounts: Path) -> None:
    os.link(accounts, accounts.with_name("twin"))
    before = accounts.read_bytes()
    with accounts.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        with pytest.raises(errors.AccountsBusy):
            Store(accounts).exchange(lambda _: b"never", timeout_secs=0.02)
    assert accounts.read_bytes() == before


def test_a_child_forked_while_a_thread_writes_can_write_itself(accounts: Path) -> None:
    accounts.write_bytes(b"0")
    store = Store(accounts)
    inside, let_go = threading.Event(), threading.Event()

    def wait_inside(_: Snapshot) -> None:
        inside.set()
        let_go.wait()

    thread = threading.Thread(target=store.exchange, args=(wait_inside,))
    thread.start()
    inside.wait()
    other = accounts.with_name("other.json")
    other.write_bytes(b"0")
    store.path = str(other)

    def work(_: int) -> None:
        store.exchange(add_one, timeout_secs=5)

    try:
        in_processes(1, work)
    finally:
        let_go.set()
        thread.join()
    assert other.read_bytes() == b"1"


def test_a_lock_file_of_somebody_else_is_locked_read_only(owned: Path, as_nobody: Run) -> None:
    lock = owned.with_name(".accounts.json.lock")
    lock.touch()
    lock.chmod(0o444)

    def write() -> str:
        store = Store(owned)
        store.exchange(lambda _: b"{}")
        return store.lock_kind

    assert as_nobody(write) == "file_readonly"
    with lock.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        error = as_nobody(lambda: Store(owned).exchange(lambda _: b"never", timeout_secs=0.02))
        assert type(error) is errors.AccountsBusy
    assert owned.read_bytes() == b"{}"


def test_a_lock_path_that_is_a_link_is_not_followed_and_the_folder_is_locked_instead(
    accounts: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    accounts.with_name(".accounts.json.lock").symlink_to(victim)
    store = Store(accounts)
    store.exchange(lambda _: b"{}")
    assert store.lock_kind == "directory"
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO])
def test_where_locks_do_not_work_writing_goes_on_and_says_so(
    number: int, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    store = Store(accounts)
    assert store.exchange(lambda _: b"{}").raw == b"{}"
    assert store.lock_kind == "none"


@pytest.mark.parametrize("lock_file", [True, False])
def test_a_process_out_of_descriptors_does_not_go_on_with_a_weaker_lock(
    lock_file: bool, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a link at the lock's path, the folder would be locked."""
    if not lock_file:
        accounts.with_name(".accounts.json.lock").symlink_to("nowhere")
    real = os.open
    failed: list[str] = []

    def exhausted_once(path: str, flags: int, mode: int = 0o777) -> int:
        if not failed and (path.endswith(".lock") if lock_file else flags & os.O_DIRECTORY):
            failed.append(path)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", exhausted_once)
    with pytest.raises(errors.MachineError) as caught:
        Store(accounts).exchange(lambda _: pytest.fail("asked in vain"))
    assert caught.value.errno == errno.EMFILE
    assert failed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_away_only_a_lock_file_that_it_made(owned: Path, tmp_path: Path) -> None:
    of_root = owned.with_name("of-root")
    of_root.touch()
    os.link(of_root, owned.with_name(".accounts.json.lock"))
    Store(owned).exchange(lambda _: b"{}")
    assert of_root.stat().st_uid == 0


def test_the_lock_file_stays_and_is_let_go(accounts: Path) -> None:
    path = accounts.with_name(".accounts.json.lock")
    Store(accounts).exchange(lambda _: b"{}")
    inode = path.stat().st_ino
    Store(accounts).exchange(lambda _: b"[]")
    assert path.stat().st_ino == inode
    held = Lock(str(accounts), 0.0)
    assert held.acquire() == "file"
    with pytest.raises(errors.AccountsBusy):
        Lock(str(accounts), 0.0).acquire()
    held.release()
    held.release()
    again = Lock(str(accounts), 0.0)
    assert again.acquire() == "file"
    again.release()
