"""The answer of a tool as a file of cases describes it, in the bytes that the tool's protocol gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.config.case_schema import AnswerPart
from gateway.model import Call

_NOTHING: Mapping[str, Any] = {}


def body_of(answer: AnswerPart, call: Call) -> bytes:
    """The body that answers the call; an LLM's is never streamed."""
    if answer.body is not None:
        return answer.body.encode()
    return orjson.dumps(_BODIES.get(call.tool.protocol, _http)(answer, call))


def _http(answer: AnswerPart, call: Call) -> Mapping[str, Any]:  # noqa: ARG001
    return _NOTHING if answer.result is None else answer.result


def _mcp(answer: AnswerPart, call: Call) -> Mapping[str, Any]:  # noqa: ARG001
    """A JSON-RPC response to the request of ``requests.request_of``."""
    result = {"content": []} if answer.result is None else dict(answer.result)
    if answer.isError:
        result["isError"] = True
    return {"jsonrpc": "2.0", "id": 1, "result": result}


def _openai(answer: AnswerPart, call: Call) -> Mapping[str, Any]:
    """A chat completion, or a response of the Responses API."""
    if answer.result is not None:
        return answer.result
    read, wrote = _tokens(answer)
    if call.operation.endswith("/responses"):
        output = [
            {
                "type": "function_call",
                "id": f"fc_{number}",
                "call_id": f"call_{number}",
                "name": one.name,
                "arguments": orjson.dumps(one.args).decode(),
            }
            for number, one in enumerate(answer.proposals)
        ]
        usage = {"input_tokens": read, "output_tokens": wrote, "total_tokens": read + wrote}
        return {"object": "response", "model": _model(answer, call), "output": output, "usage": usage}
    calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": one.name, "arguments": orjson.dumps(one.args).decode()},
        }
        for number, one in enumerate(answer.proposals)
    ]
    message = (
        {"role": "assistant", "content": None, "tool_calls": calls} if calls else {"role": "assistant", "content": ""}
    )
    return {
        "object": "chat.completion",
        "model": _model(answer, call),
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote},
    }


def _anthropic(answer: AnswerPart, call: Call) -> Mapping[str, Any]:
    """A message."""
    if answer.result is not None:
        return answer.result
    read, wrote = _tokens(answer)
    content = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": one.name, "input": one.args}
        for number, one in enumerate(answer.proposals)
    ]
    return {
        "type": "message",
        "role": "assistant",
        "model": _model(answer, call),
        "content": content or [{"type": "text", "text": ""}],
        "stop_reason": "tool_use" if content else "end_turn",
        "usage": {"input_tokens": read, "output_tokens": wrote},
    }


def _gemini(answer: AnswerPart, call: Call) -> Mapping[str, Any]:
    """What ``generateContent`` gives."""
    if answer.result is not None:
        return answer.result
    read, wrote = _tokens(answer)
    parts: list[Any] = [{"functionCall": {"name": one.name, "args": one.args}} for one in answer.proposals]
    return {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": parts or [{"text": ""}]}}],
        "usageMetadata": {
            "promptTokenCount": read,
            "candidatesTokenCount": wrote,
            "totalTokenCount": read + wrote,
        },
        "modelVersion": _model(answer, call),
    }


def _tokens(answer: AnswerPart) -> tuple[int, int]:
    return (0, 0) if answer.usage is None else (answer.usage.input_tokens, answer.usage.output_tokens)


def _model(answer: AnswerPart, call: Call) -> str:
    return answer.model or str(call.facts.get("llm.model", ""))


_BODIES: Mapping[str, Callable[[AnswerPart, Call], Mapping[str, Any]]] = {
    "mcp": _mcp,
    "openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
}
