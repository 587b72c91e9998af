"""Sending: one request by one account: its credentials, and a second time with a renewed token where the first was refused.

Refuses: choosing the account, deciding what follows from a refusal (``exchange``).
"""

from __future__ import annotations

from rotator.core.signals import AuthRefused, ServerFailed
from rotator.errors import EndpointFailed, LoginNeeded, SecretMissing, UnknownAccount
from rotator.wire.judging import refusal
from rotator.wire.refresh import is_current
from rotator.wire.steps import Close, Fetch, Send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from rotator.credentials import Credentials
    from rotator.errors import RotatorError
    from rotator.wire.asking import Asking
    from rotator.wire.judging import Refusal
    from rotator.wire.shared import Shared
    from rotator.wire.steps import Incoming, Step

OF_THE_ACCOUNT = (SecretMissing, LoginNeeded, EndpointFailed, UnknownAccount)
"""What keeps one account's credentials away, and none of another's."""


class Sender:
    """Sends one request, by as many accounts as it is told to."""

    __slots__ = ("_asked", "_shared")

    def __init__(self, shared: Shared, asked: Asking) -> None:
        self._shared = shared
        self._asked = asked

    def sent(self, name: str, model: str | None) -> Generator[Step, Any, tuple[Incoming, Refusal | None]]:
        """The answer to the account, and the refusal that it is, if it is one.

        Raises OriginRefused, what the HTTP library raises, and what is ``OF_THE_ACCOUNT``, when nothing was sent.
        """
        asked, clock = self._asked, self._shared.rotator._clock
        credentials = yield from self._credentials(name)
        incoming = yield Send(asked.signed(credentials))
        refused = yield from refusal(incoming, credentials.provider, model, clock)
        if refused is not None and refused.reading.kind == "auth_failed":
            fresh = yield from self._renewed(credentials)
            if fresh is not None:
                yield from closed(incoming)
                incoming = yield Send(asked.signed(fresh))
                refused = yield from refusal(incoming, fresh.provider, model, clock)
        return incoming, refused

    def without_credentials(self, name: str, model: str | None, error: RotatorError) -> None:
        """Keep an account out for a while: a token endpoint may soon answer again, a person may mend the rest.

        What is missing here may be there for another process, so that alone is learned of nobody.
        """
        rotator = self._shared.rotator
        if isinstance(error, LoginNeeded):
            rotator.ingest([AuthRefused(name, rotator.now(), type(error).__name__)])
        elif not isinstance(error, EndpointFailed):
            self._shared.aside.put(name)
        elif model is not None:
            rotator.ingest([ServerFailed(name, model, rotator.now())])

    def _credentials(self, name: str) -> Generator[Step, Any, Credentials]:
        """What to send now; only where a token has to be renewed it is fetched."""
        shared = self._shared
        credentials = shared.keys.of(name)
        if credentials is not None and is_current(credentials, shared.rotator.now()):
            return credentials
        renewed: Credentials = yield Fetch(shared.rotator, name)
        return renewed

    def _renewed(self, credentials: Credentials) -> Generator[Step, Any, Credentials | None]:
        """The credentials with another token than the one that was refused; None where there is none to be had."""
        token = credentials.access_token
        if token is None or not self._asked.replayable:
            return None
        try:
            fresh: Credentials = yield Fetch(self._shared.rotator, credentials.account, token)
        except OF_THE_ACCOUNT:
            return None
        return None if fresh.access_token in (None, token) else fresh


def closed(incoming: Incoming) -> Generator[Step, Any, None]:
    """Close a response that nobody is to read."""
    if not (incoming.closed or incoming.response.is_closed):
        yield Close(incoming)
