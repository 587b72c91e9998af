"""Mending: what is still whole of a JSON text that was cut off, stands among other words or has a comma too many.

Refuses: filling in a value; keeping one that may have been cut, since half a number is another number.
"""

from __future__ import annotations

import json
import re

LONGEST_MENDED = 200_000
"""Characters that are looked through; an error is a few thousand."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\],]', re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}


def mended(text: str) -> object:
    """The first JSON object or array in the text, as far as it is whole; None when there is none.

    >>> mended('429 Too Many Requests: {"error": {"code": 429, "details": [{"retryDelay": "9s",}, {"reason": "QUO')
    {'error': {'code': 429, 'details': [{'retryDelay': '9s'}]}}
    """
    text = text[:LONGEST_MENDED]
    starts = {start for start in (text.find("{"), text.find("[")) if start >= 0}
    for start in sorted(starts):
        try:
            return json.loads(_whole(text, start), strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _whole(text: str, start: int) -> str:
    """From ``start`` to its closing bracket, without commas before a bracket; else to the last whole member, closed."""
    kept: list[str] = []
    closers: list[str] = []
    taken, depth = start, 0
    for found in _TOKEN.finditer(text, start):
        mark, at = found[0], found.start()
        if mark in _CLOSERS:
            closers.append(_CLOSERS[mark])
        elif mark in ",}]":
            if mark != "," and closers[-1] != mark:
                break
            member = text[taken:at]
            if mark == ",":
                kept.append(member)
                taken = at
            else:
                kept.append((member if member.strip(", \t\r\n") else "") + mark)
                taken = at + 1
                closers.pop()
            depth = len(closers)
            if not closers:
                break
    return "".join(kept) + "".join(reversed(closers[:depth]))
