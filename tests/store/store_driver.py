"""One exchange in a process of its own, to be killed at any system call of it.

Usage: store_driver.py PATH NEW_DOCUMENT; the call of getppid marks where the exchange begins.
"""

from __future__ import annotations

import os
import sys

import filelock  # noqa: F401  loaded before the mark: opening modules is not what is tested

import rotator.store.lock  # noqa: F401  as above
from rotator.store.file import Store


def main() -> None:
    """Print what the exchange answered, once it is acknowledged."""
    store = Store(sys.argv[1])
    document = sys.argv[2].encode()
    store.read()
    os.getppid()
    answer = store.exchange(lambda _: document, keep=lambda _: ".v1.bak")
    os.write(1, answer.raw)
    os._exit(0)


if __name__ == "__main__":
    main()
