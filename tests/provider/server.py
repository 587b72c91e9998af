"""A provider on loopback: a thread of the test (``Provider``), or a process that others share (``Provider.spawned``).

Refuses: any address but 127.0.0.1. What a test tells it is the same in both forms; for the process it goes over HTTP,
behind a secret that the parent alone knows. The process ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import secrets
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.provider import steering
from tests.provider.accounts import Answer, Seen
from tests.provider.http1 import Door, Reply, Request
from tests.provider.steering import TOLD, Held, Told
from tests.provider.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Answer", "Held", "Provider", "Seen", "Spawned"]

ROOT = Path(__file__).parent.parent.parent
CONTROL = "/_control"
PATIENCE_SECS = 10.0
"""How long a spawned provider may take to end."""


class Provider(Told):
    """A provider in a thread of this process; a context manager."""

    def __init__(self) -> None:
        self._world = World()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="provider", daemon=True)

    @staticmethod
    def spawned() -> Spawned:
        """The same as a process of its own."""
        return Spawned()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *reason: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def tell(self, what: str, *args: Any, **parts: Any) -> Any:
        """In the server's own thread for what touches a gate, which belongs to its loop; else here, under the lock."""
        if what not in TOLD:
            raise AttributeError(what)
        asked: Callable[..., Any] = getattr(self._world, what)
        if what in ("account", "release"):
            done = asyncio.run_coroutine_threadsafe(_called(asked, args, parts), self._loop)
            return done.result()
        with self._world.lock:
            return asked(*args, **parts)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with _Listening(self._world, None) as self.url:
            self._started.set()
            await self._stop.wait()


class Spawned(Told):
    """A provider in a process of its own; a context manager. Other processes are given its ``url``."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.provider.server"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.url, self._secret = told["url"], told["secret"]
        return self

    def __exit__(self, *reason: object) -> None:
        try:
            self._process.communicate(timeout=PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def tell(self, what: str, *args: Any, **parts: Any) -> Any:
        line = http.client.HTTPConnection(self.url.removeprefix("http://"))
        try:
            line.request("POST", CONTROL, steering.told(what, args, parts), {"x-control": self._secret})
            answer = line.getresponse()
            return steering.result(answer.status, answer.read())
        finally:
            line.close()


class _Listening:
    """An open port, and the connections to it, all of which end with it. ``secret``: whoever sends it may steer."""

    def __init__(self, world: World, secret: str | None) -> None:
        self._world = world
        self._secret = secret
        self._open: set[asyncio.BaseTransport] = set()

    async def __aenter__(self) -> str:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._door, "127.0.0.1", 0, backlog=512)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *reason: object) -> None:
        self._server.close()
        self._emptied = asyncio.Event()
        if not self._open:
            return
        for transport in list(self._open):
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        await self._emptied.wait()

    def _door(self) -> Door:
        return Door(self._answer, self._opened, self._closed)

    def _opened(self, transport: asyncio.BaseTransport) -> None:
        self._open.add(transport)
        self._world.connections += 1

    def _closed(self, transport: asyncio.BaseTransport) -> None:
        self._open.discard(transport)
        if not self._open and not self._server.is_serving():
            self._emptied.set()

    def _answer(self, request: Request) -> Reply:
        if request.path != CONTROL or self._secret is None or request.headers.get("x-control") != self._secret:
            return self._world.answer(request)
        status, said = steering.done(self._world, request.body)
        return Reply(status, {"content-type": "application/json"}, said)


async def _called(asked: Callable[..., Any], args: tuple[Any, ...], parts: dict[str, Any]) -> Any:
    return asked(*args, **parts)


async def _until_the_end(world: World, config: dict[str, Any]) -> None:
    """Serve until standard input ends: so the process never outlives whoever started it."""
    secret = secrets.token_hex(16)
    async with _Listening(world, secret) as url:
        for account in config.get("accounts", []):
            world.account(**account)
        print(json.dumps({"url": url, "secret": secret}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main(arguments: Sequence[str] | None = None) -> None:
    """``--config FILE``: JSON, ``{"accounts": [{"name": ..., parts of an account}]}``."""
    parser = argparse.ArgumentParser(prog="python -m tests.provider.server", description=main.__doc__)
    parser.add_argument("--config", type=Path)
    config = parser.parse_args(arguments).config
    asyncio.run(_until_the_end(World(), json.loads(config.read_text()) if config else {}))


if __name__ == "__main__":
    main()
