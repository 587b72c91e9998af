"""Policy: every number a person may change, with its unit, its default and why.

A document overrides single fields by name under ``policy``. Refuses: anything that is learned, and per-account settings.
Durations are seconds, fractions 0..1, weights points of the score.
"""

from __future__ import annotations

from rotator.core.value import Value

SELECTORS = ("score", "chain", "round_robin", "shadow")


class Policy(Value):
    """What rotator prefers and how patient it is; frozen, compare and ``replace`` freely."""

    selector: str = "score"
    """How to choose: by ``score``; ``chain`` (each account in file order down to its reserve); ``round_robin``; or
    ``shadow`` (round-robin, and the scorer's choice recorded beside it, to burn a policy in)."""
    min_remaining: float = 0.05
    """Fraction kept in reserve: below it an account serves only when nobody is above theirs. 5 % is the last warning
    level of the coding plans; an account may set its own."""
    exhausted_below: float = 0.0015
    """Fraction at or under which a window counts as spent. Providers show whole per cents or tenths, so 0.15 % is zero."""
    hysteresis: float = 0.05
    """Points by which a challenger must beat the active account: the price of a cold prompt cache for a small session."""
    stale_after: float = 86400.0
    """Age in seconds after which what is known of an account no longer steers a choice: all daily windows are new."""
    client_delay_max: float = 300.0
    """Longest retry delay told to a client, in seconds. Longer ones freeze SDKs that obey them; the raw one is kept."""
    recheck: float = 60.0
    """Seconds after which a parked pool looks again: quota comes back early, and a cooldown is a prediction."""
    wake_jitter: float = 2.0
    """Up to this many seconds are added to a wake-up, so that processes do not all knock at once."""
    flush_after: float = 5.0
    """Seconds between the first pending fact and the write that holds it."""
    write_share: float = 0.05
    """Largest share of time spent writing the file, whatever its size."""
    retry_delay_min: float = 1.0
    """Shortest cooldown in seconds: hints of 0 s or 6 ms are below the latency of the network."""
    default_cooldown: float = 30.0
    """Cooldown in seconds of a first 429 without a hint, and of a spent window whose reset is unknown. Doubles."""
    default_cooldown_max: float = 1800.0
    """Longest cooldown in seconds that is guessed and not told."""
    quarantine_after: int = 8
    """Refusals in a row, without a hint, after which an account looks silently banned."""
    quarantine: float = 21600.0
    """Cooldown in seconds of an account that looks silently banned: four looks a day instead of hundreds."""
    auth_cooldown: float = 45.0
    """Cooldown in seconds of a first 401; grows by 1.7. Keys are seen to oscillate, so one 401 says little."""
    auth_cooldown_max: float = 600.0
    """Longest cooldown in seconds after a 401."""
    auth_failed_after: int = 10
    """401s in a row after which only a person can help: over an hour of the ladder above."""
    refused_cooldown: float = 600.0
    """Cooldown in seconds of a first 403 that is not recognised; grows by 4, and the third in a row is ``restricted``."""
    server_cooldown: float = 3.0
    """Cooldown in seconds of a model after a first 5xx or overload; doubles. It never blacklists."""
    server_cooldown_max: float = 120.0
    """Longest cooldown in seconds after a 5xx."""
    throttle_within: float = 30.0
    """Seconds within which two accounts must be refused alike, without a quota named, to make it the provider's doing."""
    throttle_witnesses: int = 3
    """Accounts that must be refused alike before it is the provider's doing: two that reach their own limits within seconds
    are common. Where there are but two, and no delay is told, two."""
    throttle_hint_max: float = 3600.0
    """Longest retry delay in seconds of such a refusal: per-minute and per-hour limits are told so, a longer one is of a plan."""
    throttle_backoff: float = 5.0
    """Seconds for which all accounts of a provider that throttles a model leave it alone at first; grows by 1.5."""
    throttle_backoff_max: float = 30.0
    """Longest such pause in seconds, told or grown: these throttles end at any moment, and one request finds out."""
    throttle_ramp: float = 1.0
    """Seconds in which the number of requests let through doubles after a throttle; 0 lets all through at once."""
    poll_interval: float = 300.0
    """Seconds between two polls of a quota endpoint; doubles with each failure. These endpoints throttle those who ask every minute."""
    poll_interval_max: float = 3600.0
    """Longest pause in seconds after failed polls that is guessed and not told."""
    probe_ttl: float = 7200.0
    """Seconds for which a failed probe keeps an account out."""
    guard_remaining: float = 0.015
    """Remaining fraction under which one request at a time is let in: the last per cent is where bursts overshoot."""
    guard_wait: float = 1.5
    """Seconds after which a guarded account is looked at again."""
    sessions_max: int = 64
    """Sticky sessions remembered for each account; the least recently used goes first."""
    session_ttl: float = 3600.0
    """Seconds after its last use at which a session may move: prompt caches live for minutes, people pause for longer."""
    session_warm: float = 300.0
    """Seconds after its last use for which a session's prompt cache is taken to be warm: what most providers keep."""
    admission_share: float = 0.5
    """Share of accounts without quota to spare above which a session waits for its account rather than begin anew elsewhere."""
    admission_size: float = 3.0
    """Times what a request usually takes, from which a session's next request is too large to begin anew in a shortage."""
    admission_wait: float = 30.0
    """Seconds after which such a session looks again."""
    weight_ready_now: float = 1.0
    """Points for being able to serve now, so that a wait never outbids a ready account of the same tier."""
    weight_remaining: float = 1.0
    """Points at stake in the pace price of the quota."""
    price_floor: float = 0.15
    """Part of the pace price that even free quota costs: work is not worth nothing."""
    price_unknown: float = 0.25
    """Pace price of an account whose windows were never seen: rather cheap, since one request reveals them."""
    price_closed: float = 0.7
    """Pace price of a window that has ended and has not begun again: full, but its clock does not run yet."""
    wait_unit: float = 15.0
    """Seconds of waiting that cost one point."""
    wait_max: float = 10.0
    """Most points that waiting can cost."""
    weight_consecutive_429: float = 0.2
    """Points for each refusal or failure in a row, at most four, fading."""
    error_half_life: float = 420.0
    """Seconds in which the memory of a failure halves (a decay constant of ten minutes)."""
    weight_staleness: float = 0.02
    """Points lost when nothing is known with confidence."""
    confidence_half_life: float = 3600.0
    """Seconds in which the confidence in an observation halves."""
    weight_recent_success: float = 0.01
    """Points for a success just now: breaks ties towards what is known to work."""
    success_half_life: float = 420.0
    """Seconds in which a success halves."""
    weight_in_flight: float = 0.01
    """Points for each request in flight, divided by the account's ``weight``; spreads bursts."""
    in_flight_max: float = 1.0
    """Most points that requests in flight can cost."""
    weight_flex: float = 0.3
    """Points that an account loses which also serves a model that fewer accounts serve: it is kept for that."""
    weight_open: float = 1.0
    """Points for beginning a window that begins with a request, when that is due: its clock should run before it is needed."""
    open_stagger: float = 0.3
    """Share of a window's length, divided by the number of accounts, between two such beginnings: in phase they would all
    end together."""


RANGES: dict[str, tuple[float, float]] = {
    "min_remaining": (0.0, 1.0),
    "exhausted_below": (0.0, 0.5),
    "hysteresis": (0.0, 10.0),
    "recheck": (1.0, 86400.0),
    "write_share": (0.0001, 1.0),
    "quarantine_after": (1, 1000000),
    "auth_failed_after": (1, 1000000),
    "sessions_max": (0, 10000),
    "throttle_witnesses": (2, 1000),
    "guard_remaining": (0.0, 1.0),
    "price_floor": (0.0, 1.0),
    "price_unknown": (0.0, 1.0),
    "price_closed": (0.0, 1.0),
    "wait_unit": (0.001, 31536000.0),
    "error_half_life": (0.001, 31536000.0),
    "confidence_half_life": (0.001, 31536000.0),
    "success_half_life": (0.001, 31536000.0),
    "stale_after": (1.0, 31536000.0),
}
"""Closed ranges of the fields that need one of their own; every other number is 0 to ``RANGE_MAX``."""
RANGE_MAX = 31536000.0
WHOLE_NUMBERS = frozenset({"quarantine_after", "auth_failed_after", "sessions_max", "throttle_witnesses"})
