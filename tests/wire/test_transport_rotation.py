from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from rotator import Rotator
from rotator.errors import BadArgument, OriginRefused, SecretMissing
from tests.provider.server import Answer, Provider
from tests.wire.programs import ASKED, MODEL, SIDES, Program, document, in_flight, pool_of, refusing, served_by, written


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


class Clock:
    """Stands still, but for a wait, which passes at once."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.waits: list[float] = []

    def now(self):
        return datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self):
        return self.passed

    def wait(self, event, secs):
        self.waits.append(secs)
        self.passed += secs
        return event.is_set()


def test_a_429_of_one_account_is_served_by_the_next_in_one_call(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b"))
    provider.script("a", [refusing()])
    with Program(side, rotator) as program:
        answer = program.ask(provider)
    assert (answer.status_code, served_by(provider)) == (200, [("a", 429), ("b", 200)])
    assert rotator.pool.account("a").ready_at(MODEL, rotator.pool.policy)[1] == "cooldown"
    assert in_flight(rotator) == 0


def test_the_cooldown_is_in_the_file(side, provider, tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps(document(provider, "a", "b")))
    path.chmod(0o600)
    provider.script("a", [refusing(7200)])
    with Rotator.open(path) as rotator, Program(side, rotator) as program:
        program.ask(provider)
        assert rotator.flush()
        learned = written(path)
    assert learned["a"]["runtime"]["models"][MODEL]["last_retry_delay_secs_raw"] == 7200
    assert learned["b"]["runtime"]["models"][MODEL]["windows"]["requests"]["remaining_fraction"] > 0.9


def test_the_tokens_that_were_used_are_counted_once(side, provider):
    rotator = Rotator.memory(document(provider, "a"))
    with Program(side, rotator) as program:
        program.ask(provider)
        program.stream(provider)
    spent = {w.name: w.spent_tokens for w in pool_of(rotator, "a").models[MODEL].windows}
    assert spent == dict.fromkeys(spent, 15)  # of the second: the readings of its head know of the first


def test_no_more_accounts_are_tried_than_allowed(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b", "c", "d"))
    for name in "abcd":
        provider.script(name, [refusing(7200)] * 2)
    with Program(side, rotator, max_accounts=2) as program:
        answer = program.ask(provider)
    assert served_by(provider) == [("a", 429), ("b", 429)]
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert answer.headers["retry-after"] == "300", "the provider's delay, clamped for clients"


def test_the_providers_own_answer_is_handed_up_with_the_time_until_somebody_is_ready(side, provider):
    clock = Clock()
    rotator = Rotator.memory(document(provider, "a", "b"), clock=clock)
    provider.script("a", [refusing(100)])
    provider.script(
        "b",
        [Answer(429, {"retry-after": "7200", "retry-after-ms": "7200000"}, {"error": {"type": "rate_limit_error"}})],
    )
    with Program(side, rotator) as program:
        answer = program.ask(provider)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "100")
    assert "retry-after-ms" not in answer.headers
    assert answer.json() == {"error": {"type": "rate_limit_error"}}


def test_a_parked_pool_answers_without_asking_anybody(side, provider):
    clock = Clock()
    rotator = Rotator.memory(document(provider, "a"), clock=clock)
    rotator.observe("a", MODEL, status=429, headers={"retry-after": "40"})
    with Program(side, rotator) as program:
        answer = program.ask(provider)
    assert provider.requests == []
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-rotator"]) == (429, "40", "parked")
    assert answer.json()["error"]["type"] == "rate_limit_error"


def test_when_only_a_person_can_help_it_is_a_503_that_nobody_retries(side, provider):
    rotator = Rotator.memory(document(provider, "a", enabled=False))
    with Program(side, rotator) as program:
        answer = program.ask(provider)
    assert provider.requests == []
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert "a is disabled" in answer.json()["error"]["message"] or "disabled" in answer.json()["error"]["message"]


def test_within_a_deadline_a_parked_pool_is_waited_for(side, provider):
    clock = Clock()
    rotator = Rotator.memory(document(provider, "a"), clock=clock)
    provider.script("a", [refusing(20)])
    with Program(side, rotator, deadline=60) as program:
        answer = program.ask(provider)
    assert (answer.status_code, served_by(provider)) == (200, [("a", 429), ("a", 200)])
    assert 20 <= clock.passed <= 25


def test_nothing_is_waited_for_that_comes_after_the_deadline(side, provider):
    clock = Clock()
    rotator = Rotator.memory(document(provider, "a"), clock=clock)
    provider.script("a", [refusing(90)])
    with Program(side, rotator, deadline=60) as program:
        answer = program.ask(provider)
    assert (answer.status_code, answer.headers["retry-after"], clock.waits) == (429, "90", [])


def test_waiting_is_for_an_account_of_the_origin_and_not_for_another(side, provider):
    clock = Clock()
    pool = document(provider, "a")
    pool["accounts"].append({"id": "elsewhere", "provider": "anthropic", "api_key": "fake-elsewhere"})
    rotator = Rotator.memory(pool, clock=clock)
    provider.script("a", [refusing(20)])
    with Program(side, rotator, deadline=60) as program:
        assert program.ask(provider).status_code == 200
    assert 20 <= clock.passed <= 25
    assert rotator.pool.active == "a"


def test_a_5xx_is_tried_with_one_other_account_at_most(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b", "c"))
    for name in "abc":
        provider.script(name, [Answer(500, {}, {"type": "error", "error": {"type": "api_error", "message": "Oops"}})])
    with Program(side, rotator) as program:
        assert program.ask(provider).status_code == 500
    assert served_by(provider) == [("a", 500), ("b", 500)]


def test_what_the_request_is_to_blame_for_is_handed_up_as_it_came(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b"))
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too large"}}
    provider.script("a", [Answer(400, {"request-id": "r1"}, said)])
    with Program(side, rotator) as program:
        answer = program.ask(provider)
    assert (answer.status_code, answer.json(), answer.headers["request-id"]) == (400, said, "r1")
    assert served_by(provider) == [("a", 400)]
    assert not pool_of(rotator, "a").models


@pytest.mark.parametrize("state", ["banned", "restricted", "billing"])
def test_an_account_in_a_hard_state_is_left_for_the_next(side, provider, state):
    rotator = Rotator.memory(document(provider, "a", "b"))
    provider.change("a", refused=state)
    with Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
        assert program.ask(provider).status_code == 200
    assert [name for name, _ in served_by(provider)] == ["a", "b", "b"]


def test_the_same_windowless_refusal_by_two_accounts_stops_the_rotation_and_charges_nobody_for_long(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b", "c", "d"))
    for name in "abcd":
        provider.change(name, refused="bare")
    with Program(side, rotator, max_accounts=4) as program:
        assert program.ask(provider).status_code == 429
    assert len(provider.requests) in (2, 3)


def test_a_body_that_cannot_be_replayed_is_sent_once(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b"))
    provider.script("a", [refusing()])
    raw = json.dumps(ASKED).encode()
    is_async = side[1]

    def parts():
        yield raw

    async def parts_async():
        yield raw

    with Program(side, rotator, model=MODEL) as program:
        answer = program.ask(provider, json=None, content=parts_async() if is_async else parts())
    assert (answer.status_code, served_by(provider)) == (429, [("a", 429)])
    assert provider.requests[0].body == raw
    assert pool_of(rotator, "a").models[MODEL].consecutive_429 == 1


def test_a_request_without_a_model_goes_out_once_and_teaches_nothing(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b"))
    before = rotator.document()
    with Program(side, rotator) as program:
        assert program.request("GET", f"{provider.url}/v1/models").status_code == 404
    assert [seen.account for seen in provider.requests] == ["a"]
    assert rotator.document() == before


def test_a_request_without_a_model_learns_that_its_credential_is_refused(side, provider):
    pool = document(provider, "a", "b")
    pool["accounts"][0]["api_key"] = "fake-unknown"
    rotator = Rotator.memory(pool)
    with Program(side, rotator) as program:
        assert program.request("GET", f"{provider.url}/v1/models").status_code == 404
    assert pool_of(rotator, "a").consecutive_401 == 1


def test_the_programs_own_request_is_not_changed(side, provider):
    rotator = Rotator.memory(document(provider, "a", "b"))
    provider.script("a", [refusing()])
    with Program(side, rotator) as program:
        answer = program.ask(provider, headers={"x-api-key": "fake-placeholder"})
    assert answer.request.headers["x-api-key"] == "fake-placeholder"
    assert [seen.headers["x-api-key"] for seen in provider.requests] == ["fake-key-a", "fake-key-b"]


def test_an_origin_that_no_account_has_is_refused_and_nothing_is_sent(side, provider):
    rotator = Rotator.memory(document(provider, "a"))
    with Provider() as other, Program(side, rotator) as program:
        with pytest.raises(OriginRefused, match="base_url"):
            program.ask(other)
        assert (other.requests, provider.requests) == ([], [])
    assert in_flight(rotator) == 0


def test_a_base_url_that_a_person_has_just_edited_counts_at_once(side, provider, tmp_path):
    path = tmp_path / "accounts.json"
    pool = document(provider, "a")
    path.write_text(json.dumps(pool))
    path.chmod(0o600)
    with Provider() as other, Rotator.open(path) as rotator, Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
        other.account("a", key="fake-key-a", dialect="anthropic")
        pool["accounts"][0]["base_url"] = other.url
        path.write_text(json.dumps(pool))
        assert program.ask(other).status_code == 200
        with pytest.raises(OriginRefused):
            program.ask(provider)


def test_an_account_that_was_edited_away_from_the_origin_leaves_it_to_the_others(side, provider, tmp_path):
    path = tmp_path / "accounts.json"
    pool = document(provider, "a", "b")
    path.write_text(json.dumps(pool))
    path.chmod(0o600)
    with Rotator.open(path) as rotator, Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
        pool["accounts"][0]["base_url"] = "https://elsewhere.example"
        path.write_text(json.dumps(pool))
        assert program.ask(provider).status_code == 200
    assert [name for name, _ in served_by(provider)] == ["a", "b"]


def test_a_key_that_a_person_has_just_edited_is_the_one_that_is_sent(side, provider, tmp_path):
    path = tmp_path / "accounts.json"
    pool = document(provider, "a")
    path.write_text(json.dumps(pool))
    path.chmod(0o600)
    with Rotator.open(path) as rotator, Program(side, rotator) as program:
        program.ask(provider)
        pool["accounts"][0]["api_key"] = "fake-key-new"
        path.write_text(json.dumps(pool))
        program.ask(provider)
    assert [seen.headers["x-api-key"] for seen in provider.requests] == ["fake-key-a", "fake-key-new"]


def test_a_key_in_another_tools_file_is_read_at_each_request(side, provider, tmp_path):
    pool = document(provider, "a")
    pool["accounts"][0]["api_key"] = {"file": str(tmp_path / "key.json"), "pointer": "/key"}
    rotator = Rotator.memory(pool)
    with Program(side, rotator) as program:
        for key in ("fake-key-1", "fake-key-2"):
            provider.change("a", key=key)
            (tmp_path / "key.json").write_text(json.dumps({"key": key}))
            program.ask(provider)
    assert provider.requests[-1].headers["x-api-key"] == "fake-key-2"


def test_an_account_whose_secret_is_missing_is_passed_over(side, provider):
    pool = document(provider, "a", "b")
    pool["accounts"][0]["api_key"] = {"env": "FAKE_NOT_SET_ANYWHERE"}
    rotator = Rotator.memory(pool)
    with Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
    assert served_by(provider) == [("b", 200)]


def test_when_no_account_has_its_secret_that_is_said(side, provider):
    rotator = Rotator.memory(document(provider, "a", api_key={"env": "FAKE_NOT_SET_ANYWHERE"}))
    with Program(side, rotator) as program, pytest.raises(SecretMissing, match="FAKE_NOT_SET_ANYWHERE"):
        program.ask(provider)
    assert in_flight(rotator) == 0


def test_a_connection_that_cannot_be_made_raises_what_the_bare_client_raises(side, provider):
    pool = document(provider, "a", "b", base_url="http://127.0.0.1:9")
    rotator = Rotator.memory(pool)
    with Program(side, rotator) as program, pytest.raises(program.library.ConnectError):
        program.request("POST", "http://127.0.0.1:9/v1/messages", json=ASKED)
    assert in_flight(rotator) == 0


def test_a_closed_rotator_refuses(side, provider):
    rotator = Rotator.memory(document(provider, "a"))
    rotator.close()
    with Program(side, rotator) as program, pytest.raises(BadArgument, match="closed"):
        program.ask(provider)


@pytest.mark.parametrize("wrong", [{"max_accounts": 0}, {"deadline": -1}, {"deadline": float("nan")}])
def test_limits_that_cannot_be_are_refused(side, wrong):
    with pytest.raises(BadArgument):
        Program(side, Rotator.memory({"version": 2, "accounts": []}), **wrong)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_eight_threads_share_one_client(library, provider):
    rotator = Rotator.memory(document(provider, "a", "b"))
    provider.change("a", limit=20, window_secs=3600.0)
    wrong: list[object] = []
    with Program((library, False), rotator) as program:

        def work():
            for _ in range(15):
                answer = program.ask(provider)
                if answer.status_code != 200:
                    wrong.append(answer)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert sum(status == 200 for _, status in served_by(provider)) == 120
    assert in_flight(rotator) == 0


def test_a_rotation_that_a_model_is_told_in_the_path_of(side, provider):
    provider.account("g", key="fake-key-g", dialect="google")
    account = {"id": "g", "provider": "google-gemini-api", "api_key": "fake-key-g", "base_url": provider.url}
    rotator = Rotator.memory({"version": 2, "accounts": [account]})
    with Program(side, rotator) as program:
        url = f"{provider.url}/v1beta/models/gemini-x:generateContent?key=fake-of-the-program"
        answer = program.request("POST", url, json={"contents": [{"parts": [{"text": "hi"}]}]})
    seen = provider.requests[0]
    assert (answer.status_code, seen.headers["x-goog-api-key"], seen.query) == (200, "fake-key-g", "")
    assert "gemini-x" in pool_of(rotator, "g").models
