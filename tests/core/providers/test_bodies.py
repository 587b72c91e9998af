"""Bodies: every envelope that was met, and usage."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.providers.bodies import Body, ErrorBody, decode, error_of, tokens_of


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (
            {"type": "error", "error": {"type": "a_b", "message": "m"}},
            ErrorBody(type="a_b", message="m", enveloped=True),
        ),
        (
            {"error": {"code": 429, "status": "S", "message": "a\n\t b"}},
            ErrorBody(code="429", status="S", message="a b"),
        ),
        ({"error": "invalid_grant", "error_description": "d"}, ErrorBody(code="invalid_grant", message="d")),
        ({"error": {"code": 429.0, "message": "m"}}, ErrorBody(code="429", message="m")),
        ({"error": {"code": float("nan"), "message": "m"}}, ErrorBody(message="m")),
        ({"message": {"detail": "m"}}, ErrorBody(message="m")),
        ({"message": {"detail": [{"msg": "x"}]}}, ErrorBody()),
        ('got status: 429. {"error": {"message": "m", "code": 429}}', ErrorBody(code="429", message="m")),
        ('{"error": {"message": "m", "code": 429,}, }', ErrorBody(code="429", message="m")),
        ("{'error': {'message': 'm'}}", ErrorBody(message="{'error': {'message': 'm'}}")),
        ({"message": "m", "type": "rate_limited", "code": "1300"}, ErrorBody("rate_limited", "1300", message="m")),
        ({"detail": {"code": "deactivated_workspace"}}, ErrorBody(code="deactivated_workspace")),
        ({"detail": "Not found"}, ErrorBody(message="Not found")),
        ('[{"error": {"message": "m"}}]', ErrorBody(message="m")),
        ('{"error": {"message": "m", "type": "t', ErrorBody(type="t", message="m")),
        ('{"error": "invalid_grant", "error_des', ErrorBody(code="invalid_grant", message="invalid_grant")),
        ("plain words", ErrorBody(message="plain words")),
        (b"\xff\xfe", ErrorBody(message="\ufffd\ufffd")),
        ("", ErrorBody()),
        ("null", ErrorBody()),
        (None, ErrorBody()),
        (7, ErrorBody()),
    ],
)
def test_each_envelope_gives_its_error(body: object, found: ErrorBody) -> None:
    assert error_of(decode(body), refused=True) == found


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"error": None},
        {"error": {}},
        {"message": "m", "type": "message"},
        "text",
        '{"content": "\\"error\\"',
        '{"input": {"error": {"x',
        'He answered: {"error": {"message": "m"}} and went.',
        {"type": "error"},
        "data: [DONE]\n\n",
        'data: {"x": 1}\n\n',
        [{"candidates": []}],
    ],
)
def test_a_success_has_no_error(body: object) -> None:
    assert error_of(decode(body), refused=False) is None


@pytest.mark.parametrize(
    "body",
    [
        '{"type":"error","error":{"type":"overl',
        '{"error": {"code": 4',
        'event: error\ndata: {"typ',
        "event: error\n\n",
        "event: error\ndata: oops\n\n",
        'event: error\r\ndata: "oops"\r\n\r\n',
        'data: {"x": 1}\n\nevent: error\ndata: {}\n\n',
        'data: {"type": "error", "code": "c", "message": "m"}\n\n',
    ],
)
def test_an_error_inside_a_success_is_found_though_it_is_cut_off(body: str) -> None:
    assert error_of(decode(body), refused=False) is not None


def test_an_error_wrapped_in_messages_is_unwrapped_and_its_raw_newlines_forgiven() -> None:
    inner = '{"error": {"code": 429, "message": "first\nsecond", "details": [{"detail": "x"}]}}'
    for depth in range(3):
        found = error_of(
            decode({"error": {"message": inner, "code": 429, "status": "Too Many Requests"}}), refused=True
        )
        assert found == ErrorBody(
            code="429", status="Too Many Requests", message="first second", details=({"detail": "x"},)
        ), depth
        inner = json.dumps({"error": {"message": inner}})


def test_wrapping_without_end_stops() -> None:
    inner = "m"
    for _ in range(20):
        inner = json.dumps({"error": {"message": inner}})
    assert error_of(decode(inner), refused=True) is not None


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (
            {
                "usage": {
                    "input_tokens": 10,
                    "cache_creation_input_tokens": 5,
                    "cache_read_input_tokens": 900,
                    "output_tokens": 7,
                }
            },
            22,
        ),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8}}, 8),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, 7),
        ({"usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}, 7),
        ({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 9}}, 9),
        (
            {
                "response": {
                    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 1}
                }
            },
            8,
        ),
        (
            (
                'event: message_start\ndata: {"message":{"usage":{"input_tokens":9,"output_tokens":1}}}\n\n'
                'event: message_delta\ndata: {"usage":{"output_tokens":50}}\n\n'
            ),
            59,
        ),
        ({"usage": {"input_tokens": -1, "output_tokens": True}}, None),
        ({"usage": {"input_tokens": "10"}}, None),
        ({"usage": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_tokens_used_as_the_body_counts_them(body: object, tokens: int | None) -> None:
    assert tokens_of(decode(body)) == tokens


def test_an_array_in_a_stream_is_as_good_as_its_elements() -> None:
    assert decode('data: [{"a": 1}, {"a": 2}]\n\n') == Body(({"a": 1}, {"a": 2}))


def test_a_line_separator_inside_a_string_does_not_break_an_event() -> None:
    assert decode('event: x\ndata: {"a": "b\u2028c"}\n\n').documents == ({"a": "b\u2028c"},)


@given(st.binary() | st.text())
def test_any_text_decodes_to_something(body: object) -> None:
    decoded = decode(body)
    assert isinstance(decoded.documents, tuple)
    assert error_of(decoded, refused=True) is not None
