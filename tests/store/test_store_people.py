"""A person who saves in the middle of an exchange loses nothing, whatever the editor does and whenever it does it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from rotator import errors
from rotator.store import private, writing
from rotator.store.file import Store
from rotator.store.swap import swap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rotator.store.reading import Snapshot

    Beside = Callable[[Path], list[str]]
    Save = Callable[[Path, bytes], object]

EDIT = b"edited by hand"
OURS = b"+ours"


def ours(now: Snapshot) -> bytes:
    """The facts, over whatever the person wrote."""
    return now.raw.removesuffix(OURS) + OURS


def in_place(path: Path, raw: bytes) -> None:
    """As nano and ``jq . f > f``."""
    path.write_bytes(raw)


def by_rename(path: Path, raw: bytes) -> None:
    """As ``jq . f > t && mv t f`` and ``sed -i``."""
    other = path.with_name("sedKb3aX1")
    other.write_bytes(raw)
    other.replace(path)


def like_vim(path: Path, raw: bytes) -> None:
    """The old file goes away first, and is removed at the end."""
    aside = path.with_name(path.name + "~")
    path.rename(aside)
    path.write_bytes(raw)
    aside.unlink()


SAVES = [in_place, by_rename, like_vim]


class Moment:
    """Stands in for a function of the store, and lets the person act before or after it, once."""

    def __init__(self, function: Callable[..., bool], act: Callable[[], object], *, before: bool) -> None:
        self.function = function
        self.act: Callable[[], object] | None = act
        self.before = before

    def __call__(self, *arguments: str) -> bool:
        act, self.act = self.act, None
        if act and self.before:
            act()
        done = self.function(*arguments)
        if act and not self.before:
            act()
        return done


@pytest.mark.parametrize("save", SAVES)
def test_a_save_just_before_the_exchange_is_taken_as_the_files_content(
    save: Save, accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "swap", Moment(swap, lambda: save(accounts, EDIT), before=True))
    shown_while_syncing = []
    sync = private.sync_folder
    monkeypatch.setattr(
        private, "sync_folder", lambda path: shown_while_syncing.append(accounts.read_bytes()) or sync(path)
    )
    seen = []

    def rebase(now: Snapshot) -> bytes:
        seen.append(now.raw)
        return ours(now)

    old = accounts.read_bytes()
    assert Store(accounts).exchange(rebase).raw == accounts.read_bytes() == EDIT + OURS
    assert seen == [old, EDIT]
    assert shown_while_syncing == [EDIT, EDIT + OURS], "it is out of sight for no longer than two renames take"
    assert accounts.with_name("accounts.json.bak").read_bytes() == EDIT
    assert leftovers(accounts) == []


@pytest.mark.parametrize("moment", ["after the exchange", "before the folder is synced", "after the folder is synced"])
def test_a_write_through_a_descriptor_opened_before_is_found_in_what_was_displaced(
    moment: str, accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    with accounts.open("r+b", buffering=0) as editor:

        def write() -> None:
            editor.truncate(0)
            editor.write(EDIT)

        if moment == "after the exchange":
            monkeypatch.setattr(writing, "swap", Moment(swap, write, before=False))
        else:
            act = Moment(private.sync_folder, write, before=moment.startswith("before"))
            monkeypatch.setattr(private, "sync_folder", act)
        assert Store(accounts).exchange(ours).raw == accounts.read_bytes() == EDIT + OURS
    assert accounts.with_name("accounts.json.bak").read_bytes() == EDIT
    assert leftovers(accounts) == []


def test_an_editor_that_has_only_truncated_yet_goes_on_writing_into_the_file(
    accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_half(now: Snapshot) -> bytes:
        if not now.raw:
            raise errors.AccountsInvalid([])
        return ours(now)

    with accounts.open("r+b", buffering=0) as editor:
        monkeypatch.setattr(writing, "swap", Moment(swap, lambda: editor.truncate(0), before=True))
        with pytest.raises(errors.AccountsInvalid):
            Store(accounts).exchange(refuse_half)
        editor.write(EDIT)
    assert accounts.read_bytes() == EDIT
    assert leftovers(accounts) == []
    assert not accounts.with_name("accounts.json.bak").exists()
    assert Store(accounts).exchange(refuse_half).raw == EDIT + OURS


@pytest.mark.parametrize("save", SAVES)
def test_of_two_saves_around_the_exchange_the_later_is_the_file(
    save: Save, accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is displaced and about to be put back, when the second is saved over what took its place."""
    saves = [b"first", b"second"]

    def swap_among_saves(one: str, other: str) -> bool:
        if saves:
            save(accounts, saves.pop(0))
        return swap(one, other)

    monkeypatch.setattr(writing, "swap", swap_among_saves)
    assert Store(accounts).exchange(ours).raw == accounts.read_bytes() == b"second" + OURS
    assert leftovers(accounts) == []


def test_a_file_that_an_editor_has_moved_away_for_a_moment_is_not_made_again(
    accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = accounts.with_name("accounts.json~")
    monkeypatch.setattr(writing, "swap", Moment(swap, lambda: accounts.rename(aside), before=True))
    with pytest.raises(errors.AccountsMissing):
        Store(accounts).exchange(ours)
    assert leftovers(accounts) == ["accounts.json~"]


def test_a_person_who_replaces_the_file_by_a_folder_keeps_the_folder(
    accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_folder() -> None:
        accounts.unlink()
        accounts.mkdir()

    monkeypatch.setattr(writing, "swap", Moment(swap, make_folder, before=True))
    with pytest.raises(errors.AccountsUnreadable):
        Store(accounts).exchange(ours)
    assert accounts.is_dir()
    assert leftovers(accounts) == []


def test_a_displaced_save_keeps_its_mode_and_is_private_only_from_the_next_write_on(
    accounts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sed -i`` and ``jq > t && mv`` leave what the umask allows."""

    def save() -> None:
        by_rename(accounts, EDIT)
        accounts.chmod(0o644)

    monkeypatch.setattr(writing, "swap", Moment(swap, save, before=True))
    store = Store(accounts)
    store.exchange(ours)
    assert store.tightened
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in accounts.parent.iterdir()}
    assert modes == dict.fromkeys([".accounts.json.lock", "accounts.json", "accounts.json.bak"], 0o600)


def test_where_names_cannot_be_exchanged_a_save_before_the_rename_is_still_compared(
    accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def unable(_one: str, _other: str) -> bool:
        tries.append(1)
        return False

    monkeypatch.setattr(writing, "swap", unable)
    store = Store(accounts)
    edits = [EDIT]

    def rebase(now: Snapshot) -> bytes:
        if edits:
            in_place(accounts, edits.pop())
        return now.raw + OURS

    assert store.exchange(rebase).raw == EDIT + OURS
    assert accounts.with_name("accounts.json.bak").read_bytes() == EDIT
    store.exchange(rebase)
    assert (store.mode, len(tries)) == ("file", 1), "a folder is asked once"
    assert leftovers(accounts) == []


@pytest.mark.parametrize("way", ["exchanged", "renamed", "in_place"])
def test_the_backup_is_what_the_file_held_before_the_last_write(
    way: str, accounts: Path, leftovers: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "renamed":
        monkeypatch.setattr(writing, "swap", lambda _one, _other: False)
    if way == "in_place":
        os.link(accounts, accounts.with_name("twin"))
    backup = accounts.with_name("accounts.json.bak")
    accounts.chmod(0o644)
    store = Store(accounts)
    before = accounts.read_bytes()
    for raw in (b"1", b"2", b"3"):
        store.exchange(lambda _: raw)  # noqa: B023
        assert (backup.read_bytes(), stat.S_IMODE(backup.stat().st_mode)) == (before, 0o600)
        store.exchange(lambda _: None)
        before = raw
    assert leftovers(accounts) == (["twin"] if way == "in_place" else [])


@pytest.mark.parametrize("linked", [False, True])
def test_a_backup_that_cannot_be_is_done_without(linked: bool, accounts: Path, leftovers: Beside) -> None:
    if linked:
        os.link(accounts, accounts.with_name("twin"))
    accounts.with_name("accounts.json.bak").mkdir()
    assert Store(accounts).exchange(ours).raw == accounts.read_bytes()
    assert leftovers(accounts) == (["twin"] if linked else [])


def test_a_link_under_the_backups_name_is_replaced_and_not_written_through(accounts: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    accounts.with_name("accounts.json.bak").symlink_to(victim)
    Store(accounts).exchange(ours)
    assert victim.read_bytes() == b"mine"
