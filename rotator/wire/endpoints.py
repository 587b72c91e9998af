"""Quota endpoints: where each provider tells an account's quota without spending it, and the request that asks.

Refuses: sending it (``inquiry``), what an answer means (``core.providers``). None of these endpoints but GitHub's and
OpenRouter's is documented; the shapes are those of captures of 2025 and 2026.
"""

from __future__ import annotations

import json

from rotator.core.value import Value
from rotator.wire.inquiry import USER_AGENT, Asked, joined
from rotator.wire.origins import origin_of
from rotator.wire.signing import signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.credentials import Credentials

_GITHUB = "https://api.github.com"
_CLOUDCODE = "https://cloudcode-pa.googleapis.com"


class Endpoint(Value):
    """One quota endpoint. ``name`` is what its back-off is kept under in ``runtime.polls``.

    ``oauth``: it is for subscriptions, and answers no API key. ``models_at``: hosts that serve models alone; a ``base_url``
    there does not move this endpoint.
    """

    name: str
    method: str
    home: str
    path: str
    oauth: bool = False
    agent: str = USER_AGENT
    models_at: tuple[str, ...] = ()


ENDPOINTS: dict[str, tuple[Endpoint, ...]] = {
    "anthropic": (
        Endpoint(
            "usage",
            "GET",
            "https://api.anthropic.com",
            "/api/oauth/usage",
            oauth=True,
            # whom it does not know by this name it answers with 429s alone (anthropics/claude-code 31021)
            agent=f"claude-code/2.1 ({USER_AGENT})",
        ),
    ),
    "codex": (Endpoint("usage", "GET", "https://chatgpt.com", "/backend-api/wham/usage", oauth=True),),
    "google-cloudcode": (
        Endpoint("retrieveUserQuota", "POST", _CLOUDCODE, "/v1internal:retrieveUserQuota", oauth=True),
        Endpoint("fetchAvailableModels", "POST", _CLOUDCODE, "/v1internal:fetchAvailableModels", oauth=True),
    ),
    "openrouter": (Endpoint("key", "GET", "https://openrouter.ai", "/api/v1/key"),),
    "github-copilot": (Endpoint("user", "GET", _GITHUB, "/copilot_internal/user", models_at=("githubcopilot.com",)),),
    "github": (Endpoint("rate_limit", "GET", _GITHUB, "/rate_limit"),),
}
"""By provider. GitHub Models has none: ``/rate_limit`` tells of the REST API, whose limits are not those of models."""


def secret_of(endpoint: Endpoint, credentials: Credentials) -> str | None:
    """The credential that the endpoint takes; None when the account has none of that kind."""
    return credentials.access_token or (None if endpoint.oauth else credentials.api_key)


def place_of(endpoint: Endpoint, base_url: str | None) -> str:
    """Where the endpoint is for an account with this ``base_url``. Raises OriginRefused."""
    if base_url and endpoint.models_at:
        place = origin_of(base_url)
        if place is not None and any(f".{place[1]}".endswith(f".{known}") for known in endpoint.models_at):
            base_url = None
    return joined(base_url, endpoint.home, endpoint.path)


def question(endpoint: Endpoint, credentials: Credentials) -> Asked:
    """The request that asks. Raises OriginRefused, and SecretMissing for a credential that no header can carry."""
    plain = {"accept": "application/json", "user-agent": endpoint.agent}
    body = None
    if endpoint.method == "POST":
        plain["content-type"] = "application/json"
        body = json.dumps({"project": credentials.project_id} if credentials.project_id else {}).encode()
    headers = signed([(name.encode(), value.encode()) for name, value in plain.items()], credentials)
    return Asked(endpoint.method, place_of(endpoint, credentials.base_url), headers, body)
