"""Mounts and full disks, each in a mount namespace of its own that ends with the process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = ["unshare", "-m", "--propagation", "private"]
if os.geteuid() != 0:
    UNSHARE.insert(1, "-Ur")


def _may_mount() -> bool:
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    command = [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not _may_mount(), reason="mounting in a namespace is not permitted here"),
]

OPENING = """
import os, subprocess, sys
from pathlib import Path
from rotator import errors
from rotator.store import reading
from rotator.store.file import ReadOnly, Store

OLD, NEW = b'{"old": "fake-old"}', b'{"new": "fake-new and longer than the old one was"}'
base = Path(sys.argv[1])
folder = base / "folder"
folder.mkdir()
path = folder / "accounts.json"

def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)

def old_file():
    path.write_bytes(OLD)
    path.chmod(0o600)

def fails(error, store, raw=NEW):
    try:
        store.exchange(lambda _: raw)
    except error as caught:
        assert type(caught) is error, caught
        return caught
    raise AssertionError("written: " + store.mode)

def left():
    return sorted(set(os.listdir(folder)) - {".accounts.json.lock", "accounts.json.bak"})
"""

CASES = {
    "a single file mounted into a container is written in place and the host sees it": """
host = base / "host.json"
host.write_bytes(OLD)
path.touch()
mount("--bind", host, path)
store = Store(path)
for raw in (NEW, OLD, NEW):
    assert store.exchange(lambda _: raw).raw == raw
    assert host.read_bytes() == path.read_bytes() == raw
    assert store.mode == "in_place" and store.stamp() == store.read().stamp
assert left() == ["accounts.json"]
assert reading.obstacle(str(path)) is None
""",
    "a mounted file that the host replaced is read-only, because what is written there reaches nobody": """
host = base / "host.json"
host.write_bytes(OLD)
path.touch()
mount("--bind", host, path)
other = base / "other.json"
other.write_bytes(b"{}")
other.rename(host)
assert "restart the container" in fails(ReadOnly, Store(path)).obstacle
assert path.read_bytes() == OLD and host.read_bytes() == b"{}"
""",
    "a single file mounted read-only is read-only": """
host = base / "host.json"
host.write_bytes(OLD)
path.touch()
mount("--bind", host, path)
mount("-o", "remount,ro,bind", path)
assert "mounted read-only" in reading.obstacle(str(path))
assert "mounted read-only" in fails(ReadOnly, Store(path)).obstacle
assert host.read_bytes() == OLD and left() == ["accounts.json"]
""",
    "a folder mounted read-only is read-only until it is not": """
old_file()
mount("--bind", folder, folder)
mount("-o", "remount,ro,bind", folder)
store = Store(path)
assert "mounted read-only" in fails(ReadOnly, store).obstacle
assert store.lock_kind == "directory"
assert store.read().raw == OLD
mount("-o", "remount,rw,bind", folder)
assert store.exchange(lambda _: NEW).raw == path.read_bytes() == NEW
assert store.mode == "file" and store.lock_kind == "file"
mount("-o", "remount,ro,bind", folder)
fails(ReadOnly, store, OLD)
assert store.lock_kind == "file_readonly"
""",
    "a full disk leaves the old file and no draft, and there is room again later": """
mount("-t", "tmpfs", "-o", "size=64k", "none", folder)
old_file()
filler = folder / "filler"
try:
    filler.write_bytes(bytes(1 << 20))
except OSError:
    pass
store = Store(path)
big = NEW * 1000
assert fails(errors.MachineError, store, big).errno == 28
assert path.read_bytes() == OLD and left() == ["accounts.json", "filler"]
filler.unlink()
assert store.exchange(lambda _: big).raw == path.read_bytes() == big
""",
    "a disk that fills up in the middle of a write leaves the old file": """
mount("-t", "tmpfs", "-o", "size=64k", "none", folder)
old_file()
huge = NEW * 3000
assert fails(errors.MachineError, Store(path), huge).errno == 28
assert path.read_bytes() == OLD and left() == ["accounts.json"]
""",
    "a full disk in place is noticed before the first old byte goes": """
mount("-t", "tmpfs", "-o", "size=64k", "none", folder)
old_file()
os.link(path, folder / "twin")
huge = NEW * 3000
store = Store(path)
assert fails(errors.MachineError, store, huge).errno == 28
assert path.read_bytes() == OLD
assert store.exchange(lambda _: NEW).raw == path.read_bytes() == NEW
assert store.mode == "in_place"
""",
    "a disk without inodes leaves the old file": """
mount("-t", "tmpfs", "-o", "nr_inodes=3", "none", folder)
old_file()
(folder / "last").touch()
store = Store(path)
assert fails(errors.MachineError, store).errno == 28
assert store.lock_kind == "directory"
assert path.read_bytes() == OLD and left() == ["accounts.json", "last"]
""",
    "a folder swapped by Kubernetes is followed": """
for name, raw in (("..1", OLD), ("..2", NEW)):
    (folder / name).mkdir()
    (folder / name / "accounts.json").write_bytes(raw)
(folder / "..data").symlink_to("..1")
path.symlink_to("..data/accounts.json")
store = Store(path)
store.exchange(lambda now: now.raw + b" ")
(folder / "..swap").symlink_to("..2")
(folder / "..swap").rename(folder / "..data")
assert store.read().raw == NEW
assert store.exchange(lambda now: now.raw + b" ").raw == NEW + b" "
assert path.is_symlink() and (folder / "..1" / "accounts.json").read_bytes() == OLD + b" "
""",
    "two processes through one mounted file lose nothing, although their lock files differ": """
host = base / "host.json"
host.write_bytes(b"0")
path.touch()
mount("--bind", host, path)
children = []
for place in (path, path, host, host):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store = Store(place)
            store._in_place_at = str(place)
            for _ in range(25):
                store.exchange(lambda now: b"%d" % (int(now.raw) + 1))
            status = 0
        finally:
            os._exit(status)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
assert path.read_bytes() == b"100", path.read_bytes()
""",
}


@pytest.mark.parametrize("case", CASES)
def test_on_a_mount(case: str, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [*UNSHARE, sys.executable, "-B", "-c", OPENING + CASES[case], str(tmp_path)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("chattr") is None, reason="only root can make a file immutable")
def test_an_immutable_file_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "accounts.json"
    path.write_bytes(b"{}")
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode != 0:
        pytest.skip("this file system has no immutable files")
    code = """
import sys
from rotator.store.file import ReadOnly, Store
try:
    Store(sys.argv[1]).exchange(lambda _: b"[]")
except ReadOnly as error:
    print(error.obstacle)
"""
    try:
        root = Path(__file__).parents[2]
        command = [sys.executable, "-B", "-c", code, str(path)]
        ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    finally:
        subprocess.run(["chattr", "-i", path], check=True)
    assert "may not be written" in ended.stdout
    assert path.read_bytes() == b"{}"
    assert sorted(os.listdir(tmp_path)) == [".accounts.json.lock", "accounts.json"]
