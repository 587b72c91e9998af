"""What an examination finds: how bad it is, what it is, and what to do. Refuses: finding anything."""

from __future__ import annotations

from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.errors import Fault

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
SEVERITIES = (OK, NOTE, WARNING, ERROR)
"""Rising: as it should be; good to know; somebody should act; the file cannot be used."""


class Finding(Value):
    """One finding about one thing; ``remedy`` is empty where there is nothing to do.

    ``pointer``, ``line`` and ``column`` are of what stands in the file, as a ``Fault`` has them. ``exit_code`` is that of
    an error. No text holds a credential.
    """

    severity: str
    about: str
    what: str
    remedy: str = ""
    pointer: str | None = None
    line: int | None = None
    column: int | None = None
    exit_code: int = 0

    def as_json(self) -> dict[str, Any]:
        """The object that stands for it; what it does not have is null."""
        return {
            "severity": self.severity,
            "about": self.about,
            "what": self.what,
            "remedy": self.remedy or None,
            "pointer": self.pointer,
            "line": self.line,
            "column": self.column,
        }


def ok(about: str, what: str) -> Finding:
    """Something that is as it should be."""
    return Finding(OK, about, what)


def note(about: str, what: str, remedy: str = "") -> Finding:
    """Something that is good to know."""
    return Finding(NOTE, about, what, remedy)


def warning(about: str, what: str, remedy: str) -> Finding:
    """Something that somebody should act on."""
    return Finding(WARNING, about, what, remedy)


def of_fault(severity: str, about: str, fault: Fault, exit_code: int = 0) -> Finding:
    """A fault of the document."""
    return Finding(severity, about, fault.rule, fault.remedy, fault.pointer, fault.line, fault.column, exit_code)
