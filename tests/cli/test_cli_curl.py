from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.cli.curl import response_of

PRINTED = {
    "HTTP/2 has no reason and a space": (
        b"HTTP/2 429 \r\nretry-after: 60\r\n\r\n{}",
        429,
        {"retry-after": "60"},
        b"{}",
    ),
    "HTTP/1.1": (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\n\r\n{}", 429, {"retry-after": "60"}, b"{}"),
    "HTTP/3": (b"HTTP/3 200 \r\na: b\r\n\r\n", 200, {"a": "b"}, None),
    "no reason, no space": (b"HTTP/1.1 429\r\na: b\r\n\r\nx", 429, {"a": "b"}, b"x"),
    "LF alone, as after copying": (b"HTTP/2 429\na: b\n\n{}\n", 429, {"a": "b"}, b"{}\n"),
    "100-continue": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 X\r\na: b\r\n\r\n{}", 429, {"a": "b"}, b"{}"),
    "a proxy's CONNECT": (
        b"HTTP/1.1 200 Connection established\r\nvia: p\r\n\r\nHTTP/2 503 \r\na: b\r\n\r\nx",
        503,
        {"a": "b"},
        b"x",
    ),
    "redirects": (
        b"HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\nHTTP/1.1 302 Found\r\n\r\nHTTP/1.1 200 OK\r\na: b\r\n\r\nok",
        200,
        {"a": "b"},
        b"ok",
    ),
    "a folded header": (b"HTTP/1.1 200 OK\r\na: b\r\n  c\r\n\td\r\n\r\n", 200, {"a": "b c d"}, None),
    "repeated headers": (b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\n\r\n", 200, {"a": "1, 2"}, None),
    "colons in a value": (b"HTTP/1.1 200 OK\r\ndate: 10:00:00\r\n\r\n", 200, {"date": "10:00:00"}, None),
    "a line that is no header": (b"HTTP/1.1 200 OK\r\n garbage\r\nnonsense\r\na: b\r\n\r\n", 200, {"a": "b"}, None),
    "empty lines in the body": (b"HTTP/1.1 200 OK\r\n\r\na\r\n\r\nb\n\nc", 200, {}, b"a\r\n\r\nb\n\nc"),
    "a body that is no text": (b"HTTP/1.1 200 OK\r\n\r\n\xff\x00\n", 200, {}, b"\xff\x00\n"),
    "a head without its end": (b"HTTP/1.1 429 X\r\nretry-after: 7", 429, {"retry-after": "7"}, None),
    "empty lines before it": (b"\r\n\nHTTP/1.1 429 X\r\n\r\n", 429, {}, None),
}


@pytest.mark.parametrize("name", PRINTED)
def test_what_curl_prints_is_taken_apart(name):
    raw, status, headers, body = PRINTED[name]
    found = response_of(raw)
    assert (found.status, found.headers, found.body) == (status, headers, body)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"curl: (6) Could not resolve host", b"HTTP/2 9 \r\n\r\n", b"HTTP/1.1 999 X\n\n"]
)
def test_what_has_no_status_line_is_not_a_response(raw):
    assert response_of(raw) is None


_token = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=9)
_value = st.text('abc 0123456789:;,=/"', max_size=12).map(str.strip)


@given(
    status=st.integers(100, 599),
    headers=st.dictionaries(_token, _value, max_size=4),
    body=st.binary(max_size=30).filter(lambda raw: not raw.startswith(b"HTTP/")),
    end=st.sampled_from(["\r\n", "\n"]),
    before=st.lists(st.sampled_from([100, 200, 302, 401]), max_size=3),
)
def test_the_last_head_and_its_body_are_what_counts(status, headers, body, end, before):
    heads = [f"HTTP/1.1 {each} Before{end}x-before: {each}{end}{end}" for each in before]
    last = f"HTTP/1.1 {status} Last{end}" + "".join(f"{k}: {v}{end}" for k, v in headers.items()) + end
    found = response_of(("".join(heads) + last).encode() + body)
    assert (found.status, found.headers, found.body or b"") == (status, headers, body)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail(raw):
    response_of(raw)
    response_of(b"HTTP/1.1 429 X\n" + raw)
