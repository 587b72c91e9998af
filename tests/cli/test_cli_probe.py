from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from rotator.wire import inquiry, probing
from tests.provider.server import Provider


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(probing, "GAP_SECS", 0.0)
    monkeypatch.setattr(inquiry, "_RETRY_SECS", 0.0)


@pytest.fixture
def provider():
    with Provider() as running:
        for name in "ab":
            running.account(name, key=f"fake-canary-{name}", dialect="anthropic")
        yield running


@pytest.fixture
def accounts(home, provider):
    path = home / "accounts.json"
    parts = {"provider": "anthropic", "base_url": provider.url}
    save(path, *[{"name": name, "api_key": f"fake-canary-{name}", **parts} for name in "ab"])
    return path


def save(path, *entries):
    path.write_text(json.dumps({"version": 2, "accounts": entries}))
    path.chmod(0o600)


def with_command(name, program):
    return {"name": name, "api_key": f"fake-canary-{name}", "probe": [sys.executable, "-c", program]}


def test_it_says_who_can_start_a_session(accounts, here):
    ran = here("probe")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "a claude-haiku-4-5: can start a session\nb claude-haiku-4-5: can start a session\n"


def test_it_ends_with_1_when_an_account_cannot(accounts, here, provider):
    provider.held("a").script("banned")
    ran = here("probe", "-m", "claude-opus-4-1")
    assert ran.code == 1
    first, second = ran.out.splitlines()
    assert first.startswith("a claude-opus-4-1: cannot start a session, banned: ")
    assert first.endswith("; not chosen for 2 h unless nobody else is left")
    assert second == "b claude-opus-4-1: can start a session"
    assert here("next", "-m", "claude-opus-4-1").out == "b\n"


def test_a_command_is_told_by_its_last_line_alone(accounts, here):
    save(accounts, with_command("a", "print('first'); print('no login'); raise SystemExit(7)"))
    ran = here("probe")
    assert ran.code == 1
    assert ran.out.startswith("a: cannot start a session, exit code 7: no login;")
    found = json.loads(accounts.read_text())["accounts"][0]["runtime"]["availability"]
    assert (found["ok"], found["reason"]) == (False, "exit code 7: no login")


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ({"name": "x", "probe": ["/no/such/program"]}, 74, "x: nothing found out, its probe cannot be started"),
        ({"name": "x", "provider": "anthropic", "api_key": "fake-x", "base_url": "http://127.0.0.1:1"}, 74,
         "x claude-haiku-4-5: nothing found out, cannot be reached"),
        ({"name": "x", "provider": "anthropic", "api_key": {"env": "NO_SUCH"}}, 74, "x: nothing found out, api_key of x"),
        ({"name": "x", "enabled": False}, 0, "x: skipped, is disabled"),
    ],
)  # fmt: skip
def test_a_probe_that_could_not_be_made_leaves_nothing_and_says_so(accounts, here, entry, code, said):
    save(accounts, entry)
    ran = here("probe")
    assert ran.code == code
    assert ran.out.startswith(said)
    assert "availability" not in accounts.read_text()


def test_a_throttle_ends_with_75(accounts, here, provider):
    provider.overloaded("*", provider.clock + 60)
    ran = here("probe", "a")
    assert ran.code == 75
    assert ran.out.startswith("a claude-haiku-4-5: nothing found out: it was throttled, overloaded")


def test_who_cannot_outweighs_who_could_not_be_asked(accounts, here):
    save(accounts, {"name": "x", "probe": ["/no/such"]}, with_command("a", "raise SystemExit(1)"))
    assert here("probe").code == 1


def test_json_holds_every_account(accounts, here, provider):
    provider.held("a").script("banned")
    told = here("probe", "--json").json
    assert (told["schema_version"], told["durable"]) == (1, True)
    first, second = told["probes"]
    assert (first["account"], first["outcome"], first["ok"], first["model"]) == (
        "a",
        "refused",
        False,
        "claude-haiku-4-5",
    )
    assert first["reason"].startswith("banned")
    assert first["at"].endswith("Z")
    assert (second["outcome"], second["ok"], second["reason"]) == ("available", True, None)


def test_the_timeout_is_an_option(accounts, here):
    save(accounts, with_command("a", "import time; time.sleep(60)"))
    assert here("probe", "--timeout", "0.2s").out.startswith("a: cannot start a session, no end within 0.2 s")
    assert here("probe", "--timeout", "0").code == 2
    assert here("probe", "--timeout", "soon").code == 2


def test_an_unknown_name_is_said_with_what_comes_close(accounts, here, provider):
    ran = here("probe", "A")
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean a?" in ran.err
    assert provider.requests == []


def test_help_names_the_models_and_the_exit_codes(home, here):
    from rotator.wire.smallest import FORMS

    told = here("probe", "--help").out
    for provider, form in FORMS.items():
        if form.model is not None:
            assert provider in told
            assert form.model in told
    assert "Exit codes" in told


def test_no_secret_is_shown(accounts, here):
    save(accounts, with_command("a", "import os; print(os.environ); raise SystemExit(1)"))
    ran = here("probe", "--json")
    assert ran.json["probes"][0]["reason"].startswith("exit code 1: environ({")
    assert "canary" not in ran.out + ran.err
    assert "canary" not in accounts.read_text().partition('"runtime"')[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_rotator_and_the_command(accounts, home, number):
    line = home / "line"
    os.mkfifo(line)
    slow = f"import os, time; line = os.open({str(line)!r}, os.O_WRONLY); os.write(line, b'here'); time.sleep(60)"
    save(accounts, with_command("a", slow))
    process = subprocess.Popen(
        [sys.executable, "-m", "rotator", "probe"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with open(line, "rb", buffering=0) as pipe:
        assert pipe.read(4) == b"here"
        process.send_signal(number)
        assert pipe.read() == b"", "the command has ended too"
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert out == ""
