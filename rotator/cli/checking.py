"""``check``: every fault of the file with its place, and the schema it is checked by. Refuses: mending, and showing a value of the file."""

from __future__ import annotations

import json

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import INVALID, OK, fault_line
from rotator.cli.params import json_option
from rotator.cli.spelling import findings
from rotator.cli.voice import printable, say, say_json
from rotator.core.codec.decode import VERSION, decode
from rotator.core.codec.faults import runtime_faults_of
from rotator.core.codec.faults import schema as accounts_schema
from rotator.core.status import SCHEMA_VERSION
from rotator.errors import AccountsInvalid, Fault
from rotator.store.reading import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.cli.finding import Finding


@click.command(
    "check",
    epilog="""\b
Examples:
  rotator check
  rotator --accounts pool.json check --json
  rotator check --schema > accounts.schema.json    # then "$schema": "./accounts.schema.json"

\b
Exit codes:
  0    valid, perhaps with warnings: a fault within a runtime, which then counts as missing;
       a misspelt key, a provider that is not known, names that look alike
  78   not valid; nothing else will use the file until it is mended
  66, 74, 77   no file, I/O, permission""",
)
@json_option()
@click.option("--schema", is_flag=True, help="Print the JSON Schema instead: every key, its meaning and its range.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, schema: bool) -> int:
    """Validate accounts.json. Each fault is a line `path:line:column: place rule; remedy`, none shows a value of the file.

    The keys of an account and of `policy` are described in the JSON Schema that --schema prints. An editor that finds
    it under "$schema" completes and explains them.
    """
    if schema:
        say(json.dumps(accounts_schema(), indent=2, ensure_ascii=False))
        return OK
    path = path_of(ctx.obj)
    raw = b""
    faults: tuple[Fault, ...] = ()
    accounts, version, newer = None, None, False
    try:
        raw = read(path).raw
        document, pool = decode(raw)
        accounts, version, newer = len(pool), document.version, document.newer
    except AccountsInvalid as error:
        faults = error.faults
    slips = () if newer else tuple(map(_slip, findings(raw)))
    within = runtime_faults_of(raw)
    if as_json:
        say_json(
            {
                "schema_version": SCHEMA_VERSION,
                "path": path,
                "valid": not faults,
                "version": version,
                "accounts": accounts,
                "faults": [_told(fault) for fault in faults],
                "warnings": [_told(fault) for fault in slips + within],
            }
        )
        return INVALID if faults else OK
    for fault in faults:
        say(fault_line(path, fault))
    for fault in slips + within:
        say(fault_line(path, fault, "warning: "))
    if faults:
        say(printable(f"{path}: not valid, {_count(len(faults), 'fault')}"))
        return INVALID
    remarks = _newer(version) if newer else _remarks(len(slips), len(within))
    say(printable(f"{path}: valid, {_count(accounts or 0, 'account')}{remarks}"))
    return OK


def _slip(finding: Finding) -> Fault:
    return Fault(finding.pointer or "", finding.line or 1, finding.column or 1, finding.what, finding.remedy)


def _newer(version: int | None) -> str:
    return f"; version {version} is newer than {VERSION}, so it is read and never written"


def _remarks(slips: int, within: int) -> str:
    told = f"; {_count(slips, 'warning')}" if slips else ""
    if within:
        told += f"; {_count(within, 'fault')} within runtime, which do no harm but that it counts as missing"
    return told


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _told(fault: Fault) -> dict[str, Any]:
    return {
        "pointer": fault.pointer,
        "line": fault.line,
        "column": fault.column,
        "rule": fault.rule,
        "remedy": fault.remedy,
    }
