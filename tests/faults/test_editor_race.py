"""A person who saves all the time against two engines that write all the time: no edit and no learned fact is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from editors import ENACTED, PROGRAMS, like_a_redirection, like_nano, like_sed

from rotator import Rotator
from rotator.clock import MachineClock
from rotator.core.instants import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from editors import Save

pytestmark = pytest.mark.faults

ENGINE = Path(__file__).with_name("race_engine.py")
ROOT = Path(__file__).parents[2]
ACCOUNTS = ["one", "two"]
PATIENCE_SECS = 1.0
"""How long an edit may be out of sight, displaced and about to be put back, before it is called lost."""
FILLING = "x" * 6000
"""So that an editor takes more than one write."""


@pytest.fixture
def path() -> Iterator[Path]:
    """A file in memory where there is such a disk: the less a sync takes, the more often two meet."""
    folder = Path(tempfile.mkdtemp(prefix="rotator-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    path = folder / "accounts.json"
    accounts = [{"name": name, "api_key": f"fake-{name}"} for name in ACCOUNTS]
    path.write_text(json.dumps({"version": 2, "note": 0, "filling": FILLING, "accounts": accounts}, indent=1))
    path.chmod(0o600)
    try:
        yield path
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def engines(path: Path, way: str) -> Iterator[list[dict[str, Any]]]:
    """Two of them run meanwhile; afterwards, what they told."""
    told: list[dict[str, Any]] = []
    running = []
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    for name in ACCOUNTS:
        command = [sys.executable, str(ENGINE), str(path), name, way]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        running.append(subprocess.Popen(command, env=environment, text=True, **pipes))
    try:
        for process in running:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        yield told
        told += [json.loads(process.communicate(timeout=60)[0]) for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()


def note_of(path: Path) -> int | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return int(document["note"])


PAUSE_SECS = 0.004
"""Between two saves, where engines would not get to write in so short a time: a file that is always truncated, or a life
of some milliseconds."""


def edit(
    path: Path, saves: list[Save], secs: float, *, pause_secs: float = 0.0, stop_at: int = 1_000_000
) -> tuple[int, list[int]]:
    """Save one after the other, each on top of the one before: (how many saves, which of them were lost)."""
    lost: list[int] = []
    number = saved = 0
    end = time.monotonic() + secs
    while time.monotonic() < end and len(lost) < stop_at:
        number += 1
        if not saves[number % len(saves)](path, number):
            continue
        saved += 1
        patience = time.monotonic() + PATIENCE_SECS
        while note_of(path) != number:
            if time.monotonic() > patience:
                lost.append(number)
                break
        time.sleep(pause_secs)
    return saved, lost


def check(path: Path, told: list[dict[str, Any]]) -> list[str]:
    """What was acknowledged and is not in the file, and what should not be beside it."""
    document = json.loads(path.read_bytes())
    missing = []
    for account, answer in zip(document["accounts"], told, strict=True):
        models = account["runtime"]["models"]
        for model, at in answer["acknowledged"].items():
            found = parse(models.get(model, {}).get("last_success_at"))
            if found is None or found < at:
                missing.append(f"{account['name']} {model}")
    assert document["filling"] == FILLING
    names = set(os.listdir(path.parent)) - {path.name, f".{path.name}.lock", f"{path.name}.bak"}
    assert not [name for name in names if name.endswith((".tmp", ".swap", ".old"))]
    return missing


def race(path: Path, saves: list[Save], secs: float) -> tuple[int, list[int], list[str]]:
    """(How many saves, which of them were lost, which facts are missing)."""
    with engines(path, "exchanged") as told:
        saved, lost = edit(path, saves, secs, pause_secs=PAUSE_SECS if like_a_redirection in saves else 0.0)
    missing = check(path, told)
    flushes = [answer["flushes"] for answer in told]
    print(f"{saved} saves against {flushes} flushes")
    assert min(flushes) > 20
    return saved, lost, missing


@pytest.mark.parametrize("save", ENACTED, ids=lambda save: save.__name__)
def test_no_save_and_no_fact_is_lost(save: Save, path: Path) -> None:
    saved, lost, missing = race(path, [save], 8.0)
    assert (lost, missing) == ([], [])
    assert saved > 200


def test_no_save_of_a_program_is_lost(path: Path) -> None:
    saves = [program for program in PROGRAMS if shutil.which(program.__name__)]
    if not saves:
        pytest.skip("none of the programs is installed")
    saved, lost, missing = race(path, saves, 8.0)
    assert (lost, missing) == ([], [])
    assert saved > 20


@pytest.mark.parametrize("save", [like_nano, like_sed], ids=lambda save: save.__name__)
def test_no_save_is_lost_although_the_engines_are_killed_all_the_time(save: Save, path: Path) -> None:
    with engines(path, "killed") as told:
        saved, lost = edit(path, [save], 8.0, pause_secs=PAUSE_SECS)
    deaths = [answer["flushes"] for answer in told]
    print(f"{saved} saves against {deaths} deaths")
    assert lost == []
    assert min(deaths) > 20
    assert all(account["runtime"]["rev"] > 5 for account in json.loads(path.read_bytes())["accounts"])
    with Rotator.open(path, clock=MachineClock()) as rotator:
        rotator.observe("one", "m", status=429, headers={"retry-after": "600"}, body=None)
        assert rotator.flush()
    check(path, [{"acknowledged": {}}] * 2)


def test_where_names_cannot_be_exchanged_a_save_may_be_lost_which_this_race_notices(path: Path) -> None:
    """The race has teeth. Nobody can promise that the two meet, so not meeting is no failure."""
    with engines(path, "renamed"):
        saved, lost = edit(path, [like_a_redirection], 20.0, stop_at=1)
    if not lost:
        pytest.skip(f"none of {saved} saves was lost this time")
