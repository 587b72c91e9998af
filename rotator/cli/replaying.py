"""`rotator replay`: a recorded log, and what would have been picked at each of its requests by the policy as it is now.

Refuses: choosing (``engine.retracing``), what a line means (``core.history``). Nothing is written.
"""

from __future__ import annotations

import json

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import OK
from rotator.cli.params import Words, json_option
from rotator.cli.voice import in_zone, printable, say, say_json, talk
from rotator.core.codec.decode import decode
from rotator.core.history import Broken, Heard, Stood, entry_of
from rotator.core.instants import rfc3339
from rotator.core.policy import Policy
from rotator.core.pool import Pool
from rotator.core.state import UNKNOWN
from rotator.engine.ingesting import checked
from rotator.engine.retracing import retrace, summary
from rotator.errors import AccountsInvalid, BadArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rotator.core.history import Asked
    from rotator.engine.retracing import Retraced

SCHEMA_VERSION = 1
_BROKEN = 1
"""The exit code of a run that had to skip lines, as ``doctor`` has for what is not in order."""
_MOST_WARNINGS = 20
_MOST_STRANGERS = 5


@click.command(
    "replay",
    epilog="""\b
Examples:
  rotator next -m gemini-3-pro --record picks.jsonl
  rotator report a@example.com -m gemini-3-pro --status 429 --record picks.jsonl
  rotator replay picks.jsonl
  rotator replay picks.jsonl --diff --policy-json '{"selector": "round_robin"}'
  rotator --accounts tried.json replay picks.jsonl --json

\b
Lines of a log, one JSON object each; other tools may write these:
  {"kind": "request", "at": "2026-11-20T10:00:00Z", "model": "m", "account": "a"}
  {"kind": "response", "at": "2026-11-20T10:00:03Z", "model": "m", "account": "a",
  "status": 429, "headers": {"retry-after": "60"}, "body": null}

\b
Exit codes:
  0 done    1 lines were broken and skipped    2 usage, no such log
  66, 77, 78   no accounts, permission, file not valid    74 I/O    130 Ctrl-C""",
)
@click.argument("log", metavar="LOG", type=Words())
@click.option("--policy-json", metavar="JSON", type=Words(), help="Numbers of the policy to change, as in `policy`.")
@click.option("--policy", "policy_file", metavar="FILE", type=Words(), help="A file with such an object.")
@click.option("--diff", is_flag=True, help="Show only the requests for which another account is picked.")
@json_option()
@click.pass_context
def command(ctx: click.Context, /, log: str, *, diff: bool, as_json: bool, **given: Any) -> int:
    """Pick again at every request of LOG, and compare with what was picked then; - is stdin.

    Accounts and policy are those of the log, or with --accounts those of that file, and the policy's numbers that are
    given here go over them. What was learned is as it was: of a 429 that another pick would have met or not, only what
    the log shows of that account soon after counts.
    """
    overrides = _overrides(ctx, given["policy_json"], given["policy_file"])
    entries, broken = _entries(ctx, log)
    first = entries[0][1] if entries else None
    explicit = None if ctx.obj is None else _pool_of(ctx.obj)
    if first is None or isinstance(first, Stood):
        base = Pool((), None, Policy())
    else:
        base = _pool_of(path_of(ctx.obj)) if explicit is None else explicit
        base = Pool([account.replace(runtime=UNKNOWN) for account in base], None, base.policy)
    prepare = _preparing(explicit, overrides)
    steps = list(retrace(entries, prepare(base), prepare))
    found = summary(steps)
    shown = [step for step in steps if not (diff and step.agrees)]
    if as_json:
        told = {"schema_version": SCHEMA_VERSION, "requests": [_object(step) for step in shown], "summary": found}
        say_json({**told, "broken": [{"line": number, "reason": why} for number, why in broken]})
    else:
        say("\n".join([*map(_line, shown), _summary(found)]))
    for number, why in broken[:_MOST_WARNINGS]:
        talk(f"{log}:{number}: {why}; the line is skipped")
    if len(broken) > _MOST_WARNINGS:
        talk(f"{log}: {len(broken)} lines are broken in all")
    if strangers := _strangers(entries, prepare(base)):
        talk(f"{log}: of {', '.join(strangers)} nothing can be learned: no account has that name")
    return _BROKEN if broken else OK


def _overrides(ctx: click.Context, text: str | None, path: str | None) -> dict[str, Any]:
    """What the options change of the policy; a usage error for what is none."""
    if text is not None and path is not None:
        message = "--policy-json and --policy both give a policy"
        raise click.UsageError(message, ctx)
    if path is not None:
        text = _read(ctx, path).decode("utf-8", "replace")
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        message = 'a policy is a JSON object, such as {"hysteresis": 0.1}'
        raise click.UsageError(message, ctx)
    for name in found:
        if name not in Policy.__match_args__:
            message = f"there is no {printable(name)} in the policy; there is {', '.join(Policy.__match_args__)}"
            raise click.UsageError(message, ctx)
    try:
        policy = decode(json.dumps({"version": 2, "policy": found, "accounts": []}).encode())[1].policy
    except AccountsInvalid as error:
        told = "; ".join(f"{fault.pointer.rpartition('/')[2]}: {fault.rule}" for fault in error.faults)
        message = f"the policy is not valid: {printable(told)}"
        raise click.UsageError(message, ctx) from None
    return {name: getattr(policy, name) for name in found}


def _preparing(explicit: Pool | None, overrides: dict[str, Any]) -> Callable[[Pool], Pool]:
    """What makes of a pool of the log the one that is asked: a person's file over it, then the policy's numbers."""

    def prepare(pool: Pool) -> Pool:
        accounts, policy = list(pool), pool.policy
        if explicit is not None:
            policy = explicit.policy
            accounts = [
                account.replace(runtime=pool.account(account.name).runtime if account.name in pool else UNKNOWN)
                for account in explicit
            ]
        names = {account.name for account in accounts}
        return Pool(accounts, pool.active if pool.active in names else None, policy.replace(**overrides))

    return prepare


def _strangers(entries: list[tuple[int, Asked | Heard | Stood]], base: Pool) -> list[str]:
    """The first few names in responses that no account bears, neither at the beginning nor in a pool of the log."""
    found: dict[str, None] = {}
    known = {account.name for account in base}
    for _, entry in entries:
        if isinstance(entry, Stood):
            known.update(account.name for account in entry.pool)
        elif isinstance(entry, Heard) and entry.account and entry.account not in known:
            found[entry.account] = None
    return [*found][:_MOST_STRANGERS]


def _pool_of(path: str) -> Pool:
    from rotator.store.reading import read

    return decode(read(path).raw)[1]


def _entries(ctx: click.Context, log: str) -> tuple[list[tuple[int, Asked | Heard | Stood]], list[tuple[int, str]]]:
    """What the lines say, with their numbers; and those that say nothing, with why."""
    entries: list[tuple[int, Asked | Heard | Stood]] = []
    broken: list[tuple[int, str]] = []
    for number, line in enumerate(_read(ctx, log).split(b"\n"), 1):
        if line.strip():
            try:
                entry = entry_of(line)
                if isinstance(entry, Heard):
                    checked(entry.facts or ())
                entries.append((number, entry))
            except (Broken, BadArgument) as error:
                broken.append((number, str(error)))
    return entries, broken


def _read(ctx: click.Context, path: str) -> bytes:
    """All of a file, or of stdin for ``-``; a usage error when it is not there."""
    stdin = path == "-"
    try:
        with open(0 if stdin else path, "rb", closefd=not stdin) as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError) as error:
        message = f"{path}: {error.strerror}"
        raise click.UsageError(message, ctx) from None


def _object(step: Retraced) -> dict[str, Any]:
    asked = step.asked
    return {
        "line": step.line,
        "at": rfc3339(asked.at),
        "model": asked.model,
        "session": asked.session,
        "tags": [*asked.tags],
        "size": asked.size,
        "then": {
            "outcome": asked.outcome or None,
            "account": asked.account,
            "selection_reason": asked.reason,
            "status": step.status,
        },
        "now": {
            "outcome": step.outcome,
            "account": step.account,
            "selection_reason": step.reason,
            "explanation": step.explanation,
            "wake_at": None if step.wake_at is None else rfc3339(step.wake_at),
        },
        "agrees": step.agrees,
        "shown_429": step.shown,
    }


_SHOWN = {
    "avoided": "; its 429 would have been avoided",
    "met": "; a 429 all the same",
    "unknown": "; of its 429 the log does not show enough",
}


def _line(step: Retraced) -> str:
    """One request: when, of what, who was picked then where that is another one, who is now, and why."""
    when = in_zone(step.asked.at).isoformat(" ", "seconds")
    now = step.account or step.outcome
    if not step.agrees:
        now = f"{step.asked.account or step.asked.outcome or 'nobody'} -> {now}"
    reason = "" if step.reason is None else f" ({step.reason.replace('_', ' ')})"
    return printable(f"{when}  {step.asked.model}  {now}{reason}  {step.explanation}{_SHOWN.get(step.shown or '', '')}")


def _summary(found: dict[str, int]) -> str:
    """The log in one line."""
    total = found["requests"]
    if not total:
        return "no request is in the log"
    same = f"{found['agreements']} the same ({100 * found['agreements'] / total:.1f} %)"
    told = f"{total} request{'' if total == 1 else 's'}: {same}, {found['differences']} other"
    if not found["responses_429"]:
        return f"{told}; no 429 met one of them"
    others = f"{found['avoided']} would have been avoided, {found['met']} met all the same, {found['unknown']} cannot be told"
    return f"{told}; {found['responses_429']} met a 429, of which with the other pick {others}"
