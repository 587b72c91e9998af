"""The seal of a runtime: eight hex digits that are wrong as soon as somebody else than rotator changed it.

Refuses: to prove anything against who wants to deceive; it tells a hand edit from another process's write. Letters and
layout do not count, so an editor that formats the file anew leaves it right.
"""

from __future__ import annotations

import json
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INFINITE = float("inf")
_BEYOND = 10**400


def seal_of(runtime: dict[str, Any]) -> str:
    """CRC-32 of the canonical JSON (sorted, no white space, ASCII) of a runtime without its ``seal``."""
    bare = {key: value for key, value in runtime.items() if key != "seal"}
    try:
        text = _canonical(bare)
    except ValueError:
        text = _canonical(within_json(bare))
    return f"{crc32(text.encode()):08x}"


def is_sealed(runtime: Any) -> bool:
    """Whether a decoded runtime bears the seal of its content. Raises nothing."""
    return type(runtime) is dict and "seal" in runtime and runtime["seal"] == seal_of(runtime)


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def within_json(value: Any) -> Any:
    """The value with 1e400, which reads as infinity and which JSON can say only in digits, as a whole number."""
    if type(value) is float and value in (_INFINITE, -_INFINITE):
        return _BEYOND if value > 0 else -_BEYOND
    if type(value) is dict:
        return {key: within_json(part) for key, part in value.items()}
    return [within_json(part) for part in value] if type(value) is list else value
