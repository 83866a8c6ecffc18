"""Tools and a prompt that need more from the client and say so in their result, in the way of 2026-07-28 (SEP-2322)."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, UserMessage
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

Answer = CallToolResult | InputRequiredResult


def _ask(message: str, **fields: str) -> ElicitRequest:
    schema = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields),
    }
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(prompt: str, max_tokens: int) -> CreateMessageRequest:
    said = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[said], max_tokens=max_tokens))


def _more(state: str | None = None, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def _text(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def _field(ctx: Context, key: str, field: str) -> Any:
    """What the user answered in one field of the question ``key``; None where it was not (well) answered."""
    answer = (ctx.input_responses or {}).get(key)
    if not isinstance(answer, ElicitResult) or answer.action != "accept" or not answer.content:
        return None
    return answer.content.get(field)


def _sampled(ctx: Context, key: str) -> str | None:
    answer = (ctx.input_responses or {}).get(key)
    if isinstance(answer, CreateMessageResult) and isinstance(answer.content, TextContent):
        return answer.content.text
    return None


def _roots(ctx: Context, key: str) -> list[str] | None:
    answer = (ctx.input_responses or {}).get(key)
    return [str(root.uri) for root in answer.roots] if isinstance(answer, ListRootsResult) else None


async def test_input_required_result_elicitation(ctx: Context) -> Answer:
    """Asks for a name."""
    name = _field(ctx, "user_name", "name")
    if not isinstance(name, str):
        return _more(user_name=_ask("What is your name?", name="string"))
    return _text(f"Hello, {name}!")


async def test_input_required_result_sampling(ctx: Context) -> Answer:
    """Asks the client's model."""
    said = _sampled(ctx, "capital_question")
    return _text(said) if said else _more(capital_question=_sample("What is the capital of France?", 100))


async def test_input_required_result_list_roots(ctx: Context) -> Answer:
    """Asks for the client's roots."""
    roots = _roots(ctx, "client_roots")
    return _more(client_roots=ListRootsRequest()) if roots is None else _text(f"Roots: {', '.join(roots)}")


async def test_input_required_result_request_state(ctx: Context) -> Answer:
    """Asks for a confirmation and keeps its state with the client."""
    if ctx.request_state == "asked" and _field(ctx, "confirm", "ok") is not None:
        return _text("state-ok")
    return _more("asked", confirm=_ask("Please confirm", ok="boolean"))


async def test_input_required_result_multiple_inputs(ctx: Context) -> Answer:
    """Asks three things at once."""
    name, greeting, roots = _field(ctx, "user_name", "name"), _sampled(ctx, "greeting"), _roots(ctx, "client_roots")
    if name and greeting and roots is not None:
        return _text(f"{greeting} {name}, {len(roots)} roots")
    return _more(
        "asked",
        user_name=_ask("What is your name?", name="string"),
        greeting=_sample("Generate a greeting", 50),
        client_roots=ListRootsRequest(),
    )


async def test_input_required_result_multi_round(ctx: Context) -> Answer:
    """Asks twice, one after the other."""
    step, _, name = (ctx.request_state or "").partition(":")
    if step == "2" and (color := _field(ctx, "step2", "color")):
        return _text(f"{name} likes {color}")
    if step == "1" and (name := _field(ctx, "step1", "name")):
        return _more(f"2:{name}", step2=_ask("Step 2: What is your favorite color?", color="string"))
    return _more("1:", step1=_ask("Step 1: What is your name?", name="string"))


async def test_input_required_result_tampered_state(ctx: Context) -> Answer:
    """Keeps a state with the client that may not be changed there; the SDK seals it and checks the seal."""
    if ctx.request_state == "sealed":
        return _text("state-ok")
    return _more("sealed", confirm=_ask("Please confirm", ok="boolean"))


async def test_input_required_result_capabilities(ctx: Context) -> Answer:
    """Asks only what the client says it can answer."""
    can = ctx.client_capabilities
    requests: dict[str, InputRequest] = {}
    if can and can.sampling and not ctx.input_responses:
        requests["sample"] = _sample("Say something", 50)
    if can and can.elicitation and not ctx.input_responses:
        requests["ask"] = _ask("What is your name?", name="string")
    return InputRequiredResult(input_requests=requests) if requests else _text("nothing to ask")


async def test_missing_capability(ctx: Context) -> str:
    """Needs a client that can sample."""
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "this tool needs sampling", needed)
    return "the client can sample"


async def test_streaming_elicitation(ctx: Context) -> Answer:
    """Reports progress and then asks."""
    await ctx.report_progress(1, 2)
    return await test_input_required_result_elicitation(ctx)


async def test_input_required_result_prompt(ctx: Context) -> list[UserMessage] | InputRequiredResult:
    """A prompt that asks before it is given."""
    context = _field(ctx, "user_context", "context")
    if context is None:
        return _more(user_context=_ask("What context should the prompt use?", context="string"))
    return [UserMessage(f"Use this context: {context}")]


def register(server: MCPServer) -> None:
    """Add the tools and the prompt of this file."""
    for fn in (
        test_input_required_result_elicitation, test_input_required_result_sampling,
        test_input_required_result_list_roots, test_input_required_result_request_state,
        test_input_required_result_multiple_inputs, test_input_required_result_multi_round,
        test_input_required_result_tampered_state, test_input_required_result_capabilities,
        test_streaming_elicitation, test_missing_capability,
    ):  # fmt: skip
        server.add_tool(fn, structured_output=False)
    server.prompt()(test_input_required_result_prompt)
