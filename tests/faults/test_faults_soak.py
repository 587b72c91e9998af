"""kill -9 at any instant, many processes on one file: what was acknowledged is recorded, and nothing else but what was begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rotator import Rotator
from rotator.clock import MachineClock

pytestmark = pytest.mark.faults

DRIVER = Path(__file__).with_name("soak_driver.py")
ROOT = Path(__file__).parents[2]
ROUNDS = 45
KILLS = 40
ATTEMPTS = 40


def soak(folder, seed, way):
    """One round on a fresh file: what was started, acknowledged, and recorded in the end."""
    path = folder / f"{way}-{seed}.json"
    accounts = ",\n".join(json.dumps({"name": name, "api_key": f"fake-{name}", "note": "é"}) for name in "abc")
    path.write_text('{"version": 2, "accounts": [' + accounts + "]}\n")
    path.chmod(0o600)
    words = [sys.executable, str(DRIVER), str(path), "5", str(KILLS), str(seed), way]
    done = subprocess.run(
        words,
        capture_output=True,
        check=False,
        timeout=120,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    told = json.loads(done.stdout)
    assert set(told["ends"]) == {-signal.SIGKILL}, done.stderr.decode()[-2000:]
    return path, told


def recorded(path):
    return {
        model for a in json.loads(path.read_bytes())["accounts"] for model in a.get("runtime", {}).get("models", {})
    }


def test_what_was_acknowledged_is_recorded_and_nothing_that_was_not_begun(tmp_path):
    kills = facts = 0
    for seed in range(ROUNDS):
        path, told = soak(tmp_path, seed, "locked")
        acknowledged, started = set(told["acknowledged"]), set(told["started"])
        assert acknowledged <= recorded(path) <= started
        with Rotator.open(path, clock=MachineClock()) as engine:
            engine.next("any")
            assert engine.flush(), "nobody who died holds the lock"
        assert acknowledged <= recorded(path) <= started
        assert [beside.name for beside in tmp_path.iterdir() if beside.suffix == ".tmp"] == []
        kills, facts = kills + len(told["ends"]), facts + len(acknowledged)
    assert kills >= ROUNDS * KILLS
    assert facts > kills


def test_without_the_lock_and_the_comparison_acknowledged_facts_are_lost(tmp_path):
    for seed in range(ATTEMPTS):
        path, told = soak(tmp_path, seed, "unlocked")
        if not set(told["acknowledged"]) <= recorded(path):
            return
    pytest.fail(f"nothing was lost in {ATTEMPTS} rounds without a lock: this test could not see a loss")
