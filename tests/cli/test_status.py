"""`rotator status` shows every account, whole and honestly, on any terminal and in any pipe."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rotator.cli import main
from rotator.cli.cells import Zone
from rotator.cli.screen import Screen
from rotator.cli.status import picture
from rotator.clock import MachineClock
from rotator.engine import Rotator
from rotator.server.overview import decisions, file_json

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas" / "status.schema.json").read_text())
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
MODEL = "gemini-3-pro"
FILE = {"path": "accounts.json", "mode": "file", "durable": True, "last_error": None}
CET = timezone(timedelta(hours=1))


class Still:
    """A clock that does not go."""

    def now(self):
        return NOW

    def monotonic(self):
        return 0.0

    def wait(self, event, secs):
        return event.wait(0)


def at(secs):
    return (NOW + timedelta(seconds=secs)).isoformat().replace("+00:00", "Z")


def window(left, reset):
    return {"remaining_fraction": left, "reset_time": at(reset), "updated_at": at(-60)}


def account(name, model=None, keys=None, **runtime):
    known = {MODEL: model} if model else {}
    return {"name": name, "api_key": "fake-key", **(keys or {}), "runtime": {"rev": 1, **runtime, "models": known}}


REFUSED = {
    "remaining_fraction": 0.0,
    "reset_time": at(15120),
    "updated_at": at(-900),
    "cooldown_until": at(15120),
    "cooldown_at": at(-900),
    "cooldown_source": "retry-after",
    "consecutive_429": 2,
    "last_429_at": at(-900),
    "last_success_at": at(-1200),
}
POOL = {
    "version": 2,
    "active": "alice@example.com",
    "accounts": [
        account("alice@example.com", REFUSED),
        account(
            "bob@example.com",
            {"windows": {"5h": window(0.63, 2400)}, "last_success_at": at(-120)},
            windows={"7d": window(0.91, 400000)},
        ),
        account("carol@example.com", {"windows": {"5h": window(0.12, 9000)}, "last_success_at": at(-3000)}),
        account("dave@example.com", auth_failed=True, blocked_reason="invalid_grant: revoked"),
        account("erin@example.com", held=True, held_until=at(7200)),
        account("spare@example.com", {"windows": {"5h": window(0.99, 12000)}}, {"emergency": True}),
    ],
}
NAMES = [each["name"] for each in POOL["accounts"]]


def shown(document, width, *, file=FILE, zone=CET, model=None, encoding="utf-8", **console):
    """What a terminal of that width shows of a document."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with Rotator.memory(document, clock=Still()) as rotator:
        made = Console(file=stream, width=width, highlight=False, _environ={}, **console)
        with made.capture() as capture:
            made.print(Screen(decisions(rotator, model), file, zone=zone))
    return capture.get()


def test_a_terminal_of_a_hundred_columns_shows_this():
    assert (
        shown(POOL, 100)
        == """\
accounts.json  mode file, durable  11:00 +01:00

gemini-3-pro → bob@example.com
bob@example.com: 63 % left, resets in 40 min; alice@example.com cools down for 4 h 12 min;
dave@example.com needs a new login (invalid_grant: revoked)

   account            state        next ready            left               resets          score
   alice@example.com  cooldown     15:12, in 4 h 12 min  ────────   0 %     in 4 h 12 min  -11.09
   in use · 429 × 2 · cooldown from retry-after · last success 20 min ago
●  bob@example.com    ready        now                   ━━━━━───  63 % 5h  in 40 min        0.60
   best score · last success 2 min ago · 7d 91 % left until Nov 25 02:06
   carol@example.com  ready        now                   ━───────  12 % 5h  in 2 h 30 min    0.16
   lower score · last success 50 min ago
   dave@example.com   auth failed  needs you             unknown
   invalid_grant: revoked
   erin@example.com   held         13:00, in 2 h         unknown                           -10.38
   spare@example.com  ready        now                   ━━━━━━━━  99 % 5h  in 3 h 20 min    0.51
   lower tier: emergency
"""  # noqa: RUF001  for people
    )


def test_a_pipe_gets_one_whole_line_for_each_account():
    lines = shown(POOL, 100_000).splitlines()
    rows = [[line for line in lines[5:] if name in line] for name in NAMES]
    assert [len(found) for found in rows] == [1] * 6
    assert rows[0][0].endswith("in use · 429 × 2 · cooldown from retry-after · last success 20 min ago")  # noqa: RUF001  for people
    assert "lower tier: emergency" in rows[5][0]


@pytest.mark.parametrize("width", [8, 20, 40, 60, 80, 100, 120, 160, 240])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width):
    text = shown(POOL, width)
    assert all(len(line) <= width for line in text.splitlines())
    packed = "".join(text.split())
    for wanted in (
        *NAMES,
        "authfailed",
        "needsyou",
        "63%",
        "in4h12min",
        "lowertier:emergency",
        "0.60",
        "invalid_grant",
    ):
        assert wanted in packed
    assert "…" not in text


def test_a_long_name_is_folded_and_never_cut():
    name = "a-very-long-name-of-an-account-that-fits-no-terminal-of-sixty-columns@example.com"
    text = shown({"version": 2, "accounts": [account(name)]}, 60, model=MODEL)
    assert name in "".join(text.split())
    assert all(len(line) <= 60 for line in text.splitlines())


def test_what_the_file_says_cannot_write_on_the_terminal():
    turned = "a\u202e[red]x[/red]:boom:"
    evil = f"{turned}\x1b[2J\x9b31m\r"
    refused = {"windows": {evil: window(0.5, 60)}}
    named = account(turned, keys={"models": [evil]}, restricted=True, blocked_reason=evil, windows={evil: window(0, 9)})
    named["runtime"]["models"] = {evil: refused}
    for width in (40, 100, 100_000):
        text = shown({"version": 2, "active": turned, "accounts": [named]}, width, file={**FILE, "last_error": evil})
        assert not set("\x1b\x9b\u202e\r") & set(text)
        assert "a\\u202e[red]x[/red]:boom:" in "".join(text.split())
        assert "\\x1b[2J\\x9b31m\\r" in "".join(text.split())


NAME = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30)


@given(NAME, st.text(max_size=30), st.integers(1, 200))
def test_whatever_the_file_holds_is_shown_without_control_at_any_width(name, reason, width):
    held = account(name, {"windows": {reason: window(0.5, 60)}}, restricted=True, blocked_reason=reason)
    text = shown({"version": 2, "accounts": [held]}, width, model=reason or MODEL)
    assert all(character.isprintable() or character == "\n" for character in text)


def test_colour_is_there_on_a_terminal_and_gone_where_it_is_not_wanted():
    assert "\x1b[32m" in shown(POOL, 100, force_terminal=True, color_system="standard")
    plain = shown(POOL, 100, force_terminal=True, no_color=True)
    assert "\x1b[3" not in plain.replace("\x1b[3m", "")
    assert "\x1b" not in shown(POOL, 100)


def test_a_terminal_that_knows_only_ascii_gets_only_ascii():
    text = shown(POOL, 100, encoding="ascii")
    assert text.isascii()
    assert "*  bob@example.com    ready        now                   #####...  63 % 5h" in text


def test_a_parked_and_an_unavailable_pool_say_so_in_their_heading():
    assert f"{MODEL} → parked" in shown({**POOL, "accounts": POOL["accounts"][:1]}, 100)
    assert f"{MODEL} → unavailable" in shown({**POOL, "accounts": POOL["accounts"][3:4]}, 100, model=MODEL)


def test_what_is_not_kept_is_said_with_its_reason():
    text = shown(POOL, 100, file={**FILE, "mode": "memory", "durable": False, "last_error": "the file is read-only"})
    assert text.splitlines()[0].startswith("accounts.json  mode memory, not durable: the file is read-only")


def test_every_model_has_its_section_and_the_columns_stand_in_line():
    second = {**POOL, "accounts": [*POOL["accounts"], {"name": "z", "models": ["other-model"]}]}
    lines = shown(second, 120).splitlines()
    titles = [line for line in lines if line.lstrip().startswith("account ")]
    assert len(titles) == 2
    assert titles[0] == titles[1]


def test_a_file_that_knows_no_model_shows_its_accounts_and_how_to_ask():
    document = {"version": 2, "accounts": [account("a", keys={"models": ["m-*"]}), account("b", banned=True)]}
    with Rotator.memory(document, clock=Still()) as rotator:
        console = Console(file=io.StringIO(), width=100)
        with console.capture() as capture:
            console.print(picture(rotator, None, utc=True))
    text = capture.get()
    assert "no model is known yet; -m MODEL asks for one" in text
    assert "any model → a" in text
    assert "model not served" not in text
    assert "banned" in text


def cooled(source):
    return {"cooldown_until": at(60), "cooldown_at": at(-1), "cooldown_source": source}


WHY = [
    (account("a", {}, consecutive_401=1, **cooled("default")), "401 x 1, guessed wait"),
    (account("a", {}, consecutive_403=1, **cooled("default")), "403 x 1, guessed wait"),
    (account("a", cooled("default"), consecutive_failures=2), "5xx x 2, guessed wait"),
    (account("a", {**cooled("default"), "consecutive_429": 1}), "429 x 1, guessed wait"),
    (
        account("a", cooled("default"), consecutive_401=1, consecutive_failures=1, **cooled("default")),
        "401 x 1, 5xx x 1, guessed wait",
    ),
    (account("a", {**cooled("reset"), "consecutive_429": 3}), "429 x 3, cooldown from reset"),
]


@pytest.mark.parametrize(("refused", "told"), WHY)
def test_a_cooldown_says_what_happened_and_where_its_length_is_from_once(refused, told):
    row = shown({"version": 2, "accounts": [refused]}, 10_000, model=MODEL, encoding="ascii").splitlines()[-1]
    assert row.endswith(f"  {told}")


@pytest.mark.parametrize("policy", [{}, {"selector": "round_robin"}, {"selector": "chain"}])
def test_where_no_score_decides_the_others_are_not_called_lower(policy):
    names = [{"name": name, "api_key": "fake-key"} for name in "abc"]
    text = shown({"version": 2, "policy": policy, "accounts": names}, 120, model=MODEL)
    assert "lower score" not in text
    assert text.count("not its turn") == 2


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"enabled": False}, "account can serve any model: a is disabled"),
        ({"held_until": at(60)}, "ready for any model, "),
    ],
)
def test_without_a_known_model_nobody_can_serve_any_model(keys, told):
    enabled = keys.pop("enabled", True)
    document = {"version": 2, "accounts": [account("a", keys={"enabled": enabled}, held=bool(keys), **keys)]}
    with Rotator.memory(document, clock=Still()) as rotator:
        console = Console(file=io.StringIO(), width=100)
        with console.capture() as capture:
            console.print(picture(rotator, None, utc=True))
    assert told in capture.get()
    assert "any model → " in capture.get()


def test_a_model_of_which_only_a_release_is_known_has_no_table_until_it_is_asked_for():
    released = account("a", {"released_at": at(-60)})
    with Rotator.memory({"version": 2, "accounts": [released, account("b")]}, clock=Still()) as rotator:
        rotator.hold("b", model=MODEL)
        assert [each.model for each in decisions(rotator)] == [MODEL]
        rotator.release("b", model=MODEL)
        rotator.release("b", model="typo")
        assert decisions(rotator) == []
        assert [each.model for each in decisions(rotator, MODEL)] == [MODEL]
        rotator.observe("a", MODEL, status=200, headers={})
        assert [each.model for each in decisions(rotator)] == [MODEL]


def test_times_across_a_change_of_clocks_carry_their_own_offset(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        before = datetime(2026, 10, 24, 12, tzinfo=UTC).timestamp()
        zone = Zone(before)
        assert zone.offset == "+02:00"
        assert zone.time(before + 3600) == "15:00"
        assert zone.time(before + 2 * 86400) == "Oct 26 13:00+01:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_hold_until_the_end_of_time_is_a_date_in_any_zone(monkeypatch):
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        held = account("a", held=True, held_until="9999-12-31T23:59:59Z")
        assert "9999-12-" in shown({"version": 2, "accounts": [held]}, 100, zone=None, model=MODEL)
    monkeypatch.undo()
    time.tzset()


def test_a_failed_probe_says_what_it_found():
    probed = account("a", availability={"ok": False, "checked_at": at(-60), "reason": "no\x1bseat"})
    text = shown({"version": 2, "accounts": [probed, account("b")]}, 100, model=MODEL)
    assert "unavailable" in text
    assert "probe failed: no\\x1bseat" in text


@pytest.fixture
def accounts(tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps(POOL))
    path.chmod(0o600)
    return path


@pytest.fixture
def stopped(monkeypatch):
    """The machine's clock stands still in this process."""
    monkeypatch.setattr(MachineClock, "now", Still.now)


def status(capfd, path, *arguments):
    code = main(["--accounts", str(path), "status", *arguments])
    out, err = capfd.readouterr()
    return code, out, err


def test_json_is_what_next_peek_says_with_the_file_beside_it(accounts, capfd, stopped):
    code, out, err = status(capfd, accounts, "-m", MODEL, "--json")
    body = json.loads(out)
    jsonschema.validate(body, SCHEMA)
    assert (code, err) == (0, "")
    assert body["file"] == {**FILE, "path": str(accounts)}
    with Rotator.open(accounts, clock=Still()) as rotator:
        assert file_json(rotator) == body["file"]
    assert main(["--accounts", str(accounts), "next", "-m", MODEL, "--peek", "--json"]) in (0, 75)
    assert {*json.loads(capfd.readouterr()[0]), "file"} == {*body}


def test_json_without_a_model_holds_one_decision_for_each(accounts, capfd):
    code, out, _ = status(capfd, accounts, "--json")
    body = json.loads(out)
    jsonschema.validate(body, SCHEMA)
    assert code == 0
    assert [one["model"] for one in body["models"]] == [MODEL]
    assert [one["account"] for one in body["models"][0]["candidates"]] == NAMES


@pytest.mark.parametrize("last", [1, 4])
def test_a_parked_or_unavailable_pool_ends_with_zero(tmp_path, capfd, stopped, last):
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps({"version": 2, "accounts": POOL["accounts"][last - 1 : last]}))
    assert status(capfd, path, "-m", MODEL)[0] == 0


@pytest.mark.parametrize("arguments", [[], ["--json"], ["-m", MODEL]])
def test_looking_writes_nothing_not_even_over_a_version_1_file(tmp_path, capfd, arguments):
    path = tmp_path / "accounts.json"
    path.write_text('{"accounts": [{"email": "a@example.com", "refresh_token": "fake-r"}], "active": "gone"}')
    before = path.read_bytes()
    code, out, _ = status(capfd, path, *arguments)
    assert code == 0
    assert "fake-" not in out
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["accounts.json"]


def test_a_pipe_shows_text_without_escapes_and_utc_on_demand(accounts, capfd, stopped, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    code, out, _ = status(capfd, accounts, "--utc")
    assert code == 0
    assert "\x1b" not in out
    assert "10:00 +00:00" in out
    assert "14:12, in 4 h 12 min" in out
    row = next(line for line in out.splitlines() if line.lstrip().startswith("alice@example.com  cooldown"))
    assert row.endswith("last success 20 min ago")


@pytest.mark.parametrize(
    ("variables", "colour"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1", "TERM": "xterm"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False),
    ],
)
def test_a_pipe_is_coloured_only_by_force(accounts, capfd, monkeypatch, variables, colour):
    for name in ("FORCE_COLOR", "NO_COLOR", "TERM", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[32m" in status(capfd, accounts)[1]) == colour


def test_columns_of_the_environment_bound_a_pipe_too(accounts, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    out = status(capfd, accounts)[1]
    assert max(map(len, out.splitlines())) <= 60


def test_an_empty_model_and_a_watch_without_a_terminal_are_usage_errors(accounts, capfd):
    assert status(capfd, accounts, "-m", "")[0] == 2
    code, out, err = status(capfd, accounts, "--watch")
    assert (code, out) == (2, "")
    assert "terminal" in err


def test_a_file_that_is_not_there_or_not_valid_keeps_its_exit_code(tmp_path, capfd):
    assert status(capfd, tmp_path / "none.json")[0] == 66
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert status(capfd, broken)[0] == 78


class Terminal:
    """A process of its own on a terminal of its own; what it writes is read until something is there."""

    def __init__(self, *arguments):
        self.screen = b""
        self._ours, theirs = pty.openpty()
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rotator", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            preexec_fn=lambda: os.login_tty(theirs),  # noqa: PLW1509  the terminal must be the child's own
        )
        os.close(theirs)

    def until(self, wanted, secs=20.0):
        """Whether that was written, after what was asked for before."""
        deadline = time.monotonic() + secs
        while wanted not in self.screen:
            ready = select.select([self._ours], [], [], max(deadline - time.monotonic(), 0))[0]
            try:
                read = os.read(self._ours, 65536) if ready else b""
            except OSError:
                read = b""
            if not read:
                return False
            self.screen += read
        self.screen = self.screen.partition(wanted)[2]
        return True

    def press(self, keys):
        os.write(self._ours, keys)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def login_tty(descriptor):
    """Make a terminal the controlling one, as Python 3.11 has no function for it."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(("keys", "signal_number", "code"), [(b"\x03", None, 130), (None, 15, 143)])
def test_watching_shows_an_edit_and_gives_the_terminal_back(accounts, monkeypatch, keys, signal_number, code):
    monkeypatch.setattr(os, "login_tty", login_tty, raising=False)
    terminal = Terminal("--accounts", str(accounts), "status", "--watch", "-m", "m")
    try:
        assert terminal.until(b"\x1b[?1049h"), "the other screen"
        assert terminal.until(b"carol@example.com")
        accounts.write_text(accounts.read_text().replace("carol@", "caroline@"))
        assert terminal.until(b"caroline@example.com")
        if keys:
            terminal.press(keys)
        else:
            terminal.process.send_signal(signal_number)
        assert terminal.until(b"\x1b[?25h"), "the cursor is back"
        assert terminal.until(b"\x1b[?1049l"), "the first screen is back"
        assert terminal.process.wait(10) == code
    finally:
        terminal.close()
