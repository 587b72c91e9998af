"""The bytes of a response body as JSON values, and the error and the usage that are in them.

Refuses: raising for any bytes; reading a body longer than 2 million characters in full; knowing a provider's words.
"""

from __future__ import annotations

import json
import re

from rotator.core.providers.mending import mended
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_BODY = 2_000_000
"""Characters that are read of a body: half from its start, half from its end, where a stream ends in its usage."""

LONGEST_MESSAGE = 4_000
"""Characters kept of an error message: the sentences that mean something stand at its start."""

DEEPEST_WRAPPING = 3
"""Errors are met inside the message of an error (google-12 is two deep); deeper than this nobody looks."""

_SALVAGE = {
    name: re.compile(rf'"{name}"\s*:\s*"?((?:[^"\\,}}]|\\.)*)', re.DOTALL)
    for name in ("type", "code", "status", "reason")
}
_ERROR_BEGINS = re.compile(r'^[\[ \t]*\{[ \t]*"(?:error"\s*:\s*[{"]|type"\s*:\s*"error")', re.MULTILINE)
_SALVAGED_MESSAGE = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)
_SALVAGED_OAUTH = re.compile(r'\A\s*\{\s*"error"\s*:\s*"(\w+)"')


class Body(Value):
    """A decoded body: the JSON values in it, in order, and the text that could not be decoded.

    ``failed``: an error event of a stream is among that text. ``mended``: the values are what is whole of that text.
    """

    documents: tuple[object, ...] = ()
    text: str = ""
    failed: bool = False
    mended: bool = False


class ErrorBody(Value):
    """The error that a body tells, whatever its envelope; a field that it lacks is empty.

    ``message`` has its white space collapsed and its apostrophes straightened. ``enveloped``: the error stood inside an
    outer object with ``"type": "error"``, which is Anthropic's inference form.
    """

    type: str = ""
    code: str = ""
    status: str = ""
    message: str = ""
    details: tuple[dict[str, object], ...] = ()
    enveloped: bool = False


def decode(body: object) -> Body:
    """Bytes, text (JSON, a JSON array, a JSON string, server-sent events) or a decoded value; never raises."""
    if body is None:
        return Body()
    if isinstance(body, bytes | bytearray | memoryview):
        raw = bytes(body)
        if len(raw) > LONGEST_BODY:
            raw = raw[: LONGEST_BODY // 2] + b"\n" + raw[-LONGEST_BODY // 2 :]
        return _decode_text(raw.decode("utf-8-sig", "replace"))
    if isinstance(body, str):
        return _decode_text(body)
    return Body(tuple(body) if isinstance(body, list | tuple) else (body,))


def error_of(body: Body, *, refused: bool) -> ErrorBody | None:
    """The first error in a body. None only when the status was no refusal and the body holds none either.

    ``refused`` (status 400 and up) lets flat bodies, plain text and truncated JSON count as the error.
    """
    # a success may well be words with a value among them
    trusted = refused or not body.mended or body.text.startswith(("{", "["))
    for document in body.documents if trusted else ():
        found = _error(document, refused=refused, depth=0)
        if found is not None:
            return _completed(found, _salvaged(body.text)) if body.mended else found
    if body.failed or (body.text and (refused or _ERROR_BEGINS.search(body.text))):
        return _salvaged(body.text)
    return ErrorBody() if refused else None


def tokens_of(body: Body) -> int | None:
    """Tokens that the request used, as the body's usage says; None without one.

    A total is taken as given (OpenAI's ``total_tokens``, Google's ``totalTokenCount``). Anthropic gives none: it is
    input, cache writes and output; cache reads are left out because they do not count against its limits.
    """
    most: dict[str, int] = {}
    for usage in _usages(body):
        for key, value in usage.items():
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
                most[key] = max(value, most.get(key, 0))
    for total in ("total_tokens", "totalTokenCount"):
        if total in most:
            return most[total]
    parts = (
        ("input_tokens", "cache_creation_input_tokens", "output_tokens"),
        ("prompt_tokens", "completion_tokens"),
        ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
    )
    for keys in parts:
        if any(key in most for key in keys):
            return sum(most.get(key, 0) for key in keys)
    return None


def word(value: object) -> str:
    """A text or whole number as text, else empty."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else ""


def sentence(value: object) -> str:
    """A message with its white space collapsed and its apostrophes straightened, cut at 4000 characters."""
    return " ".join(value[:LONGEST_MESSAGE].replace("\u2019", "'").split()) if isinstance(value, str) else ""


def _decode_text(text: str) -> Body:
    if len(text) > LONGEST_BODY:
        text = text[: LONGEST_BODY // 2] + "\n" + text[-LONGEST_BODY // 2 :]
    text = text.removeprefix("\ufeff")
    for _ in range(DEEPEST_WRAPPING):
        decoded, known = _json(text)
        if not known:
            break
        if not isinstance(decoded, str):
            return Body(tuple(decoded) if isinstance(decoded, list) else (decoded,))
        text = decoded
    if text.startswith(("data:", "event:")) or "\ndata:" in text:
        return _decode_events(text)
    text = text.strip()
    lines = _lines(text)
    if lines is not None:
        return lines
    whole = mended(text)
    found = tuple(whole) if isinstance(whole, list) else () if whole is None else (whole,)
    return Body(found, text, mended=True)


def _lines(text: str) -> Body | None:
    """JSON Lines, as Codex keeps its sessions; None when the first line is no JSON object."""
    first, *more = text.split("\n")
    if not more or not isinstance(_json(first)[0], dict):
        return None
    decoded = [(line, *_json(line)) for line in (first, *more) if line.strip()]
    rest = "\n".join(line for line, _, known in decoded if not known)
    return Body(tuple(value for _, value, known in decoded if known), rest)


def _json(text: str) -> tuple[object, bool]:
    try:
        # strict=False: raw newlines inside strings occur (google-12)
        return json.loads(text, strict=False), True
    except (ValueError, RecursionError):
        return None, False


def _decode_events(text: str) -> Body:
    """Server-sent events (WHATWG HTML 9.2): each event's data is one JSON value; what is not JSON stays text."""
    documents: list[object] = []
    rest: list[str] = []
    data: list[str] = []
    name, failed = "", False
    # not splitlines(): it also splits at U+2028, which JSON allows inside a string
    for line in [*text.replace("\r\n", "\n").split("\n"), ""]:
        if line:
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                data.append(value.strip())
            continue
        decoded, known = _json("\n".join(data)) if data else (None, False)
        if known:
            found = decoded if isinstance(decoded, list) else [decoded]
            documents.extend(_as_error(item) if name == "error" else item for item in found)
        else:
            rest.extend(data)
            failed = failed or name == "error"
        name, data = "", []
    return Body(tuple(documents), "\n".join(rest), failed)


def _as_error(data: object) -> object:
    if isinstance(data, dict) and data.get("error"):
        return data
    return {"type": "error", "error": data if isinstance(data, dict) and data else {"message": word(data)}}


def _error(document: object, *, refused: bool, depth: int) -> ErrorBody | None:
    if not isinstance(document, dict):
        return None
    inner = document.get("error")
    enveloped = document.get("type") == "error"
    if isinstance(inner, str) and inner:
        # RFC 6749 5.2, the form of token endpoints
        described = document.get("error_description") or document.get("message")
        return ErrorBody(code=inner.strip(), message=sentence(described or inner))
    if isinstance(inner, dict) and inner:
        return _fields(inner, enveloped=enveloped, depth=depth)
    if not refused:
        # the error event of OpenAI's Responses API has its fields beside the type
        return _fields(document, enveloped=False, depth=depth) if enveloped and document.get("message") else None
    detail = document.get("detail")
    flat = detail if isinstance(detail, dict) else document
    found = _fields(flat, enveloped=enveloped, depth=depth)
    return found if found.message else found.replace(message=sentence(detail))


def _fields(error: dict[str, object], *, enveloped: bool, depth: int) -> ErrorBody:
    details, message = error.get("details"), error.get("message")
    if isinstance(message, dict):
        message = message.get("detail") or message.get("message")
    found = ErrorBody(
        word(error.get("type")),
        word(error.get("code")),
        word(error.get("status")),
        sentence(message),
        tuple(d for d in details if isinstance(d, dict)) if isinstance(details, list) else (),
        enveloped,
    )
    if depth >= DEEPEST_WRAPPING or not isinstance(message, str) or not message.lstrip().startswith(("{", "[")):
        return found
    wrapped, _ = _json(message)
    first = wrapped[0] if isinstance(wrapped, list) and wrapped else wrapped
    within = _error(first, refused=False, depth=depth + 1)
    if within is None:
        return found
    return ErrorBody(
        within.type or found.type,
        within.code or found.code,
        within.status or found.status,
        within.message,
        within.details or found.details,
        within.enveloped or enveloped,
    )


def _completed(found: ErrorBody, salvaged: ErrorBody) -> ErrorBody:
    """What is whole of an error, and for what it lacks the part that was cut."""
    return ErrorBody(
        found.type or salvaged.type,
        found.code or salvaged.code,
        found.status or salvaged.status,
        found.message or salvaged.message,
        found.details + salvaged.details,
        found.enveloped or salvaged.enveloped,
    )


def _salvaged(text: str) -> ErrorBody:
    """What can still be told of JSON that was cut off, or of plain text."""
    text = text[:LONGEST_MESSAGE]
    oauth = _SALVAGED_OAUTH.match(text)
    if oauth:
        return ErrorBody(code=oauth[1])
    if '":' not in text:
        return ErrorBody(message=sentence(text))
    found = {name: [word(value) for value in pattern.findall(text)] for name, pattern in _SALVAGE.items()}
    types = [value for value in found["type"] if value != "error"]
    message = _SALVAGED_MESSAGE.search(text)
    return ErrorBody(
        types[0] if types else "",
        found["code"][0] if found["code"] else "",
        found["status"][0] if found["status"] else "",
        sentence(_unescaped(message[1])) if message else "",
        tuple({"reason": reason} for reason in found["reason"]),
        "error" in found["type"],
    )


def _unescaped(text: str) -> str:
    decoded, known = _json(f'"{text}"')
    return decoded if known and isinstance(decoded, str) else text


def _usages(body: Body) -> Iterator[Mapping[str, object]]:
    for document in body.documents:
        if not isinstance(document, dict):
            continue
        for holder in (document, document.get("message"), document.get("response")):
            if isinstance(holder, dict):
                for name in ("usage", "usageMetadata"):
                    usage = holder.get(name)
                    if isinstance(usage, dict):
                        yield usage
