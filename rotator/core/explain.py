"""Explain: what is known and what was decided, in words a person reads in one glance.

Refuses: deciding anything, local time (that is the terminal's business). Instants are shown in UTC with a ``Z``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from rotator.core.scorer import remaining
from rotator.core.state import NEVER, UPSTREAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.scorer import Tier
    from rotator.core.state import Account, Window

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_INSTANT = 0.001
_BLOCKS = {
    "disabled": "is disabled",
    "banned": "is banned",
    "restricted": "is restricted",
    "auth_failed": "needs a new login",
    "model_not_served": "does not serve this model",
    "held": "is on hold",
    "cooldown": "cools down",
    "upstream": "is throttled by its provider (upstream)",
    "quota": "has no quota",
    "unavailable": "failed its probe",
}
_RELEASE = "`rotator release NAME`"
_REMEDIES = {
    "disabled": 'set "enabled" to true',
    "banned": "settle it with the provider, then `rotator release NAME`",
    "restricted": "settle it with the provider, then `rotator release NAME`",
    "auth_failed": "put a fresh credential into the file",
    "model_not_served": 'add the model to its "models"',
    "held": _RELEASE,
}


def duration(seconds: float) -> str:
    """A length of time in its two largest units, rounded up so that nobody comes too early.

    >>> duration(0.2), duration(59.2), duration(2400), duration(15120), duration(540000)
    ('1 s', '1 min', '40 min', '4 h 12 min', '6 d 6 h')
    """
    whole = int(-(-max(seconds, 0.0) // 1))
    if whole < _MINUTE:
        return f"{whole} s"
    minutes = -(-whole // _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min"
    if minutes < _DAY // _MINUTE:
        hours, minutes = divmod(minutes, _MINUTE)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(-(-minutes // _MINUTE), _DAY // _HOUR)
    return f"{days} d {hours} h" if hours else f"{days} d"


def clock(seconds: float, now: float) -> str:
    """An instant as UTC time of day, with its date when that is not within a day of now, and its year when it is another.

    >>> clock(1795171200.0, 1795168800.0), clock(1795600000.0, 1795168800.0), clock(1830000000.0, 1795168800.0)
    ('10:40Z', 'Nov 25 09:46Z', '2027-12-28 13:20Z')
    """
    instant = datetime.fromtimestamp(seconds, UTC)
    if abs(seconds - now) < _DAY:
        return instant.strftime("%H:%MZ")
    same_year = instant.year == datetime.fromtimestamp(now, UTC).year
    return instant.strftime("%b %d %H:%MZ" if same_year else "%Y-%m-%d %H:%MZ")


def percent(fraction: float) -> str:
    """A fraction as whole per cent; what is not quite nothing is not called 0 %."""
    return f"{max(round(fraction * 100), 1) if fraction > 0 else 0} %"


def binding(account: Account, model: str, now: float) -> tuple[float | None, Window | None]:
    """What is left, 0..1, and the window that says so, the one that resets last when several do; None when unknown."""
    left = remaining(account, model, now)
    windows = account.runtime.windows + account.state(model).windows
    tightest = [w for w in windows if w.left() == left and (w.reset_time is None or w.reset_time > now)]
    return left, max(tightest, key=lambda w: w.reset_time or 0.0, default=None)


def summary(account: Account, model: str, now: float) -> str:
    """What is known of an account for a model, in one line: ``63 % left, resets 10:40Z, last success 2 min ago``."""
    state, runtime = account.state(model), account.runtime
    left, window = binding(account, model, now)
    reset = None if window is None else window.reset_time
    parts = [runtime.blocked_reason] if runtime.blocked_reason else []
    parts += [
        f"cools down until {clock(cooldowns[0].until, now)} ({cooldowns[0].source})"
        for cooldowns in (runtime.cooldowns, state.cooldowns)
        if cooldowns and cooldowns[0].until > now
    ]
    if left is not None:
        parts.append(f"{percent(left)} left")
    if reset is not None:
        parts.append(f"resets {clock(reset, now)}")
    if state.consecutive_429:
        parts.append(f"429 × {state.consecutive_429}")  # noqa: RUF001  for people
    if state.last_success_at:
        parts.append(f"last success {duration(now - state.last_success_at)} ago")
    return ", ".join(parts) or "nothing known yet"


def chosen(account: Account, model: str, now: float) -> str:
    """Why an account can serve: ``b@example.com: 63 % left, resets in 40 min``."""
    left, window = binding(account, model, now)
    reset = None if window is None else window.reset_time
    if left is None:
        return f"{account.name}: {'ready' if account.state(model).last_success_at else 'nothing known yet'}"
    until = f", resets in {duration(reset - now)}" if reset is not None else ""
    return f"{account.name}: {percent(left)} left{until}"


def parked(model: str, wait_secs: float, *, for_itself: bool) -> str:
    """Why nobody was chosen, and for how long: nobody is ready, or a conversation does better to wait ``for_itself``."""
    if for_itself:
        told = "admission: quota is short, and this conversation would begin anew elsewhere; it looks again in"
        return f"{told} {duration(wait_secs)}"
    return f"nobody is ready for {model}, the first will be in {duration(wait_secs)}"


def blocked(account: Account, word: str, ready_at: float, now: float) -> str:
    """Why an account cannot serve, and for how long: ``a@example.com cools down for 4 h 12 min``."""
    if word == "cooldown" and _is_shared(account, ready_at):
        word = "upstream"
    reason = f" ({account.runtime.blocked_reason})" if account.runtime.blocked_reason else ""
    until = "" if ready_at == NEVER else f" for {duration(ready_at - now)}"
    return f"{account.name} {_BLOCKS[word]}{reason if ready_at == NEVER else ''}{until}"


def _is_shared(account: Account, ready_at: float) -> bool:
    """Whether what ends then is a back-off that all accounts of its provider share."""
    listed = [account.runtime.cooldowns, *[state.cooldowns for state in account.runtime.models.values()]]
    return any(c.source == UPSTREAM and abs(c.until - ready_at) < _INSTANT for each in listed for c in each[:1])


def behind(account: Account, model: str, now: float, tier: Tier, best_tier: Tier) -> str:
    """Why one that could serve stands behind the chosen one's tier: ``home@example.com is below its reserve (4 % left)``.

    Empty when it does not: then its score decided.
    """
    if tier <= best_tier:
        return ""
    if tier[0] > best_tier[0]:
        return f"{account.name} is kept for emergencies"
    if tier[1] > best_tier[1]:
        return f"{account.name} has priority {tier[1]}"
    left = remaining(account, model, now)
    return f"{account.name} is below its reserve" + ("" if left is None else f" ({percent(left)} left)")


def cure(word: str) -> str:
    """What a person can do about one reason; what time would end, a release ends at once."""
    return _REMEDIES.get(word, _RELEASE)


def remedy(words: list[str]) -> str:
    """What a person can do about accounts that are out for those reasons."""
    unique = [word for word in _REMEDIES if word in words]
    return "; ".join(f"{word}: {_REMEDIES[word]}" for word in unique)
