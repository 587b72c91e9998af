"""Faults: complete, in the order of the file, bounded, and never with a letter of what the file holds."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.codec import faults as faults_module
from rotator.core.codec.decode import decode
from rotator.core.codec.faults import MOST, UNNAMED, faults_of, known_keys, runtime_faults_of
from rotator.errors import AccountsInvalid
from tests.strategies import PLAIN, as_bytes, mutated, quick, styles

ACCOUNTS = Path(__file__).parents[3] / "fixtures" / "accounts"
CANARY = "CANARY-xyz"


def _with_canaries(value: Any) -> Any:
    """The document with a secret in each of its strings, and in each key that the format does not know."""
    if isinstance(value, str):
        return f"{value}{CANARY}"
    if isinstance(value, dict):
        return {key if key in known_keys() else f"{CANARY}{key}": _with_canaries(part) for key, part in value.items()}
    return [_with_canaries(part) for part in value] if type(value) is list else value


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Bytes with secrets all over, most of them no document."""
    raw = as_bytes(_with_canaries(draw(mutated(mutated()))), draw(styles))
    slip = draw(st.sampled_from([b"", b"", b",", b'"', b"'", b"\xff", b"\\", b"}", b"\x00", CANARY.encode(), b"NaN"]))
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + slip + raw[at + draw(st.sampled_from([0, 0, 1, 5])) :]


def _told(error: BaseException | None) -> str:
    """Everything that a log could show of an error and of the errors behind it."""
    told = "" if error is None else "".join(traceback.format_exception(error))
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        told += f"{error!s}{error!r}{error.args!r}{vars(error)!r}"
        error = error.__cause__ or error.__context__
    return told


def _refusal(raw: bytes) -> AccountsInvalid | None:
    try:
        decode(raw)
    except AccountsInvalid as error:
        return error
    return None


@quick
@given(broken())
def test_no_fault_and_no_error_shows_a_letter_of_the_file(raw: bytes) -> None:
    found = [*faults_of(raw), *runtime_faults_of(raw)]
    assert CANARY not in repr(found)
    refusal = _refusal(raw)
    assert CANARY not in _told(refusal)
    assert (() if refusal is None else refusal.faults) == faults_of(raw)
    assert refusal is None or refusal.__context__ is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"CANARY-xyz": 1, "CANARY-xyz": 2}',
        b'{"accounts": [{"id": "CANARY-xyz"}, {"id": "CANARY-xyz"}]}',
        b'{"accounts": [{"CANARY-xyz": "CANARY-xyz", "api_key": ["CANARY-xyz"]}]}',
        b'{"accounts": [{"id": "CANARY-xyz\\n", "api_key": {"CANARY-xyz": "CANARY-xyz"}}]}',
        b'{"accounts": [], "policy": {"selector": "CANARY-xyz"}}',
        b'{"accounts": [], "version": "CANARY-xyz"}',
        b'{"accounts": [{"id": "a", "api_key": CANARY-xyz}]}',
        b'{"accounts": [{"id": "a", "api_key": "CANARY-xyz}]}',
        b'{"accounts": [{"id": "a", "api_key": "\xffCANARY-xyz"}]}',
        b'{"accounts": [{"id": "a", CANARY-xyz: 1}]}',
        '{"accounts": "CANARY-xyz"}'.encode("utf-16"),
    ],
)
def test_a_secret_in_the_wrong_place_stays_one(raw: bytes) -> None:
    with pytest.raises(AccountsInvalid) as refused:
        decode(raw)
    assert CANARY not in _told(refused.value)
    assert refused.value.faults
    assert UNNAMED not in refused.value.faults


@quick
@given(st.one_of(st.binary(max_size=30), broken()))
def test_what_is_refused_has_a_named_fault_whatever_the_bytes(raw: bytes) -> None:
    found = faults_of(raw)
    assert UNNAMED not in found
    assert UNNAMED not in runtime_faults_of(raw)
    assert bool(found) == (_refusal(raw) is not None)


@quick
@given(mutated(mutated()))
def test_every_shape_fault_points_at_what_is_there(document: Any) -> None:
    raw = as_bytes(document, PLAIN)
    lines = raw.decode().split("\n")
    found = [*faults_of(raw), *runtime_faults_of(raw)]
    assert faults_of(raw) == tuple(sorted(faults_of(raw), key=lambda fault: (fault.line, fault.column)))
    for fault in found:
        value = json.loads(raw)
        for part in fault.pointer.split("/")[1:]:
            if part == "*":
                break
            value = value[int(part) if isinstance(value, list) else part]
        else:
            rest = "\n".join([lines[fault.line - 1][fault.column - 1 :], *lines[fault.line :]])
            assert json.JSONDecoder().raw_decode(rest)[0] == value
        assert fault.rule
        assert fault.remedy


def test_the_faults_of_a_document_are_told_in_words_with_remedies() -> None:
    told = [str(fault) for fault in faults_of((ACCOUNTS / "broken-many.json").read_bytes())]
    assert told == [
        "line 4:70 /accounts/0/enabled: must be true or false; write for example true, or remove it",
        "line 5:5 /accounts/1: the account has no name; add an id, a name or an email",
        "line 6:15 /accounts/2/email: another account has this name already, on line 4; give each account a name of its own",
        (
            'line 6:49 /accounts/2/refresh_token: must be text, or {"env": NAME}, or {"file": PATH, "pointer": "/a/b"}; '
            'write for example {"env": "PROVIDER_API_KEY"}, or remove it'
        ),
        "line 6:81 /accounts/2/priority: must be a whole number; write for example 0, or remove it",
        "line 7:74 /accounts/3/priority: a key stands twice in one object; its first value is at line 7:71; keep one of them",
        "line 7:106 /accounts/3/min_remaining: must be at most 1; write for example 0.05, or remove it",
        'line 9:26 /policy/selector: must be one of score, chain, round_robin, shadow; write for example "score", or remove it',
        "line 9:48 /policy/recheck: must be at least 1; write for example 60, or remove it",
    ]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"{}", 'line 1:1: accounts must be there; add "accounts": []'),
        (b'{"accounts": 1}', "line 1:14 /accounts: must be a list; write for example []"),
        (b'{"accounts": [], "active": 1}', "line 1:28 /active: must be text; write for example null, or remove it"),
        (
            b'{"accounts": [1]}',
            (
                'line 1:15 /accounts/0: must be an object {…}; write for example {"email": "a@example.com", '
                '"refresh_token": {"env": "REFRESH_TOKEN_A"}}, or remove it'
            ),
        ),
        (
            b'{"accounts": [{"id": "a\\n"}]}',
            'line 1:22 /accounts/0/id: must not hold control characters; write for example "work", or remove it',
        ),
        (
            b'{"accounts": [{"id": "a", "expires_at": "soon"}]}',
            (
                "line 1:41 /accounts/0/expires_at: must be a time such as 2026-11-20T10:00:00Z; "
                'write for example "2026-11-20T10:00:00Z", or remove it'
            ),
        ),
        (
            b'{"accounts": [{"id": "a", "weight": -1}]}',
            "line 1:37 /accounts/0/weight: must be more than 0; write for example 1, or remove it",
        ),
        (
            b'{"accounts": [{"id": "a", "expires_at": []}]}',
            'line 1:41 /accounts/0/expires_at: must be text or a number; write for example "2026-11-20T10:00:00Z", or remove it',
        ),
        (
            b'{"accounts": [{"id": "a", "models": [""]}]}',
            'line 1:38 /accounts/0/models/0: must not be empty; write for example "*", or remove it',
        ),
    ],
)
def test_each_rule_has_words_of_its_own(raw: bytes, told: str) -> None:
    assert [str(fault) for fault in faults_of(raw)] == [told]


def test_faults_inside_a_runtime_are_warnings_apart() -> None:
    raw = (ACCOUNTS / "warned-runtime.json").read_bytes()
    assert faults_of(raw) == ()
    assert [fault.pointer for fault in runtime_faults_of(raw)] == [
        "/accounts/0/runtime/cooldown_until",
        "/accounts/0/runtime/models/*/remaining_fraction",
    ]
    assert decode(raw)[0].unreadable == {0}


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"version": 3, "accounts": [{"id": "a", "runtime": 4}]}', b"[]", b'{"accounts": 1}']
)
def test_a_document_that_is_broken_or_newer_has_no_runtime_warnings(raw: bytes) -> None:
    assert runtime_faults_of(raw) == ()


def test_an_account_that_is_refused_still_has_the_warnings_of_its_runtime() -> None:
    raw = b'{"accounts": [{"runtime": {"rev": -1}}]}'
    assert [fault.pointer for fault in faults_of(raw)] == ["/accounts/0"]
    assert [fault.pointer for fault in runtime_faults_of(raw)] == ["/accounts/0/runtime/rev"]


def test_a_hundred_faults_are_named_and_the_rest_is_counted() -> None:
    raw = b'{"accounts": [\n' + b",\n".join([b'{"id": 4}'] * 150) + b"\n]}"
    found = faults_of(raw)
    assert len(found) == MOST + 1
    assert [fault.line for fault in found] == [*range(2, MOST + 3)]
    assert "50 more faults" in found[-1].rule


def test_a_name_that_stands_three_times_is_two_faults_that_lead_to_the_first() -> None:
    raw = b'{"accounts": [\n{"id": "a"},\n{"email": "a"},\n{"id": "b"},\n{"email": "c", "name": "a"}]}'
    found = faults_of(raw)
    assert [(fault.pointer, fault.line) for fault in found] == [("/accounts/1/email", 3), ("/accounts/3/name", 5)]
    assert all("on line 2" in fault.rule for fault in found)


def test_a_refusal_without_a_fault_still_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults_module, "faults_of", lambda _: ())
    with pytest.raises(AccountsInvalid) as refused:
        decode(b"{}")
    assert refused.value.faults == (UNNAMED,)


def test_an_accident_while_naming_faults_is_one_fault_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def accident(_: bytes, __: Any) -> None:
        raise RecursionError(CANARY)

    monkeypatch.setattr(faults_module, "Text", accident)
    assert faults_of(b"{}") == runtime_faults_of(b"{}") == (UNNAMED,)


def test_the_schema_is_found_in_the_package_before_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rotator"
    (package / "schemas").mkdir(parents=True)
    (package / "schemas" / "accounts.schema.json").write_text('{"$id": "packaged"}')
    monkeypatch.setattr(faults_module, "__file__", str(package / "core" / "codec" / "faults.py"))
    assert faults_module.schema.__wrapped__() == {"$id": "packaged"}
    (tmp_path / "schemas").mkdir()
    (package / "schemas" / "accounts.schema.json").rename(tmp_path / "schemas" / "accounts.schema.json")
    assert faults_module.schema.__wrapped__() == {"$id": "packaged"}
