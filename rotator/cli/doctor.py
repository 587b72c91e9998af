"""``doctor``: which file, why that one, what is wrong with it or around it, and what to do.

Refuses: mending anything, and showing a credential.
"""

from __future__ import annotations

import os
import stat as modes

import click

from rotator.cli import contents, copies, mounts, spelling, surroundings
from rotator.cli.accounts import NAME, VARIABLE, path_of
from rotator.cli.finding import ERROR, NOTE, OK, SEVERITIES, WARNING, Finding, note, of_fault, ok
from rotator.cli.params import json_option
from rotator.cli.voice import printable, say, say_json
from rotator.clock import MachineClock
from rotator.core.status import SCHEMA_VERSION
from rotator.errors import AccountsInvalid, AccountsMissing, RotatorError
from rotator.store.reading import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKS = {OK: "✓", NOTE: "·", WARNING: "!", ERROR: "✗"}
_WARNED = 1


@click.command(
    "doctor",
    epilog="""\b
Examples:
  rotator doctor
  rotator --accounts pool.json doctor --json

\b
Marks:
  ✓ as it should be    · good to know    ! somebody should act    ✗ the file cannot be used

\b
Exit codes:
  0    nothing but notes
  1    warnings
  78, 77, 66, 74   the file cannot be used: not valid, permission, no file, I/O""",
)
@json_option()
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> int:
    """Examine accounts.json and where it lies. No credential is shown, and nothing is changed: at most a lock file is made."""
    path, found = _examined(ctx.obj)
    if as_json:
        say_json(
            {
                "schema_version": SCHEMA_VERSION,
                "path": path,
                "severity": _worst(found),
                "findings": [finding.as_json() for finding in found],
            }
        )
    else:
        for finding in found:
            say(_line(finding, path or NAME))
        say(printable(f"{path or NAME}: {_summary(found)}"))
    return _exit_code(found)


def _examined(given: str | None) -> tuple[str | None, list[Finding]]:
    """The path, None when there is none, and every finding, in the order in which a person would look."""
    try:
        path = path_of(given)
    except AccountsMissing as error:
        return None, [_unusable(error)]
    found = [*_which(path, given)]
    raw, status = None, None
    try:
        raw = read(path).raw
    except AccountsInvalid as error:
        found += [of_fault(ERROR, "content", fault, error.exit_code) for fault in error.faults]
    except RotatorError as error:
        found.append(_unusable(error))
    try:
        status = os.stat(path)
    except OSError:
        return path, found
    if modes.S_ISREG(status.st_mode):
        found += surroundings.findings(path, status, has_secrets=raw is None or contents.has_secrets(raw))
        target = os.path.realpath(path)
        found += mounts.findings(target)
        found += copies.findings(target)
    if raw is not None:
        found += contents.findings(raw, MachineClock().now().timestamp(), status.st_mtime)
        found += spelling.findings(raw)
    return path, found


def _which(path: str, given: str | None) -> Iterator[Finding]:
    """Why it is this file and no other."""
    if given:
        why = "--accounts names it"
    elif os.environ.get(VARIABLE):
        why = f"the environment variable {VARIABLE} names it"
    elif path == NAME:
        why = "it lies in this folder"
    else:
        why = "it is this user's configuration, since there is none in this folder"
    yield ok("file", f"{path}: {why}")
    if path != NAME and os.path.lexists(NAME) and os.path.realpath(NAME) != os.path.realpath(path):
        yield note("file", f"the {NAME} in this folder is not used", "say --accounts to use it, or remove it")


def _unusable(error: RotatorError) -> Finding:
    text = str(error.strerror) if isinstance(error, OSError) else str(error)
    what, _, remedy = text.partition("; ")
    return Finding(ERROR, "file", what, remedy, exit_code=error.exit_code)


def _line(finding: Finding, path: str) -> str:
    """The mark, what it is about and what it is; what to do stands below, under the text."""
    place = "" if finding.line is None else f"{path}:{finding.line}:{finding.column}: "
    pointer = f"{finding.pointer} " if finding.pointer else ""
    first = printable(f"{_MARKS[finding.severity]} {finding.about}: {place}{pointer}{finding.what}")
    return f"{first}\n    {printable(finding.remedy)}" if finding.remedy else first


def _worst(found: list[Finding]) -> str:
    return max([finding.severity for finding in found], key=SEVERITIES.index)


def _summary(found: list[Finding]) -> str:
    """How many of each severity, the worst first."""
    counts = [(each, sum(finding.severity == each for finding in found)) for each in (ERROR, WARNING, NOTE)]
    told = [f"{number} {each}{'' if number == 1 else 's'}" for each, number in counts if number]
    return ", ".join(told) or "all is well"


def _exit_code(found: list[Finding]) -> int:
    """That of the first error, since what comes after may follow from it."""
    errors = [finding.exit_code for finding in found if finding.severity == ERROR]
    if errors:
        return errors[0]
    return _WARNED if _worst(found) == WARNING else 0
