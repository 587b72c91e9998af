"""A pool in which accounts are ready, cooling down and beyond help, at an instant that stands still; and who asks about it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
MODEL = "gemini-3-pro"


class Still:
    """A clock that does not go."""

    def now(self):
        return NOW

    def monotonic(self):
        return 0.0

    def wait(self, event, secs):
        return event.wait(0)


def quota(left, reset):
    return {"remaining_fraction": left, "reset_time": reset, "updated_at": "2026-11-20T09:59:00Z"}


DOCUMENT = {
    "version": 2,
    "active": "a@example.com",
    "accounts": [
        {
            "name": "a@example.com",
            "api_key": "fake-a",
            "runtime": {
                "rev": 1,
                "models": {MODEL: {"cooldown_until": "2026-11-20T14:12:00Z", "cooldown_source": "retry-after"}},
            },
        },
        {
            "name": "b@example.com",
            "refresh_token": "fake-b",
            "runtime": {"rev": 1, "models": {MODEL: quota(0.63, "2026-11-20T10:40:00Z")}},
        },
        {"name": "c@example.com", "runtime": {"rev": 1, "auth_failed": True, "blocked_reason": "invalid_grant"}},
    ],
}


def asked(app, target="/v1/accounts/status", method="GET", headers=None):
    """The answer to one request, in process."""

    async def send():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
            return await client.request(method, target, headers=headers)

    return asyncio.run(send())
