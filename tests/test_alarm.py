"""An alarm rings when it is told, on its own thread, and goes on whatever happens."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from rotator.alarm import Alarm


class Bell:
    """What an alarm asks and rings: due at once while there are ``rings`` left."""

    def __init__(self, rings: int = 0) -> None:
        self.rings = rings
        self.rung = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.failures: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self.alarm = Alarm(self.due, self.ring, self.failures.append)

    def due(self) -> float | None:
        self.asked.release()
        return 0.0 if self.rings else None

    def ring(self) -> None:
        self.threads.append(threading.current_thread())
        self.rings -= 1
        self.rung.release()


@pytest.fixture
def bell():
    bell = Bell()
    yield bell
    bell.alarm.stop()


def test_it_starts_no_thread_before_it_is_needed(bell):
    before = threading.active_count()
    bell.alarm.stop()
    assert threading.active_count() == before
    bell.alarm.poke()
    assert threading.active_count() == before, "nor after it was stopped"


def test_it_rings_as_often_as_something_is_due_and_then_sleeps(bell):
    bell.rings = 3
    bell.alarm.poke()
    for _ in range(3):
        assert bell.rung.acquire(timeout=5)
    assert not bell.rung.acquire(timeout=0.05)
    assert len(set(bell.threads)) == 1
    assert bell.threads[0].daemon
    assert bell.threads[0] is not threading.current_thread()


def test_it_does_not_ask_while_it_sleeps(bell):
    for _ in range(3):
        bell.alarm.poke()
    asked = 0
    while bell.asked.acquire(timeout=0.05):
        asked += 1
        assert asked <= 4
    assert asked >= 1


def test_a_poke_wakes_it_from_sleep(bell):
    bell.alarm.poke()
    assert bell.asked.acquire(timeout=5)
    bell.rings = 1
    bell.alarm.poke()
    assert bell.rung.acquire(timeout=5)


def test_an_instant_that_comes_nearer_is_heeded(bell):
    answers = iter([3600.0, 0.01, 0.0])
    rung = threading.Event()
    alarm = Alarm(lambda: next(answers, None), rung.set, bell.failures.append)
    alarm.poke()
    alarm.poke()
    assert rung.wait(5)
    alarm.stop()


def test_a_ring_that_fails_is_told_and_does_not_silence_it(bell):
    bell.rings = 1
    bell.rung.release = lambda: 1 / 0
    bell.alarm.poke()
    for _ in range(500):
        if bell.failures:
            break
        bell.asked.acquire(timeout=0.01)
    assert [type(error) for error in bell.failures] == [ZeroDivisionError]
    del bell.rung.release
    bell.rings = 1
    bell.alarm.poke()
    assert bell.rung.acquire(timeout=5)


def test_many_threads_that_poke_first_start_one_thread(bell):
    before = threading.active_count()
    gate = threading.Barrier(8)

    def poke():
        gate.wait(5)
        bell.alarm.poke()

    pokers = [threading.Thread(target=poke) for _ in range(8)]
    for poker in pokers:
        poker.start()
    for poker in pokers:
        poker.join()
    assert threading.active_count() == before + 1


def test_stopping_waits_for_the_ring_that_is_going_on(bell):
    begun, end, order = threading.Event(), threading.Event(), []

    def ring():
        begun.set()
        end.wait(5)
        order.append("rung")

    alarm = Alarm(lambda: 0.0, ring, bell.failures.append)
    alarm.poke()
    assert begun.wait(5)
    stopper = threading.Thread(target=lambda: (alarm.stop(), order.append("stopped")))
    stopper.start()
    end.set()
    stopper.join(5)
    assert order[-1] == "stopped"
    assert all(a == "rung" for a, _ in pairwise(order))


def test_where_no_thread_can_be_started_nothing_is_raised(bell, monkeypatch):
    def none_left(_thread):
        message = "can't start new thread"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        bell.alarm.poke()
    bell.rings = 1
    bell.alarm.poke()
    assert bell.rung.acquire(timeout=5)
