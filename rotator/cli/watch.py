"""Watching: the same picture on a terminal's other screen, drawn anew each second and whenever something changed.

Refuses: what is shown, signals (the caller's engine turns them into an exception), a stream that is no terminal.
"""

from __future__ import annotations

import time

from rich.live import Live

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from rich.console import Console, RenderableType

_LOOKS_PER_SEC = 4
"""Our choice: an edit shows while the hand is still at the keyboard, and a look at an unchanged file is one ``stat``."""


def keep_showing(
    picture: Callable[[], RenderableType],
    seen: Callable[[], object],
    console: Console,
    sleep: Callable[[float], None] = time.sleep,
) -> NoReturn:
    """Show ``picture()`` until an exception such as KeyboardInterrupt ends it; the terminal is then as it was.

    ``picture`` looks at the world each time; what ``seen`` then returns is another object when the world has changed.
    """
    with Live(console=console, screen=True, auto_refresh=False) as live:
        shown: object = None
        looks = 0
        while True:
            drawn = picture()
            if looks == 0 or seen() is not shown:
                shown, looks = seen(), 0
                live.update(drawn, refresh=True)
            looks = (looks + 1) % _LOOKS_PER_SEC
            sleep(1 / _LOOKS_PER_SEC)
