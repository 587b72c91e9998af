"""Accounts by the name that a person typed, with a guess at what was meant. Refuses: guessing for them."""

from __future__ import annotations

from difflib import get_close_matches

from rotator.errors import UnknownAccount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.pool import Pool
    from rotator.core.state import Account

_TOLD = 5
"""Names that are listed when nothing is close."""


def account_of(pool: Pool, name: str) -> Account:
    """The account of that name; raises UnknownAccount with the names that come close, else the first few."""
    if name in pool:
        return pool.account(name)
    names = [account.name for account in pool]
    folded = {each.casefold(): each for each in names}
    close = [folded[each] for each in get_close_matches(name.casefold(), folded, cutoff=0.5)]
    close += [each for each in names if name and name.casefold() in each.casefold() and each not in close]
    if close:
        message = f"no account is named {name}; did you mean {' or '.join(close[:3])}?"
    elif names:
        more = "" if len(names) <= _TOLD else f" and {len(names) - _TOLD} more"
        message = f"no account is named {name}; there is {', '.join(names[:_TOLD])}{more}"
    else:
        message = f"no account is named {name}; the file has none yet"
    raise UnknownAccount(message)
