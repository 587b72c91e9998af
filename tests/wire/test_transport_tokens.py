from __future__ import annotations

import asyncio
import importlib
import json

import pytest

from rotator import Rotator
from rotator.errors import LoginNeeded
from tests.provider.server import Answer, Provider
from tests.wire.programs import ASKED, MODEL, SIDES, Program, in_flight, pool_of, served_by


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


@pytest.fixture
def rotator(provider, tmp_path):
    """Account ``a`` has tokens, ``b`` after it a key."""
    tokens = {"access_token": "fake-a-access-0", "refresh_token": "fake-a-refresh-0"}
    provider.account("a", dialect="anthropic", **tokens)
    provider.account("b", dialect="anthropic", key="fake-key-b")
    shared = {"provider": "anthropic", "base_url": provider.url}
    first = {"id": "a", "token_url": f"{provider.url}/oauth/token", **tokens, **shared}
    second = {"id": "b", "api_key": "fake-key-b", "priority": 1, **shared}
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({"version": 2, "accounts": [first, second]}))
    path.chmod(0o600)
    with Rotator.open(path) as rotator:
        yield rotator


def test_a_token_that_is_refused_is_renewed_and_the_same_account_serves(side, provider, rotator):
    provider.held("a").expire()
    with Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
        assert program.ask(provider).status_code == 200
    assert served_by(provider) == [("a", 401), ("a", 200), ("a", 200), ("a", 200)]
    assert [seen.path for seen in provider.requests][1] == "/oauth/token"
    assert (provider.token_requests, provider.reuse_detected) == (1, 0)
    assert pool_of(rotator, "a").consecutive_401 == 0
    assert rotator.pool.account("a").ready_at(MODEL, rotator.pool.policy)[1] is None


def test_a_renewed_token_that_is_refused_too_is_the_accounts_fault(side, provider, rotator):
    unknown = {"type": "error", "error": {"type": "authentication_error", "message": "Invalid bearer token"}}
    provider.script("a", [Answer(401, {}, unknown), Answer(401, {}, unknown)])
    with Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
    assert [name for name, _ in served_by(provider)] == ["a", "a", "a", "b"]
    assert pool_of(rotator, "a").consecutive_401 == 1


def test_an_account_whose_refresh_token_is_dead_is_left_for_the_next(side, provider, rotator):
    provider.held("a").expire()
    provider.change("a", refresh_token="fake-another")
    with Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
        assert program.ask(provider).status_code == 200
    assert [seen.account for seen in provider.requests if seen.path == "/v1/messages"] == ["a", "b", "b"]
    assert pool_of(rotator, "a").auth_failed


def test_when_it_is_the_only_account_and_ends_its_refusal_is_handed_up(side, provider, rotator):
    rotator.hold("b")
    provider.held("a").expire()
    provider.change("a", refresh_token="fake-another")
    with Program(side, rotator) as program:
        assert program.ask(provider).status_code == 401
        assert program.ask(provider).status_code == 503
    assert in_flight(rotator) == 0


def test_a_token_that_is_about_to_end_is_renewed_before_it_is_sent(side, provider, tmp_path):
    provider.account("c", dialect="anthropic", access_token="fake-c-0", refresh_token="fake-c-refresh")
    account = {
        "id": "c",
        "provider": "anthropic",
        "base_url": provider.url,
        "token_url": f"{provider.url}/oauth/token",
        "access_token": "fake-c-0",
        "refresh_token": "fake-c-refresh",
        "expires_at": "2020-01-01T00:00:00Z",
    }
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"version": 2, "accounts": [account]}))
    path.chmod(0o600)
    with Rotator.open(path) as rotator, Program(side, rotator) as program:
        assert program.ask(provider).status_code == 200
        provider.script("c", [Answer(500, {}, {"error": "server_error"})], on="token")
    assert [seen.path for seen in provider.requests] == ["/oauth/token", "/v1/messages"]


def test_without_any_token_the_reason_is_raised(side, provider, tmp_path):
    account = {
        "id": "c",
        "provider": "anthropic",
        "base_url": provider.url,
        "token_url": f"{provider.url}/oauth/token",
        "refresh_token": "fake-unknown",
    }
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"version": 2, "accounts": [account]}))
    path.chmod(0o600)
    with Rotator.open(path) as rotator, Program(side, rotator) as program:
        with pytest.raises(LoginNeeded, match="log in again"):
            program.ask(provider)
        assert in_flight(rotator) == 0


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_refresh_does_not_stop_the_event_loop(library, provider, rotator):
    provider.held("a").expire()
    provider.script("a", ["hold"], on="token")
    module, wire = importlib.import_module(library), importlib.import_module(f"rotator.wire.{library}")

    async def run():
        async with module.AsyncClient(transport=wire.AsyncRotatorTransport(rotator)) as client:
            call = asyncio.ensure_future(client.post(f"{provider.url}/v1/messages", json=ASKED))
            while not provider.token_requests:  # noqa: ASYNC110  turns of the loop, while the endpoint holds its answer
                await asyncio.sleep(0)
            assert not call.done()
            provider.release("a", None)
            return await call

    assert asyncio.run(run()).status_code == 200
