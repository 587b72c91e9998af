"""A file with an everyday typo, read by real processes that have imported nothing else before."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TYPOS = {
    "a trailing comma in an account": '{"accounts": [{"name": "a",}]}',
    "a trailing comma between accounts": '{"accounts": [{"name": "a"},]}',
    "a key in single quotes": '{"accounts": [{\'name\': "a"}]}',
    "a missing colon": '{"accounts": [{"name" "a"}]}',
    "a missing comma": '{"accounts": [{"name": "a" "email": "b"}]}',
    "a comment": '{"accounts": [{"name": "a" // mine\n}]}',
    "a raw newline in a text": '{"accounts": [{"name": "a\nb"}]}',
    "an unknown escape": r'{"accounts": [{"name": "a\q"}]}',
    "half an escape": r'{"accounts": [{"name": "a\u12"}]}',
    "half a file": '{"accounts": [{"name": "a", "runtime": {"rev": 1, "mod',
    "a key without its end": '{"accounts": [{"name',
    "a typo in the policy": '{"policy": {"recheck": 5,}, "accounts": []}',
    "a top-level key in single quotes": "{'accounts': []}",
    "a bad escape in a top-level key": r'{"acc\q": []}',
    "nothing": "",
    "not a number": '{"accounts": [{"name": "a", "weight": NaN}]}',
}


def run(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "rotator", "--accounts", str(path), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("typo", TYPOS)
def test_next_says_where_the_file_is_wrong_and_ends_with_78(tmp_path, typo):
    path = tmp_path / "accounts.json"
    path.write_text(TYPOS[typo])
    done = run("next", "-m", "m", path=path)
    assert (done.returncode, done.stdout) == (78, "")
    assert re.search(rf"{re.escape(str(path))}:\d+:\d+: ", done.stderr)
    assert "Traceback" not in done.stderr
    assert path.read_text() == TYPOS[typo]


@pytest.mark.parametrize("command", [("status",), ("hold", "a"), ("release", "a"), ("park", "-m", "m"), ("check",)])
def test_every_command_refuses_a_typo_within_an_account(tmp_path, command):
    path = tmp_path / "accounts.json"
    path.write_text(TYPOS["a trailing comma in an account"])
    done = run(*command, path=path)
    assert done.returncode == 78
    assert "Traceback" not in done.stderr


def test_an_engine_in_a_program_that_never_imported_json_refuses_it_too(tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text(TYPOS["a missing colon"])
    code = (
        "import sys; from rotator import Rotator; from rotator.errors import AccountsInvalid\n"
        "assert 'json' not in sys.modules\n"
        "try: Rotator.open(sys.argv[1])\n"
        "except AccountsInvalid as error: print(len(error.faults))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
