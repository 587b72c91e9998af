"""What ``curl -i`` prints, taken apart: the status, headers and body of the response that counts.

Refuses: HTTP beyond that; curl has undone chunks and compression already.
"""

from __future__ import annotations

import re

_STATUS = re.compile(rb"HTTP/[0-9](?:\.[0-9])? +([1-5][0-9]{2})(?: [^\n]*)?\r?(?:\n|$)")


class Response:
    """A response: ``status``, ``headers`` with lower-case names (repeated ones joined by a comma), ``body`` or None."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes | None) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def response_of(raw: bytes) -> Response | None:
    """The last response in the text, or None when it does not begin with a status line.

    Heads that stand in front of another (100-continue, a proxy's CONNECT, redirects, a login) have no body in curl's
    output, so a head is followed by the next one or by the body that counts.
    """
    raw = raw.lstrip(b"\r\n")
    found = None
    while match := _STATUS.match(raw):
        head, raw = _split(raw[match.end() :])
        found = int(match[1]), _headers(head)
    return None if found is None else Response(*found, raw or None)


def _split(raw: bytes) -> tuple[list[bytes], bytes]:
    """The lines up to the first empty one, and what stands behind it."""
    lines: list[bytes] = []
    while raw:
        line, _, raw = raw.partition(b"\n")
        line = line.removesuffix(b"\r")
        if not line:
            break
        lines.append(line)
    return lines, raw


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        text = line.decode("latin-1")
        if text[0] in " \t":
            if name:  # folded, as old servers do: the value goes on
                headers[name] = f"{headers[name]} {text.strip()}".strip()
            continue
        name, colon, value = text.partition(":")
        name = name.strip().lower() if colon else ""
        if name:
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return headers
