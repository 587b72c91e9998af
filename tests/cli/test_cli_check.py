from __future__ import annotations

import re


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
        "accounts.json: valid, 1 account; 2 keys without effect",
    ]
    found = here("check", "--json").json
    assert (found["valid"], [each["pointer"] for each in found["warnings"]]) == (
        True,
        ["/policy/hysterisis", "/accounts/0/refesh_token"],
    )


def test_a_key_of_a_newer_version_is_no_slip(accounts, here):
    accounts.write_text('{"version": 3, "accounts": [], "policy": {"hysterisis": 0.2}}')
    assert len(here("check").out.splitlines()) == 1


def test_a_newer_version_is_valid_and_said_to_be_newer(accounts, here):
    accounts.write_text('{"version": 3, "accounts": []}')
    ran = here("check")
    assert (ran.code, "version 3 is newer than 2" in ran.out) == (0, True)


def test_a_file_that_is_not_there_is_66(home, here):
    assert here("check").code == 66
