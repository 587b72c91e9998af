"""Refreshes by many processes at once, by processes that are killed, and on a disk that is full."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rotator import Rotator
from rotator.clock import MachineClock
from rotator.errors import LoginNeeded
from rotator.wire.refresh import current
from tests.faults.refresh_driver import STEPS
from tests.provider.server import Provider

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("refresh_driver.py")
FIRST = "fake-a-refresh-0"
PROCESSES = 8
LOST_AT = {"answered"}
"""The time between the endpoint's answer and the disk's, which nobody can close. What was written and not yet synced is
lost to a power cut, but not to a kill."""


def lay_out(path, provider, *, ends_at=1.0, expires_in=3600.0):
    held = provider.account(
        "a", dialect="anthropic", refresh_token=FIRST, access_token="fake-a-access-0", expires_in=expires_in
    )
    account = {
        "name": "a",
        "provider": "anthropic",
        "access_token": "fake-a-access-0",
        "refresh_token": FIRST,
        "expires_at": ends_at,
        "token_url": f"{provider.url}/oauth/token",
    }
    path.write_text(json.dumps({"version": 2, "accounts": [account, {"name": "b"}]}, indent=2))
    path.chmod(0o600)
    return held


def refresh_token(path):
    return json.loads(path.read_bytes())["accounts"][0]["refresh_token"]


def use_it_with_many(path, provider, secs):
    """What each of the processes told, all of which used the account at once."""
    command = [sys.executable, str(DRIVER), "calls", str(path), provider.url, str(secs)]
    children = [
        subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]  # fmt: skip
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [json.loads(child.communicate(timeout=secs + 60)[0]) for child in children]


@pytest.mark.parametrize(
    ("secs", "inline"),
    [
        (4.0, True),
        pytest.param(60.0, True, marks=[pytest.mark.faults, pytest.mark.timeout(240)]),
        pytest.param(10.0, False, marks=pytest.mark.faults),
    ],
    ids=["for some seconds", "for a minute", "with the access token in runtime"],
)
def test_eight_processes_use_one_account_whose_token_ends_every_second(tmp_path, secs, inline):
    path = tmp_path / "accounts.json"
    with Provider.spawned() as provider:
        held = lay_out(path, provider, expires_in=1.0)
        if not inline:
            found = json.loads(path.read_bytes())
            del found["accounts"][0]["access_token"], found["accounts"][0]["expires_at"]
            path.write_text(json.dumps(found))
        provider.forget(recording=False)
        told = use_it_with_many(path, provider, secs)
        refreshed, reused, newest = held.refreshed, held.reuse_detected, held.refresh_token
    calls, again = sum(each["calls"] for each in told), sum(each["again"] for each in told)
    print(f"{calls} calls, {again} with a second token, {refreshed} refreshes")
    assert [failure for each in told for failure in each["failed"]] == []
    assert all(each["calls"] > 0 for each in told)
    assert reused == 0
    assert secs * 0.4 <= refreshed <= secs / 0.8 + 2
    assert refresh_token(path) == newest
    assert [entry for entry in os.listdir(tmp_path) if entry.endswith((".room", ".tmp", ".swap", ".old"))] == []


def killed_at(step, path):
    command = [sys.executable, str(DRIVER), "dies", str(path), step]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, (done.stdout, done.stderr)


IN_PLACE = {"written over midway", "written over"}
BY_NAME = {"draft written", "before the swap", "swapped"}


@pytest.mark.faults
@pytest.mark.parametrize("step", [step for step in STEPS if step not in BY_NAME])
def test_nor_does_one_that_is_killed_while_it_writes_in_place(tmp_path, step):
    """A file of two names is not replaced but written over."""
    path = tmp_path / "accounts.json"
    with Provider.spawned() as provider:
        held = lay_out(path, provider)
        os.link(path, tmp_path / "twin")
        killed_at(step, path)
        with Rotator.open(path, clock=MachineClock()) as rotator:
            if step in LOST_AT:
                with pytest.raises(LoginNeeded):
                    current(rotator, "a")
            else:
                assert current(rotator, "a").access_token == held.access_token
                assert rotator.flush()
                assert refresh_token(path) == refresh_token(tmp_path / "twin") == held.refresh_token != FIRST
                assert (held.token_requests, held.reuse_detected) == (1, 0)


@pytest.mark.faults
@pytest.mark.parametrize("step", [step for step in STEPS if step not in IN_PLACE])
@pytest.mark.parametrize("stale", [False, True], ids=["", "and an old buffer is saved"])
def test_a_process_that_is_killed_costs_a_login_only_between_the_answer_and_the_disk(tmp_path, step, stale):
    path = tmp_path / "accounts.json"
    with Provider.spawned() as provider:
        held = lay_out(path, provider)
        before = path.read_bytes()
        killed_at(step, path)
        if stale:
            path.write_bytes(before)
        with Rotator.open(path, clock=MachineClock()) as rotator:
            if step in LOST_AT:
                with pytest.raises(LoginNeeded):
                    current(rotator, "a")
                assert refresh_token(path) == FIRST
            else:
                assert current(rotator, "a").access_token == held.access_token
                assert held.reuse_detected == 0
                rotator.hold("b")  # for what is left beside the file goes with the next write
                assert rotator.flush()
                assert refresh_token(path) == held.refresh_token != FIRST
                assert held.token_requests == 1
        left = [entry for entry in os.listdir(tmp_path) if entry.endswith((".room", ".tmp", ".swap", ".old"))]
        assert left == [], left


FULL = """
import json, os, sys
from pathlib import Path
import subprocess
folder, path = Path(sys.argv[1]), Path(sys.argv[1], "accounts.json")
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], check=True)
path.write_text(sys.argv[2])
from rotator import Rotator
from rotator.errors import EndpointFailed
from rotator.wire.refresh import current
ballast = folder / "ballast"
with ballast.open("wb") as file:
    try:
        while True:
            os.write(file.fileno(), bytes(4096))
    except OSError:
        pass
with Rotator.open(path) as rotator:
    try:
        current(rotator, "a")
    except EndpointFailed as error:
        print("refused", error)
    assert path.read_text() == sys.argv[2]
    ballast.unlink()
    print(current(rotator, "a").refresh_token)
assert "fake-a-refresh-1" in path.read_text()
"""


def may_mount():
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.faults
@pytest.mark.skipif(not may_mount(), reason="mounting in a namespace is not permitted here")
def test_a_disk_that_is_full_is_noticed_before_the_token_is_spent(tmp_path):
    path = tmp_path / "accounts.json"
    with Provider.spawned() as provider:
        held = lay_out(path, provider)
        command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", FULL, str(tmp_path)]
        done = subprocess.run([*command, path.read_text()], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        refused, token = done.stdout.splitlines()
        assert "No space left" in refused
        assert token == "fake-a-refresh-1"
        assert (held.token_requests, held.reuse_detected) == (1, 0)


@pytest.mark.faults
def test_a_process_that_is_told_to_end_while_it_asks_keeps_what_it_gets(tmp_path):
    path = tmp_path / "accounts.json"
    with Provider.spawned() as provider:
        held = lay_out(path, provider)
        held.script("hold", on="token")
        program = "import sys; from rotator import Rotator; from rotator.wire.refresh import current; current(Rotator.open(sys.argv[1]), 'a')"
        child = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT)
        while provider.token_requests == 0:
            time.sleep(0.01)
        child.terminate()
        held.release()
        assert child.wait(30) == -signal.SIGTERM
        assert refresh_token(path) == held.refresh_token != FIRST
