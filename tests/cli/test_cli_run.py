from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "rotator"]
PYTHON = sys.executable
POOL = [
    {"name": "a", "provider": "anthropic", "api_key": "fake-a"},
    {"name": "b", "provider": "anthropic", "access_token": "fake-b"},
    {"name": "c", "provider": "groq", "api_key": "fake-c"},
]
WAYS = [[], ["--retry-on", "99"]]
"""The program in rotator's place, and as its child."""
both_ways = pytest.mark.parametrize("way", WAYS, ids=["in its place", "as its child"])


@pytest.fixture
def pool(home, monkeypatch):
    for name in ("ROTATOR_ACCOUNT", "ANTHROPIC_API_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = home / "accounts.json"
    path.write_text(json.dumps({"version": 2, "active": "a", "accounts": POOL}))
    path.chmod(0o600)
    return path


@pytest.fixture
def started(pool):
    """Start a run whose program says when it listens; what is still there at the end is killed, the program too."""
    running = []

    def start(*words, **more):
        process = subprocess.Popen(
            [*PROGRAM, "run", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            **more,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


SHOWS = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], sys.stdout)"


@both_ways
def test_the_program_finds_the_account_in_its_environment_alone(pool, rotator, way):
    rotator("hold", "a")
    left = {"ANTHROPIC_API_KEY": "fake-other", "ANTHROPIC_BASE_URL": "https://other", "GROQ_API_KEY": "fake-own"}
    words = ["run", "--provider", "anthropic", "-m", "g", *way, "--", PYTHON, "-c", SHOWS, "-x", "--json"]
    seen, environment = rotator(*words, **left).json
    assert seen == ["-x", "--json"]
    assert (environment["ROTATOR_ACCOUNT"], environment["CLAUDE_CODE_OAUTH_TOKEN"]) == ("b", "fake-b")
    assert not {"ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"} & environment.keys()
    assert environment["GROQ_API_KEY"] == "fake-own"
    assert environment["ROTATOR_ACCOUNTS"] == str(pool)
    assert environment["HOME"] == os.environ["HOME"]


def test_options_behind_the_program_s_name_are_the_program_s(pool, rotator):
    assert rotator("run", "-m", "g", "echo", "-m", "h", "--wait", "--").out == "-m h --wait --\n"


@both_ways
@pytest.mark.parametrize("code", [0, 1, 3, 75, 255])
def test_the_program_s_exit_code_is_passed_on(pool, rotator, way, code):
    ran = rotator("run", "-m", "g", *way, "--", "sh", "-c", f"exit {code}")
    assert (ran.code, ran.out, ran.err) == (code, "", "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGPIPE, signal.SIGTERM, signal.SIGXFSZ])
def test_a_program_that_a_signal_ended_is_told_as_a_shell_tells_it(pool, rotator, number):
    words = ["--", "sh", "-c", f"kill -{number.value} $$"]
    ran = rotator("run", "-m", "g", "--retry-on", str(128 + number), *words)
    assert (ran.code, ran.err) == (128 + number, "")  # no code of its own, so no reason to try again
    assert rotator("run", "-m", "g", *words).code == -number


@both_ways
def test_a_program_that_is_not_there_is_127_and_one_that_cannot_be_run_126(pool, home, rotator, way):
    (home / "plain").write_text("no program")
    absent = rotator("run", "-m", "g", *way, "--", "no-such-program")
    assert (absent.code, absent.out, absent.err) == (127, "", "rotator: no-such-program: No such file or directory\n")
    plain = rotator("run", "-m", "g", *way, "--", "./plain")
    assert (plain.code, plain.out, plain.err) == (126, "", "rotator: ./plain: Permission denied\n")
    assert rotator("run", "-m", "g", *way, "--", "").code == 127


@both_ways
def test_the_program_has_this_one_s_streams_and_whatever_else_was_left_open_for_it(pool, way, rotator):
    assert rotator("run", "-m", "g", *way, "--", "cat", given=b"as it came\0").out == "as it came\0"
    reading, writing = os.pipe()
    words = [*PROGRAM, "run", "-m", "g", *way, "--", PYTHON, "-c", f"import os; os.write({writing}, b'here\\n')"]
    subprocess.run(words, pass_fds=[writing], check=True)
    os.close(writing)
    assert os.read(reading, 100) == b"here\n"
    os.close(reading)


LISTENS = """
import os, signal, sys
def heard(number, frame):
    os.write(1, b"heard %d\\n" % number)  # print is not to be entered a second time
    if number != {goes_on}: sys.exit(40)
for number in (1, 2, 3, 10, 15): signal.signal(number, heard)
os.write(1, b"listens %d\\n" % os.getpid())
while True: signal.pause()
"""


@both_ways
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_to_rotator_is_one_to_the_program_whose_end_is_awaited(started, way, number):
    process = started("-m", "g", *way, "--", PYTHON, "-c", LISTENS.format(goes_on=0))
    pid = int(process.stdout.readline().split()[1])
    assert (pid == process.pid) == (not way)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (40, f"heard {number.value}\n", "")
    assert not Path(f"/proc/{pid}").exists()


def test_a_program_that_goes_on_after_a_signal_is_waited_for(started):
    process = started("-m", "g", "--retry-on", "99", "--", PYTHON, "-c", LISTENS.format(goes_on=15))
    process.stdout.readline()
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "heard 15\n"
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 40


def test_a_program_that_was_asked_to_end_is_not_started_again(started, pool):
    process = started("-m", "g", "--retry-on", "40", "--", PYTHON, "-c", LISTENS.format(goes_on=0))
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (40, "heard 15\n", "")
    assert "held" not in pool.read_text()


@both_ways
def test_a_signal_that_was_ignored_stays_ignored(started, way):
    shown = "import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, signal.pthread_sigmask(0, []))"
    process = started("-m", "g", *way, "--", PYTHON, "-c", shown, preexec_fn=_ignore_hangup)
    assert process.communicate(timeout=20)[0] == "True set()\n"


def test_a_signal_that_was_ignored_is_not_passed_on(started):
    words = ["-m", "g", "--retry-on", "99", "--", PYTHON, "-c", LISTENS.format(goes_on=0)]
    process = started(*words, preexec_fn=_ignore_hangup)
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=20)[0] == "heard 10\n"


def _ignore_hangup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@both_ways
def test_a_job_that_is_stopped_and_continued_goes_on(started, way):
    process = started("-m", "g", *way, "--", PYTHON, "-c", LISTENS.format(goes_on=0))
    pid = int(process.stdout.readline().split()[1])
    os.killpg(process.pid, signal.SIGTSTP)
    assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
    os.killpg(process.pid, signal.SIGCONT)
    os.kill(pid, signal.SIGUSR1)
    assert process.communicate(timeout=20)[0] == "heard 10\n"
    assert process.returncode == 40


AT_TERMINAL = """
import os, signal, sys
def heard(number, frame):
    os.write(1, b"heard %d %d\\n" % (number, os.get_terminal_size(0).columns))
    if number == 10: sys.exit(40)
for number in (2, 10, 28): signal.signal(number, heard)
at_home = all(map(os.isatty, (0, 1, 2))) and os.getpgrp() == os.tcgetpgrp(0)
os.write(1, b"listens %d\\n" % at_home)
while True: signal.pause()
"""


def _line(master):
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(master, 1)
    return line.decode().strip()


@both_ways
def test_at_a_terminal_the_program_hears_its_keys_and_its_size_once(pool, way):
    words = [*PROGRAM, "run", "-m", "g", *way, "--retry-on", "40", "--", PYTHON, "-c", AT_TERMINAL]
    if not way:
        words = [word for word in words if word not in ("--retry-on", "40")]
    pid, master = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    try:
        assert _line(master) == "listens 1"
        fcntl.ioctl(master, termios.TIOCSWINSZ, (40).to_bytes(2, "little") + (123).to_bytes(2, "little") + bytes(4))
        assert _line(master) == "heard 28 123"
        if way:
            os.kill(
                pid, signal.SIGSTOP
            )  # or a second one might come while the first is not yet heard, and count for one
        os.write(master, b"\x03")
        assert _line(master) == "^Cheard 2 123"
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGUSR1)  # passed on after whatever else there was to pass on
        said = []
        try:
            while len(said) < 3:
                said.append(_line(master))
        except OSError:  # the terminal is closed when the last one that had it has ended
            pass
        assert said == ["heard 10 123"]
    finally:
        status = os.waitpid(pid, 0)[1]
        os.close(master)
    assert os.waitstatus_to_exitcode(status) == 40


REFUSED = 'echo "$ROTATOR_ACCOUNT"; case $ROTATOR_ACCOUNT in {}) exit {};; esac'


def _state(path, name):
    return next(each for each in json.loads(path.read_bytes())["accounts"] if each["name"] == name)


def test_on_a_code_that_was_named_the_account_is_held_for_the_model_and_the_next_is_tried(pool, rotator):
    before = datetime.now(UTC).timestamp()  # noqa: TID251  a process is waited for, so it is its clock that counts
    ran = rotator(
        "run", "-m", "g", "--retry-on", "1", "--retry-on", "7,75", "--", "sh", "-c", REFUSED.format("a|b", 75)
    )
    names = ran.out.split()
    assert ran.code == 0
    assert names[-1] == "c"
    assert set(names[:-1]) <= {"a", "b"}
    for name in names[:-1]:
        held = _state(pool, name)["runtime"]["models"]["g"]
        assert held["held"] is True
        assert 890 < datetime.fromisoformat(held["held_until"]).timestamp() - before < 960
        assert not _state(pool, name)["runtime"].get("held")
    assert ran.err == "".join(f"rotator: sh ended with 75 on {name}\n" for name in names[:-1])


def test_without_a_model_the_whole_account_is_held(pool, rotator):
    words = ["--hold-for", "1h", "--max-accounts", "2", "--retry-on", "9", "--", "sh", "-c", REFUSED.format("*", 9)]
    ran = rotator("run", *words)
    names = ran.out.split()
    assert (ran.code, len(names)) == (9, 2)
    assert len(set(names)) == 2
    assert all(_state(pool, name)["runtime"]["held"] for name in names)


@pytest.mark.parametrize(("most", "runs"), [("1", 1), ("2", 2), ("9", 3)])
def test_so_many_accounts_are_tried_and_no_account_twice(pool, rotator, most, runs):
    for hold in ("0", "15m"):
        words = [
            "--hold-for",
            hold,
            "--retry-on",
            "9",
            "--max-accounts",
            most,
            "--",
            "sh",
            "-c",
            REFUSED.format("*", 9),
        ]
        ran = rotator("run", "-m", hold, *words)
        assert (ran.code, len(ran.out.split()), len({*ran.out.split()})) == (9, runs, runs)


@pytest.mark.parametrize("asked", [["--tag", "t"], ["--provider", "groq"]])
def test_when_all_that_are_asked_for_were_tried_nobody_is_told_to_add_an_account(pool, rotator, asked):
    document = json.loads(pool.read_text())
    document["accounts"][2]["tags"] = ["t"]
    pool.write_text(json.dumps(document))
    ran = rotator("run", "-m", "g", *asked, "--retry-on", "9", "--", "sh", "-c", REFUSED.format("*", 9))
    assert (ran.code, ran.out, ran.err) == (9, "c\n", "rotator: sh ended with 9 on c\n")


def test_another_code_is_no_reason_to_try_again(pool, rotator):
    ran = rotator("run", "-m", "g", "--retry-on", "9", "--", "sh", "-c", REFUSED.format("*", 8))
    assert (ran.code, len(ran.out.split()), ran.err) == (8, 1, "")
    assert "held" not in pool.read_text()


def test_when_nobody_else_is_ready_the_program_s_code_stands_and_that_is_said(pool, rotator):
    for name in "bc":
        rotator("hold", name, "--for", "1h")
    ran = rotator("run", "-m", "g", "--retry-on", "9", "--", "sh", "-c", REFUSED.format("*", 9))
    assert (ran.code, ran.out) == (9, "a\n")
    assert "parked until" in ran.err


def test_a_file_that_broke_meanwhile_does_not_hide_the_program_s_code(pool, rotator):
    ran = rotator("run", "-m", "g", "--retry-on", "9", "--", "sh", "-c", "echo broken > accounts.json; exit 9")
    assert ran.code == 9
    assert "is not valid" in ran.err


def test_a_next_account_that_cannot_be_expressed_does_not_hide_the_program_s_code(pool, rotator):
    entries = [
        {"name": "a", "provider": "anthropic", "api_key": "fake-a"},
        {"name": "b", "provider": "google-gemini-api", "access_token": "fake-b"},
    ]
    words = ["run", "-m", "g", "--retry-on", "9", "--", "sh", "-c", REFUSED.format("*", 9)]
    pool.write_text(json.dumps({"version": 2, "active": "a", "accounts": entries}))
    ran = rotator(*words)
    assert (ran.code, ran.out) == (9, "a\n")
    assert "access_token of b" in ran.err
    more = [*entries, {"name": "c", "provider": "groq", "api_key": "fake-c", "priority": 5}]
    pool.write_text(json.dumps({"version": 2, "active": "a", "accounts": more}))
    assert rotator(*words).out == "a\nc\n"


@both_ways
def test_a_script_that_names_no_interpreter_is_the_shell_s(pool, home, rotator, way):
    script = home / "plain"
    script.write_text('printf "%s|" "$0" "$@" "$ROTATOR_ACCOUNT"; exit 4\n')
    script.chmod(0o700)
    ran = rotator("run", *way, "--", "./plain", "a b", "*")
    assert (ran.code, ran.out, ran.err) == (4, "./plain|a b|*|a|", "")
    path = f"{home}:{os.environ['PATH']}"
    assert rotator("run", *way, "--", "plain", "x", PATH=path).out == f"{script}|x|a|"


@pytest.mark.parametrize("way", WAYS)
def test_when_nobody_is_ready_nothing_is_run(pool, rotator, way):
    for name in "abc":
        rotator("hold", name, "--for", "1h")
    ran = rotator("run", "-m", "g", *way, "--", "touch", "was-run")
    assert (ran.code, ran.out) == (75, "")
    assert "parked until" in ran.err
    assert rotator("run", "-m", "g", "--wait", "0.05", *way, "--", "touch", "was-run").code == 124
    assert not (pool.parent / "was-run").exists()


def test_it_waits_for_somebody_when_asked_to(pool, rotator):
    for name in "abc":
        rotator("hold", name, "--for", "0.5")
    ran = rotator("run", "-m", "g", "--wait", "20", "--", "sh", "-c", "echo ran")
    assert (ran.code, ran.out) == (0, "ran\n")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--"],
        ["--retry-on", "0", "--", "true"],
        ["--retry-on", "256", "--", "true"],
        ["--retry-on", "1,", "--", "true"],
        ["--retry-on", "x", "--", "true"],
        ["--retry-on", "9", "--account", "a", "--", "true"],
        ["--max-accounts", "0", "--", "true"],
        ["--hold-for", "soon", "--", "true"],
    ],
)
def test_what_cannot_be_meant_is_2(pool, here, words):
    ran = here("run", "-m", "g", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: rotator run" in ran.err


CANARY = ["fake-a", "fake-b", "fake-c", "fake-r"]
PEEKS = 'tr "\\0" " " < /proc/$$/cmdline; tr "\\0" " " < /proc/$PPID/cmdline; ps -o args= -p $$ -p $PPID 2>&1; exit 9'


@pytest.mark.parametrize(
    "words",
    [
        ["run", "-m", "g", "--retry-on", "9", "--", "sh", "-c", PEEKS],
        ["run", "--account", "b", "--", "sh", "-c", PEEKS],
        ["run", "-m", "g", "--", "no-such-program"],
        ["token", "-m", "g", "--tag", "nobody-has-it"],
        ["token", "--account", "zz"],
        ["ingest", "claude-statusline", "--json"],
        ["ingest", "codex-sessions", "--dir", ".", "--account", "a", "--json"],
        ["status", "--json"],
    ],
    ids=" ".join,
)
def test_no_secret_leaves_by_another_door(pool, here, rotator, words, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    document = json.loads(pool.read_text())
    document["accounts"][0]["refresh_token"] = "fake-r"
    pool.write_text(json.dumps(document))
    ran = rotator(*words, PYTHONWARNINGS="default", ROTATOR_ACCOUNT="a")
    told = ran.out + ran.err
    if words[0] != "run":
        in_process = here(*words)
        told += in_process.out + in_process.err + caplog.text
    assert told
    assert not [secret for secret in CANARY if secret in told]


def test_stderr_of_the_commands_that_hand_out_secrets_holds_none(pool, here, caplog):
    caplog.set_level("DEBUG")
    for words in (["token"], ["token", "--json"], ["env"], ["env", "--format", "json"]):
        ran = here(*words)
        assert "fake-" in ran.out
        assert "fake-" not in ran.err + caplog.text
