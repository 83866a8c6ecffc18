"""Whatever comes: requests are read, refused by place, or brought under the caps; answers never break their reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.model import Caps, Proposal
from gateway.policy.globs import matches_any
from gateway.understand.anthropic import Anthropic
from gateway.understand.dialect import Asked, Dialect, Endpoint
from gateway.understand.gemini import Gemini
from gateway.understand.sse import Event, EventParser

from .judging import Refusing, answering, passed

NAMES = st.sampled_from([
    "model", "system", "max_tokens", "messages", "content", "text", "type", "role", "tools", "name", "tool_choice",
    "thinking", "budget_tokens", "fallbacks", "mcp_servers", "mcp_server_name", "contents", "parts",
    "generationConfig", "generation_config", "maxOutputTokens", "max_output_tokens", "systemInstruction",
    "system_instruction", "functionDeclarations", "function_declarations", "toolConfig", "functionCallingConfig",
    "allowedFunctionNames", "usage", "input_tokens", "index", "content_block", "delta", "message", "partial_json",
    "stop_reason", "input", "id", "candidates", "functionCall", "args", "partialArgs", "jsonPath", "stringValue",
    "willContinue", "usageMetadata", "promptTokenCount", "finishReason", "iterations", "cachedContent", "stream",
    "source", "functionResponse"
])  # fmt: skip
WORDS = st.sampled_from([
    "tool_use", "text", "content_block_start", "content_block_delta", "content_block_stop", "message_start",
    "message_delta", "message_stop", "input_json_delta", "text_delta", "thinking", "tool_result", "document",
    "content", "claude-sonnet-4-6", "delete_all", "get_weather", "$.a", "$.a[0]", "advisor_20260301", "compaction",
    "STOP", ""
])  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-1, 9000) | st.floats(0, 9000) | WORDS
ANY = st.recursive(
    LEAVES, lambda some: st.lists(some, max_size=3) | st.dictionaries(NAMES, some, max_size=5), max_leaves=25
)
OBJECTS = st.dictionaries(NAMES, ANY, max_size=6)

CLAUDE = ("/v1/messages", Anthropic())
GEMINI = ("/v1/models/gemini-2.5-flash:generateContent", Gemini())
DIALECTS = pytest.mark.parametrize(("path", "dialect"), [CLAUDE, GEMINI], ids=["anthropic", "gemini"])
CAPS = Caps("c", (), 3000, "Never lie.", ("delete_*", "mcp_*", "advisor_*"))


def endpoint_of(path: str, dialect: Dialect) -> tuple[Endpoint, dict[str, str]]:
    found = dialect.endpoint("POST", path)
    assert found is not None
    return found[0], dict(found[1])


# Bodies that are nearly right, since most that are not at all are refused at their first member.
TOOL = st.fixed_dictionaries(
    {"name": st.sampled_from(["delete_all", "get_weather"])},
    optional={"type": WORDS, "max_tokens": st.integers(0, 9000), "functionDeclarations": ANY},
)
DECLARED = st.fixed_dictionaries(
    {}, optional={"function_declarations": st.lists(TOOL, max_size=3), "googleSearch": ANY}
)
BODIES = OBJECTS | st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.integers(0, 9000),
        "system": WORDS | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": WORDS}), max_size=2),
        "tools": st.lists(TOOL | DECLARED, max_size=3) | DECLARED,
        "mcp_servers": st.lists(st.fixed_dictionaries({"name": WORDS}), max_size=2),
        "fallbacks": st.lists(st.fixed_dictionaries({"model": WORDS, "max_tokens": st.integers(0, 9000)}), max_size=2),
        "generation_config": st.fixed_dictionaries({}, optional={"max_output_tokens": st.integers(0, 9000)}),
        "system_instruction": st.fixed_dictionaries({}, optional={"parts": st.lists(OBJECTS, max_size=2)}),
        "tool_choice": OBJECTS,
        "thinking": st.fixed_dictionaries({}, optional={"budget_tokens": st.integers(0, 9000)}),
    },
)


@DIALECTS
@given(BODIES)
def test_what_is_sent_is_under_the_caps_or_nothing_is(path: str, dialect: Dialect, body: dict[str, Any]) -> None:
    endpoint, params = endpoint_of(path, dialect)
    raw = json.dumps(body).encode()
    try:
        asked = endpoint.asked(body, params)
        sent, said = endpoint.amend(body, raw, asked, CAPS)
    except Refused as refused:
        assert refused.status in (400, 403)
        assert refused.detail
        return
    amended = json.loads(sent)
    now = endpoint.asked(amended, params)
    assert 0 < now.max_tokens <= CAPS.max_tokens
    assert CAPS.system in now.system
    assert not [name for name in now.tools if matches_any(CAPS.forbid_tools, name)]
    assert now.messages == asked.messages
    assert endpoint.amend(amended, sent, now, CAPS) == (sent, ()), "what is under its caps stays as it is"
    assert (sent is raw) == (not said)


@DIALECTS
@given(ANY)
def test_any_answer_is_read(path: str, dialect: Dialect, body: Any) -> None:
    endpoint, _ = endpoint_of(path, dialect)
    data = json.dumps(body).encode()
    answer = answering(endpoint, Refusing("delete_all"), "application/json")
    got = passed(answer, [data])
    assert b"delete_all" in data or got in (data, b"")
    answer.found()


@DIALECTS
@given(st.lists(ANY, max_size=8))
def test_any_stream_is_read_and_what_is_not_refused_passes(path: str, dialect: Dialect, told: list[Any]) -> None:
    endpoint, _ = endpoint_of(path, dialect)
    data = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in told)
    watched = answering(endpoint, Refusing(wants_result=True), "text/event-stream")
    assert passed(watched, [data]) == data
    watched.found()
    judged = answering(endpoint, Refusing("delete_all"), "text/event-stream")
    got = passed(judged, [data])
    found = judged.found()
    if not any(each.refused for each in found.proposed):
        assert data.startswith(got), "only a proposal that is not complete may be held back, and what follows it"


TOLD = st.sampled_from(["delete_all", "get_weather"])
INDEX = st.integers(0, 1)
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("content_block_start"),
            "index": INDEX,
            "content_block": st.fixed_dictionaries(
                {"type": st.sampled_from(["tool_use", "tool_use", "text"]), "name": TOLD}
            ),
        }
    )
    | st.fixed_dictionaries({"type": st.sampled_from(["content_block_stop", "message_delta"]), "index": INDEX}),
    max_size=8,
)
CALLS = st.fixed_dictionaries({}, optional={"name": TOLD, "willContinue": st.just(True)})
PARTS = st.lists(st.fixed_dictionaries({"functionCall": CALLS}) | st.just({"text": "so"}), max_size=2)
CANDIDATES = st.fixed_dictionaries(
    {"content": st.fixed_dictionaries({"parts": PARTS}), "index": INDEX}, optional={"finishReason": st.just("STOP")}
)
CHUNKS = st.lists(st.fixed_dictionaries({"candidates": st.lists(CANDIDATES, max_size=2)}), max_size=5)


@given(BLOCKS, st.sets(st.integers(0, 3)))
def test_a_rebuilt_message_proposes_what_is_left(told: list[Any], picked: set[int]) -> None:
    _check_rebuilt(endpoint_of(*CLAUDE)[0], told, picked)


@given(CHUNKS, st.sets(st.integers(0, 3)))
def test_rebuilt_chunks_propose_what_is_left(told: list[Any], picked: set[int]) -> None:
    _check_rebuilt(endpoint_of(*GEMINI)[0], told, picked)


def _check_rebuilt(endpoint: Endpoint, told: list[Any], picked: set[int]) -> None:
    held = [Event(b"data: %b\n\n" % (data := json.dumps(each).encode()), "", data) for each in told]
    proposed, pending = proposals(endpoint, held)
    gone = [proposal for at, proposal in enumerate(proposed) if at in picked]
    stream = endpoint.stream(Asked(), b"", b"")
    assert stream.without(held, []) == b"".join(event.raw for event in held)
    rebuilt = EventParser().feed(stream.without(held, [(one, "no") for one in gone]))
    left, open_at_end = proposals(endpoint, rebuilt)
    assert not [one for one in left if one in gone]
    if open_at_end == pending:  # else a call had only ended because one that is gone began
        named = [one for one in proposed if one.name and one not in gone]
        assert [one for one in left if one.name] == named


def proposals(endpoint: Endpoint, events: list[Event]) -> tuple[list[Proposal], bool]:
    """All that a stream proposes, and whether a proposal is not complete at its end."""
    stream = endpoint.stream(Asked(), b"", b"")
    proposed: list[Proposal] = []
    pending = False
    for event in events:
        pending = stream.read(event)
        proposed += stream.complete()
    return proposed, pending
