"""`rotator forecast` as it is typed: what it says with and without data, as a table, as JSON, as a picture."""

from __future__ import annotations

import json
import re
import time

import pytest

from rotator.core.instants import rfc3339


def window(left, past, length=5.0):
    """A window of so many hours that began ``past`` hours ago."""
    now = round(time.time())
    told = {"remaining_fraction": left, "length_secs": length * 3600, "updated_at": rfc3339(now - 1)}
    return {**told, "reset_time": rfc3339(now + (length - past) * 3600)}


def account(name, *, models=("g",), **windows):
    state = {model: {"last_success_at": rfc3339(time.time() - 1)} for model in models}
    runtime = {"rev": 1, "windows": windows, "models": state}
    return {"name": name, "api_key": f"fake-{name}", "runtime": runtime}


@pytest.fixture
def pool(home):
    def save(*accounts, **parts):
        path = home / "accounts.json"
        path.write_text(json.dumps({"version": 2, **parts, "accounts": accounts}))
        path.chmod(0o600)
        return path

    return save


@pytest.fixture
def two(pool):
    return pool(
        account("a", **{"5h": window(0.25, 2.5)}),
        account("b", **{"5h": window(1.0, 2.5)}),
        active="a",
        policy={"hysteresis": 10},
    )


def test_without_data_it_says_so_and_what_to_do(accounts, rotator):
    ran = rotator("forecast")
    assert ran.code == 0
    assert "at the present burn" in ran.out
    assert "nothing is known yet" in ran.err
    assert "`rotator poll`" in ran.err
    told = rotator("forecast", "--json")
    assert (told.code, told.err, told.json["known"], told.json["windows"]) == (0, "", False, [])
    assert "`rotator poll`" in told.json["note"]


def test_the_table_says_when_reserve_and_limit_are_reached_against_the_reset(two, here):
    ran = here("forecast", "--for", "40m")
    assert (ran.code, ran.err) == (0, "")
    first, second = [line for line in ran.out.split("\n") if " 5h " in line]
    assert first.split()[:5] == ["a", "5h", "25", "%", "30.0"]
    assert re.search(r"in (40|41) min .* in (50|51) min .* in 2 h (30|31) min", first)
    assert first.endswith("ends before its reset")
    assert second.endswith("lasts")


def test_it_says_who_is_next_and_when(two, here):
    ran = here("forecast", "--for", "1h", "-m", "g")
    head, *changes = ran.out.rstrip("\n").partition("g: ")[2].split("\n")
    assert head == "a"
    (change,) = changes
    assert re.search(r"in (40|41) min: b \(", change)
    assert "a is below its reserve" in change


def test_json_holds_instants_burn_switches_and_when_it_will_be_parked(pool, here):
    pool(account("a", **{"5h": window(0.2, 2.0)}))
    told = here("forecast", "--json", "--for", "2h").json
    assert (told["schema_version"], told["burn_factor"], told["known"], told["note"]) == (1, 1.0, True, None)
    (seen,) = told["windows"]
    assert (seen["account"], seen["window"], seen["model"], seen["lasts"]) == ("a", "5h", None, False)
    assert seen["burn_per_hour"] == pytest.approx(0.4, abs=0.01)
    assert told["at"] < seen["reserve_at"] < seen["limit_at"] < seen["reset_time"]
    (model,) = told["models"]
    (spell,) = model["parked"]
    assert (model["model"], model["account"], model["complete"]) == ("g", "a", True)
    assert spell["until"] == seen["reset_time"]
    assert abs(spell["secs"] - 5400) < 60
    assert told["at"] < spell["at"] < told["until"] < spell["until"]


def test_what_if_the_burn_were_another(two, here):
    once, thrice = (here("forecast", "--burn", burn, "--json").json["windows"][0] for burn in ("1", "3x"))
    assert thrice["burn_per_hour"] == pytest.approx(3 * once["burn_per_hour"], rel=0.01)
    assert thrice["limit_at"] < once["limit_at"]
    assert "3 times the present burn" in here("forecast", "--burn", "3x").out


def test_nothing_is_written(two, here):
    before = two.read_bytes()
    here("forecast")
    here("forecast", "--json", "-m", "other")
    assert two.read_bytes() == before


def test_each_known_model_has_its_own_and_one_can_be_named(pool, here):
    pool(account("a", models=("g", "h"), **{"5h": window(0.9, 2.0)}))
    assert [each["model"] for each in here("forecast", "--json").json["models"]] == ["g", "h"]
    assert [each["model"] for each in here("forecast", "--json", "-m", "new").json["models"]] == ["new"]


def test_of_many_models_the_first_few_are_looked_at_and_that_is_said(pool, here):
    pool(account("a", models=[f"m{place:02}" for place in range(11)], **{"5h": window(0.9, 2.0)}))
    assert "and 3 more models: -m MODEL shows one" in here("forecast").out
    assert here("forecast", "--json").json["models_left_out"] == 3


@pytest.mark.parametrize("end", ["png", "svg"])
def test_a_picture_is_drawn(two, here, home, end):
    assert here("forecast", "--plot", f"ahead.{end}", "--for", "6h").code == 0
    raw = (home / f"ahead.{end}").read_bytes()
    assert raw.startswith(b"\x89PNG" if end == "png" else b"<?xml")
    assert len(raw) > 5000


def test_names_are_no_mathematics_and_move_no_cursor(pool, here, home):
    path = pool({**account("$x_{$", **{"5h": window(0.5, 2.0)})}, account("b\u202e", **{"5h": window(0.5, 2.0)}))
    assert path.exists()
    ran = here("forecast", "--plot", "ahead.svg")
    assert ran.code == 0
    assert "\u202e" not in ran.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--for", "10s"], "from 1m to 31d"),
        (["--for", "60d"], "from 1m to 31d"),
        (["--for", "soon"], "a length of time is"),
        (["--burn", "fast"], "2x or 0.5"),
        (["--burn", "0"], "2x or 0.5"),
        (["--burn", "nan"], "2x or 0.5"),
        (["--burn", "-1"], "2x or 0.5"),
        (["--plot", "a.jpg"], ".png or .svg"),
        (["-m", ""], "must not be empty"),
    ],
)
def test_options_that_cannot_be_meant_are_2(two, here, words, told):
    ran = here("forecast", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_a_picture_needs_a_model(accounts, here):
    ran = here("forecast", "--plot", "a.svg")
    assert ran.code == 2
    assert "name one with -m" in ran.err


def test_without_matplotlib_it_says_what_to_install(two, here, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    ran = here("forecast", "--plot", "a.svg")
    assert (ran.code, ran.out) == (2, "")
    assert "pip install 'rotator[simulate]'" in ran.err


@pytest.mark.parametrize(("given", "code"), [(None, 66), (b"{", 78), (b'{"accounts": []}', 0)])
def test_a_file_that_is_not_there_or_not_valid_ends_as_everywhere(home, here, given, code):
    if given is not None:
        (home / "accounts.json").write_bytes(given)
        (home / "accounts.json").chmod(0o600)
    assert here("forecast").code == code


def test_utc_is_told_in_utc(two, rotator):
    assert "+01:00" in rotator("forecast", TZ="Etc/GMT-1").out
    assert "+00:00" in rotator("forecast", "--utc", TZ="Etc/GMT-1").out
