from __future__ import annotations

import json
import os
import re
from datetime import datetime

import pytest

from rotator.cli import main

BAN = '"runtime": {"rev": 1, "banned": true, "blocked_reason": "terms of service"}'


def _pool(path, *accounts, **top):
    path.write_text(json.dumps({"version": 2, "accounts": list(accounts), **top}))
    path.chmod(0o600)


def _cooling(name, until):
    cooldown = {"cooldown_until": until, "cooldown_at": "2026-01-01T00:00:00Z", "cooldown_source": "retry-after"}
    return {"id": name, "api_key": f"fake-{name}", "runtime": {"rev": 1, **cooldown}}


def test_a_captured_429_moves_the_choice_and_outlives_the_process(accounts, rotator):
    assert rotator("next", "-m", "gemini-3-pro").out == "a@example.com\n"
    before = accounts.read_bytes()
    captured = (
        b"HTTP/2 429 \r\ncontent-type: application/json\r\n\r\n"
        b'{"error": {"code": 429, "message": "You have exhausted your capacity on this model. Your quota will reset '
        b'after 5h0m0s.", "status": "RESOURCE_EXHAUSTED"}}'
    )
    told = rotator("report", "a@example.com", "-m", "gemini-3-pro", "--response", "-", given=captured)
    assert told.code == 0
    assert "cools down for 5 h" in told.out
    for _ in range(3):
        chosen = rotator("next", "-m", "gemini-3-pro")
        assert (chosen.code, chosen.err) == (0, "")
        assert chosen.out.strip() in ("b@example.com", "c@example.com")
    after = accounts.read_bytes()
    assert after != before
    assert _persons(after) == _persons(before)
    for token in (b"fake-a", b"fake-b", b'"note": ["kept", 1.50]', b'"mine": {"left": "alone"}'):
        assert token in after


def _persons(raw):
    """The bytes outside ``runtime``, ``active`` and ``version``."""
    text = re.sub(r', "runtime": \{.*\}(?=\},?$)', "", raw.decode(), flags=re.MULTILINE)
    return re.sub(r',?\n  "(?:active|version)": [^,\n]*', "", text)


def test_the_persons_bytes_of_a_version_1_file_are_all_still_there(accounts, rotator):
    before = accounts.read_bytes()
    rotator("next", "-m", "g")
    after = accounts.read_bytes()
    assert b'"version": 2' in after
    assert _persons(after).replace(",", "") == _persons(before).replace(",", "")
    assert (accounts.parent / "accounts.json.v1.bak").read_bytes() == before


def test_choosing_the_same_account_again_writes_nothing(accounts, rotator):
    for _ in range(2):
        rotator("next", "-m", "g")
    rotator("report", "b@example.com", "-m", "g", "--status", "200")
    rotator("next", "-m", "g")
    stamp = os.stat(accounts)
    assert rotator("next", "-m", "g").code == 0
    assert os.stat(accounts).st_mtime_ns == stamp.st_mtime_ns


def test_plain_next_prints_the_name_and_nothing_else(accounts, here):
    assert (here("next", "-m", "g").out, here("next", "-m", "g", "--peek").err) == ("a@example.com\n", "")


def test_explain_keeps_stdout_to_the_name_and_shows_every_candidate_on_stderr(accounts, here):
    ran = here("next", "-m", "g", "--explain", "--peek")
    assert ran.out == "a@example.com\n"
    lines = ran.err.splitlines()
    assert lines[0].split() == ["account", "reason", "score", "ready", "terms"]
    assert [line[2:].split()[0] for line in lines[1:4]] == ["a@example.com", "b@example.com", "c@example.com"]
    assert lines[1].startswith("> ")
    assert "ready_now +1.000" in lines[1]
    assert lines[4] == "a@example.com: nothing known yet"


def test_json_of_a_choice_says_that_it_was_written(accounts, here):
    ran = here("next", "-m", "g", "--json")
    assert (ran.json["account"], ran.json["switched"], ran.json["durable"]) == ("a@example.com", True, True)
    assert ran.out.endswith("}\n")
    assert json.loads(accounts.read_bytes())["active"] == "a@example.com"


def test_all_limited_ends_with_75_and_says_until_when(home, here):
    _pool(home / "accounts.json", _cooling("a", "2099-01-01T05:00:00Z"), _cooling("b", "2098-06-01T12:00:00.250Z"))
    ran = here("next", "-m", "g")
    assert (ran.code, ran.out) == (75, "")
    assert ran.err.startswith("rotator: parked until 2098-06-01 12:00:01+00:00 (in ")
    ran = here("next", "-m", "g", "--json")
    assert (ran.code, ran.json["outcome"], ran.json["account"]) == (75, "parked", None)
    assert datetime.fromisoformat(ran.json["wake_at"]).isoformat() == "2098-06-01T12:00:00.250000+00:00"


def test_times_for_people_are_local_with_their_offset(home, rotator):
    _pool(home / "accounts.json", _cooling("a", "2098-06-01T12:00:00Z"))
    assert "parked until 2098-06-01 17:30:00+05:30 (in " in rotator("next", "-m", "g", TZ="XXX-5:30").err


@pytest.mark.parametrize("wait", [[], ["--wait", "30"]])
def test_all_banned_ends_with_69_at_once_and_says_what_to_do(accounts, here, wait):
    accounts.write_text(accounts.read_text().replace('"refresh_token"', BAN + ', "refresh_token"'))
    ran = here("next", "-m", "g", *wait)
    assert (ran.code, ran.out) == (69, "")
    assert "terms of service" in ran.err
    assert "rotator release NAME" in ran.err


def test_an_empty_pool_is_69(home, here):
    _pool(home / "accounts.json")
    assert here("next", "-m", "g").code == 69


def test_a_read_only_file_is_answered_and_said_not_to_be_durable(accounts, here):
    accounts.chmod(0o400)
    ran = here("next", "-m", "g", "--json")
    assert (ran.code, ran.json["account"], ran.json["durable"]) == (0, "a@example.com", False)
    assert ran.err.count("\n") == 1
    assert "read-only (mode 0400); going on in memory, nothing learned is kept" in ran.err
    ran = here("next", "-m", "g", "--peek", "--json")
    assert (ran.json["durable"], ran.err) == (False, "")


def test_a_newer_version_is_answered_and_never_written(accounts, here):
    newer = '{"version": 9, "accounts": [{"id": "a", "api_key": "fake-a", "future": 1}]}'
    accounts.write_text(newer)
    ran = here("next", "-m", "g", "--json")
    assert (ran.code, ran.json["account"], ran.json["durable"]) == (0, "a", False)
    assert "update rotator" in ran.err
    assert accounts.read_text() == newer
    assert here("next", "-m", "g", "--peek", "--json").json["durable"] is False


@pytest.mark.parametrize("text", ["", "{", '{"accounts": 5}', "\0\0\0", '{"accounts": [{"id": "a"}, {"id": "a"}]}'])
def test_a_file_that_is_not_valid_ends_with_78_and_every_fault_with_its_place(accounts, here, text):
    accounts.write_text(text)
    ran = here("next", "-m", "g")
    assert (ran.code, ran.out) == (78, "")
    first, *faults = ran.err.splitlines()
    assert first == "rotator: accounts.json is not valid"
    assert faults
    assert all(re.match(r"accounts\.json:\d+:\d+: .+; .+", fault) for fault in faults)


def test_no_file_anywhere_ends_with_66_and_says_what_to_do(home, here):
    ran = here("next", "-m", "g")
    assert ran.code == 66
    assert "--accounts PATH or ROTATOR_ACCOUNTS" in ran.err
    assert here("--accounts", "elsewhere.json", "next", "-m", "g").code == 66


def test_the_file_is_the_option_else_the_variable_else_here_else_the_configuration(home, here, monkeypatch):
    def put(name):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _pool(path, {"id": path.parent.name, "api_key": "fake-x"})

    def chosen(*words):
        return here(*words, "next", "-m", "g", "--peek").out.strip()

    put("home/.config/rotator/accounts.json")
    assert chosen() == "rotator"
    put("xdg/rotator/../rotator/accounts.json")
    _pool(home / "xdg/rotator/accounts.json", {"id": "xdg", "api_key": "fake-x"})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    assert chosen() == "xdg"
    monkeypatch.setenv("XDG_CONFIG_HOME", "xdg")
    assert chosen() == "rotator"
    _pool(home / "accounts.json", {"id": "here", "api_key": "fake-x"})
    assert chosen() == "here"
    put("env/accounts.json")
    monkeypatch.setenv("ROTATOR_ACCOUNTS", "env/accounts.json")
    assert chosen() == "env"
    put("option/accounts.json")
    assert chosen("--accounts", "option/accounts.json") == "option"
    monkeypatch.setenv("ROTATOR_ACCOUNTS", "")
    assert chosen() == "here"


def test_a_file_that_another_user_owns_ends_with_77(accounts, here):
    assert main(["next", "-m", "g", "--peek"]) == 0
    accounts.chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        ran = here("next", "-m", "g")
    finally:
        os.seteuid(me)
    assert ran.code == 77
    assert "may not be read by this user" in ran.err


def test_what_is_no_file_ends_with_74(home, here):
    (home / "accounts.json").mkdir()
    assert here("next", "-m", "g").code == 74


def test_a_disk_that_refuses_the_write_still_gives_an_answer(accounts, here, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = here("next", "-m", "g", "--json")
    assert (ran.code, ran.json["account"], ran.json["durable"]) == (0, "a@example.com", False)
    assert "No space left on device" in ran.err
    ran = here("report", "a@example.com", "-m", "g", "--status", "429")
    assert ran.code == 74
    assert here("hold", "a@example.com").code == 74


def test_a_session_stays_on_its_account_and_is_noted_once(accounts, here):
    first = here("next", "-m", "g", "--session", "chat-7").out
    stamp = accounts.read_bytes()
    assert here("next", "-m", "g", "--session", "chat-7").out == first
    assert accounts.read_bytes() == stamp
    assert b"chat-7" in stamp


def test_a_new_session_is_noted_though_the_account_stays(home, here):
    _pool(home / "accounts.json", {"id": "a", "api_key": "fake-a"}, active="a")
    before = (home / "accounts.json").read_bytes()
    assert here("next", "-m", "g").out == "a\n"
    assert (home / "accounts.json").read_bytes() == before
    assert here("next", "-m", "g", "--session", "chat-7").out == "a\n"
    assert b"chat-7" in (home / "accounts.json").read_bytes()


def test_a_lone_surrogate_is_printed_as_its_escape(accounts, here):
    accounts.write_text(
        '{"accounts": [{"id": "a", "api_key": "fake-a", "runtime": {"rev": 1, "banned": true, "blocked_reason": "x\\ud800\\u001b[2J"}}]}'
    )
    ran = here("next", "-m", "g\udc80", "--json")
    assert ran.json["model"] == "g\udc80"
    assert "\x1b" not in here("next", "-m", "g").err


def test_a_tag_that_nobody_bears_is_named(accounts, here):
    ran = here("next", "-m", "g", "--tag", "nope")
    assert (ran.code, "no account with the tag nope is there for g" in ran.err) == (69, True)


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
def test_an_explanation_fits_the_terminal_and_nothing_is_lost(accounts, here, monkeypatch, columns):
    whole = here("next", "-m", "g", "--peek", "--explain").err
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = here("next", "-m", "g", "--peek", "--explain")
    assert max(map(len, ran.err.splitlines())) <= columns
    below = [line for line in ran.err.splitlines() if line.startswith("    ready_now +")]
    assert len(below) == (0 if columns == 120 else 3)
    for wanted in ("a@example.com", "round_robin", "ready_now", "b@example.com", "nothing known yet"):
        assert wanted.replace(" ", "") in "".join(ran.err.split())
        assert wanted in whole
