"""Runs of the command line: as a process of its own, or here where that is quicker; always in an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rotator
from rotator.cli import main

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests may ignore it (nohup), and programs inherit that
REPOSITORY = Path(rotator.__file__).parents[1]
THREE = """{
  "accounts": [
    {"email": "a@example.com", "refresh_token": "fake-a", "project_id": "p-1"},
    {"email": "b@example.com", "refresh_token": "fake-b",   "note": ["kept", 1.50]},
    {"email": "c@example.com", "refresh_token": "fake-c"}
  ],
  "mine": {"left": "alone"}
}
"""
"""A version 1 file, as tools of this field write it, and with a person's own additions."""


class Ran:
    """What a run left: exit code, and both streams as text."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ran) and (self.code, self.out, self.err) == (other.code, other.out, other.err)

    __hash__ = None

    def __repr__(self) -> str:
        return f"Ran({self.code}, {self.out!r}, {self.err!r})"


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in (
        "COLUMNS",
        "ROTATOR_ACCOUNTS",
        "XDG_CONFIG_HOME",
        "NO_COLOR",
        "FORCE_COLOR",
        "_ROTATOR_COMPLETE",
        "PYTHONUNBUFFERED",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def accounts(home):
    path = home / "accounts.json"
    path.write_text(THREE)
    path.chmod(0o600)
    return path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "rotator", *words]


@pytest.fixture(name="rotator")
def rotator_process(home):
    """Run a process; ``given`` is its stdin."""

    def run(*words: str, given: bytes = b"", **environment: str) -> Ran:
        done = subprocess.run(
            command(*words),
            input=given,
            capture_output=True,
            env={**os.environ, **environment},
            timeout=30,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def here(home, capfdbinary):
    """Run in this process."""

    def run(*words: str) -> Ran:
        capfdbinary.readouterr()
        code = main(words)
        out, err = capfdbinary.readouterr()
        return Ran(code, out.decode(), err.decode())

    return run
