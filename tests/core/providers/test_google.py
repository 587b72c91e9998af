"""Google: reasons, phrases and delays, under whatever status they come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rotator.core.providers import Reading, read

NOW = datetime(2026, 4, 27, 8, tzinfo=UTC)
INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def info(reason: str, **metadata: str) -> dict[str, object]:
    return {"@type": INFO, "reason": reason, "domain": "cloudcode-pa.googleapis.com,", "metadata": metadata}


def answer(
    status: int, message: str = "", *details: dict[str, object], headers: dict[str, str] | None = None
) -> Reading:
    body = {"error": {"code": status, "message": message, "status": "ANY", "details": list(details)}}
    return read("google-cloudcode", status=status, headers=headers or {}, body=body, model="gemini-3-pro", now=NOW)


REASONS = [
    (429, "MODEL_CAPACITY_EXHAUSTED", "overloaded", "upstream"),
    (503, "MODEL_CAPACITY_EXCEEDED", "overloaded", "upstream"),
    (429, "INSUFFICIENT_G1_CREDITS_BALANCE", "billing", "account"),
    (429, "QUOTA_EXHAUSTED", "quota_exhausted", "model"),
    (429, "RATE_LIMIT_EXCEEDED", "rate_limited", "model"),
    (403, "VALIDATION_REQUIRED", "restricted", "account"),
    (403, "SUBSCRIPTION_REQUIRED", "restricted", "account"),
    (403, "SERVICE_DISABLED", "restricted", "account"),
    (403, "CONSUMER_SUSPENDED", "banned", "account"),
    (403, "BILLING_DISABLED", "billing", "account"),
    (400, "API_KEY_INVALID", "auth_failed", "account"),
    (401, "ACCESS_TOKEN_EXPIRED", "auth_failed", "account"),
    (403, "A_NEW_ONE", "restricted", "account"),
    (400, "A_NEW_ONE", "bad_request", None),
]


@pytest.mark.parametrize(("status", "reason", "kind", "scope"), REASONS)
def test_the_reason_of_a_detail_decides_with_or_without_its_type(
    status: int, reason: str, kind: str, scope: str | None
) -> None:
    for details in (
        [info(reason)],
        [{"reason": reason}],
        [{"@type": "x.Help", "links": []}, {"reason": reason.lower()}],
    ):
        reading = answer(status, "", *details)
        assert (reading.kind, reading.scope) == (kind, scope)


PHRASES = [
    (
        403,
        "This service has been disabled in this account for violation of Terms of Service. If you",
        "banned",
        "account",
    ),
    (
        403,
        "This service has been disabled in this account for violation of Terms of\n\t\tService.",
        "banned",
        "account",
    ),
    (403, "Your API key was reported as leaked. Please use another API key.", "auth_failed", "account"),
    (403, "To continue, verify your account at https://accounts.google.com/x", "restricted", "account"),
    (400, "API key not valid. Please pass a valid API key.", "auth_failed", "account"),
    (400, "API key expired. Please renew the API key.", "auth_failed", "account"),
    (400, "User location is not supported for the API use.", "restricted", None),
    (
        403,
        "You are configured to use a Google Cloud Project but lack a Gemini Code Assist license.",
        "restricted",
        "account",
    ),
    (403, "The caller does not have permission", "restricted", "account"),
    (400, "Invalid JSON payload received.", "bad_request", None),
    (401, "Request had invalid authentication credentials.", "auth_failed", "account"),
    (404, "models/gemini-9 is not found", "bad_request", None),
    (500, "Internal error encountered.", "server_error", "upstream"),
    (503, "This model is currently experiencing high demand. Spikes are usually temporary.", "overloaded", "upstream"),
    (503, "The model is overloaded. Please try again later.", "overloaded", "upstream"),
    (504, "Deadline expired", "server_error", "upstream"),
    (429, "Resource exhausted. Please try again later.", "overloaded", "upstream"),
    (429, "Resource has been exhausted (e.g. check quota).", "rate_limited", "model"),
    (429, "You exceeded your current quota, please check your plan and billing details.", "rate_limited", "model"),
]


@pytest.mark.parametrize(("status", "message", "kind", "scope"), PHRASES)
def test_a_phrase_decides_where_no_detail_does(status: int, message: str, kind: str, scope: str | None) -> None:
    reading = answer(status, message)
    assert (reading.kind, reading.scope) == (kind, scope)


def test_a_403_that_nobody_recognised_has_no_reason() -> None:
    assert answer(403, "The caller does not have permission").reason == ""
    assert answer(403, "", info("SUBSCRIPTION_REQUIRED")).reason == "SUBSCRIPTION_REQUIRED"


def test_a_leaked_key_is_final_and_an_unknown_one_is_not() -> None:
    assert answer(403, "Your API key was reported as leaked.").final
    assert not answer(400, "API key not valid.", {"reason": "API_KEY_INVALID"}).final


def test_the_verification_link_stays_out_of_the_reading() -> None:
    reading = answer(
        403, "Verify", info("VALIDATION_REQUIRED", validation_url="https://accounts.google.com/fake-token")
    )
    assert "fake" not in repr(reading)
    assert "http" not in repr(reading)


def test_an_upstream_hint_is_kept() -> None:
    hint = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9s"}
    reading = answer(503, "No capacity available", info("MODEL_CAPACITY_EXHAUSTED"), hint)
    assert (reading.retry_after_secs, reading.retry_source) == (9.0, "retry-after")


def test_an_error_inside_a_stream_is_read_by_its_own_code_or_status() -> None:
    for error in ('{"code":429,"message":"Resource has been exhausted"}', '{"status":"RESOURCE_EXHAUSTED"}'):
        for body in (
            f'data: {{"candidates":[]}}\n\ndata: {{"error":{error}}}\n\n',
            f'[{{"candidates":[]}},{{"error":{error}}}]',
        ):
            reading = read("google-gemini-api", status=200, headers={}, body=body, now=NOW)
            assert (reading.kind, reading.scope) == ("rate_limited", "model")


def test_a_key_that_is_wrong_is_seen_through_two_wrappings() -> None:
    inner = '{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "details": []}}'
    body = {"error": {"message": inner, "code": 400, "status": "Bad Request"}}
    reading = read("google-gemini-api", status=400, headers={}, body=body, now=NOW)
    assert (reading.kind, reading.scope) == ("auth_failed", "account")


def test_tokens_come_from_the_last_usage_of_a_stream() -> None:
    chunks = [{"response": {"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": total}}} for total in (6, 31)]
    reading = read("google-cloudcode", status=200, headers={}, body=chunks, now=NOW)
    assert (reading.kind, reading.tokens) == ("ok", 31)
