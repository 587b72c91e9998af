"""What a model's answer looks like in each API: whole, or as the events of a stream.

Refuses: whether it is given at all. The text is the name of the account that served, so that a caller can tell.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

GOOGLE_PATH = re.compile(r"/(?:v1|v1beta)/(?:projects/[^/]+/locations/[^/]+/publishers/google/)?models/([^:]+):(\w+)")
USED = (10, 5)
"""Tokens of every answer: input, output."""

SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


@dataclass
class Ask:
    """A request for a model's answer. ``shape``: ``messages``, ``chat``, ``responses``, ``gemini`` or ``cloudcode``."""

    shape: str
    model: str
    stream: bool
    array: bool = False
    usage: bool = False

    @property
    def content_type(self) -> dict[str, str]:
        return SSE if self.stream and not self.array else {"content-type": "application/json"}


def asked(path: str, query: str, body: bytes) -> Ask | None:
    """What a POST to this path asks for; None at no model endpoint. Without a JSON object the model is ``""``."""
    google = GOOGLE_PATH.fullmatch(path)
    if google:
        stream = google[2] == "streamGenerateContent"
        return Ask("gemini", google[1], stream, array=stream and parse_qs(query).get("alt") != ["sse"])
    shape = next((shape for ending, shape in _ENDINGS.items() if path.endswith(ending)), None)
    if shape is None:
        return None
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    stream = told.get("stream") is True or path.endswith(":streamGenerateContent")
    usage = bool((told.get("stream_options") or {}).get("include_usage"))
    return Ask(shape, str(told.get("model") or ""), stream, usage=usage)


_ENDINGS = {
    "/v1/messages": "messages",
    "/chat/completions": "chat",
    "/responses": "responses",
    "/v1internal:generateContent": "cloudcode",
    "/v1internal:streamGenerateContent": "cloudcode",
}
FAMILY_OF_SHAPE = {
    "messages": "anthropic",
    "chat": "openai",
    "responses": "openai",
    "gemini": "google",
    "cloudcode": "cloudcode",
}
"""Who answers a credential that nobody knows."""


def whole(ask: Ask, text: str, number: int) -> dict[str, Any]:
    """The answer as one document."""
    if ask.shape == "messages":
        return _message(ask, number, [{"type": "text", "text": text}], "end_turn", USED[1])
    if ask.shape == "chat":
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": "stop",
        }
        return {**_completion(ask, number, "chat.completion"), "choices": [choice], "usage": _chat_usage()}
    if ask.shape == "responses":
        return _response(ask, number, "completed", [_item(number, "completed", [_part(text)])])
    return _candidate(ask, number, text, "STOP")


def stream(ask: Ask, text: str, number: int, pieces: int) -> list[bytes]:
    """The answer as so many writes, at least one, each of whole events; the texts after the first are `` .``."""
    texts = [text] + [" ."] * (pieces - 1)
    if ask.shape == "messages":
        return _message_stream(ask, texts, number)
    if ask.shape == "chat":
        return _chat_stream(ask, texts, number)
    if ask.shape == "responses":
        return _response_stream(ask, texts, number)
    found = [_candidate(ask, number, said, "STOP" if said is texts[-1] else None) for said in texts]
    if ask.array:
        found_bytes = [json.dumps(candidate).encode() for candidate in found]
        return [(b"," if at else b"[") + one for at, one in enumerate(found_bytes[:-1])] + [
            (b"," if found_bytes[:-1] else b"[") + found_bytes[-1] + b"]"
        ]
    return [_data(candidate, b"\r\n\r\n") for candidate in found]


def error_event(ask: Ask, body: Any) -> bytes:
    """An error inside a stream whose status was 200."""
    if ask.shape == "messages":
        return _event("error", body)
    if ask.shape == "responses":
        error = {"code": "server_error", "message": "", **((body or {}).get("error") or {})}
        failed = {"id": "resp_0", "object": "response", "status": "failed", "error": error, "output": []}
        return _event("response.failed", {"type": "response.failed", "sequence_number": 0, "response": failed})
    return _data(body)


def _event(name: str, body: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(body).encode())


def _data(body: Any, end: bytes = b"\n\n") -> bytes:
    return b"data: " + json.dumps(body).encode() + end


def _message(ask: Ask, number: int, content: list[Any], stop: str | None, output: int) -> dict[str, Any]:
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": USED[0], "output_tokens": output},
    }


def _message_stream(ask: Ask, texts: list[str], number: int) -> list[bytes]:
    start = {"type": "message_start", "message": _message(ask, number, [], None, 1)}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    found = [
        _event(
            "content_block_delta",
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        )
        for text in texts
    ]
    found[0] = _event("message_start", start) + _event("content_block_start", block) + found[0]
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    found[-1] += (
        _event("content_block_stop", {"type": "content_block_stop", "index": 0})
        + _event("message_delta", {"type": "message_delta", "delta": delta, "usage": {"output_tokens": USED[1]}})
        + _event("message_stop", {"type": "message_stop"})
    )
    return found


def _completion(ask: Ask, number: int, object_: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": object_, "created": 1_780_000_000, "model": ask.model}


def _chat_usage() -> dict[str, int]:
    return {"prompt_tokens": USED[0], "completion_tokens": USED[1], "total_tokens": sum(USED)}


def _chat_stream(ask: Ask, texts: list[str], number: int) -> list[bytes]:
    head = _completion(ask, number, "chat.completion.chunk")

    def chunk(delta: dict[str, str], finish: str | None) -> bytes:
        return _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    found = [
        chunk({"content": text} if at else {"role": "assistant", "content": text}, None)
        for at, text in enumerate(texts)
    ]
    found[-1] += chunk({}, "stop")
    if ask.usage:
        found[-1] += _data({**head, "choices": [], "usage": _chat_usage()})
    found[-1] += b"data: [DONE]\n\n"
    return found


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def _item(number: int, status: str, content: list[Any]) -> dict[str, Any]:
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": status, "content": content}


def _response(ask: Ask, number: int, status: str, output: list[Any]) -> dict[str, Any]:
    done = status == "completed"
    usage = {
        "input_tokens": USED[0],
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": USED[1],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(USED),
    }
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_780_000_000,
        "status": status,
        "model": ask.model,
        "output": output,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if done else None,
    }


def _response_stream(ask: Ask, texts: list[str], number: int) -> list[bytes]:
    place = {"item_id": f"msg_{number}", "output_index": 0, "content_index": 0}
    count = iter(range(10_000))

    def event(name: str, **parts: Any) -> bytes:
        return _event(f"response.{name}", {"type": f"response.{name}", "sequence_number": next(count), **parts})

    started = event("created", response=_response(ask, number, "in_progress", []))
    started += event("output_item.added", output_index=0, item=_item(number, "in_progress", []))
    started += event("content_part.added", **place, part=_part(""))
    found = [event("output_text.delta", **place, delta=text, logprobs=[]) for text in texts]
    found[0] = started + found[0]
    said = "".join(texts)
    item = _item(number, "completed", [_part(said)])
    found[-1] += event("output_text.done", **place, text=said, logprobs=[])
    found[-1] += event("content_part.done", **place, part=_part(said))
    found[-1] += event("output_item.done", output_index=0, item=item)
    found[-1] += event("completed", response=_response(ask, number, "completed", [item]))
    return found


def _candidate(ask: Ask, number: int, text: str, finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    used = {"promptTokenCount": USED[0], "candidatesTokenCount": USED[1], "totalTokenCount": sum(USED)}
    answer = {
        "candidates": [candidate],
        "usageMetadata": used,
        "modelVersion": ask.model,
        "responseId": f"r{number}",
    }
    return {"response": answer, "traceId": f"{number:016x}"} if ask.shape == "cloudcode" else answer
