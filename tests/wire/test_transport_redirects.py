from __future__ import annotations

import pytest

from rotator import Rotator
from tests.provider.server import Answer, Provider
from tests.wire.programs import ASKED, SIDES, Program, document, in_flight, pool_of

EVERY_KIND = {
    "authorization": "Bearer fake-of-the-program",
    "x-api-key": "fake-of-the-program",
    "api-key": "fake-of-the-program",
    "x-goog-api-key": "fake-of-the-program",
    "cookie": "session=fake-of-the-program",
    "chatgpt-account-id": "fake-of-the-program",
    "proxy-authorization": "Basic fake-of-the-program",
    "x-auth-token": "fake-of-the-program",
    "openai-organization": "fake-of-the-program",
}
STATUSES = [301, 302, 303, 307, 308]
PROVIDERS = {
    "anthropic": {"api_key": "fake-canary"},
    "google-gemini-api": {"api_key": "fake-canary"},
    "azure-openai": {"api_key": "fake-canary"},
    "codex": {"access_token": "fake-canary", "account_id": "fake-canary-id"},
    "openai": {"access_token": "fake-canary"},
    "generic": {"api_key": "fake-canary"},
}


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


@pytest.fixture
def home():
    with Provider() as home:
        yield home


@pytest.fixture
def abroad():
    with Provider() as abroad:
        yield abroad


def bearing(seen):
    """What of a request bears a canary or what the program had put into it."""
    said = [*seen.headers.items(), ("query", seen.query), ("path", seen.path)]
    return {name: value for name, value in said if "fake" in value}


@pytest.mark.parametrize("status", STATUSES)
def test_no_credential_of_any_kind_goes_across_a_redirect_to_another_origin(side, home, abroad, status):
    rotator = Rotator.memory(document(home, "a"))
    home.change("a", redirect=abroad.url, redirect_status=status)
    with Program(side, rotator, client={"follow_redirects": True}) as program:
        answer = program.ask(home, headers=EVERY_KIND, params={"key": "fake-of-the-program", "alt": "sse"})
    assert [seen.account for seen in home.requests] == ["a"]
    assert answer.status_code in (401, 404)
    assert [bearing(seen) for seen in abroad.requests] == [{}]
    assert not pool_of(rotator, "a").models, "neither the redirect nor what a stranger said is the account's"
    assert in_flight(rotator) == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nor_in_the_header_of_any_provider(side, home, abroad, provider):
    parts = PROVIDERS[provider]
    home.account("x", key="fake-canary", dialect="openai", redirect=f"{abroad.url}/elsewhere?key=fake-echoed")
    account = {"id": "x", "provider": provider, "base_url": home.url, **parts}
    with Program(
        side, Rotator.memory({"version": 2, "accounts": [account]}), client={"follow_redirects": True}
    ) as program:
        program.request(
            "POST", f"{home.url}/v1/chat/completions", json={"model": "m", "messages": []}, headers=EVERY_KIND
        )
    assert any("fake-canary" in value for value in home.requests[0].headers.values())
    assert [bearing(seen) for seen in abroad.requests] == [{}]


def test_not_even_to_the_origin_of_another_account(side, home, abroad):
    pool = document(home, "a")
    abroad.account("b", key="fake-key-b", dialect="anthropic")
    pool["accounts"].append({"id": "b", "provider": "anthropic", "api_key": "fake-key-b", "base_url": abroad.url})
    home.change("a", redirect=abroad.url, redirect_status=307)
    with Program(side, Rotator.memory(pool), client={"follow_redirects": True}) as program:
        assert program.ask(home).status_code == 401
    assert [bearing(seen) for seen in abroad.requests] == [{}]


def test_a_redirect_within_the_origin_keeps_the_accounts_credentials(side, home):
    rotator = Rotator.memory(document(home, "a"))
    home.change("a", redirect=f"{home.url}/v1/moved", redirect_status=307)
    followed = {"follow_redirects": True, "max_redirects": 1}
    with Program(side, rotator, client=followed) as program, pytest.raises(program.library.TooManyRedirects):
        program.ask(home)
    assert [seen.headers["x-api-key"] for seen in home.requests] == ["fake-key-a"] * 2


def test_a_host_that_is_spelled_otherwise_is_another_origin(side, home):
    rotator = Rotator.memory(document(home, "a"))
    home.change("a", redirect=home.url.replace("127.0.0.1", "localhost"), redirect_status=307)
    with Program(side, rotator, client={"follow_redirects": True}) as program:
        program.ask(home)
    assert [bool(bearing(seen)) for seen in home.requests] == [True, False]


def test_what_follows_a_redirect_to_a_stranger_and_back_stays_the_accounts(side, home, abroad):
    """The way back goes to the origin that the program had asked: that is the account's own."""
    rotator = Rotator.memory(document(home, "a"))
    home.script("a", [Answer(307, {"location": f"{abroad.url}/v1/messages"})])
    abroad.account("nobody", key="fake-nobody", dialect="anthropic")
    with Program(side, rotator, client={"follow_redirects": True}) as program:
        assert program.ask(home).status_code == 401
    assert [bearing(seen) for seen in abroad.requests] == [{}]


def test_a_redirect_that_is_not_followed_is_handed_up_and_teaches_nothing(side, home, abroad):
    rotator = Rotator.memory(document(home, "a"))
    home.change("a", redirect=abroad.url, redirect_status=307)
    with Program(side, rotator) as program:
        answer = program.request("POST", f"{home.url}/v1/messages", json=ASKED)
    assert (answer.status_code, abroad.requests) == (307, [])
    assert not pool_of(rotator, "a").models
