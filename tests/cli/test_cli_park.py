from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rotator.cli import waiting
from rotator.core.codec.decode import decode
from rotator.core.selection import select

PROGRAM = [sys.executable, "-m", "rotator"]


def _limit(path, *seconds):
    """A pool whose accounts cool down for so many seconds from now."""
    now = datetime.now(UTC)  # noqa: TID251  a process is waited for, so it is its clock that counts
    accounts = [
        {
            "id": f"a{place}",
            "api_key": "fake-a",
            "runtime": {
                "rev": 1,
                "cooldown_until": (now + timedelta(seconds=secs)).isoformat(),
                "cooldown_at": now.isoformat(),
                "cooldown_source": "retry-after",
            },
        }
        for place, secs in enumerate(seconds)
    ]
    path.write_text(json.dumps({"version": 2, "policy": {"wake_jitter": 0}, "accounts": accounts}))
    path.chmod(0o600)


@pytest.fixture
def parked(home):
    """A process that has just told that it is parked; killed at the end if it still runs."""
    running = []

    def start(*words):
        process = subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert "parked until " in process.stderr.readline()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def _ended(process):
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def test_it_wakes_when_the_first_cooldown_ends(home, rotator):
    _limit(home / "accounts.json", 500, 1)
    ran = rotator("park", "-m", "g")
    assert (ran.code, ran.out) == (0, "a1\n")
    assert json.loads((home / "accounts.json").read_bytes())["active"] == "a1"


def test_next_with_wait_waits_too_and_tells_json(home, here):
    _limit(home / "accounts.json", 0.5)
    ran = here("next", "-m", "g", "--wait", "20", "--json")
    assert (ran.code, ran.json["account"], ran.json["durable"]) == (0, "a0", True)


@pytest.mark.parametrize("words", [["park", "-m", "g", "--timeout", "0"], ["next", "-m", "g", "--wait", "0"]])
def test_when_time_runs_out_it_is_124_and_says_until_when(home, here, words):
    _limit(home / "accounts.json", 7200)
    ran = here(*words, "--json")
    assert (ran.code, ran.json["outcome"]) == (124, "parked")
    assert ran.err.startswith("rotator: time ran out, parked until ")


def test_a_release_by_another_process_ends_the_wait(home, parked, rotator):
    _limit(home / "accounts.json", 500, 600)
    process = parked("park", "-m", "g")
    assert rotator("release", "a1").code == 0
    assert _ended(process)[:2] == (0, "a1\n")


def test_an_edit_of_the_file_ends_the_wait(home, parked):
    path = home / "accounts.json"
    _limit(path, 500)
    process = parked("park", "-m", "g")
    document = json.loads(path.read_bytes())
    document["accounts"].append({"id": "new", "api_key": "fake-n"})
    (home / "draft").write_text(json.dumps(document))
    (home / "draft").rename(path)
    assert _ended(process)[:2] == (0, "new\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wait_at_once_with_its_code(home, parked, number):
    _limit(home / "accounts.json", 500)
    process = parked("park", "-m", "g")
    process.send_signal(number)
    assert _ended(process) == (128 + number, "", "")


def test_a_hangup_that_nohup_ignores_stays_ignored(home, rotator):
    _limit(home / "accounts.json", 500)
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    words = [sys.executable, "-c", ignoring, *PROGRAM, "park", "-m", "g"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert "parked" in process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        assert rotator("release", "a0").code == 0
        assert process.wait(20) == 0


def test_nobody_to_wait_for_is_69_at_once(home, here):
    (home / "accounts.json").write_text('{"accounts": []}')
    assert here("park", "-m", "g").code == 69


def _parked_value(home):
    _limit(home / "accounts.json", 3700)
    _, pool = decode((home / "accounts.json").read_bytes())
    return select(pool, "g", now=time.time())


def test_without_a_terminal_there_is_a_line_at_once_and_one_a_minute(home, capfd):
    clock = iter([0.0, 0.0, 1.0, 59.9, 60.0, 61.0, 119.0, 121.0])
    lines = waiting.Lines(lambda: next(clock))
    for _ in range(7):
        lines(_parked_value(home))
    assert capfd.readouterr().err.count("rotator: parked until ") == 3


def _rest_of(ours):
    shown = b""
    with io.FileIO(ours) as terminal:
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:
            pass  # the end of a terminal
    return shown.decode()


def test_on_a_terminal_one_line_counts_down_within_its_width(home):
    _limit(home / "accounts.json", 90000, 3700)
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen([*PROGRAM, "park", "-m", "g", "--timeout", "1.2"], stderr=theirs, env=environment) as process:
        os.close(theirs)
        assert process.wait(20) == 124
    frames = [frame for frame in _rest_of(ours).split("\r\x1b[K") if frame.startswith("parked until ")]
    assert len(frames) >= 2
    assert re.fullmatch(r"parked until ([A-Z]\S+ \d\d )?\d\d:\d\d \(1:01:\d\d left\): first ready a1", frames[0])
    assert all(len(frame) < 80 and "\n" not in frame for frame in frames)


def test_ctrl_c_leaves_the_line_of_the_countdown_empty(home):
    _limit(home / "accounts.json", 3700)
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen([*PROGRAM, "park", "-m", "g", "--timeout", "15"], stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while b"left)" not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert _rest_of(ours).endswith("\r\x1b[K")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=100), st.integers(20, 120))
def test_what_does_not_fit_a_terminal_ends_with_three_dots(name, columns):
    line = waiting.countdown(1795171200.0, 1795167603.0, name, UTC)
    cut = waiting._cut(line, columns)
    assert cell_len(cut) <= columns
    assert cut == line if cell_len(line) <= columns else cut.endswith("…")
