"""Credentials are resolved when they are used, and are seen by nobody else."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest
from simulators import FakeClock, document, save

from rotator import Rotator
from rotator.errors import SecretMissing

SECRET = "fake-5ecret"


def credentials(**parts):
    return Rotator.memory(document({"name": "a", **parts}), clock=FakeClock()).credentials("a")


def test_what_stands_inline_is_given_as_it_stands():
    found = credentials(
        api_key="fake-key", access_token="fake-access", project_id="p-1", base_url="https://example.com/v1"
    )
    assert (found.account, found.api_key, found.access_token, found.refresh_token) == (
        "a",
        "fake-key",
        "fake-access",
        None,
    )
    assert (found.project_id, found.base_url) == ("p-1", "https://example.com/v1")


def test_a_variable_of_the_environment_is_read_at_each_use(monkeypatch):
    rotator = Rotator.memory(document({"name": "a", "api_key": {"env": "ROTATOR_TEST_KEY"}}), clock=FakeClock())
    monkeypatch.setenv("ROTATOR_TEST_KEY", SECRET)
    assert rotator.credentials("a").api_key == SECRET
    monkeypatch.setenv("ROTATOR_TEST_KEY", "fake-other")
    assert rotator.credentials("a").api_key == "fake-other"


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/tokens/0/access", SECRET),
        ("/a~1b/m~0n", "fake-escaped"),
        ("/tokens/1", "fake-listed"),
        ("/", "fake-empty-key"),
    ],
)
def test_a_pointer_leads_into_a_file_that_another_tool_keeps(tmp_path, pointer, expected):
    other = {"tokens": [{"access": SECRET}, "fake-listed"], "a/b": {"m~n": "fake-escaped"}, "": "fake-empty-key"}
    (tmp_path / "auth.json").write_text(json.dumps(other))
    assert credentials(access_token={"file": str(tmp_path / "auth.json"), "pointer": pointer}).access_token == expected


def test_a_file_without_a_pointer_is_the_secret_without_its_line_end(tmp_path, monkeypatch):
    (tmp_path / "key").write_text(f"{SECRET}\n")
    assert credentials(api_key={"file": str(tmp_path / "key")}).api_key == SECRET
    monkeypatch.setenv("HOME", str(tmp_path))
    assert credentials(api_key={"file": "~/key"}).api_key == SECRET


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (None, ""),
        (b"", ""),
        (b"\n", ""),
        (b"\xff" + SECRET.encode(), ""),
        (b"\xff" + SECRET.encode(), "/a"),
        (f'{{"a": "{SECRET}"'.encode(), "/a"),
        (f'{{"a": "{SECRET}"}}'.encode(), "/b"),
        (f'{{"a": "{SECRET}"}}'.encode(), "/a/b"),
        (f'{{"a": ["{SECRET}"]}}'.encode(), "/a"),
        (f'{{"a": ["{SECRET}"]}}'.encode(), "/a/-1"),
        (f'{{"a": ["{SECRET}"]}}'.encode(), "/a/1"),
        (b'{"a": 1}', "/a"),
        (b'{"a": ""}', "/a"),
        (b"[" * 100_000, "/a"),
    ],
)
def test_a_file_that_leads_nowhere_names_the_reference_and_never_a_value(tmp_path, content, pointer):
    path = tmp_path / "auth.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretMissing) as caught:
        credentials(refresh_token={"file": str(path), "pointer": pointer}, api_key="fake-inline")
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    assert str(path) in str(caught.value)
    assert "refresh_token of a" in str(caught.value)
    assert SECRET not in told
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_or_empty_is_named(monkeypatch, value):
    monkeypatch.delenv("ROTATOR_TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("ROTATOR_TEST_KEY", value)
    with pytest.raises(SecretMissing, match="ROTATOR_TEST_KEY"):
        credentials(api_key={"env": "ROTATOR_TEST_KEY"})


def test_a_secret_is_neither_shown_nor_pickled_nor_copied():
    found = credentials(api_key=SECRET, refresh_token="fake-refresh")
    for text in (repr(found), str(found), f"{found}", f"{[found]}"):
        assert text.strip("[]") == "Credentials('a', api_key=***, refresh_token=***)"
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            spread(found)
    assert not hasattr(found, "__dict__")


def test_a_token_that_was_rotated_in_the_file_is_the_one_that_is_used(tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document({"name": "a", "access_token": "fake-old"}))
    with Rotator.open(path, clock=FakeClock()) as rotator:
        assert rotator.credentials("a").access_token == "fake-old"
        save(path, document({"name": "b"}, {"name": "a", "access_token": "fake-new"}))
        assert rotator.credentials("a").access_token == "fake-new"
        assert repr(rotator.credentials("b")) == "Credentials('b')"
