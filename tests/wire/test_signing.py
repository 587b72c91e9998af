from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator import Rotator
from rotator.credentials import resolve
from rotator.wire.origins import KNOWN, Owners, origin_of, owns, trusted
from rotator.wire.signing import bare, signed, without_key

KEY, TOKEN = {"api_key": "fake-key"}, {"access_token": "fake-token"}
CREDENTIALS = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "chatgpt-account-id")
CASES = [
    ("anthropic", KEY, (), {"x-api-key": "fake-key"}),
    ("anthropic", KEY, ("x-api-key",), {"x-api-key": "fake-key"}),
    ("anthropic", KEY, ("authorization",), {"authorization": "Bearer fake-key"}),
    ("anthropic", TOKEN, ("x-api-key",), {"authorization": "Bearer fake-token"}),
    ("google-gemini-api", KEY, ("authorization",), {"x-goog-api-key": "fake-key"}),
    ("google-cloudcode", TOKEN, ("x-goog-api-key",), {"authorization": "Bearer fake-token"}),
    ("google-vertex", TOKEN, (), {"authorization": "Bearer fake-token"}),
    ("azure-openai", KEY, ("authorization",), {"api-key": "fake-key"}),
    ("azure-openai", TOKEN, ("api-key",), {"authorization": "Bearer fake-token"}),
    ("codex", TOKEN | {"account_id": "acc"}, (), {"authorization": "Bearer fake-token", "chatgpt-account-id": "acc"}),
    ("openai", KEY, ("x-api-key",), {"authorization": "Bearer fake-key"}),
    ("github-copilot", TOKEN, (), {"authorization": "Bearer fake-token"}),
    ("openrouter", KEY, (), {"authorization": "Bearer fake-key"}),
    ("generic", KEY, (), {"authorization": "Bearer fake-key"}),
    ("generic", KEY, ("x-api-key",), {"x-api-key": "fake-key"}),
    ("generic", KEY, ("api-key",), {"api-key": "fake-key"}),
    ("generic", {}, CREDENTIALS, {}),
]


def of(provider, parts):
    return resolve("a", {"provider": provider, **parts})


@pytest.mark.parametrize(("provider", "parts", "there", "expected"), CASES)
def test_each_provider_has_its_header_and_no_other_credential_stays(provider, parts, there, expected):
    raw = [(b"Host", b"h"), *[(name.upper().encode(), b"fake-of-the-program") for name in there], (b"Cookie", b"c=1")]
    headers = {name.lower().decode(): value.decode() for name, value in signed(raw, of(provider, parts))}
    assert {name: value for name, value in headers.items() if name in CREDENTIALS} == expected
    assert (headers["host"], headers["cookie"]) == ("h", "c=1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], b"oauth-2025-04-20"),
        ([b"files-api-2025-04-14"], b"files-api-2025-04-14,oauth-2025-04-20"),
        ([b"a, oauth-2025-04-20 ,b"], b"a,b,oauth-2025-04-20"),
        ([b"a", b"b"], b"a,b,oauth-2025-04-20"),
    ],
)
def test_the_beta_of_oauth_is_added_once_to_those_that_are_asked_for(before, after):
    headers = signed([(b"Anthropic-Beta", flags) for flags in before], of("anthropic", TOKEN))
    assert [value for name, value in headers if name.lower() == b"anthropic-beta"] == [after]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (b"gzip, deflate, br, zstd", b"gzip, deflate"),
        (b"gzip;q=0.5", b"gzip;q=0.5"),
        (b"br", b"identity"),
        (b"identity", b"identity"),
    ],
)
def test_only_encodings_that_can_be_read_in_passing_are_asked_for(asked, sent):
    assert (b"Accept-Encoding", sent) in signed([(b"Accept-Encoding", asked)], of("openai", KEY))


_KINDS = re.compile("auth|key|token|secret|cookie", re.IGNORECASE)


@given(st.lists(st.tuples(st.text("abcdefghij-_AUTHKEYokenCoie", min_size=1), st.text("xyz"))))
def test_a_bare_request_has_no_header_that_may_bear_a_credential(items):
    raw = [(name.encode(), value.encode()) for name, value in items]
    left = bare(raw)
    assert not any(_KINDS.search(name.decode()) for name, _ in left)
    assert [item for item in raw if item in left] == left


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"key=fake", b""),
        (b"alt=sse&key=fake", b"alt=sse"),
        (b"key=fake&alt=sse", b"alt=sse"),
        (b"a=1&API_KEY=fake&b=2&access_token=fake", b"a=1&b=2"),
        (b"monkey=1&keys=2", b"monkey=1&keys=2"),
        (b"key=fake&key=fake2", b""),
    ],
)
def test_a_query_loses_its_credentials_and_nothing_else(query, left):
    assert without_key(query) == left


ORIGINS = [
    ("https://api.anthropic.com", ("https", "api.anthropic.com", 443)),
    ("HTTPS://API.Anthropic.com:443/v1/", ("https", "api.anthropic.com", 443)),
    ("http://127.0.0.1:8080/x?y", ("http", "127.0.0.1", 8080)),
    ("http://[::1]:1", ("http", "::1", 1)),
    ("https://b\u00fccher.example/", ("https", "xn--bcher-kva.example", 443)),
    ("https://user:pass@host.example", ("https", "host.example", 443)),
    ("api.anthropic.com", None),
    ("ftp://host.example", None),
    ("https://", None),
    ("https://host:99999", None),
    ("https://host:nan", None),
    ("", None),
]


@pytest.mark.parametrize(("url", "expected"), ORIGINS)
def test_a_base_url_is_its_scheme_host_and_port(url, expected):
    assert origin_of(url) == expected


@given(st.text())
def test_no_base_url_raises(url):
    found = origin_of(url)
    assert found is None or found[0] in ("http", "https")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"])
def test_plain_http_is_for_loopback(host):
    assert trusted(("http", host, 80))


@pytest.mark.parametrize(
    "host", ["192.168.0.1", "0.0.0.0", "example.com", "localhost.example.com", "127.0.0.1.nip.io", "10.0.0.1", "::2"]
)
def test_and_for_nobody_else(host):
    assert not trusted(("http", host, 80))
    assert not owns("anthropic", f"http://{host}", ("http", host, 80))
    assert trusted(("https", host, 443))


def test_an_account_without_a_base_url_owns_its_providers_hosts_by_https_alone():
    for provider, hosts in KNOWN.items():
        for host in hosts:
            place = host.replace("*", "europe-west4")
            assert owns(provider, None, ("https", place, 443))
            assert not owns(provider, None, ("http", place, 80))
            assert not owns(provider, None, ("https", place, 8443))
            assert not owns(provider, None, ("https", f"{place}.example.com", 443))
            assert not owns(provider, None, ("https", f"evil{place}", 443)) or "*" in host
            assert not owns("generic", None, ("https", place, 443))


def test_a_base_url_stands_instead_of_the_providers_hosts():
    assert owns("openai", "https://proxy.example/v1", ("https", "proxy.example", 443))
    assert not owns("openai", "https://proxy.example/v1", ("https", "api.openai.com", 443))
    assert not owns("openai", "not a url", ("https", "api.openai.com", 443))


def test_a_base_url_counts_however_its_name_is_spelled():
    text = b'{"version": 2, "accounts": [{"id": "a", "provider": "openai", "base\\u005furl": "https://x.example/v1"}]}'
    owners = Owners(Rotator.memory(text))
    assert owners.of(("https", "x.example", 443)) == {"a"}
    assert owners.of(("https", "api.openai.com", 443)) == frozenset()
