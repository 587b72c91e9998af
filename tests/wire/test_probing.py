"""Probes: what shows that an account can start a session, what shows that it cannot, and what shows nothing."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from datetime import timedelta

import pytest

from rotator import Rotator
from rotator.core.signals import AuthRefused, Blocked, Probed, RateLimited, ServerFailed, Succeeded
from rotator.core.state import Availability
from rotator.errors import UnknownAccount
from rotator.wire import child, refresh
from rotator.wire.probing import last_line, model_of, probe
from rotator.wire.smallest import FORMS, request
from tests.provider.server import Answer
from tests.simulators import START, account, document, load, save

DIALECTS = [
    ("anthropic", "anthropic"),
    ("openai", "openai"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("openrouter", "openrouter"),
    ("github-models", "github-models"),
    ("codex", "codex"),
    ("google-gemini-api", "google"),
    ("google-cloudcode", "cloudcode"),
    ("google-vertex", "google"),
    ("azure-openai", "openai"),
    ("generic", "openai"),
]


def there(provider, name, family="anthropic", dialect=None, **parts):
    """An account with an API key at the provider, and its entry in the file."""
    provider.account(name, key=f"fake-{name}-key", dialect=dialect or dict(DIALECTS)[family], **parts)
    return account(name, provider=family, api_key=f"fake-{name}-key", base_url=provider.url)


def with_command(name, *words, **parts):
    return account(name, probe=list(words), **parts)


def python(name, program, **parts):
    return with_command(name, sys.executable, "-c", program, **parts)


def engine(clock, *entries, **parts):
    return Rotator.memory(document(*entries, **parts), clock=clock)


def available(rotator, name="a"):
    return rotator.pool.account(name).runtime.availability


# the smallest request


@pytest.mark.parametrize(("family", "dialect"), DIALECTS)
def test_the_smallest_request_of_each_family_is_served_and_learned(provider, clock, family, dialect):
    entry = there(provider, "a", family, dialect) | {"project_id": "p-1"}
    rotator = engine(clock, entry)
    model = FORMS[family].model or "some-model"
    (result,) = probe(rotator, model=None if FORMS[family].model else model)
    assert (result.outcome, result.reason, result.model) == ("available", "", model)
    assert available(rotator) == Availability(True, START, "")
    assert rotator.pool.account("a").state(model).last_success_at == START, "learned as any response"
    (seen,) = provider.requests
    assert seen.status == 200
    assert len(seen.body) < 300


def test_the_model_may_be_named(provider, clock):
    rotator = engine(clock, there(provider, "a"))
    (result,) = probe(rotator, model="claude-opus-4-1")
    assert result.model == "claude-opus-4-1"
    assert json.loads(provider.requests[0].body)["model"] == "claude-opus-4-1"


@pytest.mark.parametrize(
    ("models", "known", "wanted"),
    [
        (["*"], {}, "claude-haiku-4-5"),
        (["claude-*"], {}, "claude-haiku-4-5"),
        (["claude-opus-*", "claude-sonnet-4-5"], {}, "claude-sonnet-4-5"),
        (["claude-opus-*"], {"a-model-of-old": {}, "claude-opus-4-1": {}}, "claude-opus-4-1"),
        (["claude-opus-*"], {}, None),
    ],
)
def test_without_a_name_it_is_the_cheapest_that_the_account_serves(clock, models, known, wanted):
    entry = account("a", provider="anthropic", models=models, runtime={"rev": 1, "models": known})
    rotator = engine(clock, entry)
    assert model_of(rotator.pool.account("a")) == wanted
    if wanted is None:
        (result,) = probe(rotator)
        assert result.outcome == "not_made"
        assert "-m" in result.reason


@pytest.mark.parametrize(
    ("refused", "reason"),
    [("banned", "banned"), ("restricted", "restricted"), ("billing", "billing"), ("unknown", "auth_failed")],
)
def test_an_account_that_is_refused_for_what_it_is_fails_its_probe(provider, clock, refused, reason):
    rotator = engine(clock, there(provider, "a"), there(provider, "b"))
    provider.held("a").script(refused)
    (result,) = probe(rotator, ["a"])
    assert (result.outcome, result.reason.partition(":")[0]) == ("refused", reason)
    seen = available(rotator)
    assert (seen.ok, seen.checked_at) == (False, START)
    assert rotator.explain("claude-haiku-4-5").account == "b"


@pytest.mark.parametrize("said", ["spent", "bare", "overloaded", Answer(500, {}, {"error": {"type": "api_error"}})])
def test_a_throttle_or_a_provider_in_trouble_is_no_failed_probe(provider, clock, said):
    rotator = engine(clock, there(provider, "a"))
    provider.held("a").script(said)
    learned = []
    observe = rotator.observe
    rotator.observe = lambda *args, **parts: learned.extend(observe(*args, **parts))
    (result,) = probe(rotator)
    assert result.outcome == "throttled"
    assert available(rotator) is None
    assert learned, "but it is learned as any response"
    assert not any(isinstance(fact, Succeeded) for fact in learned)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404, {}, {"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}), "name another model with -m"),
        (Answer(302, {"location": "https://elsewhere.example"}), "is base_url right?"),
        (Answer(200, {"content-type": "text/html"}, "<html>sign in</html>"), "is base_url right?"),
        (Answer(drop=True), "the connection broke"),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_the_account_says_nothing_about_it(provider, clock, answer, reason):
    rotator = engine(clock, there(provider, "a"))
    rotator.ingest([ServerFailed("a", "m", START - 500, None)])
    provider.held("a").script(answer)
    before = rotator.pool
    (result,) = probe(rotator)
    assert result.outcome == "not_made"
    assert reason in result.reason
    assert rotator.pool == before
    assert len(provider.requests) == 1, "what may have been charged is not sent twice"


def test_no_network_says_nothing(clock):
    rotator = engine(clock, account("a", provider="anthropic", base_url="http://127.0.0.1:1"))
    before = rotator.pool
    (result,) = probe(rotator)
    assert (result.outcome, result.reason) == ("not_made", "cannot be reached")
    assert rotator.pool == before


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "a", "provider": "github-copilot", "api_key": "fake-a"},
        {"name": "a", "provider": "azure-openai", "api_key": "fake-a", "models": ["d"]},
        {"name": "a", "provider": "google-vertex", "api_key": "fake-a"},
        {"name": "a", "provider": "anthropic"},
        {"name": "a", "provider": "anthropic", "api_key": "fake-a", "base_url": "http://llm.example"},
        {"name": "a", "provider": "generic", "api_key": "fake-a", "base_url": "http://llm.example/v1", "models": ["m"]},
        {"name": "a", "provider": "anthropic", "api_key": {"env": "NO_SUCH_SECRET"}},
        {"name": "a", "provider": "anthropic", "api_key": "fake\na"},
    ],
    ids=[
        "its programs alone",
        "no address",
        "no project",
        "no credential",
        "http",
        "http chat",
        "no secret",
        "no header",
    ],
)
def test_an_account_that_cannot_be_asked_is_not_found_wanting(clock, entry):
    rotator = engine(clock, entry)
    (result,) = probe(rotator)
    assert result.outcome == "not_made"
    assert result.reason
    assert result.model is None, "nothing was sent"
    assert available(rotator) is None


def test_a_401_of_a_token_is_refreshed_once_and_asked_again(provider, clock, monkeypatch):
    provider.account("a", access_token="fake-a-new", dialect="anthropic", strict=True)
    entry = {"name": "a", "provider": "anthropic", "access_token": "fake-a-old", "base_url": provider.url}

    def current(rotator, name, *, rejected=None):
        credentials = rotator.credentials(name)
        if rejected is not None:
            credentials.access_token = "fake-a-new"
        return credentials

    monkeypatch.setattr(refresh, "current", current)
    rotator = engine(clock, entry)
    assert probe(rotator)[0].outcome == "available"
    assert [seen.status for seen in provider.requests] == [401, 200]
    assert rotator.pool.account("a").runtime.consecutive_401 == 0


def test_a_failed_probe_keeps_an_account_out_until_it_is_old_unless_that_leaves_nobody(provider, clock):
    rotator = engine(clock, python("a", "raise SystemExit(3)"), there(provider, "b"))
    probe(rotator, ["a"])
    assert rotator.explain("m").account == "b"
    rotator.hold("b")
    assert rotator.explain("m").account == "a"
    rotator.release("b")
    clock.advance(7200)
    assert {c.account: c.blocked_by for c in rotator.explain("m").candidates} == {"a": None, "b": None}


# a command of one's own


def test_a_command_that_ends_with_0_shows_that_the_account_is_available(clock):
    rotator = engine(clock, python("a", "print('all is well')"))
    (result,) = probe(rotator)
    assert (result.outcome, result.reason, result.model) == ("available", "", None)
    assert available(rotator) == Availability(True, START, "")


HARD = [
    Blocked("a", "banned", START - 1, "said"),
    Blocked("a", "restricted", START - 1, "said"),
    AuthRefused("a", START - 1, "said", final=True),
]


@pytest.mark.parametrize("said", HARD)
def test_a_command_that_is_served_ends_what_said_that_none_could_be(clock, said):
    rotator = engine(clock, python("a", "pass"))
    rotator.ingest([Succeeded("a", "m", START - 90), ServerFailed("a", "m", START - 1), said])
    assert rotator.explain("m").account is None
    assert probe(rotator)[0].outcome == "available"
    assert rotator.explain("m").account == "a"
    assert available(rotator) == Availability(True, START, "")


def test_a_command_that_is_served_leaves_what_the_provider_said_of_a_model(clock):
    rotator = engine(clock, python("a", "pass"))
    rotator.ingest([RateLimited("a", "m", START - 1, 7200.0), ServerFailed("a", "n", START - 1)])
    probe(rotator)
    assert rotator.explain("m").wake_at is not None
    assert rotator.explain("n").account == "a"


def test_where_no_model_is_known_a_served_command_counts_for_the_named_one_or_gives_the_account_back(clock):
    refused = AuthRefused("a", START - 1, "said", final=True)
    named = engine(clock, python("a", "pass"))
    named.ingest([refused])
    probe(named, model="m")
    assert (named.explain("m").account, [*named.pool.account("a").runtime.models]) == ("a", ["m"])
    rotator = engine(clock, python("a", "pass"))
    rotator.hold("a")
    rotator.ingest([refused])
    clock.advance(1)
    probe(rotator, ["a"])
    runtime = rotator.pool.account("a").runtime
    assert (runtime.auth_failed, runtime.held, runtime.models) == (False, True, {})
    assert available(rotator) == Availability(True, START + 1, "")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; print('Invalid login'); sys.exit(3)", "exit code 3: Invalid login"),
        ("import sys; sys.stderr.write('a\\n\\x1b[31mred\\x1b[0m \\x07words\\n\\n  \\n'); sys.exit(1)", "exit code 1: red words"),
        ("raise SystemExit(2)", "exit code 2"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("import sys; print('x' * 5000 + ' end'); sys.exit(1)", "exit code 1: " + "x" * 200),
    ],
)  # fmt: skip
def test_a_command_that_fails_is_told_by_its_last_line(clock, program, reason):
    rotator = engine(clock, python("a", program))
    (result,) = probe(rotator)
    assert (result.outcome, result.reason) == ("refused", reason)
    assert available(rotator) == Availability(False, START, reason)


def test_a_command_runs_without_a_shell(clock, tmp_path):
    trap = tmp_path / "trap"
    program = "import sys; sys.exit(sys.argv[1:] != ['$HOME', '; touch " + str(trap) + "', '*'])"
    entry = with_command("a", sys.executable, "-c", program, "$HOME", f"; touch {trap}", "*")
    assert probe(engine(clock, entry))[0].outcome == "available"
    assert not trap.exists()


def test_a_command_has_no_input_and_no_terminal(clock):
    """Though this process has something to read."""
    program = "import sys, os; sys.exit(sys.stdin.read() != '' or any(os.isatty(n) for n in (0, 1, 2)))"
    before = os.dup(0)
    there_is, more = os.pipe()
    try:
        os.write(more, b"said")
        os.close(more)
        os.dup2(there_is, 0)
        assert probe(engine(clock, python("a", program)))[0].outcome == "available"
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(there_is)


def test_a_command_has_the_accounts_credentials_and_nobody_elses(clock, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "fake-of-another")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "fake-of-another")
    monkeypatch.setenv("KEPT", "yes")
    program = (
        "import os, sys; e = os.environ; "
        "sys.exit((e.get('ANTHROPIC_API_KEY'), e.get('ANTHROPIC_AUTH_TOKEN'), e.get('ROTATOR_ACCOUNT'), e.get('KEPT'))"
        " != ('fake-a', None, 'a', 'yes'))"
    )
    assert probe(engine(clock, python("a", program, provider="anthropic")))[0].outcome == "available"
    assert os.environ["ANTHROPIC_API_KEY"] == "fake-of-another"


def test_a_command_may_do_without_any_credential(clock):
    entry = {
        "name": "a",
        "probe": [sys.executable, "-c", "import os, sys; sys.exit(os.environ['ROTATOR_ACCOUNT'] != 'a')"],
    }
    assert probe(engine(clock, entry))[0].outcome == "available"


@pytest.mark.parametrize(
    "words",
    [["/no/such/program"], ["no-such-program-anywhere"], ["/"], [sys.executable, "a\0b"]],
    ids=["path", "name", "directory", "NUL"],
)
def test_a_command_that_cannot_be_started_says_nothing_of_the_account(clock, words):
    rotator = engine(clock, with_command("a", *words))
    before = rotator.pool
    (result,) = probe(rotator)
    assert result.outcome == "not_made"
    assert result.reason.startswith("its probe cannot be started")
    assert rotator.pool == before


class Line:
    """A named pipe on which a program says its number, and which ends when nobody holds it any more."""

    def __init__(self, path):
        os.mkfifo(path)
        self.said = b""
        self.spoken = threading.Event()
        self._listener = threading.Thread(target=self._listen, args=(path,), daemon=True)
        self._listener.start()

    def _listen(self, path):
        with open(path, "rb", buffering=0) as pipe:
            while word := pipe.read(64):
                self.said += word
                self.spoken.set()

    def held(self):
        return self._listener.is_alive()

    def ended(self):
        self._listener.join(20)
        return not self._listener.is_alive()


def test_a_command_that_does_not_end_in_time_fails_and_is_ended_with_all_that_it_started(clock, tmp_path):
    line = Line(tmp_path / "line")
    lasting = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    program = (
        f"import os, subprocess, sys, time; line = os.open({str(tmp_path / 'line')!r}, os.O_WRONLY);"
        f"subprocess.Popen([sys.executable, '-c', {lasting!r}], pass_fds=[line]); os.write(line, b'here'); time.sleep(60)"
    )
    rotator = engine(clock, python("a", program))
    (result,) = probe(rotator, timeout_secs=2)
    assert (result.outcome, result.reason) == ("refused", "no end within 2 s")
    assert line.ended()
    assert line.said == b"here"


def test_a_signal_ends_the_commands_that_are_under_way(clock, tmp_path):
    """It comes when the first probe is done and the second one has begun."""
    line = Line(tmp_path / "line")
    slow = f"import os, time; os.write(os.open({str(tmp_path / 'line')!r}, os.O_WRONLY), b'here'); time.sleep(60)"
    rotator = engine(clock, python("a", "pass"), python("b", slow))

    def interrupted(done, _total):
        if done == 1:
            assert line.spoken.wait(20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe(rotator, progress=interrupted)
    assert line.ended()
    assert available(rotator, "b") is None, "it was ended, it did not fail"


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch):
    monkeypatch.setattr(child, "_GRACE_SECS", 0.1)
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    ran = child.run([sys.executable, "-c", program], os.environ, 2.0, threading.Event())
    assert ran == child.Ran(None, b"ready\n")


def test_endless_output_is_neither_kept_nor_waited_for(clock):
    program = "import sys\nfor n in range(200000): print('line', n)\nsys.exit(4)"
    (result,) = probe(engine(clock, python("a", program)))
    assert result.reason == "exit code 4: line 199999"
    ran = child.run([sys.executable, "-c", program], os.environ, 60.0, threading.Event())
    assert len(ran.tail) == child.TAIL_BYTES


def _leaving(tmp_path, begin=""):
    """A program that ends when another one, which it started, has said its number."""
    lasting = f"import os, signal, sys, time; {begin}; os.write(int(sys.argv[1]), b'here'); time.sleep(60)"
    return (
        f"import os, subprocess, sys; line = os.open({str(tmp_path / 'line')!r}, os.O_WRONLY); out, into = os.pipe();"
        f"subprocess.Popen([sys.executable, '-c', {lasting!r}, str(into), str(line)], pass_fds=[line, into]);"
        "os.read(out, 4); print('bye'); sys.exit(1)"
    )


@pytest.mark.parametrize("begin", ["pass", "signal.signal(15, signal.SIG_IGN)"])
def test_what_a_command_leaves_behind_is_ended_with_it(clock, tmp_path, begin):
    line = Line(tmp_path / "line")
    (result,) = probe(engine(clock, python("a", _leaving(tmp_path, begin))))
    assert result.reason == "exit code 1: bye"
    assert line.ended()


def test_what_leaves_the_group_with_the_output_is_not_waited_for(clock, tmp_path):
    line = Line(tmp_path / "line")
    (result,) = probe(
        engine(
            clock, python("a", _leaving(tmp_path, "os.setsid(); os.write(int(sys.argv[2]), str(os.getpid()).encode())"))
        )
    )
    assert result.reason == "exit code 1: bye"
    assert line.held(), "it is still there"
    os.kill(int(line.said), 9)
    assert line.ended()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"key fake-canary-1 refused", "key *** refused"),
        (b"refresh fake-canary-longer failed", "refresh *** failed"),
        (b"401 for sk-proj-0123456789abcdefghijkl", "401 for ***"),
        (b"fine\r\nprogress 10%\rprogress 99%\r", "progress 99%"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
        (b"limit of 50 requests per day reached", "limit of 50 requests per day reached"),
        ("r\u00e9seau coup\u00e9\u202e".encode(), "r\u00e9seau coup\u00e9"),
        (b"", ""),
    ],
)
def test_a_last_line_is_plain_and_holds_no_secret(line, shown):
    entry = account("a", api_key="fake-canary-1", refresh_token="fake-canary-longer")
    assert last_line(b"before\n" + line if line else line, Rotator.memory(document(entry)).credentials("a")) == shown


def test_no_secret_is_in_logs_results_or_the_file(provider, clock, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    program = "import os, sys; print('refused', os.environ['ANTHROPIC_API_KEY']); sys.exit(1)"
    provider.account("b", key="fake-canary-b", dialect="google")
    entries = [
        python("a", program, provider="anthropic") | {"api_key": "fake-canary-a"},
        account("b", provider="google-gemini-api", api_key="fake-canary-b", base_url=provider.url),
    ]
    path = tmp_path / "accounts.json"
    save(path, document(*entries))
    with Rotator.open(path, clock=clock) as rotator:
        results = probe(rotator)
    assert [result.outcome for result in results] == ["refused", "available"]
    runtimes = [entry["runtime"] for entry in load(path)["accounts"]]
    assert runtimes[0]["availability"]["reason"] == "exit code 1: refused ***"
    assert "canary" not in repr(results) + caplog.text + json.dumps(runtimes)
    assert "canary" not in provider.requests[0].query


# who is probed


def test_of_the_whole_pool_who_is_disabled_or_on_hold_is_left_out(provider, clock):
    entries = [there(provider, name) for name in "abc"]
    entries[0]["enabled"] = False
    rotator = engine(clock, *entries)
    rotator.hold("b")
    rotator.hold("c", until=clock.now() - timedelta(seconds=1))
    assert [(r.account, r.outcome) for r in probe(rotator)] == [("a", "skipped"), ("b", "skipped"), ("c", "available")]
    assert [r.outcome for r in probe(rotator, ["b", "b"])] == ["available"]
    assert len(provider.requests) == 2


def test_accounts_of_one_host_are_probed_one_after_the_other(provider, clock):
    entries = [there(provider, name) for name in "abc"]
    probe(engine(clock, *entries), luck=lambda: 0.0)
    assert [seen.account for seen in provider.requests] == ["a", "b", "c"]
    assert clock.naps == [0.5, 0.5]


def test_an_unknown_name_is_said_before_anything_is_done(provider, clock):
    with pytest.raises(UnknownAccount):
        probe(engine(clock, there(provider, "a")), ["a", "z"])
    assert provider.requests == []


def test_one_account_that_cannot_be_asked_does_not_stop_the_others(provider, clock):
    entries = [account("a", api_key={"env": "NO_SUCH_SECRET"}), there(provider, "b"), python("c", "pass")]
    assert [result.outcome for result in probe(engine(clock, *entries))] == ["not_made", "available", "available"]


def test_a_probe_that_is_older_than_the_last_success_is_forgotten(clock):
    rotator = engine(clock, account("a"))
    rotator.ingest([Probed("a", START, Availability(False, START, "x")), Succeeded("a", "m", START + 1)])
    clock.advance(2)
    assert rotator.explain("m").candidates[0].ready


def test_a_base_url_with_a_path_is_the_whole_address_of_a_chat_api():
    def url(base_url, provider="generic"):
        entry = account("a", provider=provider, **({"base_url": base_url} if base_url else {}))
        return request(Rotator.memory(document(entry)).credentials("a"), "m").url

    assert url("https://llm.example") == "https://llm.example/v1/chat/completions"
    assert url("https://llm.example/api/v2/") == "https://llm.example/api/v2/chat/completions"
    assert url(None, "groq") == "https://api.groq.com/openai/v1/chat/completions"
    assert url("http://127.0.0.1:9", "groq") == "http://127.0.0.1:9/openai/v1/chat/completions"
    assert url(None, "github-models") == "https://models.github.ai/inference/chat/completions"
