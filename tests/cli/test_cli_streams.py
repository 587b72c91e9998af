from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-m", "rotator"]


@pytest.mark.parametrize("words", [["next", "-m", "g", "--json", "--peek"], ["check"]])
def test_a_reader_that_goes_away_is_no_news(accounts, words):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PROGRAM, *words], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("words", [["next", "-m", "g", "--peek"], ["check"], ["status"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_stdout_is_74_and_said_once(accounts, words, unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (74, b"rotator: stdout: No space left on device\n")


@pytest.mark.parametrize("words", [["next", "-m", "g"], ["next", "-m", "g", "--json"], ["status"], ["check"]])
def test_an_answer_that_nobody_can_read_is_74(accounts, words):
    script = 'exec "$0" -m rotator "$@" >&-'
    done = subprocess.run(["sh", "-c", script, sys.executable, *words], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (74, b"rotator: stdout: it is closed\n")


def test_a_closed_stderr_ends_no_run(accounts):
    script = 'exec "$0" -m rotator next -m g 2>&-'
    done = subprocess.run(["sh", "-c", script, sys.executable], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (0, b"a@example.com\n")


def test_output_is_utf_8_in_any_locale(home, rotator):
    (home / "accounts.json").write_text('{"accounts": [{"id": "zoë", "api_key": "fake-z"}]}')
    for locale in ("C", "POSIX"):
        ran = rotator("next", "-m", "g", "--peek", LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert (ran.code, ran.out) == (0, "zoë\n")


HIDDEN = ["a\xa0b", "a\u200bb", "\U0001f469\u200d\U0001f4bb", "a\u202eb", "\ufeffa", "a\u3000b"]


@pytest.mark.parametrize("name", HIDDEN)
def test_the_name_that_next_prints_is_one_that_report_knows(accounts, here, name):
    accounts.write_text(json.dumps({"accounts": [{"id": name, "api_key": "fake-a"}]}))
    printed = here("next", "-m", "g").out.removesuffix("\n")
    assert printed == name
    assert here("report", printed, "-m", "g", "--status", "200").code == 0


@pytest.mark.parametrize(("name", "shown"), [("a\xa0\u200db", "a\xa0\u200db"), ("a\u202eb\u2066", "a\\u202eb\\u2066")])
def test_a_terminal_gets_a_name_without_what_turns_its_direction(accounts, name, shown):
    accounts.write_text(json.dumps({"accounts": [{"id": name, "api_key": "fake-a"}]}))
    reading, writing = os.openpty()
    try:
        subprocess.run([*PROGRAM, "next", "-m", "g", "--peek"], stdout=writing, check=True)
        assert os.read(reading, 1000).decode() == f"{shown}\r\n"
    finally:
        os.close(reading)
        os.close(writing)
