from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from rotator.cli.anymodel import ANY, choose
from rotator.core.codec.decode import decode
from rotator.core.selection import Parked, Selected, Unavailable
from rotator.errors import LoginNeeded
from tests.provider.server import Answer, Provider

NOW = 1795168800.0
POOL = [
    {"name": "a", "provider": "anthropic", "api_key": "fake-a", "models": ["claude-*"]},
    {
        "name": "b",
        "provider": "anthropic",
        "access_token": "fake-b",
        "expires_at": "2036-11-20T10:00:00Z",
        "tags": ["t"],
        "models": ["claude-*"],
    },
    {"name": "o", "provider": "openai", "api_key": "fake-o", "models": ["gpt-*"]},
]


def _write(home, *accounts, **more):
    path = home / "accounts.json"
    path.write_text(json.dumps({"version": 2, **more, "accounts": accounts}))
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def _nobody_marked(monkeypatch):
    monkeypatch.delenv("ROTATOR_ACCOUNT", raising=False)


@pytest.fixture
def pool(home):
    return _write(home, *POOL, active="a")


def test_the_credential_and_a_newline_are_all_that_is_printed(pool, rotator):
    ran = rotator("token", "-m", "gpt-5")
    assert (ran.code, ran.out, ran.err) == (0, "fake-o\n", "")
    assert json.loads(pool.read_bytes())["active"] == "o"


def test_it_needs_no_stdin(pool):
    words = [sys.executable, "-m", "rotator", "token", "--provider", "anthropic"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"fake-a\n", b"")
    closed = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *words], capture_output=True, timeout=30, check=False)
    assert (closed.returncode, closed.stdout) == (0, b"fake-a\n")


CHOSEN = [
    ((), "a"),
    (("--provider", "anthropic"), "a"),
    (("--provider", "openai"), "o"),
    (("--provider", "openai", "-m", "gpt-5"), "o"),
    (("-m", "claude-opus-4-5", "--tag", "t"), "b"),
    (("--tag", "t"), "b"),
    (("--account", "b"), "b"),
    (("--account", "o", "-m", "claude-opus-4-5"), "o"),
]


@pytest.mark.parametrize(("words", "name"), CHOSEN)
def test_the_choice_is_within_what_is_asked_for(pool, here, words, name):
    assert (here("token", *words).out, here("token", *words).err) == (f"fake-{name}\n", "")


def test_an_account_that_is_named_is_not_made_active(pool, here):
    before = pool.read_bytes()
    assert here("token", "--account", "o").out == "fake-o\n"
    assert pool.read_bytes() == before


def test_a_session_stays_on_its_account_without_a_model_too(pool, here):
    assert here("token", "--account", "b").code == 0
    first = here("token", "--provider", "anthropic", "--session", "k").out
    assert first == "fake-a\n"
    _write_active(pool, "b")
    assert here("token", "--provider", "anthropic", "--session", "k").out == first
    assert here("token", "--provider", "anthropic").out != ""


def _write_active(path, name):
    document = json.loads(path.read_bytes())
    document["active"] = name
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "words",
    [
        ["--account", "b", "--provider", "anthropic"],
        ["--account", "b", "--tag", "t"],
        ["--account", "b", "--session", "k"],
        ["--account", "nobody"],
        ["--provider", ""],
    ],
)
def test_what_contradicts_itself_or_names_nobody_is_2(pool, here, words):
    ran = here("token", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


def test_json_says_whose_it_is_and_when_it_ends(pool, here):
    assert here("token", "--account", "b", "--json").json == {
        "schema_version": 1,
        "account": "b",
        "token": "fake-b",
        "expires_at": "2036-11-20T10:00:00Z",
    }
    assert here("token", "--account", "a", "--json").json["expires_at"] is None
    _write(pool.parent, {"name": "a", "api_key": "fake-a", "expires_at": "2036-11-20T10:00:00Z"})
    assert here("token", "--json").json["expires_at"] is None  # it is the access token's end


def _cooling(name, secs, **more):
    now = datetime.now(UTC)  # noqa: TID251  the process under test reads the same clock
    block = {"cooldown_until": (now + timedelta(seconds=secs)).isoformat(), "cooldown_at": now.isoformat()}
    return {"name": name, "api_key": f"fake-{name}", "runtime": {"rev": 1, **block, "cooldown_source": "reset"}, **more}


@pytest.mark.parametrize("words", [(), ("-m", "g"), ("--json",), ("-m", "g", "--json")])
def test_when_nobody_is_ready_it_is_75_and_stdout_stays_empty(home, here, words):
    _write(home, _cooling("a", 3600), _cooling("b", 7200))
    ran = here("token", *words)
    assert (ran.code, ran.out) == (75, "")
    assert ran.err.startswith("rotator: parked until 2")
    assert "in 1 h" in ran.err


def test_when_only_a_person_can_help_it_is_69_and_says_how(home, here):
    _write(home, {"name": "a", "api_key": "fake-a", "enabled": False})
    for words in (["token"], ["token", "-m", "g"]):
        ran = here(*words)
        assert (ran.code, ran.out) == (69, "")
        assert 'set "enabled" to true' in ran.err


def test_a_provider_that_no_account_has_is_69_and_says_what_to_write(accounts, here):
    ran = here("token", "--provider", "anthropic")
    assert (ran.code, ran.out) == (69, "")
    assert 'set "provider"' in ran.err


def test_an_account_whose_credential_is_not_there_is_passed_over(home, here, monkeypatch):
    monkeypatch.delenv("ABSENT", raising=False)
    lost = {"name": "lost", "api_key": {"env": "ABSENT"}}
    _write(home, lost, {"name": "b", "api_key": "fake-b"}, active="lost")
    for words in (["token"], ["token", "-m", "g"]):
        _write_active(home / "accounts.json", "lost")
        ran = here(*words)
        assert (ran.code, ran.out) == (0, "fake-b\n")
        assert ran.err.count("\n") <= 1
    assert here("token", "--account", "lost").code == 78


@pytest.fixture
def provider(home):
    """A provider at which the token of account ``r`` has ended, and a file with that account and a plain one."""
    with Provider() as provider:
        provider.account(
            "r", dialect="anthropic", access_token="fake-old", refresh_token="fake-refresh", rotation="rotating"
        )
        ended = {
            "name": "r",
            "provider": "anthropic",
            "access_token": "fake-old",
            "refresh_token": "fake-refresh",
            "expires_at": "2026-01-01T00:00:00Z",
            "token_url": f"{provider.url}/oauth/token",
        }
        _write(home, ended, {"name": "b", "provider": "anthropic", "api_key": "fake-b"}, active="r")
        yield provider


def test_a_token_that_has_ended_is_refreshed_once_and_kept(home, rotator, provider):
    first = rotator("token", "--provider", "anthropic")
    assert (first.code, first.out, first.err) == (0, f"{provider.held('r').access_token}\n", "")
    assert first.out != "fake-old\n"
    assert rotator("token", "-m", "g", "--account", "r", "--json").json["token"] == first.out.strip()
    assert provider.token_requests == 1
    assert rotator("run", "--account", "r", "--", "sh", "-c", "echo $CLAUDE_CODE_OAUTH_TOKEN").out == first.out


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Answer(400, {}, {"error": "invalid_grant"}), 69), (Answer(500, {}, {"error": "fake-secret"}), 74)],
)
def test_an_account_whose_token_cannot_be_renewed_is_passed_over(home, rotator, provider, answer, code):
    provider.held("r").script(*[answer] * 4, on="token")
    ran = rotator("token", "-m", "g", "--account", "r")
    assert (ran.code, ran.out) == (code, "")
    over = rotator("token", "--provider", "anthropic")
    assert (over.code, over.out) == (0, "fake-b\n")
    assert "fake-" not in ran.err + over.err


@pytest.mark.parametrize("more", [[], [{"name": "off", "api_key": "fake-off", "enabled": False}]])
def test_when_no_credential_is_there_at_all_it_is_78_and_each_is_named(home, here, monkeypatch, more):
    monkeypatch.delenv("ABSENT", raising=False)
    _write(home, {"name": "x", "api_key": {"env": "ABSENT"}}, {"name": "y", "api_key": ""}, *more)
    ran = here("token", "-m", "g")
    assert (ran.code, ran.out) == (78, "")
    assert "api_key of x is in the environment variable ABSENT" in ran.err
    assert "y has neither an access_token nor an api_key" in ran.err


def test_an_account_that_needs_a_new_login_is_passed_over(pool, here, monkeypatch):
    from rotator.wire import refresh

    def current(rotator, name, *, rejected=None):
        if name == "a":
            message = "a needs a new login"
            raise LoginNeeded(message)
        return rotator.credentials(name)

    monkeypatch.setattr(refresh, "current", current)
    ran = here("token", "-m", "claude-opus-4-5", "--provider", "anthropic")
    assert (ran.code, ran.out) == (0, "fake-b\n")
    named = here("token", "--account", "a")
    assert (named.code, named.out, named.err) == (69, "", "rotator: a needs a new login\n")


def test_a_key_that_was_pasted_with_its_newline_is_printed_without(home, here):
    _write(home, {"name": "a", "api_key": " fake-a\r\n"})
    assert here("token").out == "fake-a\n"


@pytest.mark.parametrize("secret", ["fake-\nX: y", "fake-\x7f", "fake-\x00", "fake-\ud800"])
def test_a_credential_that_is_no_line_is_refused_without_showing_it(home, here, secret):
    _write(home, {"name": "a", "api_key": secret})
    for words in (["token"], ["token", "--json"]):
        ran = here(*words)
        assert (ran.code, ran.out) == (78, "")
        assert "fake-" not in ran.err


def test_a_pool_that_cannot_be_written_still_serves(pool, here):
    pool.chmod(0o400)
    ran = here("token", "-m", "gpt-5")
    assert (ran.code, ran.out) == (0, "fake-o\n")


def test_a_cold_start_loads_nothing_that_it_does_not_need(pool):
    program = (
        "import sys; from rotator.cli import main; code = main(sys.argv[1:]); "
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    for words in (["token", "-m", "gpt-5"], ["token"], ["env", "--format", "sh"]):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
        dear = {"httpx", "httpx2", "rich", "jsonschema", "tenacity", "keyring", "asyncio", "rotator.cli.waiting"}
        assert not dear & set(done.stderr.split())


def test_the_snippets_of_the_help_are_what_the_tools_read(here):
    shown = here("token", "--help").out
    settings = shown[shown.index('{"apiKeyHelper"') : shown.index("Codex, ")]
    assert json.loads(settings)["apiKeyHelper"].split()[:2] == ["rotator", "token"]
    config = tomllib.loads(shown[shown.index("[model_providers.pool]") : shown.index("A program started")])
    auth = config["model_providers"]["pool"]["auth"]
    assert (auth["command"], auth["args"][0], auth["timeout_ms"]) == ("rotator", "token", 5000)


def _chosen(*accounts, active=None, **asked):
    document = {"version": 2, "accounts": accounts, **({"active": active} if active else {})}
    _, pool = decode(json.dumps(document).encode())
    return choose(pool, now=NOW, **asked)


def _known(name, *, left=0.8, at="2026-11-20T09:50:00Z", models=None, **more):
    window = {"remaining_fraction": left, "reset_time": "2026-11-20T14:00:00Z", "length_secs": 18000, "updated_at": at}
    runtime = {"rev": 1, "windows": {"5h": window}, "models": models or {}}
    return {"name": name, "api_key": f"fake-{name}", "runtime": runtime, **more}


def _cooled(until="2026-11-20T12:00:00Z"):
    return {"cooldown_until": until, "cooldown_at": "2026-11-20T09:00:00Z", "cooldown_source": "reset"}


def test_without_a_model_the_active_account_stays_while_it_can_serve_some_model():
    for left in (0.9, 0.3):
        outcome = _chosen(_known("a", left=left), _known("b", left=1.0), active="a")
        assert outcome.account == "a"
    one_cools = _known("a", models={"m": _cooled()})
    assert _chosen(one_cools, _known("b"), active="a").account == "a"


def test_without_a_model_a_spent_window_moves_on_and_so_does_a_better_tier():
    assert _chosen(_known("a", left=0.0), _known("b"), active="a").account == "b"
    assert _chosen(_known("a", left=0.02), _known("b"), active="a").account == "b"  # below its reserve
    assert _chosen(_known("a", priority=1), _known("b"), active="a").account == "b"
    assert _chosen(_known("a", emergency=True), _known("b"), active="a").account == "b"


def test_without_a_model_an_account_whose_own_models_all_cool_down_is_not_ready():
    cools = {"name": "a", "api_key": "fake-a", "models": ["m"], "runtime": {"rev": 1, "models": {"m": _cooled()}}}
    held = {"name": "h", "api_key": "fake-h", "models": ["m"], "runtime": {"rev": 1, "models": {"m": {"held": True}}}}
    assert _chosen(cools, _known("b"), active="a").account == "b"
    parked = _chosen(cools, held, active="a")
    assert isinstance(parked, Parked)
    assert parked.wake_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    alone = _chosen(held)
    assert isinstance(alone, Unavailable)
    assert "release" in alone.reason
    assert ANY in alone.reason


def test_without_a_model_an_account_that_serves_none_is_never_taken():
    none = {"name": "a", "api_key": "fake-a", "models": []}
    alone = _chosen(none)
    assert isinstance(alone, Unavailable)
    assert 'add the model to its "models"' in alone.reason
    assert isinstance(_chosen(none, _known("b")), Selected)


def test_without_a_model_only_those_asked_for_are_looked_at():
    pool = [_known("a"), _known("b", tags=["t"]), _known("c")]
    assert _chosen(*pool, active="a", among=frozenset("c")).account == "c"
    assert _chosen(*pool, active="a", tags=("t",)).account == "b"
    assert _chosen(*pool, active="c", among=frozenset("ac")).account == "c"


def _failed(name, **more):
    probed = {"ok": False, "checked_at": "2026-11-20T09:59:00Z", "reason": "exit code 1"}
    return {"name": name, "api_key": f"fake-{name}", "runtime": {"rev": 1, "availability": probed}, **more}


def test_without_a_model_failed_probes_keep_an_account_out_unless_that_leaves_nobody():
    assert _chosen(_failed("a"), _known("b"), active="a").account == "b"
    assert _chosen(_failed("a"), _failed("b"), active="b").account in {"a", "b"}
    cooling = {**_known("c"), "runtime": {"rev": 1, **_cooled()}}
    assert _chosen(_failed("a"), cooling, active="c").account == "a"
    assert _chosen(_failed("a", models=["m"]), active="a").account == "a"


def test_accounts_without_credentials_never_hide_one_that_has_them(home, here, monkeypatch):
    monkeypatch.delenv("ABSENT", raising=False)
    lost = [{"name": f"x{place}", "api_key": {"env": "ABSENT"}} for place in range(7)]
    _write(home, *lost, {"name": "b", "api_key": "fake-b", "priority": 9})
    for words in (["token"], ["token", "-m", "g"]):
        ran = here(*words)
        assert (ran.code, ran.out) == (0, "fake-b\n")
        assert ran.err.count("is in the environment variable ABSENT") == 3
        assert "4 more passed over" in ran.err


def test_endpoints_that_fail_are_asked_of_three_accounts_at_most(home, here):
    ended = {"access_token": "fake-old", "expires_at": "2026-01-01T00:00:00Z", "token_url": "http://127.0.0.1:1/token"}
    several = [{"name": f"r{place}", "refresh_token": f"fake-refresh-{place}", **ended} for place in range(5)]
    _write(home, *several, {"name": "b", "api_key": "fake-b", "priority": 9})
    ran = here("token")
    assert (ran.code, ran.out, ran.err.count("\n")) == (74, "", 3)


def test_a_credential_that_is_no_line_is_passed_over(home, here):
    _write(home, {"name": "a", "api_key": "fake-\nX: y"}, {"name": "b", "api_key": "fake-b"}, active="a")
    ran = here("token")
    assert (ran.code, ran.out) == (0, "fake-b\n")
    assert "credential of a holds a control character" in ran.err
    assert "fake-" not in ran.err
    assert here("token", "--account", "a").code == 78


LENT = [
    ({"api_key": "fake-o"}, "OPENAI_API_KEY", True),
    ({"api_key": {"env": "OPENAI_API_KEY"}}, "OPENAI_API_KEY", False),
    ({"api_key": {"env": "ABSENT"}}, "OPENAI_API_KEY", True),
    ({"api_key": "fake-o"}, "MY_OWN_KEY", False),
    ({"access_token": "fake-t", "api_key": {"env": "OPENAI_API_KEY"}}, "OPENAI_API_KEY", True),
]


@pytest.mark.parametrize(("other", "variable", "refused"), LENT)
def test_a_variable_that_holds_another_account_s_key_is_not_taken_for_its_own(
    home, here, monkeypatch, other, variable, refused
):
    monkeypatch.delenv("ABSENT", raising=False)
    monkeypatch.setenv(variable, "fake-there")
    referring = {"name": "a", "provider": "openai", "api_key": {"env": variable}}
    _write(home, referring, {"name": "o", "provider": "openai", **other})
    assert here("token", "--account", "a").out == "fake-there\n"
    monkeypatch.setenv("ROTATOR_ACCOUNT", "a")
    assert here("token", "--account", "a").out == "fake-there\n"
    monkeypatch.setenv("ROTATOR_ACCOUNT", "o")
    ran = here("token", "--account", "a")
    if refused:
        assert (ran.code, ran.out) == (78, "")
        assert f"{variable}, which holds that of o" in ran.err
    else:
        assert ran.out == "fake-there\n"
