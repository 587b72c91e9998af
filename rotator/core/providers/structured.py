"""``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC 9651.

Refuses: the older split fields; raising for a field that does not parse, which then tells nothing. Forms that the draft's
own text and draft -07 have are tolerated: a token for a name, a missing ``r``, a dictionary, a policy without a name.
"""

from __future__ import annotations

from decimal import Decimal

import http_sf

from rotator.core.providers import counted, times
from rotator.core.providers.reading import WindowReading, keep_tightest
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rotator.core.providers.response import Response


class _Member(Value):
    """One member of a list: its name and its parameters that are numbers, and the unit ``qu``."""

    name: str
    numbers: dict[str, float]
    unit: str


def windows(response: Response, model: str | None) -> tuple[WindowReading, ...]:
    """A window per policy or state, joined by name; ``t`` is a delay in seconds.

    Of two states of one name (partition keys differ) the one with less left counts. A limit of concurrent requests is
    informative: it is no window of time, and the next answer ends it.
    """
    policies = {member.name: member for member in _members(response, "ratelimit-policy")}
    states: dict[str, list[_Member]] = {name: [] for name in policies}
    for member in _members(response, "ratelimit"):
        states.setdefault(member.name, []).append(member)
    found: dict[str, WindowReading] = {}
    for name, members in states.items():
        empty = _Member(name, {}, "")
        policy = policies.get(name, empty)
        for state in members or [empty]:
            keep_tightest(found, _window(response, policy, state, model))
    return tuple(found.values())


def _window(response: Response, policy: _Member, state: _Member, model: str | None) -> WindowReading:
    left = counted.share(state.numbers.get("r"), policy.numbers.get("q", state.numbers.get("q")))
    reset = times.after(response.now, state.numbers.get("t"))
    length = policy.numbers.get("w")
    concurrent = "concurrent-requests" in (policy.unit, state.unit)
    return WindowReading(
        policy.name, left, reset, length if length and length > 0 else None, model, informative=concurrent
    )


def _members(response: Response, header: str) -> Iterator[_Member]:
    raw = response.headers.get(header, "").encode("utf-8", "replace")
    try:
        parsed = http_sf.parse(raw, tltype="list")
    except Exception:  # noqa: BLE001  its grammar errors are ValueErrors, but a parser of foreign text may have others
        yield from _draft_07(raw)
        return
    for item in parsed if isinstance(parsed, list) else ():
        value, parameters = item if isinstance(item, tuple) else (item, {})
        if isinstance(value, bool) or not isinstance(parameters, dict):
            continue
        if isinstance(value, int):
            yield _Member(counted.DEFAULT, {"q": float(value)} | _numbers(parameters), "")
        elif isinstance(value, str | http_sf.Token) and str(value):
            yield _Member(str(value), _numbers(parameters), str(parameters.get("qu", "")))


def _draft_07(raw: bytes) -> Iterator[_Member]:
    """``RateLimit: limit=100, remaining=50, reset=30``."""
    try:
        parsed = http_sf.parse(raw, tltype="dictionary")
    except Exception:  # noqa: BLE001  see _members
        return
    if not isinstance(parsed, dict):
        return
    plain = _numbers({key: item[0] if isinstance(item, tuple) else item for key, item in parsed.items()})
    names = {"limit": "q", "remaining": "r", "reset": "t"}
    told = {short: plain[key] for key, short in names.items() if key in plain}
    if told:
        yield _Member(counted.DEFAULT, told, "")


def _numbers(parameters: Mapping[str, object]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in parameters.items()
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    }
