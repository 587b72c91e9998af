"""A program with a client of httpx or httpx2, synchronous or not, behind one face, and a pool on a provider for it."""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import TYPE_CHECKING, Any, Self

from rotator import Rotator

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "claude-x"
ASKED = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
SIDES = [("httpx", False), ("httpx", True), ("httpx2", False), ("httpx2", True)]


def document(provider: Any, *names: str, **parts: Any) -> dict[str, Any]:
    """A pool of accounts of Anthropic's dialect, in this order of preference, known to the provider too."""
    accounts = []
    for place, name in enumerate(names):
        provider.account(name, key=f"fake-key-{name}", dialect="anthropic")
        accounts.append(
            {
                "id": name,
                "provider": "anthropic",
                "api_key": f"fake-key-{name}",
                "base_url": provider.url,
                "priority": place,
                **parts,
            }
        )
    return {"version": 2, "accounts": accounts}


def refusing(retry_after: int | None = 60) -> Any:
    """A 429 that is the account's own."""
    from tests.provider.server import Answer

    said = {"type": "error", "error": {"type": "rate_limit_error", "message": "This request would exceed your limit"}}
    return Answer(429, {} if retry_after is None else {"retry-after": str(retry_after)}, said)


class Program:
    """One client with the transport; calls of an asynchronous one run on a loop of its own."""

    def __init__(self, side: tuple[str, bool], rotator: Rotator, *, client: Any = (), **options: Any) -> None:
        name, self._is_async = side
        self.library = importlib.import_module(name)
        wire = importlib.import_module(f"rotator.wire.{name}")
        self.transport = (wire.AsyncRotatorTransport if self._is_async else wire.RotatorTransport)(rotator, **options)
        kind = self.library.AsyncClient if self._is_async else self.library.Client
        self.client = kind(transport=self.transport, timeout=20, **dict(client))
        self._runner = asyncio.Runner() if self._is_async else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_reason: object) -> None:
        if self._runner is None:
            self.client.close()
        else:
            self._runner.run(self.client.aclose())
            self._runner.close()

    def request(self, method: str, url: str, **parts: Any) -> Any:
        """One request whose body is read."""
        if self._runner is None:
            return self.client.request(method, url, **parts)
        return self._runner.run(self.client.request(method, url, **parts))

    def ask(self, provider: Any, **parts: Any) -> Any:
        """One request of Anthropic's messages API."""
        return self.request("POST", f"{provider.url}/v1/messages", **{"json": ASKED, **parts})

    def stream(
        self, provider: Any, between: Callable[[int], None] | None = None, **parts: Any
    ) -> tuple[Any, list[bytes]]:
        """One streamed request: the response and its parts; ``between`` is called with the number of each as it comes."""
        asked = {"json": {**ASKED, "stream": True}, **parts}
        url = f"{provider.url}/v1/messages"
        seen: list[bytes] = []

        def came(part: bytes) -> None:
            seen.append(part)
            if between is not None:
                between(len(seen))

        async def run() -> Any:
            async with self.client.stream("POST", url, **asked) as response:
                async for part in response.aiter_raw():
                    came(part)
            return response

        if self._runner is not None:
            return self._runner.run(run()), seen
        with self.client.stream("POST", url, **asked) as response:
            for part in response.iter_raw():
                came(part)
        return response, seen


def pool_of(rotator: Rotator, name: str) -> Any:
    """What is known of an account."""
    return rotator.pool.account(name).runtime


def served_by(provider: Any) -> list[tuple[str | None, int]]:
    """Account and status of each request, in order."""
    return [(seen.account, seen.status) for seen in provider.requests]


def in_flight(rotator: Rotator) -> int:
    """Leases that nobody has ended."""
    return sum(rotator._choosing.in_flight.values())


def written(path: Any) -> dict[str, Any]:
    """The accounts of a file by their names."""
    return {account["id"]: account for account in json.loads(path.read_text())["accounts"]}
