"""Programs on the official MCP SDK for Python work through the gateway: in sessions and without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.subscriptions import ResourceUpdated, ToolsListChanged
from mcp_types import CallToolResult, ResourceUpdatedNotification, TextContent, TextResourceContents

from tests.conformance.client import elicited, roots, sampled
from tests.conformance.everything.subscriptions import WATCHED
from tests.conformance.places import TOOL, everything, tool

from .harness.gateway import Gateway

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
Connect = Callable[..., AbstractAsyncContextManager[Client]]
MODES = {"sessions": "legacy", "stateless": "auto"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server with everything."""
    with everything() as url:
        yield url


@pytest.fixture(scope="module", params=["auto", "always"])
def before(request: pytest.FixtureRequest, server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before that server, in which everybody may do everything; with ``always``, messages go on with our
    trace context in them."""
    tools, lineage = {TOOL: tool(server.removesuffix("/mcp"))}, {"propagate": request.param}
    gateway = Gateway(tmp_path_factory.mktemp("mcp"), tools, lineage=lineage).start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output


@pytest.fixture
def url(before: Gateway) -> str:
    """The server's URL at the gateway: all that a program changes."""
    return f"{before.url}/{TOOL}/mcp"


@asynccontextmanager
async def connected(url: str, mode: str, **options: Any) -> AsyncIterator[Client]:
    """A client that can be asked everything, at ``url``."""
    callbacks = {"elicitation_callback": elicited, "sampling_callback": sampled, "list_roots_callback": roots}
    async with Client(url, mode=mode, read_timeout_seconds=15, **(callbacks | options)) as client:
        yield client


@pytest.fixture(params=MODES)
def connect(request: pytest.FixtureRequest, url: str) -> Connect:
    """Connects through the gateway, in both ways that the protocol has known."""
    mode = MODES[request.param]
    return lambda **options: connected(options.pop("url", url), mode, **options)


@pytest.fixture
def in_session(url: str) -> Connect:
    return lambda **options: connected(url, "legacy", **options)


@pytest.fixture
def stateless(url: str) -> Connect:
    return lambda **options: connected(url, "auto", **options)


def text(result: CallToolResult) -> str:
    """The text of a result that has nothing else."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(10):
        while not await look():
            await asyncio.sleep(0.02)


async def test_everything_listed_is_what_the_server_lists(connect: Connect, server: str) -> None:
    async with connect() as client, connect(url=server) as direct:
        assert client.protocol_version == direct.protocol_version
        assert client.server_info == direct.server_info
        assert client.server_capabilities == direct.server_capabilities
        listed = await client.list_tools()
        assert len(listed.tools) > 25
        assert listed == await direct.list_tools()
        assert await client.list_resources() == await direct.list_resources()
        assert await client.list_resource_templates() == await direct.list_resource_templates()
        assert await client.list_prompts() == await direct.list_prompts()


async def test_results_arrive_whole(connect: Connect) -> None:
    async with connect() as client:
        simple = await client.call_tool("test_simple_text")
        assert text(simple) == "This is a simple text response for testing."
        assert simple.structured_content == {"result": text(simple)}
        mixed = await client.call_tool("test_multiple_content_types")
        assert [content.type for content in mixed.content] == ["text", "image", "resource"]
        failed = await client.call_tool("test_error_handling")
        assert failed.is_error
        assert "This tool intentionally returns an error" in text(failed)
        unknown = await client.call_tool("no_such_tool")
        assert unknown.is_error
        assert text(unknown) == "Unknown tool: no_such_tool"


@pytest.mark.parametrize("region", ["us-west1", "Ä 世界", " padded ", ""])
async def test_argument_that_a_header_repeats_arrives(connect: Connect, region: str) -> None:
    async with connect() as client:
        await client.list_tools()  # a client knows from the list what to repeat
        assert text(await client.call_tool("test_x_mcp_header", {"region": region})) == f"Region: {region}"


async def test_progress_is_told_while_the_tool_works(connect: Connect) -> None:
    """Not at the end: on a busy machine they may come to this process together once, not each time."""
    seen: list[tuple[float, float | None, str | None]] = []
    times: list[float] = []
    clock = asyncio.get_running_loop().time

    async def told(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))
        times.append(clock())

    async def took() -> float:
        seen.clear()
        times.clear()
        async with connect() as client:
            await client.call_tool("test_tool_with_progress", progress_callback=told)
        assert seen == [(step, 100, f"Completed step {step} of 100") for step in (0, 50, 100)]
        return times[2] - times[0]

    assert max([await took() for _ in range(3)]) > 0.05, "they came together at the end"


async def test_questions_reach_the_user_and_answers_the_tool_in_sessions(in_session: Connect) -> None:
    async with in_session() as client:
        asked = await client.call_tool("test_elicitation", {"message": "who?"})
        assert text(asked) == "User response: action=accept, content={'username': 'text', 'email': 'text'}"
        assert text(await client.call_tool("test_sampling", {"prompt": "hi"})) == "LLM response: sampled"


async def test_questions_reach_the_user_and_answers_the_tool_without_sessions(stateless: Connect) -> None:
    async with stateless() as client:
        assert text(await client.call_tool("test_input_required_result_elicitation")) == "Hello, text!"
        assert text(await client.call_tool("test_input_required_result_request_state")) == "state-ok"
        assert text(await client.call_tool("test_input_required_result_multi_round")) == "text likes text"
        assert text(await client.call_tool("test_input_required_result_multiple_inputs")) == "sampled text, 0 roots"
        prompt = await client.get_prompt("test_input_required_result_prompt")
        assert prompt.messages[0].content == TextContent(type="text", text="Use this context: text")


async def test_resources_prompts_and_completions(connect: Connect) -> None:
    async with connect() as client:
        (content,) = (await client.read_resource("test://template/7/data")).contents
        assert isinstance(content, TextResourceContents)
        assert content.text == '{"id":"7","templateTest":true,"data":"Data for ID: 7"}'
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        assert prompt.messages[0].content == TextContent(type="text", text="Prompt with arguments: arg1='a', arg2='b'")
        with pytest.raises(MCPError, match="nowhere"):
            await client.read_resource("test://nowhere")


async def test_call_that_is_given_up_ends_at_the_server(connect: Connect) -> None:
    async with connect() as client:
        under_way = asyncio.Event()

        async def told(progress: float, total: float | None, message: str | None) -> None:
            under_way.set()

        arguments = {"seconds": 60, "kind": "progress"}
        call = asyncio.create_task(client.call_tool("wait", arguments, progress_callback=told))
        await asyncio.wait_for(under_way.wait(), 10)
        assert text(await client.call_tool("waiting")) == "1"
        call.cancel()

        async def given_up() -> bool:
            return text(await client.call_tool("waiting")) == "0"

        await until(given_up)


async def test_calls_at_the_same_time_get_their_own_answers(connect: Connect) -> None:
    async with connect() as client:
        await client.list_tools()
        calls = [client.call_tool("test_x_mcp_header", {"region": str(number)}) for number in range(30)]
        assert [text(result) for result in await asyncio.gather(*calls)] == [f"Region: {n}" for n in range(30)]


async def test_stream_that_ends_half_way_is_resumed(in_session: Connect) -> None:
    logs: list[Any] = []

    async def logged(params: Any) -> None:
        logs.append(params.data)

    async with in_session(logging_callback=logged) as client:
        assert text(await client.call_tool("test_reconnection")) == "Reconnection test completed"
    assert logs == ["Before disconnect", "After reconnect"]


async def test_notifications_come_on_the_stream_of_a_session(in_session: Connect) -> None:
    updated: asyncio.Queue[Any] = asyncio.Queue()

    async def handle(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            updated.put_nowait(message.params.uri)

    async with in_session(message_handler=handle) as client:
        await client.subscribe_resource(WATCHED)

        async def heard() -> bool:
            await client.call_tool("touch")  # the stream may not be open yet
            return not updated.empty()

        await until(heard)
        assert str(updated.get_nowait()) == WATCHED
        await client.unsubscribe_resource(WATCHED)


async def test_session_that_was_ended_is_gone_and_others_live_on(url: str, in_session: Connect) -> None:
    sessions: list[str] = []

    async def keep(answer: httpx2.Response) -> None:
        sessions.extend(answer.headers.get_list("mcp-session-id"))

    async with in_session() as other:
        async with httpx2.AsyncClient(event_hooks={"response": [keep]}) as http:
            async with Client(streamable_http_client(url, http_client=http), mode="legacy") as client:
                await client.send_ping()
            (session,) = set(sessions)
        request = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        headers = {"Mcp-Session-Id": session, "Accept": "application/json, text/event-stream"}
        answer = httpx.post(url, json=request, headers=headers)
        assert answer.status_code == 404
        await other.send_ping()


async def test_changes_are_heard_on_a_listening_call(stateless: Connect) -> None:
    async with (
        stateless() as client,
        client.listen(tools_list_changed=True, resource_subscriptions=[WATCHED]) as heard,
    ):
        await client.call_tool("test_trigger_tool_change")
        assert isinstance(await asyncio.wait_for(anext(heard), 10), ToolsListChanged)
        await client.call_tool("touch")
        assert await asyncio.wait_for(anext(heard), 10) == ResourceUpdated(uri=WATCHED)


LIMITED = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: some}
spec: {agents: ["*"], tools: [everything], operations: ["test_*", "resources/read test://static-*", "prompts/get *"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: regions}
spec:
  match: {tools: [everything], operations: [test_x_mcp_header]}
  rules:
    - name: europe-only
      when: '!args.region.startsWith("eu-")'
      then: deny
      message: 'only regions in Europe, whose names begin with eu-'
"""


@pytest.fixture(scope="module")
def limited(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before that server, in which some things may be done."""
    folder = tmp_path_factory.mktemp("limited")
    gateway = Gateway(folder, {TOOL: tool(server.removesuffix("/mcp"))}, LIMITED).start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in gateway.output, gateway.output


async def test_only_what_is_granted_is_listed(connect: Connect, limited: Gateway) -> None:
    async with connect(url=f"{limited.url}/{TOOL}/mcp") as client:
        names = {listed.name for listed in (await client.list_tools()).tools}
        assert "test_simple_text" in names
        assert all(name.startswith("test_") for name in names)
        uris = {str(listed.uri) for listed in (await client.list_resources()).resources}
        assert uris == {"test://static-text", "test://static-binary"}
        assert len((await client.list_prompts()).prompts) == 5


async def test_refusal_is_a_result_that_the_model_reads_and_the_session_lives_on(
    connect: Connect, limited: Gateway
) -> None:
    async with connect(url=f"{limited.url}/{TOOL}/mcp") as client:
        refused = await client.call_tool("test_x_mcp_header", {"region": "us-west1"})
        assert refused.is_error
        assert "only regions in Europe, whose names begin with eu-" in text(refused)
        not_granted = await client.call_tool("touch")
        assert not_granted.is_error
        with pytest.raises(MCPError, match="no grant lets agent") as error:
            await client.read_resource("test://watched-resource")
        assert not -32768 <= error.value.code <= -32000
        assert text(await client.call_tool("test_x_mcp_header", {"region": "eu-1"})) == "Region: eu-1"


def called(gateway: Gateway, since: int) -> dict[str, Any]:
    """The records since then, by operation."""
    return {line["operation"]: line for line in gateway.traces()[since:]}


async def test_records_name_what_was_called_and_what_came_of_it(connect: Connect, limited: Gateway) -> None:
    before = len(limited.traces())
    async with connect(url=f"{limited.url}/{TOOL}/mcp") as client:
        await client.call_tool("test_simple_text")
        await client.call_tool("test_error_handling")
        await client.call_tool("touch")
        await client.read_resource("test://static-text")

    async def recorded() -> bool:
        return "resources/read test://static-text" in called(limited, before)

    await until(recorded)
    records = called(limited, before)
    assert {record["tool"] for record in records.values()} == {TOOL}
    tools = ("test_simple_text", "test_error_handling", "touch")
    assert [(records[name]["decision"], bool(records[name]["is_error"])) for name in tools] == [
        ("allow", False),
        ("allow", True),
        ("refuse", False),
    ]
    assert records["test_simple_text"]["facts"]["mcp.name"] == "test_simple_text"
