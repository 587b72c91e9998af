"""Choice: which accounts are considered, and what was decided about them, as values.

Refuses: deciding (``ranking``), explaining it (``selection``).
"""

from __future__ import annotations

from rotator.core.scorer import Standing, appraise
from rotator.core.state import NEVER, UPSTREAM, Cooldown
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.outlook import Outlook
    from rotator.core.policy import Policy
    from rotator.core.state import Account


class Wanted(Value):
    """Which accounts are considered: those that bear all ``tags`` and, unless ``among`` is None, are named in it."""

    tags: tuple[str, ...] = ()
    among: frozenset[str] | None = None

    def has(self, account: Account) -> bool:
        """Whether the account is one of them."""
        if self.among is not None and account.name not in self.among:
            return False
        return not self.tags or set(self.tags) <= set(account.tags)


ANYBODY = Wanted()


class Choice(Value):
    """The place of the chosen account in file order and the word for why; or None and when to look again.

    ``wake_at`` is ``NEVER`` when only a person can help. ``probes`` is whether failed probes were heeded, ``closed`` the
    providers that were to be sent nothing, ``outlook`` what the accounts say about each other. ``waits``: somebody is ready, but this conversation does better to wait.
    """

    index: int | None
    reason: str | None
    wake_at: float = NEVER
    shadow: int | None = None
    probes: bool = True
    closed: frozenset[str] = frozenset()
    outlook: Outlook | None = None
    waits: bool = False


def shut(account: Account, now: float, policy: Policy) -> Account:
    """The account of a provider that throttles and has as many requests in flight as it may: it pauses for a moment."""
    pause = Cooldown(now + policy.guard_wait, 0.0, UPSTREAM)
    return account.replace(runtime=account.runtime.replace(cooldowns=(pause,)))


def stand(
    account: Account,
    model: str,
    now: float,
    scored_at: float,
    policy: Policy,
    in_flight: int,
    *,
    probes: bool,
    closed: frozenset[str],
    outlook: Outlook | None = None,
) -> Standing:
    """``appraise``, where ready accounts of ``closed`` providers are guarded too."""
    standing = appraise(account, model, now, scored_at, policy, in_flight, probes=probes, outlook=outlook)
    if standing.blocked_by is not None or account.provider not in closed:
        return standing
    paused = shut(account, now, policy)
    return appraise(paused, model, now, scored_at, policy, in_flight, probes=probes, outlook=outlook).replace(
        guarded=True
    )
