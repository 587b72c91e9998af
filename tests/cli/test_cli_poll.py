from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from rotator.wire import inquiry, polling
from tests.provider.server import Answer, Provider


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(polling, "GAP_SECS", 0.0)
    monkeypatch.setattr(inquiry, "_RETRY_SECS", 0.0)


@pytest.fixture
def provider():
    with Provider() as running:
        for name in "ab":
            running.account(
                name, access_token=f"fake-canary-{name}", dialect="anthropic", limit=10, window_secs=18_000.0
            )
        yield running


@pytest.fixture
def accounts(home, provider):
    path = home / "accounts.json"
    parts = {"provider": "anthropic", "base_url": provider.url}
    entries = [{"name": name, "access_token": f"fake-canary-{name}", **parts} for name in "ab"]
    path.write_text(json.dumps({"version": 2, "accounts": [*entries, {"name": "c", "provider": "groq"}]}))
    path.chmod(0o600)
    return path


def test_it_says_what_is_left_in_a_line_each(accounts, here, provider):
    provider.held("a").spend(4, reset_in=3600)
    ran = here("poll", "a", "c")
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.out.splitlines()
    assert first.startswith("a usage: 5h 60 % left (resets 20")
    assert ", 7d 100 % left; next poll 20" in first
    assert second == "c: no endpoint, groq has no quota endpoint"


def test_without_names_it_asks_everybody_and_the_next_run_heeds_the_interval(accounts, here, provider):
    assert here("poll").out.count("left") == 4
    ran = here("poll")
    assert ran.code == 0, "not due is no failure"
    assert ran.out.startswith("a usage: not due, it was asked just now; next poll 20")
    assert len(provider.requests) == 2
    assert here("poll", "a", "--force").out.startswith("a usage: 5h 100 % left")


def test_it_ends_with_1_when_an_endpoint_gave_no_answer(accounts, here, provider):
    provider.held("a").change(poll="throttled", poll_retry_after=2895)
    ran = here("poll")
    assert ran.code == 1
    assert ran.out.startswith("a usage: failed, it answered 429 (endpoint throttled); next poll ")
    assert "b usage: 5h 100 % left" in ran.out
    assert json.loads(accounts.read_text())["accounts"][0]["runtime"]["polls"]["usage"]["failures"] == 1


def test_json_holds_every_endpoint(accounts, here, provider):
    provider.held("a").spend(4)
    provider.held("b").script(Answer(403, {}, {}), on="quota")
    told = here("poll", "--json").json
    assert (told["schema_version"], told["durable"], len(told["polls"])) == (1, True, 3)
    first, second, third = told["polls"]
    assert (first["account"], first["endpoint"], first["outcome"], first["reason"]) == ("a", "usage", "answered", None)
    assert {window["name"]: window["remaining_fraction"] for window in first["windows"]} == {"5h": 0.6, "7d": 1.0}
    assert first["windows"][0]["reset_time"].endswith("Z")
    assert first["at"] < first["next_at"]
    assert (second["outcome"], second["reason"], second["windows"]) == ("failed", "it answered 403", [])
    assert (third["endpoint"], third["outcome"], third["at"], third["next_at"]) == (None, "no_endpoint", None, None)


def test_many_windows_are_cut_to_the_tightest(accounts, here, provider):
    limits = [
        {"kind": "weekly_scoped", "percent": n, "resets_at": None, "scope": {"model": {"display_name": f"M{n}"}}}
        for n in range(0, 90, 10)
    ]
    provider.held("a").script(Answer(200, {}, {"five_hour": None, "limits": limits}), on="quota")
    line = here("poll", "a").out
    assert line.startswith("a usage: 7d:M80 20 % left, 7d:M70 30 % left")
    assert "7d:M20" not in line
    assert " and 3 more; next poll" in line


def test_an_unknown_name_is_said_with_what_comes_close(accounts, here, provider):
    ran = here("poll", "a", "A")
    assert ran.code == 2
    assert "did you mean a?" in ran.err
    assert provider.requests == []


def test_no_secret_is_shown(accounts, here, provider):
    provider.held("b").change(poll="failing")
    ran = here("poll", "--json")
    assert "canary" not in ran.out + ran.err


def test_help_names_the_endpoints_and_the_exit_codes(home, here):
    told = here("poll", "--help").out
    for word in ("/api/oauth/usage", "/backend-api/wham/usage", "retrieveUserQuota", "/api/v1/key", "/rate_limit", "--force", "Exit codes"):  # fmt: skip
        assert word in told


def test_a_terminal_sees_progress_on_stderr_and_a_pipe_does_not(accounts):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [sys.executable, "-m", "rotator", "poll", "a"], stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 4096):
            seen += piece
    except OSError:  # Linux says so when the other side is closed
        pass
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    assert process.returncode == 0
    assert out.startswith(b"a usage: 5h 100 % left")
    assert b"polling" in seen
    assert b"1/1" in seen
    piped = subprocess.run([sys.executable, "-m", "rotator", "poll", "a", "--force"], capture_output=True, check=False)
    assert piped.stderr == b""
