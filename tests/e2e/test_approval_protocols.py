"""What programs on real SDKs experience while people decide: held, kept alive, told, answered; in each protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
import requests
from mcp import Client, MCPError, UrlElicitationRequiredError
from mcp_types import ElicitRequestURLParams, ElicitResult

from tests.conformance.places import everything

from .harness.echo import EchoServer
from .harness.gateway import ALL, Gateway
from .harness.llm_programs import ASK, CLAUDE, GPT
from .harness.llm_server import LlmServer
from .harness.net import eventually

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
HELD, SHORT = 8.0, 0.5
"""Seconds for which calls of ``held-*`` runs, and of others, are held."""
POLICIES = (
    ALL
    + f"""
---
apiVersion: toolgate/v1
kind: Policy
metadata: {{name: careful}}
spec:
  match: {{operations: ["POST /*", "test_*"]}}
  rules:
    - {{name: ask, when: 'run.id != "" || has(args.ask)', then: approve, message: a person must look}}
---
apiVersion: toolgate/v1
kind: Approval
metadata: {{name: short}}
spec:
  match: {{tools: ["*-short"]}}
  hold: {SHORT}s
---
apiVersion: toolgate/v1
kind: Approval
metadata: {{name: held}}
spec: {{hold: {HELD}s}}
"""
)
MODES = {"sessions": "legacy", "stateless": "auto"}
NAME = "test_simple_text"
SAID = "This is a simple text response for testing."


@pytest.fixture(scope="module")
def models() -> Iterator[LlmServer]:
    provider = LlmServer()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, echo: EchoServer, models: LlmServer) -> Iterator[Gateway]:
    with everything() as url:
        notes = {"url": url.removesuffix("/mcp"), "protocol": "mcp"}
        shop = {"url": f"http://127.0.0.1:{echo.port}"}
        tools: dict[str, Any] = {"notes": notes, "notes-short": notes, "shop": shop, "shop-short": shop}
        for name in ("openai", "anthropic"):
            tools |= {each: {"url": models.url, "protocol": name} for each in (name, f"{name}-short")}
        approvals = {"keep_alive": "200ms", "url": "http://127.0.0.1:1"}
        folder = tmp_path_factory.mktemp("asked")
        process = Gateway(folder, tools, POLICIES, approvals=approvals).start()
        yield process
        process.stop()
        assert "Traceback" not in process.output, process.output


def waiting(gateway: Gateway, run: str) -> str:
    """The approval at which a call of this run waits, waited for."""

    def found() -> str:
        listed = json.loads(gateway.ask("/api/approvals?state=waiting")[1])["approvals"]
        return next((one["id"] for one in listed if one["run"] == run), "")

    return eventually(found, what=f"an approval of {run}")


def decide(gateway: Gateway, ident: str, verb: str = "approve", **more: Any) -> None:
    url = f"http://127.0.0.1:{gateway.admin}/api/approvals/{ident}/decide"
    answer = httpx.post(url, json={"verb": verb, **more}, headers={"X-Toolgate-Admin": "1"})
    assert answer.status_code == 200, answer.text


def later(gateway: Gateway, run: str, verb: str = "approve", after: float = 0.0, **more: Any) -> threading.Thread:
    """Decide on the call of this run as soon as it waits, and so many seconds later."""

    def wait() -> None:
        ident = waiting(gateway, run)
        time.sleep(after)
        decide(gateway, ident, verb, **more)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def records(gateway: Gateway, run: str, count: int) -> list[dict[str, Any]]:
    """The records of a run's calls that were asked about: just so many."""

    def found() -> list[dict[str, Any]]:
        return [line for line in gateway.traces() if line["run"] == run and line["rules"]]

    eventually(lambda: len(found()) >= count, what=f"records of {run}")
    assert len(found()) == count
    return found()


# -- plain HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("post", [requests.post, httpx.post], ids=["requests", "httpx"])
def test_a_call_is_held_until_somebody_approves(gateway: Gateway, post: Callable[..., Any]) -> None:
    run = f"held-{post.__module__}"
    thread = later(gateway, run)
    answer = post(f"{gateway.url}/shop/echo/buy", json={"n": 1}, headers={"X-Run-Id": run}, timeout=20)
    thread.join()
    assert answer.status_code == 200
    assert json.loads(base64.b64decode(answer.json()["body"])) == {"n": 1}
    (record,) = records(gateway, run, 1)
    assert (record["approval"]["verb"], record["approval"]["edited"]) == ("approve", False)
    assert record["timings"]["asked_ms"] >= record["approval"]["waited_ms"] > 0
    assert record["timings"]["queue_ms"] == 0


def test_the_tool_gets_what_the_person_put_in(gateway: Gateway) -> None:
    thread = later(gateway, "edited", "edit", args={"ask": 1, "n": 2})
    url = f"{gateway.url}/shop/echo/buy?dry=1"
    answer = httpx.post(url, json={"ask": 1, "n": 900}, headers={"X-Run-Id": "edited"}, timeout=20)
    thread.join()
    # What stood in the query was among the arguments, and the person left it out.
    got = answer.json()
    assert json.loads(base64.b64decode(got["body"])) == {"ask": 1, "n": 2}
    assert got["target"] == "/echo/buy"
    assert dict(map(tuple, got["fields"]))["Content-Length"] == "15"
    (record,) = records(gateway, "edited", 1)
    assert record["amendments"] == ["arguments edited by a person"]
    assert record["approval"]["edited"] is True


def test_a_persons_answer_takes_the_place_of_the_tools(gateway: Gateway) -> None:
    thread = later(gateway, "answered", "answer", answer='{"paid": false}')
    answer = httpx.post(f"{gateway.url}/shop/echo/buy", json={}, headers={"X-Run-Id": "answered"}, timeout=20)
    thread.join()
    assert (answer.status_code, answer.json()) == (200, {"paid": False})
    assert answer.headers["x-toolgate-answered-by"] == "person"
    assert answer.headers["content-type"] == "application/json"
    (record,) = records(gateway, "answered", 1)
    assert (record["decision"], record["upstream_status"]) == ("refuse", None)


def test_a_call_that_waits_too_long_learns_by_its_status_when_to_come_again(gateway: Gateway) -> None:
    def buy() -> httpx.Response:
        url = f"{gateway.url}/shop-short/echo/buy"
        return httpx.post(url, json={"n": 7}, headers={"X-Run-Id": "pending"}, timeout=20)

    pending = buy()
    problem = pending.json()
    assert (pending.status_code, problem["reason"], problem["approval_state"]) == (403, "approval_pending", "waiting")
    status = gateway.url + problem["status_url"]
    assert httpx.get(status).json()["state"] == "waiting"
    thread = later(gateway, "pending", after=0.2)
    assert httpx.get(status, params={"wait": 20}, timeout=30).json()["state"] == "approved"
    thread.join()
    assert buy().status_code == 200
    eventually(lambda: httpx.get(status).json()["state"] == "done", what="it has been made")
    assert httpx.get(status + "x").status_code == 404
    records(gateway, "pending", 2)


# -- MCP --------------------------------------------------------------------------------------------------------------


def headed(gateway: Gateway, tool: str, run: str, mode: str, **options: Any) -> Client:
    """A client of which every request names the run."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    http = httpx2.AsyncClient(headers={"X-Run-Id": run}, timeout=30)
    transport = streamable_http_client(f"{gateway.url}/{tool}/mcp", http_client=http)
    return Client(transport, mode=mode, read_timeout_seconds=20, **options)


@pytest.mark.parametrize("mode", MODES)
async def test_progress_is_told_while_a_person_looks_and_then_the_tool_answers(gateway: Gateway, mode: str) -> None:
    seen: list[tuple[float, str | None]] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, message))

    run = f"progress-{mode}"
    async with headed(gateway, "notes", run, MODES[mode]) as client:
        thread = later(gateway, run, after=1.0)
        result = await client.call_tool(NAME, progress_callback=told)
    thread.join()
    assert (result.is_error, result.content[0].text) == (False, SAID)  # type: ignore[union-attr]
    assert len(seen) >= 2
    assert {message for _, message in seen} == {"waiting for a person to approve the call"}
    assert [progress for progress, _ in seen] == sorted(progress for progress, _ in seen)


@pytest.mark.parametrize("mode", MODES)
async def test_the_model_reads_that_it_waits_and_the_same_call_then_goes_through(gateway: Gateway, mode: str) -> None:
    run = f"again-{mode}"
    async with headed(gateway, "notes-short", run, MODES[mode]) as client:
        first = await client.call_tool(NAME)
        assert first.is_error
        assert first.content[0].text.startswith("Not done yet: waiting for a person")  # type: ignore[union-attr]
        assert first.meta is not None
        assert first.meta["toolgate/refusal"]["approval_state"] == "waiting"
        decide(gateway, await asyncio.to_thread(waiting, gateway, run))
        again = await client.call_tool(NAME)
    assert again.content[0].text == SAID  # type: ignore[union-attr]
    assert [record["reason"] for record in records(gateway, run, 2)] == ["approval_pending", None]


@pytest.mark.parametrize("mode", MODES)
async def test_a_person_answers_a_model_in_the_tools_place(gateway: Gateway, mode: str) -> None:
    run = f"instead-{mode}"
    async with headed(gateway, "notes", run, MODES[mode]) as client:
        await client.list_tools()
        thread = later(gateway, run, "answer", answer='{"result": "nothing there"}', after=0.5)
        result = await client.call_tool(NAME)
    thread.join()
    assert (result.is_error, result.structured_content) == (False, {"result": "nothing there"})


async def test_a_client_that_opens_pages_is_sent_to_the_approval_in_a_session(gateway: Gateway) -> None:
    async def opened(context: Any, params: Any) -> ElicitResult:
        raise AssertionError("the server asks for nothing")

    async with headed(gateway, "notes-short", "page-1", "legacy", elicitation_callback=opened) as client:
        with pytest.raises(MCPError) as raised:
            await client.call_tool(NAME)
    (elicitation,) = UrlElicitationRequiredError.from_error(raised.value.error).elicitations
    ident = waiting(gateway, "page-1")
    assert (elicitation.url, elicitation.elicitation_id) == (f"http://127.0.0.1:1/approvals/{ident}", ident)


async def test_a_client_that_opens_pages_goes_on_by_itself_without_sessions(gateway: Gateway) -> None:
    pages: list[str] = []

    async def opened(context: Any, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        pages.append(params.url)
        await asyncio.to_thread(decide, gateway, params.url.rpartition("/")[2])
        return ElicitResult(action="accept")

    async with headed(gateway, "notes-short", "page-2", "auto", elicitation_callback=opened) as client:
        result = await client.call_tool(NAME)
    assert result.content[0].text == SAID  # type: ignore[union-attr]
    assert len(pages) == 1
    assert [record["reason"] for record in records(gateway, "page-2", 2)] == ["approval_pending", None]


# -- models -----------------------------------------------------------------------------------------------------------


def gpt(gateway: Gateway, tool: str, run: str) -> openai.OpenAI:
    """As programs make it: with the SDK's own retries."""
    return openai.OpenAI(base_url=f"{gateway.url}/{tool}/v1", api_key="key", default_headers={"X-Run-Id": run})


def claude(gateway: Gateway, tool: str, run: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"{gateway.url}/{tool}", api_key="key", default_headers={"X-Run-Id": run})


def test_streams_begin_late_and_whole(gateway: Gateway) -> None:
    first = later(gateway, "stream-gpt", after=0.6)
    with gpt(gateway, "openai", "stream-gpt") as client:
        chunks = list(client.chat.completions.create(model=GPT, messages=ASK, stream=True))
    second = later(gateway, "stream-claude", after=0.6)
    with (
        claude(gateway, "anthropic", "stream-claude") as other,
        other.messages.stream(model=CLAUDE, max_tokens=99, messages=ASK) as stream,
    ):
        text = stream.get_final_text()
    first.join()
    second.join()
    assert chunks[-1].choices[0].finish_reason
    assert text


def test_no_sdk_repeats_what_waits_by_itself_and_each_says_why(gateway: Gateway) -> None:
    with gpt(gateway, "openai-short", "once-gpt") as client, pytest.raises(openai.PermissionDeniedError) as one:
        client.chat.completions.create(model=GPT, messages=ASK)
    with (
        claude(gateway, "anthropic-short", "once-claude") as other,
        pytest.raises(anthropic.PermissionDeniedError) as two,
    ):
        other.messages.create(model=CLAUDE, max_tokens=99, messages=ASK)
    for raised in (one, two):
        assert "waiting for a person: a person must look" in str(raised.value)
        assert raised.value.response.json()["approval_id"]
    records(gateway, "once-gpt", 1)
    records(gateway, "once-claude", 1)


def test_nor_a_stream_that_was_opened(gateway: Gateway) -> None:
    with gpt(gateway, "openai-short", "late-gpt") as client, pytest.raises(openai.APIError) as one:
        list(client.chat.completions.create(model=GPT, messages=ASK, stream=True))
    with claude(gateway, "anthropic-short", "late-claude") as other, pytest.raises(anthropic.APIStatusError) as two:
        list(other.messages.create(model=CLAUDE, max_tokens=99, messages=ASK, stream=True))
    for raised in (one, two):
        assert "waiting for a person" in str(raised.value)
    for run in ("late-gpt", "late-claude"):
        (record,) = records(gateway, run, 1)
        assert (record["status"], record["reason"]) == (200, "approval_pending")


# -- the end of the process -------------------------------------------------------------------------------------------


def test_who_waits_when_the_process_ends_is_told_at_once(tmp_path: Path, echo: EchoServer) -> None:
    shop = {"shop": {"url": f"http://127.0.0.1:{echo.port}"}}
    gateway = Gateway(tmp_path, shop, POLICIES.replace(', "test_*"', "")).start()
    answers: list[httpx.Response] = []

    def buy() -> None:
        url, fields = f"{gateway.url}/shop/echo/buy", {"X-Run-Id": "end"}
        answers.append(httpx.post(url, json={"n": 1}, headers=fields, timeout=20))

    thread = threading.Thread(target=buy)
    thread.start()
    waiting(gateway, "end")
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    thread.join()
    assert answers[0].json()["reason"] == "approval_pending"
    (record,) = gateway.traces()
    assert record["timings"]["asked_ms"] < HELD * 1000
