"""Keeping a large file: work follows what changed, and writing keeps to its share of the time however long it takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import MODEL, START, FakeClock, account, document, edit, load, save

import rotator.core.codec.decode
import rotator.core.codec.encode
import rotator.keeping.ledger
from rotator import Rotator
from rotator.keeping.due import Due

REFUSED = {"status": 429, "headers": {"retry-after": "7200"}, "body": None}
MANY = 300


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(*[account(f"n{number}") for number in range(MANY)], active="n0"))
    with Rotator.open(path, clock=FakeClock()) as one:
        for number in range(MANY):
            one.observe(f"n{number}", MODEL, status=200, headers={}, body=None)
    return path


@pytest.fixture
def counted(monkeypatch):
    """How often each part is read or written, by the name of the function that does it."""
    calls = dict.fromkeys(("decode", "decode_account", "encode_runtime", "members"), 0)

    def count(module, name):
        real = getattr(module, name)

        def counting(*given, **options):
            calls[name] += 1
            return real(*given, **options)

        monkeypatch.setattr(module, name, counting)

    count(rotator.keeping.ledger, "decode")
    count(rotator.core.codec.account, "decode_account")
    count(rotator.core.codec.encode, "encode_runtime")
    count(rotator.core.codec.encode, "members")
    return calls


def test_a_flush_reads_no_document_anew_that_nobody_changed_and_writes_the_changed_accounts_alone(path, counted):
    with Rotator.open(path, clock=FakeClock(START + 60)) as rotator:
        assert (counted["decode"], counted["decode_account"]) == (1, MANY)
        for number in (7, 150, 7):
            rotator.observe(f"n{number}", MODEL, **REFUSED)
        assert rotator.flush()
        assert counted == {"decode": 1, "decode_account": MANY, "encode_runtime": 2, "members": 2}
        rotator.observe("n8", MODEL, **REFUSED)
        assert rotator.flush()
        assert counted == {"decode": 1, "decode_account": MANY, "encode_runtime": 3, "members": 3}
        assert rotator.flush()
        rotator.explain(MODEL)
        assert counted == {"decode": 1, "decode_account": MANY, "encode_runtime": 3, "members": 3}


def test_a_file_that_a_person_changed_is_read_once_and_nothing_is_written_again_for_it(path, counted):
    with Rotator.open(path, clock=FakeClock(START + 60)) as rotator:
        edit(path, lambda found: found["accounts"][3].update(note="typed"))
        rotator.explain(MODEL)
        rotator.observe("n9", MODEL, **REFUSED)
        assert rotator.flush()
        assert (counted["decode"], counted["encode_runtime"]) == (2, 1)
    assert load(path)["accounts"][3]["note"] == "typed"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.001, 60.0), min_size=2, max_size=20), st.sampled_from([0.01, 0.05, 0.5]))
def test_whatever_a_write_takes_the_share_of_time_for_writing_is_kept(durations, share):
    due, mono, spent = Due(), 0.0, 0.0
    for secs in durations:
        due.touch(mono, urgent=True)
        mono = max(mono, due.at(5.0))
        due.begin()
        mono += secs
        spent += secs
        due.done(mono, secs, share)
    due.touch(mono, urgent=True)
    assert spent <= share * due.at(5.0) * (1 + 1e-9)
