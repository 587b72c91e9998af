"""``report``: a response that somebody else received, told to the engine; and what follows from it, in one line.

Refuses: understanding responses; ``core.providers`` does.
"""

from __future__ import annotations

from email.utils import parsedate

import click

from rotator.cli.accounts import path_of
from rotator.cli.curl import response_of
from rotator.cli.endings import IO, OK
from rotator.cli.naming import account_of
from rotator.cli.params import Words, json_option, model_option, name_argument
from rotator.cli.voice import local, printable, say, say_json
from rotator.core.explain import blocked
from rotator.core.instants import rfc3339
from rotator.core.providers import read
from rotator.core.providers.times import number
from rotator.core.selection import Parked, Selected
from rotator.core.status import SCHEMA_VERSION
from rotator.errors import UnknownAccount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from rotator.core.providers.reading import Reading
    from rotator.core.selection import Candidate, Unavailable

_MOST_BYTES = 16 * 1024 * 1024
"""Our choice: no error body is longer, and the usage that ends a long answer is rarely further away."""
_STATUS = "an HTTP status is a number from 100 to 599, such as 429"
_TOKENS = "tokens are a whole number, 0 or more"


class _Whole(click.ParamType):  # type: ignore[type-arg]  # click 8.2 has none
    """A whole number of a range."""

    name = "number"

    def __init__(self, least: int, most: float, meaning: str) -> None:
        self._least, self._most, self._meaning = least, most, meaning

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a usage error that says what it would have to be."""
        text = str(value).strip()
        if not (text.isascii() and text.isdigit() and self._least <= int(text[:19]) <= self._most):
            self.fail(self._meaning, param, ctx)
        return int(text)


class _RetryAfter(click.ParamType):  # type: ignore[type-arg]  # as above
    """A Retry-After header (RFC 9110 10.2.3)."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it came; a usage error when it is neither seconds nor a date."""
        secs = number(value)
        if (secs is None or secs < 0) and not parsedate(value):
            self.fail("Retry-After is seconds (120) or an HTTP date (Fri, 20 Nov 2026 10:00:00 GMT)", param, ctx)
        return str(value)


@click.command(
    "report",
    epilog="""\b
Examples:
  rotator report a@example.com -m gemini-3-pro --status 200 --tokens 1200
  rotator report a@example.com -m gemini-3-pro --status 429 --retry-after 3600
  curl -si https://... | rotator report a@example.com -m gemini-3-pro --response -
  rotator report a@example.com -m gemini-3-pro --status 429 --record picks.jsonl

\b
Exit codes:
  0    learned (with a warning where the file cannot be written: then it is forgotten)
  2    no such account, or options that contradict each other
  66, 74, 77, 78   no file, I/O, permission, file not valid""",
)
@name_argument()
@model_option(required=True, meaning="The model of the request.")
@click.option("--status", metavar="N", type=_Whole(100, 599, _STATUS), help="The HTTP status, 100 to 599.")
@click.option("--retry-after", metavar="V", type=_RetryAfter(), help="The Retry-After header: seconds or an HTTP date.")
@click.option("--header", "headers", metavar="'K: V'", multiple=True, help="A header; any number of times.")
@click.option("--body", metavar="FILE", type=Words(), help="A file with the body, - for stdin.")
@click.option("--response", metavar="FILE", type=Words(), help="A file with what `curl -i` prints, - for stdin.")
@click.option("--tokens", metavar="N", type=_Whole(0, 10**18, _TOKENS), help="Tokens used; else what the body says.")
@json_option()
@click.option("--record", metavar="FILE", type=Words(), help="Append it to this log, without secrets, for `replay`.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Learn from the response that account NAME got to a request of MODEL.

    Statuses, headers and bodies are understood per provider; a --status or a --header goes over what --response says.
    A response that says nothing about the account, such as a 400, a redirect or a bare 1xx, teaches nothing.
    """
    status, headers, body = _response(given)
    name, model = given["name"], given["model"]
    from rotator.cli.opening import Opened

    opened = Opened(path_of(ctx.obj), given["record"])
    with opened as rotator:
        account = account_of(rotator.pool, name)
        learned = rotator.observe(name, model, status=status, headers=headers, body=body, tokens=given["tokens"])
        after = rotator.explain(model)
    reading = read(account.provider, status=status, headers=headers, body=body, model=model, now=after.decided_at)
    candidate = next((each for each in after.candidates if each.account == name), None)
    if candidate is None:
        message = f"{name} was taken out of the file meanwhile"
        raise UnknownAccount(message)
    if given["as_json"]:
        kinds = [type(signal).__name__ for signal in learned]
        say_json(_told(reading, kinds, candidate, after, durable=opened.durable))
    else:
        say(printable(f"{name} {model}: {reading.kind}{_follows(candidate, after, learned=bool(learned))}"))
    return IO if opened.failed else OK


def _response(given: dict[str, Any]) -> tuple[int, dict[str, str], bytes | None]:
    """Status, headers and body of the response that the options describe."""
    if given["response"] == "-" == given["body"]:
        message = "--response and --body cannot both read stdin"
        raise click.UsageError(message)
    status, headers, body = given["status"], {}, None
    if given["response"] is not None:
        found = response_of(_bytes_of(given["response"]))
        if found is None:
            message = "--response takes what `curl -i` prints, which begins with a line such as HTTP/2 429"
            raise click.UsageError(message)
        status, headers, body = status or found.status, found.headers, found.body
    if given["body"] is not None:
        body = _bytes_of(given["body"])
    if status is None:
        message = "--status is needed, or --response with a response that has one"
        raise click.UsageError(message)
    for line in given["headers"]:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            message = "--header takes 'Name: value'"
            raise click.UsageError(message)
        headers[name.strip().lower()] = value.strip()
    if given["retry_after"] is not None:
        headers["retry-after"] = given["retry_after"]
    return status, headers, body


def _bytes_of(path: str) -> bytes:
    """The start of a file, or of stdin for ``-``; a usage error when it is not there."""
    stdin = path == "-"
    try:
        with open(0 if stdin else path, "rb", closefd=not stdin) as file:
            return file.read(_MOST_BYTES)
    except (FileNotFoundError, IsADirectoryError) as error:
        message = f"{path}: {error.strerror}"
        raise click.UsageError(message) from None


def _follows(candidate: Candidate, after: Selected | Parked | Unavailable, *, learned: bool) -> str:
    """What the news means for the account, and who is next; what was so before stands apart from it."""
    if candidate.blocked_by is None:
        state = f"ready ({candidate.last_known_model_state_summary})"
    else:
        account = after.pool.account(candidate.account)
        ready_at = float("inf") if candidate.ready_at is None else candidate.ready_at.timestamp()
        state = blocked(account, candidate.blocked_by, ready_at, after.decided).removeprefix(f"{account.name} ")
    if not learned:
        before = f" (it still {state})" if candidate.blocked_by else ""
        state = f"nothing learned about the account{before}"
    if isinstance(after, Selected):
        choice = after.account
    elif isinstance(after, Parked):
        choice = f"nobody until {local(after.wake_at)}"
    else:
        choice = "nobody until a person helps"
    return f", {state}, next choice: {choice}"


def _told(
    reading: Reading, signals: list[str], candidate: Candidate, after: Selected | Parked | Unavailable, *, durable: bool
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "account": candidate.account,
        "model": after.model,
        "kind": reading.kind,
        "scope": reading.scope,
        "reason": reading.reason,
        "retry_after_secs": reading.retry_after_secs,
        "windows": [
            {
                "name": window.name,
                "remaining_fraction": window.remaining_fraction,
                "reset_time": _instant(window.reset_time),
            }
            for window in reading.windows
        ],
        "signals": signals,
        "blocked_by": candidate.blocked_by,
        "ready_at": _instant(candidate.ready_at),
        "next_ready_at": _instant(candidate.next_ready_at),
        "next_choice": after.account,
        "wake_at": _instant(after.wake_at),
        "durable": durable,
    }


def _instant(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value.timestamp())
