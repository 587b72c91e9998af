"""Probing: whether an account can really start a session, found out by the person's own command or the smallest request.

Refuses: taking for an answer what is none. No network, no such command, a throttle or a provider in trouble say nothing of
what the account can do, and leave what was known of that as it was.
"""

from __future__ import annotations

import os
import random
import re
from threading import Event

from rotator.core.instants import aware
from rotator.core.providers import read
from rotator.core.providers.bodies import decode
from rotator.core.signals import Held, Probed, Released, Succeeded
from rotator.core.state import Availability
from rotator.core.value import Value
from rotator.credentials import SECRETS
from rotator.errors import EndpointFailed, LoginNeeded, RotatorError
from rotator.wire import refresh
from rotator.wire.child import run
from rotator.wire.environment import ACCOUNT, applied
from rotator.wire.inquiry import Asker
from rotator.wire.origins import origin_of
from rotator.wire.smallest import FORMS, request
from rotator.wire.spread import visited, wanted_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from rotator.core.signals import Signal
    from rotator.core.state import Account
    from rotator.credentials import Credentials
    from rotator.engine import Rotator
    from rotator.wire.inquiry import Answer, Asked

AVAILABLE, REFUSED, THROTTLED, NOT_MADE, SKIPPED = "available", "refused", "throttled", "not_made", "skipped"
"""What may become of a probe: the first two are kept as the account's ``availability``, the others are not."""
TIMEOUT_SECS = 120.0
"""A coding agent starts, may renew its login, and answers one word well within two minutes."""
AT_ONCE = 4
GAP_SECS = 1.0
"""Between two accounts at one host, times 0.5 to 1.5, as between polls."""
_SUCCESS, _REDIRECTS = range(200, 300), range(300, 400)
_UNAUTHORIZED = 401
_LONGEST_REASON = 200
_EARLIER_SECS = 0.001
"""A release ends a probe of the same instant."""
_REFUSALS = ("auth_failed", "banned", "restricted", "billing")
_PASSING = ("rate_limited", "quota_exhausted", "overloaded", "server_error")
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_TOKEN_LIKE = re.compile(r"(?=[\w.+/=%\\-]*\d)(?=[\w.+/=%\\-]*[A-Za-z])[\w.+/=%\\-]{24,}", re.ASCII)
"""Our choice: what programs print of a key that they were refused with is as good as the key to whoever reads logs."""
_LEAST_SECRET = 4
"""Shorter values are placeholders, and would mask ordinary words."""
_IN_URL = re.compile(r"(?<=//)[^/@\s]+(?=@)|(?<=[?&])[^=&#\s]+=[^&#\s]+")
"""Who asks, and what a query says: programs repeat the address that they were refused at."""


class ProbeResult(Value):
    """One account's probe. ``outcome`` is one of the words above, ``reason`` why, without a secret.

    ``model`` is what was asked for; None when the person's command was run, or nothing was.
    """

    account: str
    outcome: str
    reason: str = ""
    model: str | None = None
    at: datetime | None = None


def probe(
    rotator: Rotator,
    names: Iterable[str] | None = None,
    *,
    model: str | None = None,
    timeout_secs: float = TIMEOUT_SECS,
    progress: Callable[[int, int], None] | None = None,
    luck: Callable[[], float] = random.random,
) -> list[ProbeResult]:
    """Find out of the accounts of these names, or of the whole pool, whether they can start a session, and learn it.

    An account with a ``probe`` runs that command, with its credentials in the environment; any other sends the smallest
    request of ``model``, else of its provider's cheapest, which costs a few tokens and may begin a quota window. What came
    back is learned as any response is. Of the whole pool, accounts that are disabled or on hold are skipped.

    Each account once and by itself, those of one host one after the other, ``AT_ONCE`` hosts or commands at once. ``progress``
    is called here with accounts done and accounts in all; ``luck`` gives numbers of 0..1. The results are in the order of the accounts. Raises
    UnknownAccount, before anything is done. A signal that raises here ends the commands first.
    """
    wanted, stop, clock = wanted_of(rotator.pool, names), Event(), rotator._clock
    with Asker(clock, luck, stop, timeout_secs) as asker:
        turn = _Turn(rotator, asker, stop, model, timeout_secs, all_of_them=names is None)
        return visited(
            rotator,
            wanted,
            turn.door,
            turn.take,
            at_once=AT_ONCE,
            pause=lambda: clock.wait(stop, GAP_SECS * (0.5 + luck())),
            progress=progress,
            stop=stop,
        )


class _Turn:
    """How an account is probed."""

    def __init__(
        self,
        rotator: Rotator,
        asker: Asker,
        stop: Event,
        model: str | None,
        timeout_secs: float,
        *,
        all_of_them: bool,
    ) -> None:
        self._rotator = rotator
        self._asker = asker
        self._stop = stop
        self._model = model
        self._timeout_secs = timeout_secs
        self._all = all_of_them

    def door(self, name: str) -> str:
        """The host that is asked; a command has a door of its own."""
        try:
            credentials = self._rotator.credentials(name)
            asked = None if credentials.probe else request(credentials, "m")
        except RotatorError:  # its turn says what is amiss
            asked = None
        return name if asked is None else str(origin_of(asked.url))

    def take(self, name: str) -> tuple[ProbeResult, bool]:
        """Probe it, unless it is left out; and whether a host was asked."""
        result = self._taken(name)
        return result, result.model is not None

    def _taken(self, name: str) -> ProbeResult:
        try:
            account = self._rotator.pool.account(name)
        except KeyError:  # taken out of the file meanwhile
            return ProbeResult(name, SKIPPED, "it is not in the file any more")
        out = self._left_out(account) if self._all else None
        if out is not None:
            return ProbeResult(name, SKIPPED, out)
        try:
            credentials = refresh.current(self._rotator, name)
            if credentials.probe:
                return self._command(credentials, credentials.probe)
            return self._request(account, credentials)
        except (RotatorError, OSError) as error:  # what is wrong with its credential: nothing was found out
            return ProbeResult(name, NOT_MADE, _words(error))

    def _left_out(self, account: Account) -> str | None:
        runtime = account.runtime
        if not account.enabled:
            return "is disabled"
        held = runtime.held and (runtime.held_until is None or runtime.held_until > self._now())
        return "is on hold" if held else None

    def _now(self) -> float:
        return self._rotator.now()

    def _command(self, credentials: Credentials, command: tuple[str, ...]) -> ProbeResult:
        name = credentials.account
        before = os.environ.get(ACCOUNT, "")
        pool = self._rotator.pool
        provider = pool.account(before).provider if before in pool else None
        environment = {**os.environ, ACCOUNT: name}
        if credentials.access_token or credentials.api_key:
            environment = applied(os.environ, credentials, provider)
        try:
            ran = run(command, environment, self._timeout_secs, self._stop)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else "it holds a NUL"
            return ProbeResult(name, NOT_MADE, f"its probe cannot be started: {why}")
        if ran.code == 0:
            self._served(name)
            return self._learned(name, ok=True, reason="")
        if self._stop.is_set():
            return ProbeResult(name, NOT_MADE, "its probe was ended")
        if ran.code is None:
            return self._learned(name, ok=False, reason=f"no end within {self._timeout_secs:g} s")
        how = f"exit code {ran.code}" if ran.code > 0 else f"ended by signal {-ran.code}"
        said = last_line(ran.tail, credentials)
        return self._learned(name, ok=False, reason=f"{how}: {said}" if said else how)

    def _request(self, account: Account, credentials: Credentials) -> ProbeResult:
        name, model = account.name, self._model or model_of(account)
        if model is None:
            why = f"no model is known for {account.provider}: name one with -m, or give it a probe command"
            return ProbeResult(name, NOT_MADE, why)
        asked = request(credentials, model)
        if asked is None:
            why = f"no request can be made of {account.provider} with what it has: give it a probe command"
            return ProbeResult(name, NOT_MADE, why)
        try:
            answer = self._asker.ask(asked, repeatable=False)
            if answer.status == _UNAUTHORIZED and credentials.access_token:
                answer = self._once_more(credentials, model, answer)
        except EndpointFailed as error:
            return ProbeResult(name, NOT_MADE, str(error), model)
        return self._answered(account, model, answer)

    def _once_more(self, refused: Credentials, model: str, answer: Answer) -> Answer:
        """The answer with a new token, where there is one to be had."""
        try:
            credentials = refresh.current(self._rotator, refused.account, rejected=refused.access_token)
        except LoginNeeded:
            return answer
        asked: Asked | None = None
        if credentials.access_token not in (None, refused.access_token):
            asked = request(credentials, model)
        return answer if asked is None else self._asker.ask(asked, repeatable=False)

    def _answered(self, account: Account, model: str, answer: Answer) -> ProbeResult:
        name, result = account.name, ProbeResult(account.name, NOT_MADE, "", model)
        if answer.status in _REDIRECTS or (answer.status in _SUCCESS and not decode(answer.body).documents):
            return result.replace(reason=f"it answered {answer.status}, but no model did: is base_url right?")
        said = {"status": answer.status, "headers": answer.headers, "body": answer.body}
        reading = read(account.provider, **said, model=model, now=aware(self._now()))  # type: ignore[arg-type]
        self._rotator.observe(name, model, **said)  # type: ignore[arg-type]
        if reading.kind == "ok":
            return self._learned(name, ok=True, reason="").replace(model=model)
        why = f"{reading.kind}: {reading.reason}" if reading.reason else reading.kind
        if reading.kind in _REFUSALS:
            return self._learned(name, ok=False, reason=why).replace(model=model)
        if reading.kind in _PASSING:
            return result.replace(outcome=THROTTLED, reason=why)
        return result.replace(reason=f"it answered {answer.status} ({why}): name another model with -m")

    def _served(self, name: str) -> None:
        """Learn that a command was served: a session began, which ends what said that none could, as a success does.

        Of which model is not known. So it counts for each one that is known, save those whose cooldown's end the provider
        has said: the command may have used another one. Where none is left it counts for the model that was named;
        without that, an account whose credential was refused is given back as by a person, or nobody would ask it again.
        """
        pool, at = self._rotator.pool, self._now()
        if name not in pool:  # taken out of the file meanwhile
            return
        runtime = pool.account(name).runtime
        guessed = [
            model
            for model, state in runtime.models.items()
            if all(cooldown.source == "default" or cooldown.until <= at for cooldown in state.cooldowns)
        ]
        models = guessed or ([] if self._model is None else [self._model])
        facts: list[Signal] = [Succeeded(name, model, at) for model in models]
        if not models and runtime.auth_failed:
            before = at - _EARLIER_SECS
            facts = [Released(name, None, before)]
            if runtime.held:  # that is another matter
                facts.append(Held(name, None, before, runtime.held_until))
        if facts:
            self._rotator.ingest(facts)

    def _learned(self, name: str, *, ok: bool, reason: str) -> ProbeResult:
        at = self._now()
        self._rotator.ingest([Probed(name, at, Availability(ok, at, reason))])
        return ProbeResult(name, AVAILABLE if ok else REFUSED, reason, at=aware(at))


def model_of(account: Account) -> str | None:
    """The model that a probe asks for: the provider's cheapest if the account serves it, else one that it names or has served."""
    form = FORMS.get(account.provider)
    cheapest = None if form is None else form.model
    if cheapest is not None and account.serves(cheapest):
        return cheapest
    named = [pattern for pattern in account.models if not set(pattern) & set("*?[")]
    served = sorted(account.runtime.models, key=lambda model: -account.state(model).last_success_at)
    return next((model for model in [*named, *served] if account.serves(model)), None)


def last_line(output: bytes, credentials: Credentials) -> str:
    """The last line that says anything, short, plain and without what is or looks like a secret."""
    lines = _ESCAPES.sub("", output.decode(errors="replace")).replace("\r", "\n").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    secrets = [value for value in (getattr(credentials, key) for key in SECRETS) if value]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            line = line.replace(secret, "***")
    line = _TOKEN_LIKE.sub("***", _IN_URL.sub("***", line))
    return "".join(c for c in line if c.isprintable())[:_LONGEST_REASON]


def _words(error: Exception) -> str:
    return (error.strerror or "") if isinstance(error, OSError) and error.strerror else str(error)
