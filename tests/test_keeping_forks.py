"""Engines that write without sight of each other, because an old buffer was saved over what one of them wrote."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from simulators import MODEL, FakeClock, account, document, edit, runtime, save

import rotator.core.codec.decode
from rotator import Rotator
from rotator.cli import main
from rotator.core.codec.seal import is_sealed
from rotator.store import leftovers, private

REFUSED = {"status": 429, "headers": {"retry-after": "600"}, "body": None}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def path(tmp_path, clock):
    path = tmp_path / "accounts.json"
    save(path, document(account("a"), account("b")))
    with Rotator.open(path, clock=clock) as first:
        first.observe("a", "old", **REFUSED)
        first.observe("b", "old", **REFUSED)
    return path


@pytest.fixture
def one(path, clock):
    with Rotator.open(path, clock=clock) as engine:
        yield engine


@pytest.fixture
def other(path, clock):
    with Rotator.open(path, clock=clock) as engine:
        yield engine


@pytest.fixture
def buffer(path, one, other):
    """What an editor read before anybody wrote."""
    return path.read_bytes()


def learns(engine, *models, name="a"):
    """The engine is refused for these models and writes that, one after the other."""
    for model in models:
        engine.observe(name, model, **REFUSED)
        assert engine.flush()


def blocked(path, name="a"):
    return set(runtime(path, name)["models"])


@pytest.mark.parametrize("here", [1, 2, 4])
@pytest.mark.parametrize("there", [1, 2, 4])
def test_an_old_buffer_between_two_engines_costs_neither_its_facts(path, clock, one, other, buffer, here, there):
    ours, theirs = [f"ours-{n}" for n in range(here)], [f"theirs-{n}" for n in range(there)]
    learns(one, *ours)
    path.write_bytes(buffer)
    learns(other, *theirs)
    assert set(theirs) <= blocked(path)
    assert set(one.pool.models()) == {"old", *ours}
    assert one.explain(ours[0]).candidates[0].blocked_by == "cooldown"
    assert one.explain(theirs[0]).candidates[0].blocked_by == "cooldown"
    assert one.flush()
    assert blocked(path) == {"old", *ours, *theirs}
    assert other.explain(ours[0]).candidates[0].blocked_by == "cooldown"
    raw = path.read_bytes()
    assert other.flush()
    assert one.flush()
    assert path.read_bytes() == raw, "they agree"


def test_what_a_command_wrote_over_an_old_buffer_is_kept_although_its_rev_is_lower(path, clock, one, buffer):
    learns(one, "ours-0", "ours-1", "ours-2")
    path.write_bytes(buffer)
    with Rotator.open(path, clock=clock) as command:
        learns(command, "theirs")
    assert runtime(path, "a")["rev"] == 2
    assert one.flush()
    one.next(MODEL)
    assert one.flush()
    assert blocked(path) == {"old", "ours-0", "ours-1", "ours-2", "theirs"}


def test_what_was_joined_and_not_yet_written_survives_old_buffers_of_either_side(path, clock, one, other, buffer):
    learns(one, "ours")
    mine = path.read_bytes()
    path.write_bytes(buffer)
    learns(other, "theirs")
    theirs = path.read_bytes()
    one.explain(MODEL)
    for stale in (mine, theirs, buffer):
        path.write_bytes(stale)
        one.explain(MODEL)
        assert set(one.pool.models()) == {"old", "ours", "theirs"}
    assert one.flush()
    assert blocked(path) == {"old", "ours", "theirs"}


def test_an_old_buffer_alone_is_no_other_process(path, clock, one, buffer):
    learns(one, "ours")
    edit(path, lambda found: found["accounts"][0]["runtime"]["models"].pop("old"))
    learns(one, "more")
    path.write_bytes(buffer)
    assert one.flush()
    assert blocked(path) == {"ours", "more"}, "what a person took out is not brought back by an old buffer"


def test_a_person_who_edits_wins_although_the_old_seal_stands_there(path, clock, one, other):
    edit(path, lambda found: found["accounts"][0]["runtime"]["models"].pop("old"))
    assert not is_sealed(runtime(path, "a"))
    assert one.explain("old").candidates[0].blocked_by is None
    assert other.explain("old").candidates[0].blocked_by is None
    learns(one, "new")
    learns(other, "newer")
    assert blocked(path) == {"new", "newer"}
    assert is_sealed(runtime(path, "a"))


def test_a_person_who_takes_an_edit_back_wins_too(path, clock, one, buffer):
    edit(path, lambda found: found["accounts"][0]["runtime"].update(held=True))
    assert one.explain("other").candidates[0].blocked_by == "held"
    path.write_bytes(buffer)
    assert one.explain("other").candidates[0].blocked_by is None
    assert one.flush()
    assert "held" not in runtime(path, "a")


@pytest.mark.parametrize("what", ["seal", "sealed_over", "both"])
def test_seals_may_be_removed(path, clock, one, other, what):
    learns(one, "ours")
    keys = ("seal", "sealed_over") if what == "both" else (what,)
    edit(path, lambda found: [found["accounts"][0]["runtime"].pop(key, None) for key in keys])
    assert one.explain("ours").candidates[0].blocked_by == "cooldown"
    assert other.explain("ours").candidates[0].blocked_by == "cooldown"
    learns(other, "theirs")
    learns(one, "more")
    assert blocked(path) == {"old", "ours", "theirs", "more"}


def test_a_file_without_seals_is_kept_by_rev_as_ever(path, clock):
    def bare(found):
        for each in found["accounts"]:
            each["runtime"].pop("seal")

    edit(path, bare)
    with Rotator.open(path, clock=clock) as engine:
        edit(path, lambda found: found["accounts"][0]["runtime"].update(banned=True))
        assert engine.explain("other").candidates[0].blocked_by == "banned"
        assert engine.flush()
        assert runtime(path, "a")["rev"] == 2
    assert is_sealed(runtime(path, "a"))
    assert "seal" not in runtime(path, "b")


def test_only_an_account_that_was_written_on_both_sides_is_parsed_for_its_seal(path, clock, one, other, monkeypatch):
    asked = []
    real = rotator.core.codec.decode.Document.account
    monkeypatch.setattr(
        rotator.core.codec.decode.Document, "account", lambda self, index: asked.append(index) or real(self, index)
    )
    buffer = path.read_bytes()
    learns(one, "ours", name="b")
    learns(other, "theirs", name="a")
    edit(path, lambda found: found["accounts"][0]["runtime"].update(held=True))
    one.explain(MODEL)
    assert asked == []
    path.write_bytes(buffer)
    with Rotator.open(path, clock=clock) as command:
        learns(command, "its", name="b")
    one.explain(MODEL)
    assert asked == [1]


def test_a_line_of_seals_is_bounded(path, clock, one):
    for number in range(20):
        clock.advance(1)
        learns(one, f"m-{number}")
    state = runtime(path, "a")
    assert len(state["sealed_over"].split()) == 8
    assert state["rev"] == 21


@pytest.mark.parametrize(
    "words", [["check"], ["status"], ["status", "--json"], ["doctor"], ["next", "-m", "m", "--peek"]]
)
def test_a_seal_is_valid_and_nothing_that_people_are_shown(path, one, words):
    learns(one, "ours")
    said = io.TextIOWrapper(io.BytesIO())
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["--accounts", str(path), *words])
    said.flush()
    shown = said.buffer.getvalue().decode()
    state = runtime(path, "a")
    assert code == 0 or words == ["doctor"]
    assert shown
    assert not any(part in shown for part in ("sealed_over", state["seal"], *state["sealed_over"].split()))


def leftover(path, raw):
    """A draft of a writer that died, as the store leaves it beside the file."""
    Path(private.path_beside(str(path), leftovers.DRAFT)).write_bytes(raw)


def test_a_draft_of_a_writer_that_died_undoes_no_edit_that_a_person_made_since(path, clock, one):
    before = path.read_bytes()
    learns(one, "ours")
    draft = path.read_bytes()
    path.write_bytes(before)
    edit(path, lambda found: found["accounts"][0]["runtime"].update(models={}, held=True))
    leftover(path, draft)
    with Rotator.open(path, clock=clock) as engine:
        assert engine.explain("ours").candidates[0].blocked_by == "held"


def test_a_draft_that_was_begun_beside_what_the_file_holds_is_joined_with_it(path, clock, one, other, buffer):
    learns(one, "ours-0", "ours-1")
    draft = path.read_bytes()
    path.write_bytes(buffer)
    learns(other, "theirs")
    leftover(path, draft)
    with Rotator.open(path, clock=clock) as engine:
        assert set(engine.pool.models()) == {"old", "ours-0", "ours-1", "theirs"}
        assert engine.flush()
    assert blocked(path) == {"old", "ours-0", "ours-1", "theirs"}
