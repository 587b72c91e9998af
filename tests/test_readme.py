"""The README is true: its console blocks are run, one after the other, in a folder that holds its files."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
_FILE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Every command of the console blocks with what the README says that it prints."""
    found: list[tuple[str, str]] = []
    for block in _CONSOLE.findall(README):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_every_command_of_the_readme_prints_what_the_readme_says(tmp_path):
    for name, text in _FILE.findall(README):
        (tmp_path / name).write_text(text, encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "rotator"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rotator "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    environment.pop("ROTATOR_ACCOUNTS", None)
    checker = doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert len(commands()) > 8
    for command, expected in commands():
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        printed = f"[exit {done.returncode}] {done.stderr}" if done.returncode else done.stdout
        assert checker.check_output(expected, printed, flags), (
            f"$ {command}\n{printed}\n--- but the README says\n{expected}"
        )


def test_ci_runs_exactly_the_test_command_of_the_readme():
    setups = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(setups) == 2
    assert setups[1].strip() in (ROOT / ".ci" / "run").read_text()


def test_the_readme_shows_every_exit_code_of_the_design():
    shown = set(re.findall(r"^\| (\d+) \|", README, re.MULTILINE))
    assert {"0", "2", "66", "69", "74", "75", "77", "78", "124", "130"} <= shown
