"""A canary in every secret of the file is never seen: not in a stream, a log, a value, an error, a status or a process list."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import re
import ssl
import stat
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import keyring
import pytest

from rotator import Rotator
from rotator.cli import commands, main
from rotator.cli.commands import COMMANDS
from rotator.core.providers import read
from rotator.errors import RotatorError
from rotator.wire import inquiry, polling, probing, tokens
from rotator.wire.refresh import current
from tests import canaries
from tests.canaries import (
    ENVIRONMENT,
    PLACES,
    SPELLINGS,
    Keyring,
    Records,
    canary,
    document,
    laid,
    leaks,
    locals_of,
    loose,
    places,
    shown,
    told,
)
from tests.provider.server import Answer, Provider
from tests.simulators import FakeClock
from tests.wire.programs import ASKED, SIDES, Program

MODEL = "claude-x"

BROKEN = sorted((canaries.ROOT / "fixtures" / "accounts").glob("broken-*.json"))


@pytest.fixture
def provider():
    """Knows every account of the pool by its credential."""
    with Provider() as running:
        for name, place in (("plain", "api-key"), ("second", "api-key-2")):
            running.account(name, key=canary(place), dialect="anthropic")
        running.account(
            "canary-oauth", access_token=canary("access"), refresh_token=canary("refresh"), dialect="anthropic"
        )
        running.account(
            "kept", access_token=canary("kept-access"), refresh_token=canary("kept-refresh"), dialect="anthropic"
        )
        running.account("env", key=canary("env"), dialect="openai")
        running.account("file", access_token=canary("file"), dialect="codex")
        running.account("ring", key=canary("ring"), dialect="google")
        running.account("codex", access_token=canary("codex"), dialect="codex")
        running.account("cloud", access_token=canary("cloud"), dialect="cloudcode")
        running.account("copilot", access_token=canary("copilot"), dialect="copilot")
        running.account("router", key=canary("router"), dialect="openrouter")
        running.account("url", key=canary("url-key"), dialect="openrouter")
        running.account("canary-token-url", refresh_token=canary("unrefreshable"), dialect="anthropic")
        yield running


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    for name in ("ROTATOR_ACCOUNTS", "XDG_CONFIG_HOME", "VISUAL", "ROTATOR_ACCOUNT", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**ENVIRONMENT, "HOME": str(tmp_path), "PYTHONPATH": str(canaries.ROOT)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for module, name in (
        (polling, "GAP_SECS"),
        (probing, "GAP_SECS"),
        (inquiry, "_RETRY_SECS"),
        (tokens, "_RETRY_SECS"),
    ):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # only a power cut could tell the difference
    monkeypatch.setattr(
        ssl.SSLContext, "load_verify_locations", lambda *_given, **_more: None
    )  # 30 ms a client; no TLS here
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def records():
    """Whatever is logged, at DEBUG, by anybody."""
    handler, root = Records(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)


@pytest.fixture
def granted(provider):
    """What the token endpoint gives is a canary too."""
    body = {"access_token": canary("granted-access"), "refresh_token": canary("granted-refresh")}
    body |= {"id_token": canary("granted-id"), "token_type": "Bearer", "expires_in": 3600}
    provider.script("canary-oauth", [Answer(200, {}, body)], on="token")
    provider.account("granted", access_token=canary("granted-access"), dialect="anthropic")


@pytest.fixture
def path(provider, granted, tmp_path):
    return laid(tmp_path / "accounts.json", document(provider.url, tmp_path))


class Ran:
    """A run of the command line in this process: its code, its output, and all that else was to be seen of it."""

    def __init__(self, code: int, out: str, err: str, beside: str) -> None:
        self.code, self.out, self.err, self.beside = code, out, err, beside

    @property
    def all(self) -> str:
        return self.out + self.err + self.beside


@pytest.fixture
def here(records, capfd, monkeypatch):
    """Run in this process; errors are seen with the locals of the frames that they passed."""
    errors: list[str] = []
    ending = commands.end
    monkeypatch.setattr(
        commands, "end", lambda error, given=None: (errors.append(told(error)), ending(error, given))[1]
    )

    def run(*words: str) -> Ran:
        del errors[:], records.told[:]
        capfd.readouterr()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            code = main(words)
        out, err = capfd.readouterr()
        return Ran(code, out, err, "\n".join([*errors, *records.told, *(str(each.message) for each in warned)]))

    return run


@pytest.fixture
def process(tmp_path):
    """Run as a process, with every log at DEBUG on stderr."""

    def run(*words: str, given: bytes = b"", **environment: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "tests.canaries", *words],
            input=given,
            capture_output=True,
            env={**os.environ, **environment},
            timeout=60,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()[-3000:]
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode(), "")

    return run


class TestTeeth:
    """A search that finds nothing proves something only if it finds what is there."""

    @pytest.mark.parametrize("place", PLACES)
    def test_a_canary_is_found_however_it_is_spelt(self, place):
        for spelling, spell in SPELLINGS.items():
            assert any(found.startswith(f"{place},") for found in leaks(f"a key={spell(canary(place))}&b")), spelling
        assert leaks(canary(place), allowed=[place]) == set()

    def test_what_a_logger_says_is_searched(self, here, path, monkeypatch):
        sign = inquiry.Asker._send

        def leaking(self, asked):
            logging.getLogger("somebody.elses").debug("sending %s", asked.headers)
            return sign(self, asked)

        monkeypatch.setattr(inquiry.Asker, "_send", leaking)
        assert leaks(here("poll", "router").beside) >= {"router, as it is"}

    def test_and_what_a_message_quotes(self, here, path, provider, monkeypatch):
        provider.script(
            "router", [Answer(401, {}, {"error": {"message": f"no such key: {canary('router')}"}})], on="quota"
        )
        monkeypatch.setattr(polling, "_why_not", lambda answer, _reading: answer.body.decode())
        assert leaks(here("poll", "router").out)

    def test_and_what_an_error_holds_beside_its_message(self):
        program = compile(f"def run():\n kept = {canary('ring')!r}\n raise ValueError", "/elsewhere/program.py", "exec")
        exec(program, names := {})
        with pytest.raises(ValueError) as caught:
            names["run"]()
        assert leaks("\n".join(locals_of(caught.value))) == leaks(canary("ring"))
        assert leaks(told(caught.value)) == set()
        caught.value.__context__ = KeyError(canary("env"))
        assert "env, as it is" in leaks(told(caught.value))

    def test_and_what_a_value_shows_or_takes_into_its_pickle(self):
        class Loose:
            def __init__(self):
                self.kept = canary("file")

        assert leaks(shown(Loose()))
        assert leaks(shown([canary("file")]))

    def test_and_files_that_others_may_read(self, tmp_path):
        laid(tmp_path / "a", canary("top")).chmod(0o640)
        laid(tmp_path / "b", canary("top"))
        assert [name.endswith("/a 100640") for name in loose(tmp_path)] == [True]


GOOD = {
    "next": ["next", "-m", MODEL, "--json", "--explain", "--session", "s"],
    "park": ["park", "-m", MODEL, "--json", "--timeout", "1"],
    "report": ["report", "plain", "-m", MODEL, "--response", "{answer}", "--json"],
    "ingest": ["ingest", "codex-sessions", "--account", "codex", "--dir", "{folder}/none", "--json"],
    "poll": ["poll", "oauth", "kept", "codex", "file", "cloud", "copilot", "router", "--json"],
    "probe": ["probe", "plain", "oauth", "kept", "env", "ring", "router", "--json"],
    "status": ["status", "--json"],
    "hold": ["hold", "plain", "--for", "1h", "--json"],
    "release": ["release", "plain", "--json"],
    "check": ["check", "--json"],
    "edit": ["edit"],
    "doctor": ["doctor", "--json"],
    "completion": ["completion", "bash"],
    "forecast": ["forecast", "--json"],
    "replay": ["replay", "{folder}/accounts.json", "--json"],
    "simulate": ["simulate", "--help"],
}
GOOD = {name: words for name, words in GOOD.items() if name in COMMANDS}
"""Words of each command that may show no secret at all; the other four have tests of their own."""
WRONG = [
    [],
    ["nonsense"],
    ["next"],
    ["next", "-m", ""],
    ["next", "-m", MODEL, "--wait", "soon"],
    ["next", "-m", MODEL, "--tag", "none"],
    ["park", "-m", MODEL, "--tag", "none", "--timeout", "0"],
    ["report", "plian", "-m", MODEL, "--status", "429"],
    ["report", "plain", "-m", MODEL, "--status", "9"],
    ["report", "plain", "-m", MODEL, "--response", "{folder}/accounts.json"],
    ["report", "plain", "-m", MODEL, "--body", "{folder}/accounts.json", "--status", "401", "--json"],
    ["report", "plain", "-m", MODEL, "--body", "{folder}/accounts.json", "--status", "200"],
    ["ingest", "codex-sessions", "--dir", "{folder}"],
    ["ingest", "claude-statusline"],
    ["poll", "plian"],
    ["probe", "plian"],
    ["probe", "--timeout", "0"],
    ["hold", "plian"],
    ["hold", "plain", "--until", "yesterday"],
    ["release", "plian"],
    ["token", "--account", "plian"],
    ["token", "--account", "plain", "--session", "s"],
    ["env", "--account", "plain", "--format", "none"],
    ["run", "--account", "plain"],
    ["run", "--account", "plain", "--", "/no/such/program"],
    ["serve", "--host", "nowhere.invalid:1"],
    ["serve", "--allow-host", "*"],
    ["completion", "tcsh"],
    ["status", "-m", "unknown", "--json"],
    ["check", "--nonsense"],
]


def words_of(given, folder):
    laid(folder / "answer", f"HTTP/2 401\nwww-authenticate: Bearer error={canary('api-key')}\n\n{echo('api-key')}")
    return [word.format(folder=folder, answer=folder / "answer") for word in given]


def echo(place: str, **more: Any) -> str:
    """An error that repeats a key in each field, and in each spelling."""
    spelt = {spelling: spell(canary(place)) for spelling, spell in SPELLINGS.items()}
    fields = dict.fromkeys(("type", "code", "status", "param", "reason", "message"), canary(place))
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": canary(place), "metadata": spelt}]
    said = f"Incorrect API key provided: {'; '.join(spelt.values())}. Find yours at https://example.com"
    return json.dumps({"error": {**fields, "message": said, "details": details}, "request_id": canary(place), **more})


class TestCommands:
    """Each one, with what it is for and with what it is not; as a process and in this one."""

    def test_every_command_is_here(self):
        assert set(COMMANDS) - set(GOOD) == {"token", "env", "run", "serve"}

    @pytest.mark.parametrize("name", GOOD)
    def test_none_is_in_what_a_process_shows(self, name, path, process, tmp_path, provider):
        ran = process(*words_of(GOOD[name], tmp_path), EDITOR="true")
        assert (leaks(ran.all), loose(tmp_path)) == (set(), [])
        assert ran.code == {"ingest": 66, "replay": 1}.get(name, 0), ran.all[-2000:]
        if name in ("poll", "probe"):
            sent = {place for seen in provider.requests for place in places(leaks(repr(seen.headers)))}
            assert len(sent) >= 5, "or this test proves nothing"

    @pytest.mark.parametrize("json_too", [True, False])
    @pytest.mark.parametrize("name", sorted(set(GOOD) - {"completion", "edit"}))
    def test_nor_in_what_it_shows_here(self, name, json_too, path, here, tmp_path):
        words = [word for word in words_of(GOOD[name], tmp_path) if json_too or word != "--json"]
        assert leaks(here(*words).all) == set()
        assert leaks(here("status", "-m", MODEL, "--json").all) == set()

    @pytest.mark.parametrize("words", WRONG, ids=" ".join)
    def test_wrong_words_do_not_make_it_talk(self, words, path, here, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        assert leaks(here(*words_of(words, tmp_path)).all) == set()

    @pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"completion"}))
    def test_a_broken_file_is_not_quoted(self, name, here, tmp_path, broken):
        words = GOOD.get(name, [name]) + {"run": ["--", "true"], "serve": ["--port", "0"]}.get(name, [])
        for kind, text in broken.items():
            laid(tmp_path / "accounts.json", text)
            ran = here(*words_of(words, tmp_path)) if name != "edit" else refused_edit(here, tmp_path)
            assert leaks(ran.all) == set(), kind
            assert ran.code in (1, 2, 77, 78) or name in ("ingest", "doctor", "simulate"), (kind, ran.code, ran.err)

    def test_nor_is_one_that_is_cut_or_damaged_anywhere(self, path, seen):
        whole = path.read_bytes()
        for at in range(0, len(whole), 61):
            for text in (whole[:at], whole[:at] + b"\x00" + whole[at:], whole[:at] + b'",' + whole[at + 2 :]):
                _, said = seen(lambda text=text: Rotator.memory(text).close())
                assert leaks(said) == set(), at

    def test_a_runtime_that_cannot_be_read_is_not_quoted(self, here, path):
        found = json.loads(path.read_text())
        for each in found["accounts"]:
            each["runtime"] = {"rev": "x", "cooldown_until": canary("note"), "access_token": [canary("kept-access")]}
        laid(path, found)
        for words in (["check"], ["check", "--json"], ["doctor"], ["status"], ["next", "-m", MODEL]):
            assert leaks(here(*words).all) == set()


@pytest.fixture
def broken(provider, tmp_path):
    """Each kind of broken file, with canaries for its secrets."""
    whole = document(provider.url, tmp_path)
    kinds = {kind.stem: re.sub(r"fake-[a-z]+", lambda _: canary("api-key"), kind.read_text()) for kind in BROKEN}
    text = json.dumps(whole, indent=1)
    kinds["cut"] = text[: len(text) // 2]
    kinds["a secret in single quotes"] = text.replace(f'"{canary("api-key")}"', f"'{canary('api-key')}'")
    kinds["a secret without quotes"] = text.replace(f'"{canary("api-key")}"', canary("api-key"))
    kinds["a raw newline in a secret"] = text.replace(canary("api-key"), canary("api-key") + "\n")
    kinds["a secret for a key"] = text.replace('"provider"', f'"{canary("api-key")}" "provider"', 1)
    kinds["a secret that is a list"] = text.replace(f'"{canary("api-key")}"', f'["{canary("api-key")}"]')
    kinds["a secret where a number goes"] = text.replace('"notes"', '"priority"')
    kinds["a secret for a policy"] = json.dumps(
        {**whole, "policy": {"selector": canary("top"), "recheck": canary("top")}}
    )
    kinds["a secret for a version"] = json.dumps({**whole, "version": canary("top")})
    kinds["a secret for all"] = json.dumps(canary("top"))
    kinds["a secret beside it"] = text + canary("top")
    return kinds


def refused_edit(here, folder):
    """An editor that leaves the file as it is: it is not valid, or was not changed."""
    program = laid(folder / "editor", f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'a').write(' ')\n")
    program.chmod(0o700)
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("EDITOR", str(program))
        changed.setattr(sys, "stdin", None)
        ran = here("edit")
    assert loose(folder) == []
    return ran


SECRET_OF = {
    "plain": "api-key", "oauth": "granted-access", "kept": "kept-access", "env": "env", "file": "file", "ring": "ring",
    "codex": "codex", "cloud": "cloud", "copilot": "copilot", "router": "router", "url": "url-key",
}  # fmt: skip
"""Account -> the place of the one secret that its requests carry."""
SPY = textwrap.dedent(
    """
    import os, pathlib, sys
    lines = [pathlib.Path(f"/proc/{number}/cmdline").read_text() for number in (os.getpid(), os.getppid())]
    pathlib.Path(os.environ["SPY"]).write_text("\\n".join(lines) + "\\n" + repr(sys.argv))
    print("\\n".join(f"{name}={value}" for name, value in os.environ.items() if name != "CANARY_KEY"))
    raise SystemExit(int(os.environ.get("SPY_CODE", "0")))
    """
)


class TestHandingOut:
    """Three commands hand out a secret: the chosen account's, on stdout alone; and one tells a program of it."""

    @pytest.mark.parametrize("name", SECRET_OF)
    def test_token_prints_that_one(self, name, path, here, records):
        ran = here("token", "--account", name)
        assert (ran.code, ran.out) == (0, canary(SECRET_OF[name]) + "\n")
        assert leaks(ran.err + ran.beside) == set()

    @pytest.mark.parametrize("form", ["sh", "sh-no-export", "fish", "powershell", "cmd", "dotenv", "json"])
    def test_env_prints_that_one_in_every_format(self, form, path, here):
        for name in ("plain", "oauth", "ring"):
            ran = here("env", "--account", name, "--format", form)
            assert places(leaks(ran.out)) == {SECRET_OF[name]}
            assert (ran.code, leaks(ran.err + ran.beside)) == (0, set())

    @pytest.mark.parametrize("words", [["token", "--json"], ["env"]], ids=" ".join)
    def test_a_process_shows_it_on_stdout_alone(self, words, path, process, tmp_path):
        ran = process(*words, "--account", "oauth")
        assert places(leaks(ran.out)) == {"granted-access"}
        assert (ran.code, leaks(ran.err), loose(tmp_path)) == (0, set(), [])

    @pytest.mark.parametrize("way", [[], ["--retry-on", "9"]], ids=["in its place", "as its child"])
    def test_run_shows_none_and_its_program_has_that_one_in_its_environment_alone(self, way, path, process, tmp_path):
        ran = process("run", "-m", MODEL, *way, "--", sys.executable, "-c", SPY, SPY=str(tmp_path / "spy"))
        assert places(leaks(ran.out)) == {"api-key"}
        assert (ran.code, leaks(ran.err)) == (0, set())
        assert leaks((tmp_path / "spy").read_text()) == set()

    def test_an_account_whose_secret_is_not_to_be_had_is_told_of_without_the_others(self, provider, here, tmp_path):
        found = document(provider.url, tmp_path, "plain")
        bad = [
            {"api_key": {"keyring": "rotator/broken"}},
            {"api_key": {"keyring": "rotator/nobody"}},
            {"api_key": {"file": str(tmp_path / "auth.json"), "pointer": "/tokens"}},
            {"api_key": {"file": str(tmp_path / "accounts.json"), "pointer": "/accounts/0"}},
            {"api_key": canary("env") + "\n\0"},
            {"api_key": canary("env") + "\ud800"},
            {"access_token": canary("access") + "\x07", "base_url": f"{provider.url}/\0{canary('query')}"},
        ]
        for parts in bad:
            found["accounts"][1:] = [{"name": "bad", "refresh_token": canary("refresh"), **parts}]
            laid(tmp_path / "accounts.json", found)
            for words in (
                ["token"],
                ["env", "--format", "cmd"],
                ["run", "--", "true"],
                ["probe", "bad"],
                ["poll", "bad"],
            ):
                ran = here(
                    words[0], *([] if len(words) > 1 and words[1] == "bad" else ["--account", "bad"]), *words[1:]
                )
                assert (ran.code != 0, leaks(ran.all)) == (words[0] != "poll", set()), (parts, words, ran.code)


class TestProbeCommands:
    """A person's own command is given the secret, and may print it."""

    @pytest.fixture
    def own(self, path, tmp_path):
        def make(*command, **parts):
            found = json.loads(path.read_text())
            found["accounts"] = [{**found["accounts"][0], "probe": [*command], **parts}]
            return laid(path, found)

        return make

    @pytest.mark.parametrize("words", [["probe"], ["probe", "--json"]], ids=" ".join)
    def test_what_it_prints_is_not_shown_and_no_process_is_named_by_it(self, words, own, process, tmp_path):
        own(sys.executable, "-c", SPY)
        ran = process(*words, SPY=str(tmp_path / "spy"), SPY_CODE="7")
        assert (ran.code, leaks(ran.all)) == (1, set())
        assert leaks((tmp_path / "spy").read_text()) == set()
        assert (
            leaks(json.dumps(json.loads((tmp_path / "accounts.json").read_text())["accounts"][0]["runtime"])) == set()
        )

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_nor_is_its_last_line_however_it_spells_the_key(self, spelling, provider):
        rotator = Rotator.memory(document(provider.url, Path.cwd(), "plain", "oauth"))
        for name, place in (("plain", "api-key"), ("oauth", "client-secret")):
            said = f"\x1b[31mrefused\x1b[0m: key {SPELLINGS[spelling](canary(place))} is not valid\n".encode()
            assert leaks(probing.last_line(said, rotator.credentials(name))) == set()
        rotator.close()

    def test_nor_a_short_one_within_an_address(self):
        rotator = Rotator.memory({"accounts": [{"name": "a", "api_key": canary("api-key")}]})
        for address in ("https://me:hunter2@api.example/v1", "https://hunter2@h:1/?a=b", "https://h/?a=b&key=hunter2"):
            assert "hunter2" not in probing.last_line(f"cannot reach '{address}'".encode(), rotator.credentials("a"))
        rotator.close()


TEXTS = {
    "an error": echo,
    "an event": lambda place: f"event: error\ndata: {echo(place)}\n\n",
    "a list": lambda place: json.dumps([json.loads(echo(place))]),
    "a page": lambda place: f"<html><title>{canary(place)}</title><pre>{echo(place)}</pre>",
    "garbage": lambda place: f"{canary(place)}\x00\xff{echo(place)[5:]}",
    "a text": lambda place: json.dumps(canary(place)),
    "an OAuth error": lambda place: json.dumps({"error": canary(place), "error_description": canary(place)}),
    "a word": lambda place: json.dumps({"error": word(place), "error_description": canary(place)}),
    "a word in an error": lambda place: json.dumps({"error": {"type": word(place), "code": word(place)}}),
    "a quota": lambda place: json.dumps(
        {"five_hour": {"utilization": canary(place)}, canary(place): {"utilization": 99}}
    ),
}
"""What a server says that repeats a key, in all the ways that somebody reads."""


def word(place: str) -> str:
    """A key that looks like an error's code: letters, digits and underscores."""
    return "_".join(re.findall(r"\w+", canary(place)))


def headers(place: str) -> dict[str, str]:
    """Headers that repeat a key where each family looks for something."""
    key = canary(place)
    return {
        "www-authenticate": f'Bearer realm="{key}", error="{key}"',
        "x-request-id": key,
        "set-cookie": f"session={key}",
        "retry-after": key,
        "x-ratelimit-reset": key,
        "x-ratelimit-limit-requests": key,
        "x-ratelimit-remaining-requests": key,
        "ratelimit": f'"default";r=0;t=60;pk="{key}"',
        "ratelimit-policy": f'"default";q=1;w=60;pk="{key}"',
        "anthropic-ratelimit-unified-status": key,
        "anthropic-ratelimit-unified-representative-claim": key,
        "anthropic-ratelimit-unified-5h-reset": key,
        "x-codex-primary-used-percent": key,
        "x-github-request-id": key,
        "x-error-code": key,
    }


STATUSES = (200, 400, 401, 402, 403, 404, 429, 500, 503, 529)
FAMILIES = (
    *("generic", "anthropic", "google-cloudcode", "google-gemini-api", "google-vertex", "openai", "azure-openai"),
    *("codex", "openrouter", "groq", "mistral", "github", "github-models", "github-copilot", "ietf"),
)


class TestAnswers:
    """A provider that repeats the key that it was sent teaches rotator nothing that it shows."""

    @pytest.mark.parametrize("family", FAMILIES)
    def test_no_reading_holds_what_a_response_repeats(self, family):
        clock = FakeClock()
        for status in STATUSES:
            for kind, text in TEXTS.items():
                for given in ({}, headers("api-key")):
                    body = text("api-key").encode("utf-8", "replace")
                    reading = read(family, status=status, headers=given, body=body, model=MODEL, now=clock.now())
                    assert (leaks(repr(reading)), word("api-key") in repr(reading)) == (set(), False), (
                        status,
                        kind,
                        reading,
                    )

    @pytest.mark.parametrize("kind", TEXTS)
    @pytest.mark.parametrize(
        "status", [401, *(pytest.param(each, marks=pytest.mark.faults) for each in (200, 403, 429, 500))]
    )
    def test_polls_and_probes_do_not_repeat_it(self, kind, status, path, here, provider):
        asked = {"poll": ["kept", "codex", "cloud", "router"], "probe": ["plain", "env", "ring", "router"]}
        for name in asked["poll"] + asked["probe"]:
            held = SECRET_OF[name]
            for door in ("quota", "model"):
                provider.script(name, [Answer(status, headers(held), TEXTS[kind](held))] * 4, on=door)
        for command, names in asked.items():
            ran = here(command, *names, *(["--force"] if command == "poll" else []), "--json")
            seen = ran.out + ran.err + "\n".join(line for line in ran.beside.splitlines() if "httpcore" not in line)
            assert (leaks(seen), word("router") in seen) == (set(), False), command
        assert leaks(here("status", "--json").all) == set()
        for each in json.loads(path.read_text())["accounts"]:
            runtime = each.get("runtime", {})
            runtime.pop("superseded", None)
            runtime.pop("access_token", None)
            assert leaks(json.dumps(runtime), hashes=False) == set()

    @pytest.mark.parametrize("kind", TEXTS)
    def test_nor_does_report(self, kind, path, here, tmp_path):
        lines = "\n".join(f"{name}: {value}" for name, value in headers("api-key").items())
        for status in STATUSES:
            laid(tmp_path / "answer", f"HTTP/1.1 {status} {canary('api-key')}\n{lines}\n\n{TEXTS[kind]('api-key')}")
            for more in ([], ["--json"]):
                ran = here("report", "plain", "-m", MODEL, "--response", str(tmp_path / "answer"), *more)
                assert (leaks(ran.all), word("api-key") in ran.all) == (set(), False)
        ran = here("next", "-m", MODEL, "--json", "--explain")
        assert (leaks(ran.all), leaks(here("status").all)) == (set(), set())

    def test_an_unreachable_provider_is_told_of_without_a_key(self, here, tmp_path):
        laid(tmp_path / "accounts.json", document("http://127.0.0.1:1", tmp_path))
        for command in ("poll", "probe"):
            names = ["plain", "oauth", "kept", "env", "codex", "cloud", "router", "token-url"]
            assert leaks(here(command, *names, "--json").all) == set()


def echoing(status: int, kind: str, place: str = "refresh") -> Answer:
    return Answer(status, {"www-authenticate": canary(place)}, TEXTS[kind](place))


REFUSALS = {
    "dead": Answer(400, {}, {"error": "invalid_grant", "error_description": f"no such token: {canary('refresh')}"}),
    "dead in OpenAI's words": Answer(
        401, {}, {"error": {"code": "refresh_token_reused", "message": canary("refresh")}}
    ),
    "unknown client": Answer(401, {}, {"error": "invalid_client", "error_description": canary("client-secret")}),
    "no access token": Answer(200, {}, {"refresh_token": canary("granted-refresh")}),
    "an access token that is a list": Answer(200, {}, {"access_token": [canary("granted-access")]}),
    "an end that is text": Answer(
        200, {}, {"access_token": canary("granted-access"), "expires_in": canary("granted-id")}
    ),
    "a redirect": Answer(307, {"location": f"/oauth/token?token={canary('refresh')}"}, canary("refresh")),
    "a redirect elsewhere": Answer(302, {"location": f"http://localhost:1/{canary('refresh')}"}, ""),
    "a delay that is text": Answer(429, {"retry-after": canary("refresh")}, canary("refresh")),
    "half an answer": Answer(200, {}, chunks=['{"access_token": "', canary("granted-access")], drop=True),
    "nothing": Answer(drop=True),
    **{f"{status} and {kind}": echoing(status, kind) for status in (400, 401, 403, 429, 500) for kind in TEXTS},
}
"""Ways in which a token endpoint gives no tokens, while it repeats those that it was sent."""


@pytest.fixture
def seen(records):
    """Everything to be seen of calls in this process: what they log, raise and warn."""

    def see(call: Any, *args: Any, **parts: Any) -> tuple[Any, str]:
        del records.told[:]
        result, error = None, None
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                result = call(*args, **parts)
            except Exception as caught:  # noqa: BLE001  whatever it is, it is looked into
                error = caught
        said = [*records.told, *(str(each.message) for each in warned)]
        return result if error is None else error, "\n".join([*said, told(error)])

    return see


def without_headers(said: str) -> str:
    """Without what httpcore logs of the head of a response, which repeats what the server did (and a test below says)."""
    return "\n".join(line for line in said.splitlines() if "receive_response_headers.complete" not in line)


class TestRefresh:
    """A refresh sends a refresh token and gets new ones; however it ends, nobody reads them."""

    @pytest.mark.parametrize("how", REFUSALS)
    def test_one_that_fails_tells_no_token(self, how, path, provider, seen):
        provider.held("canary-oauth").script(*[REFUSALS[how]] * 4, on="token")
        provider.change("canary-oauth", access_token="fake-other")
        with Rotator.open(path, clock=FakeClock()) as rotator:
            first, second = (
                seen(current, rotator, "oauth", rejected=rejected) for rejected in (None, canary("access"))
            )
            for result, said in (first, second):
                assert isinstance(result, RotatorError) or how.startswith("an end"), (how, result)
                assert leaks(without_headers(said) + shown(result)) == set()
            assert leaks(shown(*(account.runtime for account in rotator.pool)), hashes=False) == set()
        assert any("refresh," in found for found in leaks(repr([asked.body for asked in provider.requests])))
        runtime = json.loads(path.read_text())["accounts"][2].get("runtime", {})
        assert (leaks(json.dumps(runtime), ["granted-access"], hashes=False), loose(path.parent)) == (set(), [])

    @pytest.fixture
    def path(self, provider, tmp_path):
        return laid(tmp_path / "accounts.json", document(provider.url, tmp_path))

    @pytest.mark.parametrize(
        "token_url",
        [
            "http://127.0.0.1:1/token",
            "http://elsewhere.example/{}",
            "ftp://{}",
            "{}",
            "http://[{}",
            "https://u:{}@0.invalid:0/",
        ],
    )
    def test_an_endpoint_that_cannot_be_asked_is_not_quoted_with_its_secrets(self, token_url, path, seen):
        found = json.loads(path.read_text())
        found["accounts"][2]["token_url"] = token_url.format(canary("token-query"))
        laid(path, found)
        with Rotator.open(path, clock=FakeClock()) as rotator:
            result, said = seen(current, rotator, "oauth")
            assert isinstance(result, RotatorError)
            assert leaks(said) == set()

    def test_a_refused_token_is_not_in_what_is_shown_of_the_account(self, path, provider, here):
        provider.held("canary-oauth").script(REFUSALS["dead"], on="token")
        assert leaks(here("token", "--account", "oauth").all) == set()
        for words in (
            ["status"],
            ["status", "--json"],
            ["next", "-m", MODEL, "--explain", "--json"],
            ["check"],
            ["doctor"],
        ):
            assert leaks(here(*words).all) == set()

    def test_new_tokens_that_cannot_be_kept_are_not_told_instead(self, path, granted, seen, monkeypatch):
        from rotator.store import private

        write = private.write_all

        def full(descriptor, raw, offset=0):
            if places(leaks(raw)) & {"granted-access", "granted-refresh"}:
                raise OSError(28, "No space left on device")
            write(descriptor, raw, offset)

        monkeypatch.setattr(private, "write_all", full)
        with Rotator.open(path, clock=FakeClock()) as rotator:
            result, said = seen(current, rotator, "oauth")
            assert isinstance(result, RotatorError)
            assert leaks(said + shown(result)) == set()
            assert leaks(shown(rotator, rotator.file_state())) == set()

    def test_what_httpx_logs_of_an_endpoint_has_no_user_and_no_query(self, path, seen):
        with Rotator.open(path) as rotator:
            assert leaks(seen(current, rotator, "token-url")[1]) == set()

    def test_nor_what_it_logs_of_a_probe(self, path, here, provider):
        assert leaks(here("probe", "url").all) == set()
        assert provider.requests[-1].headers["authorization"] == f"Bearer {canary('url-key')}"

    def test_nor_what_httpcore_logs_of_a_head(self, path, provider, here):
        provider.script("router", [Answer(401, headers("router"), "")], on="quota")
        assert leaks(here("poll", "router").all) == set()


@pytest.fixture(params=SIDES, ids=lambda side: f"{side[0]}-{'async' if side[1] else 'sync'}")
def side(request):
    return request.param


def values_of(rotator: Any) -> list[Any]:
    """What a program that holds an engine may print of it."""
    lease = rotator.lease(MODEL)
    outcome = rotator.explain(MODEL)
    found = [
        rotator,
        rotator.pool,
        *rotator.pool,
        lease,
        outcome,
        rotator.file_state(),
        rotator.now(),
        *outcome.candidates,
    ]
    for account in rotator.pool:
        found += [account.runtime]
        with contextlib.suppress(RotatorError):
            found += [rotator.credentials(account.name)]
    found += rotator.observe("plain", MODEL, status=401, headers=headers("api-key"), body=echo("api-key"))
    keeper = rotator._keeper
    found += [keeper, keeper.document, keeper._ledger, keeper._store, keeper._ledger.renewals]
    if hasattr(lease, "release"):
        lease.release()
    return found


class TestTransports:
    """A program's own client logs, repeats and raises nothing of whoever served it."""

    @pytest.fixture
    def ask(self, side, path, provider, seen):
        """Sends one request; gives the result and all that was to be seen but the answer's own body."""

        def asked(rotator=None, to=None, *, rotates=(), client=(), timeout=20.0, **options):
            for name in rotates:
                provider.script(name, [Answer(401, {}, TEXTS["an error"]("api-key"))])
            opened = Rotator.open(path) if rotator is None else rotator
            with opened, Program(side, opened, client=client, **options) as program:
                url = f"{provider.url if to is None else to}/v1/messages"
                result, said = seen(program.request, "POST", url, json=ASKED, timeout=timeout)
                parts = [program.transport, program.transport._shared, *vars(program.transport._shared).values()]
                parts += [program.client, *values_of(opened)]
                if not isinstance(result, Exception):
                    parts += [result.request, result.request.headers, result.request.url, result.headers]
                assert leaks(shown(*parts), hashes=False) == set()
                return result, without_headers(said)

        return asked

    def test_one_that_is_served(self, ask, provider):
        result, said = ask()
        assert (result.status_code, leaks(said)) == (200, set())
        assert places(leaks(repr([asked.headers for asked in provider.requests]))) == {"api-key"}

    def test_one_that_rotates_after_refusals_and_a_refresh(self, ask, provider, path):
        found = json.loads(path.read_text())
        found["accounts"] = found["accounts"][:4]
        laid(path, found)
        result, said = ask(rotates=["plain", "second"], max_accounts=9)
        assert (result.status_code, leaks(said)) == (200, set())
        assert {"granted-access", "api-key-2"} <= places(leaks(repr([asked.headers for asked in provider.requests])))

    def test_one_that_every_account_is_refused(self, ask, provider):
        for name in ("plain", "second", "canary-oauth", "granted", "kept", "env", "file", "ring", "codex", "router"):
            provider.script(name, [Answer(429, {}, echo("api-key"))] * 20)
        result, said = ask(max_accounts=20)
        assert (result.status_code, leaks(said)) == (429, set())

    def test_one_that_is_sent_elsewhere_brings_no_secret_there(self, ask, provider, tmp_path):
        with Provider() as other:
            for status in (301, 302, 303, 307, 308):
                provider.change("plain", redirect=other.url, redirect_status=status)
                rotator = Rotator.memory(document(provider.url, tmp_path, "plain"))
                _, said = ask(rotator, client={"follow_redirects": True})
                assert leaks(said) == set()
            arrived = other.requests
        assert len(arrived) == 5
        assert leaks(repr(arrived)) == set()

    def test_one_to_an_origin_of_nobody(self, ask):
        result, said = ask(to="http://127.0.0.1:1")
        assert isinstance(result, RotatorError)
        assert leaks(said) == set()

    def test_one_that_cannot_connect_or_is_not_answered_in_time(self, ask, provider, path, side):
        provider.change("plain", delay_secs=1.0)
        library = pytest.importorskip(side[0])
        result, said = ask(timeout=0.05)
        assert (isinstance(result, library.TimeoutException), leaks(said)) == (True, set())
        found = json.loads(path.read_text().replace(provider.url, "http://127.0.0.1:1"))
        result, said = ask(Rotator.memory(found), to="http://127.0.0.1:1")
        assert (isinstance(result, library.ConnectError), leaks(said)) == (True, set())

    @pytest.mark.parametrize("unfit", ["\r\nx: 1", " b", "\u2603", "\x00"])
    def test_one_whose_key_no_header_carries(self, unfit, ask, path, provider):
        found = json.loads(path.read_text())
        found["accounts"] = [{**found["accounts"][0], "api_key": canary("api-key") + unfit}]
        result, said = ask(Rotator.memory(found))
        assert (isinstance(result, RotatorError), leaks(said), provider.requests) == (True, set(), [])


class TestSDKs:
    """The three of them, at DEBUG, once served and once refused by somebody who repeats the key."""

    @pytest.fixture
    def rotator(self, path):
        with Rotator.open(path) as rotator:
            yield rotator

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_anthropics(self, asynchronous, rotator, provider, seen):
        anthropic = pytest.importorskip("anthropic")
        from rotator.wire.anthropic import Accounts

        provider.script("plain", [Answer(429, {}, echo("api-key"))])
        given = Accounts(rotator)
        kind = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
        client = kind(credentials=given.credentials, middleware=given.middleware, base_url=provider.url)

        async def called():
            async with client:
                return await client.messages.create(**ASKED)

        answer, said = seen(lambda: asyncio.run(called()) if asynchronous else client.messages.create(**ASKED))
        if not asynchronous:
            client.close()
        assert answer.content[0].text
        assert leaks(without_headers(said) + shown(given, given.credentials, given.middleware, client)) == set()
        assert places(leaks(repr(provider.requests[-1].headers)))

    def test_openais(self, rotator, provider, seen):
        openai, httpx2 = pytest.importorskip("openai"), pytest.importorskip("httpx2")
        from rotator.wire.httpx2 import RotatorTransport
        from rotator.wire.openai import Accounts

        url = f"{provider.url}/v1"
        asked = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
        provider.script("plain", [Answer(401, {}, echo("api-key"))])
        given = Accounts(rotator, model="m-1", base_url=url)
        by_key = openai.OpenAI(api_key=given.key, base_url=url, http_client=httpx2.Client(event_hooks=given.hooks))
        client = httpx2.Client(transport=RotatorTransport(rotator))
        by_transport = openai.OpenAI(api_key="fake-placeholder", base_url=url, http_client=client)
        for each in (by_key, by_transport):
            for _ in range(2):
                answer, said = seen(each.chat.completions.create, **asked)
                if isinstance(
                    answer, openai.APIStatusError
                ):  # it shows the provider's own answer, which repeats the key
                    continue
                assert (bool(answer.choices), leaks(said)) == (True, set())
            each.close()
        assert leaks(repr(given) + repr(given.hooks)) == set()
        assert places(leaks(repr([asked.headers for asked in provider.requests])))

    def test_googles(self, rotator, provider, seen):
        genai, httpx = pytest.importorskip("google.genai"), pytest.importorskip("httpx")
        from rotator.wire.httpx import RotatorTransport

        http = {"base_url": provider.url, "httpx_client": httpx.Client(transport=RotatorTransport(rotator))}
        client = genai.Client(api_key="fake-placeholder", http_options=http)
        answer, said = seen(client.models.generate_content, model="m-1", contents="hi")
        client.close()
        http["httpx_client"].close()
        assert not isinstance(answer, Exception), answer
        assert leaks(without_headers(said) + shown(client, answer)) == set()
        assert places(leaks(repr([asked.headers for asked in provider.requests])))


@pytest.fixture
def spied_modes(monkeypatch):
    """Modes of the files that hold a canary, each as it is when it is made durable: before it has its name."""
    found: list[str] = []
    sync = os.fsync

    def fsync(descriptor):
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and leaks(Path(f"/proc/self/fd/{descriptor}").read_bytes()):
            found.append(f"{stat.S_IMODE(status.st_mode):o}")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


EDITOR = textwrap.dedent(
    """
    import os, pathlib, sys
    path = pathlib.Path(sys.argv[-1])
    modes = [f"{each.stat().st_mode & 0o777:o}" for each in (path, path.parent)]
    lines = [pathlib.Path(f"/proc/{number}/cmdline").read_text() for number in (os.getpid(), os.getppid())]
    pathlib.Path(os.environ["SPY"]).write_text("\\n".join([*modes, *lines, *sys.argv]))
    text = path.read_text()
    path.write_text(text.replace('"plain"', '"renamed"') if os.environ.get("SPY_CODE") != "1" else text[:-9])
    """
)


class TestFiles:
    """Whatever lies on the disk for a moment or for good is its owner's alone, and no name of it tells a secret."""

    def test_drafts_backups_and_locks_whatever_the_umask(self, path, here, tmp_path, spied_modes):
        path.chmod(0o644)
        before = os.umask(0)
        try:
            for words in (
                ["next", "-m", MODEL],
                ["poll", "oauth"],
                ["hold", "plain"],
                ["release", "plain"],
                ["status"],
            ):
                assert leaks(here(*words).all) == set()
        finally:
            os.umask(before)
        assert set(spied_modes) == {"600"}
        assert (tmp_path / "accounts.json.bak").stat().st_mode & 0o777 == 0o600
        assert loose(tmp_path) == []
        assert leaks("\n".join(map(str, tmp_path.rglob("*")))) == set()
        locks = list(tmp_path.glob(".accounts.json*lock*"))
        assert locks
        assert [each for each in locks if leaks(each.read_bytes())] == []

    @pytest.mark.parametrize("valid", [True, False], ids=["saved", "refused and kept"])
    def test_the_copy_that_an_editor_gets(self, valid, path, process, tmp_path):
        program = laid(tmp_path / "editor", f"#!{sys.executable}\n{EDITOR}")
        program.chmod(0o700)
        ran = process("edit", EDITOR=str(program), SPY=str(tmp_path / "spy"), SPY_CODE="0" if valid else "1")
        assert (ran.code, leaks(ran.all), loose(tmp_path)) == (0 if valid else 78, set(), [])
        modes, lines = (tmp_path / "spy").read_text().split("\n", 2)[:2], (tmp_path / "spy").read_text()
        assert (modes, leaks(lines)) == (["600", "700"], set())
        assert len(list(tmp_path.glob("rotator-edit-*"))) == (0 if valid else 1)


class TestServer:
    """The status API answers whoever opens the port."""

    ASKED = (
        *("/v1/accounts/status", f"/v1/accounts/status?model={MODEL}", "/v1/accounts/status?model=none", "/healthz"),
        *(
            "/v1/accounts/status?model=",
            "/openapi.json",
            "/docs",
            "/accounts.json",
            "/..%2faccounts.json",
            "/%00",
            "/metrics",
        ),
    )

    def test_no_answer_no_log_and_no_process_list_has_one(self, path, provider, tmp_path):
        with Rotator.open(path) as rotator:
            rotator.observe("plain", MODEL, status=403, headers=headers("api-key"), body=echo("api-key"))
        command = [sys.executable, "-m", "tests.canaries", "serve", "--port", "0"]
        said = []
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                while "serving http://" not in (line := process.stderr.readline()):
                    said.append(line)
                    assert line, said
                address = line.partition("http://")[2].partition("/")[0]
                for target in self.ASKED:
                    for method, given in (
                        ("GET", {}),
                        ("POST", {}),
                        ("GET", {"Host": "elsewhere"}),
                        ("GET", {"Origin": "null"}),
                    ):
                        said.append(answered(address, method, target, given))
                said.append(Path(f"/proc/{process.pid}/cmdline").read_text())
                found = json.loads(path.read_text())
                laid(path, json.dumps(found)[:300])
                said += [answered(address, "GET", target, {}) for target in self.ASKED]
            finally:
                process.terminate()
            said += process.communicate(timeout=20)
        assert any('"outcome":"selected"' in each for each in said)
        assert leaks("\n".join(said)) == set()


def answered(address: str, method: str, target: str, given: dict[str, str]) -> str:
    """One exchange, as it came: head and body."""
    line = http.client.HTTPConnection(address, timeout=10)
    try:
        line.request(method, target, headers=given)
        answer = line.getresponse()
        return f"{answer.status} {answer.getheaders()} {answer.read().decode()}"
    finally:
        line.close()


class TestValues:
    """What a program may print, format or pickle of an engine that knows every secret."""

    def test_none_of_them_shows_one(self, path, provider):
        with Rotator.open(path) as rotator:
            for name in ("oauth", "kept", "file", "ring", "env"):
                current(rotator, name)
            found = values_of(rotator)
            assert leaks(shown(*found), hashes=False) == set()
            from rotator.wire.endpoints import ENDPOINTS, question
            from rotator.wire.signing import signed
            from rotator.wire.smallest import request
            from rotator.wire.tokens import Granted, endpoint_of

            mine = rotator.credentials("plain")
            asked = [request(mine, MODEL), question(ENDPOINTS["anthropic"][0], rotator.credentials("oauth"))]
            granted = Granted(canary("granted-access"), canary("granted-refresh"))
            assert leaks(repr(asked) + repr(granted) + repr(endpoint_of(rotator.credentials("oauth")))) == set()
            assert leaks(repr(signed([], mine))), "or this test proves nothing"

    def test_document_is_the_one_that_gives_them_away(self, path):
        with Rotator.open(path) as rotator:
            assert places(leaks(rotator.document())) >= {"api-key", "refresh", "note"}
            assert leaks(repr(rotator)) == set()

    def test_a_refresh_leaves_its_tokens_in_no_repr(self, path, monkeypatch):
        from rotator.keeping import renewing

        kept: list[Any] = []
        renew = renewing.RenewingKeeper.renew

        def spied(self, *given, **more):
            kept.extend([self, *given, *more.values()])
            return renew(self, *given, **more)

        monkeypatch.setattr(renewing.RenewingKeeper, "renew", spied)
        with Rotator.open(path) as rotator:
            current(rotator, "oauth")
            assert leaks(shown(*kept, rotator), hashes=False) == set()
        assert len(kept) > 3


def made(folder: Path, **parts: Any) -> Any:
    """An engine of one account with a secret beside whatever is wrong."""
    return Rotator.memory({"accounts": [{"name": "a", "refresh_token": canary("refresh"), **parts}]})


def raised(kind: str, folder: Path) -> None:  # noqa: C901  a table
    """Something goes wrong in a way that people see."""
    from rotator.wire.environment import variables
    from rotator.wire.signing import signed

    whole = json.dumps(document("http://127.0.0.1:1", folder))
    ended = {"access_token": canary("access"), "expires_at": 1, "token_url": "http://127.0.0.1:1/"}
    match kind:
        case "bytes that are cut":
            Rotator.memory(whole[:700].encode())
        case "a file that is cut":
            Rotator.open(laid(folder / "cut.json", whole[:700]))
        case "an object in a document":
            Rotator.memory({"accounts": [], "top": canary("top"), "object": object()})
        case "a reference that leads nowhere":
            made(folder, access_token={"env": "NO_SUCH"}).credentials("a")
        case "an account that is not there":
            made(folder).credentials("b")
        case "a value for no environment":
            variables(made(folder, api_key=canary("api-key") + "\0").credentials("a"))
        case "a value for no header":
            signed([], made(folder, api_key=canary("api-key") + "\r\n.").credentials("a"))
        case "an endpoint that nobody knows":
            current(made(folder, access_token=canary("access"), expires_at=1), "a")
        case "a token that is not spent":
            current(made(folder, provider="anthropic", **ended), "a")
        case "an endpoint that cannot be reached":
            current(made(folder, provider="google-vertex", client_secret=canary("client-secret"), **ended), "a")
        case "a token that was refused":
            current(made(folder, provider="google-vertex", **ended), "a", rejected=canary("access"))
        case "an endpoint that is not trusted":
            ended["token_url"] = f"http://u:{canary('token-user')}@elsewhere/"
            current(made(folder, **ended), "a")


KINDS = (
    *("bytes that are cut", "a file that is cut", "an object in a document", "a reference that leads nowhere"),
    *(
        "an account that is not there",
        "a value for no environment",
        "a value for no header",
        "a token that is not spent",
    ),
    *("an endpoint that nobody knows", "an endpoint that cannot be reached", "a token that was refused"),
    "an endpoint that is not trusted",
)


class TestLocals:
    """A tool that reports errors with the locals of each frame gets no secret from rotator's frames."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_frames_of_an_error_hold_none(self, kind, tmp_path):
        with pytest.raises(RotatorError) as caught:
            raised(kind, tmp_path)
        held = [line for line in locals_of(caught.value) if leaks(line)]
        assert (leaks(told(caught.value)), held) == (set(), [])

    def test_nor_do_those_of_a_client_that_cannot_connect(self, side, tmp_path):
        rotator = Rotator.memory(document("http://127.0.0.1:1", tmp_path, "plain"))
        with rotator, Program(side, rotator) as program:
            for to in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
                with pytest.raises(Exception) as caught:  # either library's, or rotator's
                    program.request("POST", f"{to}/v1/messages", json=ASKED)
                held = [line for line in locals_of(caught.value) if leaks(line)]
                assert held == []


@pytest.mark.faults
class TestProcesses:
    """What the quick tests run here, as the real processes that people start."""

    @pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"completion", "edit"}))
    def test_a_broken_file_is_not_quoted(self, name, process, tmp_path, broken):
        words = GOOD.get(name, [name]) + {"run": ["--", "true"], "serve": ["--port", "0"]}.get(name, [])
        for kind, text in broken.items():
            laid(tmp_path / "accounts.json", text)
            assert leaks(process(*words_of(words, tmp_path)).all) == set(), kind

    @pytest.mark.parametrize("words", WRONG, ids=" ".join)
    def test_wrong_words_do_not_make_it_talk(self, words, path, process, tmp_path):
        assert leaks(process(*words_of(words, tmp_path)).all) == set()

    def test_a_file_that_is_cut_anywhere(self, path, seen):
        whole = path.read_bytes()
        for at in range(0, len(whole), 3):
            _, said = seen(lambda text=whole[:at] + whole[at + 1 :]: Rotator.memory(text).close())
            assert leaks(said) == set(), at

    @pytest.mark.parametrize("status", [401, 429])
    @pytest.mark.parametrize("kind", TEXTS)
    def test_a_provider_that_repeats_the_key(self, kind, status, path, process, provider):
        for name in ("plain", "router"):
            for door in ("quota", "model"):
                provider.script(name, [Answer(status, {}, TEXTS[kind](SECRET_OF[name]))] * 4, on=door)
        for words in (["poll", "router"], ["probe", "plain", "router"], ["status", "--json"], ["next", "-m", MODEL]):
            assert leaks(process(*words).all) == set()

    @pytest.mark.parametrize("how", sorted(REFUSALS))
    def test_a_refresh_that_fails(self, how, path, process, provider):
        provider.held("canary-oauth").script(*[REFUSALS[how]] * 4, on="token")
        for words in (["token", "--account", "oauth"], ["poll", "oauth"], ["status"]):
            ran = process(*words)
            given = {"access", "granted-access"} if words[0] == "token" and ran.code == 0 else set()
            assert (places(leaks(ran.out)) <= given, leaks(ran.err)) == (True, set())
