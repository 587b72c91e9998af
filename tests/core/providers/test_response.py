"""A response in plain form, whatever it came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotator.core.providers.response import Response, received

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def plain(status: object = 200, headers: object = None, now: datetime = NOW, model: object = None) -> Response:
    return received("generic", status=status, headers=headers, body=None, model=model, now=now)


@pytest.mark.parametrize(
    ("status", "number"),
    [(429, 429), ("429", 429), (True, 0), (None, 0), ("4x9", 0), ("٤٢٩", 0), ("9" * 5000, 0), (4.2, 0)],
)
def test_a_status_that_is_no_number_is_zero(status: object, number: int) -> None:
    assert plain(status).status == number


def test_headers_become_lower_case_text_and_what_is_no_text_is_left_out() -> None:
    headers = {
        "Retry-After": 30, b"X-A": b"caf\xe9", "X-B": ["one", "two"], "X-C": None, "x-d": True, "X-E": "  ", None: "x",
        "X-F": 10**5000, "X-G": {},
    }  # fmt: skip
    assert plain(headers=headers).headers == {"retry-after": "30", "x-a": "café", "x-b": "one"}
    assert plain(headers="not a mapping").headers == {}


def test_the_first_of_two_spellings_of_a_header_counts() -> None:
    assert plain(headers={"Retry-After": "1", "RETRY-AFTER": "2"}).headers == {"retry-after": "1"}


def test_the_instant_of_receipt_is_utc_and_a_model_is_a_name_or_nothing() -> None:
    assert plain(now=NOW.astimezone(timezone(timedelta(hours=5)))).now == NOW
    assert plain(now=NOW.replace(tzinfo=None)).now == NOW
    assert [plain(model=model).model for model in ("m", "", 7)] == ["m", None, None]
