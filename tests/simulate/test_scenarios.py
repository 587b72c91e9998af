"""Scenario files: what may stand in them, that schema and reader agree, and that every fault is named with its place."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from small_worlds import document, window

from rotator.errors import BadArgument
from rotator.simulate.parsing import read_scenario, scenario_of
from rotator.simulate.scenario import account_names
from rotator.simulate.world import World

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas" / "scenario.schema.json").read_text())
FIXTURES = sorted((ROOT / "fixtures" / "scenarios").glob("*.json"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def changed(path, value):
    """A valid document with one part changed; a value of ``...`` takes it out."""
    whole = document(
        accounts=[{"name": "a", "windows": [window()], "outside": {"per_hour": 1, "tokens": 1}, "answers": {}}],
        demand=[
            {
                "model": "m",
                "per_hour": 1,
                "tokens": 1,
                "talk": {"turns": 2, "pause_secs": 1},
                "shapes": [{"kind": "surge", "factor": 2}],
            }
        ],
        troubles=[{"kind": "ban", "at_secs": 1, "accounts": ["a"]}],
        cache={},
        engine={},
        seeds={},
        answers={},
    )
    part = whole
    for key in path[:-1]:
        part = part[key]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return whole


def read_as_said(whole):
    try:
        scenario_of(whole)
    except BadArgument:
        return False
    return True


WINDOW, STREAM, TROUBLE = ("accounts", 0, "windows", 0), ("demand", 0), ("troubles", 0)
GOOD = [
    (("about",), "what it shows"),
    (("$schema",), "../scenario.schema.json"),
    (("start",), "2026-11-20T10:00:00Z"),
    ((*WINDOW, "capacity"), [5, 6]),
    ((*WINDOW, "phase"), [0, 1]),
    ((*WINDOW, "model"), None),
    ((*WINDOW, "model"), "opus-*"),
    ((*WINDOW, "kind"), "bucket"),
    (("accounts", 0, "count"), 1),
    (("accounts", 0, "outside"), None),
    (("accounts", 0, "answers", "retry_after"), 60),
    (("answers", "retry_after"), "none"),
    (("answers", "latency_secs"), [0, 1]),
    ((*STREAM, "talk"), None),
    ((*STREAM, "patience_secs"), [1, 2]),
    ((*TROUBLE, "accounts"), None),
    ((*TROUBLE, "for_secs"), 5),
    (("engine", "processes"), 4),
    (("seeds", "train"), [1, 2, 3]),
]
BAD = [
    (("version",), 2, "/version"),
    (("version",), ..., "needs version"),
    (("name",), "", "/name"),
    (("nmae",), "x", "/nmae: is not known here"),
    (("duration_secs",), 0, "/duration_secs"),
    (("duration_secs",), "1h", "/duration_secs"),
    (("accounts",), [], "/accounts"),
    (("accounts",), {}, "/accounts"),
    (("demand",), ..., "needs demand"),
    (("accounts", 0, "name"), ..., "/accounts/0: needs name"),
    (("accounts", 0, "count"), 1.5, "/accounts/0/count"),
    (("accounts", 0, "count"), 0, "/accounts/0/count"),
    (("accounts", 0, "models"), [], "/accounts/0/models"),
    (("accounts", 0, "answers", "quantum"), 0.9, "/accounts/0/answers/quantum"),
    (("accounts", 0, "answers", "qantum"), 0.1, "/accounts/0/answers/qantum"),
    (("answers", "rounding"), "away", "/answers/rounding: must be one of nearest, down, up"),
    (("answers", "retry_after"), "soon", "/answers/retry_after"),
    ((*WINDOW, "kind"), "sliding", "/accounts/0/windows/0/kind"),
    ((*WINDOW, "capacity"), 0, "/accounts/0/windows/0/capacity"),
    ((*WINDOW, "capacity"), [1, 2, 3], "two that span a range"),
    ((*WINDOW, "phase"), 1.5, "/accounts/0/windows/0/phase"),
    ((*WINDOW, "hidden"), 1, "/accounts/0/windows/0/hidden"),
    ((*WINDOW, "hidden"), None, "/accounts/0/windows/0/hidden"),
    ((*STREAM, "per_hour"), -1, "/demand/0/per_hour"),
    ((*STREAM, "per_hour"), True, "/demand/0/per_hour"),
    ((*STREAM, "batch"), 0, "/demand/0/batch"),
    ((*STREAM, "shapes", 0, "kind"), "wave", "/demand/0/shapes/0/kind"),
    ((*STREAM, "talk", "turns"), 0.5, "/demand/0/talk/turns"),
    ((*TROUBLE, "kind"), "fire", "/troubles/0/kind"),
    ((*TROUBLE, "every_secs"), 5, "either at_secs or every_secs"),
    ((*TROUBLE, "at_secs"), ..., "either at_secs or every_secs"),
    (("engine", "processes"), 0, "/engine/processes"),
    (("seeds", "train"), [-1], "/seeds/train"),
]
ONLY_THE_READER = [
    ((*WINDOW, "capacity"), [2, 1], "/accounts/0/windows/0/capacity: must begin with the lower end"),
    ((*TROUBLE, "accounts"), ["b"], "an account that is not there: b"),
    (("accounts",), [{"name": "a"}, {"name": "a"}], "different names"),
    (("start",), "yesterday", "/start"),
]


def test_the_schema_is_one_and_describes_every_part():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def parts(node, path=""):
        for name, part in node.get("properties", {}).items():
            assert part.get("description"), f"{path}/{name}"
            yield from parts(part, f"{path}/{name}")

    list(parts(SCHEMA))
    for name, part in SCHEMA["$defs"].items():
        assert part.get("description"), name
        list(parts(part, name))


@pytest.mark.parametrize(("path", "value"), GOOD)
def test_what_may_stand_there_is_taken_by_schema_and_reader(path, value):
    whole = changed(path, value)
    VALIDATOR.validate(whole)
    scenario_of(whole)


@pytest.mark.parametrize(("path", "value", "told"), BAD)
def test_what_may_not_is_refused_by_both_and_named_with_its_place(path, value, told):
    whole = changed(path, value)
    assert not VALIDATOR.is_valid(whole)
    with pytest.raises(BadArgument) as caught:
        scenario_of(whole)
    assert told in str(caught.value)


@pytest.mark.parametrize(("path", "value", "told"), ONLY_THE_READER)
def test_what_no_schema_can_say_is_refused_by_the_reader(path, value, told):
    with pytest.raises(BadArgument) as caught:
        scenario_of(changed(path, value))
    assert told in str(caught.value)


def filled(part, schema):
    """A part of a document with the schema's defaults put in."""
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    inner = next((each for each in schema.get("anyOf", ()) if "$ref" in each), None)
    if inner is not None and isinstance(part, dict):
        return filled(part, inner)
    if isinstance(part, list) and "items" in schema:
        return [filled(item, schema["items"]) for item in part]
    if not isinstance(part, dict):
        return part
    known = schema.get("properties", {})
    absent = {name: each["default"] for name, each in known.items() if name not in part and "default" in each}
    return {**{name: filled(value, known[name]) for name, value in part.items()}, **absent}


def test_schema_and_reader_have_the_same_defaults():
    whole = changed(("about",), "x")
    full = filled(whole, SCHEMA)
    assert len(json.dumps(full)) > 2 * len(json.dumps(whole))
    assert scenario_of(full) == scenario_of(whole)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_example_is_valid_named_as_its_file_and_says_what_it_shows(path):
    whole = json.loads(path.read_text())
    VALIDATOR.validate(whole)
    scenario = read_scenario(path.read_bytes(), path.name)
    assert scenario.name == path.stem
    assert len(scenario.about) > 30
    assert (path.parent / whole["$schema"]).resolve() == ROOT / "schemas" / "scenario.schema.json"
    assert 4 * 3600 <= scenario.duration_secs <= 7 * 86400
    assert not {*scenario.seeds.train} & {*scenario.seeds.held_out}
    assert scenario.seeds.train == tuple(range(12))
    assert scenario.seeds.held_out == tuple(range(100, 110))
    assert len(World(scenario, 0).requests) > 500


def test_the_examples_show_every_kind_of_window_manner_and_fault():
    scenarios = [read_scenario(path.read_bytes()) for path in FIXTURES]
    assert len(scenarios) >= 25
    kinds = {w.kind for s in scenarios for plan in s.accounts for w in plan.windows}
    assert kinds == {"fixed", "first_use", "rolling", "bucket"}
    assert {t.kind for s in scenarios for t in s.troubles} >= {"throttle", "ban", "auth"}
    assert any(s.engine.processes > 1 for s in scenarios)
    assert any(s.engine.restart_every_secs for s in scenarios)
    assert any(plan.group for s in scenarios for plan in s.accounts)


def test_copies_of_a_plan_bear_their_numbers():
    scenario = scenario_of(document(accounts=[{"name": "a", "count": 2}, {"name": "b"}]))
    assert account_names(scenario.accounts) == ["a-1", "a-2", "b"]


def test_an_account_answers_in_its_own_manner_over_the_common_one():
    whole = document(
        accounts=[{"name": "a"}, {"name": "b", "answers": {"mute": 0.5}}], answers={"mute": 0.1, "quantum": 0.1}
    )
    a, b = scenario_of(whole).accounts
    assert (a.answers.mute, b.answers.mute, b.answers.quantum) == (0.1, 0.5, 0.1)


@pytest.mark.parametrize(
    ("raw", "told"),
    [(b"{", "f.json is not JSON"), (b"\xff", "f.json is not JSON"), (b"[]", "f.json is no scenario: /")],
)
def test_a_file_that_is_none_is_named(raw, told):
    with pytest.raises(BadArgument) as caught:
        read_scenario(raw, "f.json")
    assert told in str(caught.value)
