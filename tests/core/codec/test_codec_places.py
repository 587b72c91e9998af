"""What is strict JSON, where its parts stand, and what a person is told when it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rotator.core.codec.places import Text
from rotator.core.codec.scan import MAX_DEPTH, Refused, check_depth, document, elements, members, text_of, value_at
from tests.strategies import files, quick


def _scanner_takes(raw: bytes) -> bool:
    try:
        check_depth(raw)
        document(text_of(raw)[0], "accounts")
    except Refused:
        return False
    return True


def _reader_takes(raw: bytes) -> bool:
    text = Text(raw, ())
    assert text.whole or text.faults
    return text.whole and not text.faults and isinstance(text.value, dict)


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(_depth, parts), default=0)


def _library_takes(raw: bytes) -> bool:
    """The third opinion: Python's own parser, made strict."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(found)) != len(found):
            raise ValueError
        return dict(found)

    def constant(_: str) -> None:
        raise ValueError

    try:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode()
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and _depth(value) <= MAX_DEPTH


@st.composite
def edited(draw: st.DrawFn) -> bytes:
    """A document after a few slips of the hand: bytes left out, put in, or written over."""
    raw = draw(files)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        until = draw(st.sampled_from([at, at, at + 1, at + 2, at + 9, len(raw)]))
        slips = [
            b"",
            b",",
            b'"',
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b"\\",
            b"'",
            b"0",
            b"-",
            b".",
            b"e",
            b"\n",
            b"\t",
            b"\x00",
        ]
        odd = [
            b"\xff",
            b"\xc3",
            b"//",
            b"#",
            b"NaN",
            b"nul",
            b"\xc2\xa0",
            b"\\u12",
            b"\\ud800",
            b'"a":1,',
            b"1e",
            b"\x7f",
        ]
        raw = raw[:at] + draw(st.sampled_from(slips + odd)) + raw[until:]
    return raw


@quick
@given(edited())
@example(b"")
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
@example(b'{"a": "\xed\xa0\x80"}')
@example(b'{"a": -}')
@example(b'{"a": [1 ,2] , "a" : 3}')
@example(b'{"\\u0061": 1, "a": 2}')
@example(b'{"a": ' + b"9" * 4300 + b"}")
@example(b'{"a": ' + b"9" * 4301 + b"}")
@example(b'{"a": -' + b"9" * 4300 + b"}")
@example(b'{"a": 0.' + b"9" * 5000 + b"}")
@example(b'{"a": ' + "\u0661".encode() + b"}")
@example(b'{"a": 1}\x0c')
def test_scanner_reader_and_library_agree_on_what_is_strict_json(raw: bytes) -> None:
    assert _scanner_takes(raw) == _reader_takes(raw) == _library_takes(raw)


@quick
@given(st.one_of(st.binary(max_size=40), st.text("{}[]\",:\\0-1e.tn \n\t'", max_size=30).map(str.encode)))
def test_they_agree_on_any_bytes_and_never_raise(raw: bytes) -> None:
    assert _scanner_takes(raw) == _reader_takes(raw) == _library_takes(raw)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *[found for key, part in inner for found in _paths(part, (*path, key))]]


@quick
@given(files)
def test_every_part_stands_where_the_reader_says(raw: bytes) -> None:
    text = Text(raw, ())
    lines = text.text.replace("\r\n", "\n").split("\n")
    for path, value in _paths(text.value):
        pointer, line, column = text.place(path)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert json.JSONDecoder().raw_decode(rest)[0] == value
        assert pointer.count("/") == len(path)


def test_a_pointer_shows_known_keys_and_indexes_and_hides_all_other_keys() -> None:
    text = Text(b'{"accounts": [{"fake-secret": 1, "id": {"0": 2}}]}', {"accounts", "id"})
    assert text.place(["accounts", 0, "fake-secret"]) == ("/accounts/0/*", 1, 31)
    assert text.place(["accounts", 0, "id", "0"])[0] == "/accounts/0/id/*"
    assert text.place(["accounts", 0, "gone", "id"])[0] == "/accounts/0"
    assert text.place(["accounts", 7])[0] == "/accounts"


def test_columns_count_characters_and_not_the_byte_order_mark() -> None:
    raw = '\ufeff{"é😀": "日本", "a" 1}'.encode()
    assert [(fault.line, fault.column) for fault in Text(raw, ()).faults] == [(1, 17)]


def test_lines_end_with_lf_crlf_or_cr() -> None:
    assert Text(b'{\r\n"a": 1,\r"b": 2,\n"c" 3}', ()).faults[0].line == 4


@pytest.mark.parametrize(
    ("raw", "line", "column", "word"),
    [
        (b"", 1, 1, "empty"),
        (b"\xef\xbb\xbf \n", 1, 1, "empty"),
        (b"\x00\x00\x00\x00", 1, 1, "nothing but NUL"),
        ("{}".encode("utf-16"), 1, 1, "UTF-16"),
        ("{}".encode("utf-16-le"), 1, 1, "UTF-16"),
        ("{}".encode("utf-16-be"), 1, 1, "UTF-16"),
        ("{}".encode("utf-32"), 1, 1, "UTF-16"),
        (b'{\n "a": "\xe9"}', 2, 8, "not UTF-8"),
        (b'{"a": 1}\xff', 1, 9, "not UTF-8"),
        (b'{"a": 1,\n "b": 2,\n}', 2, 8, "comma stands before a closing"),
        (b'{"a": [1, 2, ]}', 1, 12, "comma stands before a closing"),
        (b'{"a": 1\n "b": 2}', 1, 8, "comma is missing"),
        (b'{"a": [1\n2]}', 1, 9, "comma is missing"),
        (b'{"a": [[1] [2]]}', 1, 11, "comma is missing"),
        (b'{"a": {"b": 1} "c": 2}', 1, 15, "comma is missing"),
        (b"{'a': 1}", 1, 2, "single quotes"),
        (b"{\"a\": 'x'}", 1, 7, "single quotes"),
        ('{"a": “x”}'.encode(), 1, 7, "typographic quotes"),
        ("{“a”: 1}".encode(), 1, 2, "typographic quotes"),
        (b'{"a": 1} // end', 1, 10, "comment"),
        (b'{"a": 1, # note\n "b": 2}', 1, 10, "comment"),
        (b'{/* note */ "a": 1}', 1, 2, "comment"),
        (b"{a: 1}", 1, 2, "key stands without double quotes"),
        (b'{"a": yes}', 1, 7, "text stands without double quotes"),
        (b'{"a": nano}', 1, 7, "text stands without double quotes"),
        (b'{"a": 007}', 1, 7, "zero too many"),
        (b'{"a": -01}', 1, 7, "zero too many"),
        (b'{"a": .5}', 1, 7, "not a number"),
        (b'{"a": +5}', 1, 7, "not a number"),
        (b'{"a": 5.}', 1, 7, "not a number"),
        (b'{"a": 1_000}', 1, 7, "not a number"),
        (b'{"a": 2026-11-20}', 1, 7, "not a number"),
        (b'{"a": 0x1F}', 1, 7, "not a number"),
        (b'{"a": ' + b"1" * 5000 + b"}", 1, 7, "too many digits"),
        (b'{"a": NaN}', 1, 7, "NaN"),
        (b'{"a": [1, -Infinity]}', 1, 11, "NaN"),
        (b'{"a": True}', 1, 7, "lower case"),
        (b'{"a": None}', 1, 7, "nothing"),
        (b'{"a": undefined}', 1, 7, "nothing"),
        (b'{"a": "x\ty"}', 1, 9, "tab"),
        (b'{"a": "x\x01y"}', 1, 9, "control character"),
        (b'{"a": "x\x00y"}', 1, 9, "NUL"),
        (b'{"a": 1}\x00\x00', 1, 9, "NUL"),
        (b'{"a": "x\n", "b": 1}', 1, 7, "not closed on its line"),
        (b'{"a": "x', 1, 7, "not closed on its line"),
        (b'{"a": "C:\\x"}', 1, 10, "backslash"),
        (b'{"a": "\\u12G4"}', 1, 8, "backslash"),
        (b'{"a": "x"y"}', 1, 10, "follows the end of a string"),
        (b'{"a": {"b": [1, 2}', 1, 18, "} stands where ] has to close the [ of line 1:13"),
        (b'{"a": [{]}', 1, 9, "] stands where } has to close the { of line 1:8"),
        (b'{"a": [}', 1, 8, "} stands where ] has to close the [ of line 1:7"),
        (b'{"a": [1, 2', 1, 7, "never closed"),
        (b'{"a": 1,', 1, 1, "never closed"),
        (b'{"a":', 1, 1, "never closed"),
        (b'{"a"', 1, 1, "never closed"),
        (b'{\n "a": {', 2, 7, "never closed"),
        (b'{"a": 1}}', 1, 9, "too many"),
        (b'{"a": 1}\n{"b": 2}', 2, 1, "follows the end of the document"),
        (b'{"a" 1}', 1, 5, "colon is missing"),
        (b'{"a" = 1}', 1, 5, "equals sign"),
        (b'{"a": }', 1, 7, "value is missing"),
        (b'{"a": , "b": 1}', 1, 7, "value is missing"),
        (b'{"a": 1,, "b": 2}', 1, 9, "nothing before it"),
        (b'{"a": [,1]}', 1, 8, "nothing before it"),
        (b"{1: 2}", 1, 2, "key stands without double quotes"),
        (b'{["a"]: 2}', 1, 2, "key in double quotes is expected"),
        (b'{"a": 1;\n"b": 2}', 1, 8, "comma or a closing bracket"),
        ('{"a":\u00a01}'.encode(), 1, 6, "white space"),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}', 1, 1, "byte order mark"),
        (b'{\n<<<<<<< HEAD\n "a": 1\n=======\n "a": 2\n>>>>>>> x\n}', 2, 1, "merge conflict"),
        (b'{\n "a": 1\n=======\n}', 3, 1, "merge conflict"),
        (b'{"a": 1}\n>>>>>>> x\n', 2, 1, "merge conflict"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", 1, 106, "deeper than 100"),
        (b"[" * 100_000, 1, 101, "deeper than 100"),
    ],
)
def test_a_syntax_fault_is_told_where_it_is_and_in_words(raw: bytes, line: int, column: int, word: str) -> None:
    text = Text(raw, ())
    assert not text.whole
    [fault] = text.faults
    assert (fault.line, fault.column) == (line, column)
    assert word in fault.rule


def test_every_key_that_stands_twice_is_named_with_both_places() -> None:
    text = Text(b'{"a": 1,\n "b": {"c": 1,\n "\\u0063": 2},\n "a": 3}', {"a", "b", "c"})
    assert [(f.pointer, f.line, f.column) for f in text.faults] == [("/b/c", 3, 2), ("/a", 4, 2)]
    assert "line 2:13" in text.faults[0].rule
    assert "line 1:7" in text.faults[1].rule
    assert text.whole
    assert text.value == {"a": 3, "b": {"c": 2}}


def test_keys_that_stand_twice_are_named_even_when_the_reading_ends_later() -> None:
    text = Text(b'{"a": 1, "a": 2, "b" 3}', ())
    assert [fault.column for fault in text.faults] == [10, 21]


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b'["]{\\"",', b',"[}"]')]
)
def test_the_scanner_counts_every_kind_of_bracket_as_one_level(opening: bytes, closing: bytes) -> None:
    levels = opening.count(b"[") + opening.count(b'{"a"')
    fits = (MAX_DEPTH - 1) // levels

    def nested(times: int) -> bytes:
        return b'{"a":' + opening * times + b"1" + closing * times + b"}"

    assert _scanner_takes(nested(fits))
    assert _reader_takes(nested(fits))
    assert not _scanner_takes(nested(fits + 1))
    assert not _reader_takes(nested(fits + 1))


@pytest.mark.parametrize("inner", [b'"]"', b'"["', b'"\\"]"', b'"\\\\", "]"', b'"[[{{"', b'"\\\\\\"}"'])
def test_brackets_within_strings_do_not_count(inner: bytes) -> None:
    raw = b'{"a":' + b"[" * 99 + inner + b"]" * 99 + b"}"
    assert _scanner_takes(raw)
    raw = b'{"a":' + (b"[" + inner + b",") * 150 + b"1" + b"]" * 150 + b', "b": [' + b'"[",' * 150 + b"1]}"
    assert not _scanner_takes(raw)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b'["[",' * 100_000 + b'"]"', b'{"a":"' + b"[" * 100_000]
)
def test_a_hundred_thousand_brackets_crash_nobody(raw: bytes) -> None:
    assert not _scanner_takes(raw)
    assert not _reader_takes(raw)


@quick
@given(files)
def test_the_spans_of_members_and_elements_hold_exactly_their_values(raw: bytes) -> None:
    text, skipped = text_of(raw)
    assert skipped == 3 * raw.startswith(b"\xef\xbb\xbf")
    for member, value in document(text, "accounts"):
        assert json.loads(text[member.key_at :].partition(":")[0]) == member.key or ":" in member.key
        assert value_at(text, member.start)[1] == member.end
        if member.key == "accounts":
            found, end = elements(text, member.start)
            assert (found, end) == (value, member.end)
            assert [json.loads(text[begin:stop]) for begin, stop, _ in found] == [account for _, _, account in found]
            for begin, stop, account in found:
                inner, behind = members(text, begin)
                assert behind == stop
                assert {part.key: part_value for part, part_value in inner} == account
        else:
            assert json.loads(text[member.start : member.end]) == value
