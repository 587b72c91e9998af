from __future__ import annotations

import json

import pytest


def test_it_says_what_was_learned_and_what_follows(accounts, here):
    ran = here("report", "a@example.com", "-m", "g", "--status", "429", "--retry-after", "18000")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "a@example.com g: rate_limited, cools down for 5 h, next choice: b@example.com\n"


def test_when_nobody_is_left_it_says_until_when(accounts, here):
    for name in "abc":
        ran = here("report", f"{name}@example.com", "-m", "g", "--status", "429", "--retry-after", "3600")
    assert "next choice: nobody until 2" in ran.out


def test_json_holds_the_reading_and_what_follows(accounts, here):
    ran = here("report", "a@example.com", "-m", "g", "--status", "429", "--header", "Retry-After: 120", "--json")
    told = ran.json
    assert (told["schema_version"], told["account"], told["model"]) == (1, "a@example.com", "g")
    assert (told["kind"], told["scope"], told["retry_after_secs"]) == ("rate_limited", "model", 120)
    assert (told["signals"], told["blocked_by"], told["durable"]) == (["RateLimited"], "cooldown", True)
    assert told["ready_at"] > told["next_ready_at"] > "2026"  # another model could be served at once
    assert told["next_choice"] == "b@example.com"


def test_a_success_makes_an_account_ready_again(accounts, here):
    here("report", "a@example.com", "-m", "g", "--status", "429", "--retry-after", "3600")
    ran = here("report", "a@example.com", "-m", "g", "--status", "200", "--tokens", "1200")
    assert ran.out.startswith("a@example.com g: ok, ready (")


def test_a_response_on_stdin_teaches_status_headers_and_body(accounts, rotator):
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/2 429 \r\nretry-after: 7200\r\n\r\n{}"
    assert "cools down for 2 h" in rotator("report", "b@example.com", "-m", "g", "--response", "-", given=raw).out


def test_options_go_over_the_response(accounts, here, home):
    (home / "r.txt").write_bytes(b"HTTP/2 200 \r\nretry-after: 7200\r\n\r\n{}")
    ran = here("report", "b@example.com", "-m", "g", "--response", "r.txt", "--status", "429", "--retry-after", "60")
    assert "rate_limited, cools down for 1 min" in ran.out


def test_a_body_tells_of_a_quota_by_its_provider(home, accounts, here):
    document = json.loads(accounts.read_text())
    document["accounts"][0]["provider"] = "google-cloudcode"
    accounts.write_text(json.dumps(document))
    (home / "body.json").write_text(
        '{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": ['
        '{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "QUOTA_EXHAUSTED", "metadata": {}},'
        '{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "18000s"}]}}'
    )
    ran = here("report", "a@example.com", "-m", "g", "--status", "429", "--body", "body.json")
    assert ran.out.startswith("a@example.com g: quota_exhausted, ")
    assert "for 5 h, next choice: b@example.com" in ran.out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("A@example.com", "did you mean a@example.com"), ("b@exmple.com", "b@example.com"), ("zzz", "there is a@")],
)
def test_a_name_that_is_not_there_is_2_with_what_comes_close(accounts, here, typed, meant):
    for words in (["report", typed, "-m", "g", "--status", "200"], ["hold", typed], ["release", typed]):
        ran = here(*words)
        assert (ran.code, ran.out) == (2, "")
        assert f"no account is named {typed}; " in ran.err
        assert meant in ran.err


@pytest.mark.parametrize("status", ["400", "404", "302", "304", "103"])
def test_what_says_nothing_about_the_account_is_not_mixed_with_what_was_before(accounts, here, status):
    words = ["report", "a@example.com", "-m", "g", "--status"]
    assert here(*words, status).out == (
        "a@example.com g: bad_request, nothing learned about the account, next choice: a@example.com\n"
    )
    here(*words, "429", "--retry-after", "18000")
    before = accounts.read_bytes()
    assert here(*words, status).out == (
        "a@example.com g: bad_request, nothing learned about the account (it still cools down for 5 h), "
        "next choice: b@example.com\n"
    )
    assert accounts.read_bytes() == before


@pytest.mark.parametrize("said", ["120", "0", "0.5", "Fri, 20 Nov 2026 10:00:00 GMT"])
def test_a_retry_after_is_seconds_or_a_date(accounts, here, said):
    assert here("report", "a@example.com", "-m", "g", "--status", "429", "--retry-after", said).code == 0


WRONG = [
    (["--response", "-", "--body", "-"], "cannot both read stdin"),
    ([], "--status is needed"),
    (["--status", "42"], "an HTTP status is a number from 100 to 599"),
    (["--status", "600"], "an HTTP status is a number from 100 to 599"),
    (["--status", "abc"], "an HTTP status is a number from 100 to 599"),
    (["--status", "429", "--retry-after", "banana"], "Retry-After is seconds (120) or an HTTP date"),
    (["--status", "429", "--retry-after", "-5"], "Retry-After is seconds (120) or an HTTP date"),
    (["--status", "429", "--retry-after", "15m"], "Retry-After is seconds (120) or an HTTP date"),
    (["--status", "200", "--tokens", "many"], "tokens are a whole number"),
    (["--status", "429", "--header", "nonsense"], "Name: value"),
    (["--status", "429", "--body", "missing.json"], "missing.json: No such file"),
    (["--response", "accounts.json"], "curl -i"),
    (["--status", "200", "--tokens", "-1"], "--tokens"),
]


@pytest.mark.parametrize(("words", "told"), WRONG)
def test_options_that_cannot_be_meant_are_2(accounts, here, words, told):
    before = accounts.read_bytes()
    ran = here("report", "a@example.com", "-m", "g", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert accounts.read_bytes() == before


@pytest.mark.parametrize(
    "words", [["report", "a@example.com", "-m", "g", "--status", "429"], ["hold", "a@example.com"]]
)
def test_in_memory_mode_it_is_0_with_one_warning(accounts, here, words):
    accounts.chmod(0o444)
    ran = here(*words, "--json")
    assert (ran.code, ran.json["durable"]) == (0, False)
    assert ran.err.count("\n") == 1
    assert "nothing learned is kept" in ran.err


def test_no_token_of_the_file_is_ever_printed(accounts, here):
    for words in (
        ["next", "-m", "g", "--json", "--explain"],
        ["report", "a@example.com", "-m", "g", "--status", "401", "--json"],
        ["check", "--json"],
        ["hold", "fake-a"],
    ):
        ran = here(*words)
        assert "fake-a" not in (ran.out + ran.err).replace("named fake-a", "")
