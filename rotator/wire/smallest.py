"""Smallest: the cheapest request that shows that an account can be served, for each provider.

Refuses: sending it (``inquiry``), what the answer means (``core.providers``), and what is no request of a plain client:
Copilot serves its own programs alone.
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlsplit

from rotator.core.value import Value
from rotator.wire.inquiry import USER_AGENT, Asked, joined
from rotator.wire.signing import signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rotator.credentials import Credentials

_WORD = "ok"
_AZURE_VERSION = "2024-10-21"
"""The last generally available version of the API with the deployment in its path."""


class Form(Value):
    """How a provider is asked. ``home`` is where its API is; empty where every account has its own.

    ``model`` is the cheapest that is known here, None where nobody can know. ``body`` is made of model and credentials.
    """

    home: str
    path: str
    model: str | None
    body: Callable[[str, Credentials], dict[str, Any]]


def _messages(model: str, _: Credentials) -> dict[str, Any]:
    return {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": _WORD}]}


def _completion(model: str, _: Credentials) -> dict[str, Any]:
    # 16, because models that think before they speak refuse less
    return {"model": model, "max_completion_tokens": 16, "messages": [{"role": "user", "content": _WORD}]}


def _content(_model: str, _: Credentials) -> dict[str, Any]:
    contents = [{"role": "user", "parts": [{"text": _WORD}]}]
    return {"contents": contents, "generationConfig": {"maxOutputTokens": 1}}


def _cloudcode(model: str, credentials: Credentials) -> dict[str, Any]:
    project = {"project": credentials.project_id} if credentials.project_id else {}
    return {"model": model, **project, "request": _content(model, credentials)}


def _response(model: str, _: Credentials) -> dict[str, Any]:
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": _WORD}]}
    return {"model": model, "instructions": "Say ok.", "input": [said], "store": False, "stream": True}


_CHAT = "/chat/completions"
_VERTEX = "/v1/projects/{project}/locations/global/publishers/google/models/{model}:generateContent"
FORMS = {
    "anthropic": Form("https://api.anthropic.com", "/v1/messages", "claude-haiku-4-5", _messages),
    "openai": Form("https://api.openai.com/v1", _CHAT, "gpt-4.1-nano", _completion),
    "azure-openai": Form(
        "", f"/openai/deployments/{{model}}/chat/completions?api-version={_AZURE_VERSION}", None, _completion
    ),
    "codex": Form("https://chatgpt.com", "/backend-api/codex/responses", "gpt-5-codex-mini", _response),
    "google-gemini-api": Form(
        "https://generativelanguage.googleapis.com",
        "/v1beta/models/{model}:generateContent",
        "gemini-2.5-flash-lite",
        _content,
    ),
    "google-vertex": Form("https://aiplatform.googleapis.com", _VERTEX, "gemini-2.5-flash-lite", _content),
    "google-cloudcode": Form(
        "https://cloudcode-pa.googleapis.com", "/v1internal:generateContent", "gemini-2.5-flash", _cloudcode
    ),
    "openrouter": Form("https://openrouter.ai/api/v1", _CHAT, "openai/gpt-4.1-nano", _messages),
    "groq": Form("https://api.groq.com/openai/v1", _CHAT, "llama-3.1-8b-instant", _messages),
    "mistral": Form("https://api.mistral.ai/v1", _CHAT, "ministral-3b-latest", _messages),
    "github-models": Form("https://models.github.ai/inference", _CHAT, "openai/gpt-4.1-nano", _messages),
    "generic": Form("", _CHAT, None, _messages),
    "ietf": Form("", _CHAT, None, _messages),
}
"""By provider; the models are those of the providers' price lists of 2026, and ``-m`` names another."""


def request(credentials: Credentials, model: str) -> Asked | None:
    """The request of this model; None when the account lacks what it takes: an address, a project or a credential.

    Raises OriginRefused, and SecretMissing for a credential that no header can carry.
    """
    form = FORMS.get(credentials.provider)
    if form is None or not (credentials.access_token or credentials.api_key) or not (credentials.base_url or form.home):
        return None
    if "{project}" in form.path and not credentials.project_id:
        return None
    path = form.path.format(model=quote(model, safe=""), project=quote(credentials.project_id or "", safe=""))
    plain = [(b"content-type", b"application/json"), (b"user-agent", USER_AGENT.encode())]
    if credentials.provider == "anthropic":
        plain.append((b"anthropic-version", b"2023-06-01"))
    url = _chat(credentials.base_url, form) if form.path == _CHAT else joined(credentials.base_url, form.home, path)
    return Asked("POST", url, signed(plain, credentials), json.dumps(form.body(model, credentials)).encode())


def _chat(base_url: str | None, form: Form) -> str:
    """OpenAI's convention: a ``base_url`` with a path is the whole address of the API."""
    base = (base_url or form.home).strip()
    joined(base, form.home, "/")
    parts = urlsplit(base)
    path = parts.path.rstrip("/") or urlsplit(form.home).path or "/v1"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{_CHAT}"  # httpx logs it: no user, no query
