from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import rotator as package
from rotator.cli import commands
from rotator.cli.commands import COMMANDS, group, wants_color

MINE = [*COMMANDS]


def test_help_names_every_command_and_loads_none():
    program = (
        "import sys; from rotator.cli import main; main(['--help']); "
        "print(*(m for m in sys.modules if m.startswith('rotator.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for name, (_, told) in COMMANDS.items():
        assert name in done.stdout
        assert told in done.stdout
    loaded = {module.rpartition(".")[2] for module in done.stderr.split()}
    assert not loaded & {place.partition(":")[0] for place, _ in COMMANDS.values()}


REPOSITORY = Path(package.__file__).parents[1]


def _commands_told(name):
    """The words that a document sets in code, by themselves or behind ``rotator``, as far as a command may be meant."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    alone = re.findall(r"`(?:rotator )?([a-z]+)(?: [^`]*)?`", text)
    return {*alone, *re.findall(r"^\$ rotator ([a-z]+)", text, re.MULTILINE)}


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_every_command_stands_in_the_documents_that_list_them(name):
    assert {*COMMANDS} - _commands_told(name) == set()


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_a_document_names_no_command_that_is_not_there(name):
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    named = re.findall(r"(?:`|^\$ )rotator ([a-z]+)", text, re.MULTILINE)
    assert {*named} - {*COMMANDS} == set()


@pytest.mark.parametrize("name", MINE)
def test_the_help_of_a_command_teaches_by_example_and_says_how_it_ends(name, here):
    ran = here(name, "--help")
    assert ran.code == 0
    assert "Examples:\n  " in ran.out.replace("  Examples:\n  ", "Examples:\n")
    assert "Exit codes:" in ran.out
    assert all(len(line) <= 100 for line in ran.out.splitlines())
    told = ran.out.partition("Options:")[0]
    assert not any("  " in line.strip() for line in told.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there(name):
    assert group.get_command(click.Context(group), name).name == name


@pytest.mark.parametrize("name", MINE)
def test_every_option_says_what_it_does(name):
    command = group.get_command(click.Context(group), name)
    assert command.name == name
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_the_version_is_the_packages_own(here):
    assert here("--version").out == f"rotator {package.__version__}\n"


def test_a_command_that_is_not_there_is_2_with_what_comes_close(here):
    ran = here("nxet", "-m", "g")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean next?" in ran.err


@pytest.mark.parametrize(
    "words",
    [["next"], ["next", "-m", ""], ["next", "-m", "g", "--wait", "5", "--peek"], ["--accounts", "", "check"], []],
)
def test_wrong_usage_is_2_and_says_so_on_stderr(accounts, here, words):
    ran = here(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: rotator" in ran.err


def _completed(rotator, words, cword):
    return rotator(_ROTATOR_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(cword))


def test_tab_completes_commands_accounts_and_models(accounts, rotator):
    assert _completed(rotator, "rotator re", 1).out == "plain,report\nplain,release\nplain,replay\n"
    assert _completed(rotator, "rotator hold ", 2).out.split() == [f"plain,{n}@example.com" for n in "abc"]
    rotator("report", "a@example.com", "-m", "gemini-3-pro", "--status", "200")
    assert _completed(rotator, "rotator next -m ge", 3).out == "plain,gemini-3-pro\n"
    accounts.rename(accounts.with_name("other.json"))
    assert "a@example.com" in _completed(rotator, "rotator --accounts other.json hold ", 4).out


@pytest.mark.parametrize("text", ["", "{", '{"accounts": [{"refresh_token": "fake-a"}]}', None])
def test_tab_on_a_broken_file_completes_nothing_and_says_nothing(accounts, rotator, text):
    if text is None:
        accounts.unlink()
    else:
        accounts.write_text(text)
    ran = _completed(rotator, "rotator hold ", 2)
    assert (ran.out.strip(), ran.err) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(here, shell):
    ran = here("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert f"_ROTATOR_COMPLETE={shell}_complete" in ran.out


def test_the_bash_script_is_good_bash(here, home):
    (home / "script").write_text(here("completion", "bash").out)
    assert subprocess.run(["bash", "-n", "script"], check=False).returncode == 0


BASH = """
source ./script
breaks=$COMP_WORDBREAKS
rotator() { "$PYTHON" -m rotator "$@"; }
export -f rotator
COMP_LINE=$1 COMP_POINT=${#1}
_rotator_whole_words ./rotator
printf '%s\n' "${COMPREPLY[@]}"
[[ $breaks == "$COMP_WORDBREAKS" ]]
"""


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("rotator hold a@ex", "example.com"),
        ("rotator hold a@", "example.com"),
        ("rotator hold a", "a@example.com"),
        ("rotator hold c@example.com --f", "--for"),
        ("rotator --accounts accounts.json release b@e", "example.com"),
    ],
)
def test_bash_completes_what_stands_behind_an_at_sign_and_keeps_its_word_breaks(accounts, here, home, line, rest):
    (home / "script").write_text(here("completion", "bash").out)
    (home / "rotator").write_text(f'#!/bin/sh\nexec {sys.executable} -m rotator "$@"\n')
    (home / "rotator").chmod(0o755)
    done = subprocess.run(["bash", "-c", BASH, "bash", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [rest], "")


@pytest.mark.parametrize("words", [["next", "-m", "g", "--peek"], ["status"], ["check"], ["hold", "other"], ["doctor"]])
def test_the_file_may_be_named_behind_the_command_too(accounts, here, words):
    other = accounts.with_name("other.json")
    other.write_text('{"accounts": [{"id": "other", "api_key": "fake-o"}]}')
    other.chmod(0o600)
    name, *rest = words
    behind = here(*words, "--accounts", "other.json")
    assert "other" in behind.out
    assert "a@example.com" not in behind.out
    before = here("--accounts", "other.json", *words)
    assert name == "hold" or (behind.code, behind.out) == (before.code, before.out)
    accounts.with_name("broken.json").write_text("{")
    broken = here(name, *rest, "--accounts", "broken.json")
    assert "broken.json" in broken.out + broken.err


def test_an_empty_path_behind_the_command_is_2(accounts, here):
    ran = here("check", "--accounts", "")
    assert (ran.code, "must not be empty" in ran.err) == (2, True)


def test_tab_completes_from_the_file_that_stands_behind_the_command(accounts, rotator):
    accounts.rename(accounts.with_name("other.json"))
    assert "a@example.com" in _completed(rotator, "rotator hold --accounts other.json ", 4).out


COLORS = [
    ({}, None),
    ({"NO_COLOR": "1"}, False),
    ({"NO_COLOR": ""}, None),
    ({"FORCE_COLOR": "1"}, True),
    ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ({"TERM": "dumb"}, False),
    ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ({"TERM": "xterm"}, None),
]


@pytest.mark.parametrize(("environment", "wanted"), COLORS)
def test_colour_is_what_the_environment_asks_for(environment, wanted, monkeypatch):
    assert wants_color(environment.get) is wanted
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    seen = []
    probe = click.Command("probe", callback=lambda: seen.append(click.get_current_context().color))
    monkeypatch.setattr(commands.Group, "get_command", lambda *_: probe)
    assert commands.run(["probe"]) == 0
    assert seen == [wanted]
