"""Retracing: what would have been chosen at each request of a recorded history, and what that would have been worth.

Refuses: reading logs (``core.history``), clocks, files. Facts are taken as they were, since nobody knows what another choice
would have met; only what the log shows of the other account counts.
"""

from __future__ import annotations

from rotator.core.choice import Wanted
from rotator.core.deducing import shared, shown_by
from rotator.core.history import Asked, Heard, Stood
from rotator.core.pool import Pool
from rotator.core.ranking import Ranking
from rotator.core.selection import Parked, Selected, select
from rotator.core.signals import RateLimited, Succeeded
from rotator.core.transitions import replay
from rotator.core.value import Value
from rotator.engine.learning import facts_of_choice, facts_of_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rotator.core.selection import Unavailable

    Entry = Asked | Heard | Stood
    Numbered = tuple[int, Entry]

_OK, _REDIRECT, _TOO_MANY = 200, 300, 429
_SHOWN_WITHIN_SECS = 600.0
"""How much later a response of the other account still shows what it would have met. Our choice: later, a window may have been
reset, or others may have spent it."""


class Retraced(Value):
    """One request: what was chosen ``then`` (in ``asked``) and what is chosen ``now``, with the word and the line for why.

    ``outcome`` is ``selected``, ``parked`` or ``unavailable``. ``status`` is what the request met then, where the log tells
    it. Of a 429 that another account was chosen for now, ``shown`` says ``avoided`` (that one served soon after), ``met`` (it
    was refused too) or ``unknown``; else it is None.
    """

    line: int
    asked: Asked
    outcome: str
    account: str | None
    reason: str | None
    explanation: str
    wake_at: float | None
    status: int | None
    shown: str | None

    @property
    def agrees(self) -> bool:
        """Whether it is the same choice; of a parked pool, that nobody was chosen both times."""
        return self.account == self.asked.account


def retrace(entries: Sequence[Numbered], pool: Pool, prepare: Callable[[Pool], Pool]) -> Iterator[Retraced]:
    """Each request of the log in its order; ``entries`` come with their line numbers.

    ``pool`` is what is known at the beginning; ``prepare`` makes of a pool of the log the one that is asked, with another
    policy for example. What an account that is not in it was answered teaches nothing.
    """
    answers, later = _answers(entries)
    agreed = True
    for place, (number, entry) in enumerate(entries):
        if isinstance(entry, Stood):
            known = prepare(entry.pool)
            pool = known if agreed else _own_choices(known, pool)
        elif isinstance(entry, Heard):
            pool = learned(pool, entry)
        else:
            outcome = _chosen(pool, entry)
            if isinstance(outcome, Selected):
                pool = replay(pool, facts_of_choice(outcome, entry.session))
            status = answers.get(place)
            agreed = agreed and outcome.account == entry.account
            shown = _shown(outcome.account, entry, status, later, place)
            yield Retraced(
                number,
                entry,
                outcome.outcome,
                outcome.account,
                outcome.selection_reason,
                outcome.explanation,
                outcome.wake_at.timestamp() if isinstance(outcome, Parked) else None,
                status,
                shown,
            )


def learned(pool: Pool, heard: Heard) -> Pool:
    """The pool after a response, or after facts: those that are listed, else what the response is read as."""
    if heard.facts is not None:
        for fact in heard.facts:
            pool = replay(pool, shared(pool, fact))
        return pool
    if heard.account not in pool or heard.status is None:
        return pool
    account = pool.account(heard.account)
    facts = facts_of_response(
        pool,
        account,
        heard.model,
        heard.at,
        status=heard.status,
        headers=heard.headers,
        body=heard.body,
        tokens=heard.tokens,
    )
    for fact in facts:
        pool = replay(pool, shared(pool, fact))
        for excuse in shown_by(pool, fact, ()):
            pool = replay(pool, shared(pool, excuse))
    return pool


def _chosen(pool: Pool, asked: Asked) -> Selected | Parked | Unavailable:
    ranking = None
    if asked.closed:
        ranking = Ranking(asked.model, Wanted(asked.tags, asked.among), closed=asked.closed)
        ranking.follow(pool, asked.at, asked.in_flight, None)
    return select(
        pool,
        asked.model,
        now=asked.at,
        tags=asked.tags,
        session=asked.session,
        in_flight=asked.in_flight,
        among=asked.among,
        ranking=ranking,
    )


def _own_choices(known: Pool, own: Pool) -> Pool:
    """A pool of the log with the choices of the replay in place of those that were made then, from which it has parted."""
    if own.active is not None and own.active in known:
        known = known.with_active(own.active)
    for account in known:
        if account.name in own:
            mine = own.account(account.name).runtime
            changed = {"sessions": mine.sessions, "last_active_at": mine.last_active_at, "selected": mine.selected}
            known = known.with_runtime(account.name, account.runtime.replace(**changed))
    return known


def _answers(entries: Sequence[Numbered]) -> tuple[dict[int, int], dict[tuple[str, str], list[tuple[int, float, int]]]]:
    """By the place of a request, the status that it met; and by account and model the place, instant and status of each response.

    A response is that of the latest request of its account and model that has none yet.
    """
    open_requests: dict[tuple[str, str], list[int]] = {}
    answers: dict[int, int] = {}
    later: dict[tuple[str, str], list[tuple[int, float, int]]] = {}
    for place, (_, entry) in enumerate(entries):
        if isinstance(entry, Asked) and entry.account is not None:
            open_requests.setdefault((entry.account, entry.model), []).append(place)
        elif isinstance(entry, Heard):
            for key, at, status in _responses(entry):
                later.setdefault(key, []).append((place, at, status))
                if open_requests.get(key):
                    answers[open_requests[key].pop()] = status
    return answers, later


def _responses(heard: Heard) -> list[tuple[tuple[str, str], float, int]]:
    """Account and model, instant and status of the responses in an entry; facts of a burst of them come without a status."""
    if heard.status is not None:
        return [((heard.account, heard.model), heard.at, heard.status)]
    told = [fact for fact in heard.facts or () if isinstance(fact, Succeeded | RateLimited)]
    return [((f.account, f.model), f.at, _OK if isinstance(f, Succeeded) else _TOO_MANY) for f in told]


def _shown(
    account: str | None,
    asked: Asked,
    status: int | None,
    later: dict[tuple[str, str], list[tuple[int, float, int]]],
    place: int,
) -> str | None:
    if status != _TOO_MANY or account == asked.account:
        return None
    if account is None:
        return "avoided"  # nothing would have been sent
    for at_place, at, met in later.get((account, asked.model), ()):
        if at_place > place:
            if at - asked.at > _SHOWN_WITHIN_SECS:
                break
            return "avoided" if met < _REDIRECT else "met" if met == _TOO_MANY else "unknown"
    return "unknown"


def summary(steps: Iterable[Retraced]) -> dict[str, int]:
    """How many requests there were, how many choices are the same and how many differ, and of the 429s what is shown."""
    found = dict.fromkeys(("requests", "agreements", "differences", "responses_429", "avoided", "met", "unknown"), 0)
    for step in steps:
        found["requests"] += 1
        found["agreements" if step.agrees else "differences"] += 1
        found["responses_429"] += step.status == _TOO_MANY
        if step.shown is not None:
            found[step.shown] += 1
    return found
