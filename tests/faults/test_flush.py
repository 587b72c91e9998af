"""Whatever goes wrong at any system call of a flush, and if it is the process itself: nothing is lost."""

from __future__ import annotations

import collections
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rotator import Rotator
from rotator.clock import MachineClock

if TYPE_CHECKING:
    from collections.abc import Iterator

DRIVER = Path(__file__).with_name("flush_driver.py")
ROOT = Path(__file__).parents[2]
KNOWN = {"rev": 3, "models": {"m": {"last_429_at": "2026-11-20T10:00:00Z", "consecutive_429": 2}}}
LINES = [
    '{"version": 2,  "accounts": [ {"name": "a", "api_key": "fake-a", "runtime": ' + json.dumps(KNOWN) + "},",
    '  {"name": "b","api_key" :"fake-b"}, {"name": "c"} ],\t"note": "\u00e9 1e5 is mine" }',
]
OLD = "\n".join(LINES).encode()
WAYS = ["exchanged", "renamed", "in_place"]
CALLS = [
    *(
        "openat",
        "close",
        "pread64",
        "pwrite64",
        "fsync",
        "ftruncate",
        "fchmod",
        "fchown",
        "rename",
        "renameat2",
        "unlink",
    ),
    *("newfstatat", "flock", "getdents64", "listxattr", "readlink", "getrandom", "lseek", "read", "write"),
]
HIT = 100
"""The call, of each kind in each process, on which the error lies; no flush makes as many of one kind."""


def may_trace() -> bool:
    if shutil.which("strace") is None or platform.machine() != "x86_64":
        return False
    return (
        subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0
    )


pytestmark = [pytest.mark.faults, pytest.mark.skipif(not may_trace(), reason="strace may not trace here")]


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder in memory where there is one: which call comes when does not depend on the disk."""
    folder = Path(tempfile.mkdtemp(prefix="rotator-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def lay_out(folder: Path, way: str) -> Path:
    folder.mkdir()
    path = folder / "accounts.json"
    path.write_bytes(OLD)
    path.chmod(0o644)
    if way == "in_place":
        os.link(path, folder / "twin")
    return path


def run(base: Path, way: str, plan: list[tuple[Path, str, int]], inject: list[str]) -> list[str]:
    """Flush in each folder of the plan under these injections; the lines that strace wrote."""
    for name in ("warm", "pattern"):
        shutil.rmtree(base / name, ignore_errors=True)
    lay_out(base / "pattern", "exchanged")
    (base / "plan").write_text("".join(f"{folder} {call} {shift}\n" for folder, call, shift in plan))
    command = [sys.executable, str(DRIVER), str(base / "plan"), way]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, **pipes) as driver:
        assert driver.stdout
        assert driver.stdout.readline() == b"ready\n"
        trace = ["strace", "-f", "-p", str(driver.pid), "-o", str(base / "log")]
        trace += ["-e", f"trace=getppid,getuid,{','.join(CALLS)}", *inject]
        with subprocess.Popen(trace, stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr
            assert b"attached" in tracer.stderr.readline()
            driver.communicate(b"\n", timeout=100)
            tracer.communicate(timeout=20)
    return (base / "log").read_text(errors="replace").splitlines()


def calls_of_a_flush(base: Path, way: str) -> list[tuple[str, int]]:
    """Each call between the marks, with its number among the calls of that name in its process."""
    lay_out(base / "count", way)
    lines = run(base, way, [(base / "count", "read", 0)], [])
    assert (base / "count" / "told").read_text() == "durable"
    child = next(line.split()[0] for line in lines if "getppid" in line)
    counts: collections.Counter[str] = collections.Counter()
    found = []
    marked = False
    for line in lines:
        process, text = line.split(maxsplit=1)
        name = text.split("(", 1)[0]
        if process == child and name in {*CALLS, "getppid", "getuid"}:
            counts[name] += 1
            marked = (marked or name == "getppid") and name != "getuid"
            if marked and name != "getppid":
                found.append((name, counts[name]))
    assert {"pwrite64", "fsync", {"exchanged": "renameat2", "renamed": "rename", "in_place": "ftruncate"}[way]} <= {
        name for name, _ in found
    }
    assert max(number for _, number in found) < HIT
    return found


def without_runtime(raw: bytes) -> object:
    document = json.loads(raw)
    document.pop("active", None)
    for account in document["accounts"]:
        account.pop("runtime", None)
    return document


def knows_b(raw: bytes) -> bool:
    """Whether these are a whole document that holds what the flush was about."""
    try:
        return "models" in json.loads(raw)["accounts"][1]["runtime"]
    except (ValueError, LookupError):
        return False


def check(folder: Path, case: object) -> bool:
    """What must hold after any fault, and after the next flush; whether the file is the new one."""
    path = folder / "accounts.json"
    told = folder / "told"
    answer = told.read_text() if told.exists() else "died"
    left = path.read_bytes()
    accounts = json.loads(left)["accounts"]
    new = knows_b(left)
    assert new or left.rstrip(b" ") == OLD, case
    assert accounts[0]["runtime"] == KNOWN, case
    assert without_runtime(left) == without_runtime(OLD), case
    assert left.rstrip(b" ").endswith(LINES[1][-40:].encode()), case
    assert new or answer != "durable", f"acknowledged and lost: {case}"
    for beside in set(folder.iterdir()) - {told, path, path.with_name("twin")}:
        displaced = beside.suffix == ".swap" and beside.read_bytes() == OLD
        assert displaced or beside.stat().st_mode & 0o077 == 0, (case, beside)
    finished = any(knows_b(beside.read_bytes()) for beside in folder.glob(".accounts.json.*.*.*"))
    told.unlink(missing_ok=True)
    with Rotator.open(path, clock=MachineClock()) as rotator:
        rotator.observe("c", "m", status=429, headers={"retry-after": "7200"}, body=None)
        assert rotator.flush(), case
    after = json.loads(path.read_bytes())
    assert after["accounts"][0]["runtime"] == KNOWN, case
    assert "models" in after["accounts"][2]["runtime"], case
    assert not (new or finished) or knows_b(path.read_bytes()), f"it was on the disk and is lost: {case}"
    assert without_runtime(path.read_bytes()) == without_runtime(OLD), case
    names = {each.name for each in folder.iterdir()}
    assert names <= {".accounts.json.lock", "accounts.json", "accounts.json.bak", "twin"}, case
    return new


def plan_of(base: Path, way: str, calls: list[tuple[str, int]]) -> list[tuple[Path, str, int]]:
    plan = []
    for place, (name, number) in enumerate(calls):
        lay_out(base / f"case-{place}", way)
        plan.append((base / f"case-{place}", name, HIT - number))
    return plan


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EDQUOT", "EFBIG", "EMFILE", "EROFS"])
def test_an_error_at_any_system_call_of_a_flush_loses_nothing(error: str, way: str, base: Path) -> None:
    calls = calls_of_a_flush(base, way)
    plan = plan_of(base, way, calls)
    lines = run(base, way, plan, ["-e", f"inject={','.join(CALLS)}:error={error}:when={HIT}"])
    assert len({line.split()[0] for line in lines if "(INJECTED)" in line}) == len(calls)
    news = [check(folder, (error, way, call)) for (folder, _, _), call in zip(plan, calls, strict=True)]
    assert True in news
    assert False in news


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_system_call_of_a_flush_loses_nothing(way: str, base: Path) -> None:
    calls = calls_of_a_flush(base, way)
    plan = plan_of(base, way, calls)
    lines = run(base, way, plan, ["-e", f"inject={','.join(CALLS)}:signal=KILL:when={HIT}"])
    assert sum("+++ killed by SIGKILL +++" in line for line in lines) == len(calls)
    news = [check(folder, (way, call)) for (folder, _, _), call in zip(plan, calls, strict=True)]
    assert news == sorted(news), "once new, never old again"
    assert True in news
    assert False in news


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("taken", [0, 1, 100])
def test_a_disk_that_takes_fewer_bytes_than_it_says_or_none_loses_nothing(taken: int, way: str, base: Path) -> None:
    calls = [call for call in calls_of_a_flush(base, way) if call[0] == "pwrite64"]
    plan = plan_of(base, way, calls)
    lines = run(base, way, plan, ["-e", f"inject=pwrite64:retval={taken}:when={HIT}"])
    assert len({line.split()[0] for line in lines if "(INJECTED)" in line}) == len(calls)
    for (folder, _, _), call in zip(plan, calls, strict=True):
        check(folder, (taken, way, call))
