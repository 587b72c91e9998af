"""`--record` and `rotator replay` as they are typed: the same picks by the same policy, and what another one would do."""

from __future__ import annotations

import json
import stat

import pytest

LOG = "picks.jsonl"


def line(second, **parts):
    return json.dumps({"at": f"2026-11-20T10:00:{second:02}Z", **parts})


def asked(second, account, **parts):
    return line(second, kind="request", model="g", account=account, **parts)


def heard(second, account, status, **parts):
    return line(second, kind="response", model="g", account=account, status=status, **parts)


@pytest.fixture
def log(home):
    def save(*lines):
        (home / LOG).write_text("\n".join(lines) + "\n")
        return LOG

    return save


@pytest.fixture
def recorded(accounts, here, home):
    """A morning at the command line."""
    picks = []
    for status in (200, 200, 429, 200, 429, 200):
        ran = here("next", "-m", "g", "--record", LOG, "--session", f"canary-{status}")
        picks.append(ran.out.strip())
        more = ["--retry-after", "3600"] if status == 429 else ["--tokens", "100"]
        assert here("report", picks[-1], "-m", "g", "--status", str(status), *more, "--record", LOG).code == 0
    return picks


def test_what_was_recorded_is_picked_again(recorded, here):
    ran = here("replay", LOG, "--json")
    assert (ran.code, ran.err) == (0, "")
    steps = ran.json["requests"]
    assert [step["now"]["account"] for step in steps] == recorded
    assert [step["then"]["account"] for step in steps] == recorded
    assert [step["then"]["status"] for step in steps] == [200, 200, 429, 200, 429, 200]
    assert ran.json["summary"]["agreements"] == 6
    assert len(set(recorded)) == 3
    assert all(step["now"]["explanation"] for step in steps)


def test_for_a_person_each_request_has_a_line_and_the_end_sums_up(recorded, here):
    lines = here("replay", LOG).out.splitlines()
    assert len(lines) == 7
    assert f"g  {recorded[0]} (" in lines[0]
    assert lines[-1].startswith("6 requests: 6 the same (100.0 %), 0 other; 2 met a 429")


def test_processes_record_as_this_one_does(accounts, rotator, home):
    assert rotator("next", "-m", "g", "--record", LOG).out == "a@example.com\n"
    assert rotator("report", "a@example.com", "-m", "g", "--status", "200", "--record", LOG).code == 0
    assert rotator("next", "-m", "g", "--record", LOG).code == 0
    refusal = ["--status", "429", "--retry-after", "99"]
    assert rotator("report", "a@example.com", "-m", "g", *refusal, "--record", LOG).code == 0
    assert rotator("next", "-m", "g", "--wait", "5", "--record", LOG).out != "a@example.com\n"
    assert rotator("park", "-m", "g", "--record", LOG).out != "a@example.com\n"
    assert stat.S_IMODE((home / LOG).stat().st_mode) == 0o600
    kinds = [json.loads(each)["kind"] for each in (home / LOG).read_text().splitlines()]
    assert kinds == ["pool", "request", "response", "request", "response", "request", "request"]
    ran = rotator("replay", LOG)
    assert (ran.code, ran.err) == (0, "")
    assert "4 requests: 4 the same" in ran.out


def test_nothing_secret_is_recorded_and_nothing_of_it_is_shown(recorded, home, here):
    raw = (home / LOG).read_text()
    assert "fake-" not in raw
    assert "canary" not in raw
    assert "p-1" not in raw
    assert "fake-" not in here("replay", LOG, "--json").out


def test_another_policy_is_compared(recorded, here, home):
    ran = here("replay", LOG, "--policy-json", '{"selector": "round_robin"}', "--json")
    assert ran.json["summary"]["differences"] > 0
    (home / "policy.json").write_text('{"selector": "round_robin"}')
    assert here("replay", LOG, "--policy", "policy.json", "--json").json == ran.json


def test_diff_shows_only_what_differs(recorded, here):
    words = ["replay", LOG, "--policy-json", '{"selector": "round_robin"}']
    whole, differing = here(*words, "--json").json, here(*words, "--diff", "--json").json
    assert differing["requests"] == [step for step in whole["requests"] if not step["agrees"]]
    assert differing["summary"] == whole["summary"]
    *lines, last = here(*words, "--diff").out.splitlines()
    assert all(" -> " in each for each in lines)
    assert last.startswith("6 requests")
    assert len(here("replay", LOG, "--diff").out.splitlines()) == 1


def test_a_file_that_is_named_goes_over_the_accounts_of_the_log(recorded, here, home):
    only = {"version": 2, "accounts": [{"email": "c@example.com", "api_key": "fake-c"}]}
    (home / "tried.json").write_text(json.dumps(only))
    ran = here("--accounts", "tried.json", "replay", LOG, "--json")
    assert {step["now"]["account"] for step in ran.json["requests"]} <= {"c@example.com", None}
    assert here("replay", LOG, "--accounts", "tried.json", "--json").json == ran.json


def test_logs_of_other_tools_are_read_with_headers_and_bodies(accounts, log, here):
    log(
        asked(0, "b@example.com"),
        heard(1, "b@example.com", 429, headers={"Retry-After": "3600"}, body={"error": {"message": "slow"}}),
        asked(2, "a@example.com"),
        heard(3, "a@example.com", 200, headers={}, body={"usage": {"input_tokens": 5}}),
        asked(4, "b@example.com"),
    )
    ran = here("replay", LOG, "--json")
    first, _, last = ran.json["requests"]
    assert (ran.code, first["now"]["account"], first["shown_429"]) == (0, "a@example.com", "avoided")
    assert last["now"]["account"] != "b@example.com"
    assert "b@example.com cools down" in last["now"]["explanation"]
    assert (ran.json["summary"]["responses_429"], ran.json["summary"]["avoided"]) == (1, 1)
    assert "its 429 would have been avoided" in here("replay", LOG).out


def test_what_the_file_has_learned_by_now_is_not_known_in_its_past(accounts, log, here):
    here("report", "a@example.com", "-m", "g", "--status", "429", "--retry-after", "86400")
    log(asked(0, "a@example.com"))
    assert here("replay", LOG, "--json").json["requests"][0]["now"]["account"] == "a@example.com"


def test_broken_lines_are_named_and_skipped_and_the_exit_code_says_so(accounts, log, here):
    wrong_fact = {"signal": "RateLimited", "account": "a@example.com", "model": None, "at": "2026-11-20T10:00:00Z"}
    log(
        asked(0, "a@example.com"),
        "{",
        heard(1, "a@example.com", "ok"),
        line(2, kind="facts", facts=[wrong_fact]),
        "",
        asked(3, "b@example.com"),
    )
    ran = here("replay", LOG)
    assert ran.code == 1
    assert "\n2 requests: " in ran.out
    assert [each.split(": ")[1] for each in ran.err.splitlines()] == [f"{LOG}:{number}" for number in (2, 3, 4)]
    told = here("replay", LOG, "--json")
    assert [each["line"] for each in told.json["broken"]] == [2, 3, 4]


def test_many_broken_lines_are_counted(accounts, log, here):
    log(*["x"] * 50)
    ran = here("replay", LOG)
    assert (ran.code, ran.out) == (1, "no request is in the log\n")
    assert len(ran.err.splitlines()) == 21
    assert "50 lines are broken in all" in ran.err


def test_accounts_that_nobody_has_are_said(accounts, log, here):
    log(asked(0, "a@example.com"), heard(1, "zoe", 429))
    ran = here("replay", LOG)
    assert ran.code == 0
    assert "of zoe nothing can be learned" in ran.err


def test_a_log_can_come_through_a_pipe(accounts, rotator):
    ran = rotator("replay", "-", given=asked(0, "a@example.com").encode())
    assert (ran.code, ran.err) == (0, "")
    assert "1 request: 1 the same" in ran.out


def test_an_empty_log_has_no_request(accounts, log, here, home):
    (home / LOG).write_bytes(b"")
    ran = here("replay", LOG)
    assert (ran.code, ran.out, ran.err) == (0, "no request is in the log\n", "")
    assert here("replay", LOG, "--json").json["requests"] == []


def test_a_log_of_others_needs_accounts(home, log, here):
    log(asked(0, "a"))
    assert here("replay", LOG).code == 66


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["missing.jsonl"], "No such file"),
        (["."], "Is a directory"),
        ([LOG, "--policy-json", "{"], "a policy is a JSON object"),
        ([LOG, "--policy-json", "[]"], "a policy is a JSON object"),
        ([LOG, "--policy-json", '{"hysterese": 1}'], "there is no hysterese in the policy"),
        ([LOG, "--policy-json", '{"hysteresis": "much"}'], "hysteresis"),
        ([LOG, "--policy-json", '{"selector": "luck"}'], "selector"),
        ([LOG, "--policy-json", "{}", "--policy", LOG], "both give a policy"),
        ([LOG, "--policy", "missing.json"], "No such file"),
        ([], "Missing argument"),
    ],
)
def test_words_that_cannot_be_meant_are_2(accounts, log, here, words, told):
    log(asked(0, "a@example.com"))
    ran = here("replay", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_a_peek_is_nothing_to_record(accounts, here, home):
    ran = here("next", "-m", "g", "--peek", "--record", LOG)
    assert (ran.code, ran.out) == (2, "")
    assert "nothing to --record" in ran.err
    assert not (home / LOG).exists()


@pytest.mark.parametrize(
    "words", [["next"], ["next", "--session", "s"], ["report", "a@example.com", "--status", "200"]]
)
def test_a_log_that_cannot_be_written_is_said_and_stops_nothing(accounts, here, words):
    ran = here(*words, "-m", "g", "--record", "no/such/folder/log")
    assert ran.code == 0
    assert ran.out
    assert ran.err == "rotator: no/such/folder/log: No such file or directory; what follows is not recorded\n"


def test_the_accounts_themselves_are_never_taken_for_a_log(accounts, here):
    before = accounts.read_bytes()
    here("next", "-m", "g", "--session", "s")
    learned = accounts.read_bytes()
    assert learned != before
    ran = here("next", "-m", "g", "--session", "s", "--record", "accounts.json")
    assert (ran.code, ran.out) == (0, "a@example.com\n")
    assert "no log of rotator's" in ran.err
    assert accounts.read_bytes() == learned


def test_a_read_only_file_is_recorded_from_too(accounts, here, home, monkeypatch):
    monkeypatch.setattr("rotator.cli.next.obstacle", lambda _path: "it is read-only")
    ran = here("next", "-m", "g", "--record", LOG)
    assert (ran.code, ran.out) == (0, "a@example.com\n")
    assert here("replay", LOG, "--json").json["summary"]["agreements"] == 1
