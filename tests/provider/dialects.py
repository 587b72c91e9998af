"""The families that the simulator speaks: who counts by model, how limits are told, how each refusal is said.

Refuses: bodies of successes (``shapes``), the token endpoint (``tokens``), polling (``quotas``). The refusals of each
family are in ``said_by_*``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.provider import said_by_anthropic, said_by_google, said_by_openai, said_by_others

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.accounts import Answer, Standing

REFUSALS = (
    "spent",
    "silent_ban",
    "bare",
    "unknown",
    "expired",
    "overloaded",
    "banned",
    "restricted",
    "billing",
)
"""What every family can say: quota spent; rejected with no reset; a 429 without limit or delay; a credential that is
not known, or over; no capacity; the hard states."""


@dataclass(frozen=True)
class Dialect:
    """One family. ``provider`` is its name in ``accounts.json``; ``per_model``: a quota for each model by itself."""

    provider: str
    per_model: bool
    windows: Callable[[Standing], dict[str, str]]
    refuse: Callable[[str, Standing], Answer]


DIALECTS = {
    "anthropic": Dialect("anthropic", True, said_by_anthropic.windows, said_by_anthropic.refuse),
    "openai": Dialect("openai", True, said_by_openai.openai_windows, said_by_openai.refuse_openai),
    "groq": Dialect("groq", True, said_by_openai.groq_windows, said_by_openai.refuse_groq),
    "codex": Dialect("codex", False, said_by_openai.codex_windows, said_by_openai.refuse_codex),
    "google": Dialect("google-gemini-api", True, said_by_google.windows, said_by_google.refuse_gemini),
    "cloudcode": Dialect("google-cloudcode", True, said_by_google.windows, said_by_google.refuse_cloudcode),
    "openrouter": Dialect("openrouter", True, said_by_others.openrouter_windows, said_by_others.refuse_openrouter),
    "mistral": Dialect("mistral", True, said_by_others.mistral_windows, said_by_others.refuse_mistral),
    "github-models": Dialect(
        "github-models", True, said_by_others.github_models_windows, said_by_others.refuse_github_models
    ),
    "copilot": Dialect("github-copilot", False, said_by_others.copilot_windows, said_by_others.refuse_copilot),
    "ietf": Dialect("ietf", False, said_by_others.ietf_windows, said_by_others.refuse_ietf),
}


def counts_by_model(dialect: str, *, oauth: bool) -> bool:
    """Whether each model has a quota of its own; a subscription's is for all of them."""
    return DIALECTS[dialect].per_model and not (dialect == "anthropic" and oauth)
