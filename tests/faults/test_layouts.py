"""Where people keep the file: how it is written there, whether that lasts, and that the place stays as they made it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "-m", "--propagation", "private"]
if os.geteuid() != 0:
    UNSHARE.insert(1, "-Ur")

OPENING = r"""
import errno, fcntl, json, logging, os, shutil, stat, subprocess, sys
from pathlib import Path
from rotator import Rotator
from rotator.clock import MachineClock

OLD = b'{"version": 2, "note": 1e5, "accounts": [{"name": "a", "api_key": "fake-a"}]}'
base = Path(sys.argv[1])
base.chmod(0o755)
folder = base / "folder"
folder.mkdir()
real = folder / "accounts.json"
real.write_bytes(OLD)
real.chmod(0o600)
path = real

def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)

def learn(path):
    with Rotator.open(path, clock=MachineClock()) as rotator:
        rotator.observe("a", "m", status=429, headers={"retry-after": "600"}, body=None)
        durable = rotator.flush()
        state = rotator.file_state()
        return state.mode, state.lock, durable

def revision():
    return json.loads(real.read_bytes())["accounts"][0].get("runtime", {}).get("rev", 0)

def without_locks(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))
    fcntl.flock = fail

def after():
    pass

warm = base / "warm"  # everything is loaded before root is given up
shutil.copytree(folder, warm)
learn(warm / "accounts.json")
shutil.rmtree(warm)
"""

CLOSING = r"""
answers = [learn(path), learn(path)]
durable = answers[0][2]
assert answers == [expected] * 2, answers
assert revision() == (2 if durable else 0), revision()
assert real.read_bytes().startswith(OLD[:60]) and b'"note": 1e5' in real.read_bytes()
assert durable or real.read_bytes() == OLD
status = real.stat()
assert not durable or stat.S_IMODE(status.st_mode) == 0o600, oct(status.st_mode)
for each in {real.parent, Path(os.path.realpath(path)).parent}:
    stray = [name for name in os.listdir(each) if name.endswith((".tmp", ".swap", ".old"))]
    assert not stray, stray
after()
"""

FILE = ("file", "file", True)
IN_PLACE = ("in_place", "file", True)

LAYOUTS: dict[str, tuple[object, str]] = {
    "a plain file": (FILE, ""),
    "a link from the home folder, as stow makes them": (
        FILE,
        """
path = base / "link.json"
path.symlink_to(os.path.relpath(real, base))
def after():
    assert path.is_symlink() and os.listdir(base).count("accounts.json.bak") == 0
""",
    ),
    "a linked folder": (
        FILE,
        """
(base / "linked").symlink_to(folder)
path = base / "linked" / "accounts.json"
""",
    ),
    "a Kubernetes volume, whose data folder is swapped between two writes": (
        FILE,
        """
for name in ("..1", "..2"):
    (folder / name).mkdir()
    (folder / name / "accounts.json").write_bytes(OLD)
real.unlink()
(folder / "..data").symlink_to("..1")
path.symlink_to("..data/accounts.json")
assert learn(path) == expected
(folder / "..swap").symlink_to("..2")
(folder / "..swap").rename(folder / "..data")
real = folder / "..2" / "accounts.json"
""",
    ),
    "a hard link": (
        IN_PLACE,
        """
twin = base / "twin.json"
os.link(real, twin)
def after():
    assert twin.samefile(real) and twin.read_bytes() == real.read_bytes()
""",
    ),
    "two names of one file, in turn": (
        FILE,
        """
link = base / "link.json"
link.symlink_to(real)
assert learn(link) == expected and revision() == 1
real.write_bytes(OLD)
""",
    ),
    "a single file mounted into a container": (
        IN_PLACE,
        """
path = base / "container.json"
path.touch()
mount("--bind", real, path)
""",
    ),
    "a folder mounted into a container": (
        FILE,
        """
(base / "container").mkdir()
mount("--bind", folder, base / "container")
path = base / "container" / "accounts.json"
""",
    ),
    "a folder mounted read-only": (
        ("memory", "none", False),
        """
mount("--bind", folder, folder)
mount("-o", "remount,ro,bind", folder)
""",
    ),
    "a single file mounted read-only": (
        ("memory", "none", False),
        """
path = base / "container.json"
path.touch()
mount("--bind", real, path)
mount("-o", "remount,ro,bind", path)
""",
    ),
    "a folder that was read-only and is no more": (
        FILE,
        """
mount("--bind", folder, folder)
mount("-o", "remount,ro,bind", folder)
assert learn(path)[2] is False
mount("-o", "remount,rw,bind", folder)
""",
    ),
    "a file system in memory": (
        FILE,
        """
mount("-t", "tmpfs", "none", folder)
real.write_bytes(OLD)
""",
    ),
    "a file without a write bit": (("memory", "none", False), "real.chmod(0o400)"),
    "a file readable by all": (FILE, "real.chmod(0o644)"),
    "a process without a umask": (FILE, "os.umask(0)"),
    "a process whose umask takes the others' rights": (FILE, "os.umask(0o077)"),
    "a process whose umask takes every right": (FILE, "os.umask(0o777)"),
    "a folder that gives its group to new files": (
        FILE,
        """
os.chown(folder, -1, os.getegid())
folder.chmod(0o2770)
""",
    ),
    "a folder where only owners may remove": (FILE, "folder.chmod(0o1777)"),
    "no locks: ENOLCK": (("file", "none", True), "without_locks(errno.ENOLCK)"),
    "no locks: EOPNOTSUPP": (("file", "none", True), "without_locks(errno.EOPNOTSUPP)"),
    "a name that is not UTF-8": (
        FILE,
        """
path = real = Path(os.fsdecode(os.fsencode(folder) + b"/acc\\xff.json"))
real.write_bytes(OLD)
""",
    ),
}

AS_ROOT: dict[str, tuple[object, str]] = {
    "an immutable file": (("memory", "none", False), """
if subprocess.run(["chattr", "+i", real], capture_output=True).returncode:
    sys.exit("SKIP no immutable files here")
def after():
    subprocess.run(["chattr", "-i", real], check=True)
"""),
    "a file of another user, as root once and then as that user": (FILE, """
os.chown(folder, 65534, 65534)
os.chown(real, 65534, 65534)
assert learn(path) == expected and revision() == 1
beside = {each.name: each.stat().st_uid for each in folder.iterdir()}
assert beside == dict.fromkeys(["accounts.json", "accounts.json.bak", ".accounts.json.lock"], 65534), beside
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
real.write_bytes(OLD)
"""),
    "a file of another user that only root may write": (("memory", "none", False), """
real.chmod(0o644)
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
"""),
    "a file of this user in a folder of somebody else": (("in_place", "directory", True), """
os.chown(real, 65534, 65534)
folder.chmod(0o755)
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
"""),
    "a folder that gives its group to new files, of another owner": (FILE, """
os.chown(folder, 65534, 1234)
folder.chmod(0o2770)
os.chown(real, 65534, 65534)
def after():
    assert (status.st_uid, status.st_gid) == (65534, 65534)
"""),
}  # fmt: skip


def _may_mount() -> bool:
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    command = [*UNSHARE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not _may_mount(), reason="mounting in a namespace is not permitted here"),
]


def run(folder: Path, expected: object, code: str) -> None:
    script = OPENING + f"expected = {expected!r}\n" + code + CLOSING
    command = [*UNSHARE, sys.executable, "-B", "-W", "error", "-c", script, str(folder)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if "SKIP" in ended.stderr:
        pytest.skip(ended.stderr.partition("SKIP ")[2])
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_written_as_it_must_be_and_stays_as_it_is(layout: str, tmp_path: Path) -> None:
    run(tmp_path, *LAYOUTS[layout])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of other users")
@pytest.mark.parametrize("layout", AS_ROOT)
def test_a_layout_with_other_owners_too(layout: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="rotator-"))
    try:
        run(folder, *AS_ROOT[layout])
    finally:
        if shutil.which("chattr"):
            subprocess.run(["chattr", "-R", "-i", folder], capture_output=True, check=False)
        shutil.rmtree(folder)
