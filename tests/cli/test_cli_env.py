from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator.cli.quoting import FORMATS, script, shell_of
from rotator.errors import OperatorError

ODD = [
    "'", '"', "`id`", "$(id)", "$HOME", "${HOME}", "%PATH%", "!!", "\\", "\\'", "a\nb", "\n", "a\r\nb", "\t", " ", "-n", "--", "~", "#",
    "*", "?", "[a]", "{a,b}", ";", "&& id", "|", "<", ">", "''", "'\\''", "\u2019", "\u201c", "\x1b[2J", "\x7f", "\x85", "\u2028", "é",
    "日本", "\U0001f469\u200d\U0001f4bb", "\ufeff", "\uf600", "\ufdd0", "\ue000", "\uffff", "=", "a=b", "%s", "\\n", "\\x41", "@", "^",
]  # fmt: skip
texts = st.one_of(
    st.lists(st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]))), max_size=5)
    .map("".join)
    .map(lambda text: text.replace("\0", "")),
)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LOCALE = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def _in_shell(words, values):
    """What the shell has in the variables after it ran ``words``; the last line of the script prints them, each ended by NUL."""
    done = subprocess.run(words, capture_output=True, env=LOCALE, timeout=60, check=True)
    assert done.stderr == b""
    assert done.stdout.count(b"\0") == len(values)
    return dict(zip(values, done.stdout.decode().split("\0"), strict=False))


def _named(listed):
    return {f"V{place}": text for place, text in enumerate(listed)}


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "zsh", "ksh"])
@pytest.mark.parametrize("form", ["sh", "sh-no-export"])
def test_any_text_comes_out_of_a_posix_shell_as_it_went_in(shell, form, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")

    @few
    @given(st.lists(texts, min_size=1, max_size=20))
    def law(listed):
        values = _named(listed)
        (tmp_path / "given").write_bytes(script(form, values, ["GONE"]).encode())
        program = 'GONE=here; eval "$(cat "$1")"; printf "%s\\0" ' + " ".join(f'"${{{name}}}"' for name in values)
        assert _in_shell([shell, "-c", program + '; test -z "${GONE+set}"', "-", tmp_path / "given"], values) == values

    law()


def test_any_text_comes_out_of_fish_as_it_went_in(tmp_path):
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")

    @settings(few, max_examples=10)
    @given(st.lists(texts, min_size=1, max_size=40))
    def law(listed):
        values = _named(listed)
        (tmp_path / "given").write_bytes(script("fish", values, ["GONE", "NEVER"]).encode())
        shown = " ".join(f'"${name}"' for name in values)
        program = f"set -gx GONE here; cat {tmp_path}/given | source; printf '%s\\0' {shown}; not set -q GONE"
        assert _in_shell([fish, "--no-config", "-c", program], values) == values

    law()


def _powershell(text):
    """What PowerShell makes of it, by its rules: a doubled quote within quotes, [char]0xNNNN of UTF-16, + between (about_Quoting_Rules)."""
    values = {}
    for line in text.split("\n"):
        assert line.isascii()
        assert line.isprintable()
        name, expression = re.fullmatch(r"\$env:(\w+) = \((.*)\)", line).groups()
        parts = re.findall(r"\G?('(?:[^']|'')*'|\[char\]0x[0-9a-f]{4})(?:\+|$)".removeprefix(r"\G?"), expression)
        assert "+".join(parts) == expression
        assert parts[0][0] == "'"
        units = [
            part[1:-1].replace("''", "'").encode("utf-16-be") if part[0] == "'" else bytes.fromhex(part[-4:])
            for part in parts
        ]
        values[name] = b"".join(units).decode("utf-16-be")
    return values


@given(st.lists(texts, min_size=1, max_size=4))
def test_any_text_is_one_line_of_ascii_for_powershell(listed):
    assert _powershell(script("powershell", _named(listed), [])) == _named(listed)


def test_powershell_itself_agrees():
    pwsh = shutil.which("pwsh")
    if pwsh is None:
        pytest.skip("pwsh is not installed")
    values = _named(ODD)
    told = "$OutputEncoding = [Console]::OutputEncoding = [Text.Encoding]::UTF8\n" + script(
        "powershell", values, ["GONE"]
    )
    shown = ";".join(f"[Console]::Out.Write($env:{name} + [char]0)" for name in values)
    done = subprocess.run([pwsh, "-NoProfile", "-Command", f"{told}\n{shown}"], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == [*values.values()]


def _dotenv(text):
    """What python-dotenv reads: bare up to the newline, or in single quotes with \\\\ and \\' (its README, "File format")."""
    pattern = re.compile(r"(\w+)=(?:'((?:\\.|[^'\\])*)'|([^'\n]*))(?:\n|$)", re.DOTALL)
    found = {}
    while text:
        match = pattern.match(text)
        quoted = match[2]
        found[match[1]] = match[3] if quoted is None else re.sub(r"\\([\\'])", r"\1", quoted)
        text = text[match.end() :]
    return found


dotenv_texts = texts.filter(lambda text: "${" not in text and "\r" not in text)


@given(st.lists(dotenv_texts, min_size=1, max_size=4))
def test_what_dotenv_can_say_is_read_as_it_went_in(listed):
    assert _dotenv(script("dotenv", _named(listed), ["GONE"])) == _named(listed)


@few
@given(st.lists(dotenv_texts, min_size=1, max_size=4))
def test_python_dotenv_itself_agrees(listed):
    from io import StringIO

    dotenv = pytest.importorskip("dotenv")
    assert dotenv.dotenv_values(stream=StringIO(script("dotenv", _named(listed), []), newline="")) == _named(listed)


@pytest.mark.parametrize("value", ["sk-ant-fake_1", "https://h.example:8080/v1?x", "fake-a.b=c+d/e", "a@example.com"])
def test_what_is_plain_stands_bare_in_dotenv_where_docker_reads_it_too(value):
    quoted = "'" if "?" in value else ""
    assert script("dotenv", {"V": value}, ["GONE"]) == f"V={quoted}{value}{quoted}"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"%!')))
def test_what_cmd_can_say_stands_within_its_quotes(value):
    assert script("cmd", {"V": value}, ["GONE"]) == f'set "V={value}"\nset "GONE="'


@pytest.mark.parametrize(
    ("form", "value"),
    [
        *(("cmd", bad) for bad in ['"', "%", "!", "\n", "\r", "\t", "é", "\x7f", "x" * 9000]),
        ("dotenv", "${HOME}"),
        ("dotenv", "a\rb"),
        *((form, bad) for form in FORMATS if form != "json" for bad in ["\0", "\ud800", "\udcff"]),
    ],
)
def test_what_a_format_cannot_say_is_refused_by_name_and_never_shown(form, value):
    with pytest.raises(OperatorError) as caught:
        script(form, {"GOOD": "x", "V": f"fake-{value}"}, [])
    assert str(caught.value).startswith("V would hold ")
    assert "fake-" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/usr/bin/fish", "fish"),
        ("/bin/bash", "sh"),
        ("", "sh"),
        ("/x/pwsh", "powershell"),
        ("C:\\W\\pwsh.exe", "powershell"),
    ],
)
def test_the_format_is_that_of_the_shell_in_use(path, form):
    assert shell_of(path) == form


POOL = [
    {
        "name": "o'b",
        "provider": "anthropic",
        "api_key": "fake-o'b $(id)",
        "base_url": "https://gw.example",
        "models": ["claude-*"],
    },
    {"name": "g", "provider": "groq", "api_key": "fake-g", "models": ["llama-*"]},
]


@pytest.fixture
def pool(home, monkeypatch):
    monkeypatch.delenv("ROTATOR_ACCOUNT", raising=False)
    path = home / "accounts.json"
    path.write_text(json.dumps({"version": 2, "accounts": POOL}))
    path.chmod(0o600)
    return path


def test_the_help_s_line_sets_the_account_in_a_real_shell(pool, rotator):
    program = """
export ANTHROPIC_AUTH_TOKEN=fake-other SHELL=/bin/sh
rotator() { "$PYTHON" -m rotator "$@"; }
env=$(rotator env -m claude-opus-4-5) && eval "$env"
printf '%s|%s|%s|%s' "$ROTATOR_ACCOUNT" "$ANTHROPIC_API_KEY" "$ANTHROPIC_BASE_URL" "${ANTHROPIC_AUTH_TOKEN-unset}"
env=$(rotator env -m llama-4) && eval "$env"
printf '\\n%s|%s|%s' "$ROTATOR_ACCOUNT" "$GROQ_API_KEY" "${ANTHROPIC_API_KEY-unset}${ANTHROPIC_BASE_URL-unset}"
"""
    import sys

    done = subprocess.run(
        ["sh", "-c", program], capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable}, check=True
    )
    assert done.stdout == "o'b|fake-o'b $(id)|https://gw.example|unset\ng|fake-g|unsetunset"
    assert done.stderr == ""


def test_json_says_what_to_set_and_what_to_take_away(pool, here):
    told = here("env", "-m", "llama-4", "--format", "json").json
    assert told == {"ROTATOR_ACCOUNT": "g", "GROQ_API_KEY": "fake-g", "GROQ_BASE_URL": None}


def test_the_shell_of_the_environment_is_spoken_unless_another_is_asked_for(pool, here, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert here("env", "--account", "g").out.startswith("set -gx ROTATOR_ACCOUNT 'g';\n")
    assert here("env", "--account", "g", "--format", "sh").out.startswith("export ROTATOR_ACCOUNT='g';\n")
    monkeypatch.delenv("SHELL")
    assert here("env", "--account", "g").out.startswith("export ")


def test_a_value_that_cannot_be_said_is_78_with_nothing_on_stdout(pool, here):
    pool.write_text(json.dumps({"accounts": [{"name": "a", "api_key": "fake-100%"}]}))
    ran = here("env", "--format", "cmd")
    assert (ran.code, ran.out) == (78, "")
    assert "ROTATOR_TOKEN would hold" in ran.err
    assert "fake-" not in ran.err


def test_when_nobody_is_ready_nothing_is_printed_that_a_shell_could_take(pool, here):
    for name in ("o'b", "g"):
        assert here("hold", name, "--for", "1h").code == 0
    ran = here("env")
    assert (ran.code, ran.out) == (75, "")
    waited = here("env", "--wait", "0.05")
    assert (waited.code, waited.out) == (124, "")
    assert "nobody became ready" in waited.err


def test_waiting_ends_when_somebody_is_ready(pool, here):
    for name in ("o'b", "g"):
        here("hold", name, "--for", "0.3")
    for words in (["--wait", "20"], ["-m", "llama-4", "--wait", "20", "--provider", "groq"]):
        assert here("env", "--format", "json", *words).code == 0


def test_an_account_whose_value_cannot_be_said_is_passed_over(pool, here):
    entries = [{"name": "a", "api_key": "fake-100%"}, {"name": "b", "api_key": "fake-b"}]
    pool.write_text(json.dumps({"version": 2, "accounts": entries, "active": "a"}))
    ran = here("env", "--format", "cmd")
    assert (ran.code, "fake-b" in ran.out) == (0, True)
    assert "ROTATOR_TOKEN would hold" in ran.err
    assert "fake-" not in ran.err
    named = here("env", "--format", "cmd", "--account", "a")
    assert (named.code, named.out) == (78, "")


def test_an_account_for_whose_secret_there_is_no_variable_is_passed_over(pool, here):
    entries = [
        {"name": "a", "provider": "google-gemini-api", "access_token": "fake-a"},
        {"name": "b", "provider": "google-gemini-api", "api_key": "fake-b"},
    ]
    pool.write_text(json.dumps({"version": 2, "accounts": entries, "active": "a"}))
    for form in ("json", "sh"):
        ran = here("env", "--format", form)
        assert (ran.code, "fake-b" in ran.out) == (0, True)
        pool.write_text(json.dumps({"version": 2, "accounts": entries, "active": "a"}))
