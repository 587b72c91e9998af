"""Laws of reading and writing: nothing is lost, and nothing of a person's is touched."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rotator.core.codec.decode import VERSION, Document, decode
from rotator.core.codec.encode import changed, encode
from rotator.core.codec.scan import members, text_of, value_at
from rotator.core.codec.seal import is_sealed
from rotator.core.lineage import line
from rotator.core.pool import Pool
from rotator.core.state import Runtime
from tests.strategies import PLAIN, as_bytes, documents, files, quick, runtime_values

PLACES = ("raw", "version", "active", "spans", "members", "opening", "last", "closing", "unreadable")


def _places(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in PLACES}


@st.composite
def learned(draw: st.DrawFn) -> tuple[bytes, Document, Pool, Pool]:
    """A file, what it holds, and a pool that knows more: some runtimes are others, and perhaps the active account."""
    raw = draw(files)
    document, before = decode(raw)
    pool = before
    for account in before:
        if draw(st.booleans()):
            news = draw(runtime_values).replace(rev=account.runtime.rev)
            pool = pool.with_runtime(account.name, news)
    if len(pool) and draw(st.booleans()):
        pool = pool.with_active(draw(st.sampled_from([account.name for account in pool])))
    return raw, document, before, pool


def _parsed(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8-sig"))


def _person(raw: bytes) -> list[tuple[str, Any]]:
    """The document without what the engine owns, every object as a list of pairs, so that order counts."""

    def pairs(found: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return found

    whole = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=pairs)
    return [
        (key, [[(k, v) for k, v in account if k != "runtime"] for account in value] if key == "accounts" else value)
        for key, value in whole
        if key not in ("version", "active")
    ]


@quick
@given(learned())
def test_what_was_learned_is_read_back_as_it_was(case: tuple[bytes, Document, Pool, Pool]) -> None:
    _, document, _, pool = case
    written, kept = encode(document, pool)
    again, read = decode(written.raw)
    assert read == kept
    assert [account.runtime for account in kept] == written.runtimes == again.runtimes


@quick
@given(learned())
def test_rev_rises_by_one_for_what_changed_and_for_nothing_else(case: tuple[bytes, Document, Pool, Pool]) -> None:
    _, document, before, pool = case
    _, kept = encode(document, pool)
    for old, new, now in zip(before, pool, kept, strict=True):
        changed_here = old.runtime is not new.runtime
        assert now.runtime.rev == old.runtime.rev + changed_here
        assert _unsealed(now.runtime).replace(rev=0) == _unsealed(new.runtime).replace(rev=0)


def _unsealed(runtime: Runtime) -> Runtime:
    return runtime.replace(seal="", sealed_over="")


def _runtimes(raw: bytes) -> list[Any]:
    return [account.get("runtime") for account in _read(raw)["accounts"]]


def _read(raw: bytes) -> Any:
    text, _ = text_of(raw)
    return value_at(text, text.index("{"))[0]


@quick
@given(learned())
def test_what_is_written_bears_a_seal_that_is_right_and_names_what_it_was_built_on(
    case: tuple[bytes, Document, Pool, Pool],
) -> None:
    _, document, before, pool = case
    written, kept = encode(document, pool)
    for old, new, now, found in zip(before, pool, kept, _runtimes(written.raw), strict=True):
        if old.runtime is not new.runtime:
            assert is_sealed(found)
            assert found["seal"] == now.runtime.seal
            assert now.runtime.sealed_over == line(new.runtime)


@quick
@given(learned())
def test_a_seal_survives_an_editor_that_formats_and_no_edit_of_what_it_covers(
    case: tuple[bytes, Document, Pool, Pool],
) -> None:
    _, document, before, pool = case
    assume(any(old.runtime is not new.runtime for old, new in zip(before, pool, strict=True)))
    written = encode(document, pool)[0].raw
    sealed = [found for found in _runtimes(written) if is_sealed(found)]
    anew = dict(reversed(json.loads(json.dumps(sealed[0], indent=7)).items()))
    assert is_sealed(anew)
    for key in anew:
        assert not is_sealed({other: value for other, value in anew.items() if other != key})
        assert not is_sealed({**anew, key: "edited by hand"})


@pytest.mark.parametrize("runtime", [None, [], {}, {"rev": 4}, {"seal": None}, {"rev": 4, "seal": 5}, {"seal": ""}])
def test_what_rotator_did_not_write_bears_no_right_seal(runtime: Any) -> None:
    assert not is_sealed(runtime)


@quick
@given(learned())
def test_the_places_of_a_written_document_are_those_of_a_fresh_reading(
    case: tuple[bytes, Document, Pool, Pool],
) -> None:
    _, document, _, pool = case
    assume(changed(document, pool))
    written, _ = encode(document, pool)
    assert _places(written) == _places(decode(written.raw)[0])


@quick
@given(learned())
def test_a_second_write_over_the_first_places_right_too(case: tuple[bytes, Document, Pool, Pool]) -> None:
    _, document, _, pool = case
    written, kept = encode(document, pool)
    assume(len(kept))
    last = kept.at(len(kept) - 1)
    more = kept.with_runtime(last.name, Runtime(rev=last.runtime.rev, consecutive_401=7)).with_active(last.name)
    twice, kept_again = encode(written, more)
    fresh, read = decode(twice.raw)
    assert read == kept_again
    assert _places(twice) == _places(fresh)


@quick
@given(learned())
def test_what_a_person_owns_keeps_its_values_and_its_order(case: tuple[bytes, Document, Pool, Pool]) -> None:
    raw, document, _, pool = case
    assert _person(encode(document, pool)[0].raw) == _person(raw)


@quick
@given(learned())
def test_not_a_byte_outside_the_engines_spans_changes(case: tuple[bytes, Document, Pool, Pool]) -> None:
    raw, document, before, pool = case
    written, _ = encode(document, pool)
    for index, (old, new) in enumerate(zip(before, pool, strict=True)):
        start, end = document.spans[index]
        begin, stop = written.spans[index]
        was, now = raw[start:end], written.raw[begin:stop]
        if old.runtime is new.runtime:
            assert now == was
            continue
        head, tail = _around_runtime(was)
        assert now.startswith(head)
        assert now.endswith(tail)
    edges = [0, *[place for span in document.spans for place in span], len(raw)]
    moved = [0, *[place for span in written.spans for place in span], len(written.raw)]
    between = [
        (raw[a:b], written.raw[c:d])
        for a, b, c, d in zip(edges[::2], edges[1::2], moved[::2], moved[1::2], strict=True)
    ]
    for was, now in between[1:-1]:
        assert now == was
    if document.version == VERSION and pool.active in (None, document.active):
        assert (between[0][1], between[-1][1]) == between[0][:1] + between[-1][:1]


def _around_runtime(account: bytes) -> tuple[bytes, bytes]:
    """The bytes of an account before and behind its runtime; behind its last part when it has none."""
    text = account.decode()
    found = json.loads(text)
    if "runtime" not in found:
        end = account.rindex(b"}")
        return account[:end].rstrip(), account[len(account[:end].rstrip()) :]
    part = next(member for member, _ in members(text, 0)[0] if member.key == "runtime")
    return text[: part.start].encode(), text[part.end :].encode()


@quick
@given(files)
def test_a_pool_that_knows_nothing_new_gives_the_identical_document(raw: bytes) -> None:
    document, pool = decode(raw)
    assert encode(document, pool) == (document, pool)
    assert encode(document, pool)[0] is document


def _afresh(runtime: Runtime) -> Runtime:
    """An equal runtime of which no part is the same object, so that every part is written anew."""
    again: Runtime = pickle.loads(pickle.dumps(runtime))
    return again


def _unknown(runtime: dict[str, Any]) -> dict[str, Any]:
    known = {"windows", "models"}
    return {
        **{key: value for key, value in runtime.items() if key.startswith("x-")},
        **{
            kind: {
                name: {key: value for key, value in part.items() if key.startswith("x-")}
                for name, part in parts.items()
            }
            for kind, parts in runtime.items()
            if kind in known
        },
    }


@pytest.mark.parametrize("style_indent", [None, "  ", "\t"])
def test_unknown_keys_inside_a_runtime_survive_a_flush(style_indent: str | None) -> None:
    mine = {"x-mine": [1, {"deep": None}], "x-big": 2**70, "x-é": "\ud800"}
    runtime = {
        **mine,
        "rev": 4,
        "windows": {"5h": {"remaining_fraction": 0.5, **mine}},
        "models": {"gpt-5": {"consecutive_429": 1, **mine}},
        "availability": {"ok": True, "x-by": "me"},
        "selected": {"from": "b", "at": "2026-11-20T10:00:00Z", "x-by": "me"},
    }
    raw = as_bytes({"version": 2, "accounts": [{"id": "a", "runtime": runtime}]}, PLAIN._replace(indent=style_indent))
    document, pool = decode(raw)
    news = _afresh(pool.at(0).runtime).replace(consecutive_401=3)
    after = _parsed(encode(document, pool.with_runtime("a", news))[0].raw)["accounts"][0]["runtime"]
    assert _unknown(after) == _unknown(runtime)
    assert [key for key in after if key.startswith("x-")] == list(mine)
    assert after["availability"]["x-by"] == after["selected"]["x-by"] == "me"
    assert (after["rev"], after["consecutive_401"]) == (5, 3)


def test_an_unknown_number_beyond_every_float_does_not_stop_a_flush() -> None:
    raw = b'{"version": 2, "accounts": [{"id": "a", "runtime": {"x": [1e400, {"y": -1e400}]}}]}'
    document, pool = decode(raw)
    written, _ = encode(document, pool.with_runtime("a", Runtime(consecutive_401=1)))
    x = _parsed(written.raw)["accounts"][0]["runtime"]["x"]
    assert x[0] > 1.7e308
    assert x[1]["y"] < -1.7e308


@quick
@given(learned())
def test_new_lines_follow_the_line_ends_of_the_file(case: tuple[bytes, Document, Pool, Pool]) -> None:
    raw, document, _, pool = case
    written = encode(document, pool)[0].raw
    if b"\r\n" not in raw:
        assert b"\r" not in written
    elif raw.count(b"\n") == raw.count(b"\r\n"):
        assert written.count(b"\n") == written.count(b"\r\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b'{\n  "accounts": [\n    {"email": "a", "refresh_token": "fake-a"}\n  ]\n}\n',
            (
                b'{\n  "version": 2,\n  "accounts": [\n    {"email": "a", "refresh_token": "fake-a", '
                b'"runtime": {"rev": 1, "seal": "c9c367fd", "consecutive_failures": 1}}\n  ]\n}\n'
            ),
        ),
        (
            b'{"accounts":[{"email":"a"}]}',
            b'{"version": 2, "accounts":[{"email":"a", "runtime": {"rev": 1, "seal": "c9c367fd", "consecutive_failures": 1}}]}',
        ),
        (
            b'{"version":1,"accounts":[{"email":"a"}]}',
            b'{"version":2,"accounts":[{"email":"a", "runtime": {"rev": 1, "seal": "c9c367fd", "consecutive_failures": 1}}]}',
        ),
        (
            b'\xef\xbb\xbf{\r\n\t"accounts": [\r\n\t\t{\r\n\t\t\t"email": "a"\r\n\t\t}\r\n\t]\r\n}',
            (
                b'\xef\xbb\xbf{\r\n\t"version": 2,\r\n\t"accounts": [\r\n\t\t{\r\n\t\t\t"email": "a",\r\n\t\t\t"runtime": '
                b'{\r\n\t\t\t\t"rev": 1,\r\n\t\t\t\t"seal": "c9c367fd",\r\n\t\t\t\t"consecutive_failures": 1\r\n\t\t\t}\r\n\t\t}\r\n\t]\r\n}'
            ),
        ),
    ],
    ids=["lines", "one line", "said", "tabs, CRLF and a mark"],
)
def test_version_1_becomes_version_2_at_the_first_write(before: bytes, after: bytes) -> None:
    document, pool = decode(before)
    assert document.version == 1
    written, _ = encode(document, pool.with_runtime("a", Runtime(consecutive_failures=1)))
    assert written.raw == after
    assert written.version == decode(after)[0].version == VERSION


@quick
@given(documents(version=1))
def test_version_1_is_read_and_not_rewritten_for_its_own_sake(document: Any) -> None:
    raw = as_bytes(document, PLAIN)
    found, pool = decode(raw)
    assert found.version == 1
    assert not changed(found, pool)
    assert encode(found, pool)[0].raw is raw


def test_the_version_keeps_its_place_when_it_stands_last_and_active_is_new() -> None:
    document, pool = decode(b'{"accounts": [{"id": "a"}], "version": 2}')
    written, _ = encode(document, pool.with_active("a"))
    assert written.raw == b'{"accounts": [{"id": "a"}], "version": 2, "active": "a"}'
    assert _places(written) == _places(decode(written.raw)[0])


@pytest.mark.parametrize(
    "runtime",
    [
        b'{"models": {"m": {"last_retry_delay_secs_raw": 0, "last_retry_delay_secs_client": 0.0}}}',
        b'{"windows": {"5h": {"remaining_fraction": 0, "reset_time": 0, "length_secs": 0}}}',
        b'{"models": {"m": {"remaining_fraction": 0.5, "updated_at": "2026-11-20T10:00:00Z"}}}',
        b'{"held": true, "held_until": "1970-01-01T00:00:00Z"}',
        b'{"held": true, "held_until": "0001-01-01T00:00:00Z", "cooldown_until": 0}',
        b'{"windows": {"5h": {"remaining_fraction": 0.5, "updated_at": "2026-11-20T10:00:00Z", "kind": ""}}}',
        b'{"windows": {"5h": {"reset_time": 1795168800, "updated_at": 1795168800, "reset_updated_at": 0}}}',
        b'{"last_failure_at": 1795168800.1234567, "cooldown_until": "9999-12-31T23:59:59.999999Z"}',
        b'{"cooldown_source": "reset", "cooldowns": [{"until": "2026-11-20T10:00:00Z"}]}',
    ],
)
def test_a_zero_and_an_early_instant_mean_the_same_after_a_flush(runtime: bytes) -> None:
    document, pool = decode(b'{"version": 2, "accounts": [{"id": "a", "runtime": ' + runtime + b"}]}")
    news = _afresh(pool.at(0).runtime).replace(consecutive_401=1)
    written, kept = encode(document, pool.with_runtime("a", news))
    assert decode(written.raw)[1] == kept


def test_a_window_that_was_never_told_its_reset_takes_an_earlier_word_on_it_after_a_restart() -> None:
    raw = b'{"version": 2, "accounts": [{"id": "a", "runtime": {"windows": {"5h": {"remaining_fraction": 0.5, "updated_at": 9}}}}]}'
    _, pool = decode(raw)
    assert pool.at(0).runtime.windows[0].reset_updated_at == 0.0
