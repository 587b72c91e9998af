"""How a run ends: an error becomes a line on stderr and an exit code.

Refuses: tracebacks for what a person did or the machine refused, and any value of the file.
"""

from __future__ import annotations

from rotator.cli.accounts import NAME, path_of
from rotator.cli.voice import printable, talk, whisper
from rotator.errors import AccountsInvalid, AccountsMissing, RotatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.errors import Fault

OK, UNAVAILABLE, IO, PARKED, INVALID = 0, 69, 74, 75, 78
"""``sysexits.h`` where it fits: EX_UNAVAILABLE, EX_IOERR, EX_TEMPFAIL, EX_CONFIG."""
INTERRUPTED = 130
CLOSED_PIPE = 141
"""What a shell reports of a program that a closed pipe ended (128 + SIGPIPE)."""


class Ended(BaseException):
    """A signal asked the run to end; like KeyboardInterrupt it is no error."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def end(error: BaseException, given: str | None = None) -> int:
    """Tell an error and return its exit code; what is neither a person's nor the machine's doing is raised again.

    ``given`` is what ``--accounts`` said, to name the file that is not valid.
    """
    if isinstance(error, Ended):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    if isinstance(error, AccountsInvalid):
        path = _path_of(given)
        talk(f"{path} is not valid")
        for fault in error.faults:
            whisper(fault_line(path, fault))
        return error.exit_code
    if isinstance(error, RotatorError):
        talk(_message(error))
        return error.exit_code
    if isinstance(error, OSError):
        talk(_message(error))
        return IO
    raise error


def _path_of(given: str | None) -> str:
    try:
        return path_of(given)
    except AccountsMissing:  # taken away since it was read
        return NAME


def fault_line(path: str, fault: Fault, word: str = "") -> str:
    """A fault as editors jump to it: ``path:line:column: [word: ][pointer ]rule; remedy``."""
    pointer = f"{fault.pointer} " if fault.pointer else ""
    return printable(f"{path}:{fault.line}:{fault.column}: {word}{pointer}{fault.rule}; {fault.remedy}")


def _message(error: Exception) -> str:
    if not isinstance(error, OSError) or len(error.args) < 2:  # noqa: PLR2004  OSError is (number, text)
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.args[1])
