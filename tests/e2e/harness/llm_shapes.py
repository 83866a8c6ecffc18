"""Answers of LLM providers in the shapes that were recorded from them: OpenAI, Anthropic, Gemini; whole and streamed.

Every builder takes the ``Scenario`` and the request's body, and gives JSON, or the events of a stream as bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

Json = dict[str, Any]

OPENAI_USAGE: Json = {
    "prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99,
    "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                  "rejected_prediction_tokens": 0},
}  # fmt: skip
RESPONSES_USAGE: Json = {
    "input_tokens": 82, "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 0}, "output_tokens": 17,
    "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 99,
}  # fmt: skip
ANTHROPIC_USAGE: Json = {
    "input_tokens": 21, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 400, "output_tokens": 37,
    "service_tier": "standard", "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 0},
}  # fmt: skip
GEMINI_USAGE: Json = {
    "promptTokenCount": 45, "candidatesTokenCount": 12, "thoughtsTokenCount": 33, "cachedContentTokenCount": 20,
    "totalTokenCount": 90, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 45}],
}  # fmt: skip

ARGS: Json = {"city": "Paris", "days": 3}
PIECES = ('{"city": "Pa', 'ris", ', '"days": 3}')
"""What every proposed call is given, whole and in the pieces in which it is streamed."""


@dataclass(frozen=True)
class Scenario:
    """How to answer. In the field ``X-Scenario``: ``tools=search+delete; cut=4``."""

    say: str = "Hello there, this is the model."
    tools: str = ""
    """Names of the tools that are proposed, joined by ``+``; then hardly anything is said."""
    cut: int = 0
    """Break the connection off after so many events."""
    step: int = 0
    """Wait before each event for ``LlmServer.go``."""
    gzip: int = 0
    """Compress, if the request accepts gzip."""
    status: int = 0
    """Answer with this error in the provider's shape."""
    mute: int = 0
    """Tell no usage in streams, whatever was asked."""

    @classmethod
    def parse(cls, text: str) -> Scenario:
        """From the field's value."""
        types = {field.name: type(field.default) for field in fields(cls)}
        pairs = (part.strip().partition("=") for part in text.split(";") if part.strip())
        return cls(**{name: types[name](value or 1) for name, _, value in pairs})

    @property
    def names(self) -> list[str]:
        return self.tools.split("+") if self.tools else []

    @property
    def words(self) -> list[str]:
        """What is said, in the pieces in which it is streamed."""
        first, *rest = self.say.split(" ")
        return [first, *(f" {word}" for word in rest)]


def sse(data: Json | str, name: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


# --- OpenAI: chat completions ---------------------------------------------------------------------------------------


def _chat(body: Json, kind: str, choices: list[Json], **more: Any) -> Json:
    return {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "object": kind, "created": 1741570283,
        "model": body.get("model", ""), "choices": choices, "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035", **more,
    }  # fmt: skip


def chat(scenario: Scenario, body: Json) -> Json:
    message: Json = {"role": "assistant", "content": scenario.say, "refusal": None, "annotations": []}
    if scenario.names:
        message["content"] = None
        message["tool_calls"] = [
            {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": "".join(PIECES)}}
            for at, name in enumerate(scenario.names)
        ]
    reason = "tool_calls" if scenario.names else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return _chat(body, "chat.completion", [choice], usage=OPENAI_USAGE)


def chat_events(scenario: Scenario, body: Json) -> list[bytes]:
    asked = bool((body.get("stream_options") or {}).get("include_usage")) and not scenario.mute
    rest: Json = {"usage": None} if asked else {}

    def chunk(delta: Json, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return sse(_chat(body, "chat.completion.chunk", [choice], **rest))

    events = [chunk({"role": "assistant", "content": None if scenario.names else "", "refusal": None})]
    for at, name in enumerate(scenario.names):
        head = {"index": at, "id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": ""}}
        events.append(chunk({"tool_calls": [head]}))
        events += [chunk({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}) for piece in PIECES]
    if not scenario.names:
        events += [chunk({"content": word}) for word in scenario.words]
    events.append(chunk({}, "tool_calls" if scenario.names else "stop"))
    if asked:
        events.append(sse(_chat(body, "chat.completion.chunk", [], usage=OPENAI_USAGE)))
    return [*events, sse("[DONE]")]


# --- OpenAI: responses ----------------------------------------------------------------------------------------------


def _call_item(at: int, name: str, *, done: bool) -> Json:
    return {
        "id": f"fc_{at}", "type": "function_call", "status": "completed" if done else "in_progress",
        "call_id": f"call_{at}", "name": name, "arguments": "".join(PIECES) if done else "",
    }  # fmt: skip


def _message_item(text: str | None) -> Json:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    status = "in_progress" if text is None else "completed"
    content = [] if text is None else [part]
    return {"id": "msg_67ccd2bf", "type": "message", "status": status, "role": "assistant", "content": content}


def responses(scenario: Scenario, body: Json, *, done: bool = True) -> Json:
    output = [_call_item(at, name, done=True) for at, name in enumerate(scenario.names)]
    if not output:
        output = [_message_item(scenario.say)]
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc054267", "object": "response", "created_at": 1741476542,
        "status": "completed" if done else "in_progress", "error": None, "incomplete_details": None,
        "instructions": body.get("instructions"), "max_output_tokens": body.get("max_output_tokens"),
        "model": body.get("model", ""), "output": output if done else [], "parallel_tool_calls": True,
        "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "store": True,
        "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_p": 1.0, "truncation": "disabled", "usage": RESPONSES_USAGE if done else None, "metadata": {},
    }  # fmt: skip


def responses_events(scenario: Scenario, body: Json) -> list[bytes]:
    told: list[Json] = [
        {"type": "response.created", "response": responses(scenario, body, done=False)},
        {"type": "response.in_progress", "response": responses(scenario, body, done=False)},
    ]
    for at, name in enumerate(scenario.names):
        place: Json = {"output_index": at, "item_id": f"fc_{at}"}
        told.append(
            {"type": "response.output_item.added", "output_index": at, "item": _call_item(at, name, done=False)}
        )
        told += [{"type": "response.function_call_arguments.delta", **place, "delta": piece} for piece in PIECES]
        told += [
            {"type": "response.function_call_arguments.done", **place, "name": name, "arguments": "".join(PIECES)},
            {"type": "response.output_item.done", "output_index": at, "item": _call_item(at, name, done=True)},
        ]
    if not scenario.names:
        told += _said(scenario)
    told.append({"type": "response.completed", "response": responses(scenario, body)})
    return [sse({**event, "sequence_number": at}, event["type"]) for at, event in enumerate(told)]


def _said(scenario: Scenario) -> list[Json]:
    place: Json = {"item_id": "msg_67ccd2bf", "output_index": 0, "content_index": 0}
    item = _message_item(scenario.say)
    empty = {**item["content"][0], "text": ""}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": _message_item(None)},
        {"type": "response.content_part.added", **place, "part": empty},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in scenario.words),
        {"type": "response.output_text.done", **place, "text": scenario.say, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]


def embeddings(scenario: Scenario, body: Json) -> Json:
    texts = body["input"] if isinstance(body.get("input"), list) else [body.get("input")]
    return {
        "object": "list", "model": body.get("model", ""), "usage": {"prompt_tokens": 9, "total_tokens": 9},
        "data": [{"object": "embedding", "index": at, "embedding": [0.25, -0.5]} for at, _ in enumerate(texts)],
    }  # fmt: skip


# --- Anthropic ------------------------------------------------------------------------------------------------------


def _message(scenario: Scenario, body: Json, **more: Any) -> Json:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "model": body.get("model", ""),
        "content": [], "stop_reason": None, "stop_sequence": None, **more,
    }  # fmt: skip


def messages(scenario: Scenario, body: Json) -> Json:
    content: list[Json] = [{"type": "text", "text": "Let me look." if scenario.names else scenario.say}]
    content += [
        {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": ARGS} for at, name in enumerate(scenario.names)
    ]
    reason = "tool_use" if scenario.names else "end_turn"
    return _message(scenario, body, content=content, stop_reason=reason, usage=ANTHROPIC_USAGE)


def messages_events(scenario: Scenario, body: Json) -> list[bytes]:
    begun = {**ANTHROPIC_USAGE, "output_tokens": 1}
    told: list[Json] = [{"type": "message_start", "message": _message(scenario, body, usage=begun)}]

    def block(start: Json, deltas: list[Json]) -> None:
        index = sum(event["type"] == "content_block_stop" for event in told)
        told.append({"type": "content_block_start", "index": index, "content_block": start})
        told.extend({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        told.append({"type": "content_block_stop", "index": index})

    words = ["Let me ", "look."] if scenario.names else scenario.words
    block({"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in words])
    told.insert(2, {"type": "ping"})
    for at, name in enumerate(scenario.names):
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *PIECES)]
        block({"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": {}}, deltas)
    reason = "tool_use" if scenario.names else "end_turn"
    total = {} if scenario.mute else {"usage": {"output_tokens": ANTHROPIC_USAGE["output_tokens"]}}
    told += [
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, **total},
        {"type": "message_stop"},
    ]
    return [sse(event, event["type"]) for event in told]


def count_tokens(scenario: Scenario, body: Json) -> Json:
    return {"input_tokens": 2095}


# --- Gemini ---------------------------------------------------------------------------------------------------------


def _content(model: str, parts: list[Json], usage: Json | None, reason: str | None) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    told = {} if usage is None else {"usageMetadata": usage}
    return {"candidates": [candidate], **told, "modelVersion": model, "responseId": "ZLeFaLzJAdaH1PIP"}


def _calls(scenario: Scenario) -> list[Json]:
    return [{"functionCall": {"name": name, "args": ARGS}} for name in scenario.names]


def generate_content(scenario: Scenario, body: Json, model: str) -> Json:
    return _content(model, _calls(scenario) or [{"text": scenario.say}], GEMINI_USAGE, "STOP")


def generate_chunks(scenario: Scenario, body: Json, model: str) -> list[Json]:
    """The chunks of a stream: events with ``alt=sse``, else items of one array."""
    parts = _calls(scenario) or [{"text": word} for word in scenario.words]
    chunks = []
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        so_far = {"promptTokenCount": 45, "candidatesTokenCount": at + 1, "totalTokenCount": 46 + at}
        usage = None if scenario.mute else GEMINI_USAGE if last else so_far
        chunks.append(_content(model, [part], usage, "STOP" if last else None))
    return chunks


def errors(provider: str, status: int) -> Json:
    """An error of the provider itself."""
    text = f"the provider says {status}"
    return {
        "openai": {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": None}},
        "anthropic": {"type": "error", "error": {"type": "api_error", "message": text}, "request_id": "req_011"},
        "gemini": {"error": {"code": status, "message": text, "status": "INTERNAL"}},
    }[provider]
