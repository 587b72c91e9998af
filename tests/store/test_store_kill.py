"""kill -9 at every system call of an exchange: the file is the old document or the new one."""

from __future__ import annotations

import collections
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.store.file import Store

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

DRIVER = Path(__file__).with_name("store_driver.py")
OLD = b'{"accounts": [{"name": "a", "api_key": "fake-old"}], "note": "long enough to be shortened"}'
SHORTER = b'{"accounts": [], "api_key": "fake-new"}'
LONGER = b'{"accounts": [{"name": "a", "api_key": "fake-new"}], "note": "' + b"x" * 9000 + b'"}'
MARK = "getppid"
CALLS = (
    "openat,close,read,pread64,write,pwrite64,fstat,newfstatat,lstat,readlink,flock,fchmod,fchown,ftruncate,fsync,"
    "rename,unlink,getdents64,listxattr,kill,getrandom,access,lseek"
)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of the package, so that nobody else's caches change the number of calls from one run to the next."""
    copy = tmp_path / "code"
    shutil.copytree(DRIVER.parents[2] / "rotator", copy / "rotator", ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def trace(code: Path, path: Path, new: bytes, *inject: str) -> subprocess.CompletedProcess[bytes]:
    command = ["strace", "-f", "-qq", "-o", str(code / "log"), "-e", f"trace={MARK},{CALLS}", *inject]
    command += [sys.executable, str(DRIVER), str(path), new.decode()]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code), "PYTHONHASHSEED": "0"}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


def lay_out(folder: Path, *, linked: bool) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "accounts.json"
    path.write_bytes(OLD)
    path.chmod(0o640)
    if linked:
        os.link(path, folder / "twin")
    return path


def points_of_death(log: Path) -> list[tuple[str, int]]:
    """Each call after the mark, with its number among the calls of that name in the whole process."""
    counts: collections.Counter[str] = collections.Counter()
    points = []
    marked = False
    for line in log.read_text(errors="replace").splitlines():
        name = line.split(maxsplit=1)[1].split("(", 1)[0]
        counts[name] += 1
        marked = marked or name == MARK
        if marked and name != MARK and name in CALLS.split(","):
            points.append((name, counts[name]))
    return points


@pytest.mark.parametrize(("linked", "new"), [(False, LONGER), (True, LONGER), (True, SHORTER)])
def test_a_process_killed_at_any_system_call_leaves_a_whole_document(
    linked: bool, new: bytes, code: Path, tmp_path: Path
) -> None:
    trace(code, lay_out(tmp_path / "folder", linked=linked), new)  # fills the caches
    path = lay_out(tmp_path / "folder", linked=linked)
    whole = trace(code, path, new)
    if whole.returncode != 0:
        pytest.skip(f"strace may not trace here: {whole.stderr.decode()[-200:]}")
    assert whole.stdout == path.read_bytes() == new
    points = points_of_death(code / "log")
    assert {"pwrite64", "fsync", "ftruncate" if linked else "rename"} <= {name for name, _ in points}
    outcomes = []
    for name, number in points:
        path = lay_out(tmp_path / "folder", linked=linked)
        ended = trace(code, path, new, "-e", f"inject={name}:signal=KILL:when={number}")
        left = path.read_bytes().rstrip(b" ")
        assert ended.returncode == -signal.SIGKILL, (name, number)
        assert left in (OLD, new), (name, number)
        assert not ended.stdout or left == new, f"acknowledged and lost: {name} {number}"
        outcomes.append(left)
        for beside in path.parent.iterdir():
            if beside.suffix == ".tmp":
                assert beside.stat().st_mode & 0o077 == 0, (name, number)
        assert Store(path).exchange(lambda _: b"{}").raw == path.read_bytes() == b"{}"
        assert not [beside.name for beside in path.parent.iterdir() if beside.suffix == ".tmp"], (name, number)
    assert set(outcomes) == {OLD, new}
    assert outcomes == sorted(outcomes, key=lambda left: left == new), "once new, never old again"
