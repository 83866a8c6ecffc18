"""What tools answered, in requests to the models of three providers."""

import pytest

from gateway.model import Treated
from gateway.understand.tool_outputs import redacted

STRIP = Treated("llm.tool_results", "strip")
DIRTY, CLEAN = "a\u200bb", "ab"

BODIES = {
    "openai chat": lambda text: {
        "messages": [
            {"role": "user", "content": DIRTY},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
            {"role": "tool", "tool_call_id": "1", "content": text},
            {"role": "tool", "content": [{"type": "text", "text": text}, {"type": "image_url", "image_url": {}}]},
        ]
    },
    "openai responses": lambda text: {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": DIRTY}]},
            {"type": "function_call_output", "call_id": "1", "output": text},
            {"type": "custom_tool_call_output", "call_id": "2", "output": [{"type": "input_text", "text": text}]},
        ]
    },
    "anthropic": lambda text: {
        "system": DIRTY,
        "messages": [
            {"role": "user", "content": DIRTY},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": DIRTY},
                    {"type": "tool_result", "tool_use_id": "1", "content": text},
                    {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": text}]},
                ],
            },
        ],
    },
    "gemini": lambda text: {
        "contents": [
            {"role": "user", "parts": [{"text": DIRTY}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"out": [text]}}}]},
        ]
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_tools_answered_is_changed_and_what_others_said_is_not(body):
    assert redacted(body(DIRTY), [STRIP]) == (body(CLEAN), ("stripped llm.tool_results",))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_where_nothing_is_to_be_changed_the_body_is_the_same(body):
    clean = body(CLEAN)
    assert redacted(clean, [STRIP])[0] is clean


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_mask_stands_over_each_text(body):
    assert redacted(body("secret"), ["llm.tool_results"]) == (body("[redacted]"), ("llm.tool_results",))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": "x", "input": "text", "contents": {}},
        {"messages": [1, {"role": "tool"}, {"role": "user", "content": [2, {}]}], "contents": [{"parts": [3, {}]}]},
        {"contents": [{"parts": [{"functionResponse": "x"}, {"functionResponse": {"name": "f"}}]}]},
    ],
)
def test_bodies_of_other_shapes_stay_as_they_are(body):
    assert redacted(body, [STRIP, "llm.tool_results"]) == (body, ())
