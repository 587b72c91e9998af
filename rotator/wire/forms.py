"""Forms: multipart bodies (RFC 7578): which model they name, and whether they can be sent twice.

Refuses: reading files, and more of a body than its two ends, where programs put the fields that are no file.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_EITHER_END = 65_536
"""Bytes. Our choice: fields are short, and stand before or after the one file."""
_LONGEST_FIELD = 256
_BOUNDARY = re.compile(r'multipart/form-data\s*;.*?boundary="?([^";,\s]{1,70})', re.IGNORECASE)
_IS_MODEL = re.compile(rb'content-disposition:\s*form-data\s*;\s*name="?model"?\s*(?:\r\n|$)', re.IGNORECASE)


def is_replayable(stream: Any) -> bool:
    """Whether a stream of httpx or httpx2 is a form all of whose parts can be read from their beginning again."""
    fields = getattr(stream, "fields", None)
    return isinstance(fields, list) and all(_can_begin_again(field) for field in fields)


def model_of_form(stream: Any, content: bytes | None, content_type: str) -> str | None:
    """The field ``model`` of a form: of a stream of httpx or httpx2, or of a whole body; None where there is none."""
    if content is not None:
        return _in_body(content, content_type)
    for field in getattr(stream, "fields", None) or ():
        value = getattr(field, "value", None)
        if getattr(field, "name", None) == "model" and isinstance(value, str | bytes):
            return _text(value if isinstance(value, bytes) else value.encode())
    return None


def _can_begin_again(field: Any) -> bool:
    if hasattr(field, "value"):
        return True
    file = getattr(field, "file", None)
    if isinstance(file, str | bytes):
        return True
    seekable = getattr(file, "seekable", None)
    return seekable is not None and bool(seekable())


def _in_body(content: bytes, content_type: str) -> str | None:
    found = _BOUNDARY.match(content_type)
    if found is None:
        return None
    limit = b"--" + re.escape(found[1].encode("latin-1", "replace"))
    part = re.compile(limit + rb"\r\n((?:[^\r\n]+\r\n)+)\r\n([^\r\n]+)\r\n(?=" + limit + rb")")
    for text in (content[:_EITHER_END], content[_EITHER_END:][-_EITHER_END:]):
        for match in part.finditer(text):
            if _IS_MODEL.search(match[1]):
                return _text(match[2])
    return None


def _text(value: bytes) -> str | None:
    if len(value) > _LONGEST_FIELD:
        return None
    return value.decode("utf-8", "replace").strip() or None
