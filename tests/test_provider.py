"""The provider simulator is honest: quota spends and resets, tokens rotate, and the reader hears what was meant."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.providers import read
from tests.provider import http1
from tests.provider.dialects import DIALECTS, REFUSALS
from tests.provider.server import Answer, Provider

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
T0 = NOW.timestamp()
PATHS = {
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/maker/m:generateContent",
    "cloudcode": "/v1internal:generateContent",
    "codex": "/backend-api/codex/responses",
}
ASK = {"model": "maker/m", "stream": False}
BETA = {"anthropic-beta": "oauth-2025-04-20"}


@pytest.fixture
def provider():
    """A provider whose clock stands still at ``NOW``."""
    with Provider() as started:
        started.set_time(T0)
        yield started


@pytest.fixture
def client():
    with httpx.Client(timeout=20) as opened:
        yield opened


def path_of(dialect):
    return PATHS.get(dialect, "/v1/chat/completions")


def ask(client, provider, secret, dialect="openai", **changed):
    headers = {"authorization": f"Bearer {secret}"}
    return client.post(provider.url + path_of(dialect), json=ASK | changed, headers=headers)


def heard(provider, dialect, response):
    now = datetime.fromtimestamp(provider.clock, UTC)
    name = DIALECTS[dialect].provider
    said = {"status": response.status_code, "headers": response.headers, "body": response.content}
    return read(name, **said, model="maker/m", now=now)


def refresh(client, provider, token, *, form=False):
    fields = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "fake-client"}
    return client.post(provider.url + "/oauth/token", **({"data": fields} if form else {"json": fields}))


def oauth(provider, name, dialect="anthropic", **parts):
    first = {"access_token": f"fake-{name}-access-0", "refresh_token": f"fake-{name}-refresh-0"}
    return provider.account(name, dialect=dialect, **first, **parts)


@pytest.mark.parametrize("form", [Provider, Provider.spawned], ids=["thread", "process"])
def test_quota_is_spent_by_requests_and_comes_back_at_its_reset(form, client):
    with form() as provider:
        provider.set_time(T0)
        a = provider.account("a", key="fake-a", dialect="anthropic", limit=2, window_secs=60.0)
        told = [ask(client, provider, "fake-a", "anthropic").status_code for _ in range(3)]
        assert (told, a.remaining, a.served) == ([200, 200, 429], 0, 2)
        provider.advance(59)
        assert ask(client, provider, "fake-a", "anthropic").status_code == 429
        provider.advance(1)
        assert ask(client, provider, "fake-a", "anthropic").status_code == 200
        assert a.remaining == 1
        assert [(seen.account, seen.status, seen.at - T0) for seen in provider.requests][2:] == [
            ("a", 429, 0.0),
            ("a", 429, 59.0),
            ("a", 200, 60.0),
        ]


@pytest.mark.parametrize("form", [Provider, Provider.spawned], ids=["thread", "process"])
def test_a_scripted_answer_comes_word_for_word_before_the_accounts_own(form, client):
    with form() as provider:
        provider.account("a", key="fake-a")
        provider.script("a", [Answer(429, {"retry-after": "60"}, b"\x00\xff"), "overloaded", Answer(drop=True)])
        first = ask(client, provider, "fake-a")
        assert (first.status_code, first.headers["retry-after"], first.content) == (429, "60", b"\x00\xff")
        assert ask(client, provider, "fake-a").status_code == 503
        with pytest.raises(httpx.RemoteProtocolError):
            ask(client, provider, "fake-a")
        assert ask(client, provider, "fake-a").status_code == 200
        assert [seen.status for seen in provider.requests] == [429, 503, 0, 200]
        assert json.loads(provider.requests[0].body) == ASK


SPENT = {
    "anthropic": ("rate_limited", "model", 60),
    "openai": ("rate_limited", "model", 60),
    "groq": ("rate_limited", "model", 60),
    "codex": ("quota_exhausted", "account", 60),
    "google": ("rate_limited", "model", 60),
    "cloudcode": ("rate_limited", "model", 60),
    "openrouter": ("rate_limited", "model", 60),
    "mistral": ("rate_limited", "model", None),
    "github-models": ("rate_limited", "model", 60),
    "copilot": ("rate_limited", "account", 60),
    "ietf": ("rate_limited", "account", 60),
}
"""Mistral never tells when."""
SILENT = {"google", "cloudcode"}
"""Who tells nothing of quota on a success."""
NO_RESET = {"mistral", "github-models"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_familys_answers_are_read_as_what_they_are(dialect, provider, client):
    provider.account("a", key="fake-a", dialect=dialect, limit=2)
    first = heard(provider, dialect, ask(client, provider, "fake-a", dialect))
    assert (first.kind, first.tokens) == ("ok", 15)
    if dialect not in SILENT:
        shown = first.windows[0]
        reset = None if dialect in NO_RESET else datetime.fromtimestamp(T0 + 60, UTC)
        assert (shown.remaining_fraction, shown.reset_time) == (0.5, reset)
    provider.advance(10)
    ask(client, provider, "fake-a", dialect)
    provider.advance(-10)
    spent = heard(provider, dialect, ask(client, provider, "fake-a", dialect))
    assert (spent.kind, spent.scope, spent.retry_after_secs) == SPENT[dialect]
    assert any(w.remaining_fraction == 0 for w in spent.windows) or dialect == "cloudcode"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_long_window_is_read_as_a_quota_with_its_reset(dialect, provider, client):
    provider.account("a", key="fake-a", dialect=dialect, limit=1, window_secs=90_000.0)
    ask(client, provider, "fake-a", dialect)
    spent = heard(provider, dialect, ask(client, provider, "fake-a", dialect))
    assert spent.kind == ("rate_limited" if dialect in ("anthropic", "openai", "groq") else "quota_exhausted")
    assert spent.retry_after_secs == (None if dialect == "mistral" else 90_000)


MEANT = {
    "bare": {"rate_limited"},
    "silent_ban": {"rate_limited", "quota_exhausted"},
    "unknown": {"auth_failed"},
    "expired": {"auth_failed"},
    "overloaded": {"overloaded"},
    "banned": {"banned", "restricted"},
    "restricted": {"restricted"},
    "billing": {"billing"},
}
NO_WORD_FOR_A_BAN = {"openrouter", "mistral", "github-models", "copilot", "ietf"}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("refusal", sorted(set(REFUSALS) - {"spent"}))
def test_a_familys_refusals_are_read_as_what_they_are(refusal, dialect, provider, client):
    a = provider.account("a", key="fake-a", dialect=dialect, refused=refusal)
    reading = heard(provider, dialect, ask(client, provider, "fake-a", dialect))
    assert reading.kind in MEANT[refusal]
    assert reading.kind != "restricted" or refusal == "restricted" or dialect in NO_WORD_FOR_A_BAN
    assert reading.retry_after_secs is None
    assert (reading.scope == "upstream") >= (refusal == "overloaded")
    assert a.served == 0


def test_a_subscription_shows_its_two_windows_and_names_the_one_that_refuses(provider, client):
    a = oauth(provider, "sub", limit=10, weekly_limit=100, window_secs=18_000.0)
    a.spend(3)
    first = heard(provider, "anthropic", ask(client, provider, a.access_token, "anthropic"))
    assert {w.name: w.remaining_fraction for w in first.windows} == {"5h": 0.6, "7d": 0.99}
    a.spend(100, model="week", reset_in=3600.0)
    spent = heard(provider, "anthropic", ask(client, provider, a.access_token, "anthropic"))
    assert (spent.kind, spent.scope, spent.retry_after_secs) == ("quota_exhausted", "account", 3600)
    assert {w.name: w.remaining_fraction for w in spent.windows}["7d"] == 0
    refused = ask(client, provider, a.access_token, "anthropic").headers
    told = [
        refused[f"anthropic-ratelimit-unified-{part}"] for part in ("5h-status", "7d-status", "representative-claim")
    ]
    assert told == ["allowed", "rejected", "seven_day"]


def test_models_of_an_api_key_have_a_quota_each_and_those_of_a_subscription_share_one(provider, client):
    provider.account("key", key="fake-key", dialect="anthropic", limit=1)
    sub = oauth(provider, "shared", limit=1)
    for secret, expected in (("fake-key", [200, 429, 200]), (sub.access_token, [200, 429, 429])):
        told = [ask(client, provider, secret, "anthropic", model=model).status_code for model in ("x", "x", "y")]
        assert told == expected


HINTS = [("all", "60", 60), ("windows", None, 60), ("none", None, None), (7835, "7835", 7835)]


@pytest.mark.parametrize(("hint", "delay", "reset"), HINTS)
def test_a_hint_can_be_whole_partial_absent_or_a_long_lie(hint, delay, reset, provider, client):
    a = provider.account("a", key="fake-a", dialect="anthropic", limit=2, hint=hint)
    a.spend(2)
    refused = ask(client, provider, "fake-a", "anthropic")
    assert refused.headers.get("retry-after") == delay
    shown = {w.name: w.reset_time.timestamp() - T0 for w in heard(provider, "anthropic", refused).windows}
    assert shown.get("requests") == reset
    provider.advance(60)
    assert ask(client, provider, "fake-a", "anthropic").status_code == 200, "the lie was long, the window was not"


def test_a_flapping_credential_is_refused_and_served_in_turn(provider, client):
    provider.account("a", key="fake-a", flapping="x.x")
    assert [ask(client, provider, "fake-a").status_code for _ in range(5)] == [401, 200, 401, 401, 200]


@pytest.mark.parametrize(
    "carried",
    [
        {"headers": {"authorization": "Bearer fake-a"}},
        {"headers": {"x-api-key": "fake-a"}},
        {"headers": {"x-goog-api-key": "fake-a"}},
        {"headers": {"api-key": "fake-a"}},
        {"params": {"key": "fake-a"}},
    ],
    ids=lambda carried: next(iter(next(iter(carried.values())))),
)
def test_an_account_is_known_by_whatever_carries_its_credential(carried, provider, client):
    provider.account("a", key="fake-a")
    assert client.post(provider.url + "/v1/chat/completions", json=ASK, **carried).status_code == 200
    assert provider.requests[-1].account == "a"


def test_two_credentials_in_one_request_must_be_one_accounts(provider, client):
    provider.account("a", key="fake-a")
    provider.account("b", key="fake-b")
    for other, status in (("fake-a", 200), ("fake-b", 401), ("fake-placeholder", 401)):
        headers = {"x-api-key": "fake-a", "authorization": f"Bearer {other}"}
        assert client.post(provider.url + "/v1/chat/completions", json=ASK, headers=headers).status_code == status


@pytest.mark.parametrize("dialect", ["anthropic", "openai", "google", "cloudcode"])
def test_an_unknown_credential_gets_the_refusal_of_the_family_whose_door_it_is(dialect, provider, client):
    refused = ask(client, provider, "fake-nobody", dialect)
    assert heard(provider, dialect, refused).kind == "auth_failed"
    assert provider.requests[-1].account is None
    assert ("type" in refused.json()) == (dialect == "anthropic")


def test_an_overloaded_model_is_refused_to_everybody_until_it_is_not(provider, client):
    provider.account("a", key="fake-a", dialect="anthropic")
    provider.account("b", key="fake-b", dialect="google")
    provider.overloaded("maker/*", T0 + 30)
    for secret, dialect in (("fake-a", "anthropic"), ("fake-b", "google")):
        reading = heard(provider, dialect, ask(client, provider, secret, dialect))
        assert (reading.kind, reading.scope) == ("overloaded", "upstream")
    assert ask(client, provider, "fake-a", "anthropic", model="other").status_code == 200
    provider.advance(30)
    assert ask(client, provider, "fake-a", "anthropic").status_code == 200


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_leads_to_the_url_that_was_given(status, provider, client):
    a = provider.account("a", key="fake-a", redirect="http://127.0.0.1:9/else?x=1", redirect_status=status)
    moved = ask(client, provider, "fake-a")
    assert (moved.status_code, moved.headers["location"]) == (status, "http://127.0.0.1:9/else?x=1")
    a.change(redirect="http://127.0.0.1:9")
    assert ask(client, provider, "fake-a").headers["location"] == "http://127.0.0.1:9/v1/chat/completions"


@pytest.mark.parametrize("form", ["json", "form"])
def test_a_refresh_token_that_rotates_works_once_and_its_reuse_revokes_the_family(form, provider, client):
    a = oauth(provider, f"once-{form}")
    before = provider.reuse_detected
    fresh = refresh(client, provider, f"fake-{a.name}-refresh-0", form=form == "form").json()
    assert (a.access_token, a.refresh_token) == (fresh["access_token"], fresh["refresh_token"])
    assert ask(client, provider, f"fake-{a.name}-access-0", "anthropic").status_code == 401, "superseded"
    assert ask(client, provider, fresh["access_token"], "anthropic").status_code == 200
    reused = refresh(client, provider, f"fake-{a.name}-refresh-0", form=form == "form")
    reading = heard(provider, "anthropic", reused)
    assert (reused.status_code, reading.kind, reading.final) == (400, "auth_failed", True)
    assert (provider.reuse_detected - before, a.reuse_detected, a.revoked) == (1, 1, True)
    assert refresh(client, provider, fresh["refresh_token"]).status_code == 400, "the whole family is revoked"
    assert ask(client, provider, fresh["access_token"], "anthropic").status_code == 401
    a.login()
    assert ask(client, provider, a.access_token, "anthropic").status_code == 200
    assert refresh(client, provider, a.refresh_token).status_code == 200


def test_openai_says_that_a_refresh_token_was_reused(provider, client):
    a = oauth(provider, "codex-reuse", dialect="codex")
    assert refresh(client, provider, "fake-codex-reuse-refresh-0").status_code == 200
    reused = refresh(client, provider, "fake-codex-reuse-refresh-0")
    assert (reused.status_code, heard(provider, "codex", reused).reason) == (401, "refresh_token_reused")
    assert a.token_requests == 2


def test_a_refresh_token_that_is_static_stays(provider, client):
    a = oauth(provider, "google", dialect="cloudcode", rotation="static")
    told = [refresh(client, provider, "fake-google-refresh-0").json() for _ in range(2)]
    assert all("refresh_token" not in fresh for fresh in told)
    assert [ask(client, provider, fresh["access_token"], "cloudcode").status_code for fresh in told] == [200, 200]
    assert (a.reuse_detected, a.token_requests, a.refreshed) == (0, 2, 2)
    assert refresh(client, provider, "fake-nobody").json()["error"] == "invalid_grant"


def test_an_access_token_is_over_when_its_seconds_are(provider, client):
    a = oauth(provider, "short", expires_in=1)
    assert a.expires_at == T0 + 1
    provider.advance(1)
    refused = ask(client, provider, a.access_token, "anthropic")
    assert heard(provider, "anthropic", refused).reason == "OAuth token expired"
    assert refresh(client, provider, a.refresh_token).json()["expires_in"] == 1
    assert ask(client, provider, a.access_token, "anthropic").status_code == 200
    a.expire()
    assert ask(client, provider, a.access_token, "anthropic").status_code == 401


def test_a_token_answer_that_is_lost_has_rotated_all_the_same(provider, client):
    a = oauth(provider, "lost")
    a.script("drop", on="token")
    with pytest.raises(httpx.RemoteProtocolError):
        refresh(client, provider, "fake-lost-refresh-0")
    assert (a.refresh_token, a.reuse_detected, provider.requests[-1].status) == ("fake-lost-refresh-1", 0, 0)
    assert refresh(client, provider, "fake-lost-refresh-0").status_code == 400
    assert a.reuse_detected == 1


def test_a_token_endpoint_that_fails_rotates_nothing(provider, client):
    a = oauth(provider, "failing")
    a.script(Answer(500), Answer(429, {"retry-after": "5"}), on="token")
    assert [refresh(client, provider, a.refresh_token).status_code for _ in range(3)] == [500, 429, 200]
    assert (a.token_requests, a.refreshed, a.reuse_detected) == (3, 1, 0)


def test_a_slow_token_answer_waits_until_it_is_released(provider):
    a = oauth(provider, "slow")
    a.script("hold", on="token")

    async def asked():
        async with httpx.AsyncClient(timeout=20) as opened:
            fields = {"grant_type": "refresh_token", "refresh_token": "fake-slow-refresh-0"}
            waiting = asyncio.ensure_future(opened.post(provider.url + "/oauth/token", json=fields))
            while not (a.refreshed or waiting.done()):
                await opened.post(provider.url + "/oauth/token", json={})
            assert not waiting.done(), "others are answered meanwhile, this one is not"
            a.release()
            return (await waiting).json()["refresh_token"]

    assert asyncio.run(asked()) == "fake-slow-refresh-1"


POLLED = {
    ("anthropic", "GET", "/api/oauth/usage"): "5h",
    ("codex", "GET", "/backend-api/wham/usage"): "5h",
    ("cloudcode", "POST", "/v1internal:retrieveUserQuota"): "model:maker/m",
    ("cloudcode", "POST", "/v1internal:fetchAvailableModels"): "model:maker/m",
    ("openrouter", "GET", "/api/v1/key"): "credits",
    ("copilot", "GET", "/copilot_internal/user"): "premium_interactions",
    ("github-models", "GET", "/rate_limit"): "core",
}


@pytest.mark.parametrize(("door", "window"), POLLED.items(), ids=lambda part: part[2] if len(part) == 3 else "")
def test_a_quota_endpoint_shows_what_is_left_to_whom_it_belongs(door, window, provider, client):
    dialect, method, path = door
    secrets = {"access_token": "fake-polled", "models": ["maker/m"]}
    a = provider.account("a", dialect=dialect, limit=4, window_secs=18_000.0, **secrets)
    ask(client, provider, "fake-polled", dialect)

    def polled(secret):
        headers = {"authorization": f"Bearer {secret}", **BETA}
        return client.request(method, provider.url + path, headers=headers)

    reading = read_rest(provider, dialect, polled("fake-polled"))
    assert (reading.kind, {w.name: w.remaining_fraction for w in reading.windows}[window]) == ("ok", 0.75)
    resets = {w.name: w.reset_time for w in reading.windows}
    assert resets[window] == (None if window == "credits" else datetime.fromtimestamp(T0 + 18_000, UTC))
    assert a.served == 1, "to ask is free"
    assert polled("fake-nobody").status_code == 401
    provider.account("other", key="fake-other", dialect="ietf")
    assert polled("fake-other").status_code == 401, "another family's credential is nobody's here"
    a.change(poll="throttled", poll_retry_after=77)
    assert (polled("fake-polled").status_code, polled("fake-polled").headers["retry-after"]) == (429, "77")
    a.change(poll="failing")
    assert polled("fake-polled").status_code == 500
    a.change(poll="scopeless")
    assert polled("fake-polled").status_code == 403
    a.script(Answer(200, {}, {}), on="quota")
    assert polled("fake-polled").json() == {}


def read_rest(provider, dialect, response):
    """GitHub's own limits are read by ``github``, not by its models' family."""
    if dialect != "github-models":
        return heard(provider, dialect, response)
    now = datetime.fromtimestamp(provider.clock, UTC)
    return read("github", status=response.status_code, headers=response.headers, body=response.content, now=now)


def test_anthropics_usage_needs_the_beta_header_and_inference_does_where_it_is_strict(provider, client):
    a = oauth(provider, "strict", strict=True)
    bearer = {"authorization": f"Bearer {a.access_token}"}
    for method, path in (("GET", "/api/oauth/usage"), ("POST", "/v1/messages")):
        told = [client.request(method, provider.url + path, json=ASK, headers=bearer | more) for more in ({}, BETA)]
        assert [answer.status_code for answer in told] == [401, 200]


@pytest.mark.parametrize("form", [Provider, Provider.spawned], ids=["thread", "process"])
def test_a_gated_stream_gives_its_first_piece_and_each_further_one_when_released(form, client):
    with form() as provider:
        a = provider.account("a", key="fake-a", dialect="anthropic", chunks=3, gated=True)
        body = {"json": ASK | {"stream": True}, "headers": {"x-api-key": "fake-a"}}
        with client.stream("POST", provider.url + "/v1/messages", **body) as response:
            pieces = response.iter_raw()
            assert b"message_start" in next(pieces)
            a.release()
            assert b"content_block_delta" in next(pieces)
            a.release(None)
            assert b"message_stop" in b"".join(pieces)


def test_a_gated_stream_sends_nothing_while_it_waits(provider, client):
    provider.account("a", key="fake-a", gated=True)
    provider.account("b", key="fake-b")
    host, port = provider.url.removeprefix("http://").split(":")
    body = json.dumps(ASK | {"stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\napi-key: fake-a\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(head.encode() + body)
        first = line.recv(65536)
        assert (first.count(b"data: "), first.endswith(b"0\r\n\r\n")) == (1, False)
        assert ask(client, provider, "fake-b").status_code == 200, "others are served meanwhile"
        line.setblocking(False)
        with pytest.raises(BlockingIOError):
            line.recv(1)


STREAMS = {
    "anthropic": "/v1/messages",
    "openai": "/v1/chat/completions",
    "codex": "/backend-api/codex/responses",
    "google": "/v1beta/models/maker/m:streamGenerateContent?alt=sse",
    "cloudcode": "/v1internal:streamGenerateContent?alt=sse",
}


@pytest.mark.parametrize(("dialect", "path"), STREAMS.items(), ids=STREAMS)
@pytest.mark.parametrize("after", [0, 2])
def test_an_error_event_inside_a_200_is_read_as_the_refusal_that_it_is(after, dialect, path, provider, client):
    provider.account("a", key="fake-a", dialect=dialect, stream_error=after)
    asked = {"json": ASK | {"stream": True}, "headers": {"authorization": "Bearer fake-a"}}
    answered = client.post(provider.url + path, **asked)
    assert (answered.status_code, "text/event-stream" in answered.headers["content-type"]) == (200, True)
    assert heard(provider, dialect, answered).kind == "overloaded"
    assert (b"fake" not in answered.content, answered.content.count(b'"a"') + answered.content.count(b'" ."')) == (
        True,
        after,
    )


def test_a_stream_can_end_in_the_middle(provider, client):
    provider.account("a", key="fake-a", stream_cut=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(provider.url + "/v1/chat/completions", json=ASK | {"stream": True}, headers={"api-key": "fake-a"})


def test_a_hundred_streams_stand_open_at_once():
    async def opened_at_once(provider, client):
        async def one():
            asked = {"json": ASK | {"stream": True}, "headers": {"api-key": "fake-a"}}
            async with client.stream("POST", provider.url + "/v1/chat/completions", **asked) as response:
                arrived.append(None)
                if len(arrived) == 100:
                    await asyncio.to_thread(provider.release, "a", None)
                return await response.aread()

        arrived = []
        return await asyncio.gather(*(one() for _ in range(100)))

    async def run(provider):
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:
            return await opened_at_once(provider, client)

    with Provider() as provider:
        provider.account("a", key="fake-a", gated=True)
        bodies = asyncio.run(run(provider))
        assert all(body.endswith(b"data: [DONE]\n\n") for body in bodies)
        assert provider.connections == 100


def test_one_connection_serves_many_requests(client):
    with Provider() as provider:
        provider.account("a", key="fake-a")
        assert {ask(client, provider, "fake-a").status_code for _ in range(20)} == {200}
        assert provider.connections == 1


MESSAGES = [
    b"POST /a%20b?key=1 HTTP/1.1\r\nHost: x\r\nX-Odd:  two words \r\nContent-Length: 5\r\n\r\nhello",
    b"POST /chunks HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\n\r\n",
]


@given(st.lists(st.sampled_from(range(3)), max_size=4), st.lists(st.integers(1, 40), max_size=40))
def test_requests_are_the_same_however_their_bytes_arrive(order, sizes):
    reader, sent, found, at = http1.Reader(), b"".join(MESSAGES[n] for n in order), [], 0
    for size in [*sizes, len(sent)]:
        reader.buffer += sent[at : at + size]
        at += size
        while request := reader.take():
            found.append((request.method, request.path, request.query, request.body))
    expected = [("POST", "/a b", "key=1", b"hello"), ("POST", "/chunks", "", b"hello"), ("GET", "/v1/models", "", b"")]
    assert found == [expected[n] for n in order]


def test_what_is_no_request_is_refused_and_the_connection_ends(provider):
    host, port = provider.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(b"nonsense\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400 ")
        while line.recv(100):
            pass


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(provider):
    provider.account("a", key="fake-a")
    host, port = provider.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(
            b"POST /v1/responses HTTP/1.1\r\napi-key: fake-a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert line.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(b"{}")
        assert line.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_the_steering_of_a_spawned_provider_needs_its_secret_and_its_record_shows_none_of_it(client):
    with Provider.spawned() as provider:
        told = {"what": "set_time", "args": [0], "parts": {}}
        assert client.post(provider.url + "/_control", json=told, headers={"x-control": "guess"}).status_code == 401
        provider.set_time(T0)
        assert (provider.clock, [seen.status for seen in provider.requests]) == (T0, [401])
        process = provider._process
    assert process.returncode == 0


def test_an_account_has_only_the_parts_that_there_are(provider):
    with pytest.raises(TypeError, match="an account has no limits"):
        provider.account("a", limits=3)
    with pytest.raises(ValueError, match="no dialect telnet"):
        provider.account("a", dialect="telnet")


def test_anthropics_own_sdk_reads_the_simulator(provider):
    anthropic = pytest.importorskip("anthropic")
    provider.account("a", key="fake-a", dialect="anthropic", limit=2, chunks=4)
    told = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    with anthropic.Anthropic(api_key="fake-a", base_url=provider.url, max_retries=0) as sdk:
        whole = sdk.messages.create(**told)
        assert (whole.content[0].text, whole.usage.input_tokens, whole.stop_reason) == ("a", 10, "end_turn")
        with sdk.messages.stream(**told) as stream:
            assert "".join(stream.text_stream) == "a . . ."
        with pytest.raises(anthropic.RateLimitError) as refused:
            sdk.messages.create(**told)
        assert refused.value.response.headers["retry-after"] == "60"


def test_openais_own_sdk_reads_the_simulator(provider):
    openai = pytest.importorskip("openai")
    provider.account("a", key="fake-a", dialect="openai", limit=4)
    chat = {"model": "gpt-x", "messages": [{"role": "user", "content": "?"}]}
    with openai.OpenAI(api_key="fake-a", base_url=provider.url + "/v1", max_retries=0) as sdk:
        assert sdk.chat.completions.create(**chat).choices[0].message.content == "a"
        chunks = list(sdk.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "a . ."
        assert chunks[-1].usage.total_tokens == 15
        assert sdk.responses.create(model="gpt-x", input="?").output_text == "a"
        with sdk.responses.stream(model="gpt-x", input="?") as stream:
            assert stream.get_final_response().output_text == "a . ."
        with pytest.raises(openai.RateLimitError) as refused:
            sdk.chat.completions.create(**chat)
        assert (refused.value.code, refused.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "60")


def test_googles_own_sdk_reads_the_simulator(provider):
    genai = pytest.importorskip("google.genai")
    provider.account("a", key="fake-a", dialect="google", limit=2)
    told = {"model": "gemini-x", "contents": "?"}
    with genai.Client(api_key="fake-a", http_options={"base_url": provider.url}) as sdk:
        assert sdk.models.generate_content(**told).text == "a"
        assert "".join(part.text for part in sdk.models.generate_content_stream(**told)) == "a . ."
        with pytest.raises(genai.errors.ClientError) as refused:
            sdk.models.generate_content(**told)
        assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
