"""`rotator simulate` as it is typed: tables, JSON, pictures, and what is said of mistakes."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rich.console import Console
from small_worlds import HOUR, document, window

import rotator
from rotator.cli.simulating import _table, command
from rotator.errors import CallerError
from rotator.simulate.policies import POLICIES
from rotator.simulate.result import Summary

REPOSITORY = Path(rotator.__file__).parents[1]
PROGRAM = "from rotator.cli.simulating import command; command()"


@pytest.fixture
def scenarios(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        whole = document(
            accounts=[{"name": "a", "count": 2, "windows": [window("first_use", [4000, 6000])]}],
            demand=[{"model": "m", "per_hour": 40, "tokens": 100, "talk": {"turns": 3, "pause_secs": 60}}],
            name=name,
            duration_secs=6 * HOUR,
        )
        (tmp_path / f"{name}.json").write_text(json.dumps(whole))
    return tmp_path


@pytest.fixture
def here(scenarios, capfdbinary):
    def run(*words):
        capfdbinary.readouterr()
        command.main([*words], "simulate", standalone_mode=False)
        out, err = capfdbinary.readouterr()
        assert err == b""
        return out.decode()

    return run


def test_a_table_has_a_line_for_each_policy_and_the_best_first(here):
    told = here("one.json", "--seeds", "0")
    title, _, _, head, _, *rows = told.split("\n")
    assert title == "one, 1 seed"
    assert head.split()[:4] == ["policy", "optimum", "worst", "%"]
    names = [row.split()[0] for row in rows if row.strip()]
    assert sorted(names) == sorted(POLICIES)
    shares = [float(row.split()[1]) for row in rows if row.strip()]
    assert shares == sorted(shares, reverse=True)
    assert all(0.5 < share <= 1 for share in shares)


@pytest.mark.parametrize("columns", [120, 80, 60])
def test_a_narrow_terminal_sees_fewer_columns_and_whole_ones(columns):
    rows = [
        Summary("s", "soonest_reset", 3, 0.981, 0.97, 0.5, 0.0, 0.5, 18342.0, 11.2, 1204, 0.123, 605.5, 1.377),
        Summary("s", "rotator", 3, None, None, 0.5, 0.0, 0.5, 2.0, 11.2, 504, 0.123, 5.5, 0.077),
    ]
    console = Console(width=columns, file=io.StringIO())
    console.print(_table("s", rows, columns))
    told = console.file.getvalue()
    assert all(part in told for part in ("soonest_reset", "rotator", "0.981", "18342.0", "1204", "137.7"))
    assert "…" not in told
    assert max(len(line.rstrip()) for line in told.split("\n")) <= columns
    assert ("605.5" in told) is (columns >= 80)


def test_several_scenarios_end_with_all_of_them(here):
    told = here("one.json", "two.json", "--policy", "rotator", "--policy", "random", "--seeds", "0-1")
    summed = json.loads(here("one.json", "two.json", "--policy", "rotator", "--seeds", "0-1", "--json"))
    shares = [each["of_optimum"] for each in summed["scenarios"]]
    assert len({*shares}) == 2
    overall = summed["overall"][0]
    assert (overall["scenario"], overall["runs"], overall["worst"]) == ("all", 4, min(shares))
    assert overall["of_optimum"] == pytest.approx(sum(shares) / 2, abs=1e-6)
    titles = [line for line in told.split("\n") if "seed" in line or "scenarios" in line]
    assert titles == ["one, 2 seeds", "two, 2 seeds", "all 2 scenarios"]


def test_json_holds_every_run_and_what_they_amount_to(here):
    told = json.loads(here("one.json", "--policy", "rotator", "--policy", "sticky", "--seeds", "0,4-5", "--json"))
    assert told["schema_version"] == 1
    assert [(run["policy"], run["seed"]) for run in told["runs"]] == [
        (policy, seed) for seed in (0, 4, 5) for policy in ("rotator", "sticky")
    ]
    for run in told["runs"]:
        assert run["arrived"] == run["served"] + run["failed"] + run["dropped"] + run["waiting"]
        assert run["of_optimum"] == pytest.approx(run["served_tokens"] / run["optimum_tokens"], abs=1e-6)
    ours = [run for run in told["runs"] if run["policy"] == "rotator"]
    first = told["scenarios"][0]
    assert (first["scenario"], first["policy"], first["runs"]) == ("one", "rotator", 3)
    assert first["of_optimum"] == pytest.approx(sum(run["of_optimum"] for run in ours) / 3, abs=1e-6)
    assert first["worst"] == min(run["of_optimum"] for run in ours)
    assert first["rate_429"] == pytest.approx(sum(run["rate_429"] for run in ours) / 3, abs=1e-5)
    assert [each["policy"] for each in told["overall"]] == ["rotator", "sticky"]


def test_the_same_words_say_the_same_and_jobs_change_nothing(here):
    words = ("one.json", "two.json", "--policy", "rotator", "--policy", "random", "--seeds", "0-1", "--json")
    assert here(*words) == here(*words) == here(*words, "--jobs", "2")


@pytest.mark.parametrize(("word", "seeds"), [("train", [*range(12)]), ("held-out", [*range(100, 110)]), ("3", [3])])
def test_seeds_are_words_of_the_scenario_or_numbers(here, word, seeds):
    told = json.loads(here("one.json", "--policy", "sticky", "--seeds", word, "--no-optimum", "--json"))
    assert [run["seed"] for run in told["runs"]] == seeds
    assert {run["optimum_tokens"] for run in told["runs"]} == {None}


@pytest.mark.parametrize(("name", "begin"), [("x.png", b"\x89PNG\r\n"), ("x.svg", b"<?xml")])
def test_a_picture_is_drawn_of_the_first_run(here, scenarios, name, begin):
    here("one.json", "--policy", "rotator", "--seeds", "2", "--plot", name)
    drawn = (scenarios / name).read_bytes()
    assert drawn.startswith(begin)
    if name.endswith("svg"):
        text = drawn.decode()
        assert all(f"<!-- {label} -->" in text for label in ("a-1", "a-2", "5h", "traffic moves here"))
        assert "one, seed 2, rotator" in text
    here("one.json", "--policy", "rotator", "--seeds", "2", "--plot", name)
    assert (scenarios / name).read_bytes() == drawn


WRONG = [
    ([], "Missing argument"),
    (["none.json"], "none.json: No such file"),
    (["one.json", "one.json"], "another scenario has the name one too"),
    (["one.json", "--policy", "best"], "there is no policy best; there are rotator, round_robin"),
    (["one.json", "--seeds", "all"], "seeds are train, held-out, 3, 0-11 or 0-2,7"),
    (["one.json", "--seeds", "5-2"], "seeds are"),
    (["one.json", "--seeds", "-1"], "seeds are"),
    (["one.json", "--plot", "x.pdf"], "--plot writes .png or .svg"),
    (["one.json", "--jobs", "0"], "--jobs"),
]


@pytest.mark.parametrize(("words", "told"), WRONG)
def test_what_cannot_be_meant_is_a_usage_error(here, words, told):
    with pytest.raises(click.UsageError) as caught:
        here(*words)
    assert told in caught.value.format_message()


def test_a_scenario_that_is_not_valid_is_named_with_the_fault(here, scenarios):
    (scenarios / "bad.json").write_text(json.dumps(document(accounts=[{"name": "a", "windows": [window("round")]}])))
    with pytest.raises(CallerError) as caught:
        here("bad.json")
    assert "bad.json is no scenario: /accounts/0/windows/0/kind: must be one of fixed" in str(caught.value)


def test_without_its_extras_it_says_what_to_install(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(CallerError, match=r"pip install 'rotator\[simulate\]'"):
        here("one.json", "--policy", "sticky")
    assert "sticky" in here("one.json", "--policy", "sticky", "--no-optimum")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(click.UsageError, match=r"pip install 'rotator\[simulate\]'"):
        here("one.json", "--policy", "sticky", "--plot", "x.png")


def test_the_command_loads_nothing_heavy_before_it_is_called():
    program = "import sys, rotator.cli.simulating; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert not {"scipy", "matplotlib", "numpy", "rich", "rotator.simulate"} & {*done.stdout.split()}


def test_a_terminal_sees_progress_and_a_pipe_does_not(scenarios):
    words = [sys.executable, "-c", PROGRAM, "one.json", "--policy", "rotator", "--policy", "sticky", "--no-optimum"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "COLUMNS": "100"}
    plain = subprocess.run(words, capture_output=True, env=environment, check=True)
    assert plain.stderr == b""
    master, slave = pty.openpty()
    try:
        shown = subprocess.run(words, stdout=subprocess.PIPE, stderr=slave, env=environment, check=True)
        os.close(slave)
        seen = os.read(master, 100_000)
    finally:
        os.close(master)
    assert shown.stdout == plain.stdout
    assert b"one sticky" in seen
    assert b"100%" in seen
