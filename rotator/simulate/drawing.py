"""The picture of a forecast: what will be left of every window of every account, who serves when, and when nobody does.

Refuses: forecasting (``core.forecast``), showing a window on a screen; it writes a file. matplotlib is an extra.
"""

from __future__ import annotations

from rotator.errors import CallerError
from rotator.simulate.plot import FORMATS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.forecast import Outlook

_HOUR, _DAY = 3600.0, 86_400.0
_MOST_ACCOUNTS = 12
_ROW_INCHES = 1.1
_STYLES = ("-", "--", ":", "-.")
"""Windows differ by their line and accounts by their row, so no colour has to be told apart."""


def check(path: str) -> None:
    """Raises CallerError for a file that is neither .png nor .svg, and without matplotlib: before any work is done."""
    from importlib.util import find_spec

    if not path.endswith(FORMATS):
        message = f"--plot writes {' or '.join(FORMATS)}, by the end of the file's name"
        raise CallerError(message)
    if find_spec("matplotlib") is None:
        message = "--plot needs matplotlib: pip install 'rotator[simulate]'"
        raise CallerError(message)


def draw(ahead: Outlook, now: float, path: str, factor: float = 1.0) -> None:
    """Write the picture of an outlook with samples, ``factor`` being the multiple of the burn that it is about.

    The same outlook is the same picture. Raises OSError, and what ``check`` raises.
    """
    check(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    accounts = list(dict.fromkeys([account for sample in ahead.samples for account, _ in sample.left]))[:_MOST_ACCOUNTS]
    figure = Figure(figsize=(11, 1.6 + _ROW_INCHES * max(len(accounts), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(max(len(accounts), 1), 1, sharex=True, squeeze=False)
    unit = _DAY if ahead.until - now > 2 * _DAY else _HOUR
    for axes, account in zip(rows[:, 0], accounts, strict=False):
        _row(axes, ahead, account, now, unit)
    rows[-1, 0].set_xlabel("days from now" if unit == _DAY else "hours from now")
    rows[-1, 0].set_xlim(0, max((ahead.until - now) / unit, 1e-6))
    found: dict[str, Any] = {}
    for axes in rows[:, 0]:
        found.update(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if found:
        figure.legend(
            found.values(), found.keys(), loc="outside lower center", ncols=len(found), frameon=False, fontsize=8
        )
    burn = "the present burn" if factor == 1 else f"{factor:g} times the present burn"
    figure.suptitle(f"{_plain(ahead.model)}: what is left of each window in %, at {burn}", fontsize=10)
    metadata = {"Date": None} if path.endswith(".svg") else {"Software": None}
    with rc_context({"svg.hashsalt": "rotator"}):
        figure.savefig(path, dpi=140, metadata=metadata)


def _row(axes: Any, ahead: Outlook, account: str, now: float, unit: float) -> None:
    """One account: a line for each window, grey while it serves, hatched while nobody does."""
    names = list(dict.fromkeys([w for sample in ahead.samples for a, w in sample.left if a == account]))
    for place, window in enumerate(names):
        times: list[float] = []
        left: list[float] = []
        for sample in ahead.samples:
            if (account, window) in sample.left:
                part = 100 * sample.left[account, window]
                if left and part > left[-1]:  # a reset is sudden
                    times.append((sample.at - now) / unit)
                    left.append(left[-1])
                times.append((sample.at - now) / unit)
                left.append(part)
        style = _STYLES[place % len(_STYLES)]
        axes.plot(times, left, style, color="black", linewidth=1.1, label=_plain(window))
    for begin, end in _served(ahead, account, now):
        axes.axvspan((begin - now) / unit, (end - now) / unit, color="0.85", label="serves")
    for spell in ahead.spells:
        end = min(spell.until, ahead.until)
        axes.axvspan((spell.at - now) / unit, (end - now) / unit, fill=False, hatch="//", linewidth=0, label="parked")
    axes.set_ylim(-4, 104)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel(_plain(account), rotation=0, horizontalalignment="right", verticalalignment="center", fontsize=8)
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _served(ahead: Outlook, account: str, now: float) -> list[tuple[float, float]]:
    """When the account serves: from its switch to whatever comes next."""
    begins = [(now, ahead.account), *[(switch.at, switch.account) for switch in ahead.switches]]
    stops = sorted([at for at, _ in begins] + [spell.at for spell in ahead.spells] + [ahead.until])
    return [(at, min(stop for stop in stops if stop > at)) for at, who in begins if who == account and at < ahead.until]


def _plain(text: str) -> str:
    """The text as matplotlib shows it, which takes what stands between two dollars for mathematics."""
    return text.replace("$", r"\$")
