"""Status: a decision as the JSON object that the command line, the status API and ``explain`` all give.

Its shape is ``schemas/status.schema.json``. Refuses: deciding, the file (whoever has one adds it), text for terminals.
"""

from __future__ import annotations

from rotator.core.instants import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from rotator.core.selection import Candidate, Parked, Selected, Unavailable

SCHEMA_VERSION = 1


def _instant(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value.timestamp())


def candidate_json(candidate: Candidate) -> dict[str, Any]:
    """One account of a decision."""
    return {
        "account": candidate.account,
        "ready": candidate.ready,
        "ready_at": _instant(candidate.ready_at),
        "next_ready_at": _instant(candidate.next_ready_at),
        "blocked_by": candidate.blocked_by,
        "tier": list(candidate.tier),
        "selection_score": candidate.selection_score,
        "terms": candidate.score.terms,
        "selection_reason": candidate.selection_reason,
        "confidence": candidate.confidence,
        "last_known_model_state_summary": candidate.last_known_model_state_summary,
    }


def outcome_json(outcome: Selected | Parked | Unavailable, *, durable: bool) -> dict[str, Any]:
    """The whole decision; ``durable`` is whether what is learned reaches the disk."""
    return {
        "schema_version": SCHEMA_VERSION,
        "outcome": outcome.outcome,
        "model": outcome.model,
        "account": outcome.account,
        "previous": outcome.previous,
        "switched": outcome.switched,
        "selection_reason": outcome.selection_reason,
        "explanation": outcome.explanation,
        "decided_at": _instant(outcome.decided_at),
        "wake_at": _instant(outcome.wake_at),
        "emergency": outcome.emergency,
        "durable": durable,
        "candidates": [candidate_json(candidate) for candidate in outcome.candidates],
    }


def status_json(
    outcomes: list[Selected | Parked | Unavailable], file: dict[str, Any], *, model: str | None
) -> dict[str, Any]:
    """``file`` beside the decision of one model, or beside those of all known models when ``model`` is None.

    ``file`` has ``path``, ``mode``, ``durable`` and ``last_error``.
    """
    each = [outcome_json(outcome, durable=bool(file["durable"])) for outcome in outcomes]
    if model is not None:
        return {**each[0], "file": file}
    return {"schema_version": SCHEMA_VERSION, "file": file, "models": [{**one, "file": file} for one in each]}
