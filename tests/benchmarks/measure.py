"""The figures of the README's table: ratios against a reference in the same run, medians over interleaved rounds and over slices of some seconds.

Run it with the interpreter of an environment in which rotator is installed as a wheel: ``python tests/benchmarks/measure.py``.
Machines are noisy, so the two sides of a ratio take turns and absolute times are not printed.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from documents import pool

ROUNDS = int(os.environ.get("ROUNDS", "25"))
ROTATOR = str(Path(sysconfig.get_path("scripts")) / "rotator")
REFERENCE = [sys.executable, "-c", "import click, json"]
CLEAN = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def process_secs(command: list[str], before=None) -> float:
    if before is not None:
        before()
    begun = time.perf_counter()
    done = subprocess.run(command, env=CLEAN, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    took = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    return took


def ratio_of_processes(command: list[str], before=None) -> float:
    process_secs(command, before)
    process_secs(REFERENCE)
    return statistics.median(process_secs(command, before) / process_secs(REFERENCE) for _ in range(ROUNDS))


def processes(folder: Path) -> None:
    small, large = folder / "ten.json", folder / "thousand.json"
    small.write_bytes(pool(10))
    large.write_bytes(pool(1000))
    switching = folder / "switching.json"
    bare = {"version": 2, "accounts": [{"email": f"user{i}@example.com"} for i in range(10)]}

    def rewind() -> None:
        switching.write_text(json.dumps(bare, indent=2))

    def ask(path: Path, *more: str) -> list[str]:
        return [ROTATOR, "--accounts", str(path), "next", "-m", "model-a", *more]

    row("`rotator next`, 10 accounts, no switch", ratio_of_processes(ask(small)), "import click, json", 1.0)
    row(
        "the same with a switch, written durably", ratio_of_processes(ask(switching), rewind), "import click, json", 2.2
    )
    row("`rotator next --peek`, 1,000 accounts", ratio_of_processes(ask(large, "--peek")), "import click, json", 2.0)


def per_second(act, secs: float = 0.7, slices: int = 5) -> float:
    """How often ``act`` can be done in a second: the median of slices that each hold what comes once a second."""
    rates = []
    for _ in range(slices):
        done, begun = 0, time.perf_counter()
        while (spent := time.perf_counter() - begun) < secs:
            for _ in range(100):
                act()
            done += 100
        rates.append(done / spent)
    return statistics.median(rates)


def picks() -> None:
    from rotator import Rotator
    from rotator.core.signals import QuotaObserved
    from rotator.core.state import Window

    draw = random.Random(1)
    rates: dict[int, float] = {}
    for count in (10, 10000):
        rotator = Rotator.memory(pool(count))
        names = [account.name for account in rotator.pool]
        rotator.next("model-a")
        rates[count] = per_second(lambda engine=rotator: engine.next("model-a"))

    def with_fact(anybody: bool) -> None:
        chosen = rotator.next("model-a")
        name = draw.choice(names) if anybody else chosen.account
        window = Window("requests", round(draw.random(), 3), chosen.decided + 3600.0)
        rotator.ingest([QuotaObserved(name, "model-a", chosen.decided, (window,))])

    row("`Rotator.next`, 10 accounts, picks/s", rates[10], "at least", 100000)
    row("`Rotator.next`, 10,000 accounts, picks/s", rates[10000], "at least", 50000)
    row("slower at 10,000 accounts than at 10", rates[10] / rates[10000], "itself", 3.0)
    row(
        "10,000 accounts, a fact about the chosen one per pick, picks/s",
        per_second(lambda: with_fact(False)),
        "at least",
        20000,
    )
    row("10,000 accounts, a fact about any of them per pick, picks/s", per_second(lambda: with_fact(True)), "", None)


def flush(folder: Path) -> None:
    from rotator import Rotator
    from rotator.clock import MachineClock

    path = folder / "flush.json"
    path.write_bytes(pool(1000))
    os.chmod(path, 0o600)
    document = json.loads(path.read_bytes())
    with Rotator.open(path, clock=MachineClock()) as rotator:
        for changed in (1, 1000):
            ratios = []
            for _ in range(ROUNDS if changed == 1 else 5):
                for number in range(changed):
                    rotator.observe(f"user{number}@example.com", "model-a", status=500)
                begun = time.perf_counter()
                assert rotator.flush()
                middle = time.perf_counter()
                plain_write(folder / "plain.json", document)
                ratios.append((middle - begun) / (time.perf_counter() - middle))
            what = "durable flush of 1,000 accounts, " + ("one of them" if changed == 1 else "all of them") + " changed"
            promised = 2.0 if changed == 1 else None
            row(what, statistics.median(ratios), "json.dumps + write + fsync + rename + fsync", promised)


def large_flush(folder: Path) -> None:
    from rotator import Rotator
    from rotator.clock import MachineClock

    path, plain = folder / "large.json", folder / "plain.json"
    path.write_bytes(pool(10000))
    os.chmod(path, 0o600)
    ratios = []
    with Rotator.open(path, clock=MachineClock()) as rotator:
        for number in range(max(5, ROUNDS // 2)):
            rotator.observe(f"user{number * 300}@example.com", "model-a", status=500)
            begun = time.perf_counter()
            assert rotator.flush()
            middle = time.perf_counter()
            plain_write(plain, json.loads(path.read_bytes()))
            ratios.append((middle - begun) / (time.perf_counter() - middle))
    row("durable flush of 10,000 accounts, one changed", statistics.median(ratios), "json.loads + the same", 1.5)


def plain_write(path: Path, document: object) -> None:
    draft = path.with_suffix(".tmp")
    with draft.open("w") as file:
        file.write(json.dumps(document))
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def memory(folder: Path) -> None:
    path = folder / "memory.json"
    path.write_bytes(pool(10000))
    code = (
        "import sys; from rotator.engine import Rotator; from rotator.clock import MachineClock\n"
        "def kib(key): return int(next(l for l in open('/proc/self/status') if l.startswith(key)).split()[1])\n"
        "base = kib('VmRSS'); r = Rotator.open(sys.argv[1], clock=MachineClock())\n"
        "for model in ('model-a', 'model-b', 'model-c'): r.next(model)\n"
        "print(kib('VmHWM') - base)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], env=CLEAN, capture_output=True, check=True, text=True)
    row(
        "memory of 10,000 accounts x 3 models, at its peak",
        int(out.stdout) * 1024 / path.stat().st_size,
        "file size",
        6.0,
    )


def transports() -> None:
    from test_transport import measure_transport

    found = measure_transport()
    for name in ("httpx", "httpx2"):
        line(
            f"a request through the transport, {name}, added",
            f"{found[f'{name}.added_secs'] * 1000:.2f} ms, {found[f'{name}.added_fraction']:.0%}",
            "the bare client, loopback",
            "0.3 ms or 15 %",
        )
        line(
            f"100 requests at once, {name}, requests/s",
            f"{found[f'{name}.throughput']:.2f} x",
            "the bare client, loopback",
            "0.85 x",
        )
        line(
            f"first byte of a stream, {name}, provider takes 20 ms",
            f"{found[f'{name}.first_byte']:.2f} x",
            "the bare client, loopback",
            "1.1 x",
        )


def row(what: str, figure: float, reference: str, limit: float | None) -> None:
    shown = f"{figure:,.0f}" if figure > 100 else f"{figure:.2f} x"
    bound = "" if limit is None else f"{limit:,.0f}" if limit > 100 else f"{limit:.1f} x"
    line(what, shown, reference, bound)


def line(what: str, shown: str, reference: str, bound: str) -> None:
    print(f"| {what} | {shown} | {reference} | {bound} |", flush=True)


if __name__ == "__main__":
    gc.collect()
    print("| what | measured | against | promised |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        processes(Path(name))
        picks()
        flush(Path(name))
        large_flush(Path(name))
        memory(Path(name))
        transports()
