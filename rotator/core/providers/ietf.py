"""What a provider means that follows the IETF: RateLimit fields and the problem types that go with them (RFC 9457).

Refuses: a provider's own words; taking a reset for a delay while something is left. Source:
draft-ietf-httpapi-ratelimit-headers-10 and its versions -03 to -07.
"""

from __future__ import annotations

from rotator.core.providers import counted, generic, standard, times
from rotator.core.providers.bodies import word
from rotator.core.providers.reading import WindowReading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.reading import Kind, Reading, Scope
    from rotator.core.providers.response import Response

_PROBLEMS: dict[str, tuple[Kind, Scope]] = {
    "quota-exceeded": ("quota_exhausted", "account"),
    "temporary-reduced-capacity": ("overloaded", "upstream"),
    "abnormal-usage-detected": ("rate_limited", "account"),
}
"""Fragment of the problem's type -> kind and scope, whatever the status."""


def read(response: Response) -> Reading:
    """The reading of one response; its windows are the account's."""
    token_error = generic.oauth(response)
    if token_error:
        return token_error
    problem, windows = _problem(response), standard.windows(response, None)
    if problem == "quota-exceeded":
        windows = counted.joined(windows, _violated(response))
    kind, scope = generic.by_status(generic.error_status(response, response.error, {}))
    if kind == "ok":
        return generic.reading(response, kind, "account" if windows else scope, windows=windows)
    delay = generic.stated_delay(response)
    reason = problem or ("" if kind == "restricted" else generic.machine_word(response.error))
    if problem:
        kind, scope = _PROBLEMS[problem]
    elif kind == "rate_limited":
        scope = "account"
    if kind in ("rate_limited", "quota_exhausted"):
        delay = delay or counted.reset_delay(windows, response.now)
        kind = _by_length(response, kind, windows)
    return generic.reading(response, kind, scope, reason=reason, delay=delay, windows=windows)


def _problem(response: Response) -> str:
    error = response.error
    fragment = error.type.rpartition("#")[2] if error else ""
    return fragment if fragment in _PROBLEMS else ""


def _violated(response: Response) -> tuple[WindowReading, ...]:
    """The policies that the problem calls violated: nothing is left of them."""
    found: dict[str, WindowReading] = {}
    for document in response.body.documents:
        names = document.get("violated-policies") if isinstance(document, dict) else None
        for name in map(word, names) if isinstance(names, list) else ():
            if name:
                found[name] = WindowReading(name, 0.0)
    return tuple(found.values())


def _by_length(response: Response, kind: Kind, windows: tuple[WindowReading, ...]) -> Kind:
    """A spent window of an hour or more is a quota, a shorter one a throttle; of unknown length it stays as it is."""
    spent = [w for w in windows if w.remaining_fraction == 0 and not w.informative]
    lengths = [w.length_secs or times.until(response.now, w.reset_time) for w in spent]
    known = [length for length in lengths if length]
    if not known:
        return kind
    return "quota_exhausted" if max(known) >= counted.LONG_SECS else "rate_limited"
