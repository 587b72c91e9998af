"""The schema that editors use, the faults that people read and the decoder that decides: one set of rules."""

from __future__ import annotations

import ast
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from rotator.core import policy as policy_module
from rotator.core.codec.account import NAMES
from rotator.core.codec.decode import VERSION, decode
from rotator.core.codec.faults import faults_of, known_keys, runtime_faults_of, schema, validator
from rotator.core.policy import RANGE_MAX, RANGES, SELECTORS, WHOLE_NUMBERS, Policy
from rotator.errors import AccountsInvalid
from tests.strategies import PLAIN, Spelled, as_bytes, documents, mutated, quick

SCHEMAS = Path(__file__).parents[3] / "schemas"
ACCOUNTS = Path(__file__).parents[3] / "fixtures" / "accounts"


def _plain(value: Any) -> Any:
    """The document as any reader of JSON sees it."""
    return json.loads(as_bytes(value, PLAIN))


def _bare(document: Any) -> Any:
    """The document without its runtimes."""
    if not isinstance(document, dict) or not isinstance(document.get("accounts"), list):
        return document
    bare = [{k: v for k, v in a.items() if k != "runtime"} if isinstance(a, dict) else a for a in document["accounts"]]
    return {**document, "accounts": bare}


def _is_refused(raw: bytes) -> bool:
    try:
        decode(raw)
    except AccountsInvalid:
        return True
    return False


def _is_newer(document: Any) -> bool:
    version = document.get("version", 1) if isinstance(document, dict) else 1
    return isinstance(version, int | float) and float(version).is_integer() and version > VERSION


def _has_twins(document: Any) -> bool:
    accounts = document.get("accounts") if isinstance(document, dict) else None
    called = [
        next((a[key] for key in NAMES if key in a), None)
        for a in (accounts if isinstance(accounts, list) else [])
        if isinstance(a, dict)
    ]
    texts = [name for name in called if isinstance(name, str)]
    return len(texts) != len(set(texts))


def _agree(document: Any) -> None:
    raw, plain = as_bytes(document, PLAIN), _plain(document)
    refused = _is_refused(raw)
    assert bool(faults_of(raw)) == refused
    if not _is_newer(plain) and not _has_twins(plain):
        assert validator().is_valid(_bare(plain)) != refused


@quick
@given(documents())
def test_the_schema_accepts_what_the_decoder_accepts(document: Any) -> None:
    _agree(document)
    assert not _is_refused(as_bytes(document, PLAIN))
    assert validator().is_valid(_plain(document))


@quick
@given(mutated())
def test_the_schema_refuses_what_the_decoder_refuses(document: Any) -> None:
    _agree(document)


@quick
@given(mutated(mutated()))
def test_they_agree_about_documents_with_two_faults(document: Any) -> None:
    _agree(document)


@quick
@given(mutated())
def test_the_schema_faults_exactly_the_runtimes_that_count_as_missing(document: Any) -> None:
    raw = as_bytes(document, PLAIN)
    if _is_refused(raw) or _is_newer(_plain(document)):
        return
    found, _ = decode(raw)
    faulted = {int(fault.pointer.split("/")[2]) for fault in runtime_faults_of(raw)}
    assert faulted == found.unreadable
    assert all(fault.pointer.split("/")[3] == "runtime" for fault in runtime_faults_of(raw))


_ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    0.5,
    2,
    2.5,
    2**63,
    2**63 + 1,
    "",
    "x",
    "2026-11-20T10:00:00Z",
    "2026-11-20",
    [],
    {},
    [{}],
    {"x": {}},
]


def _runtime_keys() -> list[tuple[str, ...]]:
    parts = schema()["$defs"]
    return [
        *[(key,) for key in parts["runtime"]["properties"]],
        *[("models", "m", key) for key in parts["modelState"]["properties"]],
        *[("windows", "w", key) for key in parts["window"]["properties"]],
        *[
            (kind, key)
            for kind in ("availability", "selected")
            for key in parts["runtime"]["properties"][kind]["properties"]
        ],
    ]


@pytest.mark.parametrize("path", _runtime_keys(), ids="/".join)
def test_each_key_of_a_runtime_has_one_rule_in_schema_and_decoder(path: tuple[str, ...]) -> None:
    for odd in [*_ODD, Spelled("1e400"), [{"until": 3}], [{"until": "x"}], [None], {"x": None}]:
        runtime: Any = odd
        for key in reversed(path):
            runtime = {key: runtime}
        raw = as_bytes({"version": 2, "accounts": [{"id": "a", "runtime": runtime}]}, PLAIN)
        found, _ = decode(raw)
        assert bool(found.unreadable) == bool(runtime_faults_of(raw)), (path, odd)


@pytest.mark.parametrize("key", [*schema()["$defs"]["account"]["properties"]])
def test_each_key_of_an_account_has_one_rule_in_schema_and_decoder(key: str) -> None:
    more = [{"env": "X"}, {"env": ""}, {"file": "x"}, {"file": "x", "pointer": "a"}, {"file": "x", "pointer": "\n"}]
    for odd in [
        *_ODD,
        *more,
        "a\n",
        "\x7f",
        Spelled("1.0"),
        Spelled("1e400"),
        1e9,
        1e10,
        ["x"],
        [""],
        {"pointer": "/a"},
    ]:
        _agree({"version": 2, "accounts": [{"id": "a", "email": "b", key: odd}]})


_REFUSED_IN_NAMES = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]


@pytest.mark.parametrize("key", NAMES)
def test_a_name_holds_no_control_and_no_line_break_in_schema_and_decoder(key: str) -> None:
    for code in [*range(0x100), 0x200B, 0x200D, 0x2027, 0x2028, 0x2029, 0x202A, 0x202E, 0xFEFF]:
        document = {"version": 2, "accounts": [{key: f"a{chr(code)}b"}]}
        _agree(document)
        assert _is_refused(as_bytes(document, PLAIN)) == (code in _REFUSED_IN_NAMES), hex(code)


@pytest.mark.parametrize("key", Policy.__match_args__)
def test_each_policy_field_has_one_range_in_schema_and_decoder(key: str) -> None:
    low, high = RANGES.get(key, (0.0, RANGE_MAX))
    edges: list[Any] = [
        low,
        high,
        low - 0.001,
        high + 1,
        high + 0.5,
        0,
        1,
        1.5,
        True,
        None,
        "",
        "score",
        "SCORE",
        [],
        Spelled("1e400"),
    ]
    for odd in edges:
        _agree({"version": 2, "accounts": [], "policy": {key: odd}})


def _said() -> dict[str, str]:
    """What ``policy.py`` says of each field, as one line without code marks."""
    body = next(n for n in ast.parse(Path(policy_module.__file__).read_text()).body if isinstance(n, ast.ClassDef)).body
    said = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr)
            said[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split()).replace("``", "")
    return said


def test_the_policy_of_the_schema_is_the_policy_of_the_code() -> None:
    properties = schema()["properties"]["policy"]["properties"]
    assert [*properties] == [*Policy.__match_args__]
    for key, rules in properties.items():
        default = getattr(Policy(), key)
        assert rules["description"] == _said()[key]
        assert rules["default"] == default
        assert rules["examples"] == [default]
        if key == "selector":
            assert rules["enum"] == [*SELECTORS]
            continue
        assert (rules["minimum"], rules["maximum"]) == RANGES.get(key, (0.0, RANGE_MAX))
        assert rules["type"] == ("integer" if key in WHOLE_NUMBERS else "number")


def _parts(node: Any) -> list[dict[str, Any]]:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = [part for each in inner for part in _parts(each)]
    return [node, *found] if isinstance(node, dict) else found


@pytest.mark.parametrize("name", ["accounts", "status"])
def test_a_schema_is_valid_explains_every_key_and_stays_open(name: str) -> None:
    found = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    for part in _parts(found):
        assert part.get("additionalProperties") is not False
        properties = part.get("properties", {})
        if part.get("type") == "object" and isinstance(properties, dict):
            for key, rules in properties.items():
                assert rules.get("description") or "$ref" in rules, key


def test_every_example_in_the_schema_is_valid_where_it_stands() -> None:
    root = {"$defs": schema()["$defs"]}
    for part in _parts(schema()):
        if isinstance(part.get("examples"), list):
            for example in part["examples"]:
                assert jsonschema.Draft202012Validator({**part, **root, "$id": "urn:example"}).is_valid(example)


def test_the_schema_is_that_of_the_newest_version() -> None:
    assert schema()["$id"] == f"urn:rotator:schema:accounts:{VERSION}"
    assert {"accounts", "runtime", "remaining_fraction", "env", "selector"} <= known_keys()


@pytest.mark.parametrize("path", sorted(ACCOUNTS.glob("valid-*.json")), ids=lambda path: path.stem)
def test_every_valid_fixture_is_valid_and_has_no_warning(path: Path) -> None:
    raw = path.read_bytes()
    found, _ = decode(raw)
    assert faults_of(raw) == runtime_faults_of(raw) == ()
    assert found.unreadable == frozenset()
    if not found.newer:
        assert validator().is_valid(json.loads(raw.decode("utf-8-sig")))


def test_the_full_fixture_uses_every_key_that_the_format_knows() -> None:
    used = {key for part in _parts(json.loads((ACCOUNTS / "valid-full.json").read_text())) for key in part}
    assert known_keys() - used == set()


DECISION: dict[str, Any] = {
    "schema_version": 1,
    "outcome": "selected",
    "model": "gemini-3-pro",
    "account": "b@example.com",
    "previous": "a@example.com",
    "switched": True,
    "selection_reason": "best_score",
    "explanation": "b@example.com: 63 % left, resets in 40 min; a@example.com cools down for 4 h 12 min",
    "decided_at": "2026-11-20T10:00:00Z",
    "wake_at": None,
    "emergency": False,
    "durable": True,
    "candidates": [
        {
            "account": "b@example.com",
            "ready": True,
            "ready_at": "2026-11-20T10:00:00Z",
            "next_ready_at": "2026-11-20T10:00:00Z",
            "blocked_by": None,
            "tier": [False, 0, False],
            "selection_score": 0.75,
            "terms": {
                "ready_now": 1.0,
                "remaining": -0.25,
                "wait": 0.0,
                "consecutive_429": 0.0,
                "staleness": -0.05,
                "recent_success": 0.05,
            },
            "selection_reason": "best_score",
            "confidence": 0.82,
            "last_known_model_state_summary": "63 % left, resets 10:40Z, last success 2 min ago",
        }
    ],
}
FILE = {"path": "./accounts.json", "mode": "file", "durable": True, "last_error": None}


def _status() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / "status.schema.json").read_text()))


def _with(path: str, value: Any) -> Any:
    changed = json.loads(json.dumps(DECISION))
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    inner = changed
    for part in way:
        inner = inner[part]
    if value is _with:
        del inner[last]
    else:
        inner[last] = value
    return changed


PARKED = {**DECISION, "outcome": "parked", "account": None, "selection_reason": None, "switched": False}


@pytest.mark.parametrize(
    "answer",
    [
        DECISION,
        {**DECISION, "file": FILE},
        {**PARKED, "wake_at": "2026-11-20T10:00:00.250Z"},
        {**PARKED, "outcome": "unavailable", "candidates": []},
        {"schema_version": 1, "file": {**FILE, "mode": "memory", "last_error": "read-only"}, "models": [DECISION]},
        {"schema_version": 1, "file": FILE, "models": []},
        _with("candidates/0/terms/in_flight", -0.01),
    ],
)
def test_the_status_schema_accepts_every_form_of_an_answer(answer: Any) -> None:
    _status().validate(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *[_with(key, _with) for key in DECISION],
        *[_with(f"candidates/0/{key}", _with) for key in DECISION["candidates"][0]],
        *[_with(f"candidates/0/terms/{key}", _with) for key in DECISION["candidates"][0]["terms"]],
        _with("schema_version", 2),
        _with("selection_reason", "luck"),
        _with("selection_reason", None),
        _with("account", None),
        _with("wake_at", "2026-11-20T10:00:00Z"),
        _with("candidates/0/blocked_by", "moon"),
        _with("candidates/0/terms/wait", None),
        _with("candidates/0/ready", False),
        _with("candidates/0/confidence", 1.1),
        _with("candidates/0/tier", [False, 0]),
        _with("decided_at", "2026-11-20T10:00:00+01:00"),
        PARKED,
        {**PARKED, "outcome": "unavailable", "wake_at": "2026-11-20T10:00:00Z"},
        {"schema_version": 1, "models": []},
        {"schema_version": 1, "file": {**FILE, "mode": "0600"}, "models": []},
        [],
    ],
)
def test_the_status_schema_refuses_an_answer_with_a_part_missing_or_wrong(answer: Any) -> None:
    assert not _status().is_valid(answer)
