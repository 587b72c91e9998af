"""The door lets this machine's programs in, and turns away what a web page could send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from still_pool import DOCUMENT, Still, asked

from rotator.engine import Rotator
from rotator.server.app import status_app
from rotator.server.door import Door


@pytest.fixture
def still():
    with Rotator.memory(DOCUMENT, clock=Still()) as rotator:
        yield rotator


@pytest.fixture
def ask(still):
    return lambda *request, app=None, **more: asked(app or status_app(still), *request, **more)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8787",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8787",
        "pool.internal:80",
        "[fd00::1]:8787",
    ],
)
def test_the_names_of_loopback_and_the_allowed_ones_are_let_in(ask, still, host):
    app = status_app(still, allowed_hosts=["Pool.Internal", "fd00::1"])
    assert ask("/healthz", headers={"Host": host}, app=app).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8787",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost:80:80",
        "localhost@evil.example",
        "user@localhost",
        "localhost:evil.example",
        "localhost/",
        "[::1",
        "::1",
        "",
    ],
)
def test_any_other_host_is_refused_so_that_rebound_names_get_nothing(ask, host):
    answer = ask("/healthz", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "--allow-host" in answer.json()["detail"]


def test_two_hosts_are_as_bad_as_none(ask):
    assert ask("/healthz", headers=[("Host", "localhost"), ("Host", "localhost")]).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8787"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "Cross-Site "},
    ],
)
def test_what_a_page_fetches_is_refused_whatever_its_origin(ask, headers):
    for target in ("/v1/accounts/status", "/healthz", "/nowhere"):
        answer = ask(target, headers=headers)
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_an_address_typed_into_a_browser_is_answered_and_opens_it_to_no_page(ask, site):
    answer = ask("/healthz", headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_door_stands_before_routes_that_do_not_exist(ask):
    assert ask("/nowhere", headers={"Host": "evil.example"}).status_code == 400


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_only_a_host_that_is_one_of_the_names_gets_past(host):
    let_in = Door(None)._refusal(_headers(host)) is None
    bare = host.lower()
    name = bare[: bare.index("]") + 1] if bare.startswith("[") and "]" in bare else bare.split(":")[0]
    port = bare[len(name) :]
    named = name in ("localhost", "127.0.0.1", "[::1]")
    assert let_in == (named and (port == "" or (port[0] == ":" and (port[1:] == "" or port[1:].isdigit()))))


@given(
    st.sampled_from(["localhost", "127.0.0.1", "[::1]"]), st.integers(0, 65535), st.text("abc.@/:#?[]\\ ", min_size=1)
)
def test_nothing_before_or_behind_a_good_name_makes_another_one_good(name, port, extra):
    good = f"{name}:{port}"
    assert Door(None)._refusal(_headers(good)) is None
    assert Door(None)._refusal(_headers(extra + good)) is not None
    assert Door(None)._refusal(_headers(good + extra)) is not None


def _headers(host):
    from starlette.datastructures import Headers

    return Headers({"host": host})
