"""New tokens in a file that other engines write, and that a person puts old copies of back."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import MODEL, START, FakeClock, document, edit, load, runtime, save

from rotator import Rotator
from rotator.core.codec.tokens import short_hash
from rotator.core.signals import AuthRefused, Blocked

TOKENS = {"access_token": "fake-access-0", "refresh_token": "fake-refresh-0", "expires_at": START}


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Only a power cut could tell the difference."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document({"name": "a", **TOKENS}, {"name": "b"}))
    return path


@pytest.fixture
def clock():
    return FakeClock()


def refresh(rotator, number, *, losable=False):
    """One rotation, as whoever asks an endpoint does it; the refresh token that was sent, None when none may be."""
    with rotator.renewing("a", 1.0) as renewing:
        found = renewing.credentials()
        if renewing.is_superseded(found.refresh_token):
            return None
        renewing.reserve()
        renewing.keep(found, f"fake-access-{number}", f"fake-refresh-{number}", rotator.now() + 3600, losable=losable)
        return found.refresh_token


def refresh_token(path):
    return load(path)["accounts"][0]["refresh_token"]


class Endpoint:
    """What a provider with detection of reuse would say of each token that is sent."""

    def __init__(self):
        self.count = 0
        self.newest = "fake-refresh-0"

    def refresh(self, rotator):
        sent = refresh(rotator, self.count + 1)
        assert sent == self.newest
        self.count += 1
        self.newest = f"fake-refresh-{self.count}"


_steps = st.lists(
    st.one_of(
        st.sampled_from(["refresh", "write", "look", "leave"]), st.tuples(st.just("put back"), st.integers(0, 9))
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(_steps)
def test_whatever_copy_a_person_puts_back_no_spent_token_is_ever_sent_and_none_is_lost(steps):
    """Several engines that come and go, and a person who saves what was in the file some time ago."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "accounts.json")
        save(path, document({"name": "a", **TOKENS}, {"name": "b"}))
        clock, endpoint, copies = FakeClock(), Endpoint(), [path.read_bytes()]
        stays = Rotator.open(path, clock=clock)
        leaves = Rotator.open(path, clock=clock)
        for number, step in enumerate(steps):
            clock.advance(1.0)
            rotator = leaves if number % 2 else stays
            match step:
                case "refresh":
                    endpoint.refresh(rotator)
                case "write":
                    rotator.observe("b", MODEL, status=429, headers={"retry-after": str(60 + number)}, body=None)
                    rotator.flush()
                case "look":
                    rotator.explain(MODEL)
                case "leave":
                    leaves.close()
                    leaves = Rotator.open(path, clock=clock)
                case (_, index):
                    path.write_bytes(copies[index % len(copies)])
            copies.append(path.read_bytes())
        for rotator in (stays, leaves):
            endpoint.refresh(rotator)
            rotator.close()
        assert refresh_token(path) == endpoint.newest
        assert load(path)["accounts"][0]["access_token"] == f"fake-access-{endpoint.count}"
        assert "accounts.json.bak" in os.listdir(folder)
        assert not [entry for entry in os.listdir(folder) if entry.endswith((".room", ".tmp", ".swap"))]


def test_an_old_copy_is_mended_by_an_engine_that_only_looks(path, clock):
    with Rotator.open(path, clock=clock) as rotator:
        old = path.read_bytes()
        refresh(rotator, 1)
        path.write_bytes(old)
        rotator.explain(MODEL)
        assert rotator.due_at() is not None
        assert rotator.credentials("a").access_token == "fake-access-1"
        rotator.tick()
        assert refresh_token(path) == "fake-refresh-1"


def test_a_spent_token_stays_spent_when_a_person_takes_the_runtime_out(path, clock):
    with Rotator.open(path, clock=clock) as rotator:
        refresh(rotator, 1)
        refresh(rotator, 2)
        edit(path, lambda found: found["accounts"][0].pop("runtime"))
        rotator.tick()
        assert rotator.flush()
        assert runtime(path, "a")["superseded"] == [short_hash(f"fake-refresh-{number}") for number in (0, 1)]


def test_a_backup_that_is_no_document_hinders_nobody(path, clock):
    path.with_name("accounts.json.bak").write_bytes(b'{"superseded": "' + short_hash("fake-refresh-0").encode())
    with Rotator.open(path, clock=clock) as rotator:
        assert refresh(rotator, 1) == "fake-refresh-0"


def test_what_was_said_of_a_token_ends_with_its_rotation_by_a_peer_and_a_ban_does_not(path, clock):
    with Rotator.open(path, clock=clock) as one, Rotator.open(path, clock=clock) as two:
        one.ingest([AuthRefused("a", START, "a 401")])
        refresh(two, 1)
        assert one.flush()
        assert "consecutive_401" not in runtime(path, "a")
        one.ingest([Blocked("a", "banned", START, "because"), AuthRefused("a", START, "a 401")])
        refresh(two, 2)
        assert one.flush()
        assert runtime(path, "a")["banned"] is True
        assert "consecutive_401" not in runtime(path, "a")


def test_a_new_login_ends_a_pending_ban_as_before(path, clock):
    with Rotator.open(path, clock=clock) as rotator:
        rotator.ingest([Blocked("a", "banned", START, "because")])
        edit(path, lambda found: found["accounts"][0].update(refresh_token="fake-login"))
        rotator.flush()
        assert "banned" not in runtime(path, "a")


def test_tokens_that_are_on_no_disk_are_not_sent_unless_they_may_be_lost(path, clock):
    path.chmod(0o400)
    with Rotator.open(path, clock=clock) as rotator:
        refresh(rotator, 1)
        assert rotator.credentials("a").access_token == "fake-access-0"
        refresh(rotator, 2, losable=True)
        assert rotator.credentials("a").access_token == "fake-access-0"
    rotator = Rotator.memory(path.read_bytes(), clock=clock)
    refresh(rotator, 1, losable=True)
    assert rotator.credentials("a").access_token == "fake-access-1"


def test_a_child_of_a_fork_does_not_write_its_parents_tokens(path, clock):
    with Rotator.open(path, clock=clock) as rotator:
        path.chmod(0o400)
        refresh(rotator, 1)
        path.chmod(0o600)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            clock.advance(61)
            rotator.hold("b")
            rotator.flush()
            os._exit(0)
        os.waitpid(child, 0)
        assert refresh_token(path) == "fake-refresh-0"
        clock.advance(61)
        rotator.tick()
        assert rotator.flush()
        assert refresh_token(path) == "fake-refresh-1"


def test_tokens_of_an_account_that_was_renamed_are_not_given_to_another(path, clock):
    with Rotator.open(path, clock=clock) as rotator:
        old = path.read_bytes()
        refresh(rotator, 1)
        path.write_bytes(old.replace(b'"b"', b'"a2"'))
        edit(path, lambda found: found["accounts"].reverse())
        rotator.explain(MODEL)
        rotator.tick()
        found = {each["name"]: each for each in load(path)["accounts"]}
        assert found["a"]["refresh_token"] == "fake-refresh-1"
        assert "refresh_token" not in found["a2"]
