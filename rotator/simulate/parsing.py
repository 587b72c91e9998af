"""Parsing: the JSON of a scenario, as ``schemas/scenario.schema.json`` describes it, to its values; the first fault is named.

Refuses: jsonschema, which the program need not load to say where a scenario is wrong.
"""

from __future__ import annotations

import json

from rotator.errors import BadArgument
from rotator.simulate.scenario import (
    KINDS,
    TROUBLES,
    Cache,
    Engine,
    Manner,
    Outside,
    Plan,
    Quota,
    Scenario,
    Seeds,
    Shape,
    Stream,
    Talk,
    Trouble,
    account_names,
)
from rotator.simulate.spec import (
    REQUIRED,
    Span,
    either,
    flag,
    instant,
    keys,
    made,
    many,
    nothing,
    number,
    one_of,
    refuse,
    seeds,
    span,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.simulate.spec import Check

YEAR = 31_536_000.0


def _whole(low: int, high: int) -> Check:
    ranged = number(low, high)

    def check(value: Any, where: str) -> int:
        if type(value) is not int:
            refuse(where, "must be a whole number")
        return int(ranged(value, where))

    return check


_SHARE = number(0.0, 1.0)
_SECS = number(0.0, YEAR)
_LENGTH = number(0.0, YEAR, above=True)
_MAYBE_SECS = either(nothing, _LENGTH)
_START = instant("2026-11-16T00:00:00Z", "")  # a Monday, since the hours of an office are those of workdays

_QUOTA = {
    "name": (text, REQUIRED),
    "kind": (one_of(*KINDS), REQUIRED),
    "length_secs": (_LENGTH, REQUIRED),
    "capacity": (span(0.0, above=True), REQUIRED),
    "phase": (span(0.0, 1.0), Quota("", "", 1.0, Span(1, 1)).phase),
    "used": (span(0.0, 1.0), Span(0.0, 0.0)),
    "model": (either(nothing, text), None),
    "hidden": (flag, False),
}
_MANNER = {
    "quantum": (number(0.0, 0.5), 0.01),
    "rounding": (one_of("nearest", "down", "up"), "nearest"),
    "stale_secs": (_SECS, 0.0),
    "partial": (_SHARE, 0.0),
    "mute": (_SHARE, 0.0),
    "retry_after": (either(_SECS, one_of("exact", "none")), "exact"),
    "retry_factor": (number(0.0, 1e4), 1.0),
    "full_shown": (flag, True),
    "latency_secs": (span(0.0, 3600.0), Span(2.0, 20.0)),
    "refusal_secs": (number(0.05, 60.0), 0.5),
    "server_errors": (_SHARE, 0.0),
}
_OUTSIDE = {"per_hour": (number(0.0, 1e6), REQUIRED), "tokens": (span(0.0), REQUIRED)}
_PLAN = {
    "name": (text, REQUIRED),
    "count": (_whole(1, 10_000), 1),
    "models": (many(text, 1), ("*",)),
    "group": (either(nothing, text), None),
    "weight": (number(0.0, 1e6, above=True), 1.0),
    "windows": (many(made(Quota, _QUOTA)), ()),
    "outside": (either(nothing, made(Outside, _OUTSIDE)), None),
    "answers": (lambda value, where: (value, where), None),
}
_TROUBLE = {
    "kind": (one_of(*TROUBLES), REQUIRED),
    "accounts": (either(nothing, many(text, 1)), None),
    "at_secs": (either(nothing, _SECS), None),
    "every_secs": (_MAYBE_SECS, None),
    "for_secs": (_MAYBE_SECS, None),
    "retry_after_secs": (either(nothing, _SECS), None),
}
_SHAPE = {
    "kind": (one_of("hours", "surge", "bursts"), REQUIRED),
    "factor": (number(0.0, 1e4), REQUIRED),
    "outside_factor": (number(0.0, 1e4), 1.0),
    "from_hour": (number(0.0, 24.0), 8.0),
    "to_hour": (number(0.0, 24.0), 18.0),
    "at_secs": (_SECS, 0.0),
    "for_secs": (_LENGTH, 3600.0),
    "every_secs": (_LENGTH, 3600.0),
}
_TALK = {
    "turns": (number(1.0, 1e4), REQUIRED),
    "pause_secs": (_LENGTH, REQUIRED),
    "context_tokens": (number(0.0), 0.0),
    "context_max": (number(0.0), 200_000.0),
}
_STREAM = {
    "model": (text, REQUIRED),
    "per_hour": (number(0.0, 1e6), REQUIRED),
    "tokens": (number(0.0, above=True), REQUIRED),
    "spread": (number(0.0, 3.0), 0.6),
    "patience_secs": (span(0.0, YEAR), Span(300.0, 300.0)),
    "batch": (_whole(1, 10_000), 1),
    "shapes": (many(made(Shape, _SHAPE)), ()),
    "talk": (either(nothing, made(Talk, _TALK)), None),
}
_CACHE = {"ttl_secs": (_SECS, 300.0), "warm_cost": (_SHARE, 0.1)}
_ENGINE = {
    "processes": (_whole(1, 64), 1),
    "sync_secs": (number(0.1, 3600.0), 5.0),
    "restart_every_secs": (_MAYBE_SECS, None),
}
_SEEDS = {"train": (seeds, Seeds().train), "held_out": (seeds, Seeds().held_out)}
_SCENARIO = {
    "version": (_whole(1, 1), REQUIRED),
    "name": (text, REQUIRED),
    "about": (text, ""),
    "start": (instant, _START),
    "duration_secs": (_LENGTH, REQUIRED),
    "answers": (lambda value, where: (value, where), None),
    "accounts": (many(lambda value, where: (keys(value, where, _PLAN), where), 1), REQUIRED),
    "demand": (many(made(Stream, _STREAM), 1), REQUIRED),
    "troubles": (many(made(Trouble, _TROUBLE)), ()),
    "cache": (made(Cache, _CACHE), Cache()),
    "engine": (made(Engine, _ENGINE), Engine()),
    "seeds": (made(Seeds, _SEEDS), Seeds()),
}


def scenario_of(document: Any) -> Scenario:
    """The scenario of a decoded document. Raises BadArgument, which names the first fault by its JSON pointer."""
    found = keys(document, "", _SCENARIO)
    del found["version"]
    common = found.pop("answers")
    found["accounts"] = tuple([_plan(plan, common) for plan, _ in found["accounts"]])
    names = account_names(found["accounts"])
    if len(set(names)) != len(names):
        refuse("/accounts", "must have different names, with the numbers of their copies")
    for place, trouble in enumerate(found["troubles"]):
        if (trouble.at_secs is None) == (trouble.every_secs is None):
            refuse(f"/troubles/{place}", "needs either at_secs or every_secs")
        for name in trouble.accounts or ():
            if name not in names:
                refuse(f"/troubles/{place}/accounts", f"names an account that is not there: {name}")
    return Scenario(**found)


def _plan(plan: dict[str, Any], common: tuple[Any, str] | None) -> Plan:
    """A plan whose manner is its own over what the scenario says for all."""
    own = plan.pop("answers")
    said: dict[str, Any] = {}
    for value, where in (each for each in (common, own) if each is not None):
        checked = keys(value, where, _MANNER)
        said |= {key: checked[key] for key in value}
    return Plan(**plan, answers=Manner(**said))


def read_scenario(raw: bytes, path: str = "the scenario") -> Scenario:
    """The scenario in the bytes of a JSON file. Raises BadArgument, which names the file and the fault's place."""
    try:
        return scenario_of(json.loads(raw.decode("utf-8-sig")))
    except BadArgument as error:
        message = f"{path} is no scenario: {error}"
        raise BadArgument(message) from None
    except ValueError as error:  # not UTF-8, or not JSON, which names line and column
        message = f"{path} is not JSON: {error}"
        raise BadArgument(message) from None
