"""What HTTP alone tells."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rotator.core.providers import Reading, read

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


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
        (100, "server_error", "upstream"),
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
