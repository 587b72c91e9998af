"""Spread: accounts asked at many doors, one after the other at each door with a pause, and a few doors at once.

Refuses: knowing what is asked, real time and luck (``pause`` has them), leaving a thread behind.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import Event, Thread

from rotator.errors import UnknownAccount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from rotator.core.pool import Pool
    from rotator.engine import Rotator

    Job = TypeVar("Job")
    Found = TypeVar("Found")


def wanted_of(pool: Pool, names: Iterable[str] | None) -> list[str]:
    """Each of these names once, or those of the whole pool. Raises UnknownAccount."""
    if names is None:
        return [account.name for account in pool]
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in pool:
            message = f"no account is named {name}"
            raise UnknownAccount(message)
    return wanted


def visited(
    rotator: Rotator,
    wanted: list[str],
    door: Callable[[str], str],
    visit: Callable[[str], tuple[Found, bool]],
    *,
    at_once: int,
    pause: Callable[[], Any],
    progress: Callable[[int, int], None] | None,
    stop: Event,
) -> list[Found]:
    """What ``visit`` found of each account, in their order; it also says whether it knocked at the door.

    As each is done, the engine does what is due, so that other processes soon know, and ``progress`` is called here with
    accounts done and accounts in all.
    """
    found: dict[str, Found] = {}
    done = 0

    def work(name: str) -> bool:
        found[name], knocked = visit(name)
        return knocked

    def told(_name: str) -> None:
        nonlocal done
        done += 1
        rotator.tick()
        if progress is not None:
            progress(done, len(wanted))

    if progress is not None:
        progress(done, len(wanted))
    spread(lanes_of(wanted, door), work, told, at_once=at_once, pause=pause, stop=stop)
    return [found[name] for name in wanted]


def lanes_of(jobs: Iterable[Job], door: Callable[[Job], str]) -> list[list[Job]]:
    """The jobs by their door, in the order in which they came."""
    lanes: dict[str, list[Job]] = {}
    for job in jobs:
        lanes.setdefault(door(job), []).append(job)
    return list(lanes.values())


def spread(
    lanes: list[list[Job]],
    work: Callable[[Job], bool],
    told: Callable[[Job], None],
    *,
    at_once: int,
    pause: Callable[[], Any],
    stop: Event,
) -> None:
    """Do every job: ``work`` in a thread of its lane, then ``told`` in this one, as they get done.

    ``work`` says whether it knocked; then ``pause`` comes before the lane's next job. What a job raises, and what is raised
    here meanwhile (a signal), sets ``stop`` and is raised when the jobs that are under way have ended: a token that is
    being refreshed must not be lost. With ``stop`` set no further job begins.
    """
    waiting: SimpleQueue[list[Job]] = SimpleQueue()
    for lane in lanes:
        waiting.put(lane)
    done: SimpleQueue[Job | _Raised] = SimpleQueue()

    def serve() -> None:
        try:
            while not waiting.empty():
                _walk(waiting.get_nowait(), work, done.put, pause, stop)
        except BaseException as error:  # noqa: BLE001  raised again where the caller can see it
            done.put(_Raised(error))

    threads = [Thread(target=serve, name="rotator-spread") for _ in range(min(at_once, len(lanes)))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(sum(map(len, lanes))):
            job = done.get()
            if isinstance(job, _Raised):
                raise job.error
            told(job)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _walk(
    lane: list[Job], work: Callable[[Job], bool], done: Callable[[Job], None], pause: Callable[[], Any], stop: Event
) -> None:
    knocked = False
    for job in lane:
        if knocked:
            pause()
        if stop.is_set():
            return
        knocked = work(job)
        done(job)
