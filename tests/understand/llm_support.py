"""What tests of LLM traffic share: a judge that says what it was told to, and OpenAI's shapes as they were recorded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from gateway.model import Answered, Findings, Proposal, Reason, Refusal, Spoke
from gateway.understand.dialect import Endpoint
from gateway.understand.llm_answers import answer_of
from gateway.understand.llm_exchange import Exchange
from gateway.understand.reader import Answer
from gateway.understand.sse import event

EVENTS = "text/event-stream; charset=utf-8"
JSON = "application/json"


class Judge:
    """Refuses proposals of these names, and results by a function; wants ``fields`` masked. What it saw is kept."""

    def __init__(
        self,
        *refuses: str,
        result: Callable[[Findings], Refusal | None] | None = None,
        proposals: bool = False,
        wants: bool = False,
        fields: tuple[str, ...] = (),
    ) -> None:
        self._refuses, self._result = refuses, result
        self.reads_proposals = proposals or bool(refuses)
        self.reads_result = result is not None
        self.wants_result = wants or self.reads_result
        self.compares = self.asks = False
        self.questions = ()
        self.spoke: tuple[Spoke, ...] = ()
        self.fields = fields
        self.saw: list[Proposal] = []
        self.results: list[Findings] = []

    def result(self, status: int, found: Findings) -> Refusal | None:
        self.results.append(found)
        return self._result(found) if self._result else None

    def proposal(self, proposal: Proposal) -> Refusal | None:
        self.saw.append(proposal)
        if proposal.args is None:
            return Refusal(Reason.RESULT_UNREADABLE, 502, "the arguments are no JSON object")
        if proposal.name in self._refuses:
            return Refusal(Reason.RESULT_DENIED, 403, "not this one", "safety/no-deletes")
        return None

    def lists(self, operation: str, facts: Mapping[str, Any]) -> bool:
        return True


def denied(found: Findings) -> Refusal:
    """A verdict on every result."""
    return Refusal(Reason.RESULT_DENIED, 403, "not for you", "results/none")


def answer(
    endpoint: Endpoint,
    judge: Judge,
    body: Mapping[str, Any] | None = None,
    content_type: str = EVENTS,
    encoding: str = "",
    sent: bytes | None = None,
) -> Answer:
    """How an answer to this request is read."""
    given = dict(body or {"model": "gpt-6"})
    raw = orjson.dumps(given)
    head = Answered(200, 0.1, content_type, encoding)
    return answer_of(Exchange(endpoint, endpoint.asked(given, {}), raw, raw if sent is None else sent, head), judge)


def through(read: Answer, data: bytes, cuts: Iterable[int] = ()) -> bytes:
    """What the agent gets of these bytes, cut at these places."""
    places = sorted({0, len(data), *[cut % (len(data) + 1) for cut in cuts]})
    passed = [read.feed(data[one:two]) for one, two in itertools.pairwise(places)]
    return b"".join(passed) + read.end()


def chunk(*choices: dict[str, Any], usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """One chunk of a chat completion."""
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741570283,
        "model": "gpt-6-2026-08-01",
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
        "choices": list(choices),
        "usage": usage,
    }


def delta(finish: str | None = None, index: int = 0, **said: Any) -> dict[str, Any]:
    """One choice of a chunk."""
    return {"index": index, "delta": said, "logprobs": None, "finish_reason": finish}


def begins(index: int, ident: str, name: str, arguments: str = "") -> dict[str, Any]:
    """The first piece of a tool call in a delta."""
    return {"index": index, "id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


def goes_on(index: int, arguments: str) -> dict[str, Any]:
    """A further piece of a tool call in a delta."""
    return {"index": index, "function": {"arguments": arguments}}


USAGE = {
    "prompt_tokens": 1117,
    "completion_tokens": 46,
    "total_tokens": 1163,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 0},
}


def chat_stream(*chunks: dict[str, Any]) -> bytes:
    """Chunks as OpenAI sends them."""
    return b"".join([event(orjson.dumps(each)) for each in chunks]) + event(b"[DONE]")


TWO_CALLS = chat_stream(
    chunk(delta(role="assistant", content=None)),
    chunk(delta(content="Let me see.")),
    chunk(delta(tool_calls=[begins(0, "call_1", "delete_file")])),
    chunk(delta(tool_calls=[goes_on(0, '{"path":')])),
    chunk(delta(tool_calls=[goes_on(0, '"/etc"}')])),
    chunk(delta(tool_calls=[begins(1, "call_2", "get_weather")])),
    chunk(delta(tool_calls=[goes_on(1, '{"city":"Bern"}')])),
    chunk(delta("tool_calls")),
    chunk(usage=USAGE),
)

RESPONSE_USAGE = {
    "input_tokens": 328,
    "input_tokens_details": {"cached_tokens": 128, "cache_write_tokens": 64},
    "output_tokens": 52,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 380,
}


def response(status: str = "completed", *output: dict[str, Any], usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """A response of the Responses API."""
    return {
        "id": "resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41",
        "object": "response",
        "created_at": 1741476777,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-6-2026-08-01",
        "output": list(output),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def function_call(number: int, name: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    """A function call in the output of a response."""
    return {
        "id": f"fc_{number}",
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": f"call_{number}",
        "name": name,
    }


def said(ident: str, words: str) -> dict[str, Any]:
    """A message in the output of a response."""
    part = {"type": "output_text", "text": words, "annotations": []}
    return {"id": ident, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def response_stream(*events: dict[str, Any]) -> bytes:
    """Events as OpenAI sends them, numbered."""
    numbered = [{**each, "sequence_number": number} for number, each in enumerate(events)]
    return b"".join([event(orjson.dumps(each), each["type"]) for each in numbered])


def call_events(index: int, name: str, *arguments: str) -> list[dict[str, Any]]:
    """The events of one function call."""
    whole = function_call(index, name, "".join(arguments))
    about = {"item_id": f"fc_{index}", "output_index": index}
    return [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": function_call(index, name, "", "in_progress"),
        },
        *[{"type": "response.function_call_arguments.delta", **about, "delta": each} for each in arguments],
        {"type": "response.function_call_arguments.done", **about, "arguments": whole["arguments"]},
        {"type": "response.output_item.done", "output_index": index, "item": whole},
    ]


def message_events(index: int, words: str) -> list[dict[str, Any]]:
    """The events of one message."""
    about = {"item_id": f"msg_{index}", "output_index": index, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    begun = {**said(f"msg_{index}", ""), "status": "in_progress", "content": []}
    return [
        {"type": "response.output_item.added", "output_index": index, "item": begun},
        {"type": "response.content_part.added", **about, "part": part},
        {"type": "response.output_text.delta", **about, "delta": words, "logprobs": []},
        {"type": "response.output_text.done", **about, "text": words, "logprobs": []},
        {"type": "response.content_part.done", **about, "part": {**part, "text": words}},
        {"type": "response.output_item.done", "output_index": index, "item": said(f"msg_{index}", words)},
    ]


CALLS_OF_RESPONSE = response_stream(
    {"type": "response.created", "response": response("in_progress")},
    {"type": "response.in_progress", "response": response("in_progress")},
    *message_events(0, "Let me see."),
    *call_events(1, "delete_file", '{"path":', '"/etc"}'),
    *call_events(2, "get_weather", '{"city":"Bern"}'),
    {
        "type": "response.completed",
        "response": response(
            "completed",
            said("msg_0", "Let me see."),
            function_call(1, "delete_file", '{"path":"/etc"}'),
            function_call(2, "get_weather", '{"city":"Bern"}'),
            usage=RESPONSE_USAGE,
        ),
    },
)
