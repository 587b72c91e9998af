"""Which file: the option, else the environment, else here, else the user's configuration.

Refuses: reading it.
"""

from __future__ import annotations

import errno
import os

from rotator.errors import AccountsMissing

VARIABLE = "ROTATOR_ACCOUNTS"
NAME = "accounts.json"


def path_of(given: str | None) -> str:
    """The path of ``accounts.json``: ``given`` (what ``--accounts`` says), ``ROTATOR_ACCOUNTS`` unless empty, else the first
    that exists of ``./accounts.json`` and ``$XDG_CONFIG_HOME/rotator/accounts.json``.

    A path that was named is not looked at here. Raises AccountsMissing when none was named and none exists.
    """  # noqa: D205  the order is the sentence
    named = given or os.environ.get(VARIABLE)
    if named:
        return named
    if _is_there(NAME):
        return NAME
    configured = os.path.join(_config_home(), "rotator", NAME)
    if _is_there(configured):
        return configured
    message = (
        f"there is no {NAME} here and none at {configured}; create one, or name one with --accounts PATH or {VARIABLE}"
    )
    raise AccountsMissing(errno.ENOENT, message)


def _is_there(path: str) -> bool:
    """Whether something is there, be it a link that leads nowhere or what may not be looked at: reading it says why."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _config_home() -> str:
    """XDG Base Directory: a relative path in the variable is invalid and counts as unset."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    return home if os.path.isabs(home) else os.path.join(os.path.expanduser("~"), ".config")
