"""Whom one request is tried with: secrets that are missing here, waits within a deadline, and what is handed up at last."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from rotator import Rotator
from rotator.errors import BadArgument, OriginRefused, SecretMissing
from rotator.wire.origins import unowned
from tests.wire.programs import ASKED, MODEL, SIDES, Program, in_flight, pool_of

URL = "https://api.anthropic.com/v1/messages"
VARIABLE = "FAKE_NOT_SET_ANYWHERE"
OK = (200, {}, {"usage": {"input_tokens": 3, "output_tokens": 4}})
REFUSED = (401, {}, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}})
BROKEN = (500, {}, {"type": "error", "error": {"type": "api_error", "message": "Oops"}})
BUSY = (529, {}, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
BAD = (400, {}, {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens"}})
BARE = (429, {}, {"type": "error", "error": {"type": "rate_limit_error", "message": "Error"}})


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


class Clock:
    """Stands still, but for a wait, which passes at once."""

    def __init__(self):
        self.passed = 0.0

    def now(self):
        return datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(seconds=self.passed)

    def monotonic(self):
        return self.passed

    def wait(self, event, secs):
        self.passed += secs
        return event.is_set()


class Api:
    """Answers each account with what is in its list, the last for ever, else OK; ``asked`` are the accounts in order."""

    def __init__(self, clock, **answers):
        self.clock = clock
        self.answers = {name: list(said) for name, said in answers.items()}
        self.asked = []
        self.requests = []

    def answer(self, library):
        def answered(request):
            name = request.headers["x-api-key"].removeprefix("fake-key-")
            self.asked.append(name)
            self.requests.append(request)
            said = self.answers.get(name, [OK])
            each = said.pop(0) if len(said) > 1 else said[0]
            status, headers, body = each() if callable(each) else each
            return library.Response(status, headers=headers, json=body)

        return library.MockTransport(answered)


def limited(clock, secs):
    """The account's own limit, which says its reset."""
    headers = {"retry-after": str(secs), "anthropic-ratelimit-requests-limit": "10"}
    headers["anthropic-ratelimit-requests-remaining"] = "0"
    headers["anthropic-ratelimit-requests-reset"] = (clock.now() + timedelta(seconds=secs)).isoformat()
    said = {"type": "error", "error": {"type": "rate_limit_error", "message": "This request would exceed your limit"}}
    return 429, headers, said


def program(api, rotator, side=("httpx2", False), **options):
    return Program(side, rotator, inner=api.answer(importlib.import_module(side[0])), **options)


def accounts(*names, **keys):
    """A pool in this order of preference; ``keys`` are API keys that are not the usual ones."""
    listed = [
        {"id": name, "provider": "anthropic", "api_key": keys.get(name, f"fake-key-{name}"), "priority": place}
        for place, name in enumerate(names)
    ]
    return {"version": 2, "accounts": listed}


@pytest.fixture
def clock():
    return Clock()


def test_what_is_missing_in_this_process_is_no_fact_about_the_account(clock, side):
    rotator = Rotator.memory(accounts("a", "b", a={"env": VARIABLE}), clock=clock)
    api = Api(clock)
    with program(api, rotator, side) as asking:
        for _ in range(14):
            assert asking.request("POST", URL, json=ASKED).status_code == 200
            clock.passed += 700
    assert api.asked == ["b"] * 14
    assert pool_of(rotator, "a").consecutive_401 == 0
    assert Rotator.memory(rotator.document(), clock=clock).explain(MODEL).account == "a"


def test_it_is_looked_for_again_after_a_while_and_not_at_each_request(clock, monkeypatch):
    rotator = Rotator.memory(accounts("a", "b", a={"env": VARIABLE}), clock=clock)
    api = Api(clock)
    with program(api, rotator) as asking:
        for passed in (0, 44, 2):
            clock.passed += passed
            asking.request("POST", URL, json=ASKED)
            monkeypatch.setenv(VARIABLE, "fake-key-a")
    assert api.asked == ["b", "b", "a"]


def test_it_is_looked_for_at_once_when_a_person_has_edited_the_accounts(clock, tmp_path):
    path = tmp_path / "accounts.json"
    pool = accounts("a", "b", a={"env": VARIABLE})
    path.write_text(json.dumps(pool))
    path.chmod(0o600)
    api = Api(clock)
    with Rotator.open(path, clock=clock) as rotator, program(api, rotator) as asking:
        asking.request("POST", URL, json=ASKED)
        pool["accounts"][0]["api_key"] = "fake-key-a"
        path.write_text(json.dumps(pool))
        asking.request("POST", URL, json=ASKED)
        asking.request("POST", URL, json=ASKED)
    assert api.asked[0] == "b"
    assert api.asked[-1] == "a"


def test_secrets_that_are_missing_take_no_place_of_the_accounts_that_are_tried(clock):
    missing = {name: {"env": VARIABLE} for name in "abcd"}
    rotator = Rotator.memory(accounts(*"abcde", **missing), clock=clock)
    api = Api(clock)
    with program(api, rotator, max_accounts=1) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 200
    assert api.asked == ["e"]


def test_it_is_raised_each_time_that_nobody_else_serves(clock, side):
    rotator = Rotator.memory(accounts("a", "b", a={"env": VARIABLE}), clock=clock)
    rotator.hold("b")
    with program(Api(clock), rotator, side) as asking:
        for _ in range(3):
            with pytest.raises(SecretMissing, match=VARIABLE):
                asking.request("POST", URL, json=ASKED)
    assert in_flight(rotator) == 0


def test_while_another_is_only_parked_the_program_is_told_to_wait_for_it(clock):
    rotator = Rotator.memory(accounts("a", "b", a={"env": VARIABLE}), clock=clock)
    rotator.observe("b", MODEL, status=429, headers={"retry-after": "40"})
    api = Api(clock)
    with program(api, rotator) as asking:
        for _ in range(2):
            answer = asking.request("POST", URL, json=ASKED)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "40")
    with program(api, rotator, deadline=60) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 200
    assert api.asked == ["b"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_within_a_deadline_as_many_as_may_be_tried_are_waited_for_and_no_other_is_asked(clock, side, most):
    rotator = Rotator.memory(accounts(*"abcd"), clock=clock)
    api = Api(clock, **{name: [limited(clock, 20), OK] for name in "abcd"})
    with program(api, rotator, side, max_accounts=most, deadline=60) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 200
    assert api.asked[:most] == list("abcd"[:most])
    assert set(api.asked[most:]) <= set("abcd"[:most])
    assert len(api.asked) == most + 1
    assert 20 <= clock.passed <= 25


@pytest.mark.parametrize("refusal", [BARE, BUSY], ids=["429", "529"])
def test_within_a_deadline_the_back_off_of_a_provider_that_throttles_is_waited_for(clock, side, refusal):
    rotator = Rotator.memory(accounts(*"abc"), clock=clock)
    api = Api(clock, **{name: [refusal, OK] for name in "abc"})
    with program(api, rotator, side, deadline=60) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 200
    assert api.asked[:2] == ["a", "b"]
    assert len(api.asked) in (3, 4)
    assert 0 < clock.passed < 60


def test_a_provider_that_throttles_on_is_asked_again_until_the_deadline_and_no_longer(clock):
    rotator = Rotator.memory(accounts(*"ab"), clock=clock)
    api = Api(clock, a=[BUSY], b=[BUSY])
    with program(api, rotator, deadline=60) as asking:
        answer = asking.request("POST", URL, json=ASKED)
    assert answer.status_code == 529
    assert 3 < len(api.asked) < 12, "one request at a time, ever later"
    assert 20 < clock.passed <= 60


@pytest.mark.parametrize("refusal", [BARE, BUSY], ids=["429", "529"])
def test_without_a_deadline_it_is_handed_up(clock, refusal):
    rotator = Rotator.memory(accounts(*"abcd"), clock=clock)
    api = Api(clock, **{name: [refusal, OK] for name in "abcd"})
    with program(api, rotator) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == refusal[0]
    assert (api.asked in (["a", "b"], ["a", "b", "c"]), clock.passed) == (True, 0)


def test_a_request_that_is_to_blame_is_handed_up_at_once_whatever_the_deadline(clock):
    rotator = Rotator.memory(accounts(*"abcdef"), clock=clock)
    rotator.hold("f")

    def served_meanwhile():
        clock.passed += 0.05
        rotator.observe("f", MODEL, status=200)
        clock.passed += 0.05
        return BARE

    api = Api(clock, **{name: [served_meanwhile] for name in "abcde"})
    with program(api, rotator, max_accounts=9, deadline=600) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 429
    assert api.asked == ["a", "b", "c"]
    assert clock.passed < 1


def test_one_that_is_free_is_asked_although_one_that_refused_is_ready_again(clock, side):
    rotator = Rotator.memory(accounts(*"abc"), clock=clock)

    def late():
        clock.passed += 5
        return limited(clock, 7000)

    api = Api(clock, a=[limited(clock, 1)], b=[late])
    with program(api, rotator, side) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 200
    assert api.asked == ["a", "b", "c"]


@pytest.mark.parametrize("later", [REFUSED, BROKEN], ids=["401", "500"])
def test_that_there_is_a_limit_is_handed_up_rather_than_another_accounts_trouble(clock, side, later):
    rotator = Rotator.memory(accounts(*"ab"), clock=clock)
    for order in ("ab", "ba"):
        rotator = Rotator.memory(accounts(*order), clock=clock)
        api = Api(clock, a=[limited(clock, 100)], b=[later])
        with program(api, rotator, side) as asking:
            answer = asking.request("POST", URL, json=ASKED)
        assert (api.asked, answer.status_code) == (list(order), 429)
        assert answer.json()["error"]["type"] == "rate_limit_error"


def test_but_what_the_request_is_to_blame_for_is_handed_up_whatever_came_before(clock):
    rotator = Rotator.memory(accounts(*"ab"), clock=clock)
    with program(Api(clock, a=[limited(clock, 100)], b=[BAD]), rotator) as asking:
        assert asking.request("POST", URL, json=ASKED).json() == BAD[2]


def test_a_deadline_may_be_a_timedelta(clock):
    rotator = Rotator.memory(accounts("a"), clock=clock)
    api = Api(clock, a=[limited(clock, 20), OK])
    with program(api, rotator, deadline=timedelta(minutes=1)) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 200
    with pytest.raises(BadArgument, match="deadline"):
        program(api, rotator, deadline=timedelta(seconds=-1))


def test_a_path_in_the_place_of_a_rotator_is_refused_with_what_to_give(side):
    with pytest.raises(BadArgument, match=r"Rotator\.open"):
        Program(side, "accounts.json")


def test_who_is_refused_on_loopback_is_not_told_to_use_https():
    for port in (8080, 80):
        told = unowned(("http", "localhost", port))
        assert "127.0.0.1" in told
        assert "https" not in told
    assert "https" in unowned(("http", "gateway.example", 80))


def test_the_port_is_said_in_the_refusal(clock):
    pool = accounts("a")
    pool["accounts"][0]["base_url"] = "http://127.0.0.1:8080"
    with (
        program(Api(clock), Rotator.memory(pool)) as asking,
        pytest.raises(OriginRefused, match="http://localhost:8080"),
    ):
        asking.request("POST", "http://localhost:8080/v1/messages", json=ASKED)


@pytest.mark.parametrize("provider", ["anthropic", "generic"])
def test_no_cookie_of_one_accounts_answer_goes_out_with_anothers_key_to_a_provider(clock, side, provider):
    pool = accounts("a", "b")
    for account in pool["accounts"]:
        account |= {"provider": provider, "base_url": "https://api.anthropic.com"}
    rotator = Rotator.memory(pool, clock=clock)
    marked = (200, {"set-cookie": "fake-session=of-a"}, {})
    api = Api(clock, a=[marked, limited(clock, 900)])
    with program(api, rotator, side) as asking:
        for _ in range(2):
            asking.request("POST", URL, json=ASKED, headers={"x-api-key": "fake-of-the-program"})
    sent = [request.headers.get("cookie") for request in api.requests]
    assert api.asked == ["a", "a", "b"]
    assert sent == ([None] * 3 if provider == "anthropic" else [None, *["fake-session=of-a"] * 2])


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_refusal_whose_body_breaks_off_is_learned_by_its_head_and_the_next_is_asked(clock, side, packed):
    library = importlib.import_module(side[0])
    is_async = side[1]
    begun = b"\x1f\x8b\x08\x00" if packed else b'{"type": "error", "err'

    class Breaking(library.AsyncByteStream if is_async else library.SyncByteStream):
        def __iter__(self):
            yield begun
            message = "fake break"
            raise library.ReadError(message)

        async def __aiter__(self):
            yield begun
            message = "fake break"
            raise library.ReadError(message)

    def inner(status):
        def answered(request):
            asked.append(request.headers["x-api-key"])
            if asked[-1] == "fake-key-b":
                return library.Response(200, json={})
            headers = {"retry-after": "60", "content-length": "500"} | ({"content-encoding": "gzip"} if packed else {})
            return library.Response(status, headers=headers, stream=Breaking())

        return library.MockTransport(answered)

    asked = []
    rotator = Rotator.memory(accounts("a", "b"), clock=clock)
    with Program(side, rotator, inner=inner(429)) as asking:
        assert asking.request("POST", URL, json=ASKED).status_code == 200
    assert asked == ["fake-key-a", "fake-key-b"]
    assert rotator.pool.account("a").ready_at(MODEL, rotator.pool.policy)[1] == "cooldown"
    rotator = Rotator.memory(accounts("a"), clock=clock)
    with Program(side, rotator, inner=inner(429)) as asking:
        answer = asking.request("POST", URL, json=ASKED)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    with Program(side, rotator, model="another", inner=inner(400)) as asking, pytest.raises(library.ReadError):
        asking.request("POST", URL, json=ASKED)
    assert in_flight(rotator) == 0
