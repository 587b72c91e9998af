"""What is still whole of broken JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.providers.mending import mended

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
documents = st.dictionaries(st.text(), values, max_size=5) | st.lists(values, max_size=5)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('words {"a": 1} words', {"a": 1}),
        ('[API Error: [{"a": 1,},]]', {"a": 1}),
        ('{"a": [1, 2, {"b": "c", "d": 12', {"a": [1, 2, {"b": "c"}]}),
        ('{"a": "b,}\\"", "c": "d', {"a": 'b,}"'}),
        ('{"a": 1}}', {"a": 1}),
        ('{"a": {}, "b": [', {"a": {}}),
        ('{"a": 1, "b": [2}', {"a": 1}),
        ('{"a": 1, "b": 2e', {"a": 1}),
        ("[1, 2", [1]),
        ("{,}", {}),
        ('{"a": 1', None),
        ("{", None),
        ("words", None),
        ("", None),
    ],
)
def test_what_is_whole_is_kept_and_what_may_have_been_cut_is_not(text: str, whole: object) -> None:
    assert mended(text) == whole


@given(documents, st.text(alphabet="words ,:"))
def test_a_whole_document_among_words_is_itself(document: object, words: str) -> None:
    assert mended(words + json.dumps(document) + words) == document


@given(documents, st.data())
def test_a_document_that_was_cut_keeps_only_what_it_had(document: object, data: st.DataObject) -> None:
    text = json.dumps(document)
    part = mended(text[: data.draw(st.integers(0, len(text)))])
    assert part is None or held(part, document)


def held(part: object, whole: object) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and held(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) <= len(whole) and all(map(held, part, whole))
    return part == whole


@pytest.mark.parametrize("text", ['"', '\\"', "[", '{"a":', ",", '{"a",', "{}", "}"])
def test_a_hostile_text_is_done_with_at_once(text: str) -> None:
    """A quadratic reading of it would not end before the tests are stopped."""
    for start in ("", "{", '{"a": "'):
        assert mended(start + text * 500_000) in (None, {}, [])
