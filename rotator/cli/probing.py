"""`rotator probe`: which accounts can really start a session, found out, learned and told in a line each.

Refuses: probing (``wire.probing``), and showing what a command printed beyond its last line.
"""

from __future__ import annotations

import click

from rotator.cli.accounts import path_of
from rotator.cli.endings import IO, OK, PARKED
from rotator.cli.gauge import Gauge
from rotator.cli.naming import account_of
from rotator.cli.params import Length, Words, completing, json_option, model_option, names_of
from rotator.cli.voice import printable, say, say_json
from rotator.core.explain import duration
from rotator.core.instants import rfc3339
from rotator.core.status import SCHEMA_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.wire.probing import ProbeResult

SOME_REFUSED = 1
_WORDS = {
    "available": "can start a session",
    "refused": "cannot start a session",
    "throttled": "nothing found out: it was throttled",
    "not_made": "nothing found out",
    "skipped": "skipped",
}


@click.command(
    "probe",
    epilog="""\b
Examples:
  rotator probe                          everybody who is not disabled or on hold
  rotator probe a@example.com --timeout 30s
  rotator probe b@example.com -m gpt-5-mini --json

\b
An account may have a command of its own, which says by its exit code:
  {"name": "a@example.com", "provider": "anthropic", "probe": ["claude", "-p", "ok"]}
It runs without a shell and without a terminal, with the account's credentials in its
environment as `rotator env` gives them; of its output only the last line is kept.

\b
Without one the smallest request is sent; it costs a few tokens, and may begin the 5 h
window of a subscription. Unless -m names another model:
  anthropic          claude-haiku-4-5        openai         gpt-4.1-nano
  google-gemini-api  gemini-2.5-flash-lite   google-vertex  gemini-2.5-flash-lite
  google-cloudcode   gemini-2.5-flash        codex          gpt-5-codex-mini
  openrouter         openai/gpt-4.1-nano     github-models  openai/gpt-4.1-nano
  groq               llama-3.1-8b-instant    mistral        ministral-3b-latest
or, where the account does not serve that, a model that it names or has served.

\b
An account that fails is not chosen for policy.probe_ttl seconds (7200), unless that would
leave nobody. A throttle, a provider in trouble and no network are no failure: the first two
are learned as of any response.

\b
Exit codes:
  0    every account can start a session
  1    an account cannot
  74   a probe could not be made: no network, no such command, no credential (or I/O)
  75   none of these, but a provider throttled or was in trouble: try again later
  2    no such account
  66, 77, 78   no file, permission, file not valid""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1, type=Words(), shell_complete=completing(names_of))
@model_option(required=False, meaning="The model of the request. A command of the account's own ignores it.")
@click.option(
    "--timeout", metavar="SECS", type=Length(), default="120s", show_default=True, help="How long a probe may take."
)
@json_option()
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], model: str | None, timeout: float, *, as_json: bool) -> int:
    """Find out whether these accounts, or all, can really start a session."""
    if timeout <= 0:
        message = "--timeout 0 leaves no time for an answer"
        raise click.UsageError(message)
    from rotator.cli.opening import Opened
    from rotator.wire.probing import probe

    opened = Opened(path_of(ctx.obj))
    with opened as rotator:
        for name in names:
            account_of(rotator.pool, name)
        with Gauge("probing") as gauge:
            results = probe(rotator, names or None, model=model, timeout_secs=timeout, progress=gauge.show)
        ttl = rotator.pool.policy.probe_ttl
    if as_json:
        probes = [_told(result) for result in results]
        say_json({"schema_version": SCHEMA_VERSION, "durable": opened.durable, "probes": probes})
    else:
        for result in results:
            say(printable(_line(result, ttl)))
    return IO if opened.failed else _code({result.outcome for result in results})


def _code(outcomes: set[str]) -> int:
    for outcome, code in (("refused", SOME_REFUSED), ("not_made", IO), ("throttled", PARKED)):
        if outcome in outcomes:
            return code
    return OK


def _line(result: ProbeResult, ttl: float) -> str:
    more = f", {result.reason}" if result.reason else ""
    out = f"; not chosen for {duration(ttl)} unless nobody else is left" if result.outcome == "refused" else ""
    model = f" {result.model}" if result.model else ""
    return f"{result.account}{model}: {_WORDS[result.outcome]}{more}{out}"


def _told(result: ProbeResult) -> dict[str, Any]:
    return {
        "account": result.account,
        "outcome": result.outcome,
        "ok": {"available": True, "refused": False}.get(result.outcome),
        "reason": result.reason or None,
        "model": result.model,
        "at": None if result.at is None else rfc3339(result.at.timestamp()),
    }
