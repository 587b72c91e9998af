"""What the transports cost against the bare clients, as ratios within one run: ``pytest tests/benchmarks --benchmark-only -o addopts=``.

The provider is a process of its own; the two sides take turns, request by request or burst by burst, so that a noisy machine
slows both.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rotator import Rotator

sys.path.append(str(Path(__file__).parents[2]))  # after the rotator that is installed, which is the one to measure

from tests.provider.server import Provider

KEY = "fake-key-a"
ASKED = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
SEQUENTIAL = int(os.environ.get("REQUESTS", "600"))
BURSTS = int(os.environ.get("BURSTS", "12"))
AT_ONCE = 100
OF_A_BURST = 300
FLOOR_SECS = 0.0003
FIRST_EVENT_SECS = 0.02
"""A model takes ten to a hundred times as long."""


def measure_transport() -> dict[str, float]:
    """What the transports of httpx and httpx2 cost, by ``library.figure``.

    ``added_secs`` and ``added_fraction``: at the median of sequential requests; ``throughput`` of 100 at once and
    ``first_byte`` of a stream: ratios to the bare client. The provider answers at once, but for streams, whose first
    event it takes ``FIRST_EVENT_SECS`` for; ``first_byte_at_once`` is that ratio when it takes no time at all.
    """
    found: dict[str, float] = {}
    with Provider.spawned() as provider, tempfile.TemporaryDirectory() as folder:
        provider.account("a", key=KEY, dialect="anthropic", chunks=3)
        provider.forget(recording=False)
        path = Path(folder) / "accounts.json"
        accounts = [{"id": "a", "provider": "anthropic", "api_key": KEY, "base_url": provider.url}]
        accounts += [{"id": f"b{n}", "provider": "anthropic", "api_key": f"fake-{n}", "priority": 1} for n in range(9)]
        path.write_text(json.dumps({"version": 2, "accounts": accounts}))
        path.chmod(0o600)
        with Rotator.open(path) as rotator:
            for name in ("httpx", "httpx2"):
                library = importlib.import_module(name)
                wire = importlib.import_module(f"rotator.wire.{name}")
                url = f"{provider.url}/v1/messages"
                bare, added = sequential(library, wire, rotator, url)
                found[f"{name}.added_secs"] = added
                found[f"{name}.added_fraction"] = added / bare
                found[f"{name}.first_byte_at_once"] = first_byte(library, wire, rotator, url, SEQUENTIAL // 2)
                provider.change("a", delay_secs=FIRST_EVENT_SECS)
                found[f"{name}.first_byte"] = first_byte(library, wire, rotator, url, SEQUENTIAL // 6)
                provider.change("a", delay_secs=0.0)
                found[f"{name}.throughput"] = asyncio.run(throughput(library, wire, rotator, url))
    return found


def sequential(library, wire, rotator, url: str) -> tuple[float, float]:
    """The median seconds of a request by the bare client, and what ours takes more."""
    with library.Client() as bare, library.Client(transport=wire.RotatorTransport(rotator)) as ours:
        times: dict[object, list[float]] = {bare: [], ours: []}
        for number in range(SEQUENTIAL + 50):
            for client in (bare, ours) if number % 2 else (ours, bare):
                begun = time.perf_counter()
                answer = client.post(url, headers=HEADERS, json=ASKED)
                took = time.perf_counter() - begun
                assert answer.status_code == 200
                if number >= 50:
                    times[client].append(took)
    one, other = statistics.median(times[bare]), statistics.median(times[ours])
    return one, other - one


def first_byte(library, wire, rotator, url: str, rounds: int) -> float:
    """How much later the first part of a stream comes, as a ratio of medians."""
    asked = {**ASKED, "stream": True}
    with library.Client() as bare, library.Client(transport=wire.RotatorTransport(rotator)) as ours:
        times: dict[object, list[float]] = {bare: [], ours: []}
        for number in range(rounds + 20):
            for client in (bare, ours) if number % 2 else (ours, bare):
                begun = time.perf_counter()
                with client.stream("POST", url, headers=HEADERS, json=asked) as answer:
                    parts = answer.iter_raw()
                    next(parts)
                    took = time.perf_counter() - begun
                    for _ in parts:
                        pass
                if number >= 20:
                    times[client].append(took)
    return statistics.median(times[ours]) / statistics.median(times[bare])


async def throughput(library, wire, rotator, url: str) -> float:
    """Requests a second of ours, 100 at once, as a ratio to the bare client's: the median of bursts that take turns."""
    ratios = []
    transport = wire.AsyncRotatorTransport(rotator)
    async with library.AsyncClient(timeout=60) as bare, library.AsyncClient(timeout=60, transport=transport) as ours:
        for client in (bare, ours) * 2:
            await _burst(client, url)
        for number in range(BURSTS):
            took = {}
            for client in (bare, ours) if number % 2 else (ours, bare):
                took[client] = await _burst(client, url)
            ratios.append(took[bare] / took[ours])
    return statistics.median(ratios)


async def _burst(client, url: str) -> float:
    left = iter(range(OF_A_BURST))

    async def one() -> None:
        for _ in left:
            answer = await client.post(url, headers=HEADERS, json=ASKED)
            assert answer.status_code == 200

    begun = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(AT_ONCE)])
    return time.perf_counter() - begun


@pytest.fixture(scope="module")
def measured():
    return measure_transport()


@pytest.mark.benchmark(group="transport")
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_transport_costs_little(benchmark, measured, library):
    benchmark(lambda: None)
    print({name: round(figure, 6) for name, figure in measured.items()})
    assert measured[f"{library}.added_secs"] <= FLOOR_SECS or measured[f"{library}.added_fraction"] <= 0.15, (
        "one request at a time"
    )
    assert measured[f"{library}.throughput"] >= 0.85, "100 at once"
    assert measured[f"{library}.first_byte"] <= 1.1, "the first byte of a stream"


if __name__ == "__main__":
    print(json.dumps(measure_transport(), indent=2))
