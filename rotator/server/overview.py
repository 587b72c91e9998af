"""Overview: what an engine would decide now, for one model or for all known ones, and the file behind it.

The command line and the status API both ask here, so that they say the same. Refuses: taking a choice, text for people, HTTP.
"""

from __future__ import annotations

from rotator.core.pool import Pool
from rotator.core.selection import select
from rotator.core.state import UNKNOWN_MODEL
from rotator.core.status import status_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.selection import Parked, Selected, Unavailable
    from rotator.core.state import ModelState
    from rotator.engine import Rotator


def known_pool(rotator: Rotator) -> Pool:
    """The pool after a look at the file: an edit made since the last question is in it."""
    return rotator.explain("").pool


def known_models(pool: Pool) -> list[str]:
    """Every model of which an account knows something, or that a person named in its ``models`` without a glob; sorted.

    That it was released is nothing to know: a name that was mistyped once would stay for ever.
    """
    named = {model for account in pool for model in account.models if not set("*?[") & set(model)}
    heard = {model for account in pool for model, state in account.runtime.models.items() if _says_something(state)}
    return sorted({*heard, *named})


def _says_something(state: ModelState) -> bool:
    return state.replace(released_at=0.0, held_at=0.0) != UNKNOWN_MODEL


def decisions(rotator: Rotator, model: str | None = None) -> list[Selected | Parked | Unavailable]:
    """One decision for ``model``, or one for each known model in sorted order; empty when none is known. None is taken."""
    models = known_models(known_pool(rotator)) if model is None else [model]
    return [rotator.explain(each) for each in models]


def modelless(rotator: Rotator) -> Selected | Parked | Unavailable:
    """A decision about the accounts alone, for a pool that has not heard of any model yet; its ``model`` is ``any model``."""
    asked = rotator.explain("")
    pool = asked.pool
    anything = Pool([account.replace(models=("*",)) for account in pool], pool.active, pool.policy)
    return select(anything, "any model", now=asked.decided)


def file_json(rotator: Rotator) -> dict[str, Any]:
    """``path`` as it was given (None in memory), ``mode``, ``durable`` and ``last_error``, as of the last look."""
    state = rotator.file_state()
    return {"path": state.path, "mode": state.mode, "durable": state.durable, "last_error": state.last_error}


def status(rotator: Rotator, model: str | None = None) -> dict[str, Any]:
    """The object of ``schemas/status.schema.json``: one decision with its file, or without a model one for each known."""
    outcomes = decisions(rotator, model)
    return status_json(outcomes, file_json(rotator), model=model)
