from __future__ import annotations

import gzip
import json
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.wire.streams import TAIL, Watch, has_event, may_tell_error, plain

USAGE = {"input_tokens": 10, "cache_creation_input_tokens": 5, "output_tokens": 3}
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'


def watched(parts, *, events=False, headers=()):
    told = []
    watch = Watch(
        dict(headers).get("content-encoding", ""), lambda tokens, failed: told.append((tokens, failed)), events=events
    )
    for part in parts:
        watch.saw(part)
    watch.end()
    watch.end()
    assert len(told) == 1
    return told[0]


def cut(body, places):
    edges = sorted({0, len(body), *[place % (len(body) + 1) for place in places]})
    return [body[one:other] for one, other in pairwise(edges)]


EVENTS = [
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":7,"output_tokens":1}}}\n\n',
    b": keep-alive\n\n",
    'data: {"delta":"\u2028 says \\"usage\\": {\\"total_tokens\\": 99}"}\n\n'.encode(),
    b'data: {"usage":null,"choices":[]}\n\n',
    b'event: message_delta\ndata: {"usage":{"output_tokens":30}}\n\n',
]


@given(st.lists(st.integers(0, 5000), max_size=12))
def test_however_a_stream_is_cut_its_usage_is_found(places):
    assert watched(cut(b"".join(EVENTS), places), events=True) == (37, None)


@given(st.lists(st.integers(0, 5000), max_size=12))
def test_and_its_error_event(places):
    tokens, failed = watched(cut(b"".join(EVENTS) + ERROR, places), events=True)
    assert tokens == 37
    assert failed is not None
    assert b"overloaded_error" in failed


@given(st.lists(st.integers(0, 200_000), max_size=12), st.sampled_from([10, TAIL, 3 * TAIL]))
def test_however_long_a_body_is_and_however_it_is_cut_its_usage_at_the_end_is_found(places, size):
    body = json.dumps({"content": [{"text": "x" * size}], "usage": USAGE}).encode()
    assert watched(cut(body, places)) == (18, None)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, lambda body: zlib.compress(body, wbits=-15)])
@pytest.mark.parametrize("events", [True, False])
def test_packed_ones_too(pack, events):
    body = b"".join(EVENTS) if events else json.dumps({"usage": USAGE}).encode()
    encoding = "gzip" if pack is gzip.compress else "deflate"
    parts = cut(pack(body), range(0, 10_000, 7))
    assert watched(parts, events=events, headers={"content-encoding": encoding})[0] == (37 if events else 18)


@given(
    st.lists(st.binary(max_size=300), max_size=8),
    st.booleans(),
    st.sampled_from(["", "gzip", "deflate", "br", "gzip, br"]),
)
def test_no_body_raises(parts, events, encoding):
    watched(parts, events=events, headers={"content-encoding": encoding})


def test_a_packed_body_reads_no_further_than_its_limit():
    unpacked = plain("gzip", 1000)
    assert unpacked is not None
    assert len(unpacked(gzip.compress(b"x" * 10_000_000))) == 1000
    assert unpacked(gzip.compress(b"x")) == b""


def test_an_error_beside_a_200_is_told_and_a_field_of_that_name_is_not():
    assert watched([b'{"error": {"code": 429}}'])[1] is not None
    assert watched([b'{"error": null, "usage": {"total_tokens": 4}}']) == (4, None)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_a_whole_event_is_known_by_its_end_and_a_comment_is_none(end):
    assert has_event(b"data: {}" + end)
    assert has_event(b": wait" + end + b"event: x" + end[: len(end) // 2] + b"data: {}" + end)
    assert not has_event(b": wait" + end)
    assert not has_event(b"data: {}" + end[: len(end) // 2])


def test_a_text_that_quotes_an_error_is_not_read_for_one():
    assert not may_tell_error(b'data: {"text": "{\\"error\\": {}}"}\n\n')
    assert may_tell_error(ERROR)


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_a_ping_is_no_event_either(end):
    line = end[: len(end) // 2]
    named = f'event: ping{line}data: {{"type": "ping"}}{end}'.encode()
    bare = f'data: {{"type":"ping"}}{end}'.encode()
    other = f'event: message_start{line}data: {{"type": "message_start", "note": "event: ping"}}{end}'.encode()
    assert not has_event(named + bare + named)
    assert has_event(named + other)
    assert has_event(other)
    assert has_event(f"event: pinged{line}data: 1{end}".encode())
    assert not has_event(named + other[: -len(end)])
