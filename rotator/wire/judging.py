"""Judging: whether a response refuses, what is learned from it, and from its body while that passes to the program.

Refuses: what follows from a refusal (``exchange`` decides), what a provider's words mean (``core.providers``).
"""

from __future__ import annotations

from rotator.core.providers import read
from rotator.core.value import Value
from rotator.wire.steps import Pull
from rotator.wire.streams import FIRST_EVENT, Watch, has_event, may_tell_error, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from rotator.clock import Clock
    from rotator.core.providers.reading import Reading
    from rotator.wire.asking import Library
    from rotator.wire.steps import Incoming, Step
    from rotator.wire.turns import Turn

LONGEST_ERROR = 1_048_576
"""Bytes that are read of the body of a refusal; what is beyond passes to the program unread."""
_SHORT = 1_048_576
"""Bytes of a body that comes at one go."""
_REFUSED = 400
_MOVED = range(300, 400)
_OF_A_LIMIT = frozenset(("rate_limited", "quota_exhausted", "overloaded"))
_ROTATING = _OF_A_LIMIT | {"auth_failed", "banned", "restricted", "billing", "server_error"}
_EVENTS = {"content-type": "text/event-stream"}


class Refusal(Value):
    """A response that refuses; ``text`` is what its body says. ``rotates``: another account may be served."""

    incoming: Incoming
    reading: Reading
    text: bytes
    whole: bool

    @property
    def rotates(self) -> bool:
        """Not when the request is to blame, nor when so much is said that it cannot be kept while others are asked."""
        return self.whole and self.reading.kind in _ROTATING

    @property
    def passes(self) -> bool:
        """Whether it says that there is a limit, which time ends: more use to a program than one account's trouble."""
        return self.reading.kind in _OF_A_LIMIT


def refusal(incoming: Incoming, provider: str, model: str | None, clock: Clock) -> Generator[Step, Any, Refusal | None]:
    """The refusal that a response is; None for one that serves, as far as its head and the first event of a stream tell.

    One whose body breaks off is told by its head. Raises what broke it when by that the request is to blame.
    """
    response = incoming.response
    whole, broke = True, None
    if response.is_closed:  # it was made in memory, and its body is there
        text = response.content
        if response.status_code < _REFUSED and not (_has_events(incoming) and may_tell_error(text)):
            return None
    elif response.status_code >= _REFUSED:
        text, whole, broke = yield from _error_text(incoming)
    elif response.status_code == 200 and _has_events(incoming):  # noqa: PLR2004
        text = yield from _first_event(incoming)
        if not may_tell_error(text):
            return None
    else:
        return None
    reading = read(
        provider, status=response.status_code, headers=incoming.headers, body=text, model=model, now=clock.now()
    )
    if broke is not None and reading.kind not in _ROTATING:
        raise broke
    return None if reading.kind == "ok" else Refusal(incoming, reading, text, whole)


def watched(incoming: Incoming, turn: Turn, library: Library) -> Any:
    """The response, with a body that ends the turn when it has passed, and tells what was used.

    A short body is there with its head, so both are learned at its end; the head of one that may take long is learned now.
    """
    response = incoming.response
    if response.status_code in _MOVED:
        turn.ends()
        return response
    events = _has_events(incoming)
    head = None if events or not _is_short(incoming) else (response.status_code, incoming)
    if head is None:
        turn.serves((response.status_code, incoming))

    def ended(tokens: int, failed: bytes | None) -> None:
        turn.ends(head, tokens)
        if failed is not None:  # after the success of its head, since of the two the later stands
            turn.learn((200, _EVENTS if events else {}), failed)

    watch = Watch("" if response.is_closed else incoming.header(b"content-encoding"), ended, events=events)
    if response.is_closed:
        watch.saw(response.content)
        watch.end()
    else:
        response.stream = library.passing(response.stream, incoming.held, incoming.chunks, watch)
    return response


def _is_short(incoming: Incoming) -> bool:
    length = incoming.header(b"content-length")
    return incoming.response.is_closed or (length.isdecimal() and int(length) <= _SHORT)


def _has_events(incoming: Incoming) -> bool:
    return incoming.header(b"content-type")[:17].lower() == "text/event-stream"


def _error_text(incoming: Incoming) -> Generator[Step, Any, tuple[bytes, bool, Exception | None]]:
    """What the body says, up to a bound, whether that is all that comes of it, and what broke it off."""
    size = 0
    while size < LONGEST_ERROR:
        try:
            chunk = yield Pull(incoming)
        except Exception as error:  # noqa: BLE001  of either library, which say it in classes of their own
            return _cut_short(incoming), True, error
        if chunk is None:
            return _unpacked(incoming), True, None
        incoming.held.append(chunk)
        size += len(chunk)
    return _unpacked(incoming), False, None


def _cut_short(incoming: Incoming) -> bytes:
    """What came of a body that broke off, which is all there is from now on: unpacked, since its packing has no end."""
    text = _unpacked(incoming)
    headers = incoming.response.headers
    for name in ("content-encoding", "content-length"):
        if name in headers:
            del headers[name]
    incoming.held[:] = [text]
    incoming.closed = True
    return text


def _first_event(incoming: Incoming) -> Generator[Step, Any, bytes]:
    """What a stream says up to its first whole event that is no ping (``has_event``), held back.

    What came in the same parts is told too: an error behind OpenAI's ``response.created``, for one.
    """
    unpacked = plain(incoming.header(b"content-encoding"), FIRST_EVENT)
    text, size = b"", 0
    while unpacked is not None and size < FIRST_EVENT and not has_event(text):
        chunk = yield Pull(incoming)
        if chunk is None:
            break
        incoming.held.append(chunk)
        size += len(chunk)
        text += unpacked(chunk)
    return text


def _unpacked(incoming: Incoming) -> bytes:
    unpacked = plain(incoming.header(b"content-encoding"), LONGEST_ERROR)
    return b"" if unpacked is None else unpacked(b"".join(incoming.held))
