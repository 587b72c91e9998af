"""Outlook: what the accounts of a pool say about each other, as far as it bears on the score of one of them.

Refuses: scores (``scorer``), what is known of one account alone.
"""

from __future__ import annotations

from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.pool import Pool


class Outlook(Value):
    """Whether a window is due to be begun, and which models are rarer than the one that is asked for.

    ``rare`` are models that fewer accounts serve, each with the share by which they are fewer.
    """

    opening: bool = False
    rare: tuple[tuple[str, float], ...] = ()


def looked_out(pool: Pool, model: str) -> tuple[frozenset[str], Outlook | None]:
    """The models that some account knows of, and the outlook for ``model``, None where there is nothing to say."""
    models = {name for account in pool for name in account.runtime.models}
    serving = {name: sum([account.serves(name) for account in pool]) for name in {*models, model}}
    most = serving[model]
    rare = tuple([(name, 1 - n / most) for name, n in sorted(serving.items()) if name != model and n < most])
    return frozenset(models), Outlook(rare=rare) if rare else None
