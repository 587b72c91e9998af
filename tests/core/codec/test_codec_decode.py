"""Reading: what a document means, what is refused, and what one broken part does not spoil."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.codec.account import fingerprint
from rotator.core.codec.decode import decode
from rotator.core.codec.encode import changed, encode
from rotator.core.policy import Policy
from rotator.core.signals import AuthRefused
from rotator.core.state import NEVER, UNKNOWN, Account, Runtime
from rotator.core.transitions import apply, replay
from rotator.errors import AccountsInvalid
from tests.strategies import PLAIN, as_bytes, documents, quick, runtime_values, styles

ACCOUNTS = Path(__file__).parents[3] / "fixtures" / "accounts"
HEAD = b'{"version": 2, "accounts": ['


def _account(**parts: Any) -> bytes:
    return json.dumps({"version": 2, "accounts": [{"id": "a", **parts}]}).encode()


@quick
@given(documents(), styles, styles)
def test_how_a_document_is_laid_out_does_not_change_what_it_means(document: Any, one: Any, other: Any) -> None:
    assert decode(as_bytes(document, one))[1] == decode(as_bytes(document, other))[1]


def test_a_document_of_other_tools_is_read_as_version_1() -> None:
    found, pool = decode((ACCOUNTS / "valid-version-1.json").read_bytes())
    assert (found.version, pool.active) == (1, "b@example.com")
    assert [*pool] == [Account("a@example.com"), Account("b@example.com")]


def test_every_part_of_an_account_is_read() -> None:
    _, pool = decode((ACCOUNTS / "valid-full.json").read_bytes())
    work, spare = pool
    assert work.replace(runtime=UNKNOWN) == Account(
        "work", "anthropic", True, 0, False, ("claude-*",), 20.0, 0.1, "team", ("work", "paid")
    )
    assert spare == Account("spare@example.com", "anthropic", True, 10, True)
    assert work.runtime.rev == 41
    assert [window.name for window in work.runtime.windows] == ["5h", "7d"]
    assert [cooldown.source for cooldown in work.runtime.cooldowns] == ["retry-after", "default"]
    assert work.state("claude-opus").last_retry_delay_secs_raw == 5400.5
    assert pool.policy == Policy()


@pytest.mark.parametrize("index", [0, 1])
def test_an_account_object_is_found_again_by_its_span(index: int) -> None:
    raw = (ACCOUNTS / "valid-mark-crlf-tabs.json").read_bytes()
    found, pool = decode(raw)
    assert found.account(index)["name"] == pool.at(index).name
    start, end = found.spans[index]
    assert (raw[start : start + 1], raw[end - 1 : end]) == (b"{", b"}")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"id": "x", "name": "y", "email": "z"}, "x"),
        ({"email": "z", "name": "y"}, "y"),
        ({"email": "z"}, "z"),
        ({"id": "\ud800"}, "\ud800"),
    ],
)
def test_the_name_is_the_first_of_id_name_and_email(parts: Any, name: str) -> None:
    _, pool = decode(json.dumps({"accounts": [parts]}).encode())
    assert pool.at(0).name == name


@pytest.mark.parametrize(
    ("raw", "line", "column"),
    [
        (b"", 1, 1),
        (b"[]", 1, 1),
        (b"null", 1, 1),
        (b"{}", 1, 1),
        (b'{"accounts": {}}', 1, 14),
        (b'{"accounts": null}', 1, 14),
        (b'{"accounts": [1]}', 1, 15),
        (b'{"accounts": [{}]}', 1, 15),
        (b'{"accounts": [], "version": 0}', 1, 29),
        (b'{"accounts": [], "version": "2"}', 1, 29),
        (b'{"accounts": [], "version": true}', 1, 29),
        (b'{"accounts": [], "version": 2.5}', 1, 29),
        (b'{"accounts": [], "version": null}', 1, 29),
        (b'{"accounts": [], "version": 1e400}', 1, 29),
        (b'{"accounts": [], "active": 1}', 1, 28),
        (b'{"accounts": [], "$schema": 1}', 1, 29),
        (b'{"accounts": [], "policy": []}', 1, 28),
        (b'{"accounts": [], "policy": {"selector": "best"}}', 1, 41),
        (b'{"accounts": [], "policy": {"recheck": 0}}', 1, 40),
        (b'{"accounts": [], "policy": {"sessions_max": 1.5}}', 1, 45),
        (b'{"accounts": [], "policy": {"recheck": true}}', 1, 40),
        (b'{"accounts": [], "accounts": []}', 1, 18),
        (b'{"accounts": [],}', 1, 16),
        (b'{"accounts": []} {}', 1, 18),
        (HEAD + b'{"id": ""}]}', 1, 36),
        (HEAD + b'{"id": "a\\nb"}]}', 1, 36),
        (HEAD + b'{"id": null, "email": "a"}]}', 1, 36),
        (HEAD + b'{"id": "a"},\n{"id": "b"},\n{"email": "a"}]}', 3, 11),
        (HEAD + b'{"id": "a", "id": "b"}]}', 1, 41),
        (HEAD + b'{"id": "a", "runtime": {"rev": 1, "rev": 2}}]}', 1, 63),
        (HEAD + b'{"id": "a", "api_key": 1}]}', 1, 52),
        (HEAD + b'{"id": "a", "api_key": {}}]}', 1, 52),
        (HEAD + b'{"id": "a", "api_key": {"file": "x", "pointer": "a"}}]}', 1, 52),
        (HEAD + b'{"id": "a", "weight": 0}]}', 1, 51),
        (HEAD + b'{"id": "a", "weight": NaN}]}', 1, 51),
        (HEAD + b'{"id": "a", "min_remaining": 5}]}', 1, 58),
        (HEAD + b'{"id": "a", "enabled": "no"}]}', 1, 52),
        (HEAD + b'{"id": "a", "priority": 1.5}]}', 1, 53),
        (HEAD + b'{"id": "a", "models": ["x", ""]}]}', 1, 57),
        (HEAD + b'{"id": "a", "tags": "x"}]}', 1, 49),
        (HEAD + b'{"id": "a", "expires_at": "2026-11-20"}]}', 1, 55),
        (HEAD + b'{"id": "a", "expires_at": null}]}', 1, 55),
    ],
)
def test_a_bad_document_is_refused_with_the_place_of_its_fault(raw: bytes, line: int, column: int) -> None:
    with pytest.raises(AccountsInvalid) as refused:
        decode(raw)
    assert [(fault.line, fault.column) for fault in refused.value.faults] == [(line, column)]
    assert refused.value.exit_code == 78


def test_an_empty_list_of_accounts_is_a_document() -> None:
    found, pool = decode((ACCOUNTS / "valid-empty-pool.json").read_bytes())
    assert len(pool) == len(found.spans) == 0


def test_an_active_account_that_is_gone_counts_as_none_and_stays_in_the_file() -> None:
    found, pool = decode(b'{"version": 2, "accounts": [{"id": "a"}], "active": "gone"}')
    assert (pool.active, found.active) == (None, "gone")
    assert not changed(found, pool)


def test_the_policy_of_the_document_goes_over_the_callers() -> None:
    raw = b'{"accounts": [], "policy": {"recheck": 5, "sessions_max": 1e1, "selector": "chain", "x": []}}'
    _, pool = decode(raw, Policy(recheck=7, flush_after=9))
    assert pool.policy == Policy(recheck=5.0, flush_after=9, sessions_max=10, selector="chain")
    assert type(pool.policy.sessions_max) is int


def test_a_newer_document_is_read_for_what_is_understood_and_never_written() -> None:
    found, pool = decode((ACCOUNTS / "valid-newer.json").read_bytes())
    assert found.newer
    assert [account.name for account in pool] == ["b"]
    news = pool.with_runtime("b", Runtime(consecutive_401=1)).with_active("b")
    assert not changed(found, news)
    assert encode(found, news)[0] is found


@pytest.mark.parametrize(
    "parts",
    [
        b'"accounts": 4',
        b'"accounts": [4, {"id": 4}]',
        b'"accounts": [], "active": 4, "policy": {"recheck": []}, "$schema": 4',
    ],
)
def test_a_newer_document_may_have_any_shape(parts: bytes) -> None:
    found, pool = decode(b'{"version": 3, ' + parts + b"}")
    assert found.newer
    assert len(pool) == 0


def test_a_newer_document_is_still_strict_json() -> None:
    with pytest.raises(AccountsInvalid):
        decode(b'{"version": 3, "accounts": [],}')


_WRONG: list[Any] = [None, 4, [], {"rev": -1}, {"models": {"m": None}}, {"cooldown_until": "soon"}, {"windows": []}]


@pytest.mark.parametrize("wrong", _WRONG, ids=json.dumps)
def test_a_runtime_that_cannot_be_read_spoils_only_its_own_account(wrong: Any) -> None:
    good = {"rev": 3, "consecutive_401": 2}
    accounts = [{"id": "a", "runtime": good}, {"id": "b", "runtime": wrong}, {"id": "c", "runtime": good}]
    found, pool = decode(as_bytes({"version": 2, "accounts": accounts}, PLAIN))
    assert found.unreadable == {1}
    assert pool.at(1).runtime == UNKNOWN
    assert pool.at(0).runtime == pool.at(2).runtime == Runtime(rev=3, consecutive_401=2)
    written, kept = encode(found, pool.with_runtime("b", Runtime(consecutive_401=1)))
    assert written.unreadable == frozenset()
    assert decode(written.raw)[1] == kept


@given(runtime_values, st.sampled_from(["banned", "restricted", "auth_failed"]))
@quick
def test_a_changed_credential_ends_what_the_old_one_was_refused_for_and_nothing_else(
    runtime: Runtime, state: str
) -> None:
    found, pool = decode(_account(refresh_token="fake-old"))
    blocked = runtime.replace(**{state: True})
    written, kept = encode(found, pool.with_runtime("a", blocked))
    assert decode(written.raw)[1] == kept
    renewed = decode(written.raw.replace(b"fake-old", b"fake-new"))[1].at(0).runtime
    free = {"banned": False, "restricted": False, "auth_failed": False, "blocked_reason": "", "blocked_at": 0.0}
    was = kept.at(0).runtime
    left = tuple(cooldown for cooldown in was.cooldowns if cooldown.source != "default")
    assert renewed == was.replace(**free, consecutive_401=0, consecutive_403=0, cooldowns=left)


def test_the_first_401_of_a_new_credential_is_as_transient_as_any_first_one() -> None:
    found, pool = decode(_account(api_key="fake-old"))
    at = 1_795_168_800.0
    refused = replay(pool, [AuthRefused("a", at + n * 86400, "revoked") for n in range(10)])
    assert refused.account("a").ready_at("m", refused.policy) == (NEVER, "auth_failed")
    written, _ = encode(found, refused)
    _, fresh = decode(written.raw.replace(b"fake-old", b"fake-new"))
    assert fresh.account("a").ready_at("m", fresh.policy) == (0.0, None)
    again = apply(fresh, AuthRefused("a", at + 10 * 86400, "revoked"))
    assert again.account("a").ready_at("m", fresh.policy) == (at + 10 * 86400 + fresh.policy.auth_cooldown, "cooldown")


@pytest.mark.parametrize(
    ("said", "hold"),
    [
        ({"held": False, "held_until": "2026-11-20T10:00:00Z"}, (0.0, None)),
        ({"held_until": "2026-11-20T10:00:00Z"}, (1_795_168_800.0, "held")),
        ({"held": None, "held_until": "2026-11-20T10:00:00Z"}, (1_795_168_800.0, "held")),
        ({"held": True, "held_until": "2026-11-20T10:00:00Z"}, (1_795_168_800.0, "held")),
        ({"held": True}, (NEVER, "held")),
        ({"held": False}, (0.0, None)),
    ],
    ids=json.dumps,
)
def test_a_person_ends_a_hold_by_the_flag_alone_and_begins_one_by_either(said: Any, hold: Any) -> None:
    for runtime in (said, {"models": {"m": said}}):
        found, pool = decode(_account(runtime=runtime))
        assert pool.at(0).ready_at("m", pool.policy) == hold
        written, kept = encode(found, pool.with_runtime("a", pool.at(0).runtime.replace(consecutive_failures=1)))
        assert decode(written.raw)[1] == kept
        assert kept.at(0).ready_at("m", pool.policy) == hold


def test_a_fingerprint_is_of_the_credential_that_lasts_longest_and_shows_nothing_of_it() -> None:
    account = {"access_token": "fake-1", "api_key": "fake-2", "refresh_token": "fake-3"}
    of_all = fingerprint(account)
    assert of_all is not None
    assert of_all == fingerprint({"refresh_token": "fake-3", "access_token": "fake-other"})
    assert of_all != fingerprint({"refresh_token": "fake-4"})
    assert len(of_all) == 12
    assert fingerprint({"id": "a"}) is None
    assert fingerprint({"api_key": "\ud800"}) != fingerprint({"api_key": {"env": "\ud800"}})


def test_half_a_surrogate_pair_in_a_name_and_a_model_survives_a_flush() -> None:
    found, pool = decode(b'{"version": 2, "accounts": [{"id": "\\ud800", "runtime": {"models": {"\\udfff": {}}}}]}')
    assert pool.models() == ("\udfff",)
    news = pool.at(0).runtime.replace(consecutive_401=1)
    written, kept = encode(found, pool.with_runtime("\ud800", news).with_active("\ud800"))
    again, read = decode(written.raw)
    assert read == kept
    assert again.active == "\ud800"


@pytest.mark.parametrize("digits", [20, 309, 400])
def test_a_time_of_hundreds_of_digits_is_a_fault_and_no_crash(digits: int) -> None:
    late = b"9" * digits
    assert decode(HEAD + b'{"id": "a", "runtime": {"cooldown_until": ' + late + b"}}]}")[0].unreadable == {0}
    with pytest.raises(AccountsInvalid):
        decode(HEAD + b'{"id": "a", "expires_at": ' + late + b"}]}")


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(AccountsInvalid) as refused:
        decode((ACCOUNTS / "broken-many.json").read_bytes())
    assert len(refused.value.faults) == 9
    assert str(refused.value).count("\n") == 8


def test_a_ladder_that_an_old_credential_climbed_does_not_wait_for_the_new_one():
    document, pool = decode(b'{"accounts": [{"name": "a", "api_key": "fake-1"}]}')
    refused = replay(pool, [AuthRefused("a", 1795168800.0, "credential refused")])
    written, _ = encode(document, refused)
    kept = decode(written.raw)[1].account("a").runtime
    assert (kept.consecutive_401, len(kept.cooldowns)) == (1, 1)
    fresh = decode(written.raw.replace(b"fake-1", b"fake-2"))[1].account("a").runtime
    assert (fresh.consecutive_401, fresh.cooldowns) == (0, ())
