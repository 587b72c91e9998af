"""How two names in a folder change places at once. Refuses: to look at what they name.

Linux has it as ``renameat2`` with ``RENAME_EXCHANGE`` (ext4, xfs, btrfs, tmpfs, overlay; not NFS, not vfat), and Python has
not, so it is called by way of ``ctypes``, which only a write has to load.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HERE = -100
"""``AT_FDCWD``: relative paths begin in the current folder."""
_EXCHANGE = 2
_UNKNOWN_HERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""What a kernel, a file system and a container's filter answer who do not know the flag."""

_loaded: list[Any] = []


def swap(one: str, other: str) -> bool:
    """Exchange two names atomically; False, and nothing done, where the system does not know how.

    Raises: OSError; ENOENT when either is gone, EBUSY when either is a mount.
    """
    if not _loaded:
        _loaded.append(_load())
    number = _loaded[0](os.fsencode(one), os.fsencode(other))
    if number in _UNKNOWN_HERE:
        return False
    if number:
        raise OSError(number, os.strerror(number))
    return True


def _load() -> Any:
    try:
        import ctypes
        from ctypes import c_char_p, c_int, c_uint

        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError):
        return lambda _one, _other: errno.ENOSYS
    renameat2.argtypes = (c_int, c_char_p, c_int, c_char_p, c_uint)

    def exchange(one: bytes, other: bytes) -> int:
        failed = renameat2(_HERE, one, _HERE, other, _EXCHANGE)
        return ctypes.get_errno() if failed else 0

    return exchange
