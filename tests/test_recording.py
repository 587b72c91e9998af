"""A recorded session: whole lines, nothing secret, and enough in them to make every pick again."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from simulators import MODEL, START, FakeClock, account, document, edit, save

import rotator as package
from rotator import Lease, Rotator
from rotator.core.history import Asked, Heard, Stood, entry_of
from rotator.core.policy import SELECTORS
from rotator.core.signals import QuotaObserved
from rotator.core.state import Window
from rotator.engine.retracing import retrace, summary
from rotator.recording import Recorder

REPOSITORY = Path(package.__file__).parents[1]
MODELS = ("m", "n")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "accounts.json"
    more = {"a": {}, "b": {"weight": 4}, "c": {"quota_group": "g"}, "d": {"quota_group": "g", "priority": 1}}
    save(path, document(*[account(name, provider="anthropic", **parts) for name, parts in more.items()]))
    return path


@pytest.fixture
def log(tmp_path):
    return tmp_path / "picks.jsonl"


def entries_of(log):
    return [(number, entry_of(line)) for number, line in enumerate(log.read_bytes().splitlines(), 1) if line]


def steps_of(log, prepare=lambda pool: pool):
    entries = entries_of(log)
    assert isinstance(entries[0][1], Stood)
    return list(retrace(entries, prepare(entries[0][1].pool), prepare))


def headers(chance, clock):
    """What a response says of the windows, sometimes nothing."""
    if chance.random() < 0.2:
        return {}
    return {
        "anthropic-ratelimit-unified-5h-utilization": f"{chance.random():.2f}",
        "anthropic-ratelimit-unified-5h-reset": str(int(clock.wall + 7200)),
        "anthropic-ratelimit-unified-7d-utilization": f"{chance.random():.2f}",
        "anthropic-ratelimit-unified-7d-reset": str(int(clock.wall + 300_000)),
    }


def live(engine, clock, chance, leases):
    """One thing that happens to an engine."""
    clock.advance(round(chance.random() * 90, 3))
    what = chance.random()
    if what < 0.5:
        leased = engine.lease(
            chance.choice(MODELS),
            session=chance.choice([None, "s-1", "s-2"]),
            among=chance.choice([None, None, None, frozenset("abc")]),
        )
        if isinstance(leased, Lease):
            leases.append(leased)
    elif what < 0.9 and leases:
        status = chance.choice([200] * 8 + [429, 429, 529, 500, 401, 403])
        said = {**headers(chance, clock), **({"retry-after": "45"} if status == 429 and chance.random() < 0.5 else {})}
        leases.pop(chance.randrange(len(leases))).observe(status=status, headers=said, body=b"{}", tokens=500)
    elif what < 0.93:
        engine.hold(chance.choice("abcd"), until=datetime.fromtimestamp(clock.wall + 200, UTC))
    elif what < 0.95:
        engine.release(chance.choice("abcd"))
    elif what < 0.97:
        window = Window("5h", round(chance.random(), 3), clock.wall + 1000.0005, 18000.0)
        engine.ingest([QuotaObserved(chance.choice("abcd"), None, clock.wall, (window,))])
    else:
        engine.flush()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("selector", SELECTORS)
def test_the_same_policy_makes_every_pick_of_a_session_again(path, log, selector, seed):
    edit(path, lambda found: found.update(policy={"selector": selector}))
    clock, chance, leases = FakeClock(), random.Random(seed), []
    with Rotator.open(path, clock=clock, record=log) as engine:
        for _ in range(250):
            live(engine, clock, chance, leases)
    steps = steps_of(log)
    assert len(steps) > 60
    assert [step for step in steps if not step.agrees] == []
    told = [(step.asked.outcome, step.asked.reason) for step in steps]
    assert told == [(step.outcome, step.reason) for step in steps]
    assert {step.account for step in steps} >= {"a", "b", "c"}


def test_hand_edits_and_another_process_are_in_the_log_too(path, log):
    clock, chance = FakeClock(), random.Random(7)
    one, other = Rotator.open(path, clock=clock, record=log), Rotator.open(path, clock=clock, record=log)
    leases = {one: [], other: []}
    for place in range(200):
        engine = chance.choice([one, other])
        live(engine, clock, chance, leases[engine])
        if place % 40 == 39:
            engine.flush()
            priority = place % 3
            edit(path, lambda found, to=priority: found["accounts"][1].update(priority=to))
    one.close()
    other.close()
    steps = steps_of(log)
    assert len(steps) > 50
    assert [step for step in steps if not step.agrees] == []


def test_a_file_that_others_change_unseen_is_told_anew_and_only_then(path, log):
    clock = FakeClock()
    with Rotator.open(path, clock=clock, record=log) as engine:
        for _ in range(3):
            engine.next(MODEL)
        assert [type(entry) for _, entry in entries_of(log)] == [Stood, Asked, Asked, Asked]
        clock.advance(1)
        edit(path, lambda found: found["accounts"][0].update(enabled=False))
        assert engine.next(MODEL).account == "b"
    assert [type(entry) for _, entry in entries_of(log)][4:] == [Stood, Asked]
    with Rotator.open(path, clock=clock, record=log) as engine:
        engine.next(MODEL)
    assert [type(entry) for _, entry in entries_of(log)][6:] == [Asked]


def test_another_policy_picks_otherwise_and_goes_its_own_way(path, log):
    clock, chance, leases = FakeClock(), random.Random(1), []
    with Rotator.open(path, clock=clock, record=log) as engine:
        for _ in range(200):
            live(engine, clock, chance, leases)

    def prepare(pool):
        return type(pool)(list(pool), pool.active, pool.policy.replace(selector="round_robin"))

    steps = steps_of(log, prepare)
    found = summary(steps)
    assert found["requests"] == found["agreements"] + found["differences"] == len(steps)
    assert found["differences"] > 0
    assert {step.reason for step in steps} & {"round_robin"}


def respond(engine, name, status):
    engine.observe(name, MODEL, status=status, headers={"retry-after": "600"} if status == 429 else {}, body=b"{}")


@pytest.mark.parametrize(("later", "shown"), [(200, "avoided"), (429, "met"), (None, "unknown"), (500, "unknown")])
def test_of_a_429_that_another_pick_would_have_met_only_what_the_log_shows_counts(path, log, later, shown):
    clock = FakeClock()
    with Rotator.open(path, clock=clock, record=log) as engine:
        assert engine.next(MODEL).account == "a"
        respond(engine, "a", 429)
        clock.advance(5)
        assert engine.next(MODEL).account == "b"
        if later is not None:
            respond(engine, "b", later)

    def prepare(pool):
        accounts = [each.replace(enabled=each.name != "a") for each in pool]
        return type(pool)(accounts, None, pool.policy)

    first = steps_of(log, prepare)[0]
    assert (first.status, first.account, first.shown) == (429, "b", shown)


def test_a_response_long_after_shows_nothing_any_more(path, log):
    clock = FakeClock()
    with Rotator.open(path, clock=clock, record=log) as engine:
        engine.next(MODEL)
        respond(engine, "a", 429)
        clock.advance(599)
        engine.next(MODEL)
        clock.advance(2)
        respond(engine, "b", 200)
    first = steps_of(log, lambda pool: type(pool)([a.replace(enabled=a.name != "a") for a in pool], None, pool.policy))[
        0
    ]
    assert first.shown == "unknown"


def test_no_secret_no_header_and_no_name_of_a_conversation_is_in_a_log(path, log):
    edit(
        path,
        lambda found: found["accounts"][0].update(
            api_key="fake-canary-key",
            refresh_token="fake-canary-refresh",
            access_token="fake-canary-access",
            client_secret="fake-canary-client",
            project_id="canary-project",
            note="canary-note",
        ),
    )
    clock = FakeClock()
    with Rotator.open(path, clock=clock, record=log) as engine:
        engine.next(MODEL, session="canary-session")
        for status in (200, 401, 403, 429, 500):
            body = json.dumps({"error": {"message": "canary-body fake-canary-key", "type": "x"}, "text": "canary-text"})
            said = {"x-request-id": "canary-header", "www-authenticate": "canary-header", "retry-after": "9"}
            engine.observe("a", MODEL, status=status, headers=said, body=body.encode())
            clock.advance(60)
            engine.next(MODEL, session="canary-session")
        edit(path, lambda found: found["accounts"][1].update(note="canary-again", priority=1))
        engine.next(MODEL, session="canary-session")
    assert b"canary" not in log.read_bytes()
    assert log.read_bytes().count(b'"kind":"pool"') >= 2
    assert b'"session":"' in log.read_bytes()


def test_a_log_is_its_owners_alone(path, log):
    log.touch(0o644)
    with Rotator.open(path, clock=FakeClock(), record=log) as engine:
        engine.next(MODEL)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    log.unlink()
    before = os.umask(0)
    try:
        with Rotator.open(path, clock=FakeClock(), record=log) as engine:
            engine.next(MODEL)
    finally:
        os.umask(before)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_each_record_is_one_write_of_whole_lines(path, log, monkeypatch):
    wrote = []
    write = os.write

    def spied(descriptor, raw):
        if b'"kind"' in raw:
            wrote.append(bytes(raw))
        return write(descriptor, raw)

    with Rotator.open(path, clock=FakeClock(), record=log) as engine:
        monkeypatch.setattr("rotator.recording.os.write", spied)
        engine.next(MODEL)
        respond(engine, "a", 200)
    assert len(wrote) == 2
    assert all(raw.endswith(b"\n") for raw in wrote)
    assert b"".join(wrote) == log.read_bytes()


def test_a_line_that_was_cut_off_costs_no_other(path, log):
    clock = FakeClock()
    with Rotator.open(path, clock=clock, record=log) as engine:
        engine.next(MODEL)
        engine.next(MODEL)
    whole = log.read_bytes()
    log.write_bytes(whole[:-20])
    with Rotator.open(path, clock=clock, record=log) as engine:
        engine.next(MODEL)
    lines = log.read_bytes().splitlines()
    assert lines[:2] == whole.splitlines()[:2]
    assert [json.loads(line)["kind"] for line in lines[3:]] == ["pool", "request"]


@pytest.mark.parametrize("content", [b'{"version": 2, "accounts": []}', b"a letter\n", b"\x00" * 100])
def test_what_is_no_log_is_never_appended_to(path, log, content, caplog):
    log.write_bytes(content)
    with Rotator.open(path, clock=FakeClock(), record=log) as engine:
        assert engine.next(MODEL).account == "a"
    assert log.read_bytes() == content
    assert "no log of rotator's" in caplog.text


def test_a_log_that_cannot_be_written_is_said_once_and_the_pick_goes_on(path, tmp_path, caplog):
    with Rotator.open(path, clock=FakeClock(), record=tmp_path / "no" / "log") as engine:
        assert engine.next(MODEL).account == "a"
        respond(engine, "a", 429)
        assert engine.next(MODEL).account == "b"
    assert [record.message.endswith("not recorded") for record in caplog.records] == [True]


def test_a_pool_that_stays_parked_is_told_once(path, log):
    clock = FakeClock()
    with Rotator.open(path, clock=clock, record=log) as engine:
        for name in "abcd":
            respond(engine, name, 429)
        before = len(entries_of(log))
        for _ in range(5):
            clock.advance(1)
            engine.next(MODEL)
        assert len(entries_of(log)) == before + 1
        clock.advance(3600)
        engine.next(MODEL)
        assert len(entries_of(log)) == before + 2
    assert all(step.agrees for step in steps_of(log))


def test_a_provider_that_throttles_is_in_the_log_as_it_was_for_the_choice(path, log):
    clock = FakeClock()
    with Rotator.open(path, clock=clock, record=log) as engine:
        for place in range(8):
            leases = [engine.lease(MODEL) for _ in range(3)]
            for lease in leases:
                clock.advance(0.5)
                if isinstance(lease, Lease):
                    lease.observe(status=429 if place < 4 else 200, headers={}, body=b"{}")
            clock.advance(7)
    assert b'"closed":["anthropic"]' in log.read_bytes()
    assert [step for step in steps_of(log) if not step.agrees] == []


def test_what_was_learned_without_a_response_is_told_as_facts(path, log):
    with Rotator.open(path, clock=FakeClock(), record=log) as engine:
        engine.ingest([QuotaObserved("a", None, START, (Window("5h", 0.01, START + 999, 18000.0),))])
    stood, heard = [entry for _, entry in entries_of(log)]
    assert isinstance(stood, Stood)
    assert isinstance(heard, Heard)
    assert heard.status is None
    assert len(heard.facts) == 1


def test_an_engine_that_records_nothing_loads_no_recorder(path):
    program = "import sys; from rotator import Rotator; r = Rotator.open(sys.argv[1]); r.next('m'); r.close(); "
    program += "print('rotator.recording' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout == "False\n"


WRITER = """
import sys
from rotator import Rotator
with Rotator.open(sys.argv[1], record=sys.argv[2]) as engine:
    for place in range(60):
        engine.next("m", session=f"{sys.argv[3]}-{place}")
        engine.observe("abcd"[place % 4], "m", status=200, body=b"{}")
"""


def test_lines_of_several_processes_stay_whole(path, log):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, log, str(place)], cwd=REPOSITORY) for place in range(4)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    kinds = [type(entry) for _, entry in entries_of(log)]
    assert (kinds.count(Asked), kinds.count(Heard)) == (240, 240)


def test_a_recorder_asks_for_nothing_but_a_path_and_whom_to_tell(path, log):
    told = []
    with Rotator.open(path, clock=FakeClock()) as engine:
        outcome = engine.explain(MODEL)
    Recorder(log, told.append).request(outcome, None, 1200, outcome.pool)
    assert told == []
    assert entries_of(log)[1][1].size == 1200
