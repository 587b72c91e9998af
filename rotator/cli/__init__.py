"""The command line's front door: the common question is answered by itself, everything else is click's turn.

Refuses: importing what `rotator next` does not need; click alone costs three times as much as a start of Python.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; ``arguments`` without the program's name, else those of the process."""
    given = sys.argv[1:] if arguments is None else [*arguments]
    asked = None
    try:
        from rotator.cli.quick import parse

        asked = parse(given, os.environ)
        if asked is None:
            from rotator.cli.commands import run

            return run(given)
        from rotator.cli.next import answer

        code = answer(asked)
        if arguments is None and "rotator.engine" not in sys.modules:
            _leave(code)
    except BaseException as error:  # noqa: BLE001  every way to end is turned into an exit code, or raised again
        from rotator.cli.endings import end

        return end(error, None if asked is None else asked.accounts)
    return code


def _leave(code: int) -> None:
    """End the process here and now, after what it said is out: taking a thousand accounts apart costs as much as a start.

    Only where nothing has been begun that has to be ended: no engine, no thread, no handler at exit.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)
