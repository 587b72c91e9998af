"""The status API says what the engine would decide, and nothing it does changes that."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import httpx
import jsonschema
import pytest
from still_pool import DOCUMENT, MODEL, Still, asked

from rotator.core.status import candidate_json
from rotator.engine import Rotator
from rotator.server.app import status_app
from rotator.server.overview import status

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "status.schema.json").read_text())


@pytest.fixture
def still():
    with Rotator.memory(DOCUMENT, clock=Still()) as rotator:
        yield rotator


@pytest.fixture
def still_file(tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps(DOCUMENT, indent=2))
    path.chmod(0o600)
    return path


@pytest.fixture
def ask(still):
    return lambda *request, app=None, **more: asked(app or status_app(still), *request, **more)


def test_the_body_is_the_decision_of_explain_with_every_candidate(ask, still):
    answer = ask(f"/v1/accounts/status?model={MODEL}")
    outcome = still.explain(MODEL)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["candidates"] == [candidate_json(candidate) for candidate in outcome.candidates]
    assert answer.json() == status(still, MODEL)
    assert answer.json()["account"] == "b@example.com"


def test_without_a_model_there_is_one_decision_for_each_known_model(ask, still):
    body = ask().json()
    assert [one["model"] for one in body["models"]] == [MODEL]
    assert body == status(still)


def test_a_model_that_only_a_person_named_is_known_and_a_glob_is_not(ask):
    document = {"version": 2, "accounts": [{"name": "a", "models": ["m-1", "m-*", "n?"]}]}
    with Rotator.memory(document, clock=Still()) as rotator:
        body = ask(app=status_app(rotator)).json()
    assert [one["model"] for one in body["models"]] == ["m-1"]


def test_a_pool_that_knows_no_model_has_an_empty_list_of_them(ask):
    with Rotator.memory({"version": 2, "accounts": [{"name": "a"}]}, clock=Still()) as rotator:
        assert ask(app=status_app(rotator)).json()["models"] == []


@pytest.mark.parametrize("target", ["/v1/accounts/status", f"/v1/accounts/status?model={MODEL}"])
def test_a_body_about_a_file_is_valid_by_the_published_schema(ask, still_file, target):
    with Rotator.open(still_file, clock=Still()) as rotator:
        body = ask(target, app=status_app(rotator)).json()
    jsonschema.validate(body, SCHEMA)
    assert body["file"] == {"path": str(still_file), "mode": "file", "durable": True, "last_error": None}


def test_asking_changes_neither_the_pool_nor_the_file(ask, still_file):
    before = still_file.read_bytes()
    with Rotator.open(still_file, clock=Still()) as rotator:
        pool = rotator.pool
        ask(f"/v1/accounts/status?model={MODEL}", app=status_app(rotator))
        ask("/healthz", app=status_app(rotator))
        assert rotator.pool is pool
    assert still_file.read_bytes() == before


def test_an_edit_of_the_file_shows_in_the_next_answer(ask, still_file):
    with Rotator.open(still_file, clock=Still()) as rotator:
        app = status_app(rotator)
        assert ask(f"/v1/accounts/status?model={MODEL}", app=app).json()["outcome"] == "selected"
        still_file.write_text(still_file.read_text().replace('"name": "b@', '"enabled": false, "name": "b@'))
        assert ask(f"/v1/accounts/status?model={MODEL}", app=app).json()["outcome"] == "parked"
        still_file.write_text('{"accounts": []}')
        assert ask("/healthz", app=app).json()["accounts"] == 0


def test_a_file_that_became_invalid_is_told_and_the_last_good_one_still_answers(ask, still_file):
    with Rotator.open(still_file, clock=Still()) as rotator:
        still_file.write_text('{"accounts": [')
        answer = ask(f"/v1/accounts/status?model={MODEL}", app=status_app(rotator))
    assert answer.status_code == 200
    assert answer.json()["account"] == "b@example.com"
    assert answer.json()["file"]["last_error"]


@pytest.mark.parametrize(
    ("accounts", "outcome"),
    [
        (DOCUMENT["accounts"][:1], "parked"),
        (DOCUMENT["accounts"][2:], "unavailable"),
        ([], "unavailable"),
    ],
)
def test_a_pool_that_cannot_serve_is_a_status_like_any_other(ask, accounts, outcome):
    with Rotator.memory({"version": 2, "accounts": accounts}, clock=Still()) as rotator:
        answer = ask(f"/v1/accounts/status?model={MODEL}", app=status_app(rotator))
    assert (answer.status_code, answer.json()["outcome"]) == (200, outcome)


def test_no_answer_holds_a_secret(ask):
    assert "fake-" not in ask().text + ask(f"/v1/accounts/status?model={MODEL}").text + ask("/healthz").text


def test_health_says_whether_what_is_learned_is_kept(ask, still_file):
    with Rotator.open(still_file, clock=Still()) as rotator:
        health = ask("/healthz", app=status_app(rotator))
    assert health.status_code == 200
    assert health.json() | {"file": None} == {"status": "ok", "durable": True, "accounts": 3, "file": None}
    assert ask("/healthz").json()["durable"] is False


def test_other_query_parameters_are_ignored_and_an_empty_model_is_a_mistake(ask):
    assert ask("/v1/accounts/status?verbose=1").status_code == 200
    empty = ask("/v1/accounts/status?model=")
    assert empty.status_code == 422
    assert "model is empty" in empty.json()["detail"]


def test_a_name_that_has_no_utf_8_is_answered_with_its_escape(ask):
    with Rotator.memory(b'{"version": 2, "accounts": [{"name": "half \\ud83d"}]}', clock=Still()) as rotator:
        answer = ask("/v1/accounts/status?model=m", app=status_app(rotator))
    assert answer.status_code == 200
    assert answer.json()["candidates"][0]["account"] == "half \ud83d"


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/accounts/status/", 404),
        ("GET", "/v1/accounts", 404),
        ("POST", "/v1/accounts/status", 405),
        ("DELETE", "/healthz", 405),
        ("OPTIONS", "/v1/accounts/status", 405),
        ("GET", "/v1/accounts/status?model=", 422),
    ],
)
def test_every_refusal_is_a_problem_that_says_its_own_status(ask, method, target, code):
    answer = ask(target, method)
    assert answer.status_code == code
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["status"] == code
    assert answer.json()["detail"]
    assert ("allow" in answer.headers) == (code == 405)


def test_a_failure_of_ours_is_a_problem_without_its_cause(ask, still, monkeypatch):
    def broken(self, model):
        raise RuntimeError(self, "fake-secret")

    monkeypatch.setattr(Rotator, "explain", broken)
    answer = ask()
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "fake-secret" not in answer.text


def test_an_answer_that_waits_for_the_disk_holds_up_no_other(still):
    begun, free = threading.Event(), threading.Event()

    class Slow:
        """An engine whose file takes long for one model."""

        def explain(self, model):
            if model == "slow":
                begun.set()
                assert free.wait(10)
            return still.explain(model)

        def file_state(self):
            return still.file_state()

    async def both():
        transport = httpx.ASGITransport(status_app(Slow()))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            slow = asyncio.create_task(client.get("/v1/accounts/status?model=slow"))
            await asyncio.to_thread(begun.wait, 10)
            quick = await client.get("/healthz")
            waited = not slow.done()
            free.set()
            return quick, waited, await slow

    quick, waited, slow = asyncio.run(both())
    assert (quick.status_code, waited, slow.status_code) == (200, True, 200)
