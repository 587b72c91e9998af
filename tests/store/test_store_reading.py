"""Reading is whole, waits for nobody for long, and says who has to act."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rotator import errors
from rotator.store import reading

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Callable[[], Any]], Any]


def test_a_snapshot_has_the_bytes_and_the_stamp_of_one_instant(accounts: Path) -> None:
    snapshot = reading.read(str(accounts))
    assert snapshot.raw == accounts.read_bytes()
    assert snapshot.stamp == reading.stamp(str(accounts)) == reading.stamp_of(accounts.stat())


def test_a_snapshot_does_not_print_what_it_holds(accounts: Path) -> None:
    assert "fake-" not in repr(reading.read(str(accounts)))


def test_the_stamp_follows_links_and_is_none_where_no_file_is(accounts: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(accounts)
    assert reading.stamp(str(link)) == reading.stamp(str(accounts))
    assert reading.stamp(str(tmp_path / "absent")) is None
    assert reading.stamp(str(accounts / "below a file")) is None


def test_an_edit_of_the_same_size_with_its_time_restored_changes_the_stamp(accounts: Path) -> None:
    before = reading.stamp(str(accounts))
    times = accounts.stat()
    accounts.write_bytes(accounts.read_bytes().replace(b"fake-old", b"fake-new"))
    os.utime(accounts, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert reading.stamp(str(accounts)) != before


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


WRONG: dict[str, tuple[Callable[[Path], object], type[errors.RotatorError]]] = {
    "absent": (lambda path: None, errors.AccountsMissing),
    "dangling link": (lambda path: path.symlink_to("nowhere"), errors.AccountsMissing),
    "link loop": (lambda path: path.symlink_to(path), errors.AccountsUnreadable),
    "folder": (lambda path: path.mkdir(), errors.AccountsUnreadable),
    "pipe nobody writes": (os.mkfifo, errors.AccountsUnreadable),
    "socket": (_socket, errors.AccountsUnreadable),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), errors.AccountsUnreadable),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), errors.AccountsUnreadable),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_a_readable_file_is_refused_at_once_with_its_path(case: str, tmp_path: Path) -> None:
    make, error = WRONG[case]
    path = tmp_path / "accounts.json"
    make(path)
    with pytest.raises(error) as caught:
        reading.read(str(path))
    assert type(caught.value) is error
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert caught.value.errno


def test_a_path_below_a_file_is_a_missing_file(accounts: Path) -> None:
    with pytest.raises(errors.AccountsMissing) as caught:
        reading.read(str(accounts / "accounts.json"))
    assert caught.value.errno == errno.ENOTDIR


def test_a_file_that_this_user_may_not_read_is_denied(owned: Path, as_nobody: Run) -> None:
    owned.chmod(0o200)
    error = as_nobody(lambda: reading.read(str(owned)))
    assert type(error) is errors.AccountsDenied
    assert str(owned) in str(error)


def test_a_file_above_the_limit_is_refused_without_reading_it(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(accounts, reading.MAX_BYTES + 1)
    monkeypatch.setattr(os, "pread", None)
    with pytest.raises(errors.AccountsInvalid) as caught:
        reading.read(str(accounts))
    assert str(reading.MAX_BYTES + 1) in str(caught.value)


def test_short_reads_are_put_together(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: pread(descriptor, min(size, 1), offset))
    assert reading.read(str(accounts)).raw == accounts.read_bytes()


def test_a_file_that_changes_while_it_is_read_is_read_again(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread
    edits = [b'{"accounts": []}', b'{"accounts": [], "active": "b"}']

    def read_and_be_edited(descriptor: int, size: int, offset: int) -> bytes:
        raw = pread(descriptor, size, offset)
        if edits:
            accounts.write_bytes(edits.pop(0))
        return raw

    monkeypatch.setattr(os, "pread", read_and_be_edited)
    assert reading.read(str(accounts)).raw == b'{"accounts": [], "active": "b"}'


def test_a_file_that_never_stops_changing_is_unreadable(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread

    def read_and_be_edited(descriptor: int, size: int, offset: int) -> bytes:
        with accounts.open("ab") as stream:
            stream.write(b" ")
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", read_and_be_edited)
    monkeypatch.setattr(time, "sleep", lambda secs: None)
    with pytest.raises(errors.AccountsUnreadable, match="kept changing"):
        reading.read(str(accounts))


def test_a_read_error_of_the_disk_is_told_apart_from_permission(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int, _size: int, _offset: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(errors.AccountsUnreadable) as caught:
        reading.read(str(accounts))
    assert caught.value.errno == errno.EIO
    assert caught.value.exit_code == 74


def test_a_reader_waits_until_a_writer_in_place_is_done(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with accounts.open("r+b", buffering=0) as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.write(b"half")

        def finish(_secs: float) -> None:
            writer.seek(0)
            writer.write(b"whole")
            writer.truncate()
            fcntl.flock(writer, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", finish)
        assert reading.read(str(accounts)).raw == b"whole"


def test_a_lock_that_is_never_let_go_does_not_stop_a_reader(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]

    def pass_time(secs: float) -> None:
        passed[0] += secs

    monkeypatch.setattr(time, "sleep", pass_time)
    monkeypatch.setattr(time, "monotonic", lambda: passed[0])
    with accounts.open("rb") as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        assert reading.read(str(accounts)).raw == accounts.read_bytes()
    assert passed[0] == pytest.approx(reading.SHARED_WAIT_SECS, abs=0.1)


def test_reading_goes_on_where_locks_do_not_work(accounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert reading.read(str(accounts)).raw == accounts.read_bytes()


@pytest.mark.parametrize(("mode", "text"), [(0o444, "0444"), (0o400, "0400"), (0o644, None), (0o600, None)])
def test_a_file_without_a_write_bit_is_meant_to_stay_also_for_root(mode: int, text: str | None, accounts: Path) -> None:
    accounts.chmod(mode)
    obstacle = reading.obstacle(str(accounts))
    assert obstacle == (text and f"the file is read-only (mode {text})")


def test_the_obstacle_of_no_file_and_of_no_regular_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in (reading.obstacle(str(tmp_path / "absent")) or "")
    assert "regular" in (reading.obstacle(str(tmp_path)) or "")


def test_a_closed_folder_is_no_obstacle_because_the_file_is_written_in_place(owned: Path, as_nobody: Run) -> None:
    owned.parent.chmod(0o555)
    assert as_nobody(lambda: reading.obstacle(str(owned))) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_file_of_another_user_is_an_obstacle(owned: Path, as_nobody: Run) -> None:
    os.chown(owned, 0, 0)
    owned.chmod(0o644)
    assert as_nobody(lambda: reading.obstacle(str(owned))) == "the file may not be written by this user"


def test_reading_loads_nothing_that_is_slow_to_load() -> None:
    heavy = [
        "typing",
        "dataclasses",
        "enum",
        "re",
        "pathlib",
        "functools",
        "contextlib",
        "json",
        "logging",
        "filelock",
        "ctypes",
    ]
    code = f"import rotator.store.file, sys; print(sorted(set({heavy}) & set(sys.modules)))"
    command = [sys.executable, "-S", "-c", code]
    root = Path(reading.__file__).parents[2]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
