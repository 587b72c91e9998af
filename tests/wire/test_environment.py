from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.credentials import resolve
from rotator.errors import OperatorError, SecretMissing
from rotator.wire.environment import applied, token, variables, withdrawn

KEY, TOKEN, BASE = "fake-key", "fake-token", "https://gateway.example/v1"


def of(provider, **found):
    return resolve("a", {"provider": provider, **found})


MEANT = [
    ("anthropic", {"api_key": KEY}, {"ANTHROPIC_API_KEY": KEY}),
    ("anthropic", {"access_token": TOKEN}, {"CLAUDE_CODE_OAUTH_TOKEN": TOKEN}),
    (
        "anthropic",
        {"access_token": TOKEN, "base_url": BASE},
        {"ANTHROPIC_AUTH_TOKEN": TOKEN, "ANTHROPIC_BASE_URL": BASE},
    ),
    ("anthropic", {"api_key": KEY, "base_url": BASE}, {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": BASE}),
    ("openai", {"api_key": KEY}, {"OPENAI_API_KEY": KEY}),
    (
        "openai",
        {"api_key": KEY, "base_url": BASE, "project_id": "p"},
        {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": BASE, "OPENAI_PROJECT_ID": "p"},
    ),
    ("codex", {"access_token": TOKEN}, {"CODEX_ACCESS_TOKEN": TOKEN}),
    ("codex", {"api_key": KEY}, {"CODEX_API_KEY": KEY, "OPENAI_API_KEY": KEY}),
    (
        "azure-openai",
        {"api_key": KEY, "base_url": BASE},
        {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": BASE},
    ),
    ("azure-openai", {"access_token": TOKEN}, {"AZURE_OPENAI_AD_TOKEN": TOKEN}),
    (
        "google-gemini-api",
        {"api_key": KEY, "project_id": "p"},
        {"GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": KEY, "GOOGLE_CLOUD_PROJECT": "p"},
    ),
    (
        "google-cloudcode",
        {"access_token": TOKEN, "project_id": "p"},
        {"GOOGLE_CLOUD_ACCESS_TOKEN": TOKEN, "GOOGLE_GENAI_USE_GCA": "true", "GOOGLE_CLOUD_PROJECT": "p"},
    ),
    ("openrouter", {"api_key": KEY}, {"OPENROUTER_API_KEY": KEY}),
    ("groq", {"api_key": KEY}, {"GROQ_API_KEY": KEY}),
    ("mistral", {"api_key": KEY}, {"MISTRAL_API_KEY": KEY}),
    ("github", {"access_token": TOKEN}, {"GH_TOKEN": TOKEN, "GITHUB_TOKEN": TOKEN}),
    ("github-models", {"api_key": KEY}, {"GITHUB_TOKEN": KEY}),
    ("github-copilot", {"access_token": TOKEN}, {"COPILOT_GITHUB_TOKEN": TOKEN}),
    ("generic", {"api_key": KEY, "base_url": BASE}, {"ROTATOR_TOKEN": KEY, "ROTATOR_BASE_URL": BASE}),
    ("my-own-gateway", {"access_token": TOKEN}, {"ROTATOR_TOKEN": TOKEN}),
]


@pytest.mark.parametrize(("provider", "found", "meant"), MEANT)
def test_the_variables_are_those_that_programs_of_the_provider_read(provider, found, meant):
    assert variables(of(provider, **found)) == {"ROTATOR_ACCOUNT": "a", **meant}


@pytest.mark.parametrize("provider", sorted({provider for provider, _, _ in MEANT} - {"google-gemini-api"}))
def test_no_variable_is_set_and_withdrawn_at_once_and_no_two_secrets_go_out(provider):
    both = of(provider, access_token=TOKEN, api_key=KEY, base_url=BASE, project_id="p")
    found = variables(both)
    assert not withdrawn(both) & found.keys()
    assert TOKEN in found.values()
    assert KEY not in found.values()
    assert token(both) == TOKEN


def test_what_another_account_of_the_provider_left_is_withdrawn_and_the_rest_stays():
    left = {
        "ANTHROPIC_AUTH_TOKEN": "fake-other",
        "ANTHROPIC_BASE_URL": "https://elsewhere",
        "CLAUDE_CODE_OAUTH_TOKEN": "fake-other",
        "OPENAI_API_KEY": "fake-mine",
        "PATH": "/bin",
    }
    assert applied(left, of("anthropic", api_key=KEY)) == {
        "OPENAI_API_KEY": "fake-mine",
        "PATH": "/bin",
        "ROTATOR_ACCOUNT": "a",
        "ANTHROPIC_API_KEY": KEY,
    }
    assert "ANTHROPIC_AUTH_TOKEN" in left


def test_what_rotator_itself_put_there_for_another_provider_is_withdrawn_too():
    left = applied({}, of("openai", api_key=KEY, base_url=BASE))
    assert "OPENAI_API_KEY" in applied(left, of("groq", api_key=KEY))
    after = applied(left, of("groq", api_key=KEY), before="openai")
    assert after == {"ROTATOR_ACCOUNT": "a", "GROQ_API_KEY": KEY}


def test_accounts_of_two_google_products_do_not_see_each_other():
    gone = withdrawn(of("google-gemini-api", api_key=KEY))
    assert {"GOOGLE_CLOUD_ACCESS_TOKEN", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_APPLICATION_CREDENTIALS"} <= gone


@pytest.mark.parametrize("found", [{}, {"refresh_token": "fake-r"}, {"api_key": "", "access_token": ""}])
def test_an_account_without_a_credential_to_hand_out_says_so(found):
    with pytest.raises(SecretMissing, match=r"^a has neither an access_token nor an api_key"):
        variables(of("openai", **found))


def test_a_credential_that_no_program_of_the_provider_reads_is_refused():
    with pytest.raises(OperatorError, match="access_token of a: programs of google-gemini-api"):
        variables(of("google-gemini-api", access_token=TOKEN))


def test_the_secret_is_the_first_that_programs_of_the_provider_read():
    both = variables(of("google-gemini-api", access_token=TOKEN, api_key=KEY))
    assert both == {"ROTATOR_ACCOUNT": "a", "GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": KEY}


@pytest.mark.parametrize("value", ["fake-\0", "fake-\ud800", "\udcff"])
@pytest.mark.parametrize("key", ["api_key", "base_url"])
def test_what_no_environment_can_hold_is_refused_without_showing_it(key, value):
    with pytest.raises(OperatorError) as caught:
        variables(of("openai", **{"api_key": KEY, key: value}))
    assert "NUL or half a character" in str(caught.value)
    assert "fake-" not in str(caught.value)


@given(
    provider=st.sampled_from([provider for provider, _, _ in MEANT]),
    left=st.dictionaries(st.sampled_from(["ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "GH_TOKEN", "HOME"]), st.just("x")),
)
def test_to_apply_twice_is_to_apply_once(provider, left):
    account = of(provider, api_key=KEY) if provider != "codex" else of(provider, access_token=TOKEN)
    once = applied(left, account)
    assert applied(once, account, before=provider) == once
    assert set(variables(account).items()) <= set(once.items())
