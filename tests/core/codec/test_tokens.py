"""Laws of new tokens in a document: they land where the old ones stood, and nothing else of a person's is touched."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.codec.account import fingerprint
from rotator.core.codec.decode import decode
from rotator.core.codec.encode import encode
from rotator.core.codec.merge import crossed, merged
from rotator.core.codec.seal import is_sealed, within_json
from rotator.core.codec.tokens import Tokens, access_of, later, mark, overlaid, short_hash
from rotator.core.instants import parse, rfc3339
from tests.strategies import as_bytes, documents, files, quick, styles

AT, END = 1_800_000_000.25, 1_800_003_600.25
ACCESS, REFRESH = 'fake-new-access"\\', "fake-new-refresh-ключ"

_token = st.one_of(st.text(max_size=8).map("fake-old".__add__), st.just(""))


@st.composite
def renewals(draw: st.DrawFn) -> tuple[bytes, str, Tokens]:
    """A file, one of its accounts that has a refresh token, and what a refresh gives it."""
    found = draw(documents(most=3).filter(lambda document: document["accounts"]))
    account = draw(st.sampled_from(found["accounts"]))
    account["refresh_token"] = draw(_token)
    if draw(st.booleans()):
        account["access_token"] = draw(_token)
    raw = as_bytes(found, draw(styles))
    document, pool = decode(raw)
    index = found["accounts"].index(account)
    own = document.account(index)
    saw = short_hash(own["access_token"]) if type(own.get("access_token")) is str else ""
    rotated = draw(st.sampled_from([REFRESH, None]))
    end = draw(st.sampled_from([END, None]))
    return raw, pool.at(index).name, Tokens(ACCESS, rotated, AT, end, {mark(own)}, draw(st.sampled_from([saw, None])))


def _object(raw: bytes, name: str) -> dict[str, Any]:
    document, pool = decode(raw)
    return document.account(pool.index(name))


def _spelt(account: dict[str, Any]) -> bytes:
    """A number that is too large for a float is no ``Infinity`` in JSON."""
    return json.dumps(within_json(account)).replace("Infinity", "1e400").encode()


def _person(raw: bytes) -> Any:
    """What a person says, in order, numbers as spelled."""
    whole = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=lambda pairs: pairs, parse_float=str)
    return [
        (key, [[(k, v) for k, v in account if k != "runtime"] for account in value] if key == "accounts" else value)
        for key, value in whole
        if key not in ("version", "active")
    ]


@quick
@given(renewals())
def test_new_tokens_are_what_the_account_has_then(case: tuple[bytes, str, Tokens]) -> None:
    raw, name, tokens = case
    document, pool = decode(raw)
    was = document.account(pool.index(name))
    written, kept = encode(document, pool, {name: tokens})
    assert decode(written.raw)[1] == kept
    now = _object(written.raw, name)
    assert now["refresh_token"] == (tokens.refresh_token or was["refresh_token"])
    assert is_sealed(now["runtime"])
    if type(was.get("access_token")) is not dict:
        found = access_of(now)
        assert (found.token, found.received_at, found.expires_at) == (ACCESS, AT, tokens.expires_at or found.expires_at)
        assert ("access_token" in now) == ("access_token" in was)
        assert ("access_token" in now["runtime"]) == ("access_token" not in was)
    again, pool_again = decode(written.raw)
    assert written.spans == again.spans
    assert [a.runtime for a in pool_again] == written.runtimes


@quick
@given(renewals())
def test_nothing_else_of_a_persons_is_touched(case: tuple[bytes, str, Tokens]) -> None:
    raw, name, tokens = case
    document, pool = decode(raw)
    index = pool.index(name)
    before, after = _person(raw), _person(encode(document, pool, {name: tokens})[0].raw)
    for key, value in after:
        if key == "accounts":
            for place, account in enumerate(value):
                old = dict(before)["accounts"][place]
                assert [k for k, _ in old] == [k for k, _ in account]
                changed = {k for (k, v), (_, new) in zip(old, account, strict=True) if v != new}
                assert changed <= ({"access_token", "refresh_token", "expires_at"} if place == index else set())
        else:
            assert (key, value) in before


@quick
@given(renewals(), st.sampled_from(["fake-a-persons", {"env": "X"}, None]))
def test_a_credential_that_a_person_changed_is_theirs(case: tuple[bytes, str, Tokens], theirs: Any) -> None:
    raw, name, tokens = case
    document, pool = decode(raw)
    index = pool.index(name)
    start, end = document.spans[index]
    changed = document.account(index)
    changed["refresh_token"] = theirs
    if theirs is None:
        del changed["refresh_token"]
    edited = raw[:start] + _spelt(changed) + raw[end:]
    document, pool = decode(edited)
    written, kept = encode(document, pool, {name: tokens})
    assert [a.runtime for a in kept] == [a.runtime for a in pool]
    assert written.raw == edited or document.version == 1
    assert overlaid(changed, tokens) is None


@quick
@given(renewals())
def test_an_access_token_that_a_person_changed_is_theirs_beside_a_rotated_refresh_token(
    case: tuple[bytes, str, Tokens],
) -> None:
    raw, name, tokens = case
    document, pool = decode(raw)
    index = pool.index(name)
    start, end = document.spans[index]
    changed = {**document.account(index), "access_token": "fake-a-persons"}
    document, pool = decode(raw[:start] + _spelt(changed) + raw[end:])
    if tokens.saw is None:
        return
    now = _object(encode(document, pool, {name: tokens})[0].raw, name)
    assert now["access_token"] == "fake-a-persons"
    assert now.get("expires_at") == changed.get("expires_at")
    assert now["refresh_token"] == (tokens.refresh_token or changed["refresh_token"])


@quick
@given(renewals())
def test_what_a_document_lacks_yet_is_read_as_it_will_be(case: tuple[bytes, str, Tokens]) -> None:
    raw, name, tokens = case
    before = _object(raw, name)
    over = overlaid(before, tokens)
    assert over is not None
    document, pool = decode(raw)
    after = _object(encode(document, pool, {name: tokens})[0].raw, name)
    assert (over[0] or before["refresh_token"]) == after["refresh_token"]
    assert over[1].token == access_of(after).token


@quick
@given(renewals())
def test_a_hard_state_outlives_a_rotation_and_not_a_new_login(case: tuple[bytes, str, Tokens]) -> None:
    raw, name, tokens = case
    document, pool = decode(raw)
    index = pool.index(name)
    pool = pool.with_runtime(name, pool.at(index).runtime.replace(banned=True))
    written, kept = encode(document, pool, {name: tokens})
    assert decode(written.raw)[1].account(name).runtime.banned
    start, end = written.spans[index]
    login = {**written.account(index), "refresh_token": "fake-login"}
    edited = written.raw[:start] + _spelt(login) + written.raw[end:]
    assert not decode(edited)[1].account(name).runtime.banned
    assert kept.account(name).runtime.banned
    assert fingerprint(login) != fingerprint(written.account(index))


@quick
@given(renewals())
def test_a_person_who_edits_meanwhile_does_not_bring_old_tokens_back(case: tuple[bytes, str, Tokens]) -> None:
    raw, name, tokens = case
    document, pool = decode(raw)
    theirs = encode(document, pool, {name: tokens})[0].raw
    index = pool.index(name)
    start, _ = document.spans[index]
    edited = document.account(index)
    mine = raw[: start + 1] + b'"note2": "mine", ' + raw[start + 1 :]
    now = _object(merged(raw, mine, theirs), name)
    assert now["note2"] == "mine"
    assert now["refresh_token"] == (tokens.refresh_token or edited["refresh_token"])
    if type(edited.get("access_token")) is not dict:
        assert access_of(now).token == ACCESS


@quick
@given(files)
def test_no_tokens_change_nothing(raw: bytes) -> None:
    document, pool = decode(raw)
    assert encode(document, pool, {}) == (document, pool)
    assert (
        encode(document, pool, {"nobody": Tokens(ACCESS, None, AT, END, {""})})[0].raw == raw or document.version == 1
    )


def test_an_editor_that_spells_a_token_anew_has_not_changed_it() -> None:
    raw = b'{"version": 2, "accounts": [{"name": "a", "refresh_token": "fake-1/\\u0061"}]}'
    document, pool = decode(raw)
    tokens = Tokens(ACCESS, REFRESH, AT, END, {mark(document.account(0))})
    theirs = encode(document, pool, {"a": tokens})[0].raw
    mine = raw.replace(b"1/\\u0061", b"1\\/a").replace(b'"name"', b'"note": 1, "name"')
    assert _object(merged(raw, mine, theirs), "a")["refresh_token"] == REFRESH
    assert not crossed(raw, mine, raw)


HASHES = [short_hash(f"fake-{n}") for n in range(4)]


@pytest.mark.parametrize(
    ("mine", "theirs", "superseded", "expected"),
    [
        ("fake-0", "fake-1", HASHES[:1], "fake-1"),
        ("fake-0", "fake-2", HASHES[:2], "fake-2"),
        ("fake-1", "fake-0", HASHES[:1], None),
        ("fake-1", "fake-1", HASHES[:1], None),
        ("fake-2", "fake-1", HASHES[:1], None),
        ("fake-0", "fake-0", HASHES[:1], None),
        ("fake-0", "fake-1", HASHES[:2], None),
        ({"env": "X"}, "fake-1", HASHES, None),
        ("fake-0", None, HASHES[:1], None),
    ],
)
def test_which_of_two_tokens_is_the_later_one_is_told_by_what_is_superseded(
    mine: Any, theirs: Any, superseded: list[str], expected: str | None
) -> None:
    found = later({"refresh_token": mine}, {"refresh_token": theirs, "access_token": "fake-x"}, superseded)
    assert (None if found is None else found.refresh_token) == expected


_RUNTIME = {"access_at": rfc3339(AT), "access_expires_at": rfc3339(END)}


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({"access_token": "fake-a", "expires_at": 1_800_000_000}, ("fake-a", None, 1_800_000_000.0)),
        ({"access_token": "fake-a"}, ("fake-a", None, None)),
        ({"runtime": {"access_token": "fake-a", **_RUNTIME}}, (None, None, None)),
        (
            {"refresh_token": "fake-r", "runtime": {"access_token": "fake-a", "access_for": short_hash("fake-r"), **_RUNTIME}},
            ("fake-a", AT, END),
        ),
        (
            {"refresh_token": "fake-s", "runtime": {"access_token": "fake-a", "access_for": short_hash("fake-r"), **_RUNTIME}},
            (None, None, None),
        ),
        ({"access_token": "fake-a", "runtime": {"access_for": short_hash("fake-b"), **_RUNTIME}}, ("fake-a", None, None)),
        ({"access_token": "fake-a", "runtime": {"access_for": short_hash("fake-a"), **_RUNTIME}}, ("fake-a", AT, END)),
        (
            {"access_token": "fake-a", "expires_at": int(END), "runtime": {"access_for": short_hash("fake-a"), **_RUNTIME}},
            ("fake-a", AT, END),
        ),
        (
            {"access_token": "fake-a", "expires_at": END + 60, "runtime": {"access_for": short_hash("fake-a"), **_RUNTIME}},
            ("fake-a", AT, END + 60),
        ),
        (
            {"access_token": "fake-a", "expires_at": AT - 60, "runtime": {"access_for": short_hash("fake-a"), **_RUNTIME}},
            ("fake-a", AT, AT - 60),
        ),
        (
            {"access_token": "fake-a", "expires_at": AT - 9, "runtime": {"access_for": short_hash("fake-a"), "access_at": AT}},
            ("fake-a", AT, None),
        ),
        ({"access_token": {"env": "X"}, "expires_at": END}, (None, None, END)),
        ({"access_token": "fake-a", "runtime": [7]}, ("fake-a", None, None)),
        ({"refresh_token": "fake-r", "runtime": {"access_token": 7, "access_for": short_hash("fake-r")}}, (None, None, None)),
    ],
)  # fmt: skip
def test_which_access_token_an_account_has(account: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = access_of(account)
    assert (found.token, found.received_at, found.expires_at) == expected


def test_the_end_is_never_written_later_than_it_is() -> None:
    for old in ("2026-11-20T10:00:00Z", 1_700_000_000, 1_700_000_000.5, 1_700_000_000_000, 1_700_000_000_000.5):
        raw = json.dumps(
            {"accounts": [{"name": "a", "access_token": "fake", "refresh_token": "fake-r", "expires_at": old}]}
        )
        document, pool = decode(raw.encode())
        tokens = Tokens(ACCESS, None, AT, END, {short_hash("fake-r")})
        new = _object(encode(document, pool, {"a": tokens})[0].raw, "a")["expires_at"]
        seconds = parse(new)
        assert seconds is not None
        assert END - 1 < seconds <= END


def test_nobody_sees_or_pickles_tokens() -> None:
    tokens = Tokens(ACCESS, REFRESH, AT, END, ())
    assert "fake" not in repr([tokens, access_of({"access_token": "fake-a"})])
    with pytest.raises(TypeError):
        pickle.dumps(tokens)
