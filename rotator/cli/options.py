"""The options of ``next``, once: the quick parser reads argv by this table and click builds its options from it.

Refuses: parsing.
"""

from __future__ import annotations

from rotator.core.value import Value

ACCOUNTS = "--accounts"
"""The option that every command takes, before its name or after it; after it, click reads it."""

TEXT, TEXTS, FLAG, SECS = "text", "texts", "flag", "secs"


class Option(Value):
    """``kind``: ``text`` (once), ``texts`` (any number of times), ``flag``, or ``secs`` (a duration; click's alone)."""

    name: str
    flags: tuple[str, ...]
    kind: str
    metavar: str
    help: str
    required: bool = False


NEXT = (
    Option(
        "model", ("-m", "--model"), TEXT, "MODEL", "The model of the request, as the provider names it.", required=True
    ),
    Option("session", ("--session",), TEXT, "KEY", "A conversation that stays on its account while that is good."),
    Option("tags", ("--tag",), TEXTS, "TAG", "Only accounts with this tag; given twice, with both."),
    Option("peek", ("--peek",), FLAG, "", "Decide without taking: nothing is changed."),
    Option("wait", ("--wait",), SECS, "SECS", "When nobody is ready, wait this long (90, 15m, 5h)."),
    Option("json", ("--json",), FLAG, "", "Print the whole decision as one JSON object."),
    Option("explain", ("--explain",), FLAG, "", "Also show every candidate with its score and terms, on stderr."),
    Option("record", ("--record",), TEXT, "FILE", "Append the choice to this log, without secrets, for `replay`."),
)
"""In the order in which ``--help`` shows them."""


class Asked(Value):
    """One question, as either parser understood it; ``wait`` in seconds, None is not at all."""

    accounts: str | None = None
    model: str = ""
    session: str | None = None
    tags: tuple[str, ...] = ()
    peek: bool = False
    wait: float | None = None
    json: bool = False
    explain: bool = False
    record: str | None = None
