from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.wire.models import model_of

PATHS = {
    b"/v1beta/models/gemini-2.5-pro:generateContent": "gemini-2.5-pro",
    b"/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse": "gemini-2.5-pro",
    b"/v1beta/tunedModels/mine-1:generateContent": "mine-1",
    b"/v1/projects/p/locations/us-central1/publishers/google/models/gemini-x:predict": "gemini-x",
    b"/v1/projects/p/locations/l/publishers/anthropic/models/claude%40latest:rawPredict": "claude@latest",
    b"/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21": "my-gpt",
    b"/v1/models": None,
    b"/v1/models/gpt-5": None,
    b"/v1/chat/completions": None,
    b"/v1internal:generateContent": None,
}
LONG = "x" * 5000
SHAPES = {
    "first": {"model": "m", "messages": [LONG]},
    "last": {"messages": [LONG], "model": "m"},
    "in the middle": {"messages": [LONG], "model": "m", "tools": [LONG]},
    "beside one further in": {"tools": [{"model": "other", "text": LONG}], "model": "m"},
    "before one further in": {"model": "m", "tools": [{"text": LONG, "model": "other"}]},
    "before one at the end of another": {"messages": [LONG], "model": "m", "metadata": {"model": "other"}},
    "beside a value of that word": {"object": "model", "messages": [LONG], "kind": "model", "model": "m"},
    "beside a text that quotes one": {
        "messages": [LONG, '{"model": "other"}'],
        "model": "m",
        "tail": '"model":"other"}',
    },
    "beside a key that ends in it": {'x"model': "other", "messages": [LONG], "model": "m", 'y"model': "other"},
    "escaped": {"messages": [LONG], "model": "m"},
}
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["model", "m", '"model":"x"', "\\", '"', "}{"])
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["model", "a", '"model', "model\\"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.decode())
def test_the_path_of_a_known_api_names_the_model(path):
    assert model_of(None, path) == PATHS[path]
    assert model_of(b'{"contents": []}', path) == PATHS[path]


def test_the_path_stands_above_the_body():
    for path, name in PATHS.items():
        assert model_of(b'{"model": "of-the-body"}', path) == (name or "of-the-body")


def test_googles_form_of_a_model_in_the_body_is_its_name():
    assert model_of(b'{"model": "models/gemini-x"}', b"/v1beta/cachedContents") == "gemini-x"
    assert model_of(b'{"model": "models/gemini-x"}', b"/v1beta/models/gemini-x:embedContent") == "gemini-x"
    assert model_of(b'{"model": "google/gemini-x"}', b"/v1/chat/completions") == "google/gemini-x"
    assert model_of(b'{"model": "models/"}', b"/v1beta/cachedContents") is None


@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_is_the_one_at_the_top_of_the_body(shape):
    assert model_of(json.dumps(SHAPES[shape]).encode(), b"/v1/messages") == "m"
    assert model_of(json.dumps(SHAPES[shape], indent=2).encode(), b"/v1/messages") == "m"


@given(
    st.dictionaries(st.sampled_from(["a", "messages", "x"]), _json, max_size=3),
    st.text(min_size=1),
    st.integers(0, 3),
    st.integers(0, 4000),
)
def test_it_is_what_decoding_the_whole_body_finds(others, model, place, filler):
    items = [*others.items(), ("filler", "f" * filler)]
    items.insert(place, ("model", model))
    for ascii_ in (True, False):
        text = json.dumps(dict(items), ensure_ascii=ascii_)
        body = text.encode("utf-8", "replace")
        assert model_of(body, b"/") == (json.loads(body)["model"].removeprefix("models/") or None)


@given(st.dictionaries(st.sampled_from(["a", "messages", "x"]), _json, max_size=3), st.integers(0, 4000))
def test_a_body_without_one_names_none(others, filler):
    assert model_of(json.dumps({**others, "filler": "f" * filler}).encode(), b"/v1") is None


@given(st.binary(max_size=6000), st.binary(max_size=100))
def test_no_body_and_no_path_raises(body, path):
    model_of(body, path)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"model": 3}', b'{"model": null}', b'{"model": ""}', b"{" * 100_000]
)
def test_a_body_that_names_none_is_no_trouble(body):
    assert model_of(body, b"/v1") is None
