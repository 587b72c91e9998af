"""Taking an account for a program that needs its credentials: the options that ``token``, ``env`` and ``run`` share, and the choice.

Refuses: what is done with the credentials. An account whose credentials are not to be had is passed over, and that is said.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import count

import click

from rotator.cli.endings import OK, PARKED, UNAVAILABLE
from rotator.cli.naming import account_of
from rotator.cli.next import parked_line
from rotator.cli.params import Length, Words, completing, model_option, names_of
from rotator.cli.voice import talk
from rotator.core.selection import Parked, Selected
from rotator.core.value import Value
from rotator.errors import (
    AccountsDenied,
    AccountsInvalid,
    AccountsMissing,
    EndpointFailed,
    OperatorError,
    RotatorError,
    SecretMissing,
)
from rotator.wire.environment import ACCOUNT, lent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rotator.core.pool import Pool
    from rotator.core.selection import Unavailable
    from rotator.credentials import Credentials
    from rotator.engine import Rotator

_MOST_FAILED = 3
"""Accounts at one call whose endpoint gives no answer. Our choice: a helper has 5 s, a refresh takes one."""
_MOST_TOLD = 3
"""Accounts that are passed over and told of each by itself; the rest is a number."""

MODEL = (
    "The model, as the provider names it. Without it the account counts as a whole: the active one while it can serve "
    "some model and nobody of a better tier can, else the best."
)


class Sought(Value):
    """Whom a command asks for; ``wait`` in seconds, None is not at all."""

    model: str | None = None
    provider: str | None = None
    tags: tuple[str, ...] = ()
    session: str | None = None
    account: str | None = None
    wait: float | None = None


class Taken(Value):
    """What was had: credentials, or none and the exit code of a run that ends here (the reason has been told).

    ``before`` is the provider of the account whose variables stand in this process's environment, if any.
    """

    credentials: Credentials | None
    code: int = OK
    before: str | None = None


def choice_options(*, waits: bool) -> Callable[[Any], Any]:
    """The options that say whom a command asks for; ``waits``: with ``--wait`` too. They come as what ``sought`` takes."""
    options = [
        model_option(required=False, meaning=MODEL),
        click.option(
            "--provider",
            metavar="NAME",
            type=Words(),
            help="Only accounts of this provider.",
            shell_complete=completing(_providers),
        ),
        click.option("--tag", "tags", metavar="TAG", type=Words(), multiple=True, help="Only accounts with this tag."),
        click.option("--session", metavar="KEY", type=Words(), help="A conversation that stays on its account."),
        click.option(
            "--account",
            metavar="NAME",
            type=Words(),
            help="This account and no other, ready or not; the active one stays.",
            shell_complete=completing(names_of),
        ),
    ]
    if waits:
        meaning = "When nobody is ready, wait this long (90, 15m, 5h)."
        options.append(click.option("--wait", metavar="SECS", type=Length(), help=meaning))

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _providers(pool: Pool) -> Iterable[str]:
    return sorted({account.provider for account in pool})


def sought(given: dict[str, Any]) -> Sought:
    """What the options say, taken out of ``given``; a usage error where they contradict each other."""
    found = Sought(**{key: given.pop(key) for key in Sought.__match_args__ if key in given})
    if found.account is not None:
        for key in ("provider", "tags", "session", "wait"):
            if getattr(found, key):
                message = f"--account names one, so there is nothing to choose with --{key.removesuffix('s')}"
                raise click.UsageError(message)
    return found


def take(
    rotator: Rotator, wish: Sought, fit: Callable[[Credentials], object], tried: frozenset[str] = frozenset()
) -> Taken:
    """The credentials of the account that is sought, which becomes the active one unless it was named.

    ``fit`` raises OperatorError for credentials that are of no use to the command; their account is passed over like one whose
    credentials are not to be had, until the pool is through. ``tried`` are accounts that are not to be taken. Raises
    ParkTimeout, UnknownAccount, what is wrong with the file; and OperatorError or EndpointFailed of an account that was named.
    """
    over = _PassedOver()
    ends = time.monotonic() + (wish.wait or 0.0)
    while over.failed < _MOST_FAILED:
        left = wish if wish.wait is None else wish.replace(wait=max(ends - time.monotonic(), 0.0))
        name, code = _chosen(rotator, left, tried, over.first)
        if name is None:
            over.tell_rest()
            return Taken(None, code)
        try:
            credentials = _usable(rotator, name, fit)
        except (AccountsDenied, AccountsInvalid, AccountsMissing):
            raise
        except (EndpointFailed, OperatorError) as error:
            if wish.account is not None:
                raise
            over.add(error)
            tried |= {name}
            continue
        over.tell_rest()
        before = os.environ.get(ACCOUNT)
        provider = rotator.pool.account(before).provider if before is not None and before in rotator.pool else None
        return Taken(credentials, OK, provider)
    over.tell_rest()
    return Taken(None, UNAVAILABLE if over.first is None else over.first.exit_code)


class _PassedOver:
    """Accounts that were passed over: why the first was, and at how many an endpoint failed."""

    def __init__(self) -> None:
        self.first: RotatorError | None = None
        self.failed = 0
        self._count = 0

    def add(self, error: RotatorError) -> None:
        """One more; the first few are told at once."""
        self.first = self.first or error
        self.failed += isinstance(error, EndpointFailed)
        self._count += 1
        if self._count <= _MOST_TOLD:
            talk(str(error))

    def tell_rest(self) -> None:
        """How many there were besides those."""
        if self._count > _MOST_TOLD:
            talk(f"{self._count - _MOST_TOLD} more passed over; `rotator token --account NAME` says why one is")


def _usable(rotator: Rotator, name: str, fit: Callable[[Credentials], object]) -> Credentials:
    """The account's credentials. Raises OperatorError or EndpointFailed when they are not to be had, or are not fit."""
    from rotator.wire.refresh import current

    credentials = current(rotator, name)
    _refuse_lent(rotator, credentials)
    fit(credentials)
    return credentials


def _refuse_lent(rotator: Rotator, credentials: Credentials) -> None:
    """Inside ``run`` a variable may hold what another account lent it: whoever refers to it would act as that account."""
    before = os.environ.get(ACCOUNT, credentials.account)
    if not credentials.variables or before == credentials.account or before not in rotator.pool:
        return
    try:
        other = rotator.credentials(before)
    except OperatorError:
        other = None
    holds = lent(rotator.pool.account(before).provider, other)
    for key, variable in credentials.variables.items():
        if variable in holds:
            message = (
                f"{key} of {credentials.account} is in the environment variable {variable}, which holds that of {before} "
                "here (ROTATOR_ACCOUNT)"
            )
            raise SecretMissing(message)


def _chosen(
    rotator: Rotator, wish: Sought, tried: frozenset[str], trouble: RotatorError | None
) -> tuple[str | None, int]:
    """The account's name, or None and how the run ends; ``trouble`` is why others were passed over."""
    if wish.account is not None:
        return account_of(rotator.pool, wish.account).name, OK
    among = None
    if wish.provider is not None or tried:
        of_provider = [a.name for a in rotator.pool if wish.provider in (None, a.provider)]
        among = frozenset(of_provider) - tried
        if not of_provider:
            talk(f'no account of the provider {wish.provider} is there: set "provider" of those that are its accounts')
            return None, UNAVAILABLE
        if tried and not any(a.name in among and set(wish.tags) <= set(a.tags) for a in rotator.pool):
            return None, UNAVAILABLE if trouble is None else trouble.exit_code  # each of them has been told of
    outcome = _outcome(rotator, wish, among)
    if isinstance(outcome, Selected):
        return outcome.account, OK
    if isinstance(outcome, Parked):
        talk(parked_line(outcome))
        return None, PARKED
    if trouble is not None:
        return None, trouble.exit_code
    talk(outcome.reason)
    return None, UNAVAILABLE


def _outcome(rotator: Rotator, wish: Sought, among: frozenset[str] | None) -> Selected | Parked | Unavailable:
    """The choice, taken; after a wait where one is wanted. Raises ParkTimeout."""

    def decide() -> Selected | Parked | Unavailable:
        if wish.model is not None:
            return rotator.next(wish.model, session=wish.session, tags=wish.tags, among=among)
        from rotator.cli.anymodel import ANY, choose
        from rotator.engine.learning import facts_of_choice

        seen = rotator.explain(ANY)  # looks at the file
        chosen = choose(seen.pool, now=seen.decided, tags=wish.tags, session=wish.session, among=among)
        if isinstance(chosen, Selected):
            rotator.ingest(facts_of_choice(chosen, wish.session))
        return chosen

    if wish.wait is None:
        return decide()
    from rotator.cli.waiting import Countdown, Lines
    from rotator.clock import MachineClock
    from rotator.engine.waiting import Waiting

    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    shown: Countdown | Lines = Countdown() if terminal else Lines(time.monotonic)
    try:
        # each step decides anew, which looks at the file: at most once a second, and there is no telling what is news
        return Waiting(decide, count().__next__, MachineClock(), wish.wait).run(shown)
    finally:
        shown.done()
