"""When the power goes, no acknowledged fact goes with it: real file systems, really shut down without their log."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("power_driver.py")
ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "-m", "--propagation", "private"]
DISKS = {
    "ext4": ("ext4", "loop"),
    "ext4 that does not flush what is renamed": ("ext4", "loop,noauto_da_alloc"),
    "xfs": ("xfs", "loop"),
}


@functools.cache
def hindrance(kind: str) -> str | None:
    """Why this file system cannot be made and mounted here."""
    if os.geteuid() != 0:
        return "only root can mount a disk"
    missing = [tool for tool in ("unshare", "mount", f"mkfs.{kind}") if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed"
    return None if Path("/dev/loop-control").exists() else "there are no loop devices"


def cuts(tmp_path: Path, disk: str, way: str, count: int, synced: str = "yes") -> list[dict[str, object]]:
    kind, options = DISKS[disk]
    if why := hindrance(kind):
        pytest.skip(why)
    command = [*UNSHARE, sys.executable, "-B", str(DRIVER), str(tmp_path), kind, options, way, synced, str(count)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    if "mount" in ended.stderr and not ended.stdout:
        pytest.skip(f"a {kind} image cannot be mounted here: {ended.stderr.strip()[-200:]}")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


pytestmark = pytest.mark.faults


@pytest.mark.parametrize("way", ["exchanged", "in_place"])
@pytest.mark.parametrize("disk", DISKS)
def test_no_acknowledged_fact_is_lost_in_a_power_cut(disk: str, way: str, tmp_path: Path) -> None:
    answers = cuts(tmp_path, disk, way, 6)
    assert len(answers) == 6
    for answer in answers:
        assert isinstance(answer["known"], float), answer
        assert answer["known"] >= answer["acknowledged"], answer
        assert answer["mine"], answer
    assert all(answer["acknowledged"] for answer in answers)


def test_a_program_that_does_not_sync_is_caught_by_these_power_cuts(tmp_path: Path) -> None:
    answers = cuts(tmp_path, "ext4 that does not flush what is renamed", "exchanged", 6, synced="no")
    assert any(answer["known"] is None or answer["known"] < answer["acknowledged"] for answer in answers)
