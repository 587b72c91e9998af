"""The README is true: its console blocks are run, one after the other, in a folder that holds its files."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.provider.server import Answer, Provider

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
_FILE = re.compile(r"^```\w+ file=(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SDK = re.compile(r"^```python sdk=(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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


def _said_by_anthropic(client):
    message = client.messages.create(
        model="gpt-5", max_tokens=5, messages=[{"role": "user", "content": "who is there?"}]
    )
    return message.content[0].text


def _said_by_openai(client):
    done = client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "who is there?"}])
    return done.choices[0].message.content


def _said_by_google(client):
    return client.models.generate_content(model="gpt-5", contents="who is there?").text


_ASK = {
    "anthropic": (_said_by_anthropic, "anthropic", "ANTHROPIC_BASE_URL", ""),
    "openai": (_said_by_openai, "openai", "OPENAI_BASE_URL", "/v1"),
    "google": (_said_by_google, "google-gemini-api", "GOOGLE_GEMINI_BASE_URL", ""),
}


def _opened(monkeypatch):
    """The HTTP clients that are made from here on: a client of Google's leaves the one that it is given open."""
    opened = []

    class Client(httpx.Client):
        def __init__(self, **options):
            super().__init__(**options)
            opened.append(self)

    monkeypatch.setattr(httpx, "Client", Client)
    return opened


@pytest.mark.parametrize(("sdk", "lines"), [pytest.param(*found, id=f"{found[0]}") for found in _SDK.findall(README)])
def test_three_lines_make_an_sdk_rotate_within_one_call(sdk, lines, tmp_path, monkeypatch):
    assert len(lines.strip().splitlines()) == 3
    ask, family, variable, path = _ASK[sdk]
    with Provider() as provider:
        accounts = []
        for place, name in enumerate(["a", "b"]):
            provider.account(name, key=f"fake-key-{name}", dialect=sdk)
            here = {"base_url": f"{provider.url}{path}", "priority": place}
            accounts.append({"name": name, "provider": family, "api_key": f"fake-key-{name}", **here})
        provider.script("a", [Answer(429, {"retry-after": "7200"}, {"error": {"message": "Rate limit reached"}})])
        (tmp_path / "accounts.json").write_text(json.dumps({"accounts": accounts}))
        (tmp_path / "accounts.json").chmod(0o600)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(variable, f"{provider.url}{path}")
        if sdk == "openai" and "wire.openai" in lines:
            lines = lines.replace('model="gpt-5"', f'model="gpt-5", base_url="{provider.url}"')
        opened = _opened(monkeypatch)
        made: dict[str, object] = {}
        exec(lines, made)  # the README's own
        try:
            assert ask(made["client"]) == "b"
        finally:
            rotator = made.get("rotator") or made["accounts"].rotator
            for each in (made["client"], *opened, rotator):
                each.close()
    first = json.loads((tmp_path / "accounts.json").read_text())["accounts"][0]
    assert first["runtime"]["models"]["gpt-5"]["cooldown_source"] == "retry-after"
