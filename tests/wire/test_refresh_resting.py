"""What is sent when nothing can be renewed, and how long a token endpoint that failed is left alone, by whom."""

from __future__ import annotations

import pytest

from rotator.errors import EndpointFailed, LoginNeeded
from rotator.wire.refresh import current
from tests.provider.server import Answer
from tests.simulators import edit, instant, runtime

FIRST, OLD, KEY = "fake-a-refresh-0", "fake-a-access-0", "fake-a-key"


def sent(found):
    return found.access_token, found.api_key


def test_an_end_that_a_person_sets_into_the_past_after_a_refresh_is_heeded(laid, opened, path, provider):
    held = laid()
    rotator = opened()
    first = current(rotator, "a").access_token
    edit(path, lambda found: found["accounts"][0].update(expires_at=instant(-60)))
    assert current(rotator, "a").access_token == held.access_token != first
    assert provider.token_requests == 2


@pytest.mark.parametrize(
    ("without", "parts"),
    [
        (("refresh_token",), {}),
        ((), {"provider": "generic", "token_url": None}),
        ((), {"provider": "google-cloudcode", "token_url": None}),
        ((), {"refresh_token": {"env": "ROTATOR_TEST_REFRESH"}}),
        ((), {"access_token": {"env": "ROTATOR_TEST_ACCESS"}}),
    ],
)
def test_a_dead_token_that_nothing_can_renew_does_not_go_before_an_api_key(
    laid, opened, path, monkeypatch, provider, without, parts
):
    monkeypatch.setenv("ROTATOR_TEST_REFRESH", FIRST)
    monkeypatch.setenv("ROTATOR_TEST_ACCESS", OLD)
    laid(without=(*without, *(key for key, value in parts.items() if value is None)), api_key=KEY, **parts)
    rotator = opened()
    assert sent(current(rotator, "a")) == (None, KEY)
    edit(path, lambda found: found["accounts"][0].update(expires_at=instant(30)))
    assert sent(current(rotator, "a")) == (OLD, KEY), "it lives"
    assert sent(current(rotator, "a", rejected=OLD)) == (None, KEY)
    assert provider.requests == []


def test_a_dead_refresh_token_leaves_the_api_key_and_is_not_sent_again(laid, opened, provider):
    laid(api_key=KEY).script(Answer(400, {}, {"error": "invalid_grant"}), on="token")
    rotator = opened()
    assert sent(current(rotator, "a")) == (None, KEY)
    assert sent(current(rotator, "a")) == (None, KEY)
    assert sent(current(opened(), "a")) == (None, KEY)
    assert provider.token_requests == 1
    assert not rotator.pool.account("a").runtime.auth_failed, "the key serves"


def test_a_dead_token_that_is_all_there_is_needs_a_login(laid, opened, path):
    laid(without=("refresh_token",))
    rotator = opened()
    with pytest.raises(LoginNeeded, match="nothing to renew it"):
        current(rotator, "a")
    edit(path, lambda found: found["accounts"][0].pop("expires_at"))
    assert current(rotator, "a").access_token == OLD
    assert current(rotator, "a", rejected=OLD).access_token == OLD, "nobody knows that it has ended"


def refused(rotator):
    with pytest.raises(EndpointFailed) as raised:
        current(rotator, "a")
    return str(raised.value)


def test_an_endpoint_that_failed_is_left_alone_by_the_next_process_too(laid, opened, path, clock, provider):
    held = laid()
    held.script(Answer(503), Answer(503), on="token")
    refused(opened())
    assert runtime(path, "a")["polls"]["token"]["failures"] == 1
    clock.advance(29)
    assert "another process" in refused(opened())
    assert provider.token_requests == 1
    clock.advance(2)
    refused(opened())
    clock.advance(59)
    refused(opened())
    assert provider.token_requests == 2, "its second failure doubles the pause, whichever process saw the first"
    clock.advance(2)
    assert current(opened(), "a").access_token == held.access_token


@pytest.mark.parametrize("told", [45, 200, 5000])
def test_what_the_endpoint_asks_for_is_heeded_by_the_next_process(laid, opened, clock, provider, told):
    laid().script(Answer(429, {"retry-after": str(told)}), on="token")
    refused(opened())
    clock.advance(told - 1)
    refused(opened())
    assert provider.token_requests == 1
    clock.advance(max(told, 302))
    current(opened(), "a")


def test_a_persons_new_token_does_not_wait_for_what_became_of_the_old_one(laid, opened, path, provider):
    held = laid()
    held.script(Answer(503), on="token")
    rotator = opened()
    refused(rotator)
    held.login()
    edit(path, lambda found: found["accounts"][0].update(refresh_token=held.refresh_token))
    assert current(rotator, "a").access_token == held.access_token


def test_a_token_that_came_after_the_failure_is_refreshed_at_once(laid, opened, path, clock, provider):
    held = laid(expires_in=1.0)
    held.script(Answer(503), on="token")
    one, two = opened(), opened()
    refused(one)
    held.login()
    edit(path, lambda found: found["accounts"][0].update(refresh_token=held.refresh_token))
    clock.advance(1)
    current(one, "a")
    clock.advance(1.5)
    assert current(two, "a").access_token == held.access_token
    assert provider.token_requests == 3


def test_only_a_success_after_a_failure_is_kept(laid, opened, path, clock):
    held = laid(expires_in=1.0)
    rotator = opened()
    for _ in range(3):
        current(rotator, "a")
        clock.advance(1)
    rotator.flush()
    assert "polls" not in runtime(path, "a")
    held.script(Answer(503), on="token")
    refused(rotator)
    clock.advance(31)
    current(rotator, "a")
    rotator.flush()
    assert runtime(path, "a")["polls"]["token"].get("failures", 0) == 0


def test_the_token_endpoint_of_this_machine_is_asked_past_a_proxy_of_the_environment(laid, opened, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    held = laid()
    assert current(opened(), "a").access_token == held.access_token
