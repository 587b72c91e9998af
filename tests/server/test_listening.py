"""A real socket, a real server: what curl would see."""

from __future__ import annotations

import socket
import threading

import httpx
import pytest
from still_pool import DOCUMENT, MODEL, Still

from rotator.engine import Rotator
from rotator.errors import MachineError
from rotator.server.app import status_app
from rotator.server.listening import Server, is_loopback, is_unspecified, listen, url_of
from rotator.server.overview import status


@pytest.fixture
def still():
    with Rotator.memory(DOCUMENT, clock=Still()) as rotator:
        yield rotator


@pytest.fixture
def served(still):
    listener = listen("127.0.0.1", 0)
    server = Server(status_app(still))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield url_of(listener)
    server.should_exit = True
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


def test_a_client_gets_the_status_over_the_wire(served, still):
    with httpx.Client(base_url=served, timeout=10) as client:
        answer = client.get("/v1/accounts/status", params={"model": MODEL})
        assert answer.json() == status(still, MODEL)
        assert "server" not in answer.headers
        assert client.get("/healthz").json()["status"] == "ok"
        assert client.head("/healthz").status_code == 200
        assert client.post("/healthz").status_code == 405
        assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
        assert client.get("/healthz", headers={"Origin": served}).status_code == 403


def test_a_request_without_a_host_is_refused(served):
    with socket.create_connection(("127.0.0.1", int(served.rpartition(":")[2])), timeout=10) as raw:
        raw.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert raw.makefile("rb").readline().split()[1] == b"400"


def test_forwarded_headers_of_a_stranger_change_nothing(served):
    with httpx.Client(base_url=served, timeout=10) as client:
        headers = {"Host": "evil.example", "X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
        assert client.get("/healthz", headers=headers).status_code == 400


def test_a_port_that_is_taken_is_said_with_its_address():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"127.0.0.1:{port}.*--port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "near", "everywhere"),
    [
        ("127.0.0.1", True, False),
        ("127.8.8.8", True, False),
        ("localhost", True, False),
        ("::1", True, False),
        ("[::1]", True, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("192.168.1.5", False, False),
        ("localhost.example", False, False),
        ("", False, False),
    ],
)
def test_only_loopback_counts_as_this_machine(host, near, everywhere):
    assert (is_loopback(host), is_unspecified(host)) == (near, everywhere)


def test_an_address_of_ipv6_is_shown_as_urls_write_it():
    try:
        listener = listen("::1", 0)
    except MachineError:
        pytest.skip("no IPv6 here")
    with listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
