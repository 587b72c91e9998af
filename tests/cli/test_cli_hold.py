from __future__ import annotations

import json
import re
from datetime import datetime

import pytest


def test_a_hold_for_no_time_is_2(accounts, here):
    before = accounts.read_bytes()
    for length in ("0", "0h"):
        ran = here("hold", "a@example.com", "--for", length)
        assert (ran.code, ran.out, "ends at once" in ran.err) == (2, "", True)
    assert accounts.read_bytes() == before


def test_a_held_account_is_not_chosen_until_it_is_released(accounts, here):
    assert here("hold", "a@example.com").out == "a@example.com: on hold until `rotator release`\n"
    assert here("next", "-m", "g", "--peek").out == "b@example.com\n"
    assert here("release", "a@example.com").out == "a@example.com: released\n"
    assert here("next", "-m", "g", "--peek").out == "a@example.com\n"


def test_a_hold_for_a_while_says_until_when(accounts, here):
    ran = here("hold", "a@example.com", "--for", "1h30m", "-m", "g")
    assert ran.out.startswith("a@example.com for g: on hold until 2")
    assert ran.out.endswith(" (in 1 h 30 min)\n")
    assert here("next", "-m", "g", "--peek").out == "b@example.com\n"
    assert here("next", "-m", "other", "--peek").out == "a@example.com\n"


def test_a_hold_until_an_instant_ends_at_that_instant(accounts, here):
    ran = here("hold", "a@example.com", "--until", "2098-06-01T12:00:00+02:00", "--json")
    assert ran.json == {
        "schema_version": 1,
        "account": "a@example.com",
        "model": None,
        "held": True,
        "held_until": "2098-06-01T10:00:00Z",
        "durable": True,
    }
    runtime = json.loads(accounts.read_bytes())["accounts"][0]["runtime"]
    assert datetime.fromisoformat(runtime["held_until"]) == datetime.fromisoformat("2098-06-01T10:00:00+00:00")


@pytest.mark.parametrize(
    ("keys", "blocks"),
    [
        ('"held": true', "is on hold: `rotator release NAME`"),
        ('"held_until": "2098-06-01T10:00:00Z"', "is on hold for [0-9]+ d.*: `rotator release NAME`"),
        ('"cooldown_until": "2098-06-01T10:00:00Z"', "cools down for [0-9]+ d.*: `rotator release NAME`"),
        (
            '"banned": true, "blocked_reason": "terms"',
            r"is banned \(terms\): settle it with the provider, then `rotator release NAME`",
        ),
    ],
)
def test_release_for_a_model_says_what_still_blocks_the_account_itself(accounts, here, keys, blocks):
    accounts.write_text(
        f'{{"version": 2, "accounts": [{{"id": "a", "api_key": "fake-a", "runtime": {{"rev": 3, {keys}}}}}]}}'
    )
    assert here("hold", "a", "-m", "g").code == 0
    ran = here("release", "a", "-m", "g")
    assert re.fullmatch(f"a for g: released; the account itself {blocks}\n", ran.out)
    assert here("release", "a", "-m", "g", "--json").json["blocked_by"] is not None
    assert here("release", "a").out == "a: released\n"
    assert here("release", "a", "-m", "g").out == "a for g: released\n"
    assert here("release", "a", "-m", "g", "--json").json["blocked_by"] is None


def test_release_names_what_only_the_file_can_change(accounts, here):
    accounts.write_text(
        '{"accounts": [{"id": "a", "enabled": false, "api_key": "fake-a"}, {"id": "b", "models": ["x"], "api_key": "fake-b"}]}'
    )
    assert here("release", "a").out == 'a: released; the account itself is disabled: set "enabled" to true\n'
    assert here("release", "b").out == "b: released\n"
    assert here("release", "b", "-m", "g").out == (
        'b for g: released; the account itself does not serve this model: add the model to its "models"\n'
    )


def test_release_also_ends_cooldowns_and_hard_states(accounts, here):
    accounts.write_text(
        '{"version": 2, "accounts": [{"id": "a", "api_key": "fake-a", "runtime": '
        '{"rev": 3, "banned": true, "blocked_reason": "terms", "blocked_at": "2026-01-01T00:00:00Z"}}]}'
    )
    assert here("next", "-m", "g").code == 69
    assert here("release", "a", "--json").json["held"] is False
    assert here("next", "-m", "g").out == "a\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--for", "5h", "--until", "17:30"], "say the same"),
        (["--until", "2020-01-01 10:00"], "in the past"),
        (["--until", "soon"], "--until takes"),
        (["--for", "soon"], "a length of time is"),
    ],
)
def test_a_time_that_means_nothing_is_2(accounts, here, words, told):
    ran = here("hold", "a@example.com", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Kiritimati", "America/New_York"])
def test_the_last_instant_of_the_calendar_is_shown_in_every_zone(accounts, rotator, zone):
    cooldown = '"cooldown_until": "9999-12-31T23:59:59Z", "cooldown_at": "2026-01-01T00:00:00Z"'
    accounts.write_text(
        f'{{"version": 2, "accounts": [{{"id": "a", "api_key": "fake-a", "runtime": {{"rev": 1, {cooldown}}}}}]}}'
    )
    for words in (
        ("next", "-m", "g", "--explain"),
        ("status", "-m", "g"),
        ("report", "a", "-m", "g", "--status", "500"),
        ("hold", "a", "--until", "9999-12-31T23:59:59Z"),
        ("hold", "a", "--until", "0001-01-01T00:00:00Z"),
        ("hold", "a", "--until", "0001-01-01 00:00"),
        ("hold", "a", "--until", "9998-12-31T23:59:59Z"),
    ):
        ran = rotator(*words, TZ=zone)
        assert ran.code in (0, 2, 75)
        assert "Traceback" not in ran.err


def test_a_hold_beyond_the_calendar_is_a_hold_without_end(accounts, here):
    assert here("hold", "a@example.com", "--for", "999999999w", "--json").json["held_until"] is None
