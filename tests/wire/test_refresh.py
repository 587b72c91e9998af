"""A refresh is one transaction: asked for once, kept before it is used, and nobody's edit is lost to it."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import threading
import traceback

import pytest

from rotator import Rotator
from rotator.core.codec.tokens import short_hash
from rotator.core.instants import parse
from rotator.errors import EndpointFailed, LoginNeeded, SecretMissing
from rotator.store import room
from rotator.wire import refresh, tokens
from rotator.wire.refresh import current
from tests.provider.server import Answer
from tests.simulators import START, document, edit, instant, load, runtime, save

FIRST = "fake-a-refresh-0"
OLD = "fake-a-access-0"


def mine(path):
    return load(path)["accounts"][0]


def test_a_token_that_lives_is_returned_without_a_lock_or_a_question(laid, opened, path, provider):
    laid(expires_at=instant(61))
    assert current(opened(), "a").access_token == OLD
    assert provider.token_requests == 0
    assert [entry for entry in os.listdir(path.parent) if "refresh" in entry] == []


def test_new_tokens_replace_the_old_ones_in_place_and_nothing_else_of_a_persons(laid, opened, path, provider):
    held = laid()
    before = path.read_text()
    found = current(opened(), "a")
    assert (found.access_token, found.refresh_token) == (held.access_token, held.refresh_token)
    assert found.expires_at == START + 3600
    after = path.read_text()
    for old, new in ((OLD, held.access_token), (FIRST, held.refresh_token), (instant(-1), instant(3600))):
        before = before.replace(json.dumps(old), json.dumps(new))
    head, _, rest = after.partition(',\n      "runtime": {')
    assert before == head + rest[rest.index("\n      }") + len("\n      }") :]
    assert runtime(path, "a")["superseded"] == [short_hash(FIRST)]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (instant(-1), instant(3600)),
        ("2026-11-20T09:00:00.5+02:00", instant(3600)),
        (int(START) - 1, int(START) + 3600),
        (START - 0.5, START + 3600),
        ((int(START) - 1) * 1000, (int(START) + 3600) * 1000),
        ((START - 1) * 1000 + 0.7791, (START + 3600) * 1000),
        (0, int(START) + 3600),
    ],
)
def test_the_end_keeps_the_form_in_which_it_was_written(laid, opened, path, written, expected):
    laid(expires_at=written)
    current(opened(), "a")
    assert mine(path)["expires_at"] == expected
    assert type(mine(path)["expires_at"]) is type(expected)


def test_an_end_without_fractions_does_not_shorten_a_token_of_one_second(laid, opened, path, clock, provider):
    clock.wall = START + 0.9
    provider.set_time(clock.wall)
    laid(expires_at=int(START) - 1, expires_in=1.0)
    rotator = opened()
    assert current(rotator, "a").expires_at == pytest.approx(START + 1.9)
    for _ in range(7):
        clock.advance(0.1)
        current(rotator, "a")
    assert provider.token_requests == 1
    clock.advance(0.15)
    current(rotator, "a")
    assert provider.token_requests == 2


def test_an_access_token_without_a_place_of_a_persons_is_kept_for_the_next_process(laid, opened, path, clock, provider):
    held = laid(without=("access_token", "expires_at"))
    first = opened()
    assert current(first, "a").access_token == held.access_token
    assert "access_token" not in mine(path)
    assert runtime(path, "a")["access_token"] == held.access_token
    clock.advance(3000)
    assert current(opened(), "a").access_token == held.access_token
    assert provider.token_requests == 1
    for shown in (
        repr(first.pool),
        repr(first.pool.account("a").runtime),
        repr(first.explain("m")),
        repr(first.file_state()),
    ):
        assert "fake-" not in shown


def test_an_access_token_of_a_former_login_is_not_used_for_a_new_one(laid, opened, path, provider):
    held = laid(without=("access_token", "expires_at"))
    rotator = opened()
    old = current(rotator, "a").access_token
    held.login()
    edit(path, lambda found: found["accounts"][0].update(refresh_token=held.refresh_token))
    assert current(rotator, "a").access_token not in (None, old)
    assert provider.reuse_detected == 0


def test_what_a_refresh_wrote_is_sealed_and_no_hand_edit(laid, opened, path, clock):
    laid(without=("access_token", "expires_at"))
    current(opened(), "a")
    rev = runtime(path, "a")["rev"]
    other = opened()
    other.observe("a", "m", status=429, headers={"retry-after": "60"}, body=None)
    assert other.flush()
    assert runtime(path, "a")["rev"] == rev + 1
    assert runtime(path, "a")["access_token"].startswith("fake-a-access")


@pytest.mark.parametrize(
    ("expires_in", "margin"), [(3600.0, 60.0), (300.0, 60.0), (100.0, 20.0), (10.0, 2.0), (1.0, 0.2)]
)
def test_a_token_is_refreshed_a_minute_or_a_fifth_of_its_life_before_its_end(
    laid, opened, clock, provider, expires_in, margin
):
    laid(expires_in=expires_in)
    rotator = opened()
    current(rotator, "a")
    clock.advance(expires_in - margin - 0.01)
    current(rotator, "a")
    assert provider.token_requests == 1
    clock.advance(0.02)
    current(rotator, "a")
    assert provider.token_requests == 2


def test_a_token_without_an_end_serves_until_it_is_refused(laid, opened, provider):
    held = laid(without=("expires_at",))
    rotator = opened()
    assert current(rotator, "a").access_token == OLD
    assert current(rotator, "a", rejected="fake-another").access_token == OLD
    assert provider.token_requests == 0
    assert current(rotator, "a", rejected=OLD).access_token == held.access_token != OLD
    assert current(rotator, "a", rejected=OLD).access_token == held.access_token
    assert provider.token_requests == 1


def json_web_token(end):
    claims = base64.urlsafe_b64encode(json.dumps({"exp": end, "sub": "fake"}).encode()).decode().rstrip("=")
    return f"fake-header.{claims}.fake-signature"


def test_a_token_that_says_itself_when_it_ends_is_believed(laid, opened, path, clock, provider):
    old, new = json_web_token(START + 61), json_web_token(START + 900)
    held = laid(dialect="codex", access_token=old, without=("expires_at",))
    given = {"access_token": new, "refresh_token": "fake-a-refresh-1"}
    held.script(Answer(200, {}, given), on="token")
    rotator = opened()
    assert current(rotator, "a").access_token == old
    assert provider.token_requests == 0
    clock.advance(2)
    found = current(rotator, "a")
    assert (found.access_token, found.expires_at) == (new, START + 900)
    assert mine(path)["access_token"] == new


@pytest.mark.parametrize(
    ("token", "end"),
    [
        (json_web_token(START), START),
        (json_web_token(True), None),
        (json_web_token("soon"), None),
        (json_web_token(-1), None),
        ("fake-plain", None),
        ("fake.b.c", None),
        ("..", None),
        ("fake.\u00e9.c", None),
        ("fake." + base64.urlsafe_b64encode(b"[" * 9999).decode() + ".c", None),
    ],
)
def test_what_is_no_json_web_token_says_nothing_of_its_end(token, end):
    assert tokens.end_of(token) == end


@pytest.mark.parametrize(
    ("said", "secs"),
    [
        (3600, 3600.0),
        ("3600", 3600.0),
        (0, 0.0),
        (None, None),
        (-1, None),
        (True, None),
        ("x", None),
        (1e30, None),
        ([], None),
    ],
)
def test_a_life_that_cannot_be_meant_is_not_known(said, secs):
    assert tokens._life(said) == secs


def test_many_threads_at_once_refresh_once(laid, opened, provider):
    held = laid()
    rotators = [opened() for _ in range(4)] * 2
    found, begin = [], threading.Barrier(8)

    def ask(rotator):
        begin.wait()
        found.append(current(rotator, "a").access_token)

    threads = [threading.Thread(target=ask, args=(rotator,)) for rotator in rotators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [held.access_token] * 8
    assert (provider.token_requests, provider.reuse_detected) == (1, 0)


def test_while_another_process_asks_for_long_a_token_that_lives_is_sent(laid, opened, provider, monkeypatch):
    monkeypatch.setattr(refresh, "LIVING_LOCK_SECS", 0.0)
    monkeypatch.setattr(refresh, "LOCK_SECS", 0.0)
    held = laid(expires_at=instant(30))
    slow, other = opened(), opened()

    def ask_too():
        assert current(other, "a").access_token == OLD
        with pytest.raises(EndpointFailed, match="refresh"):
            current(other, "a", rejected=OLD)

    assert while_asking(provider, held, slow, ask_too).access_token == held.access_token
    assert current(other, "a").access_token == held.access_token


def while_asking(provider, held, rotator, action):
    """Does ``action`` while the endpoint has rotated and not answered yet; what ``current`` returned."""
    held.script("hold", on="token")
    found = []
    thread = threading.Thread(target=lambda: found.append(current(rotator, "a")))
    thread.start()
    while provider.token_requests == 0:
        pass
    action()
    held.release()
    thread.join()
    return found[0]


def test_hand_edits_made_while_the_endpoint_is_asked_survive(laid, opened, path, provider):
    held = laid()
    rotator = opened()

    def edits(found):
        found["accounts"][0]["note"] = "edited"
        found["accounts"].insert(0, {"name": "c", "priority": 3})

    found = while_asking(provider, held, rotator, lambda: edit(path, edits))
    names = {each["name"]: each for each in load(path)["accounts"]}
    assert [*names] == ["c", "a", "b"]
    assert names["a"]["note"] == "edited"
    assert names["a"]["refresh_token"] == held.refresh_token != FIRST
    assert names["a"]["access_token"] == found.access_token == held.access_token


def test_a_flush_goes_on_while_the_endpoint_is_asked(laid, opened, path, provider):
    held = laid()
    rotator = opened()

    def learn():
        rotator.observe("b", "m", status=429, headers={"retry-after": "600"}, body=None)
        assert rotator.flush()

    while_asking(provider, held, rotator, learn)
    assert runtime(path, "b")["models"]["m"]["cooldown_until"] == instant(600)
    assert mine(path)["refresh_token"] == held.refresh_token


def test_a_token_that_a_person_changed_meanwhile_is_theirs(laid, opened, path, provider):
    held = laid()
    provider.account("p", dialect="anthropic", refresh_token="fake-persons", access_token="fake-persons-access")
    change = {"refresh_token": "fake-persons", "access_token": "fake-persons-access", "expires_at": instant(7200)}
    found = while_asking(
        provider, held, opened(), lambda: edit(path, lambda found: found["accounts"][0].update(change))
    )
    assert (found.refresh_token, found.access_token) == ("fake-persons", "fake-persons-access")
    assert {key: mine(path)[key] for key in change} == change


def test_an_account_that_left_the_file_meanwhile_is_not_brought_back(laid, opened, path, provider):
    held = laid()
    rotator = opened()
    held.script("hold", on="token")
    failed = []

    def ask():
        try:
            current(rotator, "a")
        except LookupError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while provider.token_requests == 0:
        pass
    edit(path, lambda found: found["accounts"].pop(0))
    held.release()
    thread.join()
    assert len(failed) == 1
    assert load(path)["accounts"] == [{"name": "b"}]


def test_a_refused_token_is_believed_only_when_the_file_still_has_it(laid, opened, path, monkeypatch):
    held = laid()
    held.script(Answer(400, {}, {"error": "invalid_grant"}), on="token")
    real = tokens.ask

    def ask(*args):
        """Before the answer is there, somebody rotates without our lock."""
        answer = real(*args)
        held.login()
        new = {"refresh_token": held.refresh_token, "access_token": held.access_token, "expires_at": instant(3600)}
        edit(path, lambda found: found["accounts"][0].update(new))
        return answer

    monkeypatch.setattr(tokens, "ask", ask)
    rotator = opened()
    assert current(rotator, "a").access_token == held.access_token
    assert runtime(path, "a") == {}
    rotator.flush()
    assert "auth_failed" not in json.dumps(runtime(path, "a"))
    assert "last_failure_at" not in json.dumps(runtime(path, "a"))


@pytest.mark.parametrize(
    "said",
    [
        Answer(400, {}, {"error": "invalid_grant", "error_description": "Refresh token not found or invalid"}),
        Answer(401, {}, {"error": {"message": f"{FIRST} was used", "code": "refresh_token_reused"}}),
    ],
)
def test_a_dead_token_needs_a_login_and_is_never_blanked(laid, opened, path, said):
    held = laid()
    held.script(said, on="token")
    rotator = opened()
    with pytest.raises(LoginNeeded, match="log in again") as raised:
        current(rotator, "a")
    assert FIRST not in str(raised.value)
    assert (mine(path)["refresh_token"], mine(path)["access_token"]) == (FIRST, OLD)
    assert runtime(path, "a")["auth_failed"] is True
    held.login()
    edit(path, lambda found: found["accounts"][0].update(refresh_token=held.refresh_token))
    assert current(rotator, "a").access_token == held.access_token
    assert not rotator.pool.account("a").runtime.auth_failed


def test_an_ambiguous_failure_is_not_tried_again_before_half_a_minute_and_then_once(laid, opened, clock, provider):
    held = laid()
    held.script("drop", on="token")
    rotator = opened()
    for _ in range(3):
        with pytest.raises(EndpointFailed):
            current(rotator, "a")
    clock.advance(29.9)
    with pytest.raises(EndpointFailed):
        current(rotator, "a")
    assert provider.token_requests == 1
    clock.advance(0.2)
    with pytest.raises(LoginNeeded):
        current(rotator, "a")
    assert provider.token_requests == 2


def test_an_endpoint_that_failed_is_left_alone_for_longer_each_time_or_as_long_as_it_says(
    laid, opened, clock, provider
):
    held = laid()
    held.script(Answer(500), Answer(502), Answer(429, {"retry-after": "1000"}), on="token")
    rotator = opened()
    for rest in (30, 60, 1000):
        with pytest.raises(EndpointFailed):
            current(rotator, "a")
        clock.advance(rest - 1)
        asked = provider.token_requests
        with pytest.raises(EndpointFailed):
            current(rotator, "a")
        assert provider.token_requests == asked
        clock.advance(2)
    assert current(rotator, "a").access_token == held.access_token
    assert runtime(rotator_path(rotator), "a").get("auth_failed") is None


def rotator_path(rotator):
    from pathlib import Path

    return Path(rotator.file_state().path)


def test_while_refreshes_fail_a_token_that_has_not_ended_is_still_sent(laid, opened, clock, provider):
    laid(expires_at=instant(50)).script(Answer(503), on="token")
    rotator = opened()
    assert current(rotator, "a").access_token == OLD
    assert current(rotator, "a").access_token == OLD
    assert provider.token_requests == 1
    with pytest.raises(EndpointFailed):
        current(rotator, "a", rejected=OLD)
    clock.advance(51)
    assert current(rotator, "a").access_token != OLD


@pytest.mark.parametrize(
    "said",
    [
        Answer(200, {}, "<html>"),
        Answer(200, {}, {"access_token": 7}),
        Answer(200, {}, []),
        Answer(307, {"location": "https://elsewhere.example/"}),
        Answer(403, {}, {"error": "fake token echoed: " + FIRST}),
        Answer(400, {}, {"error": "invalid_client"}),
        Answer(404),
        Answer(401, {"content-type": "text/html"}, "<html>log in to the proxy</html>"),
        Answer(401, {}, {"error": "authentication_error"}),
        Answer(401, {}, "invalid_grant"),
    ],
)
def test_an_answer_that_says_nothing_of_the_token_blocks_nobody(laid, opened, path, said, provider):
    laid().script(said, on="token")
    rotator = opened()
    with pytest.raises(EndpointFailed) as raised:
        current(rotator, "a")
    assert "fake-" not in str(raised.value)
    assert not rotator.pool.account("a").runtime.auth_failed
    assert mine(path)["refresh_token"] == FIRST
    assert len(provider.requests) == 1


def test_a_connection_that_was_never_made_is_tried_again(laid, opened, monkeypatch, provider):
    import httpx

    held = laid()
    real, failures = httpx.HTTPTransport.handle_request, []

    def refusing(self, request):
        if len(failures) < 2:
            failures.append(request.url.path)
            raise httpx.ConnectError("refused")
        return real(self, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", refusing)
    assert current(opened(), "a").access_token == held.access_token
    assert failures == ["/oauth/token"] * 2


@pytest.mark.parametrize("error", ["ReadTimeout", "ReadError", "WriteError", "RemoteProtocolError"])
def test_a_request_that_was_sent_is_not(laid, opened, monkeypatch, error):
    import httpx

    laid()
    sent = []

    def breaking(_self, request):
        sent.append(request)
        raise getattr(httpx, error)("broken")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", breaking)
    with pytest.raises(EndpointFailed):
        current(opened(), "a")
    assert len(sent) == 1


@pytest.mark.parametrize("parts", [{"token_url": "http://192.0.2.1/token"}, {"token_url": "ftp://127.0.0.1/"}])
def test_no_token_goes_out_unencrypted(laid, opened, parts, provider):
    laid(**parts)
    with pytest.raises(SecretMissing, match="https"):
        current(opened(), "a")
    assert provider.requests == []


def test_an_account_that_cannot_be_refreshed_says_what_is_missing(path, opened):
    tokens = {"refresh_token": FIRST, "access_token": OLD, "expires_at": instant(-1)}
    others = ({"name": "o", "provider": "generic", **tokens}, {"name": "g", "provider": "google-cloudcode", **tokens})
    save(path, document(*others, {"name": "k", "api_key": "fake-key", "refresh_token": FIRST}))
    rotator = opened()
    edit(path, lambda found: found["accounts"][1].update(expires_at=instant(20)))
    assert current(rotator, "g").access_token == OLD
    edit(path, lambda found: found["accounts"][1].update(expires_at=instant(-1)))
    with pytest.raises(SecretMissing, match="token_url"):
        current(rotator, "o")
    with pytest.raises(SecretMissing, match="client_id"):
        current(rotator, "g")
    assert current(rotator, "k").api_key == "fake-key"


@pytest.mark.parametrize(
    ("dialect", "sent", "kind"),
    [
        ("anthropic", "9d1c250a-e61b-44d9-88ed-5944d1962f5e", "application/json"),
        ("codex", "app_EMoamEEZ73f0CkXaXp7hrann", "application/json"),
        ("ietf", None, "application/x-www-form-urlencoded"),
    ],
)
def test_each_family_is_asked_in_its_own_form(laid, opened, provider, dialect, sent, kind):
    held = laid(dialect=dialect)
    assert current(opened(), "a").access_token == held.access_token
    asked = provider.requests[0]
    assert asked.headers["content-type"] == kind
    assert (sent is None) == (b"client_id" not in asked.body)
    assert sent is None or sent.encode() in asked.body
    assert b"scope" not in asked.body


def google(provider, **parts):
    provider.account("a", dialect="google", refresh_token=FIRST, access_token=OLD, rotation="static")
    return {
        "name": "a",
        "provider": "google-cloudcode",
        "refresh_token": FIRST,
        "client_id": "id",
        "client_secret": "fake-client",
        "token_url": f"{provider.url}/token",
        **parts,
    }


def test_googles_refresh_token_stays_and_is_refreshed_in_memory_too(provider, clock):
    rotator = Rotator.memory(document(google(provider)), clock=clock)
    first = current(rotator, "a")
    assert (first.refresh_token, first.access_token) == (FIRST, "fake-a-access-1")
    assert current(rotator, "a").access_token == rotator.credentials("a").access_token == "fake-a-access-1"
    clock.advance(3541)
    assert current(rotator, "a").access_token == "fake-a-access-2"
    assert b"client_secret=fake-client" in provider.requests[0].body


def test_googles_refresh_supersedes_nothing(provider, path, opened):
    save(path, document(google(provider, access_token=OLD, expires_at=instant(-1))))
    assert current(opened(), "a").access_token == mine(path)["access_token"] == "fake-a-access-1"
    assert "superseded" not in runtime(path, "a")
    assert mine(path)["refresh_token"] == FIRST


def test_googles_refresh_token_may_be_kept_elsewhere(provider, path, opened, monkeypatch):
    monkeypatch.setenv("ROTATOR_TEST_REFRESH", FIRST)
    save(path, document(google(provider, refresh_token={"env": "ROTATOR_TEST_REFRESH"})))
    assert current(opened(), "a").access_token == runtime(path, "a")["access_token"] == "fake-a-access-1"
    assert current(opened(), "a").access_token == "fake-a-access-1"
    assert provider.token_requests == 1


@pytest.mark.parametrize("where", ["memory", "read-only", "no lock file", "referred"])
def test_a_single_use_token_is_never_spent_where_the_new_one_could_not_be_kept(
    laid, opened, path, clock, provider, monkeypatch, where
):
    parts = {}
    if where == "referred":
        monkeypatch.setenv("ROTATOR_TEST_REFRESH", FIRST)
        parts = {"refresh_token": {"env": "ROTATOR_TEST_REFRESH"}}
    laid(**parts, expires_at=instant(30))
    if where == "read-only":
        path.chmod(0o400)
    if where == "no lock file":
        from rotator.store.lock import Lock

        monkeypatch.setattr(Lock, "acquire", lambda _self: "none")
    rotator = Rotator.memory(path.read_bytes(), clock=clock) if where == "memory" else opened()
    assert current(rotator, "a").access_token == OLD
    clock.advance(31)
    with pytest.raises(LoginNeeded, match="good for one use"):
        current(rotator, "a")
    assert provider.token_requests == 0


def test_a_token_in_another_tools_file_is_read_at_each_use_and_left_to_that_tool(path, tmp_path, opened, clock):
    other = tmp_path / "credentials.json"
    ref = {"file": str(other), "pointer": "/claudeAiOauth/accessToken"}
    kept = {"accessToken": "fake-theirs-1", "refreshToken": FIRST, "expiresAt": int(START + 30) * 1000}
    other.write_text(json.dumps({"claudeAiOauth": kept}))
    refreshing = {**ref, "pointer": "/claudeAiOauth/refreshToken"}
    save(path, document({"name": "a", "provider": "anthropic", "access_token": ref, "refresh_token": refreshing}))
    before = path.read_bytes()
    rotator = opened()
    assert current(rotator, "a").access_token == "fake-theirs-1"
    clock.advance(31)
    with pytest.raises(LoginNeeded, match="that tool has to refresh"):
        current(rotator, "a")
    other.write_text(json.dumps({"claudeAiOauth": {**kept, "accessToken": "fake-theirs-2", "expiresAt": 9e12}}))
    assert current(rotator, "a").access_token == "fake-theirs-2"
    with pytest.raises(LoginNeeded, match="that tool has to refresh"):
        current(rotator, "a", rejected="fake-theirs-2")
    assert path.read_bytes() == before


def test_a_stale_editor_buffer_does_not_bring_a_spent_token_back(laid, opened, path, provider, clock):
    held = laid(expires_in=100.0)
    rotator = opened()
    stale = path.read_bytes()
    current(rotator, "a")
    newest = held.refresh_token
    path.write_bytes(stale.replace(b'"mine"', b'"edited"'))
    clock.advance(99)
    found = current(rotator, "a")
    assert provider.reuse_detected == 0
    assert mine(path)["note"] == "edited"
    assert mine(path)["refresh_token"] == found.refresh_token == held.refresh_token != newest


def test_nor_does_it_where_no_process_was_left_that_knew(laid, opened, path, provider, clock):
    held = laid()
    stale = path.read_bytes()
    first = opened()
    current(first, "a")
    first.close()
    path.write_bytes(stale)
    assert current(opened(), "a").access_token == held.access_token
    assert mine(path)["refresh_token"] == held.refresh_token
    assert (provider.token_requests, provider.reuse_detected) == (1, 0)


def test_a_routine_write_puts_the_newest_token_back_too(laid, opened, path, provider):
    held = laid()
    stale = path.read_bytes()
    first = opened()
    current(first, "a")
    first.close()
    path.write_bytes(stale)
    other = opened()
    other.hold("b")
    assert other.flush()
    assert mine(path)["refresh_token"] == held.refresh_token
    assert short_hash(FIRST) in runtime(path, "a")["superseded"]


def test_a_spent_token_whose_successor_nobody_knows_is_not_sent(laid, path, opened, provider):
    laid(runtime={"rev": 3, "superseded": [short_hash(FIRST)]})
    with pytest.raises(LoginNeeded, match="old copy"):
        current(opened(), "a")
    assert provider.token_requests == 0


def test_the_backup_of_a_rotation_holds_no_dead_token(laid, opened, path):
    laid()
    current(opened(), "a")
    assert path.with_name("accounts.json.bak").read_bytes() == path.read_bytes()
    assert not [entry for entry in os.listdir(path.parent) if entry.endswith((".room", ".tmp", ".swap"))]


def test_a_full_disk_refuses_before_the_endpoint_is_asked(laid, opened, path, provider, monkeypatch):
    laid()

    def full(_descriptor, _offset, size):
        assert size > len(path.read_bytes())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room.os, "posix_fallocate", full)
    before = path.read_bytes()
    with pytest.raises(EndpointFailed, match="No space left"):
        current(opened(), "a")
    assert provider.token_requests == 0
    assert path.read_bytes() == before
    assert [entry for entry in os.listdir(path.parent) if entry.endswith(".room")] == []


def test_a_new_token_that_could_not_be_written_lies_beside_the_file_and_is_found(
    laid, opened, path, provider, monkeypatch
):
    held = laid()
    rotator = opened()

    def tear():
        path.write_bytes(path.read_bytes()[:40])

    whole = path.read_bytes()
    found = while_asking(provider, held, rotator, tear)
    assert found.access_token == held.access_token
    (left,) = [entry for entry in path.parent.iterdir() if entry.suffix == ".room"]
    assert left.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(rotator._keeper, "flush", lambda *_args: False)  # as if the process had died
    path.write_bytes(whole)
    other = opened()
    assert current(other, "a").access_token == held.access_token
    assert other.flush()
    assert mine(path)["refresh_token"] == held.refresh_token
    assert not left.exists()
    assert provider.reuse_detected == 0


def test_a_ban_outlives_a_rotation(laid, opened, path):
    from rotator.core.signals import Blocked

    laid()
    rotator = opened()
    rotator.ingest([Blocked("a", "banned", START, "because")])
    current(rotator, "a")
    assert rotator.pool.account("a").runtime.banned
    assert opened().pool.account("a").runtime.banned


def test_signals_wait_until_the_token_is_on_the_disk(laid, opened, path, monkeypatch):
    held = laid()
    came = []
    was = signal.signal(signal.SIGTERM, lambda number, _frame: came.append((number, mine(path)["refresh_token"])))
    real = refresh._keep

    def interrupted(*args, **parts):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        real(*args, **parts)

    monkeypatch.setattr(refresh, "_keep", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            current(opened(), "a")
        assert came == [(signal.SIGTERM, held.refresh_token)]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, was)


@pytest.mark.parametrize("script", [["drop"], [Answer(500)], [Answer(401)], [Answer(200, {}, "x")], []])
def test_no_error_log_or_file_name_holds_a_token(laid, opened, path, caplog, script):
    caplog.set_level(logging.DEBUG)
    held = laid()
    held.script(*script, on="token")
    shown = []
    try:
        shown.append(repr(current(opened(), "a")))
    except (EndpointFailed, LoginNeeded) as error:
        shown += traceback.format_exception(error)
        chain = error
        while chain is not None:
            shown += [repr(chain), repr(vars(chain)), repr(chain.args)]
            chain = chain.__cause__ or chain.__context__
        frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
        shown += [repr(value) for frame in frames for name, value in frame.items() if name not in ("laid", "held")]
    shown += [record.getMessage() for record in caplog.records]
    assert "fake-a-" not in "\n".join(shown)
    for entry in path.parent.iterdir():
        assert "fake" not in entry.name
        if entry.name.endswith(".lock"):
            assert entry.read_bytes() == b""
        assert entry.stat().st_mode & 0o077 == 0


def test_two_engines_agree_on_a_token_that_one_of_them_refreshed(laid, opened, path, provider):
    held = laid()
    one, two = opened(), opened()
    current(one, "a")
    assert current(two, "a").access_token == held.access_token
    assert parse(mine(path)["expires_at"]) == START + 3600
    assert provider.token_requests == 1
