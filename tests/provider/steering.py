"""What a test tells a provider and asks of it, the same for a thread and for a process, and how that travels as JSON.

Refuses: doing any of it (``world``), and any call that ``TOLD`` does not name.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.provider.accounts import Answer, Seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tests.provider.world import World

TOLD = frozenset({
    "account", "advance", "change", "expire", "forget", "login", "look", "overloaded", "release", "requests", "script",
    "set_time", "spend", "totals",
})  # fmt: skip
"""What may be asked of a ``World`` from outside."""


class Held:
    """One account as a test holds it: its parts are looked up at the provider each time.

    ``key``, ``access_token``, ``refresh_token`` (the current ones), ``expires_at`` (epoch seconds), ``remaining`` (of
    the model with least left), ``quotas`` (model, ``""`` or ``week`` -> used, remaining, reset_at), ``served``,
    ``requests``, ``token_requests``, ``refreshed``, ``reuse_detected``, ``revoked``.
    """

    def __init__(self, provider: Told, name: str) -> None:
        self.provider = provider
        self.name = name

    def __getattr__(self, part: str) -> Any:
        if part.startswith("_"):
            raise AttributeError(part)
        try:
            return self.provider.tell("look", self.name)[part]
        except KeyError:
            raise AttributeError(part) from None

    def change(self, **parts: Any) -> None:
        self.provider.tell("change", self.name, **parts)

    def script(self, *answers: Any, on: str = "model") -> None:
        self.provider.tell("script", self.name, list(answers), on=on)

    def spend(self, used: int, model: str = "", reset_in: float | None = None) -> None:
        self.provider.tell("spend", self.name, used, model=model, reset_in=reset_in)

    def release(self, pieces: int | None = 1) -> None:
        self.provider.tell("release", self.name, pieces)

    def login(self) -> None:
        self.provider.tell("login", self.name)

    def expire(self) -> None:
        self.provider.tell("expire", self.name)


class Told:
    """What a test tells a provider and asks of it, wherever it runs; what each does stands in ``World``."""

    url: str

    def tell(self, what: str, *args: Any, **parts: Any) -> Any:
        raise NotImplementedError

    def account(self, name: str, **parts: Any) -> Held:
        self.tell("account", name, **parts)
        return Held(self, name)

    def held(self, name: str) -> Held:
        return Held(self, name)

    def change(self, name: str, **parts: Any) -> None:
        self.tell("change", name, **parts)

    def script(self, name: str, answers: Sequence[Any], on: str = "model") -> None:
        self.tell("script", name, list(answers), on=on)

    def overloaded(self, model: str, until: float | datetime | None) -> None:
        self.tell("overloaded", model, _plain(until))

    def release(self, name: str, pieces: int | None = 1) -> None:
        self.tell("release", name, pieces)

    def set_time(self, at: float | datetime | None) -> None:
        self.tell("set_time", _plain(at))

    def advance(self, secs: float) -> None:
        self.tell("advance", secs)

    def forget(self, *, recording: bool = True) -> None:
        self.tell("forget", recording=recording)

    @property
    def requests(self) -> list[Seen]:
        found: list[Seen] = self.tell("requests")
        return found

    @property
    def clock(self) -> float:
        """What the server takes for now, epoch seconds."""
        return float(self.tell("totals")["clock"])

    @property
    def reuse_detected(self) -> int:
        """Superseded refresh tokens that came back."""
        return int(self.tell("totals")["reuse_detected"])

    @property
    def token_requests(self) -> int:
        return int(self.tell("totals")["token_requests"])

    @property
    def connections(self) -> int:
        """How many were ever accepted, those of a spawned provider's own control included."""
        return int(self.tell("totals")["connections"])


def told(what: str, args: Sequence[Any], parts: dict[str, Any]) -> str:
    """A call as JSON."""
    return json.dumps({"what": what, "args": args, "parts": parts}, default=_told)


def done(world: World, said: bytes) -> tuple[int, bytes]:
    """Do what such a call says: status and result."""
    call = json.loads(said, object_hook=_meant)
    if call["what"] not in TOLD:
        return 404, json.dumps(call["what"]).encode()
    try:
        with world.lock:
            result = getattr(world, call["what"])(*call["args"], **call["parts"])
    except (KeyError, TypeError, ValueError) as error:
        return 400, json.dumps(repr(error)).encode()
    return 200, json.dumps(result, default=_told).encode()


def result(status: int, said: bytes) -> Any:
    """What such a call gave; ``RuntimeError`` when it failed."""
    found = json.loads(said, object_hook=_meant)
    if status != 200:
        raise RuntimeError(found)
    return found


def _plain(at: float | datetime | None) -> float | None:
    return at if at is None or isinstance(at, int | float) else at.timestamp()


def _told(value: object) -> Any:
    """What JSON has no word for."""
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, Answer | Seen):
        return {type(value).__name__: asdict(value)}
    raise TypeError(type(value).__name__)


def _meant(found: dict[str, Any]) -> Any:
    if len(found) != 1:
        return found
    (name, value), *_ = found.items()
    if name == "bytes" and isinstance(value, str):
        return value.encode("latin-1")
    kinds = {"Answer": Answer, "Seen": Seen}
    return kinds[name](**value) if name in kinds and isinstance(value, dict) else found
