"""Scorer: what one account is worth for one model at one instant, as a plain sum of named, bounded terms.

Refuses: other accounts, hysteresis, changing anything. Every formula stands here and only here; every weight is in
``policy``. The main term is a pace price: the share of a window's time that is left, against the share of its quota.
"""

from __future__ import annotations

from rotator.core.state import NEVER, UPSTREAM
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.outlook import Outlook
    from rotator.core.policy import Policy
    from rotator.core.state import Account, ModelState, Window

Tier = tuple[bool, int, bool]
"""(emergency, priority, below reserve): lower is preferred, whatever the score."""

TERMS = (
    "ready_now",
    "remaining",
    "wait",
    "consecutive_429",
    "staleness",
    "recent_success",
    "in_flight",
    "flex",
    "open",
)
"""The terms in the order in which they are summed; those after the sixth are shown only where they are not zero."""
_ALWAYS_SHOWN = 6
_MOST_FAILURES = 4
_SHORT = 3600.0
"""Windows of at most an hour are buckets: they refill by themselves, so only how empty they are matters."""
_MOST_OF_A_BUCKET = 0.5
"""Share of such a window that is waited for at most before a request is sent: how much it holds is only learned."""
_NEVER_WAITING = ("fixed", "rolling")
"""Kinds of windows that do not wait for a request to begin."""
_UNKNOWN_PHASE = 0.5
"""Time fraction taken for a running window whose reset is not known."""
_AFTER_RESET = 0.5
"""Confidence that is left of a reading when its window has been reset since."""

_AFTER_FAILED_POLL = 0.5
"""Confidence that is left after each poll that gave no answer."""


class Score(Value):
    """The terms of one candidate, in ``TERMS`` order, unrounded."""

    terms: dict[str, float]

    @property
    def total(self) -> float:
        """Their plain sum."""
        return sum(self.terms.values())


class Standing(Value):
    """One account as the choice sees it.

    ``ready_at`` is epoch seconds (``NEVER`` when only a person can help), ``guarded`` that a request in flight keeps it
    shut for the moment, ``usable`` that what is known of it may steer a choice. ``began_at`` is when its window began that
    begins with a request: 0.0 when it has ended and waits for one, ``NEVER`` when it has none such.
    """

    ready_at: float
    blocked_by: str | None
    tier: Tier
    terms: tuple[float, ...]
    total: float
    usable: bool
    guarded: bool
    began_at: float = NEVER
    window_secs: float = NEVER


def appraise(
    account: Account,
    model: str,
    now: float,
    scored_at: float,
    policy: Policy,
    in_flight: int = 0,
    *,
    probes: bool = True,
    outlook: Outlook | None = None,
) -> Standing:
    """The standing of an account: readiness at ``now``, terms at ``scored_at`` (both epoch seconds).

    ``in_flight`` is how many leases it serves; ``probes`` whether a failed probe keeps it out.
    """
    ready_at, word = account.ready_at(model, policy, probes=probes)
    state = account.state(model)
    windows = account.runtime.windows + state.windows if state.windows else account.runtime.windows
    ready = ready_at <= now
    reserve = account.min_remaining if account.min_remaining is not None else policy.min_remaining
    flying = in_flight * state.request_tokens
    least, below, price, shut_until, began_at, window_secs = _weighed(
        windows, scored_at, flying, state.request_tokens, reserve, policy
    )
    scarce = least <= policy.guard_remaining
    if ready and shut_until > now:
        ready, ready_at, word = False, shut_until, "quota"
    guarded = ready and in_flight > 0 and (scarce or _half_open(account, state))
    if guarded:
        ready, ready_at, word = False, now + policy.guard_wait, "quota" if scarce else "cooldown"
    seen_at = _observed_at(account, state, windows)
    success_at = state.last_success_at
    terms = (
        policy.weight_ready_now if ready else 0.0,
        -policy.weight_remaining * (policy.price_floor + (1 - policy.price_floor) * price),
        0.0 if ready else -min(max(ready_at - scored_at, 0.0) / policy.wait_unit, policy.wait_max),
        _failures(account, state, scored_at, policy),
        -policy.weight_staleness * (1 - _trust(account, state, windows, seen_at, scored_at, policy)),
        policy.weight_recent_success * 0.5 ** (max(scored_at - success_at, 0.0) / policy.success_half_life)
        if success_at
        else 0.0,
        -min(policy.weight_in_flight * in_flight / account.weight, policy.in_flight_max) if in_flight else 0.0,
        -policy.weight_flex * _rarity(account, outlook) if outlook is not None and outlook.rare else 0.0,
        policy.weight_open
        if outlook is not None and outlook.opening and not began_at and not in_flight and ready
        else 0.0,
    )
    return Standing(
        ready_at,
        None if ready else word,
        (account.emergency, account.priority, below),
        terms,
        sum(terms),
        bool(seen_at) and scored_at - seen_at <= policy.stale_after,
        guarded,
        began_at,
        window_secs,
    )


def _rarity(account: Account, outlook: Outlook) -> float:
    """By what share the rarest model that the account serves besides is rarer than the one that is asked for."""
    return max([share for model, share in outlook.rare if account.serves(model)], default=0.0)


def score_of(standing: Standing) -> Score:
    """The score as people see it: the six terms that are always there, and of the others those that are not zero."""
    told = zip(TERMS, standing.terms, strict=True)
    return Score({name: term for place, (name, term) in enumerate(told) if place < _ALWAYS_SHOWN or term})


def confidence(account: Account, model: str, at: float, policy: Policy) -> float:
    """How much to trust what is known of the account for this model, 0..1; halves with age, and at a reset."""
    state = account.state(model)
    windows = account.runtime.windows + state.windows
    return _trust(account, state, windows, _observed_at(account, state, windows), at, policy)


def _trust(
    account: Account, state: ModelState, windows: tuple[Window, ...], seen_at: float, at: float, policy: Policy
) -> float:
    if not seen_at:
        return 0.0
    learned = 1.0 if state.confidence is None else state.confidence
    value: float = learned * 0.5 ** ((at - seen_at) / policy.confidence_half_life) if at > seen_at else learned
    for poll in account.runtime.polls.values():
        if poll.failures and poll.at > seen_at:
            value *= _AFTER_FAILED_POLL ** min(poll.failures, _MOST_FAILURES)
    for window in windows:
        reset = window.reset_time
        if reset is not None and seen_at <= reset <= at:
            return value * _AFTER_RESET
    return value


def remaining(account: Account, model: str, at: float) -> float | None:
    """What is left in the tightest window that applies, 0..1; None when no window was ever seen."""
    lefts = [_left(window, at) for window in account.runtime.windows + account.state(model).windows]
    return min([left for left in lefts if left is not None], default=None)


def _left(window: Window, at: float) -> float | None:
    """What is left of a window at an instant by its last reading: all of it once its reset has passed."""
    if window.reset_time is not None and window.reset_time <= at and window.kind != "rolling":
        return 1.0
    return window.left()


def left_now(window: Window, at: float, flying: float = 0.0) -> float | None:
    """What is left of a window at an instant, by its last reading and by own traffic since; ``flying`` tokens are on their way.

    All of it once its reset has passed. What was spent ages out of a rolling window, evenly, and out of a short one.
    """
    left = _left(window, at)
    if left is None:
        return None
    length = window.length()
    if window.kind == "rolling" or (length <= _SHORT and left < 1.0):
        left = 1 - (1 - left) * max(1 - max(at - window.updated_at, 0.0) / length, 0.0)
    if window.capacity_tokens is None:
        return left
    over = window.reset_time is not None and window.reset_time <= at and window.kind != "rolling"
    return max(left - ((0.0 if over else window.spent_tokens) + flying) / window.capacity_tokens, 0.0)


def _observed_at(account: Account, state: ModelState, windows: tuple[Window, ...]) -> float:
    """When anything was last observed of this model or account: quota, success or refusal; 0.0 for never."""
    runtime = account.runtime
    newest = state.last_success_at
    for told_at in (state.last_429_at, state.updated_at, runtime.last_failure_at):
        newest = max(told_at, newest)
    for window in windows:
        if window.updated_at > newest and window.remaining_fraction is not None:
            newest = window.updated_at
    for cooldowns in (runtime.cooldowns, state.cooldowns):
        if cooldowns and cooldowns[0].at > newest and cooldowns[0].source != UPSTREAM:
            newest = cooldowns[0].at
    return newest


def _half_open(account: Account, state: ModelState) -> bool:
    """Whether its last news was a refusal: one request finds out, before many are sent."""
    runtime = account.runtime
    return bool(
        state.consecutive_429 or runtime.consecutive_failures or runtime.consecutive_401 or runtime.consecutive_403
    )


def _weighed(
    windows: tuple[Window, ...], at: float, flying: float, usual: float, reserve: float, policy: Policy
) -> tuple[float, bool, float, float, float, float]:
    """What the windows amount to: rest, below its reserve, price, shut until, and the last two fields of ``Standing``.

    The rest is that of the tightest one, the price the mean of theirs. No reserve is kept of what would be left over at
    a reset: where there is a larger share of the quota than of the time. ``usual`` is what a request takes.
    """
    least, below, total, count, shut_until, began_at, shortest = 1.0, False, 0.0, 0, 0.0, NEVER, NEVER
    for window in windows:
        left, reset, length = left_now(window, at, flying), window.reset_time, window.length()
        over = reset is not None and reset <= at
        if over and reset is not None and window.kind == "fixed":
            reset, over = reset + length * ((at - reset) // length + 1), False
        if left is not None and left < 1.0:
            least = min(least, left)
            below = below or (left < reserve and (reset is None or left * length < reset - at))
            if not flying or length <= _SHORT:
                shut_until = max(shut_until, _shut_until(window, left, reset, at, usual))
        if length <= _SHORT:
            if over or left is None:
                continue
            total += (1 - left) / 2
        else:
            total += _price(window, left, at, reset, policy)
            if reset is not None and length < shortest and window.kind not in _NEVER_WAITING:
                shortest, began_at = length, 0.0 if over else reset - length
        count += 1
    return least, below, total / count if count else policy.price_unknown, shut_until, began_at, shortest


def _price(window: Window, left: float | None, at: float, reset: float | None, policy: Policy) -> float:
    """The pace price of a window, 0..1: tf/(tf+rem), with tf the time and rem the quota fraction left.

    Near 0 just before a reset with quota left (spend it), 1/2 on an even pace, near 1 when almost spent early on.
    """
    if window.kind != "rolling" and reset is not None and reset <= at:
        return policy.price_closed
    if left is None:
        return policy.price_unknown
    if window.kind == "rolling":
        return (1 - left) / 2
    tf = _UNKNOWN_PHASE if reset is None else min((reset - at) / window.length(), 1.0)
    return tf / (tf + left) if tf + left else 1.0


def _shut_until(window: Window, left: float, reset: float | None, at: float, usual: float) -> float:
    """Until when own account of a window says that it is no use to ask; 0.0 when it is.

    A short window must hold a usual request; it refills evenly. Another one must hold something.
    """
    length = window.length()
    if length > _SHORT:
        return reset if left <= 0 and reset is not None and window.kind != "rolling" else 0.0
    if window.capacity_tokens is None:
        return 0.0
    missing = min(usual / window.capacity_tokens, _MOST_OF_A_BUCKET) - left
    return at + missing * length if missing > 0 else 0.0


def _failures(account: Account, state: ModelState, at: float, policy: Policy) -> float:
    runtime = account.runtime
    count = state.consecutive_429 + runtime.consecutive_401 + runtime.consecutive_403 + runtime.consecutive_failures
    if not count:
        return 0.0
    failed_at = max(state.last_429_at, runtime.last_failure_at)
    fading: float = 0.5 ** (max(at - failed_at, 0.0) / policy.error_half_life)
    return -policy.weight_consecutive_429 * min(count, _MOST_FAILURES) * fading
