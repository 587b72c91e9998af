"""Laws of merging a person's edit with what engines learned meanwhile: neither is lost, and a second person is noticed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rotator.core.codec.decode import decode
from rotator.core.codec.encode import encode
from rotator.core.codec.merge import crossed, merged
from rotator.core.pending import rebase
from rotator.core.state import Runtime
from rotator.errors import AccountsInvalid
from tests.strategies import PLAIN, Spelled, as_bytes, documents, files, quick, runtime_values, runtimes

BROKEN = b'{"accounts": ['
NEWER = b'{"version": 3, "accounts": []}'


def _parsed(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8-sig"))


def _person(raw: bytes) -> list[tuple[str, Any]]:
    """What the person says, in order; written here once more so that the code cannot excuse itself."""
    whole = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=lambda pairs: pairs, parse_float=str)
    return [
        (key, [[(k, v) for k, v in account if k != "runtime"] for account in value] if key == "accounts" else value)
        for key, value in whole
        if key not in ("version", "active")
    ]


def _learn(draw: st.DrawFn, raw: bytes) -> bytes:
    """The file after engines wrote it once or twice."""
    for _ in range(draw(st.integers(1, 2))):
        document, pool = decode(raw)
        for account in pool:
            if draw(st.booleans()):
                pool = pool.with_runtime(account.name, draw(runtime_values).replace(rev=account.runtime.rev))
        if len(pool) and draw(st.booleans()):
            pool = pool.with_active(draw(st.sampled_from([account.name for account in pool])))
        raw = encode(document, pool)[0].raw
    return raw


@st.composite
def learned(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A file, and what engines made of it."""
    base = draw(files)
    return base, _learn(draw, base)


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, bytes, bytes, set[str]]:
    """A file, a person's copy with notes, orders, additions and removals, the file by now, whose runtime was edited."""
    base, theirs = draw(learned())
    whole = json.loads(base.decode("utf-8-sig"), parse_float=Spelled)
    touched = set()
    _, pool = decode(base)
    for account, known in zip(whole["accounts"], pool, strict=True):
        if draw(st.integers(0, 2)) == 0:
            account["my note"] = draw(st.sampled_from(["é", [1, {}], None]))
        if draw(st.integers(0, 2)) == 0:
            account["runtime"] = draw(runtimes)
            touched.add(known.name)
    if draw(st.booleans()):
        whole["accounts"].insert(0, {"id": "brand-new", "api_key": "fake-new"})
    if draw(st.booleans()):
        whole["accounts"].reverse()
    assume(sum(account.get("id") == "brand-new" for account in whole["accounts"]) <= 1)
    mine = as_bytes(whole, PLAIN)
    return base, mine, theirs, touched


@quick
@given(learned())
def test_what_engines_write_never_crosses_a_person(case):
    base, theirs = case
    assert not crossed(base, base, theirs)


@quick
@given(files)
def test_a_text_that_nobody_else_wrote_under_is_installed_as_it_is(raw):
    assert merged(raw, raw, raw) == raw


@quick
@given(learned())
def test_a_copy_without_edits_gives_what_the_file_holds_now(case):
    base, theirs = case
    assert decode(merged(base, base, theirs))[1] == decode(theirs)[1]
    assert _person(merged(base, base, theirs)) == _person(base)


@quick
@given(edited())
def test_the_persons_part_is_the_persons_to_the_letter(case):
    base, mine, theirs, _ = case
    assert _person(merged(base, mine, theirs)) == _person(mine)


@quick
@given(edited())
def test_what_was_learned_meanwhile_is_kept_where_the_person_left_the_runtime_alone(case):
    base, mine, theirs, touched = case
    now, result = decode(theirs)[1], decode(merged(base, mine, theirs))[1]
    for account in result:
        if account.name not in touched and account.name in now:
            assert account.runtime == now.account(account.name).runtime


@quick
@given(edited())
def test_an_edited_runtime_is_the_persons_and_every_engine_sees_a_deliberate_edit(case):
    base, mine, theirs, touched = case
    (own, own_pool), (_, now), (_, known) = decode(mine), decode(theirs), decode(base)
    result, pool = decode(merged(base, mine, theirs))
    seen, _, _ = rebase(now, pool, [], 0.0)
    behind, _, _ = rebase(known, pool, [], 0.0)
    for name in touched:
        wanted = own_pool.account(name).runtime.replace(rev=0)
        if wanted == known.account(name).runtime.replace(rev=0):
            continue
        assert pool.account(name).runtime.replace(rev=0) == wanted
        if now.account(name).runtime.rev:
            assert seen.account(name).runtime.replace(rev=0) == wanted
            assert behind.account(name).runtime.replace(rev=0) == wanted
    assert len(result.spans) == len(own.spans)


@quick
@given(edited())
def test_merging_twice_changes_nothing_more(case):
    base, mine, theirs, _ = case
    once = merged(base, mine, theirs)
    assert merged(theirs, once, theirs) == once


@quick
@given(files, documents())
def test_another_persons_document_is_crossed(base, other):
    theirs = as_bytes(other, PLAIN)
    assume([account.name for account in decode(theirs)[1]] != [account.name for account in decode(base)[1]])
    assert crossed(base, base, theirs)


def _file(*accounts: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"version": 2, "accounts": [*accounts], **more}, indent=2).encode()


A = {"id": "a", "refresh_token": "fake-1", "note": 1.50}
CHANGES_OF_A_PERSON = [
    _file({**A, "note": 2}),
    _file({**A, "note": "1.5"}),
    _file(A).replace(b"1.5", b"1.50"),
    _file({**A, "priority": 1}),
    _file({"refresh_token": "fake-1", "id": "a", "note": 1.50}),
    _file({**A, "refresh_token": {"env": "A"}}),
    _file({"id": "a", "note": 1.50}),
    _file(A, {"id": "b"}),
    _file(),
    _file(A, policy={"recheck": 5}),
    BROKEN,
    b"",
    NEWER,
]


@pytest.mark.parametrize("theirs", CHANGES_OF_A_PERSON)
def test_what_another_person_changed_is_never_overwritten(theirs):
    assert crossed(_file(A), _file({**A, "priority": 3}), theirs)


@pytest.mark.parametrize(
    "theirs",
    [
        json.dumps(_parsed(_file(A))).encode(),
        _file({**A, "runtime": {"rev": 4}}),
        _file(A, active="a"),
        _file({**A, "refresh_token": "fake-2"}),
    ],
)
def test_white_space_and_what_is_the_engines_cross_nobody(theirs):
    assert not crossed(_file(A), _file({**A, "priority": 3}), theirs)


def test_a_token_that_was_rotated_meanwhile_is_not_rolled_back():
    result = merged(_file(A), _file({**A, "priority": 3}), _file({**A, "refresh_token": "fake-2"}))
    assert _parsed(result)["accounts"] == [{**A, "refresh_token": "fake-2", "priority": 3}]


def test_a_token_that_the_person_replaced_stays_and_two_new_ones_are_crossed():
    mine, rotated = _file({**A, "refresh_token": "fake-mine"}), _file({**A, "refresh_token": "fake-2"})
    assert merged(_file(A), mine, _file({**A, "runtime": {"rev": 1}})).count(b"fake-mine") == 1
    assert crossed(_file(A), mine, rotated)


def test_a_removed_runtime_stays_removed_but_for_the_rev_that_says_so():
    base = _file({**A, "runtime": {"rev": 4, "banned": True}})
    theirs = _file({**A, "runtime": {"rev": 6, "banned": True}})
    result = merged(base, _file(A), theirs)
    assert _parsed(result)["accounts"] == [{**A, "runtime": {"rev": 6}}]
    seen, pending, due = rebase(decode(theirs)[1], decode(result)[1], [], 0.0)
    assert (seen.account("a").runtime, len(pending), due) == (Runtime(rev=6), 0, True)


@pytest.mark.parametrize("runtime", ['{"banned": false}', '{"rev": 2}', '{\n "banned":false,"rev" : 99 }', "{}"])
def test_an_edited_runtime_has_the_rev_of_the_file_whatever_the_person_did_to_it(runtime):
    base = _file({**A, "runtime": {"rev": 4, "banned": True}})
    mine = json.dumps({"accounts": [{**A, "runtime": "@"}]}).replace('"@"', runtime).encode()
    result = merged(base, mine, _file({**A, "runtime": {"rev": 7, "banned": True, "consecutive_401": 1}}))
    assert _parsed(result)["accounts"][0]["runtime"] == {**json.loads(runtime), "rev": 7}


def test_a_rev_alone_is_no_edit():
    base = _file({**A, "runtime": {"rev": 4, "banned": True}})
    mine = _file({**A, "runtime": {"banned": True, "rev": 1}}, note=1)
    theirs = _file({**A, "runtime": {"rev": 5, "held": True}})
    assert _parsed(merged(base, mine, theirs))["accounts"][0]["runtime"] == {"rev": 5, "held": True}


def test_an_account_that_got_another_name_keeps_what_was_learned_meanwhile():
    mine = _file({"id": "work", "email": "a", "refresh_token": "fake-1"})
    theirs = _file({"email": "a", "refresh_token": "fake-1", "runtime": {"rev": 3, "held": True}})
    result = merged(_file({"email": "a", "refresh_token": "fake-1"}), mine, theirs)
    assert _parsed(result)["accounts"][0]["runtime"] == {"rev": 3, "held": True}


def test_an_account_that_the_person_removed_does_not_come_back():
    theirs = _file({**A, "runtime": {"rev": 3}}, {"id": "b"}, active="a")
    assert _parsed(merged(_file(A, {"id": "b"}), _file({"id": "b"}), theirs)) == _parsed(_file({"id": "b"}))


def test_a_migration_that_came_between_is_kept():
    base, theirs = b'{\n  "accounts": [{"id": "a"}]\n}', b'{\n  "version": 2,\n  "accounts": [{"id": "a"}]\n}'
    mine = b'{\r\n  "accounts": [{"id": "a", "priority": 1}]\r\n}'
    assert merged(base, mine, theirs) == b'{\r\n  "version": 2,\r\n  "accounts": [{"id": "a", "priority": 1}]\r\n}'


def test_the_active_account_is_the_engines_unless_the_person_named_another():
    a, b, c = {"id": "a"}, {"id": "b"}, {"id": "c"}
    base, theirs = _file(a, b, c, active="a"), _file(a, b, c, active="b")
    assert _parsed(merged(base, _file(a, b, c, active="a", note=1), theirs))["active"] == "b"
    assert _parsed(merged(base, _file(a, b, c, active="c"), theirs))["active"] == "c"
    assert _parsed(merged(_file(a, b), _file(a, b, note=1), _file(a, b, active="b")))["active"] == "b"


def test_a_broken_file_is_mended_by_what_the_person_wrote_and_by_nothing_else():
    assert merged(BROKEN, _file(A), BROKEN) == _file(A)
    assert not crossed(BROKEN, _file(A), BROKEN)
    assert crossed(BROKEN, _file(A), _file(A, {"id": "b"}))


def test_a_text_that_is_not_valid_is_refused():
    with pytest.raises(AccountsInvalid):
        merged(_file(A), BROKEN, _file(A))
