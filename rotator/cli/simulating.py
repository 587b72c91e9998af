"""`rotator simulate`: scenarios served by policies under a virtual clock, as a table, as JSON, as a picture.

Refuses: simulating (``rotator.simulate``). Nothing of ``accounts.json`` is read or written.
"""

from __future__ import annotations

import sys

import click

from rotator.cli.params import Words, json_option
from rotator.cli.voice import printable, say, say_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from rich.console import Console
    from rich.table import Table

    from rotator.simulate.campaign import Task
    from rotator.simulate.result import Result, Summary
    from rotator.simulate.scenario import Scenario

SCHEMA_VERSION = 1
_UNBOUNDED = 100_000
"""Columns of a pipe: one line per policy, whole, for grep."""
_WORDS = ("train", "held-out")
_MOST_BYTES = 16 * 1024 * 1024
_SEED_MAX = 2**31
_GAP = 2


class _Seeds(click.ParamType):  # type: ignore[type-arg]  # click 8.2 has none
    """Seeds: ``train`` or ``held-out`` of each scenario, a number, or a range of them."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | tuple[int, ...]:
        """One of the words, or the numbers; a usage error for anything else."""
        if value in _WORDS or isinstance(value, tuple):
            found: str | tuple[int, ...] = value
            return found
        seeds: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.partition("-")
            last = last if dash else first
            if not (_is_seed(first) and _is_seed(last) and int(first) <= int(last)):
                self.fail("seeds are train, held-out, 3, 0-11 or 0-2,7", param, ctx)
            seeds += range(int(first), int(last) + 1)
        return tuple(dict.fromkeys(seeds))


def _is_seed(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < _SEED_MAX


@click.command(
    "simulate",
    epilog="""\b
Policies:
  rotator                   itself
  round_robin random sticky chain_75 chain_90 least_used soonest_reset
  maxpool six_terms maximus   as others choose, from their published descriptions

\b
Examples:
  rotator simulate fixtures/scenarios/weekly5h.json
  rotator simulate fixtures/scenarios/*.json --policy rotator --seeds held-out --jobs 4
  rotator simulate weekly5h.json --plot week.svg

\b
Exit codes:
  0 done    2 usage, no scenario, or an extra is missing    74 I/O    130 Ctrl-C""",
)
@click.argument("paths", metavar="SCENARIO.json...", nargs=-1, required=True, type=Words())
@click.option(
    "--policy", "policies", metavar="NAME", multiple=True, type=Words(), help="A policy, any number; else all."
)
@click.option(
    "--seeds",
    metavar="SEEDS",
    type=_Seeds(),
    default="0-2",
    show_default=True,
    help="train, held-out, 3, 0-11 or 0-2,7.",
)
@json_option()
@click.option("--plot", metavar="FILE", type=Words(), help="Draw the first scenario, policy and seed: .png or .svg.")
@click.option(
    "--jobs", metavar="N", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes to use."
)
@click.option("--no-optimum", is_flag=True, help="Leave out the optimum, which needs scipy.")
@click.pass_context
def command(ctx: click.Context, /, paths: tuple[str, ...], **given: Any) -> None:
    """Let policies serve scenarios with hidden quotas, and show how close each comes to the optimum.

    The optimum is an upper bound: a linear program that knows the future. All figures are means over the seeds; the same
    scenario, seed and policy give the same figures to the bit. Scenarios are described by schemas/scenario.schema.json.
    """
    from rotator.simulate.campaign import Task

    policies = _policies(ctx, given["policies"])
    scenarios = _scenarios(ctx, paths)
    if given["plot"] is not None:
        _check_plot(ctx, given["plot"])
    tasks = [
        Task(scenario, seed, policies, not given["no_optimum"])
        for scenario in scenarios
        for seed in _seeds_of(scenario, given["seeds"])
    ]
    results = list(_run(tasks, given["jobs"]))
    if given["as_json"]:
        _say_json(scenarios, policies, results)
    else:
        _say_tables(scenarios, policies, results)
    if given["plot"] is not None and tasks:
        from rotator.simulate.plot import draw
        from rotator.simulate.tracing import traced

        trace = traced(scenarios[0], tasks[0].seed, policies[0])
        draw(trace.replace(result=results[0]), given["plot"])


def _policies(ctx: click.Context, names: tuple[str, ...]) -> tuple[str, ...]:
    """The named policies, else all; a usage error for one that is not there."""
    from rotator.simulate.policies import POLICIES

    for name in names:
        if name not in POLICIES:
            message = f"there is no policy {printable(name)}; there are {', '.join(POLICIES)}"
            raise click.UsageError(message, ctx)
    return tuple(dict.fromkeys(names)) or tuple(POLICIES)


def _scenarios(ctx: click.Context, paths: tuple[str, ...]) -> list[Scenario]:
    """The scenarios in the files; a usage error for one that is not there, not valid, or has another one's name."""
    from rotator.simulate.parsing import read_scenario

    found: dict[str, Scenario] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                scenario = read_scenario(file.read(_MOST_BYTES), path)
        except (FileNotFoundError, IsADirectoryError) as error:
            message = f"{path}: {error.strerror}"
            raise click.UsageError(message, ctx) from None
        if scenario.name in found:
            message = f"{path}: another scenario has the name {scenario.name} too"
            raise click.UsageError(message, ctx)
        found[scenario.name] = scenario
    return list(found.values())


def _check_plot(ctx: click.Context, path: str) -> None:
    """Whatever would keep the picture from being drawn is said before minutes of work."""
    from importlib.util import find_spec

    from rotator.simulate.plot import FORMATS

    if not path.endswith(FORMATS):
        message = f"--plot writes {' or '.join(FORMATS)}, by the end of the file's name"
        raise click.UsageError(message, ctx)
    if find_spec("matplotlib") is None:
        message = "--plot needs matplotlib: pip install 'rotator[simulate]'"
        raise click.UsageError(message, ctx)


def _seeds_of(scenario: Scenario, wanted: str | tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(wanted, tuple):
        return wanted
    return scenario.seeds.train if wanted == "train" else scenario.seeds.held_out


def _run(tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """All results in order, with a bar on stderr when that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        for results in _work(tasks, jobs):
            yield from results
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        total = sum(len(task.policies) for task in tasks)
        line = bar.add_task("simulate", total=total)
        bar.refresh()
        for results in _work(tasks, jobs):
            for result in results:
                yield result
                bar.update(line, advance=1, description=f"{result.scenario} {result.policy}", refresh=True)


def _work(tasks: Sequence[Task], jobs: int) -> Iterator[Iterator[Result] | list[Result]]:
    """The results of each task; one after the other here, or in processes of their own."""
    if jobs == 1 or len(tasks) <= 1:
        yield from (task.results() for task in tasks)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from rotator.simulate.campaign import done

    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn")) as pool:
        yield from pool.map(done, tasks)


def _say_json(scenarios: list[Scenario], policies: tuple[str, ...], results: list[Result]) -> None:
    from rotator.simulate.campaign import overall, summaries

    summed = summaries(results, [scenario.name for scenario in scenarios], policies)
    say_json(
        {
            "schema_version": SCHEMA_VERSION,
            "overall": [each.as_json() for each in overall(summed, policies)],
            "scenarios": [each.as_json() for each in summed],
            "runs": [result.as_json() for result in results],
        }
    )


def _say_tables(scenarios: list[Scenario], policies: tuple[str, ...], results: list[Result]) -> None:
    from rotator.simulate.campaign import overall, summaries

    console = _console()
    summed = summaries(results, [scenario.name for scenario in scenarios], policies)
    parts = []
    for scenario in scenarios:
        rows = [each for each in summed if each.scenario == scenario.name]
        if rows:
            seeds = rows[0].runs
            parts.append(
                _table(f"{printable(scenario.name)}, {seeds} {'seed' if seeds == 1 else 'seeds'}", rows, console.width)
            )
    if len(parts) > 1:
        parts.append(_table(f"all {len(parts)} scenarios", overall(summed, policies), console.width))
    for part in parts:
        with console.capture() as shown:
            console.print(part)
        say("\n".join(line.rstrip() for line in shown.get().split("\n")).rstrip("\n") + "\n")


def _table(title: str, rows: Sequence[Summary], columns: int) -> Table:
    """One line for each policy, the best share of the optimum first; what a narrow terminal cannot hold is left out."""
    from rich import box
    from rich.table import Table

    best = sorted(rows, key=lambda row: (-(row.of_optimum if row.of_optimum is not None else row.served), row.rate_429))
    cells = {head: [form(row) for row in best] for head, form in _CELLS.items()}
    widths = {head: max(map(len, [*told, *head.split("\n")])) + _GAP for head, told in cells.items()}
    for head in _LEFT_OUT:
        if sum(widths.values()) <= columns:
            break
        del widths[head]
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in widths:
        table.add_column(head, justify="left" if head == "policy" else "right", vertical="bottom", no_wrap=True)
    for place, row in enumerate(best):
        style = "bold" if row.policy == "rotator" else None
        table.add_row(*[cells[head][place] for head in widths], style=style)
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


_CELLS: dict[str, Callable[[Summary], str]] = {
    "policy": lambda row: row.policy,
    "of\noptimum": lambda row: _share(row.of_optimum),
    "worst": lambda row: _share(row.worst),
    "served\n%": lambda row: f"{100 * row.served:.1f}",
    "dropped\n%": lambda row: f"{100 * row.dropped:.1f}",
    "failed\n%": lambda row: f"{100 * row.failed:.1f}",
    "429s\n/1000": lambda row: f"{row.rate_429:.1f}",
    "wait\ns": lambda row: f"{row.wait_mean_secs:.1f}",
    "p95\ns": lambda row: f"{row.wait_p95_secs:.0f}",
    "wasted\n%": lambda row: f"{100 * row.wasted:.1f}",
    "moves\n/1000": lambda row: f"{row.switches:.1f}",
    "cache\nloss %": lambda row: f"{100 * row.cache_loss:.1f}",
}
"""What stands in each column; ``moves`` are conversations that went to another account."""
_LEFT_OUT = ("failed\n%", "dropped\n%", "wait\ns", "moves\n/1000", "wasted\n%", "worst", "served\n%")
"""The first to go when a terminal is too narrow."""


def _console() -> Console:
    """As wide as the terminal; a pipe gets whole lines."""
    from rich.console import Console

    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    return Console(width=None if on_terminal else _UNBOUNDED, highlight=False, emoji=False, markup=False)
