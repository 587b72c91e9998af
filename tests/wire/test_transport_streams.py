from __future__ import annotations

import asyncio
import gzip
import importlib
import json

import pytest

from rotator import Rotator
from tests.provider.server import Answer, Provider
from tests.wire.programs import ASKED, MODEL, SIDES, Program, document, in_flight, pool_of, served_by

SSE = {"content-type": "text/event-stream"}
OVERLOADED = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
LIMITED = 'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account\'s rate limit."}}\n\n'
BEGIN = (
    'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'
)
END = 'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":30}}\n\n'


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


@pytest.fixture
def rotator(provider):
    return Rotator.memory(document(provider, "a", "b"))


def spent(rotator, name="a"):
    return {w.spent_tokens for w in pool_of(rotator, name).models[MODEL].windows}


def test_each_part_of_a_stream_passes_before_the_next_is_sent(side, provider, rotator):
    provider.change("a", gated=True, chunks=4)
    seen = []

    def came(number):
        seen.append(number)
        if number < 4:
            provider.release("a", 1)  # the provider holds the next part until this one is here

    with Program(side, rotator) as program:
        answer, parts = program.stream(provider, came)
    assert (answer.status_code, seen) == (200, [1, 2, 3, 4])
    assert b"message_stop" in parts[-1]
    assert in_flight(rotator) == 0


def test_the_lease_lasts_as_long_as_the_body(side, provider, rotator):
    flying = []
    with Program(side, rotator) as program:
        program.stream(provider, lambda _number: flying.append(in_flight(rotator)))
    assert flying[0] == 1
    assert in_flight(rotator) == 0


def test_an_error_in_the_first_event_of_a_200_is_served_by_the_next_account(side, provider, rotator):
    provider.script("a", [Answer(200, SSE, chunks=[LIMITED])])
    with Program(side, rotator) as program:
        answer, parts = program.stream(provider)
    assert (answer.status_code, [name for name, _ in served_by(provider)]) == (200, ["a", "b"])
    assert b"rate_limit" not in b"".join(parts)
    assert rotator.pool.account("a").ready_at(MODEL, rotator.pool.policy)[1] == "cooldown"
    assert pool_of(rotator, "a").models[MODEL].last_success_at == 0.0


def test_pings_before_it_do_not_hide_it(side, provider, rotator):
    ping = 'event: ping\ndata: {"type": "ping"}\n\n'
    provider.script("a", [Answer(200, SSE, chunks=[ping, ping, OVERLOADED])])
    with Program(side, rotator) as program:
        answer, parts = program.stream(provider)
    assert (answer.status_code, [name for name, _ in served_by(provider)]) == (200, ["a", "b"])
    assert b"overloaded" not in b"".join(parts)


def test_comments_before_it_do_not_hide_it(side, provider, rotator):
    provider.script(
        "a", [Answer(200, SSE, chunks=[": processing\n\n", ": processing\n\n", OVERLOADED[:20], OVERLOADED[20:]])]
    )
    with Program(side, rotator) as program:
        assert program.stream(provider)[0].status_code == 200
    assert [name for name, _ in served_by(provider)] == ["a", "b"]


def test_when_nobody_else_is_there_the_error_event_is_handed_up(side, provider):
    rotator = Rotator.memory(document(provider, "a"))
    provider.script("a", [Answer(200, SSE, chunks=[OVERLOADED])])
    with Program(side, rotator) as program:
        answer, parts = program.stream(provider)
    assert (answer.status_code, b"".join(parts).decode()) == (200, OVERLOADED)
    assert in_flight(rotator) == 0


def test_a_later_error_event_is_learned_and_passes(side, provider, rotator):
    provider.script("a", [Answer(200, SSE, chunks=[BEGIN, LIMITED])])
    with Program(side, rotator) as program:
        _, parts = program.stream(provider)
    assert b"".join(parts).decode() == BEGIN + LIMITED
    assert [name for name, _ in served_by(provider)] == ["a"]
    assert rotator.pool.account("a").ready_at(MODEL, rotator.pool.policy)[1] == "cooldown"
    assert in_flight(rotator) == 0


def test_the_word_error_in_a_text_is_no_error(side, provider, rotator):
    said = 'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"{\\"error\\": {\\"type\\": 1}}"}}\n\n'
    provider.script("a", [Answer(200, SSE, chunks=[said, said])])
    with Program(side, rotator) as program:
        assert program.stream(provider)[0].status_code == 200
    assert rotator.pool.account("a").ready_at(MODEL, rotator.pool.policy)[1] is None


def test_the_tokens_of_a_stream_are_those_of_its_first_and_last_usage(side, provider, rotator):
    limits = {
        f"anthropic-ratelimit-requests-{k}": v
        for k, v in {"limit": "9", "remaining": "8", "reset": "2099-01-01T00:00:00Z"}.items()
    }
    provider.script("a", [Answer(200, SSE | limits, chunks=[BEGIN, END[:50], END[50:]])])
    with Program(side, rotator) as program:
        program.stream(provider)
    assert spent(rotator) == {37}


def test_packed_bodies_pass_as_they_are_and_are_read(side, provider, rotator):
    limits = {
        f"anthropic-ratelimit-requests-{k}": v
        for k, v in {"limit": "9", "remaining": "8", "reset": "2099-01-01T00:00:00Z"}.items()
    }
    packed = gzip.compress((BEGIN + END).encode())
    headers = SSE | limits | {"content-encoding": "gzip"}
    provider.script("a", [Answer(200, headers, chunks=[packed[:30], packed[30:]])])
    with Program(side, rotator) as program:
        _, parts = program.stream(provider)
    assert b"".join(parts) == packed
    assert spent(rotator) == {37}


def test_a_packed_refusal_is_understood_and_can_still_be_read_by_the_program(side, provider):
    rotator = Rotator.memory(document(provider, "a"))
    said = {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "Number of request tokens has exceeded your per-minute rate limit",
        },
    }
    packed = gzip.compress(json.dumps(said).encode())
    provider.script(
        "a", [Answer(429, {"content-encoding": "gzip", "content-type": "application/json", "retry-after": "9"}, packed)]
    )
    with Program(side, rotator) as program:
        answer = program.ask(provider)
    assert (answer.status_code, answer.json()) == (429, said)
    assert "gzip" in provider.requests[0].headers["accept-encoding"]


def test_a_refusal_longer_than_is_read_passes_whole(side, provider, rotator):
    body = json.dumps({"type": "error", "error": {"type": "rate_limit_error", "message": "x" * 2_000_000}}).encode()
    provider.script("a", [Answer(429, {"retry-after": "9"}, body)])
    with Program(side, rotator) as program:
        assert program.ask(provider).content == body
    assert in_flight(rotator) == 0


def test_a_connection_that_ends_in_a_stream_raises_what_the_bare_client_raises(side, provider, rotator):
    provider.change("a", stream_cut=1, chunks=3)
    with Program(side, rotator) as program, pytest.raises(program.library.RemoteProtocolError):
        program.stream(provider)
    assert in_flight(rotator) == 0


def test_a_program_that_stops_in_the_middle_ends_the_lease(side, provider, rotator):
    def stop(_number):
        raise KeyError

    with Program(side, rotator) as program:
        with pytest.raises(KeyError):
            program.stream(provider, stop)
        assert in_flight(rotator) == 0
        assert program.ask(provider).status_code == 200


def test_the_rotator_may_be_closed_while_a_stream_runs(side, provider, rotator):
    with Program(side, rotator) as program:
        answer, parts = program.stream(provider, lambda _number: rotator.close())
    assert (answer.status_code, b"message_stop" in parts[-1]) == (200, True)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("held_at", ["head", "body"])
def test_a_call_that_is_cancelled_ends_its_lease(library, held_at, provider, rotator):
    provider.change("a", gated=True, chunks=3)
    if held_at == "head":
        provider.script("a", [Answer(200, SSE, chunks=[": wait\n\n"])] * 0)
        provider.change("a", delay_secs=30.0)
    module, wire = importlib.import_module(library), importlib.import_module(f"rotator.wire.{library}")

    async def run():
        async with module.AsyncClient(transport=wire.AsyncRotatorTransport(rotator)) as client:
            begun = asyncio.Event()

            async def call():
                url = f"{provider.url}/v1/messages"
                async with client.stream("POST", url, json={**ASKED, "stream": True}) as response:
                    async for _ in response.aiter_raw():
                        begun.set()

            task = asyncio.ensure_future(call())
            if held_at == "body":
                await begun.wait()
            else:
                while not in_flight(rotator):  # noqa: ASYNC110  turns of the loop until the call is under way
                    await asyncio.sleep(0)
            assert in_flight(rotator) == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert in_flight(rotator) == 0

    asyncio.run(run())


def test_an_inner_transport_that_answers_from_memory_is_learned_from_too():
    httpx2 = importlib.import_module("httpx2")
    wire = importlib.import_module("rotator.wire.httpx2")
    account = {"id": "a", "provider": "anthropic", "api_key": "fake-key-a"}
    rotator = Rotator.memory({"version": 2, "accounts": [account]})
    limits = {
        f"anthropic-ratelimit-requests-{k}": v
        for k, v in {"limit": "9", "remaining": "8", "reset": "2099-01-01T00:00:00Z"}.items()
    }

    def answered(request):
        assert request.headers["x-api-key"] == "fake-key-a"
        return httpx2.Response(200, headers=limits, json={"usage": {"input_tokens": 4, "output_tokens": 5}})

    transport = wire.RotatorTransport(rotator, inner=httpx2.MockTransport(answered))
    with httpx2.Client(transport=transport) as client:
        assert client.post("https://api.anthropic.com/v1/messages", json=ASKED).status_code == 200
    assert (spent(rotator), in_flight(rotator)) == ({9}, 0)
