"""What HTTP alone tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_read import CAPTURED, assert_within_ranges, by_id, instants, json_values, odd_texts, read_entry, statuses

from rotator.core.providers import (
    Reading,
    anthropic,
    codex,
    copilot,
    generic,
    github,
    google,
    groq,
    ietf,
    mistral,
    openai,
    openrouter,
    read,
)
from rotator.core.providers.error_words import known_word
from rotator.core.providers.response import received

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
FAMILIES = {
    "azure-openai": openai,
    "codex": codex,
    "generic": generic,
    "github": github,
    "github-copilot": copilot,
    "github-models": github,
    "groq": groq,
    "ietf": ietf,
    "mistral": mistral,
    "openai": openai,
    "openrouter": openrouter,
}
_THROTTLES = {"rate_limited", "quota_exhausted"}
OWN = [entry for entry in CAPTURED if entry["provider"] in FAMILIES]


def answer(status: int, headers: dict[str, str] | None = None, body: object = None) -> Reading:
    return read("generic", status=status, headers=headers or {}, body=body, model="m", now=NOW)


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (200, "ok", None),
        (204, "ok", None),
        (302, "bad_request", None),
        (400, "bad_request", None),
        (401, "auth_failed", "account"),
        (402, "billing", "account"),
        (403, "restricted", "account"),
        (404, "bad_request", None),
        (408, "server_error", "upstream"),
        (413, "bad_request", None),
        (422, "bad_request", None),
        (429, "rate_limited", "model"),
        (500, "server_error", "upstream"),
        (502, "server_error", "upstream"),
        (503, "overloaded", "upstream"),
        (529, "overloaded", "upstream"),
        (0, "server_error", "upstream"),
        (100, "bad_request", None),
        (999, "server_error", "upstream"),
        (-1, "server_error", "upstream"),
    ],
)
def test_a_status_alone(status: int, kind: str, scope: str | None) -> None:
    assert (answer(status).kind, answer(status).scope) == (kind, scope)


@pytest.mark.parametrize(
    ("headers", "secs"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "Fri, 20 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "2", "retry-after-ms": "0"}, 2.0),
        ({"retry-after": "602705"}, 602705.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_a_stated_delay_is_passed_on_unclamped(headers: dict[str, str], secs: float | None) -> None:
    for status in (403, 429, 503):
        reading = answer(status, headers)
        assert (reading.retry_after_secs, reading.retry_source) == (secs, "retry-after" if secs else None)
    assert answer(200, headers).retry_after_secs is None


def test_a_message_states_the_delay_where_no_header_does() -> None:
    body = {"error": {"message": "Rate limit reached. Please try again in 6m0s."}}
    assert answer(429, {}, body).retry_after_secs == 360.0
    assert answer(429, {"retry-after": "5"}, body).retry_after_secs == 5.0


def test_a_success_that_carries_an_error_is_no_success() -> None:
    assert answer(200, {}, {"error": {"code": 429, "message": "x"}}).kind == "rate_limited"
    assert answer(200, {}, {"error": {"code": 502, "message": "x"}}).kind == "server_error"
    assert answer(200, {}, {"error": {"message": "x"}}).kind == "server_error"
    assert answer(200, {}, 'event: error\ndata: {"message": "x"}\n\n').kind == "server_error"


def test_a_token_endpoints_refusal_is_the_accounts_only_when_the_grant_is_dead() -> None:
    dead = answer(400, {}, {"error": "invalid_grant", "error_description": "Bad Request"})
    assert (dead.kind, dead.scope, dead.final, dead.reason) == ("auth_failed", "account", True, "invalid_grant")
    for code in ("invalid_scope", "invalid_client", "unauthorized_client", "disabled_client", "invalid_request"):
        for status in (400, 401):
            mistaken = answer(status, {}, {"error": code})
            assert (mistaken.kind, mistaken.scope, mistaken.final) == ("bad_request", None, False)


def test_an_error_object_with_a_type_is_no_token_endpoints_refusal() -> None:
    assert answer(401, {}, {"error": {"type": "invalid_request_error", "code": "invalid_client"}}).kind == "auth_failed"


def test_a_reason_is_a_word_and_never_something_that_could_be_a_key() -> None:
    assert answer(429, {}, {"error": {"type": "rate_limit_error"}}).reason == "rate_limit_error"
    assert answer(429, {}, {"error": {"type": "fake-0123", "code": "tokens"}}).reason == "tokens"
    assert answer(429, {}, {"error": {"code": "fake_1234567890"}}).reason == ""
    assert answer(403, {}, {"error": {"type": "permission_error"}}).reason == ""


SECRETS = [
    "hunter",
    "correcthorsebatterystaple",
    "fake_secret_key",
    "FakeSecretKey",
    "AIzaFakeKeyOfLetters",
    "tokens_fake",
]


@pytest.mark.parametrize("provider", [*FAMILIES, "anthropic", "google-gemini-api", "google-cloudcode"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_word_that_no_provider_is_known_for_stays_out_of_the_reason(provider: str, secret: str) -> None:
    bodies = [
        {"error": dict.fromkeys(("type", "code", "status"), secret) | {"message": secret}},
        {"error": secret},
        {"type": secret, "code": secret, "detail": secret},
        {"error": {"code": "RateLimitReached", "message": f"Rate limit of 5 per 60s exceeded for {secret}."}},
    ]
    for body in bodies:
        for status in (200, 400, 401, 402, 403, 404, 408, 429, 500, 503, 529):
            for headers in ({}, {"x-ratelimit-type": secret}):
                reading = read(provider, status=status, headers=headers, body=body, model="m", now=NOW)
                assert secret.lower() not in reading.reason.lower()


@pytest.mark.parametrize(
    "table",
    [
        anthropic._STATUS_OF_TYPE,
        openai.STATUS_OF_WORD,
        openai.CODES,
        mistral._STATUS_OF_WORD,
        google._STATUS_OF_CODE,
        copilot._CODES,
    ],
)
def test_every_word_that_a_family_reads_may_be_told(table: dict[str, object]) -> None:
    assert [word for word in table if not word.isdigit() and not known_word(word)] == []


@pytest.mark.parametrize("word", ["rate_limit_error", "RESOURCE_EXHAUSTED", "RateLimitReached", "insufficient_quota"])
def test_a_word_that_a_provider_is_known_for_is_the_reason_as_it_came(word: str) -> None:
    assert answer(429, {}, {"error": {"code": word, "message": "x"}}).reason == word


values = (
    odd_texts
    | st.text(max_size=12)
    | st.integers(-5, 10**14).map(str)
    | st.sampled_from([
        "12ms", "7m12s", "100, 100;window=60", "a;r=0;t=5", '"a";q=9;w=60', "limit=9, remaining=1", "UserByModelByDay",
        "ent=-1&rem=7", "rem=5&rst=2026-11-21", "codex_bengalfox", "Fri Nov 20 2026 11:01:00 GMT+0100 (X)", "search",
    ])
)  # fmt: skip
header_names = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["x-ratelimit-", "ratelimit-", "x-rate-limit-", "x-ratelimitbysize-", "ratelimitbysize-"]),
        st.sampled_from(["limit", "remaining", "reset", "used", "resource", "type", "policy"]),
        st.sampled_from(["", "-tokens", "-requests", "-req-10-second", "-after", "-", "-0-second"]),
    ),
    st.builds(
        "x-codex-{}{}-{}".format,
        st.sampled_from(["", "bengalfox-", "a-b-"]),
        st.sampled_from(["primary", "secondary"]),
        st.sampled_from(["used-percent", "window-minutes", "reset-at", "reset-after-seconds"]),
    ),
    st.sampled_from([
        "ratelimit", "retry-after", "retry-after-ms", "x-codex-active-limit", "x-codex-bengalfox-limit-name",
        "x-quota-snapshot-chat", "x-usage-ratelimit-weekly", "x-quota-snapshot-",
    ]),
)  # fmt: skip
messages = st.sampled_from([
    "on tokens per min (TPM): Limit 0, Used 9, Requested 8. Please try again in 6ms.",
    "on tokens per min (TPM): Limit 99999999999999999999999, Used ,,, Requested ~0.",
    "Rate limit of 50 per 99999999999s exceeded for UserByModelByDay. Please wait 999999999999 seconds",
    "Rate limit exceeded: limit_rpd/a/b/c. Daily limit reached for a/b:free", "free-models-per-day", "free-models-per-",
    "Please retry after 86400 seconds", "You have exceeded a secondary rate limit", "Provider returned error",
])  # fmt: skip
fields = json_values | values | messages
objects = st.dictionaries(
    st.sampled_from([
        "message", "code", "type", "status", "metadata", "headers", "limit_source", "resets_at", "resets_in_seconds",
        "X-RateLimit-Reset", "X-RateLimit-Remaining", "retry_after_seconds", "is_byok", "limit", "limit_remaining", "usage",
        "remaining", "reset", "used", "primary", "secondary", "primary_window", "used_percent", "window_minutes", "reset_at",
        "limit_id", "limit_name", "allowed", "limit_reached", "rate_limit", "percent_remaining", "core", "chat",
    ]),
    fields,
    max_size=5,
)  # fmt: skip
nested = st.recursive(objects, lambda inner: st.dictionaries(
    st.sampled_from([
        "error", "metadata", "headers", "data", "resources", "core", "quota_snapshots", "chat", "response", "payload",
        "rate_limit", "rate_limits", "rateLimits", "rateLimitsByLimitId", "additional_rate_limits", "primary", "detail",
        "primary_window", "secondary_window", "violated-policies", "codex_x", "status_code",
    ]),
    inner | st.lists(inner, max_size=2) | fields,
    max_size=4,
), max_leaves=8)  # fmt: skip
bodies = st.none() | st.binary(max_size=40) | messages | nested | nested.map(lambda v: json.dumps([v]).encode()[:-5])


@settings(max_examples=400, deadline=None)
@given(
    provider=st.sampled_from(sorted(FAMILIES)),
    status=statuses,
    headers=st.dictionaries(header_names, values, max_size=7),
    body=bodies,
    model=st.none() | st.text(max_size=8),
    now=instants,
)
def test_no_response_to_any_family_raises_or_leaves_the_ranges(
    provider: str, *, status: int, headers: dict, body: object, model: str | None, now: datetime
) -> None:
    response = received(provider, status=status, headers=headers, body=body, model=model, now=now)
    reading = FAMILIES[provider].read(response)  # the family itself: read() would hide what it raises
    assert_within_ranges(reading)
    if not 200 <= status < 300 and not (provider == "codex" and status < 400):
        assert reading.kind != "ok"
    if 200 <= status < 300 and provider != "codex":
        assert reading.kind != "banned"


@pytest.mark.parametrize("garbage", ["NaN", "inf", "rejected", "\x00", "true", "-", "five", "1e999"])
@pytest.mark.parametrize("entry", [entry for entry in OWN if entry["headers"]], ids=by_id)
def test_a_header_that_became_garbage_never_raises_what_is_left(entry: dict, garbage: str) -> None:
    before = {window.name: window.remaining_fraction for window in read_entry(entry).windows}
    for name in entry["headers"]:
        reading = read_entry(entry, headers={**entry["headers"], name: garbage})
        told = {entry["expect"]["kind"]}
        # how long a throttle is may be told by the very header that is garbage now
        assert reading.kind in (told | _THROTTLES if told <= _THROTTLES else told)
        for window in reading.windows:
            known = before.get(window.name)
            assert window.remaining_fraction is None or window.informative or window.remaining_fraction == known


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([entry for entry in OWN if entry["expect"]["kind"] != "ok"]), st.data())
def test_a_refusal_that_is_damaged_stays_a_refusal(entry: dict, data: st.DataObject) -> None:
    if entry["status"] < 400:
        return
    kept = {name: value for name, value in entry["headers"].items() if data.draw(st.booleans())}
    raw = json.dumps(entry["body"]).encode()
    start, end = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, len(raw)))
    reading = read_entry(entry, headers=kept, body=raw[:start] + data.draw(st.binary(max_size=6)) + raw[end:])
    assert_within_ranges(reading)
    assert reading.kind != "ok"
    known = {window.name for window in read_entry(entry).windows}  # a slot that lost its length goes by its own name
    full = [window.name for window in reading.windows if window.remaining_fraction == 1.0]
    assert not known & set(full) or "Used 0," in raw.decode()
