"""Documents of any size, as they look after a day of use: three models and two windows for each account."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime


def _at(secs_from_now: float) -> str:
    return datetime.fromtimestamp(int(time.time() + secs_from_now), UTC).isoformat().replace("+00:00", "Z")


def pool(count: int, models: tuple[str, ...] = ("model-a", "model-b", "model-c")) -> bytes:
    """A document of ``count`` accounts, the first of them active, so that asking again changes nothing."""
    seen, soon, later = _at(-600), _at(9000), _at(300000)
    accounts = [
        {
            "email": f"user{index}@example.com",
            "provider": "anthropic",
            "refresh_token": f"fake-{index:06d}-{'x' * 80}",
            "project_id": "example-project",
            "runtime": {
                "rev": 3,
                "windows": {
                    "5h": {"remaining_fraction": 0.7, "reset_time": soon, "length_secs": 18000, "updated_at": seen},
                    "7d": {"remaining_fraction": 0.6, "reset_time": later, "length_secs": 604800, "updated_at": seen},
                },
                "models": {
                    model: {
                        "remaining_fraction": round(0.9 - index / (count * 4), 4),
                        "reset_time": later,
                        "windows": {
                            "requests": {
                                "remaining_fraction": round(0.9 - index / (count * 4), 4),
                                "reset_time": later,
                                "updated_at": seen,
                            }
                        },
                        "last_success_at": seen,
                        "consecutive_429": 0,
                        "confidence": 1.0,
                        "updated_at": seen,
                    }
                    for model in models
                },
            },
        }
        for index in range(count)
    ]
    return json.dumps({"version": 2, "active": "user0@example.com", "accounts": accounts}, indent=2).encode()
