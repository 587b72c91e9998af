"""What a response gives away of its provider."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.core.providers import read

NOW = datetime(2026, 4, 27, 7, 45, 59, tzinfo=UTC)
FIXTURES = Path(__file__).parents[3] / "fixtures" / "responses"
MARKED = [
    entry
    for name in ("anthropic", "google", "codex")
    for entry in json.loads((FIXTURES / f"{name}.json").read_text())
    if any(header.startswith(("anthropic-ratelimit-", "x-codex-")) for header in entry["headers"])
    or "google.rpc" in json.dumps(entry["body"])
]


def told(provider: str, entry: dict):
    return read(provider, status=entry["status"], headers=entry["headers"], body=entry["body"], model="m", now=NOW)


@pytest.mark.parametrize("entry", MARKED, ids=lambda entry: entry["id"])
def test_a_response_with_a_mark_is_read_by_its_family_though_the_account_names_no_provider(entry):
    assert told("generic", entry) == told(entry["provider"], entry)


def test_the_list_of_other_tools_learns_the_reset_that_google_puts_into_the_body():
    body = {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "18000s"}],
        }
    }
    assert read("generic", status=429, headers={}, body=body, model="m", now=NOW).retry_after_secs == 18000.0


@pytest.mark.parametrize("body", [None, "", "[]", [], [1], {"error": 3}, {"error": {"details": [1, {"@type": 5}]}}])
def test_a_response_without_a_mark_stays_generic(body):
    assert read("generic", status=429, headers={}, body=body, model="m", now=NOW).kind == "rate_limited"


def test_a_provider_that_is_named_is_believed_against_a_mark():
    headers = {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-5h-status": "rejected"}
    assert read("groq", status=429, headers=headers, body=None, model="m", now=NOW).windows == ()
