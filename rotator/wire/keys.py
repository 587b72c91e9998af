"""Keys: the credentials of accounts that nothing but an edit of the file changes, resolved once for each state of the file.

Refuses: keeping what can change by itself: references, and tokens that are refreshed.
"""

from __future__ import annotations

from rotator.credentials import SECRETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.credentials import Credentials
    from rotator.engine import Rotator


class Keys:
    """What is asked for at every request, without the way to the file each time; thread-safe."""

    def __init__(self, rotator: Rotator) -> None:
        self._rotator = rotator
        self._kept: tuple[object, dict[str, Credentials | None]] = (None, {})

    def __repr__(self) -> str:
        return f"Keys(of {len(self._kept[1])} accounts)"

    def of(self, name: str) -> Credentials | None:
        """The account's credentials, after a choice has looked at the file; None where to resolve them may take long.

        Raises UnknownAccount, SecretMissing.
        """
        document = self._rotator._keeper.document
        of_document, kept = self._kept
        if of_document is not document:
            of_document, kept = self._kept = document, {}
        found = kept.get(name)
        if found is not None:
            return found
        if name in kept or self._is_kept_elsewhere(name):
            kept[name] = None
            return None
        found = self._rotator.credentials(name)
        if not found.referred and found.refresh_token is None:
            kept[name] = found
        return found

    def _is_kept_elsewhere(self, name: str) -> bool:
        """Whether a secret is in a file or a keyring."""
        with self._rotator._lock:
            keeper = self._rotator._keeper
            if name not in keeper.pool:
                return False
            entry = keeper.document.account(keeper.pool.index(name))
        return any(isinstance(entry.get(key), dict) and "env" not in entry[key] for key in SECRETS)
