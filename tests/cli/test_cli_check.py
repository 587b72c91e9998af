from __future__ import annotations

import json
import re

import pytest

from rotator.cli.spelling import PROVIDERS
from rotator.core.codec.faults import schema


def test_a_valid_file_is_one_line_with_its_number_of_accounts(accounts, here):
    ran = here("check")
    assert (ran.code, ran.out, ran.err) == (0, "accounts.json: valid, 3 accounts\n", "")


def test_every_fault_is_a_line_with_its_place_and_a_remedy(accounts, here):
    accounts.write_text('{"accounts": [\n  {"id": 5},\n  {"id": "b", "priority": "fake-high"}\n]}')
    ran = here("check")
    assert ran.code == 78
    *faults, last = ran.out.splitlines()
    assert last == f"accounts.json: not valid, {len(faults)} faults"
    assert [re.match(r"accounts\.json:(\d+):\d+: (/accounts/\d/\w+) .+; .+", line).groups() for line in faults] == [
        ("2", "/accounts/0/id"),
        ("3", "/accounts/1/priority"),
    ]
    assert "fake-high" not in ran.out + ran.err


def test_json_holds_every_fault(accounts, here):
    accounts.write_text('{"accounts": [{"id": 5}]}')
    ran = here("check", "--json")
    assert (ran.code, ran.json["valid"], ran.json["accounts"]) == (78, False, None)
    assert ran.json["faults"][0].keys() == {"pointer", "line", "column", "rule", "remedy"}


def test_a_fault_within_runtime_is_a_warning(accounts, here):
    accounts.write_text('{"version": 2, "accounts": [{"id": "a", "api_key": "fake-a", "runtime": {"rev": "x"}}]}')
    ran = here("check")
    assert ran.code == 0
    warning, last = ran.out.splitlines()
    assert re.match(r"accounts\.json:1:\d+: warning: /accounts/0/runtime/rev ", warning)
    assert "valid, 1 account; 1 fault within runtime" in last
    assert len(here("check", "--json").json["warnings"]) == 1


def test_a_key_that_looks_like_a_slip_of_the_pen_is_a_warning(accounts, here):
    accounts.write_text(
        '{"version": 2,\n "policy": {"hysterisis": 0.2, "note": 1},\n "accounts": [{"id": "a", "refesh_token": "fake-a"}]}'
    )
    ran = here("check")
    assert (ran.code, ran.err) == (0, "")
    told = "is no key that rotator knows, so it has no effect; did you mean"
    assert ran.out.splitlines() == [
        f"accounts.json:2:27: warning: /policy/hysterisis {told} hysteresis?",
        f"accounts.json:3:43: warning: /accounts/0/refesh_token {told} refresh_token?",
        "accounts.json: valid, 1 account; 2 warnings",
    ]
    found = here("check", "--json").json
    assert (found["valid"], [each["pointer"] for each in found["warnings"]]) == (
        True,
        ["/policy/hysterisis", "/accounts/0/refesh_token"],
    )


def test_a_provider_that_is_not_known_is_a_warning_with_the_known_ones(accounts, here):
    accounts.write_text(
        '{"accounts": [{"id": "a", "provider": "antropic"},\n{"id": "b", "provider": "fake-value"},\n{"id": "c", "provider": "groq"}]}'
    )
    ran = here("check")
    assert ran.code == 0
    close, unknown, last = ran.out.splitlines()
    assert close.startswith("accounts.json:1:39: warning: /accounts/0/provider is no provider that rotator knows")
    assert "did you mean anthropic? There is generic, anthropic, azure-openai, " in close
    assert unknown.startswith("accounts.json:2:25: warning: /accounts/1/provider is no provider")
    assert "write generic if that is meant" in unknown
    assert "fake-value" not in ran.out
    assert last == "accounts.json: valid, 3 accounts; 2 warnings"


def test_the_schema_and_the_command_name_the_same_providers():
    told = schema()["$defs"]["account"]["properties"]["provider"]["description"]
    assert set(told.rpartition("Known: ")[2].rstrip(".").split(", ")) == set(PROVIDERS)


@pytest.mark.parametrize("name", ["A@Example.com", "a @example.com", " a@example.com\u00a0"])
def test_names_that_look_alike_are_a_warning(accounts, here, name):
    accounts.write_text(json.dumps({"accounts": [{"id": "a@example.com"}, {"email": name}, {"id": "b@example.com"}]}))
    ran = here("check")
    assert (ran.code, ran.out.count("warning: ")) == (0, 1)
    assert "warning: /accounts/1/email differs from the name on line 1 in case or spaces alone" in ran.out


def test_the_schema_is_there_without_a_file(home, here):
    ran = here("check", "--schema")
    assert (ran.code, ran.err) == (0, "")
    properties = ran.json["$defs"]["account"]["properties"]
    assert all(name in properties for name in ("priority", "provider", "min_remaining"))
    assert "--schema" in here("check", "--help").out


def test_a_key_of_a_newer_version_is_no_slip(accounts, here):
    accounts.write_text('{"version": 3, "accounts": [], "policy": {"hysterisis": 0.2}}')
    assert len(here("check").out.splitlines()) == 1


def test_a_newer_version_is_valid_and_said_to_be_newer(accounts, here):
    accounts.write_text('{"version": 3, "accounts": []}')
    ran = here("check")
    assert (ran.code, "version 3 is newer than 2" in ran.out) == (0, True)


def test_a_file_that_is_not_there_is_66(home, here):
    assert here("check").code == 66
