"""Polls: what the quota endpoints teach, what their failures do not, and who is asked when."""

from __future__ import annotations

import logging
import threading
import traceback

import pytest

from rotator import Rotator
from rotator.core.signals import Polled, QuotaObserved, RateLimited
from rotator.core.state import Window
from rotator.errors import LoginNeeded, OriginRefused, UnknownAccount
from rotator.wire import inquiry, polling, refresh, spread
from rotator.wire.endpoints import ENDPOINTS, place_of
from rotator.wire.inquiry import joined
from rotator.wire.polling import poll
from tests.provider.server import Answer
from tests.simulators import START, FakeClock, account, document, load, runtime, save

MODEL = "claude-opus-4-1"
FAMILIES = [
    ("anthropic", "anthropic"),
    ("codex", "codex"),
    ("google-cloudcode", "cloudcode"),
    ("openrouter", "openrouter"),
    ("github-copilot", "copilot"),
    ("github", "github-models"),
]
"""Provider of an account -> dialect of the simulator."""


def there(provider, name, family="anthropic", dialect=None, **parts):
    """An account at the provider, and its entry in the file."""
    dialect = dialect or dict(FAMILIES)[family]
    secret = f"fake-{name}-token"
    provider.account(
        name, access_token=secret, dialect=dialect, limit=10, window_secs=18_000.0, weekly_limit=100, **parts
    )
    entry = account(name, provider=family, access_token=secret, base_url=provider.url)
    del entry["api_key"]
    return entry


def engine(clock, *entries, **parts):
    return Rotator.memory(document(*entries, **parts), clock=clock)


def asked(provider):
    return [(seen.account, seen.path) for seen in provider.requests]


def kept(rotator, name="a"):
    return rotator.pool.account(name).runtime


@pytest.mark.parametrize(("family", "dialect"), FAMILIES)
def test_each_quota_endpoint_teaches_what_is_left(provider, clock, family, dialect):
    entry = (
        there(provider, "a", family, models=("gemini-3-pro",))
        if family == "google-cloudcode"
        else there(provider, "a", family)
    )
    provider.held("a").spend(4, "gemini-3-pro" if family == "google-cloudcode" else "")
    rotator = engine(clock, entry)
    results = poll(rotator)
    assert [result.outcome for result in results] == ["answered"] * len(ENDPOINTS[family])
    seen = [seen for seen in provider.requests if seen.status == 200]
    assert [one.path for one in seen] == [endpoint.path for endpoint in ENDPOINTS[family]]
    after = kept(rotator)
    windows = [*after.windows, *(window for state in after.models.values() for window in state.windows)]
    assert min(window.remaining_fraction for window in windows) == pytest.approx(0.6)
    assert {name: (p.at, p.failures) for name, p in after.polls.items()} == {
        e.name: (START, 0) for e in ENDPOINTS[family]
    }


def test_a_reading_of_a_poll_is_trusted_less_than_a_responses_own(provider, clock):
    entry = there(provider, "a", "google-cloudcode", models=("gemini-3-pro",))
    rotator = engine(clock, entry)
    poll(rotator)
    assert kept(rotator).models["gemini-3-pro"].confidence == 0.9


def test_a_spent_window_is_no_refusal_and_no_success(provider, clock):
    entry = there(provider, "a")
    provider.held("a").spend(10)
    rotator = engine(clock, entry)
    learned = []
    take = rotator.ingest
    rotator.ingest = lambda signals: (learned.extend(signals), take(signals))[1]
    poll(rotator)
    assert {type(fact) for fact in learned} == {QuotaObserved, Polled}
    after = kept(rotator)
    assert (after.cooldowns, after.last_success_at(), after.models) == ((), 0.0, {})
    assert rotator.explain(MODEL).candidates[0].blocked_by == "quota"


@pytest.mark.parametrize(
    ("parts", "answers", "reason", "until"),
    [
        ({"poll": "throttled", "poll_retry_after": 2895}, (), "it answered 429 (endpoint throttled)", 2895.0),
        ({"poll": "throttled", "poll_retry_after": 0}, (), "it answered 429 (endpoint throttled)", 300.0),
        ({"poll": "throttled", "poll_retry_after": 10**9}, (), "it answered 429 (endpoint throttled)", 86_400.0),
        ({"poll": "scopeless"}, (), "it answered 403 (token lacks the scope of this endpoint)", 300.0),
        ({"poll": "failing"}, (), "it answered 500 (api_error)", 300.0),
        ({"redirect": "https://elsewhere.example"}, (), "it answered 307", 300.0),
        ({}, [Answer(200, {"content-type": "text/html"}, "<html>sign in</html>")], "its answer is no JSON object", 300.0),
        ({}, [Answer(200, {}, [1, 2])], "its answer is no JSON object", 300.0),
        ({}, [Answer(200, {}, {})], "it answered nothing that rotator reads", 300.0),
        ({}, [Answer(200, {}, {"status": "up"})], "it answered nothing that rotator reads", 300.0),
        ({}, [Answer(403, {}, {"error": {"type": "permission_error", "message": "no"}})], "it answered 403", 300.0),
        ({}, [Answer(drop=True), Answer(drop=True)], "the connection broke", 300.0),
        ({}, [Answer(400, {}, {"error": {"type": "invalid_request_error",
                                         "message": "This organization has been disabled."}})],
         "it answered 400 (organization disabled)", 300.0),
    ],
)  # fmt: skip
def test_a_failed_poll_never_changes_readiness_and_leaves_the_endpoint_alone(
    provider, clock, parts, answers, reason, until
):
    entry = there(provider, "a", **parts)
    provider.held("a").script(*answers, on="quota")
    rotator = engine(clock, entry)
    rotator.ingest([QuotaObserved("a", None, START - 60, (Window("5h", 0.5, START + 3600, 18_000.0),))])
    before, sure = kept(rotator), rotator.explain(MODEL).candidates[0].confidence
    (result,) = poll(rotator)
    assert (result.outcome, result.reason, result.windows) == ("failed", reason, ())
    after = kept(rotator)
    assert after.replace(polls={}) == before, "nothing but the endpoint's own back-off"
    assert after.polls["usage"].until - START == pytest.approx(until)
    candidate = rotator.explain(MODEL).candidates[0]
    assert candidate.ready
    assert candidate.confidence < sure


def test_a_document_that_names_no_limit_is_an_answer(provider, clock):
    entry = there(provider, "a")
    provider.held("a").script(Answer(200, {}, {"five_hour": None, "seven_day": None}), on="quota")
    (result,) = poll(engine(clock, entry))
    assert (result.outcome, result.reason, result.windows) == ("answered", "", ())


def test_a_slow_endpoint_is_a_failed_poll_and_not_asked_at_once_again(provider, clock, monkeypatch):
    sent = []

    def slow(_asker, asked):
        sent.append(asked.url)
        raise inquiry.httpx.ReadTimeout("slow")

    monkeypatch.setattr(inquiry.Asker, "_send", slow)
    (result,) = poll(engine(clock, there(provider, "a")))
    assert (result.outcome, result.reason) == ("failed", "no answer in time")
    assert len(sent) == 1


def test_an_answer_that_drips_for_too_long_is_none(provider):
    class Hurried(FakeClock):
        def monotonic(self):
            self.mono += inquiry.WHOLE_SECS + 1
            return self.mono

    (result,) = poll(engine(Hurried(), there(provider, "a")))
    assert (result.outcome, result.reason) == ("failed", "the connection broke")


def test_a_5xx_that_names_a_delay_is_not_asked_again_before(provider, clock):
    entry = there(provider, "a")
    provider.held("a").script(Answer(503, {"retry-after": "1800"}, {}), on="quota")
    (result,) = poll(engine(clock, entry))
    assert result.outcome == "failed"
    assert result.next_at.timestamp() == START + 1800
    assert len(provider.requests) == 1


def test_an_api_key_is_not_sent_to_an_endpoint_that_is_for_subscriptions(provider, clock, monkeypatch):
    monkeypatch.setattr(refresh, "current", lambda rotator, name, **_: rotator.credentials(name))
    entry = account("a", provider="codex", refresh_token="fake-a-refresh", base_url=provider.url)
    (result,) = poll(engine(clock, entry))
    assert (result.outcome, result.at) == ("failed", None)
    assert provider.requests == []


def test_nobody_there_is_a_failed_poll_that_was_tried_twice(clock):
    entry = account("a", provider="openrouter", base_url="http://127.0.0.1:1")
    (result,) = poll(engine(clock, entry))
    assert (result.outcome, result.reason) == ("failed", "cannot be reached")
    assert len(clock.naps) == 1


def test_a_broken_connection_and_a_500_are_tried_once_more_within_a_poll(provider, clock):
    names = ["a", "b"]
    entries = [there(provider, name) for name in names]
    provider.held("a").script(Answer(drop=True), on="quota")
    provider.held("b").script(Answer(500, {}, {}), on="quota")
    results = poll(engine(clock, *entries), luck=lambda: 0.5)
    assert [result.outcome for result in results] == ["answered", "answered"]
    assert [seen.account for seen in provider.requests] == ["a", "a", "b", "b"]
    assert clock.naps == [1.0, 1.0, 1.0], "a retry, the gap between two accounts of one host, a retry"


def test_an_endpoint_is_left_alone_for_its_interval_unless_forced(provider, clock):
    rotator = engine(clock, there(provider, "a"))
    poll(rotator)
    clock.advance(299)
    (result,) = poll(rotator)
    assert (result.outcome, result.reason) == ("not_due", "it was asked just now")
    assert result.next_at.timestamp() == START + 300
    assert len(provider.requests) == 1
    assert poll(rotator, force=True)[0].outcome == "answered"
    clock.advance(300)
    assert poll(rotator)[0].outcome == "answered"
    assert len(provider.requests) == 3


def test_each_failure_in_a_row_doubles_the_pause_up_to_its_longest(provider, clock):
    rotator = engine(clock, there(provider, "a", poll="scopeless"))
    pauses = []
    for _ in range(6):
        (result,) = poll(rotator)
        pauses.append(result.next_at.timestamp() - clock.wall)
        clock.advance(pauses[-1])
    assert pauses == pytest.approx([300, 600, 1200, 2400, 3600, 3600])


def test_each_endpoint_has_a_back_off_of_its_own(provider, clock):
    entry = there(provider, "a", "google-cloudcode", models=("gemini-3-pro",))
    provider.held("a").script(Answer(429, {"retry-after": "900"}, {}), None, on="quota")
    rotator = engine(clock, entry)
    assert [result.outcome for result in poll(rotator)] == ["failed", "answered"]
    clock.advance(400)
    assert [result.outcome for result in poll(rotator)] == ["not_due", "answered"]


def test_another_process_heeds_what_this_one_learned(provider, clock, tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(there(provider, "a")))
    with Rotator.open(path, clock=clock) as one, Rotator.open(path, clock=clock) as other:
        assert poll(one)[0].outcome == "answered"
        one.flush()
        assert poll(other)[0].outcome == "not_due"
    assert runtime(path, "a")["polls"]["usage"]["until"] == "2026-11-20T10:05:00Z"
    assert len(provider.requests) == 1


def test_accounts_of_one_host_are_asked_one_after_the_other_with_a_jittered_gap(provider, clock):
    entries = [there(provider, name) for name in "abcd"]
    lucky = iter([0.0, 1.0, 0.25])
    results = poll(engine(clock, *entries), luck=lambda: next(lucky))
    assert [result.account for result in results] == ["a", "b", "c", "d"]
    assert clock.naps == [0.5, 1.5, 0.75]
    assert [account for account, _ in asked(provider)] == ["a", "b", "c", "d"]


def test_no_more_than_four_hosts_are_asked_at_once(clock, monkeypatch):
    """Nine hosts: the first four answers are held back until all of them are under way, in threads that are counted."""
    threads, four = [], threading.Barrier(4, timeout=20)
    lock, served = threading.Lock(), []

    class Counted(threading.Thread):
        def start(self):
            threads.append(self)
            super().start()

    def ask(_asker, asked, *, repeatable):
        with lock:
            served.append(asked.url)
            early = len(served) <= 4
        if early:
            four.wait()
        return inquiry.Answer(200, {}, b'{"data": {"limit": 5, "limit_remaining": 4}}')

    monkeypatch.setattr(spread, "Thread", Counted)
    monkeypatch.setattr(inquiry.Asker, "ask", ask)
    entries = [account(f"a{n}", provider="openrouter", base_url=f"https://host{n}.example") for n in range(9)]
    results = poll(engine(clock, *entries))
    assert [result.outcome for result in results] == ["answered"] * 9
    assert len(threads) == 4
    assert clock.naps == [], "nobody shares a host"


def test_what_one_account_taught_is_in_the_file_before_the_last_is_asked(provider, clock, tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(there(provider, "a"), there(provider, "b"), policy={"flush_after": 0}))
    written = []
    with Rotator.open(path, clock=clock) as rotator:
        poll(rotator, progress=lambda done, _: written.append((done, "polls" in runtime(path, "a"))))
    assert written == [(0, False), (1, True), (2, True)]


@pytest.mark.parametrize("family", ["generic", "openai", "groq", "mistral", "github-models", "google-gemini-api"])
def test_a_provider_without_a_quota_endpoint_is_said_to_have_none(clock, family):
    (result,) = poll(engine(clock, account("a", provider=family)))
    assert (result.outcome, result.reason) == ("no_endpoint", f"{family} has no quota endpoint")


@pytest.mark.parametrize("family", ["anthropic", "codex", "google-cloudcode"])
def test_an_api_key_has_no_endpoint_that_is_for_subscriptions(provider, clock, family):
    (result,) = poll(engine(clock, account("a", provider=family, base_url=provider.url)))
    assert result.outcome == "no_endpoint"
    assert provider.requests == []


def test_of_the_whole_pool_who_is_disabled_or_needs_a_login_is_not_asked(provider, clock):
    entries = [
        there(provider, "a") | {"enabled": False},
        there(provider, "b") | {"runtime": {"rev": 1, "auth_failed": True}},
    ]
    rotator = engine(clock, *entries)
    assert [result.outcome for result in poll(rotator)] == ["skipped", "skipped"]
    assert provider.requests == []
    assert [result.outcome for result in poll(rotator, ["b"])] == ["answered"]


def test_only_the_named_are_asked_and_each_once(provider, clock):
    entries = [there(provider, name) for name in "abc"]
    results = poll(engine(clock, *entries), ["c", "a", "c"])
    assert [result.account for result in results] == ["c", "a"]
    assert [account for account, _ in asked(provider)] == ["c", "a"]


def test_an_unknown_name_is_said_before_anybody_is_asked(provider, clock):
    with pytest.raises(UnknownAccount, match="no account is named z"):
        poll(engine(clock, there(provider, "a")), ["a", "z"])
    assert provider.requests == []


def test_one_account_whose_secret_is_missing_does_not_stop_the_others(provider, clock, monkeypatch):
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    entries = [there(provider, "a") | {"access_token": {"env": "NO_SUCH_SECRET"}}, there(provider, "b")]
    rotator = engine(clock, *entries)
    first, second = poll(rotator)
    assert (first.outcome, second.outcome) == ("failed", "answered")
    assert "NO_SUCH_SECRET" in first.reason
    assert kept(rotator).polls == {}, "the endpoint was not asked"


def test_a_401_is_refreshed_once_and_asked_again(provider, clock, monkeypatch):
    rotator = engine(clock, there(provider, "a"))
    provider.held("a").change(access_token="fake-a-newer")
    refreshes = []

    def current(rotator, name, *, rejected=None):
        credentials = rotator.credentials(name)
        if rejected is not None:
            refreshes.append(rejected)
            credentials.access_token = "fake-a-newer"
        return credentials

    monkeypatch.setattr(refresh, "current", current)
    assert poll(rotator)[0].outcome == "answered"
    assert refreshes == ["fake-a-token"]
    assert [seen.status for seen in provider.requests] == [401, 200]
    provider.held("a").change(access_token="fake-a-newest")
    (result,) = poll(rotator, force=True)
    assert (result.outcome, result.reason[:15]) == ("failed", "it answered 401")
    assert len(refreshes) == 2, "once per poll"
    assert kept(rotator).consecutive_401 == 0, "the endpoint may refuse what the API takes"
    assert kept(rotator).cooldowns == ()


def test_a_401_whose_refresh_is_refused_for_good_says_that_a_login_is_needed(provider, clock, monkeypatch):
    rotator = engine(clock, there(provider, "a"))
    provider.held("a").expire()

    def current(rotator, name, *, rejected=None):
        if rejected is not None:
            raise LoginNeeded("a has to log in again")
        return rotator.credentials(name)

    monkeypatch.setattr(refresh, "current", current)
    (result,) = poll(rotator)
    assert (result.outcome, result.reason) == ("failed", "401, and a has to log in again")


def test_a_poll_does_not_outdo_what_was_learned_while_it_was_under_way(provider, clock):
    """The document was made before the refusal: it shows quota that the refusal says is not there."""
    rotator = engine(clock, there(provider, "a"))
    send = inquiry.Asker._send

    def slow(asker, asked):
        answer = send(asker, asked)
        clock.advance(5)
        rotator.ingest([RateLimited("a", MODEL, START + 2, None, account_wide=True)])
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inquiry.Asker, "_send", slow)
        assert poll(rotator)[0].outcome == "answered"
    assert rotator.explain(MODEL).candidates[0].blocked_by == "cooldown"


def test_a_window_of_a_model_family_reaches_the_models_that_any_account_is_known_for(provider, clock):
    entries = [
        there(provider, "a"),
        there(provider, "b") | {"runtime": {"rev": 1, "models": {MODEL: {}, "claude-haiku-4-5": {}}}},
    ]
    opus = {"utilization": 100.0, "resets_at": "2026-11-25T10:00:00+00:00"}
    provider.held("a").script(Answer(200, {}, {"five_hour": None, "seven_day_opus": opus}), on="quota")
    rotator = engine(clock, *entries)
    poll(rotator, ["a"])
    blocked = {c.account: c.blocked_by for c in rotator.explain(MODEL).candidates}
    assert blocked == {"a": "quota", "b": None}
    assert "claude-haiku-4-5" not in kept(rotator).models


def test_what_one_account_is_set_as_a_cookie_does_not_go_out_with_the_next(provider, clock):
    entries = [there(provider, name) for name in "ab"]
    provider.held("a").script(Answer(200, {"set-cookie": "session=fake-a; Path=/"}, {"five_hour": None}), on="quota")
    poll(engine(clock, *entries))
    assert len(provider.requests) == 2
    assert all("cookie" not in seen.headers for seen in provider.requests)


def test_a_body_without_end_is_no_answer(provider, clock, monkeypatch):
    monkeypatch.setattr(inquiry, "MOST_BYTES", 1000)
    entry = there(provider, "a")
    provider.held("a").script(*[Answer(chunks=["x" * 600] * 3)] * 2, on="quota")
    (result,) = poll(engine(clock, entry))
    assert (result.outcome, result.reason) == ("failed", "the connection broke")


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        (None, "/api/oauth/usage", "https://home.example/api/oauth/usage"),
        ("https://llm.example", "/api/oauth/usage", "https://llm.example/api/oauth/usage"),
        ("https://llm.example/v1/", "/api/oauth/usage", "https://llm.example/api/oauth/usage"),
        ("https://llm.example/claude/v1", "/api/oauth/usage", "https://llm.example/claude/api/oauth/usage"),
        ("https://me:fake-pw@llm.example:8443", "/rate_limit", "https://llm.example:8443/rate_limit"),
        (
            "https://chatgpt.com/backend-api/codex",
            "/backend-api/wham/usage",
            "https://chatgpt.com/backend-api/wham/usage",
        ),
        (
            "https://g.example/v1internal",
            "/v1internal:retrieveUserQuota",
            "https://g.example/v1internal:retrieveUserQuota",
        ),
        ("http://[::1]:8080", "/rate_limit", "http://[::1]:8080/rate_limit"),
        ("http://localhost:8080/api", "/api/v1/key", "http://localhost:8080/api/v1/key"),
    ],
)
def test_an_endpoint_lies_at_the_accounts_base_url(base_url, path, url):
    assert joined(base_url, "https://home.example", path) == url


@pytest.mark.parametrize("base_url", ["http://llm.example", "ftp://llm.example", "llm.example", "https://", "http://[bad", "http://127.0.0.1.evil.example", "https://x:99999"])  # fmt: skip
def test_no_credential_goes_over_plain_http_to_another_machine(clock, base_url):
    with pytest.raises(OriginRefused):
        joined(base_url, "https://home.example", "/x")
    rotator = engine(clock, account("a", provider="openrouter", base_url=base_url))
    (result,) = poll(rotator)
    assert (result.outcome, result.at) == ("failed", None)
    assert kept(rotator).polls == {}


def test_a_base_url_for_copilots_models_does_not_move_githubs_endpoint():
    (endpoint,) = ENDPOINTS["github-copilot"]
    assert (
        place_of(endpoint, "https://api.individual.githubcopilot.com") == "https://api.github.com/copilot_internal/user"
    )
    assert place_of(endpoint, "https://ghe.example") == "https://ghe.example/copilot_internal/user"


@pytest.mark.parametrize("broken", [None, "drop", "secret"])
def test_no_secret_is_in_logs_results_or_tracebacks(provider, clock, caplog, broken):
    caplog.set_level(logging.DEBUG)
    canary = "fake-canary-1234"
    provider.account("a", access_token=canary, dialect="codex")
    parts = {"account_id": "acct", "refresh_token": "fake-canary-r", "base_url": provider.url, "provider": "codex"}
    secret = canary + ("\nx" if broken == "secret" else "")
    entry = {"name": "a", "access_token": secret, **parts}
    if broken == "drop":
        provider.held("a").script(Answer(drop=True), Answer(drop=True), on="quota")
    results = poll(engine(clock, entry))
    assert results[0].outcome == ("failed" if broken else "answered")
    told = (
        repr(results)
        + caplog.text
        + repr(
            polling.question(
                ENDPOINTS["codex"][0], Rotator.memory(document(entry | {"access_token": canary})).credentials("a")
            )
        )
    )
    assert "canary" not in told


def test_an_endpoint_that_failed_raises_without_a_context_that_holds_the_request(clock):
    asked = inquiry.Asked("GET", "http://127.0.0.1:1/", [(b"authorization", b"fake-canary")])
    with inquiry.Asker(clock, lambda: 0.5, threading.Event()) as asker, pytest.raises(inquiry.EndpointFailed) as caught:
        asker.ask(asked, repeatable=True)
    assert caught.value.__context__ is None
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert "canary" not in repr(asked)


def test_a_signal_ends_the_poll_and_leaves_no_thread(provider):
    class Patient(FakeClock):
        def wait(self, event, secs):
            return event.wait(20)

    entries = [there(provider, name) for name in "abc"]
    before = threading.active_count()

    def interrupted(done, total):
        assert total == 3
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        poll(engine(Patient(), *entries), progress=interrupted)
    assert threading.active_count() == before
    assert [account for account, _ in asked(provider)] == ["a"]


def test_progress_is_told_from_none_to_all(provider, clock):
    entries = [there(provider, name) for name in "abc"]
    told = []
    poll(engine(clock, *entries), progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_what_was_learned_is_in_the_file(provider, clock, tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(there(provider, "a")))
    provider.held("a").spend(5, reset_in=3600)
    with Rotator.open(path, clock=clock) as rotator:
        poll(rotator)
    found = load(path)["accounts"][0]["runtime"]["windows"]["5h"]
    assert (found["remaining_fraction"], found["reset_time"]) == (0.5, "2026-11-20T11:00:00Z")


def renewable(provider, name="a"):
    """A subscription whose access token the provider takes no more, though the file says that it lasts."""
    provider.account(
        name, access_token=f"fake-{name}-access", refresh_token=f"fake-{name}-refresh", dialect="anthropic", limit=10
    )
    provider.held(name).expire()
    return {
        "name": name,
        "provider": "anthropic",
        "access_token": f"fake-{name}-access",
        "refresh_token": f"fake-{name}-refresh",
        "expires_at": "2026-11-20T12:00:00Z",
        "base_url": provider.url,
        "token_url": provider.url + "/oauth/token",
    }


def test_the_real_refresh_gives_the_poll_a_token_that_is_in_the_file_before_it_is_used(provider, clock, tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(renewable(provider)))
    with Rotator.open(path, clock=clock) as rotator:
        (result,) = poll(rotator)
    assert (result.outcome, result.reason) == ("answered", "")
    assert [seen.path for seen in provider.requests] == ["/api/oauth/usage", "/oauth/token", "/api/oauth/usage"]
    assert load(path)["accounts"][0]["access_token"] == provider.held("a").access_token


def test_the_real_refresh_that_is_refused_for_good_needs_a_login(provider, clock, tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(renewable(provider)))
    provider.held("a").script(Answer(400, {}, {"error": "invalid_grant"}), on="token")
    with Rotator.open(path, clock=clock) as rotator:
        (result,) = poll(rotator)
        assert kept(rotator).auth_failed, "the token endpoint says so, not the quota endpoint"
        assert kept(rotator).polls["usage"].failures == 1
    assert result.outcome == "failed"
    assert result.reason.startswith("401, and ")
    assert "fake-" not in result.reason


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"refresh_token": "fake-a-refresh"}, "the token endpoint of a answered 503"),
        ({}, "the access token of a has ended, and there is nothing to renew it with"),
    ],
)
def test_a_poll_that_fails_at_the_refresh_is_a_failed_poll_of_each_endpoint_that_was_due(
    provider, clock, tmp_path, parts, why
):
    path = tmp_path / "accounts.json"
    entry = there(provider, "a", "google-cloudcode", refresh_token="fake-a-refresh")
    entry |= {"expires_at": "2026-11-20T09:59:00Z", "token_url": provider.url + "/token", "client_id": "id", **parts}
    save(path, document(entry))
    provider.held("a").script(Answer(503, {}, {}), on="token")
    with Rotator.open(path, clock=clock) as rotator:
        rotator.ingest([QuotaObserved("a", None, START - 60, (Window("5h", 0.5, START + 3600, 18_000.0),))])
        rotator.ingest([Polled("a", ENDPOINTS["google-cloudcode"][0].name, START - 10, ok=True)])
        sure = rotator.explain(MODEL).candidates[0].confidence
        first, second = poll(rotator)
        assert (first.outcome, second.outcome) == ("not_due", "failed")
        assert second.reason.startswith(why)
        assert second.next_at.timestamp() == START + 300
        assert kept(rotator).polls[second.endpoint].failures == 1
        candidate = rotator.explain(MODEL).candidates[0]
        assert candidate.ready
        assert candidate.confidence < sure
        assert [result.outcome for result in poll(rotator)] == ["not_due", "not_due"]
    assert [seen.path for seen in provider.requests] == ["/token"] * bool(parts)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(provider, clock, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert poll(engine(clock, there(provider, "a")))[0].outcome == "answered"
    with inquiry.Asker(clock, lambda: 0.5, threading.Event()) as asker:
        chosen = {
            host: asker._client._transport_for_url(inquiry.httpx.URL(f"http://{host}:8080/x"))
            for host in ("127.0.0.1", "localhost", "[::1]", "elsewhere.example")
        }
        direct = {host for host, transport in chosen.items() if transport is asker._client._transport}
    assert direct == {"127.0.0.1", "localhost", "[::1]"}
