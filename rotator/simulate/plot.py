"""The picture of one run: how full every window of every account is over time, its resets, and where traffic moved.

Refuses: running anything, and showing a window on a screen; it writes a file. matplotlib is an extra.
"""

from __future__ import annotations

from rotator.errors import CallerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.simulate.tracing import Trace

FORMATS = (".png", ".svg")
_HOUR, _DAY = 3600.0, 86_400.0
_MOST_ACCOUNTS = 12
_ROW_INCHES = 1.1
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours that people tell apart whatever their eyes (Okabe and Ito, 2008)."""
_MOVES_SHOWN = 300


def draw(trace: Trace, path: str) -> None:
    """Write the picture; the end of ``path`` says the format. Raises CallerError without matplotlib, OSError."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        message = "--plot needs matplotlib: pip install 'rotator[simulate]'"
        raise CallerError(message) from None
    accounts = list(dict.fromkeys([line.account for line in trace.lines]))[:_MOST_ACCOUNTS]
    figure = Figure(figsize=(11, 1.6 + _ROW_INCHES * max(len(accounts), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    long = trace.times[-1] - trace.start > 2 * _DAY
    unit = _DAY if long else _HOUR
    rows = figure.subplots(max(len(accounts), 1), 1, sharex=True, squeeze=False)
    for axes, account in zip(rows[:, 0], accounts, strict=False):
        _row(axes, trace, account, unit)
    rows[-1, 0].set_xlabel("days" if long else "hours")
    rows[-1, 0].set_xlim(0, (trace.times[-1] - trace.start) / unit)
    handles, labels = _legend(rows[:, 0])
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8)
    figure.suptitle(_title(trace, len(accounts)), fontsize=10)
    metadata = {"Date": None} if path.endswith(".svg") else {"Software": None}
    with rc_context({"svg.hashsalt": "rotator"}):  # the same run is the same picture, to the byte
        figure.savefig(path, dpi=140, metadata=metadata)


def _row(axes: Any, trace: Trace, account: str, unit: float) -> None:
    """One account: a line for each window, thin upright lines at resets, ticks below where traffic moved to it."""
    times = [(at - trace.start) / unit for at in trace.times]
    for place, line in enumerate(each for each in trace.lines if each.account == account):
        colour = _COLOURS[place % len(_COLOURS)]
        axes.plot(times, [100 * used for used in line.used], color=colour, linewidth=1.2, label=line.window)
        for reset in line.resets:
            axes.axvline((reset - trace.start) / unit, color=colour, linewidth=0.5, linestyle=":", alpha=0.7)
    moves = trace.moves.get(account, ())
    moves = moves[:: -(-len(moves) // _MOVES_SHOWN) or 1]
    at = [(move - trace.start) / unit for move in moves]
    axes.plot(at, [-7] * len(at), "|", color="black", markersize=5, alpha=0.6, label="traffic moves here")
    axes.set_ylim(-14, 108)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel(account, rotation=0, horizontalalignment="right", verticalalignment="center", fontsize=8)
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(rows: Any) -> tuple[list[Any], list[str]]:
    """Each label once, the windows first."""
    found: dict[str, Any] = {}
    for axes in rows:
        found.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    labels = sorted(found, key=lambda label: (label == "traffic moves here", label))
    return [found[label] for label in labels], labels


def _title(trace: Trace, shown: int) -> str:
    result = trace.result
    share = "" if result.of_optimum is None else f", {100 * result.of_optimum:.1f} % of the optimum"
    some = "" if shown < _MOST_ACCOUNTS else f", the first {shown} accounts"
    return (
        f"{result.scenario}, seed {result.seed}, {result.policy}: {result.served:,} of {result.arrived:,} requests"
        f"{share}, {result.rate_429:.1f} 429s per 1,000{some}\nused of each window in %, dotted: resets"
    )
