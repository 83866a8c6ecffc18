"""Operations of MCP servers and models that are written as one would guess: told, since a rule on them is dead."""

from __future__ import annotations

import pytest

from gateway.config.build import LLM_PROTOCOLS
from gateway.model import Origin, Tool
from gateway.policy.misnamed import ENDPOINTS, instead
from gateway.streets import dialect_of

from .support import CPP, MAIL, MODELS, TOOLS, compiled, document

OPENAI = Tool("openai", Origin("https", "api.openai.com", 443), "openai")
GEMINI = Tool("gemini", Origin("https", "generativelanguage.googleapis.com", 443), "gemini")


@pytest.mark.parametrize(
    ("tool", "pattern", "hint"),
    [
        (MAIL, "tools/call search", "write search"),
        (MAIL, "tools/call read_*", "write read_*"),
        (MAIL, "tools/call", "write *"),
        (OPENAI, "POST /v1/chat/completions", "write POST /chat/completions"),
        (OPENAI, "POST /openai/v1/responses/compact", "write POST /responses/compact"),
        (OPENAI, "* /v1/embeddings", "write POST /embeddings"),
        (MODELS, "POST /anthropic/v1/messages", "write POST /v1/messages"),
        (GEMINI, "POST /v1beta/models/gemini-9:generateContent", "write POST /models/{model}:generateContent"),
    ],
)
def test_what_names_no_operation_is_told_with_what_to_write(tool, pattern, hint):
    for spec in (
        document("Grant", "g", agents=["a"], tools=[tool.name], operations=[pattern]),
        document("Limit", "l", match={"tools": [tool.name], "operations": [pattern]}, per=[], rate="1/s"),
    ):
        _, (complaint,) = compiled(spec, engine=CPP, tools=[tool])
        assert (complaint.severity, complaint.hint) == ("warning", hint)
        assert repr(pattern) in complaint.message


@pytest.mark.parametrize(
    ("tools", "pattern"),
    [
        ([MAIL], "search"),
        ([MAIL], "tools/call a tool with blanks"),
        ([MAIL], "tools/call ping"),
        ([MAIL], "resources/read *"),
        ([OPENAI], "POST /chat/completions"),
        ([OPENAI], "POST *"),
        ([OPENAI], "POST */completions"),
        ([OPENAI], "GET /v1/chat/completions"),
        ([OPENAI], "POST /v1/files"),
        ([OPENAI, MODELS], "POST /v1/messages"),
        ([GEMINI], "POST /models/{model}:generateContent"),
        ([OPENAI, TOOLS[0]], "POST /v1/chat/completions"),
        ([], "tools/call search"),
    ],
)
def test_what_may_be_an_operation_is_not(tools, pattern):
    assert instead(pattern, tools) is None


def test_the_endpoints_are_those_that_the_readers_know():
    assert ENDPOINTS.keys() == set(LLM_PROTOCOLS)
    for protocol, operations in ENDPOINTS.items():
        for operation in operations:
            method, _, path = operation.partition(" ")
            endpoint, _ = dialect_of(protocol).endpoint(method, path.replace("{model}", "m"))
            assert endpoint.operation == operation


def test_a_cap_on_tools_that_are_no_models_is_told():
    cap = document("Cap", "c", match={"tools": ["mail"]}, max_tokens=10)
    _, (complaint,) = compiled(cap, tools=[MAIL, MODELS])
    assert complaint.message == "the cap is never applied: none of mail is a model"
    everywhere = document("Cap", "c", match={"tools": ["*"]}, max_tokens=10)
    assert compiled(everywhere, tools=[MAIL, MODELS])[1] == []
