from __future__ import annotations

import logging
import pickle
import traceback

import httpx2
import pytest

from rotator import Rotator
from rotator.errors import RotatorError
from rotator.wire.anthropic import Accounts
from rotator.wire.openai import Accounts as OpenAIAccounts
from tests.provider.server import Answer, Provider
from tests.wire.programs import SIDES, Program, refusing

CANARY = "fake-canary-7f3a"


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


def accounts(provider):
    """One account of each kind of credential; each of them is refused once."""
    kinds = {
        "anthropic": {"api_key": f"{CANARY}-1"},
        "generic": {"access_token": f"{CANARY}-2"},
        "google-gemini-api": {"api_key": f"{CANARY}-3"},
        "codex": {"access_token": f"{CANARY}-4", "account_id": f"{CANARY}-id"},
    }
    for place, (name, parts) in enumerate(kinds.items()):
        key = parts.get("api_key") or parts["access_token"]
        provider.account(name, key=key, dialect="anthropic")
        provider.script(name, [refusing(), Answer(500, {}, {}), refusing()])
        yield {"id": name, "provider": name, "base_url": provider.url, "priority": place, **parts}


def test_no_secret_is_in_a_log_a_repr_or_an_error(side, provider, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    rotator = Rotator.memory({"version": 2, "accounts": list(accounts(provider))})
    said = []
    with Program(side, rotator, max_accounts=9) as program:
        for _ in range(6):
            answer = program.ask(provider)
            said += [
                repr(answer),
                repr(answer.request),
                repr(answer.request.headers),
                answer.text,
                repr(answer.headers),
            ]
        said += [repr(program.transport), str(program.transport), repr(vars(program.transport))]
        provider.change("anthropic", redirect=f"{provider.url}/x")
        said.append(repr(program.ask(provider).headers))
    sent = [seen.headers for seen in provider.requests]
    assert any(CANARY in repr(headers) for headers in sent), "or this test proves nothing"
    assert CANARY not in caplog.text
    assert CANARY not in "".join(said)
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("unfit", ["a\r\nx-injected: 1", "a b", "snow\u2603", "", "a\x00b"])
def test_a_secret_that_no_header_can_carry_is_not_quoted_by_whoever_refuses_it(side, provider, unfit, caplog):
    caplog.set_level(logging.DEBUG)
    account = {
        "id": "x",
        "provider": "openai",
        "api_key": f"{CANARY}{unfit}" if unfit else " ",
        "base_url": provider.url,
    }
    rotator = Rotator.memory({"version": 2, "accounts": [account]})
    with Program(side, rotator) as program, pytest.raises(RotatorError) as refused:
        program.ask(provider)
    told = "".join(traceback.format_exception(refused.value)) + caplog.text + repr(pickle.dumps(refused.value))
    assert CANARY not in told
    assert provider.requests == []


def test_what_an_sdk_is_given_shows_no_secret(provider):
    account = {"id": "x", "provider": "anthropic", "api_key": CANARY, "base_url": provider.url}
    rotator = Rotator.memory({"version": 2, "accounts": [account]})
    for_anthropic = Accounts(rotator, model="m")
    bound = for_anthropic.credentials.for_base_url(provider.url)
    token = bound()
    assert token.token == CANARY
    for_openai = OpenAIAccounts(rotator, model="m", base_url=provider.url)
    assert for_openai.key() == CANARY
    shown = [repr(part) for part in (for_anthropic, bound, for_openai, for_openai.hooks, for_anthropic.middleware)]
    assert not any(CANARY in text for text in shown)


def test_the_sdks_log_shows_none_either(provider, caplog):
    import anthropic

    caplog.set_level(logging.DEBUG)
    provider.account("x", key=CANARY, dialect="anthropic")
    account = {"id": "x", "provider": "anthropic", "api_key": CANARY, "base_url": provider.url}
    rotator = Rotator.memory({"version": 2, "accounts": [account]})
    given = Accounts(rotator)
    with anthropic.Anthropic(
        credentials=given.credentials, middleware=given.middleware, base_url=provider.url, http_client=httpx2.Client()
    ) as client:
        client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
    assert provider.requests[0].headers["x-api-key"] == CANARY
    assert CANARY not in caplog.text


def test_nor_does_that_of_openai(provider, caplog):
    import openai

    caplog.set_level(logging.DEBUG)
    provider.account("x", key=CANARY, dialect="openai")
    account = {"id": "x", "provider": "openai", "api_key": CANARY, "base_url": provider.url}
    given = OpenAIAccounts(Rotator.memory({"version": 2, "accounts": [account]}), model="m", base_url=provider.url)
    http_client = httpx2.Client(event_hooks=given.hooks)
    with openai.OpenAI(api_key=given.key, base_url=f"{provider.url}/v1", http_client=http_client) as client:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert provider.requests[0].headers["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in caplog.text
