"""The demo's model, by OpenAI's API. It is eager: it proposes to call every tool that it is offered.

    POST /v1/chat/completions       JSON, or with ``stream: true`` an event stream

It reads a token for every four bytes of the request, and writes one for every four characters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from aiohttp import web

from gateway.demo.bodies import json_object

PAUSE = 0.1
"""Seconds between two events of a stream."""
_TALK = ("Of course. ", "I know just ", "what to do.")


def llm() -> web.Application:
    """A model that agrees to everything."""

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = await json_object(request)
        calls = _calls(asked)
        usage = _usage(len(await request.read()), calls)
        if asked.get("stream"):
            return await _stream(request, asked, calls, usage)
        message = {"role": "assistant", "content": "".join(_TALK), **({"tool_calls": calls} if calls else {})}
        choice = {"index": 0, "message": message, "finish_reason": _finish(calls), "logprobs": None}
        head = _head(asked, "chat.completion")
        return web.json_response({**head, "choices": [choice], "usage": usage})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", chat)])
    return app


def _calls(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A call of each tool that the request defines. Required texts get the last word of the conversation."""
    said = str((asked.get("messages") or [{}])[-1].get("content", "")).split()
    calls = []
    for number, tool in enumerate(asked.get("tools") or []):
        function = tool["function"]
        required = function.get("parameters", {}).get("required", [])
        arguments = orjson.dumps(dict.fromkeys(required, said[-1] if said else "")).decode()
        told = {"name": function["name"], "arguments": arguments}
        calls.append({"id": f"call_{number}", "type": "function", "function": told})
    return calls


def _usage(size: int, calls: list[dict[str, Any]]) -> dict[str, int]:
    read, written = size // 4, (len("".join(_TALK)) + len(orjson.dumps(calls))) // 4
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _head(asked: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-demo", "object": kind, "created": 1_790_000_000, "model": asked.get("model", "")}


def _finish(calls: list[dict[str, Any]]) -> str:
    return "tool_calls" if calls else "stop"


async def _stream(
    request: web.Request, asked: Mapping[str, Any], calls: list[dict[str, Any]], usage: dict[str, int]
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await answer.prepare(request)
    head = _head(asked, "chat.completion.chunk")
    for choice in _chunks(calls):
        await answer.write(b"data: %b\n\n" % orjson.dumps({**head, "choices": [choice]}))
        await asyncio.sleep(PAUSE)
    if (asked.get("stream_options") or {}).get("include_usage"):
        await answer.write(b"data: %b\n\n" % orjson.dumps({**head, "choices": [], "usage": usage}))
    await answer.write(b"data: [DONE]\n\n")
    return answer


def _chunks(calls: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The choices of a stream's chunks: text, then each call in two pieces, as OpenAI sends them, then the end."""
    for text in _TALK:
        yield {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    for number, call in enumerate(calls):
        function = call["function"]
        opened = {**call, "index": number, "function": {**function, "arguments": ""}}
        rest = {"index": number, "function": {"arguments": function["arguments"]}}
        for piece in (opened, rest):
            yield {"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}
    yield {"index": 0, "delta": {}, "finish_reason": _finish(calls)}
