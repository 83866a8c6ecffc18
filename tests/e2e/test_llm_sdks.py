"""Programs on the SDKs of OpenAI, Anthropic and Gemini, unchanged but for their base URL, through the real process."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from google.genai import errors, types

from .harness import llm_programs as programs
from .harness.gateway import ALL, Gateway
from .harness.llm_programs import ASK, CLAUDE, GEMINI, GPT, PROGRAMS, TOOLS, Program
from .harness.llm_server import LlmServer
from .harness.net import eventually

POLICIES = (
    ALL
    + """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: tools}
spec:
  match: {tools: ["*-judged"]}
  rules:
  - name: no-delete
    phase: proposal
    when: proposal.name.startsWith("delete")
    then: deny
    message: nothing is deleted here
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: answers}
spec:
  match: {tools: ["*-whole"]}
  rules:
  - name: no-secrets
    phase: response
    when: |-
      usage.output_tokens > 5 && (
        has(result.choices) ? string(result.choices[0].message.content).contains("SECRET")
        : has(result.output) ? result.output.exists(o, o.content.exists(c, c.text.contains("SECRET")))
        : has(result.content) ? result.content.exists(b, b.type == "text" && b.text.contains("SECRET"))
        : has(result.candidates) && result.candidates[0].content.parts.exists(p, p.text.contains("SECRET")))
    then: deny
    message: the answer has a secret in it
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: prompts}
spec:
  match: {tools: ["*-capped"]}
  rules:
  - name: no-poems
    when: llm.messages.exists(m, m.content.contains("poem"))
    then: deny
    message: no poems here
---
apiVersion: toolgate/v1
kind: Cap
metadata: {name: small}
spec:
  match: {tools: ["*-capped"]}
  models: ["gpt-5*", "claude-sonnet-*", "gemini-2.5-*"]
  max_tokens: 50
  system: Never lie.
  forbid_tools: ["get_*"]
"""
)
RULES = ("", "-judged", "-whole", "-capped")


@pytest.fixture(scope="module")
def server() -> Iterator[LlmServer]:
    provider = LlmServer()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, server: LlmServer) -> Iterator[Gateway]:
    tools: dict[str, Any] = {"plain": {"url": server.url}}
    for protocol in PROGRAMS:
        tools |= {f"{protocol}{rules}": {"url": server.url, "protocol": protocol} for rules in RULES}
    process = Gateway(tmp_path_factory.mktemp("llm"), tools, POLICIES).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def record(gateway: Gateway, run: str) -> dict[str, Any]:
    """The last record of a run, waited for."""

    def found() -> dict[str, Any] | None:
        return next((line for line in reversed(gateway.traces()) if line["run"] == run), None)

    got = eventually(found, what=f"record of {run}")
    assert got is not None
    return got


def fields(run: str, scenario: str = "") -> dict[str, str]:
    return {"X-Run-Id": run, **({"X-Scenario": scenario} if scenario else {})}


# --- unchanged ------------------------------------------------------------------------------------------------------

EVERY = [(protocol, program) for protocol, group in PROGRAMS.items() for program in group]


@pytest.mark.parametrize("rules", ["plain", "", "-judged", "-whole"])
@pytest.mark.parametrize(("protocol", "program"), EVERY, ids=[program.__name__ for _, program in EVERY])
def test_a_program_sees_what_it_sees_without_the_gateway(
    gateway: Gateway, server: LlmServer, protocol: str, program: Program, rules: str
) -> None:
    tool = "plain" if rules == "plain" else protocol + rules
    direct = program(server.url, {})
    assert program(f"{gateway.url}/{tool}", {}) == direct


@pytest.mark.parametrize("rules", ["", "-judged"])
@pytest.mark.parametrize("scenario", ["tools=get_weather+get_time", "gzip", "gzip;tools=get_time"])
@pytest.mark.parametrize(
    ("protocol", "program"),
    [
        ("openai", programs.chat_stream_usage),
        ("openai", programs.responses_stream),
        ("anthropic", programs.messages_stream),
        ("gemini", programs.content_stream),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_proposals_and_compression_do_not_matter(
    gateway: Gateway, server: LlmServer, protocol: str, program: Program, scenario: str, rules: str
) -> None:
    told = fields("same", scenario)
    assert program(f"{gateway.url}/{protocol}{rules}", told) == program(server.url, told)


# --- usage ----------------------------------------------------------------------------------------------------------

OPENAI = {"input": 82, "output": 17, "cache_read": 64, "cache_write": 0, "reasoning": 5, "estimated": False}
ANTHROPIC = {"input": 451, "output": 37, "cache_read": 400, "cache_write": 30, "reasoning": 0, "estimated": False}
GOOGLE = {"input": 45, "output": 45, "cache_read": 20, "cache_write": 0, "reasoning": 33, "estimated": False}


@pytest.mark.parametrize("rules", ["", "-judged", "-whole"])
@pytest.mark.parametrize(
    ("protocol", "program", "usage"),
    [
        ("openai", programs.chat, {"model": GPT, **OPENAI}),
        ("openai", programs.chat_stream, {"model": GPT, **OPENAI}),
        ("openai", programs.chat_stream_usage, {"model": GPT, **OPENAI}),
        ("openai", programs.responses, {"model": GPT, **OPENAI}),
        ("openai", programs.responses_stream, {"model": GPT, **OPENAI}),
        ("anthropic", programs.messages, {"model": CLAUDE, **ANTHROPIC}),
        ("anthropic", programs.messages_stream, {"model": CLAUDE, **ANTHROPIC}),
        ("gemini", programs.content, {"model": GEMINI, **GOOGLE}),
        ("gemini", programs.content_stream, {"model": GEMINI, **GOOGLE}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_usage_is_recorded_to_the_token_and_costs_something(
    gateway: Gateway, protocol: str, program: Program, usage: dict[str, Any], rules: str
) -> None:
    run = f"usage-{program.__name__}{rules}"
    program(f"{gateway.url}/{protocol}{rules}", fields(run))
    got = record(gateway, run)
    assert got["usage"] == usage
    assert got["facts"]["llm.model"] == usage["model"]
    assert got["cost_usd"] > 0
    assert got["notes"] == []


@pytest.mark.parametrize(
    ("protocol", "program", "told"),
    [
        ("openai", programs.chat_stream, None),
        ("openai", programs.responses_stream, None),
        ("anthropic", programs.messages_stream, 451),
        ("gemini", programs.content_stream, 45),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_stream_that_is_cut_breaks_for_the_program_and_still_has_usage(
    gateway: Gateway, protocol: str, program: Program, told: int | None
) -> None:
    run = f"cut-{program.__name__}"
    with pytest.raises((httpx.HTTPError, httpx2.HTTPError, openai.APIError, anthropic.APIError, errors.APIError)):
        program(f"{gateway.url}/{protocol}", fields(run, "say=one two three four five six seven eight;cut=5"))
    got = record(gateway, run)
    assert got["fault"] == "tool"
    assert got["usage"]["output"] > 0
    assert told is None or got["usage"]["input"] == told
    assert got["usage"]["estimated"] == (protocol != "gemini"), "Gemini tells its usage in every chunk"
    assert "cut" in got["notes"][0]


def test_usage_that_only_the_gateway_asked_for_is_not_shown(gateway: Gateway, server: LlmServer) -> None:
    chunks = programs.chat_stream(f"{gateway.url}/openai", fields("hidden"))
    assert server.asked[-1].body["stream_options"] == {"include_usage": True}
    assert all(chunk["choices"] and chunk["usage"] is None for chunk in chunks)


@pytest.mark.parametrize("rules", ["", "-judged", "-whole"])
def test_a_gemini_stream_that_is_one_array_passes_and_has_usage(
    gateway: Gateway, server: LlmServer, rules: str
) -> None:
    """Without ``alt=sse``, as curl asks and no SDK does."""
    path, run = f"/v1beta/models/{GEMINI}:streamGenerateContent", f"array{rules}"
    body = {"contents": [{"parts": [{"text": "Hi"}]}]}
    direct = httpx.post(server.url + path, json=body)
    got = httpx.post(f"{gateway.url}/gemini{rules}{path}", json=body, headers=fields(run))
    assert got.content == direct.content
    assert len(got.json()) == 6
    assert record(gateway, run)["usage"] == {"model": GEMINI, **GOOGLE}


# --- streams are not delayed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", ["", "-judged"])
@pytest.mark.parametrize("protocol", PROGRAMS)
def test_every_chunk_arrives_before_the_next_is_sent(
    gateway: Gateway, server: LlmServer, protocol: str, rules: str
) -> None:
    """The provider sends an event only when the program, which has had the one before, lets it."""
    base, told = f"{gateway.url}/{protocol}{rules}", fields("step", "say=a b c d;step")
    server.stop()
    server.go()
    texts = []
    with contextlib.ExitStack() as stack:
        for text in pieces(stack, protocol, base, told, server):
            texts.append(text)
    assert "".join(texts) == "a b c d"


def pieces(
    stack: contextlib.ExitStack, protocol: str, base: str, told: dict[str, str], server: LlmServer
) -> Iterator[str]:
    """What a model says in a stepping stream, piece by piece; each event is let go when the last one is here."""
    if protocol == "openai":
        client = stack.enter_context(programs.openai_client(base, told))
        for chunk in client.chat.completions.create(model=GPT, messages=ASK, stream=True):
            yield chunk.choices[0].delta.content or ""
            server.go()
            if chunk.choices[0].finish_reason:
                server.go()  # the usage, for which only the gateway asked, and [DONE]
        return
    if protocol == "gemini":
        gemini = stack.enter_context(programs.gemini_client(base, told))
        for part in gemini.models.generate_content_stream(model=GEMINI, contents="Hi"):
            yield part.text or ""
            server.go()
        return
    claude = stack.enter_context(programs.anthropic_client(base, told))
    for event in claude.messages.create(model=CLAUDE, max_tokens=9, messages=ASK, stream=True):
        yield getattr(getattr(event, "delta", None), "text", "")
        server.go()
        if event.type == "content_block_start":
            server.go()  # the SDK keeps the ping that follows to itself


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_refused_prompt_raises_the_usual_exception_with_our_text(gateway: Gateway) -> None:
    poem: list[Any] = [{"role": "user", "content": "Write a poem"}]
    with programs.openai_client(f"{gateway.url}/openai-capped", {}) as client:
        with pytest.raises(openai.PermissionDeniedError, match="no poems here"):
            client.chat.completions.create(model=GPT, messages=poem)
    with programs.anthropic_client(f"{gateway.url}/anthropic-capped", {}) as claude:
        with pytest.raises(anthropic.PermissionDeniedError, match="no poems here") as denied:
            claude.messages.create(model=CLAUDE, max_tokens=9, messages=poem)
        assert denied.value.type == "permission_error"
        with pytest.raises(anthropic.PermissionDeniedError, match="no poems here"):
            claude.messages.create(model=CLAUDE, max_tokens=9, messages=poem, stream=True)
    with programs.gemini_client(f"{gateway.url}/gemini-capped", {}) as gemini:
        with pytest.raises(errors.ClientError, match="no poems here") as refused:
            gemini.models.generate_content(model=GEMINI, contents="Write a poem")
        assert refused.value.code == 403
        assert "PERMISSION_DENIED" in str(refused.value)
        assert "no poems here" in str(refused.value.message)
        with pytest.raises(errors.ClientError, match="no poems here"):
            list(gemini.models.generate_content_stream(model=GEMINI, contents="Write a poem"))


def test_a_model_that_is_not_allowed_is_refused_by_the_cap(gateway: Gateway) -> None:
    with programs.anthropic_client(f"{gateway.url}/anthropic-capped", fields("model")) as claude:
        with pytest.raises(anthropic.PermissionDeniedError, match="may not be asked"):
            claude.messages.create(model="claude-opus-4-6", max_tokens=9, messages=ASK)
    assert record(gateway, "model")["reason"] == "capped"
    with programs.gemini_client(f"{gateway.url}/gemini-capped", {}) as gemini:
        with pytest.raises(errors.ClientError, match="may not be asked"):
            gemini.models.generate_content(model="gemini-3-pro", contents="Hi")


@pytest.mark.parametrize("status", [400, 429, 500, 529])
def test_errors_of_the_provider_pass_as_they_are(gateway: Gateway, server: LlmServer, status: int) -> None:
    told = fields("error", f"status={status}")
    for tool in ("anthropic", "anthropic-whole"):
        with programs.anthropic_client(f"{gateway.url}/{tool}", told) as claude:
            with pytest.raises(anthropic.APIStatusError, match=f"the provider says {status}") as raised:
                claude.messages.create(model=CLAUDE, max_tokens=9, messages=ASK)
        assert raised.value.status_code == status
    with programs.gemini_client(f"{gateway.url}/gemini-whole", told) as gemini:
        with pytest.raises(errors.APIError, match=f"the provider says {status}"):
            gemini.models.generate_content(model=GEMINI, contents="Hi")
    with programs.openai_client(f"{gateway.url}/openai-judged", told) as client:
        with pytest.raises(openai.APIStatusError, match=f"the provider says {status}"):
            client.chat.completions.create(model=GPT, messages=ASK)


# --- caps -----------------------------------------------------------------------------------------------------------


def test_the_provider_gets_what_the_caps_made_of_a_request(gateway: Gateway, server: LlmServer) -> None:
    with programs.anthropic_client(f"{gateway.url}/anthropic-capped", fields("capped")) as claude:
        claude.messages.create(model=CLAUDE, max_tokens=99, system="Be kind.", messages=ASK, tools=TOOLS)
    sent = server.asked[-1].body
    assert sent == {"model": CLAUDE, "max_tokens": 50, "system": "Never lie.\n\nBe kind.", "messages": ASK}
    assert record(gateway, "capped")["amendments"] == [
        "max_tokens 99 -> 50",
        "system text put first",
        "tools removed: get_weather",
    ]
    declared = types.FunctionDeclaration(name="get_weather")
    config = types.GenerateContentConfig(max_output_tokens=99, tools=[types.Tool(function_declarations=[declared])])
    with programs.gemini_client(f"{gateway.url}/gemini-capped", {}) as gemini:
        gemini.models.generate_content(model=GEMINI, contents="Hi", config=config)
    sent = server.asked[-1].body
    assert sent["generationConfig"] == {"maxOutputTokens": 50}
    assert sent["systemInstruction"] == {"parts": [{"text": "Never lie."}]}
    assert "tools" not in sent


def test_no_spelling_gets_around_the_caps(gateway: Gateway, server: LlmServer) -> None:
    """Raw requests, as no SDK sends them."""
    before = len(server.asked)
    bodies = [
        {"contents": [], "generationConfig": {"maxOutputTokens": 5}, "generation_config": {"max_output_tokens": 9000}},
        {"contents": [], "generationConfig": {"maxOutputTokens": "9000"}},
        {"contents": [], "model": "models/gemini-3-pro"},
        {"contents": [], "cached_content": "cachedContents/1"},
    ]
    for body in bodies:
        answer = httpx.post(f"{gateway.url}/gemini-capped/v1beta/models/{GEMINI}:generateContent", json=body)
        assert answer.status_code in (400, 403), answer.text
        assert answer.json()["error"]["status"] in ("INVALID_ARGUMENT", "PERMISSION_DENIED")
    assert len(server.asked) == before
    answer = httpx.post(
        f"{gateway.url}/gemini-capped/v1beta/models/{GEMINI}%3AgenerateContent",
        json={"generation_config": {"max_output_tokens": 9000}},
    )
    assert answer.status_code != 200 or server.asked[-1].body["generation_config"] == {"max_output_tokens": 50}


# --- proposals and results ------------------------------------------------------------------------------------------

DENIED = "[call of delete_all refused by policy tools/no-delete: nothing is deleted here]"
MIXED = "tools=get_weather+delete_all"


def test_a_denied_proposal_is_a_text_in_every_sdk(gateway: Gateway) -> None:
    told = fields("proposal", MIXED)
    claude = programs.messages(f"{gateway.url}/anthropic-judged", told)
    assert [block["type"] for block in claude["content"]] == ["text", "tool_use", "text"]
    assert (claude["content"][2]["text"], claude["stop_reason"]) == (DENIED, "tool_use")
    got = record(gateway, "proposal")
    assert got["proposed"] == [
        {"name": "get_weather", "refused": None, "id": "toolu_0"},
        {"name": "delete_all", "refused": "tools/no-delete", "id": "toolu_1"},
    ]
    chat = programs.chat(f"{gateway.url}/openai-judged", told)["choices"][0]["message"]
    assert ([call["function"]["name"] for call in chat["tool_calls"]], chat["content"]) == (["get_weather"], DENIED)
    parts = programs.content(f"{gateway.url}/gemini-judged", told)["candidates"][0]["content"]["parts"]
    assert [part["text"] for part in parts] == [None, DENIED]


def test_a_denied_proposal_is_a_text_in_every_stream(gateway: Gateway) -> None:
    told = fields("proposals", "tools=delete_all")
    _, claude = programs.messages_stream(f"{gateway.url}/anthropic-judged", told)
    assert [block["text"] for block in claude["content"]] == ["Let me look.", DENIED]
    assert claude["stop_reason"] == "end_turn"
    assert record(gateway, "proposals")["usage"] == {"model": CLAUDE, **ANTHROPIC}
    _, chat = programs.chat_stream_usage(f"{gateway.url}/openai-judged", told)
    message = chat["choices"][0]["message"]
    assert (message["tool_calls"], message["content"], chat["choices"][0]["finish_reason"]) == (None, DENIED, "stop")
    _, response = programs.responses_stream(f"{gateway.url}/openai-judged", told)
    assert DENIED in json.dumps(response["output"])
    assert "function_call" not in json.dumps(response["output"])
    (chunk,) = programs.content_stream(f"{gateway.url}/gemini-judged", told)
    assert [part["text"] for part in chunk["candidates"][0]["content"]["parts"]] == [DENIED]


@pytest.mark.parametrize(
    ("protocol", "program", "kind"),
    [
        ("openai", programs.chat, openai.PermissionDeniedError),
        ("openai", programs.chat_stream, openai.PermissionDeniedError),
        ("openai", programs.responses_stream, openai.PermissionDeniedError),
        ("anthropic", programs.messages, anthropic.PermissionDeniedError),
        ("anthropic", programs.messages_stream, anthropic.PermissionDeniedError),
        ("gemini", programs.content, errors.ClientError),
        ("gemini", programs.content_stream, errors.ClientError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_denied_answer_raises_and_is_still_paid_for(
    gateway: Gateway, protocol: str, program: Program, kind: type[Exception]
) -> None:
    run = f"denied-{program.__name__}"
    with pytest.raises(kind, match="the answer has a secret in it"):
        program(f"{gateway.url}/{protocol}-whole", fields(run, "say=the SECRET is out"))
    got = record(gateway, run)
    assert got["withheld"]["rule"] == "answers/no-secrets"
    assert got["usage"]["output"] > 5
    assert got["cost_usd"] > 0


@pytest.fixture(autouse=True)
def _quiet_sdks() -> Iterator[None]:
    """Warnings of the SDKs about themselves are theirs."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, UserWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        yield
