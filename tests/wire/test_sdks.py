"""The real SDKs against the provider on loopback: a 429 of one account is served by the next within one call of theirs."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager

import anthropic
import httpx
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.genai import types as google_types

import rotator.wire.anthropic
import rotator.wire.httpx
import rotator.wire.httpx2
import rotator.wire.openai
from rotator import Rotator
from rotator.errors import BadArgument, LoginNeeded, OriginRefused, ParkTimeout, SecretMissing
from tests.provider.server import Answer, Provider
from tests.wire.programs import in_flight, written

ASKED = {"model": "m-1", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
PLACEHOLDER = "fake-placeholder"
FAMILIES = {"anthropic": "anthropic", "openai": "openai", "google": "google-gemini-api"}
LONG = {"retry-after": "100"}
SAID = {
    "anthropic": {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "This request would exceed your limit"},
    },
    "openai": {"error": {"type": "requests", "code": "rate_limit_exceeded", "message": "Rate limit reached for m-1"}},
    "google": {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded", "details": []}},
}


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


@pytest.fixture
def pool(provider, tmp_path):
    """Opens a pool of accounts of a family in a file, in this order of preference."""
    opened = []

    def make(dialect, *names, **parts):
        accounts = []
        for place, name in enumerate(names):
            provider.account(name, key=f"fake-key-{name}", dialect=dialect)
            account = {"id": name, "provider": FAMILIES[dialect], "base_url": provider.url, "priority": place}
            accounts.append(account | (parts or {"api_key": f"fake-key-{name}"}))
        path = tmp_path / "accounts.json"
        path.write_text(json.dumps({"version": 2, "accounts": accounts}))
        path.chmod(0o600)
        opened.append(Rotator.open(path))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def in_the_file(rotator, tmp_path):
    assert rotator.flush()
    return written(tmp_path / "accounts.json")["a"]["runtime"]


def called(provider):
    return [(seen.account, seen.status) for seen in provider.requests]


ROTATED = [("a", 429), ("b", 200)]


class TestAnthropicTransport:
    def client(self, rotator, provider, **parts):
        http_client = httpx2.Client(transport=rotator_transport(rotator))
        return anthropic.Anthropic(api_key=PLACEHOLDER, base_url=provider.url, http_client=http_client, **parts)

    @pytest.mark.parametrize("retries", [{}, {"max_retries": 0}])
    def test_the_next_account_serves(self, provider, pool, tmp_path, retries):
        rotator = pool("anthropic", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["anthropic"])])
        with self.client(rotator, provider, **retries) as client:
            assert client.messages.create(**ASKED).content[0].text == "b"
        assert called(provider) == ROTATED
        assert "cooldown_until" in json.dumps(in_the_file(rotator, tmp_path))

    def test_streams(self, provider, pool):
        rotator = pool("anthropic", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["anthropic"])])
        with self.client(rotator, provider) as client, client.messages.stream(**ASKED) as stream:
            assert "".join(stream.text_stream).startswith("b")
        assert (called(provider), in_flight(rotator)) == (ROTATED, 0)

    def test_what_is_handed_up_is_the_sdks_own_error(self, provider, pool):
        rotator = pool("anthropic", "a")
        provider.script("a", [Answer(429, {"retry-after": "7200"}, SAID["anthropic"])])
        with self.client(rotator, provider, max_retries=0) as client:
            with pytest.raises(anthropic.RateLimitError) as first:
                client.messages.create(**ASKED)
            with pytest.raises(anthropic.RateLimitError, match="rotator: ") as second:
                client.messages.create(**ASKED)
        assert [error.value.response.headers["retry-after"] for error in (first, second)] == ["300", "300"]
        assert called(provider) == [("a", 429)]

    def test_when_only_a_person_can_help_the_sdk_does_not_retry(self, provider, pool):
        rotator = pool("anthropic", "a", api_key="fake-key-a", enabled=False)
        with self.client(rotator, provider) as client, pytest.raises(anthropic.InternalServerError, match="rotator: "):
            client.messages.create(**ASKED)

    def test_an_oauth_token_goes_as_a_bearer_with_the_beta(self, provider, pool):
        rotator = pool("anthropic", "a", access_token="fake-access-a")
        provider.account("a", access_token="fake-access-a", dialect="anthropic", strict=True)
        with self.client(rotator, provider) as client:
            client.beta.messages.create(**ASKED, betas=["files-api-2025-04-14"])
        seen = provider.requests[0].headers
        assert (seen["authorization"], seen.get("x-api-key")) == ("Bearer fake-access-a", None)
        assert seen["anthropic-beta"] == "files-api-2025-04-14,oauth-2025-04-20"

    def test_async(self, provider, pool):
        rotator = pool("anthropic", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["anthropic"])])

        async def run():
            http_client = httpx2.AsyncClient(transport=rotator_transport(rotator, asynchronous=True))
            async with anthropic.AsyncAnthropic(
                api_key=PLACEHOLDER, base_url=provider.url, http_client=http_client
            ) as client:
                whole = await client.messages.create(**ASKED)
                async with client.messages.stream(**ASKED) as stream:
                    return whole.content[0].text, "".join([text async for text in stream.text_stream])

        whole, streamed = asyncio.run(run())
        assert (whole, streamed[0], called(provider)) == ("b", "b", [*ROTATED, ("b", 200)])


def rotator_transport(rotator, *, asynchronous=False, library=rotator.wire.httpx2):
    return (library.AsyncRotatorTransport if asynchronous else library.RotatorTransport)(rotator)


class TestAnthropicMiddleware:
    def client(self, rotator, provider, **parts):
        accounts = rotator_accounts(rotator)
        return anthropic.Anthropic(
            credentials=accounts.credentials, middleware=accounts.middleware, base_url=provider.url, **parts
        )

    @pytest.mark.parametrize("retries", [{}, {"max_retries": 0}])
    def test_the_next_account_serves(self, provider, pool, tmp_path, retries):
        rotator = pool("anthropic", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["anthropic"])])
        with self.client(rotator, provider, **retries) as client:
            assert client.messages.create(**ASKED).content[0].text == "b"
        assert called(provider) == ROTATED
        assert [seen.headers.get("x-api-key") for seen in provider.requests] == ["fake-key-a", "fake-key-b"]
        assert all("authorization" not in seen.headers for seen in provider.requests)
        assert "cooldown_until" in json.dumps(in_the_file(rotator, tmp_path))

    def test_streams(self, provider, pool):
        rotator = pool("anthropic", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["anthropic"])])
        with self.client(rotator, provider) as client, client.messages.stream(**ASKED) as stream:
            assert in_flight(rotator) == 1
            assert "".join(stream.text_stream).startswith("b")
        assert (called(provider), in_flight(rotator)) == (ROTATED, 0)

    def test_keys_and_tokens_mix(self, provider, pool):
        rotator = pool("anthropic", "a", access_token="fake-access-a")
        provider.account("a", access_token="fake-access-a", dialect="anthropic", strict=True)
        with self.client(rotator, provider) as client:
            client.messages.create(**ASKED)
        seen = provider.requests[0].headers
        assert (seen["authorization"], seen["anthropic-beta"]) == ("Bearer fake-access-a", "oauth-2025-04-20")

    def test_raw_responses(self, provider, pool):
        rotator = pool("anthropic", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["anthropic"])])
        with self.client(rotator, provider) as client:
            assert client.messages.with_raw_response.create(**ASKED).parse().content[0].text == "b"

    def test_what_is_handed_up_is_the_sdks_own_error(self, provider, pool):
        rotator = pool("anthropic", "a")
        provider.script("a", [Answer(429, {"retry-after": "7200"}, SAID["anthropic"])])
        with self.client(rotator, provider, max_retries=0) as client:
            with pytest.raises(anthropic.RateLimitError) as first:
                client.messages.create(**ASKED)
            with pytest.raises(anthropic.RateLimitError, match="rotator: ") as second:
                client.messages.create(**ASKED)
        assert [error.value.response.headers["retry-after"] for error in (first, second)] == ["300", "300"]

    def test_a_redirect_is_not_followed(self, provider, pool):
        rotator = pool("anthropic", "a")
        with Provider() as other:
            provider.change("a", redirect=other.url, redirect_status=307)
            with self.client(rotator, provider, max_retries=0) as client, pytest.raises(anthropic.APIStatusError):
                client.messages.create(**ASKED)
            assert other.requests == []

    def test_another_origin_is_refused(self, provider, pool):
        rotator = pool("anthropic", "a")
        with self.client(rotator, provider, max_retries=0) as client:
            with pytest.raises(OriginRefused):
                client.post("https://api.example.com/v1/messages", body=ASKED, cast_to=object)
            with pytest.raises(BadArgument, match="another Accounts"):
                client.with_options(base_url="https://api.example.com")

    def test_the_middleware_alone_does_not_know_where_credentials_go(self, provider, pool):
        accounts = rotator_accounts(pool("anthropic", "a"))
        client = anthropic.Anthropic(api_key=PLACEHOLDER, base_url=provider.url, middleware=accounts.middleware)
        with client, pytest.raises(BadArgument, match="credentials"):
            client.messages.create(**ASKED)
        assert provider.requests == []

    def test_the_provider_alone_gives_the_best_account_at_each_attempt(self, provider, pool):
        rotator = pool("anthropic", "a", "b")
        accounts = rotator_accounts(rotator, model="m-1")
        with anthropic.Anthropic(credentials=accounts.credentials, base_url=provider.url) as client:
            client.messages.create(**ASKED)
            rotator.observe("a", "m-1", status=429, headers={"retry-after": "60"})
            client.messages.create(**ASKED)
            rotator.hold("b")
            with pytest.raises((LoginNeeded, anthropic.APIConnectionError)):
                client.with_options(max_retries=0).messages.create(**ASKED)
        assert [seen.account for seen in provider.requests] == ["a", "b"]

    def test_async(self, provider, pool):
        rotator = pool("anthropic", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["anthropic"])])

        async def run():
            accounts = rotator_accounts(rotator)
            async with anthropic.AsyncAnthropic(
                credentials=accounts.credentials, middleware=accounts.middleware, base_url=provider.url
            ) as client:
                whole = await client.messages.create(**ASKED)
                async with client.messages.stream(**ASKED) as stream:
                    return whole.content[0].text, "".join([text async for text in stream.text_stream])

        whole, streamed = asyncio.run(run())
        assert (whole, streamed[0], called(provider)) == ("b", "b", [*ROTATED, ("b", 200)])
        assert in_flight(rotator) == 0


def rotator_accounts(rotator_, **parts):
    return rotator.wire.anthropic.Accounts(rotator_, **parts)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
class TestOpenAITransport:
    def client(self, rotator_, provider, library, **parts):
        wire = rotator.wire.httpx if library is httpx else rotator.wire.httpx2
        http_client = library.Client(transport=rotator_transport(rotator_, library=wire))
        return openai.OpenAI(api_key=PLACEHOLDER, base_url=f"{provider.url}/v1", http_client=http_client, **parts)

    @pytest.mark.parametrize("retries", [{}, {"max_retries": 0}])
    def test_the_next_account_serves(self, provider, pool, tmp_path, library, retries):
        rotator = pool("openai", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["openai"])])
        with self.client(rotator, provider, library, **retries) as client:
            assert client.chat.completions.create(**CHAT).choices[0].message.content == "b"
            assert client.responses.create(model="m-1", input="hi").output_text == "b"
        assert called(provider) == [*ROTATED, ("b", 200)]
        assert "cooldown_until" in json.dumps(in_the_file(rotator, tmp_path))

    def test_streams(self, provider, pool, library):
        rotator = pool("openai", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["openai"])])
        with self.client(rotator, provider, library) as client:
            parts = [
                chunk.choices[0].delta.content or ""
                for chunk in client.chat.completions.create(**CHAT, stream=True)
                if chunk.choices
            ]
        assert ("".join(parts)[0], called(provider), in_flight(rotator)) == ("b", ROTATED, 0)

    def test_what_is_handed_up_is_the_sdks_own_error(self, provider, pool, library):
        rotator = pool("openai", "a")
        provider.script("a", [Answer(429, {"retry-after": "7200"}, SAID["openai"])])
        with self.client(rotator, provider, library, max_retries=0) as client:
            with pytest.raises(openai.RateLimitError) as first:
                client.chat.completions.create(**CHAT)
            with pytest.raises(openai.RateLimitError, match="rotator: "):
                client.chat.completions.create(**CHAT)
        assert first.value.response.headers["retry-after"] == "300"

    def test_async(self, provider, pool, library):
        rotator_ = pool("openai", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["openai"])])
        wire = rotator.wire.httpx if library is httpx else rotator.wire.httpx2

        async def run():
            http_client = library.AsyncClient(transport=rotator_transport(rotator_, asynchronous=True, library=wire))
            async with openai.AsyncOpenAI(
                api_key=PLACEHOLDER, base_url=f"{provider.url}/v1", http_client=http_client
            ) as client:
                return await client.chat.completions.create(**CHAT)

        assert asyncio.run(run()).choices[0].message.content == "b"
        assert called(provider) == ROTATED


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
class TestOpenAIKey:
    def test_the_next_attempt_goes_out_with_another_key_and_at_once(self, provider, pool, tmp_path, library):
        rotator_ = pool("openai", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["openai"])])
        accounts = rotator.wire.openai.Accounts(rotator_, model="m-1", base_url=provider.url)
        http_client = library.Client(event_hooks=accounts.hooks)
        with openai.OpenAI(api_key=accounts.key, base_url=f"{provider.url}/v1", http_client=http_client) as client:
            assert client.chat.completions.create(**CHAT).choices[0].message.content == "b"
        assert called(provider) == ROTATED
        assert "cooldown_until" in json.dumps(in_the_file(rotator_, tmp_path))

    def test_async(self, provider, pool, library):
        rotator_ = pool("openai", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["openai"])])
        accounts = rotator.wire.openai.Accounts(rotator_, model="m-1", base_url=provider.url)

        async def run():
            http_client = library.AsyncClient(event_hooks=accounts.hooks_async)
            async with openai.AsyncOpenAI(
                api_key=accounts.key_async, base_url=f"{provider.url}/v1", http_client=http_client
            ) as client:
                return await client.chat.completions.create(**CHAT)

        assert asyncio.run(run()).choices[0].message.content == "b"
        assert called(provider) == ROTATED

    def test_while_everybody_is_parked_it_says_until_when(self, provider, pool, library):
        rotator_ = pool("openai", "a")
        rotator_.observe("a", "m-1", status=429, headers={"retry-after": "40"})
        accounts = rotator.wire.openai.Accounts(rotator_, model="m-1", base_url=provider.url)
        with library.Client(event_hooks=accounts.hooks) as http_client:
            client = openai.OpenAI(api_key=accounts.key, base_url=f"{provider.url}/v1", http_client=http_client)
            with pytest.raises(ParkTimeout) as raised:
                client.chat.completions.create(**CHAT)
        assert raised.value.wake_at == rotator_.explain("m-1").wake_at
        rotator_.hold("a")
        with pytest.raises(LoginNeeded):
            accounts.key()

    def test_a_secret_that_is_missing_here_is_passed_over(self, provider, pool, library):
        rotator_ = Rotator.memory(
            {
                "version": 2,
                "accounts": [
                    {"id": "a", "provider": "openai", "api_key": {"env": "FAKE_NOT_SET_ANYWHERE"}, "priority": 0},
                    {"id": "b", "provider": "openai", "api_key": "fake-key-b", "priority": 1},
                ],
            }
        )
        accounts = rotator.wire.openai.Accounts(rotator_, model="m-1")
        assert [accounts.key(), accounts.key()] == ["fake-key-b"] * 2
        rotator_.hold("b")
        with pytest.raises((SecretMissing, LoginNeeded)):
            accounts.key()

    def test_when_all_refuse_the_delay_is_one_for_clients(self, provider, pool, library):
        rotator_ = pool("openai", "a", "b")
        for name in "ab":
            provider.script(name, [Answer(429, {"retry-after": "7200"}, SAID["openai"])])
        accounts = rotator.wire.openai.Accounts(rotator_, model="m-1", base_url=provider.url)
        with library.Client(event_hooks=accounts.hooks) as http_client:
            client = openai.OpenAI(api_key=accounts.key, base_url=f"{provider.url}/v1", http_client=http_client)
            with pytest.raises(openai.RateLimitError) as raised:
                client.chat.completions.create(**CHAT)
        assert raised.value.response.headers["retry-after"] == "300"
        assert len(provider.requests) == 2

    def test_a_key_goes_to_no_other_origin(self, provider, pool, library):
        rotator_ = pool("openai", "a")
        accounts = rotator.wire.openai.Accounts(rotator_, model="m-1", base_url=provider.url)
        with Provider() as other, library.Client(event_hooks=accounts.hooks) as http_client:
            client = openai.OpenAI(
                api_key=accounts.key, base_url=f"{other.url}/v1", http_client=http_client, max_retries=0
            )
            with pytest.raises(OriginRefused, match="base_url"):
                client.chat.completions.create(**CHAT)
            assert other.requests == []

    def test_nor_does_it_follow_a_redirect(self, provider, pool, library):
        rotator_ = pool("openai", "a")
        accounts = rotator.wire.openai.Accounts(rotator_, model="m-1", base_url=provider.url)
        with Provider() as other:
            provider.change("a", redirect=other.url, redirect_status=307)
            with library.Client(event_hooks=accounts.hooks, follow_redirects=True) as http_client:
                client = openai.OpenAI(
                    api_key=accounts.key, base_url=f"{provider.url}/v1", http_client=http_client, max_retries=0
                )
                with pytest.raises(openai.OpenAIError):
                    client.chat.completions.create(**CHAT)
            assert not any("fake-key-a" in json.dumps(seen.headers) for seen in other.requests)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
class TestGoogle:
    @contextmanager
    def client(self, rotator_, provider, library):
        wire = rotator.wire.httpx if library is httpx else rotator.wire.httpx2
        with library.Client(transport=rotator_transport(rotator_, library=wire)) as http_client:
            options = google_types.HttpOptions(base_url=provider.url, httpx_client=http_client)
            yield genai.Client(api_key=PLACEHOLDER, http_options=options)

    def test_the_next_account_serves(self, provider, pool, tmp_path, library):
        rotator = pool("google", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["google"])])
        with self.client(rotator, provider, library) as client:
            assert client.models.generate_content(model="m-1", contents="hi").text == "b"
            assert called(provider) == ROTATED
            assert "m-1" in in_the_file(rotator, tmp_path)["models"]
            parts = [chunk.text or "" for chunk in client.models.generate_content_stream(model="m-1", contents="hi")]
        assert ("".join(parts)[0], in_flight(rotator)) == ("b", 0)

    def test_what_is_handed_up_is_the_sdks_own_error(self, provider, pool, library):
        rotator = pool("google", "a")
        provider.script("a", [Answer(429, LONG, SAID["google"])])
        with self.client(rotator, provider, library) as client:
            for said in ("Quota exceeded", "rotator: "):
                with pytest.raises(google_errors.ClientError, match=said) as error:
                    client.models.generate_content(model="m-1", contents="hi")
                assert (error.value.code, error.value.status) == (429, "RESOURCE_EXHAUSTED")

    def test_async(self, provider, pool, library):
        rotator_ = pool("google", "a", "b")
        provider.script("a", [Answer(429, LONG, SAID["google"])])
        wire = rotator.wire.httpx if library is httpx else rotator.wire.httpx2

        async def run():
            transport = rotator_transport(rotator_, asynchronous=True, library=wire)
            async with library.AsyncClient(transport=transport) as http_client:
                options = google_types.HttpOptions(base_url=provider.url, httpx_async_client=http_client)
                client = genai.Client(api_key=PLACEHOLDER, http_options=options)
                whole = await client.aio.models.generate_content(model="m-1", contents="hi")
                stream = await client.aio.models.generate_content_stream(model="m-1", contents="hi")
                return whole.text, [chunk.text or "" async for chunk in stream]

        whole, streamed = asyncio.run(run())
        assert (whole, "".join(streamed)[0], called(provider)) == ("b", "b", [*ROTATED, ("b", 200)])
        assert in_flight(rotator_) == 0
