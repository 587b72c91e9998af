"""Everything rotator raises on purpose, and who has to act.

RotatorError                                               exit
├── CallerError          the calling code must change      2
│   ├── UnknownAccount   (LookupError)
│   └── BadArgument      (ValueError)
├── OperatorError        a person must act on the file     78
│   ├── AccountsMissing  (FileNotFoundError)               66
│   ├── AccountsInvalid  (ValueError)  .faults, all of them
│   ├── AccountsDenied   (PermissionError)                 77
│   ├── SecretMissing    (LookupError)  a reference that leads nowhere
│   ├── LoginNeeded      no token works any more           69
│   └── OriginRefused    (ValueError)  a request that goes elsewhere than its account
├── MachineError         (OSError) disk, lock or network must recover   74
│   ├── AccountsBusy     (TimeoutError) the lock was not had in time
│   ├── AccountsUnreadable  an I/O error while reading
│   └── EndpointFailed   (ConnectionError) a provider's endpoint gave no answer
└── ParkTimeout          (TimeoutError) nobody's fault; .wake_at   124

An outcome (parked, unavailable) is a value, not an error. No message holds a value of ``accounts.json``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class RotatorError(Exception):
    """The root of the tree; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class CallerError(RotatorError):
    """The calling code, or what was typed, must change."""

    exit_code = 2


class UnknownAccount(CallerError, LookupError):
    """No account of that name is in the pool."""


class BadArgument(CallerError, ValueError):
    """An argument that cannot mean anything, such as a datetime without a zone."""


class OperatorError(RotatorError):
    """A person must act on ``accounts.json`` or on what it points to."""

    exit_code = 78


class AccountsMissing(OperatorError, FileNotFoundError):
    """There is no file at the path."""

    exit_code = 66


class AccountsDenied(OperatorError, PermissionError):
    """The file is there and may not be read."""

    exit_code = 77


class SecretMissing(OperatorError, LookupError):
    """A credential is a reference (environment, file) that leads nowhere."""


class LoginNeeded(OperatorError):
    """The provider says that the account's refresh token is dead, or there is none: its owner has to log in again."""

    exit_code = 69


class OriginRefused(OperatorError, ValueError):
    """A request goes to an origin that is none of its account's: no credential was sent."""


class Fault:
    """One fault of a document: where (RFC 6901 pointer, 1-based line and column), which rule, what to do.

    It never holds a value of the file.
    """

    __slots__ = ("column", "line", "pointer", "remedy", "rule")

    def __init__(self, pointer: str, line: int, column: int, rule: str, remedy: str) -> None:
        self.pointer = pointer
        self.line = line
        self.column = column
        self.rule = rule
        self.remedy = remedy

    def __repr__(self) -> str:
        return f"Fault({self})"

    def __str__(self) -> str:
        place = f"line {self.line}:{self.column}" + (f" {self.pointer}" if self.pointer else "")
        return f"{place}: {self.rule}; {self.remedy}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fault) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def forget(error: BaseException) -> None:
    """Clear the locals of the frames that an error has left: who reports errors with locals would show the file's bytes."""
    trace = error.__traceback__
    while trace is not None:
        try:
            trace.tb_frame.clear()
        except RuntimeError:  # it still runs
            pass
        trace = trace.tb_next


class AccountsInvalid(OperatorError, ValueError):
    """The document is not a valid ``accounts.json``; ``faults`` names every fault that was found.

    State left behind: nothing was written.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class MachineError(RotatorError, OSError):
    """The disk or the lock must recover; what was learned stays in memory."""

    exit_code = 74


class AccountsBusy(MachineError, TimeoutError):
    """Another process held the lock for longer than the caller would wait."""


class AccountsUnreadable(MachineError):
    """The file could not be read for a reason that is not permission."""


class EndpointFailed(MachineError, ConnectionError):
    """A provider's token or quota endpoint gave no usable answer; what was known before stands."""


class ParkTimeout(RotatorError, TimeoutError):
    """Nobody became ready in the time given; ``wake_at`` (aware UTC) is when somebody will be."""

    exit_code = 124

    def __init__(self, message: str, wake_at: datetime | None) -> None:
        super().__init__(message)
        self.wake_at = wake_at
