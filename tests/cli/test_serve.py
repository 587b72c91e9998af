"""`rotator serve` answers this machine, says what it lacks, and ends cleanly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from rotator.cli import main
from rotator.clock import MachineClock
from rotator.engine import Rotator

ROOT = Path(__file__).parents[2]
MODEL = "gemini-3-pro"
POOL = {
    "version": 2,
    "accounts": [
        {"name": "a", "api_key": "fake-a", "runtime": {"rev": 1, "models": {MODEL: {"remaining_fraction": 0.5}}}},
        {"name": "b", "api_key": "fake-b", "enabled": False},
    ],
}
TELLING = """
import sys
from rotator.cli import main
from rotator.engine import Rotator
close = Rotator.close
def told(self):
    close(self)
    print("closed", flush=True)
Rotator.close = told
sys.exit(main())
"""


@pytest.fixture
def accounts(tmp_path):
    path = tmp_path / "accounts.json"
    path.write_text(json.dumps(POOL))
    path.chmod(0o600)
    return path


@pytest.fixture
def serve(accounts):
    """Starts the command in a process of its own; gives it and its address."""
    running = []

    def started(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", TELLING, "--accounts", str(accounts), "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        running.append(process)
        for line in process.stderr:
            if "serving" in line:
                return process, line.split()[2].partition("/v1")[0]
        pytest.fail("it ended before it served")

    yield started
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("host", ["300.1.1.1", "127.0.0", "127.0.0.1:8787", "::g"])
def test_what_looks_like_an_address_and_is_none_is_2(accounts, capfd, host):
    assert main(["--accounts", str(accounts), "serve", "--host", host]) == 2
    assert f"{host} is no address" in capfd.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0)], ids=str)
def test_a_signal_closes_the_engine_and_ends_the_server(serve, number, code):
    process, address = serve()
    with httpx.Client(base_url=address, timeout=10) as client:
        assert client.get("/healthz").json()["durable"] is True
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (code, "closed\n")
    assert "Traceback" not in err


def test_it_serves_what_status_prints_and_follows_the_file(serve, accounts, capfd):
    _, address = serve()
    with httpx.Client(base_url=address, timeout=10) as client:
        body = client.get("/v1/accounts/status", params={"model": MODEL}).json()
        assert main(["--accounts", str(accounts), "status", "-m", MODEL, "--json"]) == 0
        printed = json.loads(capfd.readouterr()[0])
        fixed = ("account", "ready", "blocked_by", "tier", "selection_reason")
        assert [[c[key] for key in fixed] for c in body["candidates"]] == [
            [c[key] for key in fixed] for c in printed["candidates"]
        ]
        assert body["file"] == printed["file"]
        assert body.keys() == printed.keys()
        accounts.write_text(accounts.read_text().replace('"name": "b"', '"name": "new"'))
        names = [c["account"] for c in client.get("/v1/accounts/status?model=m").json()["candidates"]]
        assert names == ["a", "new"]


def test_at_the_same_instant_its_body_is_the_very_object_that_status_prints(accounts, capfd, monkeypatch):
    from rotator.server.app import status_app

    monkeypatch.setattr(MachineClock, "now", lambda _self: datetime(2026, 11, 20, 10, tzinfo=UTC))

    async def ask(target):
        transport = httpx.ASGITransport(status_app(rotator))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get(target)).json()

    with Rotator.open(accounts, clock=MachineClock()) as rotator:
        for words, query in ((["-m", MODEL], f"?model={MODEL}"), ([], "")):
            assert main(["--accounts", str(accounts), "status", "--json", *words]) == 0
            assert json.loads(capfd.readouterr()[0]) == asyncio.run(ask(f"/v1/accounts/status{query}"))


def test_a_signal_that_nohup_ignores_stays_ignored(serve):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process, address = serve()
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    assert httpx.get(f"{address}/healthz", timeout=10).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def test_an_allowed_name_is_served_and_others_are_not(serve):
    _, address = serve("--allow-host", "pool.internal")
    with httpx.Client(base_url=address, timeout=10) as client:
        assert client.get("/healthz", headers={"Host": "pool.internal:1"}).status_code == 200
        assert client.get("/healthz", headers={"Host": "other.internal"}).status_code == 400


def test_beyond_this_machine_it_wants_the_names_and_warns(serve, accounts, capfd):
    assert main(["--accounts", str(accounts), "serve", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "--allow-host" in capfd.readouterr()[1]


def test_beyond_this_machine_with_names_it_serves_after_a_warning(accounts, capfd, monkeypatch):
    from rotator.server import listening

    monkeypatch.setattr(listening.Server, "serve_until_stopped", lambda _self, listener: listener.close())
    assert main(["--accounts", str(accounts), "serve", "--host", "0.0.0.0", "--port", "0", "--allow-host", "p"]) == 0
    assert "without a password" in capfd.readouterr()[1]


@pytest.mark.parametrize("name", ["", "*", "*.example.com", "pool.internal:8787", "http://pool.internal", "a b"])
def test_a_name_that_is_no_plain_name_is_a_usage_error(accounts, capfd, name):
    assert main(["--accounts", str(accounts), "serve", "--port", "0", "--allow-host", name]) == 2
    assert "plain name" in capfd.readouterr()[1]


def test_a_port_that_is_taken_ends_with_74(accounts, capfd):
    from rotator.server.listening import listen

    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--accounts", str(accounts), "serve", "--port", port]) == 74
    assert port in capfd.readouterr()[1]


def test_without_the_extra_it_names_it(accounts, capfd, monkeypatch):
    for module in ("app", "door", "listening"):
        monkeypatch.delitem(sys.modules, f"rotator.server.{module}", raising=False)
        monkeypatch.delattr(f"rotator.server.{module}", raising=False)
    for missing in ("starlette", "uvicorn"):
        for loaded in [name for name in sys.modules if name.partition(".")[0] == missing]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, missing, None)
    assert main(["--accounts", str(accounts), "serve"]) == 2
    assert "pip install 'rotator[server]'" in capfd.readouterr()[1]


def test_a_file_that_is_not_there_ends_with_66(tmp_path, capfd):
    assert main(["--accounts", str(tmp_path / "none.json"), "serve", "--port", "0"]) == 66
