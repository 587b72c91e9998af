"""An exchange replaces the whole file, privately and durably, and never what it has not read."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator import errors
from rotator.store import reading, writing
from rotator.store.file import ROUNDS, Store
from rotator.store.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[[Callable[[], Any]], Any]
    Leftovers = Callable[[Path], list[str]]

NEW = b'{"accounts": [], "active": "fake-new"}\n'


def replace(store: Store, raw: bytes = NEW) -> reading.Snapshot:
    return store.exchange(lambda _: raw)


def test_the_answer_is_what_the_file_holds_now(accounts: Path, leftovers: Leftovers) -> None:
    store = Store(accounts)
    snapshot = replace(store)
    assert (store.mode, store.lock_kind, store.synced) == ("file", "file", True)
    assert snapshot.raw == accounts.read_bytes() == NEW
    assert snapshot.stamp == store.stamp() == store.read().stamp
    assert leftovers(accounts) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(st.binary(max_size=9000), min_size=1, max_size=4), linked=st.booleans())
def test_whatever_is_written_is_read_back_by_either_way_of_writing(
    accounts: Path, leftovers: Leftovers, documents: list[bytes], linked: bool
) -> None:
    twin = accounts.with_name("twin")
    twin.unlink(missing_ok=True)
    if linked:
        os.link(accounts, twin)
    store = Store(accounts)
    for document in documents:
        before = accounts.read_bytes()
        seen = []

        def rebase(now: reading.Snapshot) -> bytes:
            seen.append(now.raw)  # noqa: B023
            return document  # noqa: B023

        assert store.exchange(rebase).raw == document
        assert seen == [before]
        assert store.read().raw == document
        assert store.stamp() == store.read().stamp
    assert leftovers(accounts) == (["twin"] if linked else [])


def test_nothing_to_write_leaves_the_very_same_file(accounts: Path) -> None:
    before = reading.stamp(str(accounts))
    store = Store(accounts)
    assert store.exchange(lambda _: None).stamp == before
    assert store.exchange(lambda now: now.raw).stamp == before
    assert reading.stamp(str(accounts)) == before


def test_a_link_stays_a_link_and_lock_and_file_are_beside_its_target(accounts: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.json"
    link.parent.mkdir()
    link.symlink_to(accounts)
    replace(Store(link))
    assert link.is_symlink()
    assert accounts.read_bytes() == NEW
    assert sorted(os.listdir(accounts.parent)) == [".accounts.json.lock", "accounts.json", "accounts.json.bak"]
    assert os.listdir(link.parent) == ["link.json"]


def test_a_link_that_is_pointed_elsewhere_is_followed_anew(accounts: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(b"{}")
    link = tmp_path / "link.json"
    link.symlink_to(accounts)
    store = Store(link)
    replace(store)
    link.unlink()
    link.symlink_to(other)
    replace(store, b"[]")
    assert (accounts.read_bytes(), other.read_bytes()) == (NEW, b"[]")


@pytest.mark.parametrize("name", ["absent", "dangling", "folder", "loop", "pipe"])
def test_what_cannot_be_read_is_neither_created_nor_replaced(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    make: dict[str, Callable[[], object]] = {
        "absent": lambda: None,
        "dangling": lambda: path.symlink_to("nowhere"),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
        "pipe": lambda: os.mkfifo(path),
    }
    make[name]()
    before = os.listdir(tmp_path)
    expected = errors.AccountsMissing if name in {"absent", "dangling"} else errors.AccountsUnreadable
    with pytest.raises(expected):
        Store(path).exchange(lambda _: pytest.fail("asked in vain"))
    assert os.listdir(tmp_path) == before


def test_an_exception_of_the_caller_passes_unchanged_and_nothing_is_written(
    accounts: Path, leftovers: Leftovers
) -> None:
    before = reading.stamp(str(accounts))
    store = Store(accounts)
    for error in (errors.AccountsInvalid([]), PermissionError(13, "mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            store.exchange(lambda _: raiser(error))  # noqa: B023
        assert caught.value is error
        with pytest.raises(type(error)) as caught:
            store.exchange(lambda _: NEW, keep=lambda _: raiser(error))  # noqa: B023
        assert caught.value is error
    assert reading.stamp(str(accounts)) == before
    assert leftovers(accounts) == []
    replace(store)


def raiser(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("linked", [False, True])
def test_an_edit_behind_our_back_survives(linked: bool, accounts: Path, leftovers: Leftovers) -> None:
    if linked:
        os.link(accounts, accounts.with_name("twin"))
    edits = [b'{"edited": "by hand"}']

    def rebase(now: reading.Snapshot) -> bytes:
        if edits:
            accounts.write_bytes(edits.pop())
        return now.raw + b"+ours"

    answer = Store(accounts).exchange(rebase, keep=lambda _: ".v1.bak")
    assert answer.raw == accounts.read_bytes() == b'{"edited": "by hand"}+ours'
    assert accounts.with_name("accounts.json.v1.bak").read_bytes() == b'{"edited": "by hand"}'
    assert leftovers(accounts) == ["accounts.json.v1.bak", *(["twin"] if linked else [])]


@pytest.mark.parametrize("linked", [False, True])
def test_somebody_who_wrote_the_very_bytes_we_wanted_did_not_do_our_work(linked: bool, accounts: Path) -> None:
    """Two who count from 1 both want to write 2, and it must become 3."""
    if linked:
        os.link(accounts, accounts.with_name("twin"))
    accounts.write_bytes(b"1")
    seen: list[bytes] = []

    def count_one(now: reading.Snapshot) -> bytes:
        if not seen:
            accounts.write_bytes(b"2")
        seen.append(now.raw)
        return b"%d" % (int(now.raw) + 1)

    assert Store(accounts).exchange(count_one).raw == accounts.read_bytes() == b"3"
    assert seen == [b"1", b"2"]


def test_an_edit_of_the_same_size_within_one_tick_of_the_clock_survives(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "stamp_of", lambda status: (0, 0, status.st_size, 0, 0))
    accounts.write_bytes(b"1")
    edits = [b"2"]

    def rebase(now: reading.Snapshot) -> bytes:
        if edits:
            accounts.write_bytes(edits.pop())
        return now.raw + b"+ours"

    assert Store(accounts).exchange(rebase).raw == b"2+ours"


def test_somebody_who_never_stops_writing_wins_and_the_caller_learns_it(accounts: Path, leftovers: Leftovers) -> None:
    calls = []

    def rebase(_: reading.Snapshot) -> bytes:
        calls.append(1)
        accounts.write_bytes(b"edit %d" % len(calls))
        return NEW

    with pytest.raises(errors.AccountsBusy):
        Store(accounts).exchange(rebase, keep=lambda _: ".v1.bak")
    assert len(calls) == ROUNDS
    assert accounts.read_bytes() == b"edit %d" % ROUNDS
    assert leftovers(accounts) == []


def test_a_file_that_goes_away_while_we_write_is_not_made_again(accounts: Path, leftovers: Leftovers) -> None:
    def rebase(_: reading.Snapshot) -> bytes:
        accounts.unlink()
        return NEW

    with pytest.raises(errors.AccountsMissing):
        Store(accounts).exchange(rebase)
    assert not accounts.exists()
    assert leftovers(accounts) == []


def test_a_link_that_moves_while_the_lock_is_awaited_is_followed(
    accounts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(b"{}")
    link = tmp_path / "link.json"
    link.symlink_to(accounts)
    before = accounts.read_bytes()
    acquire = Lock.acquire

    def wait_and_see_it_move(lock: Lock) -> str:
        link.unlink()
        link.symlink_to(other)
        return acquire(lock)

    monkeypatch.setattr(Lock, "acquire", wait_and_see_it_move)
    replace(Store(link))
    assert (accounts.read_bytes(), other.read_bytes()) == (before, NEW)


@pytest.mark.parametrize("linked", [False, True])
def test_backups_are_never_overwritten(linked: bool, accounts: Path) -> None:
    if linked:
        os.link(accounts, accounts.with_name("twin"))
    store = Store(accounts)
    before = accounts.read_bytes()
    for raw in (b"1", b"2", b"3"):
        store.exchange(lambda _: raw, keep=lambda _: ".v1.bak")  # noqa: B023
    store.exchange(lambda _: b"4", keep=lambda _: None)
    kept = [accounts.with_name("accounts.json.v1.bak" + more).read_bytes() for more in ("", ".1", ".2")]
    assert kept == [before, b"1", b"2"]
    assert not accounts.with_name("accounts.json.v1.bak.3").exists()


@pytest.mark.parametrize("linked", [False, True])
def test_a_disk_that_takes_one_byte_at_a_time_gets_the_whole_file(
    linked: bool, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if linked:
        os.link(accounts, accounts.with_name("twin"))
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: pwrite(descriptor, data[:1], offset))
    replace(Store(accounts))
    assert accounts.read_bytes() == NEW


def test_a_short_write_never_installs_a_truncated_file(
    accounts: Path, monkeypatch: pytest.MonkeyPatch, leftovers: Leftovers
) -> None:
    before = accounts.read_bytes()
    monkeypatch.setattr(os, "pwrite", lambda _descriptor, _data, _offset: 0)
    with pytest.raises(errors.MachineError):
        replace(Store(accounts))
    monkeypatch.setattr(os, "pwrite", lambda _descriptor, data, _offset: len(data))
    with pytest.raises(errors.MachineError):
        replace(Store(accounts))
    monkeypatch.undo()
    pwrite = os.pwrite
    lies = [1]
    monkeypatch.setattr(os, "pwrite", lambda *arguments: lies.pop() if lies else pwrite(*arguments))
    with pytest.raises(errors.MachineError):
        replace(Store(accounts))
    monkeypatch.undo()
    assert accounts.read_bytes() == before
    assert leftovers(accounts) == []
    assert replace(Store(accounts)).raw == NEW


@pytest.mark.parametrize("way", ["exchanged", "renamed", "in_place"])
def test_everything_is_on_the_disk_before_what_relies_on_it(
    way: str, accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, rename, swap, truncate = os.fsync, os.replace, writing.swap, os.ftruncate

    def note_sync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted(name: str, step: Any) -> Any:
        def note(*arguments: Any) -> Any:
            order.append(name)
            return step(*arguments)

        return note

    if way == "in_place":
        os.link(accounts, accounts.with_name("twin"))
    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", noted("rename", rename))
    monkeypatch.setattr(os, "ftruncate", noted("overwrite", truncate))
    monkeypatch.setattr(writing, "swap", (lambda _, __: False) if way == "renamed" else noted("swap", swap))
    Store(accounts).exchange(lambda _: NEW, keep=lambda _: ".v1.bak")
    aside = ["file", "folder"]
    draft = ["file"]
    assert (
        order
        == {
            "exchanged": [*aside, *draft, "swap", "folder", "rename"],
            "renamed": [*aside, *draft, *aside, "rename", "folder", "rename"],
            "in_place": [*aside, *aside, "overwrite", "file", "rename"],
        }[way]
    )


def test_a_hard_link_keeps_showing_the_same_file(accounts: Path) -> None:
    twin = accounts.with_name("twin")
    os.link(accounts, twin)
    store = Store(accounts)
    replace(store)
    assert store.mode == "in_place"
    assert twin.read_bytes() == NEW
    twin.unlink()
    replace(store, b"{}")
    assert store.mode == "file"


def test_between_any_two_steps_in_place_lies_the_old_document_or_the_new_one(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(accounts, accounts.with_name("twin"))
    seen: list[bytes] = []

    def watched(name: str) -> None:
        step = getattr(os, name)

        def look_first(*arguments: Any) -> Any:
            seen.append(accounts.read_bytes().rstrip(b" "))
            return step(*arguments)

        monkeypatch.setattr(os, name, look_first)

    for name in ("pwrite", "ftruncate", "fsync"):
        watched(name)
    old = accounts.read_bytes()
    store = Store(accounts)
    for new in (old * 9, b"{}", b"[]"):
        replace(store, new)
        assert set(seen) == {old, new}
        seen.clear()
        old = new
