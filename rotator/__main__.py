"""``python -m rotator`` is the command line. Refuses: to be imported for anything else."""

from __future__ import annotations

import sys

from rotator.cli import main

if __name__ == "__main__":
    sys.exit(main())
