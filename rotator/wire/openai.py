"""For OpenAI's SDK without a transport: ``Accounts`` gives a client its ``api_key=`` and the hooks of its ``http_client=``.

Refuses: sending anything, any other SDK. The SDK asks for a key before each attempt and retries by itself; the hooks learn
from each answer, so that the next attempt goes out with an account that can serve it, and at once. Of a stream they learn the
head alone; the transports learn more.
"""

from __future__ import annotations

from rotator.core.codec.tokens import short_hash
from rotator.core.selection import Parked, Selected
from rotator.core.signals import RateLimited
from rotator.errors import BadArgument, LoginNeeded, OriginRefused, ParkTimeout, SecretMissing
from rotator.wire.answers import client_delay, delayed
from rotator.wire.aside import Aside
from rotator.wire.origins import Owners, origin, origin_of, owns, shown, unowned
from rotator.wire.refresh import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.signals import Signal
    from rotator.engine import Rotator

_REFUSED, _TOO_MANY = 400, 429
_HEEDED_SECS = 60
"""Longest ``Retry-After`` that the SDK waits for (its own ``_calculate_retry_timeout``); for a longer one it waits half a second."""
_MOST_GIVEN = 1_024
"""Keys whose account is remembered until their answer comes: more than are under way at once."""


class Accounts:
    """A pool for one client.

    ``OpenAI(api_key=accounts.key, http_client=httpx2.Client(event_hooks=accounts.hooks))``, or
    ``AsyncOpenAI(api_key=accounts.key_async, http_client=httpx2.AsyncClient(event_hooks=accounts.hooks_async))``.

    ``model`` is that of every request, since the SDK does not tell it when it asks for a key; ``base_url`` is the
    client's. A call raises ParkTimeout when nobody is ready now, LoginNeeded when nobody will be without a person's help, and
    OriginRefused when a key would go to another origin than its account's. Raises BadArgument for a ``base_url`` that is none.
    """

    def __init__(self, rotator: Rotator, *, model: str, base_url: str = "https://api.openai.com/v1") -> None:
        place = origin_of(base_url)
        if place is None:
            message = "base_url is no URL with a scheme and a host"
            raise BadArgument(message)
        self._rotator = rotator
        self._model = model
        self._place = place
        self._owners = Owners(rotator)
        self._aside = Aside(rotator)
        self._given: dict[str, str] = {}

    @property
    def rotator(self) -> Rotator:
        """The engine, which is its owner's to close."""
        return self._rotator

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.Accounts of {len(self._rotator.pool)} accounts>"

    @property
    def hooks(self) -> dict[str, list[Any]]:
        """``event_hooks=`` of a Client of httpx or httpx2."""
        return {"request": [self._check], "response": [self._learn]}

    @property
    def hooks_async(self) -> dict[str, list[Any]]:
        """``event_hooks=`` of an AsyncClient."""
        return {"request": [self._check_async], "response": [self._learn_async]}

    def key(self) -> str:
        """The key of the account that is best now.

        Raises ParkTimeout, whose ``wake_at`` is when somebody will be ready; LoginNeeded when a person has to help;
        SecretMissing when no account that is ready has its secret here; EndpointFailed.
        """
        names = self._owners.of(self._place) or self._owners.look_again(self._place)
        if not names:
            raise OriginRefused(unowned(self._place))
        names = self._aside.without(names)
        missing: SecretMissing | None = None
        while names:
            name = self._next(names, missing)
            try:
                return self._key(name)
            except SecretMissing as error:
                self._aside.put(name)
                names, missing = names - {name}, error
        assert missing is not None, "there were names"
        raise missing

    def _next(self, names: frozenset[str], missing: SecretMissing | None) -> str:
        """The best of these; ``missing`` is why another was left out."""
        chosen = self._rotator.next(self._model, among=names)
        if isinstance(chosen, Selected):
            return chosen.account
        message = f"nobody is ready: {chosen.explanation}"
        if isinstance(chosen, Parked):
            raise ParkTimeout(message, chosen.wake_at)
        raise missing or LoginNeeded(message)

    def _key(self, name: str) -> str:
        found = current(self._rotator, name)
        key = found.access_token or found.api_key
        if key is None or not owns(found.provider, found.base_url, self._place):
            message = f"{name} has no key for {shown(self._place)}"
            raise LoginNeeded(message)
        if len(self._given) >= _MOST_GIVEN:
            self._given.pop(next(iter(self._given)))
        self._given[short_hash(key)] = name
        return key

    async def key_async(self) -> str:
        """The awaitable ``key``, on a thread of the loop's executor: it may refresh a token."""
        from asyncio import to_thread  # costs 40 ms, and only asynchronous programs need it

        return await to_thread(self.key)

    def _account(self, request: Any) -> str | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return self._given.get(short_hash(key)) if scheme.lower() == "bearer" else None

    def _check(self, request: Any) -> None:
        """Before a request goes out, also across a redirect: keys go to the one origin alone."""
        place = origin(request.url)
        if place != self._place and self._account(request) is not None:
            del request.headers["authorization"]
            message = f"the key is for {shown(self._place)}, and the request goes to {shown(place)}: give Accounts that base_url"
            raise OriginRefused(message)

    async def _check_async(self, request: Any) -> None:
        self._check(request)

    def _learn(self, response: Any) -> None:
        if response.status_code >= _REFUSED:
            response.read()
        self._heard(response)

    async def _learn_async(self, response: Any) -> None:
        if response.status_code >= _REFUSED:
            await response.aread()
        self._heard(response)

    def _heard(self, response: Any) -> None:
        """Learn; where another account is ready, the SDK shall not wait for as long as this one has to.

        Where none is, it is told the client delay, and not to ask again when it would not wait for that.
        """
        name, status = self._account(response.request), response.status_code
        if name is None or name not in self._rotator.pool or 300 <= status < _REFUSED:  # noqa: PLR2004
            return
        body = response.content if status >= _REFUSED else None
        facts = self._rotator.observe(name, self._model, status=status, headers=response.headers, body=body)
        if status < _REFUSED:
            return
        others = self._rotator.explain(self._model, among=self._owners.of(self._place))
        if isinstance(others, Selected) and others.account != name:
            response.headers["retry-after-ms"] = "1"
            if status != _TOO_MANY and "x-should-retry" not in response.headers:
                response.headers["x-should-retry"] = "true"
        elif status == _TOO_MANY or "retry-after" in response.headers:
            delay = client_delay(self._rotator.pool.policy, _told_secs(facts), others, self._rotator.now())
            delayed(response.headers, delay)
            if (delay or 0) > _HEEDED_SECS:
                response.headers["x-should-retry"] = "false"


def _told_secs(facts: tuple[Signal, ...]) -> float | None:
    """The delay that the provider named."""
    told = [fact.retry_delay_secs for fact in facts if isinstance(fact, RateLimited)]
    return next((secs for secs in told if secs is not None), None)
