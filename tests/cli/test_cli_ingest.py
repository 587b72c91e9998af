from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.cli import rollouts
from rotator.cli.rollouts import SHARED, latest

NOW = 0.0
"""The start of the test, set by ``_today``."""
POOL = [
    {"name": "a", "provider": "anthropic", "api_key": "fake-a"},
    {"name": "b", "provider": "anthropic", "access_token": "fake-b"},
    {"name": "x", "provider": "codex", "access_token": "fake-x"},
    {"name": "y", "provider": "codex", "access_token": "fake-y"},
]


def _write(home, accounts=POOL, **more):
    path = home / "accounts.json"
    path.write_text(json.dumps({"version": 2, **more, "accounts": accounts}))
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    now = datetime.now(UTC)  # noqa: TID251  processes read the machine's clock, so what they read has to be of today
    monkeypatch.setitem(globals(), "NOW", now.timestamp())


@pytest.fixture
def pool(home, monkeypatch):
    monkeypatch.delenv("ROTATOR_ACCOUNT", raising=False)
    monkeypatch.delenv("CODEX_HOME", raising=False)
    return _write(home, active="a")


def _runtime(path, name):
    return next(each for each in json.loads(path.read_bytes())["accounts"] if each["name"] == name).get("runtime", {})


def status(five=41.2, seven=88, **more):
    limits = {
        "five_hour": {"used_percentage": five, "resets_at": int(NOW) + 3000},
        "seven_day": {"used_percentage": seven, "resets_at": int(NOW) + 90000},
    }
    return json.dumps({"model": {"id": "claude-opus-4-5"}, "version": "2.1.80", "rate_limits": limits, **more}).encode()


def test_a_status_line_is_one_line_and_its_windows_are_learned(pool, rotator):
    ran = rotator("ingest", "claude-statusline", given=status())
    assert (ran.code, ran.out, ran.err) == (0, "a: 5h 59 % left, 7d 12 % left, ready\n", "")
    windows = _runtime(pool, "a")["windows"]
    assert {name: window["remaining_fraction"] for name, window in windows.items()} == {"5h": 0.588, "7d": 0.12}
    assert {name: window["length_secs"] for name, window in windows.items()} == {"5h": 18000, "7d": 604800}
    reset = datetime.fromisoformat(windows["5h"]["reset_time"]).timestamp()
    assert reset == int(NOW) + 3000
    assert not {"models", "last_success_at"} & _runtime(pool, "a").keys()


def test_a_spent_window_is_said_and_the_next_pick_heeds_it(pool, rotator):
    assert (
        "a: 5h 0 % left, 7d 12 % left, has no quota for "
        in rotator("ingest", "claude-statusline", given=status(five=100)).out
    )
    assert rotator("token", "--provider", "anthropic").out == "fake-b\n"


def test_a_family_s_week_is_that_of_its_models(pool, rotator):
    opus = {"seven_day_opus": {"used_percentage": 100, "resets_at": int(NOW) + 90000}}
    ran = rotator("ingest", "claude-statusline", "--account", "b", given=status(rate_limits=opus))
    assert "b: has no quota for " in ran.out
    assert _runtime(pool, "b")["models"]["claude-opus-4-5"]["windows"]["7d_opus"]["remaining_fraction"] == 0


def test_a_window_that_has_been_reset_since_is_not_shown(pool, rotator):
    past = {
        "five_hour": {"used_percentage": 100, "resets_at": int(NOW) - 60},
        "seven_day": {"used_percentage": 88, "resets_at": int(NOW) + 9000},
    }
    assert rotator("ingest", "claude-statusline", given=status(rate_limits=past)).out == "a: 7d 12 % left, ready\n"


WHOSE = [
    (["--account", "b"], {}, "b"),
    (["--account", "b"], {"ROTATOR_ACCOUNT": "a"}, "b"),
    ([], {"ROTATOR_ACCOUNT": "b"}, "b"),
    ([], {"ROTATOR_ACCOUNT": "x"}, "a"),
    ([], {"ROTATOR_ACCOUNT": "gone"}, "a"),
    ([], {"ROTATOR_ACCOUNT": ""}, "a"),
    ([], {}, "a"),
]


@pytest.mark.parametrize(("words", "environment", "name"), WHOSE)
def test_it_is_the_named_account_s_else_the_marked_one_s_else_the_active_one_s(pool, rotator, words, environment, name):
    ran = rotator("ingest", "claude-statusline", *words, given=status(), **environment)
    assert ran.out.startswith(f"{name}: 5h")
    assert [each["name"] for each in POOL if "windows" in _runtime(pool, each["name"])] == [name]


def test_the_only_account_of_the_provider_needs_no_name(home, pool, rotator):
    _write(home, POOL[1:], active="x")
    assert rotator("ingest", "claude-statusline", given=status()).out.startswith("b: 5h")


def test_a_lone_account_that_says_no_provider_is_the_one_and_another_provider_s_is_not(home, pool, rotator):
    _write(home, [{"name": "only", "api_key": "fake-o"}])
    assert rotator("ingest", "claude-statusline", given=status()).out.startswith("only: 5h")
    _write(home, [{"name": "only", "provider": "groq", "api_key": "fake-o"}])
    assert "which account?" in rotator("ingest", "claude-statusline", given=status()).out
    _write(home, [{"name": "only", "api_key": "fake-o"}, {"name": "two", "api_key": "fake-t"}])
    assert "which account?" in rotator("ingest", "claude-statusline", given=status()).out


NOTHING = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"rate_limits": null}',
    b'{"rate_limits": []}',
    b'{"rate_limits": {"five_hour": null}}',
    b'{"rate_limits": {"five_hour": {"used_percentage": "many", "resets_at": "soon"}}}',
    b'{"rate_limits": {"five_hour": {"used_percentage": NaN, "resets_at": 1e400}}}',
    b'{"model": 5, "rate_limits": {"five_hour": {}}}',
]


@pytest.mark.parametrize("said", NOTHING)
def test_a_status_line_without_limits_is_a_plain_line_and_changes_nothing(pool, rotator, said):
    before = pool.read_bytes()
    ran = rotator("ingest", "claude-statusline", given=said)
    assert (ran.code, ran.out, ran.err) == (0, "a: ready\n", "")
    assert pool.read_bytes() == before


def _broken(pool):
    pool.write_text('{"accounts": [{"name": "a", "api_key": 5}]}')


def _gone(pool):
    pool.unlink()


def _nobody(pool):
    pool.write_text('{"accounts": []}')


@pytest.mark.parametrize(
    ("break_it", "line"),
    [
        (_broken, "rotator: accounts.json is not valid"),
        (_gone, "rotator: there is no"),
        (_nobody, "rotator: which account?"),
    ],
)
def test_a_status_line_never_fails(pool, rotator, break_it, line):
    break_it(pool)
    ran = rotator("ingest", "claude-statusline", given=status())
    assert (ran.code, ran.out.count("\n"), ran.err) == (0, 1, "")
    assert ran.out.startswith(line)
    told = rotator("ingest", "claude-statusline", "--json", given=status()).json
    assert (told["account"], told["error"][: len(line)]) == (None, line)


def test_a_status_line_never_fails_for_a_wrong_name_or_a_stream_that_is_closed(pool, rotator):
    ran = rotator("ingest", "claude-statusline", "--account", "zz", given=status())
    assert (ran.code, ran.out.startswith("rotator: no account is named zz"), ran.err) == (0, True, "")
    for closed in ("<&-", ">&-", "2>&-", "> /dev/full"):
        words = shlex.join([sys.executable, "-m", "rotator", "ingest", "claude-statusline"])
        assert subprocess.run(["sh", "-c", f"{words} {closed}"], input=status(), check=False).returncode == 0


def test_what_was_said_a_moment_ago_is_not_written_again(pool, rotator):
    rotator("ingest", "claude-statusline", given=status())
    before = pool.read_bytes()
    again = rotator("ingest", "claude-statusline", "--json", given=status())
    assert (again.json["learned"], pool.read_bytes()) == (False, before)
    assert again.json["windows"][0]["remaining_fraction"] == 0.588
    other = rotator("ingest", "claude-statusline", "--json", given=status(five=42))
    assert (other.json["learned"], other.json["windows"][0]["remaining_fraction"]) == (True, 0.58)
    assert pool.read_bytes() != before


def test_json_tells_the_windows_and_whether_it_is_ready(pool, rotator):
    told = rotator("ingest", "claude-statusline", "--json", given=status()).json
    assert told.pop("observed_at") <= told.pop("ready_at")
    assert [window.pop("reset_time") is not None for window in told["windows"]] == [True, True]
    assert told == {
        "schema_version": 1,
        "source": "claude-statusline",
        "error": None,
        "account": "a",
        "model": "claude-opus-4-5",
        "learned": True,
        "windows": [{"name": "5h", "remaining_fraction": 0.588}, {"name": "7d", "remaining_fraction": 0.12}],
        "ready": True,
        "durable": True,
    }


def event(at, primary=3.0, secondary=34.0, **limits):
    told = {
        "limit_id": "codex",
        "primary": {"used_percent": primary, "window_minutes": 300, "resets_at": int(at) + 9000},
        "secondary": {"used_percent": secondary, "window_minutes": 10080, "resets_at": int(at) + 90000},
        "credits": None,
        "plan_type": "plus",
        **limits,
    }
    stamp = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    return json.dumps(
        {"timestamp": stamp, "type": "event_msg", "payload": {"type": "token_count", "info": None, "rate_limits": told}}
    )


OTHER = json.dumps(
    {"timestamp": "2026-11-20T10:00:00Z", "type": "response_item", "payload": {"text": "token_count rate_limits"}}
)
EMPTY = json.dumps({"timestamp": "2026-11-20T10:00:00Z", "payload": {"type": "token_count", "rate_limits": None}})


@pytest.fixture
def sessions(home):
    """Write a session file: where, its lines, and when it was last written."""

    def write(name, *lines, mtime=None):
        path = home / "sessions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        os.utime(path, (mtime or NOW, mtime or NOW))
        return path

    return write


def test_the_latest_limits_of_the_session_files_are_learned_with_their_own_instant(pool, rotator, sessions):
    sessions("2026/11/19/rollout-2026-11-19T09-00-00-u.jsonl", event(NOW - 90_000, primary=90.0))
    sessions("2026/11/20/rollout-2026-11-20T08-00-00-u.jsonl", event(NOW - 900, primary=50.0), OTHER, EMPTY)
    ran = rotator("ingest", "codex-sessions", "--dir", "sessions", "--account", "x")
    assert (ran.code, ran.out, ran.err) == (0, "x: 5h 50 % left, 7d 66 % left, ready (as of 16 min ago)\n", "")
    window = _runtime(pool, "x")["windows"]["5h"]
    assert abs(datetime.fromisoformat(window["updated_at"]).timestamp() - (NOW - 900)) < 0.01
    before = pool.read_bytes()
    assert rotator("ingest", "codex-sessions", "--dir", "sessions", "--account", "x", "--json").json["learned"] is False
    assert pool.read_bytes() == before


def test_codex_s_own_folder_is_where_it_is_looked_for(pool, rotator, sessions, home):
    path = sessions("2026/11/20/rollout-2026-11-20T08-00-00-u.jsonl", event(NOW - 9))
    assert (
        rotator("ingest", "codex-sessions", "--account", "x", CODEX_HOME=str(home)).out
        == "x: 5h 97 % left, 7d 66 % left, ready\n"
    )
    own = home / "home" / ".codex" / "sessions"
    own.mkdir(parents=True)
    path.rename(own / path.name)
    assert rotator("ingest", "codex-sessions", "--account", "y").out.startswith("y: 5h 97 %")


def test_what_was_said_before_the_account_became_active_may_be_another_s(pool, rotator, sessions, home):
    sessions("2026/11/20/rollout-2026-11-20T08-00-00-u.jsonl", event(NOW - 900))
    chosen = {
        "rev": 1,
        "selected": {"at": datetime.fromtimestamp(NOW - 60, UTC).isoformat(), "from": "y", "reason": "x"},
    }
    _write(home, [*POOL[:2], {**POOL[2], "runtime": chosen}, POOL[3]], active="x")
    ran = rotator("ingest", "codex-sessions", "--dir", "sessions")
    assert (ran.code, ran.out) == (0, "x: ready; no limits of it in sessions\n")
    sessions("2026/11/20/rollout-2026-11-20T09-00-00-u.jsonl", event(NOW - 30))
    assert rotator("ingest", "codex-sessions", "--dir", "sessions").out.startswith("x: 5h 97 %")


def test_a_model_s_own_limit_is_learned_beside_the_shared_one(pool, rotator, sessions):
    own = event(NOW - 5, primary=100.0, limit_id="codex_bengalfox", limit_name="GPT-5.3-Codex-Spark")
    rotator("report", "x", "-m", "gpt-5.3-codex-spark", "--status", "200")
    sessions("2026/11/20/rollout-2026-11-20T08-00-00-u.jsonl", event(NOW - 9), own)
    assert "5h 97 % left" in rotator("ingest", "codex-sessions", "--dir", "sessions", "--account", "x").out
    spark = _runtime(pool, "x")["models"]["gpt-5.3-codex-spark"]["windows"]
    assert [window["remaining_fraction"] for name, window in spark.items() if name.endswith("5h")] == [0]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--dir", "nowhere", "--account", "x"], 66),
        (["--dir", "accounts.json", "--account", "x"], 66),
        (["--dir", ".", "--account", "zz"], 2),
        (["--dir", "."], 2),
    ],
)
def test_sessions_of_nobody_are_2_and_those_of_nowhere_66(pool, here, words, code):
    ran = here("ingest", "codex-sessions", *words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err


def test_what_is_older_than_what_is_known_is_not_learned(pool, rotator, sessions):
    words = ["ingest", "codex-sessions", "--dir", "sessions", "--account", "x", "--json"]
    path = sessions("2026/11/20/rollout-2026-11-20T08-00-00-u.jsonl", event(NOW - 9))
    assert rotator(*words).json["learned"] is True
    path.write_text(event(NOW - 90, primary=80.0))
    told = rotator(*words).json
    assert (told["learned"], told["windows"][0]["remaining_fraction"]) == (False, 0.97)


def test_a_folder_is_no_matter_of_a_status_line(pool, here):
    assert here("ingest", "claude-statusline", "--dir", ".").code == 2


def _limits(folder):
    return [
        (each.at, each.limit, each.body["payload"]["rate_limits"]["primary"]["used_percent"])
        for each in latest(str(folder), NOW)
    ]


def test_the_latest_event_counts_wherever_it_stands(sessions, home):
    day = "2026/11/20/rollout-2026-11-20T0"
    sessions(day + "1-00-00-u.jsonl", event(NOW - 10, primary=1.0), mtime=NOW - 10)
    sessions(day + "2-00-00-u.jsonl", event(NOW - 50, primary=2.0), mtime=NOW - 50)
    sessions(day + "3-00-00-u.jsonl", EMPTY, OTHER, "", mtime=NOW - 5)
    assert [each[1:] for each in _limits(home / "sessions")] == [(SHARED, 1.0)]


def test_a_file_last_written_before_the_latest_event_is_not_opened(sessions, home):
    sessions("2026/11/20/rollout-2026-11-20T09-00-00-u.jsonl", event(NOW - 10, primary=1.0))
    sessions("2026/11/19/rollout-2026-11-19T09-00-00-u.jsonl", event(NOW - 5, primary=2.0), mtime=NOW - 90_000)
    assert [each[2] for each in _limits(home / "sessions")] == [1.0]


def test_an_event_of_the_future_is_no_event(sessions, home):
    sessions(
        "2026/11/20/rollout-2026-11-20T09-00-00-u.jsonl", event(NOW - 10, primary=1.0), event(NOW + 10, primary=2.0)
    )
    assert _limits(home / "sessions") == []


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "5",
        '{"payload": 5}',
        '{"payload": {"type": "token_count", "rate_limits": {}}, "timestamp": 5}',
        "[" * 99_999,
    ],
)
def test_a_line_that_is_no_event_is_passed_over(sessions, home, line):
    cut = event(NOW - 1, primary=9.0)[:-9] + "\n"
    sessions(
        "2026/11/20/rollout-2026-11-20T09-00-00-u.jsonl",
        event(NOW - 10, primary=1.0),
        line + '"rate_limits token_count"',
        cut,
    )
    assert [each[2] for each in _limits(home / "sessions")] == [1.0]


def test_folders_that_are_none_of_codex_s_and_files_that_cannot_be_read_are_passed_over(sessions, home):
    sessions("archive/rollout-2027-01-01T00-00-00-u.jsonl", event(NOW - 1, primary=5.0))
    sessions("2026/11/21", "a file")
    sessions("2026/11/20/rollout-2026-11-20T10-00-00-u.jsonl").unlink()
    (home / "sessions/2026/11/20/rollout-2026-11-20T11-00-00-u.jsonl").symlink_to("nowhere")
    (home / "sessions/2026/11/20/rollout-2026-11-20T12-00-00-u.jsonl").mkdir()
    sessions("2026/11/20/notes.jsonl", event(NOW - 1, primary=6.0))
    sessions("2026/11/20/rollout-2026-11-20T09-00-00-u.jsonl", event(NOW - 10, primary=1.0))
    assert [each[2] for each in _limits(home / "sessions")] == [1.0]


def test_of_a_file_of_gigabytes_only_the_end_is_read(sessions, home, monkeypatch):
    path = sessions("2026/11/20/rollout-2026-11-20T09-00-00-u.jsonl")
    with path.open("r+b") as file:
        file.truncate(4 * 2**30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + event(NOW - 10, primary=1.0).encode() + b"\n")
    read = []
    real = open

    def counting(*words):
        file = real(*words)
        inner = file.read
        return type("Counted", (), {
            "seek": file.seek, "read": lambda _, n: read.append(n) or inner(n),
            "__enter__": lambda self: self, "__exit__": lambda *_: file.close(),
        })()  # fmt: skip

    monkeypatch.setattr(rollouts, "open", counting, raising=False)
    assert [each[2] for each in _limits(home / "sessions")] == [1.0]
    assert sum(read) <= 64 * 1024


def test_what_is_further_from_the_end_than_is_ever_read_is_not_found(sessions, home, monkeypatch):
    monkeypatch.setattr(rollouts, "_MOST_BYTES", 1000)
    monkeypatch.setattr(rollouts, "_BLOCK_BYTES", 100)
    sessions("2026/11/20/rollout-2026-11-20T09-00-00-u.jsonl", event(NOW - 10), "x" * 2000)
    assert _limits(home / "sessions") == []


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"")), max_size=12),
    block=st.integers(1, 30),
)
def test_lines_read_from_the_end_are_the_lines(tmp_path_factory, lines, block):
    path = tmp_path_factory.mktemp("lines") / "f"
    path.write_bytes(b"\n".join(lines))
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(rollouts, "_BLOCK_BYTES", block)
        assert [*rollouts._lines_from_end(file)][::-1] == (lines or [b""])


def test_a_line_that_is_cut_where_reading_ends_is_no_line(tmp_path, monkeypatch):
    monkeypatch.setattr(rollouts, "_MOST_BYTES", 5)
    (tmp_path / "f").write_bytes(b"abc\ndefgh\nij")
    with (tmp_path / "f").open("rb") as file:
        assert [*rollouts._lines_from_end(file)] == [b"ij"]


def test_so_many_files_are_looked_at_and_no_more(sessions, home, monkeypatch):
    monkeypatch.setattr(rollouts, "_MOST_FILES", 3)
    for place in range(5):
        sessions(f"2026/11/20/rollout-2026-11-20T0{place}-00-00-u.jsonl", *([event(NOW - 9)] if place < 2 else [OTHER]))
    assert _limits(home / "sessions") == []
