"""rotator decides which LLM API account serves the next request, and remembers why in one hand-editable file.

The names that people import, loaded when they are asked for: the command line's quick answer needs none of them.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.policy import Policy
    from rotator.core.scorer import Score
    from rotator.core.selection import Candidate, Parked, Selected, Unavailable
    from rotator.engine import Lease, Rotator
    from rotator.errors import ParkTimeout, RotatorError

_HOMES = {
    "Candidate": "rotator.core.selection",
    "Lease": "rotator.engine",
    "ParkTimeout": "rotator.errors",
    "Parked": "rotator.core.selection",
    "Policy": "rotator.core.policy",
    "Rotator": "rotator.engine",
    "RotatorError": "rotator.errors",
    "Score": "rotator.core.scorer",
    "Selected": "rotator.core.selection",
    "Unavailable": "rotator.core.selection",
}

__all__ = [
    "Candidate",
    "Lease",
    "ParkTimeout",
    "Parked",
    "Policy",
    "Rotator",
    "RotatorError",
    "Score",
    "Selected",
    "Unavailable",
    "__version__",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'rotator' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
