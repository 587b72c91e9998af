"""Models: which one a request asks for, from the path of the known APIs or its JSON body.

Refuses: any other part of the body. A long body is not decoded while the model can be told from either of its ends.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

_SMALL = 2_048
"""Bytes of a body that is decoded whole, in some microseconds; and how much of either end of a longer one is looked at."""
_NAME = b'"model"'
_KEY = re.compile(rb'"model"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")')
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]')
_PATH = re.compile(rb"/(?:(?:models|tunedModels)/([^/:?]+):[a-zA-Z]|deployments/([^/?]+)/)")
"""Gemini and Vertex (``/models/NAME:generateContent``), Azure (``/deployments/NAME/chat/completions``)."""


def model_of(content: bytes | None, path: bytes) -> str | None:
    """The model, from the path, else from the body (JSON with a ``model`` at its top); None where neither names one.

    Google's REST form ``models/NAME`` is NAME.
    """
    match = _PATH.search(path)
    if match is not None:
        name = unquote((match[1] or match[2]).decode("ascii", "replace"))
        if name:
            return name
    found = _in_body(content) if content else None
    return found.removeprefix("models/") or None if found else None


def _in_body(content: bytes) -> str | None:
    if content[:1] != b"{" and not content[:64].lstrip().startswith(b"{"):
        return None
    if len(content) > _SMALL:
        found = _at_end(content) or _at_start(content)
        if found is not None:
            return _text(found)
    try:
        model = json.loads(content).get("model")
    except (ValueError, RecursionError, AttributeError):
        return None
    return model if isinstance(model, str) else None


def _at_end(content: bytes) -> bytes | None:
    """The last ``model`` near the end, when all that follows closes the one object that it stands in."""
    tail = content[-_SMALL:]
    begin = tail.rfind(_NAME)
    found = _KEY.match(tail, begin) if begin > 0 and tail[begin - 1] != _BACKSLASH else None
    if found is None:
        return None
    depth = 1
    for token in _TOKEN.finditer(tail, found.end()):
        depth += _STEP.get(token[0], 0)
    return found[1] if depth == 0 else None


def _at_start(content: bytes) -> bytes | None:
    """The first ``model`` near the start that stands in the outermost object."""
    head = content[:_SMALL]
    depth = 0
    for token in _TOKEN.finditer(head):
        if depth == 1 and token[0] == _NAME:
            found = _KEY.match(head, token.start())
            if found is not None:
                return found[1]
        depth += _STEP.get(token[0], 0)
    return None


_BACKSLASH = 0x5C
_STEP = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


def _text(literal: bytes) -> str | None:
    try:
        value = json.loads(literal)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
