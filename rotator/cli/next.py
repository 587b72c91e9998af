"""The answer to ``next``: reads the file, decides, and takes the choice; both parsers end here.

Refuses: argv. While the active account stays, it loads no engine and takes no lock.
"""

from __future__ import annotations

import time

from rotator.cli.accounts import path_of
from rotator.cli.endings import OK, PARKED, UNAVAILABLE
from rotator.cli.voice import local, say_name, talk
from rotator.core.codec.decode import NEWER, decode
from rotator.core.instants import tidy
from rotator.core.selection import Parked, Selected, select
from rotator.store.reading import obstacle, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.cli.options import Asked
    from rotator.core.selection import Unavailable


def answer(asked: Asked) -> int:
    """Answer the question on stdout and stderr; its exit code: 0, 69 (unavailable), 75 (parked).

    Raises what reading the file raises; ``asked.wait`` is not for here.
    """
    path = path_of(asked.accounts)
    document, pool = decode(read(path).raw)
    outcome = select(pool, asked.model, now=tidy(time.time()), tags=asked.tags, session=asked.session)
    hindered = obstacle(path) or (NEWER if document.newer else None)
    durable, recorded = hindered is None, asked.record is None
    if isinstance(outcome, Selected) and not asked.peek and (outcome.switched or outcome.must_note(asked.session)):
        if hindered is None:
            (outcome, durable), recorded = _taken(path, asked), True
        else:
            talk(f"{path}: {hindered}; going on in memory, nothing learned is kept")
    if not recorded:
        from rotator.recording import Recorder

        Recorder(asked.record or "", talk).request(outcome, asked.session, None, outcome.pool)
    return tell(outcome, asked, durable=durable)


def _taken(path: str, asked: Asked) -> tuple[Selected | Parked | Unavailable, bool]:
    """The choice made again under the engine, which writes it; and whether that reached the disk."""
    from rotator.cli.opening import Opened

    opened = Opened(path, asked.record)
    with opened as rotator:
        outcome = rotator.next(asked.model, session=asked.session, tags=asked.tags)
    return outcome, opened.durable


def tell(outcome: Selected | Parked | Unavailable, asked: Asked, *, durable: bool) -> int:
    """Print an outcome as it was asked for; its exit code."""
    if asked.explain:
        from rotator.cli.table import show

        show(outcome)
    if asked.json:
        from rotator.cli.voice import say_json
        from rotator.core.status import outcome_json

        say_json(outcome_json(outcome, durable=durable))
    if isinstance(outcome, Selected):
        if not asked.json:
            say_name(outcome.account)
        return OK
    if isinstance(outcome, Parked):
        talk(parked_line(outcome))
        return PARKED
    talk(outcome.reason)
    return UNAVAILABLE


def parked_line(outcome: Parked) -> str:
    """Until when nobody is ready, and why."""
    from rotator.core.explain import duration

    wait = duration(outcome.wake_at.timestamp() - outcome.decided)
    return f"parked until {local(outcome.wake_at)} (in {wait}): {outcome.explanation}"
