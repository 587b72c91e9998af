from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.cli import commands, main
from rotator.cli.options import NEXT, Asked
from rotator.cli.quick import parse

UNDERSTOOD = [
    (["next", "-m", "g"], Asked(model="g")),
    (["next", "-mg"], Asked(model="g")),
    (["next", "--model", "g"], Asked(model="g")),
    (["next", "--model=g=h"], Asked(model="g=h")),
    (["--accounts", "f", "next", "-m", "g"], Asked("f", "g")),
    (["--accounts=f", "next", "-m", "g"], Asked("f", "g")),
    (["next", "--peek", "-m", "g", "--json", "--explain"], Asked(None, "g", peek=True, json=True, explain=True)),
    (["next", "-m", "g", "--session", "k"], Asked(None, "g", "k")),
    (["next", "-m", "g", "--tag", "x", "--tag=y"], Asked(None, "g", None, ("x", "y"))),
    (["next", "--json", "--json", "-m", "g"], Asked(None, "g", json=True)),
]
LEFT = [
    [],
    ["next"],
    ["--help"],
    ["next", "--help"],
    ["next", "-h"],
    ["next", "-m"],
    ["next", "-m", ""],
    ["next", "--model="],
    ["next", "-m=g"],
    ["next", "-m", "--json"],
    ["next", "-m", "g", "-m", "h"],
    ["next", "-m", "g", "--wait", "5"],
    ["next", "-m", "g", "--wait=5"],
    ["next", "-m", "g", "--json=1"],
    ["next", "-m", "g", "--jso"],
    ["next", "-m", "g", "extra"],
    ["next", "--", "-m", "g"],
    ["-m", "g", "next"],
    ["--accounts", "f"],
    ["--accounts=", "next", "-m", "g"],
    ["--accounts", "", "next", "-m", "g"],
    ["--accounts", "f", "--accounts", "h", "next", "-m", "g"],
    ["--version"],
    ["park", "-m", "g"],
]


@pytest.mark.parametrize(("words", "asked"), UNDERSTOOD)
def test_the_common_forms_of_next_are_understood_without_click(words, asked):
    assert parse(words, {}) == asked


@pytest.mark.parametrize("words", LEFT)
def test_everything_else_is_left_to_click(words):
    assert parse(words, {}) is None


def test_a_shell_that_completes_is_answered_by_click():
    assert parse(["next", "-m", "g"], {"_ROTATOR_COMPLETE": "bash_complete"}) is None


_words = st.sampled_from(
    [flag for option in NEXT for flag in option.flags]
    + [
        "next",
        "--accounts",
        "--accounts=f",
        "-mg",
        "--model=g",
        "--tag=",
        "--tag=x",
        "--json=",
        "-",
        "--",
        "g",
        "",
        "-x",
        "é",
    ]
)


@given(before=st.lists(_words, max_size=2), after=st.lists(_words, max_size=6))
def test_what_the_quick_parser_takes_click_takes_in_the_same_sense(before, after):
    words = [*before, "next", *after]
    quick = parse(words, {})
    if quick is None:
        return
    heard = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rotator.cli.next.answer", lambda asked: heard.append(asked) or 0)
        assert commands.run(words) == 0
    assert heard == [quick]


ASKED = [
    ["next", "-m", "g"],
    ["next", "-m", "g", "--peek"],
    ["next", "-m", "g", "--peek", "--json"],
    ["next", "-m", "g", "--peek", "--explain"],
    ["next", "-m", "g", "--peek", "--explain", "--json"],
    ["next", "-m", "g", "--session", "chat-7"],
    ["next", "-m", "g", "--tag", "nobody-has-it"],
    ["next", "-m", "held", "--json"],
    ["next", "-m", "cooling"],
    ["next", "-m", "cooling", "--json", "--explain"],
    ["--accounts", "missing.json", "next", "-m", "g"],
    ["--accounts", "broken.json", "next", "-m", "g"],
    ["--accounts", ".", "next", "-m", "g"],
]
STATES = """{"version": 2, "active": "b", "accounts": [
  {"id": "a", "api_key": "fake-a", "models": ["g", "cooling"], "runtime": {"rev": 1, "models": {
    "cooling": {"cooldown_until": "2027-01-01T00:00:00Z", "cooldown_at": "2026-11-20T09:00:00Z", "cooldown_source": "reset"}}}},
  {"id": "b", "api_key": "fake-b", "models": ["g"]}]}"""


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_both_ways_in_print_the_same_and_end_the_same(words, home, here, monkeypatch):
    monkeypatch.setattr("rotator.cli.next.time", SimpleNamespace(time=lambda: 1795168800.0))
    (home / "broken.json").write_text('{"accounts": [{"id": 5}]}')
    told = []
    for way in ("quick", "click"):
        path = home / "accounts.json"
        path.write_text(STATES)
        path.chmod(0o600)
        with monkeypatch.context() as patch:
            if way == "click":
                patch.setattr("rotator.cli.quick.parse", lambda *_: None)
            told.append(here(*words))
    assert told[0] == told[1]
    assert told[0].out or told[0].err


DEAR = {
    *("click", "jsonschema", "filelock", "rich", "typing", "re", "enum", "dataclasses", "pathlib", "json", "logging"),
    *("threading", "functools", "contextlib", "importlib.metadata", "signal", "rotator.engine", "rotator.cli.commands"),
}
LOADED_BY_NEXT = 70
"""Modules of a whole run, the interpreter's 33 or so among them; a new one has to be worth its time."""
TEN = ", ".join(
    f'{{"id": "a{place}", "api_key": "fake-a", "enabled": {str(place == 4).lower()}}}' for place in range(10)
)


def _modules_of(*words):
    program = (
        "import sys; from rotator.cli import main; code = main(sys.argv[1:]); "
        "print(*sorted(sys.modules), sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _PATHED + program, *words], capture_output=True, check=True
    )
    return done.stdout.decode(), set(done.stderr.decode().split())


_PATHED = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}; "


def test_a_pick_that_changes_nothing_loads_next_to_nothing(accounts):
    accounts.write_text(f'{{"version": 2, "active": "a4", "accounts": [{TEN}]}}')
    out, modules = _modules_of("next", "-m", "g")
    assert out == "a4\n"
    assert not modules & DEAR
    assert len(modules) <= LOADED_BY_NEXT, sorted(modules)


def test_a_pick_that_changes_the_account_loads_no_click(accounts):
    _, modules = _modules_of("next", "-m", "g")
    assert "rotator.engine" in modules
    assert not modules & {"click", "jsonschema", "rich", "httpx"}


def test_main_without_words_takes_those_of_the_process(accounts, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rotator", "next", "-m", "g", "--peek"])
    assert main() == 0
    assert capsys.readouterr().out == "a@example.com\n"
