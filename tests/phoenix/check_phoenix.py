"""A run shows up in somebody else's collector and UI, Arize Phoenix: ``make test-otlp``.

Not among the usual tests: Phoenix is 650 MB, and has a virtual environment of its own (``.venv-phoenix``).
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import http1
from tests.e2e.harness.gateway import Gateway, call, no_wiping
from tests.e2e.harness.net import eventually, free_port
from tests.e2e.harness.upstream import Upstream, answering

PHOENIX = Path(__file__).parents[2] / ".venv-phoenix" / "bin" / "phoenix"
STARTS = 180.0
"""Seconds that Phoenix may take to start."""
POLICIES = no_wiping("bank")
JSON = ("Content-Type", "application/json")
CHAT = {
    "id": "c", "object": "chat.completion", "model": "gpt-5-2026",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
}  # fmt: skip


class Phoenix:
    def __init__(self, folder: Path) -> None:
        self.port, self.grpc = free_port(), free_port()
        own = {
            "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_HOST": "127.0.0.1", "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(self.grpc), "PHOENIX_TELEMETRY_ENABLED": "false",
        }  # fmt: skip
        with (folder / "phoenix.log").open("wb") as output:
            self.process = subprocess.Popen([PHOENIX, "serve"], stdout=output, stderr=output, env=os.environ | own)
        eventually(self._up, STARTS, "Phoenix is up")

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def spans(self, trace: str) -> dict[str, dict[str, Any]]:
        """By span id."""
        found = self.ask("/v1/projects/default/spans?limit=1000")["data"]
        return {span["context"]["span_id"]: span for span in found if span["context"]["trace_id"] == trace}

    def _up(self) -> bool:
        assert self.process.poll() is None, "Phoenix has ended"
        try:
            return bool(self.ask("/v1/projects"))
        except OSError:
            return False

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    found = Phoenix(tmp_path_factory.mktemp("phoenix"))
    yield found
    found.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_run_appears_with_its_names_and_parents(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream, phoenix: Phoenix, protocol: str
) -> None:
    base = f"http://127.0.0.1:{upstream.port}"
    endpoint = f"http://127.0.0.1:{phoenix.port if protocol == 'http' else phoenix.grpc}"
    tools = {
        "bank": {"url": base, "operations": ["POST /transfers/{id}"]},
        "notes": {"url": f"{base}/mcp", "protocol": "mcp"},
        "model": {"url": base, "protocol": "openai"},
    }
    trace = {"file": str(tmp_path / "t.jsonl"), "otlp": {"endpoint": endpoint, "protocol": protocol}}
    gateway = Gateway(tmp_path, tools, POLICIES, trace=trace).start()
    request.addfinalizer(gateway.stop)
    trace_id, agent = os.urandom(16).hex(), os.urandom(8).hex()
    parent, run = ("traceparent", f"00-{trace_id}-{agent}-01"), ("X-Run-Id", f"run-{protocol}")
    told = [parent, run, JSON]

    with upstream.playing(answering(http1.response("200 OK", [JSON], json.dumps(CHAT).encode()))):
        ask = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}]}).encode()
        asked = call(gateway, "POST", "/model/v1/chat/completions", told, ask)
    with upstream.recording() as seen:
        paid = call(gateway, "POST", "/bank/transfers/7", told, b"{}")
    passed_on = ("traceparent", seen.requests[0].get("traceparent").decode())
    result = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "no"}], "isError": True}}
    with upstream.playing(answering(http1.response("200 OK", [JSON], json.dumps(result).encode()))):
        search = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {}}}
        fields = [passed_on, run, JSON, ("Accept", "application/json, text/event-stream")]
        searched = call(gateway, "POST", "/notes", fields, json.dumps(search).encode(), "localhost")
    refused = call(gateway, "POST", "/bank/wipe/all", told, b"{}")
    assert [answer.status for answer in (asked, paid, searched, refused)] == [200, 200, 200, 403]

    eventually(lambda: len(phoenix.spans(trace_id)) == 7, 20, "seven spans in Phoenix")
    spans = phoenix.spans(trace_id)

    def of(answer: http1.Message) -> list[dict[str, Any]]:
        """The span of the gateway, and that of the call to the tool, where there is one."""
        name = answer.get("x-toolgate-call").decode()
        (server,) = [span for span in spans.values() if span["attributes"].get("toolgate.call") == name]
        own = server["context"]["span_id"]
        calls = [
            span for span in spans.values() if span["parent_id"] == own and "toolgate.call" not in span["attributes"]
        ]
        return [server, *calls]

    chat, to_model = of(asked)
    pay, to_bank = of(paid)
    find, to_notes = of(searched)
    (wipe,) = of(refused)
    assert [span["name"] for span in (chat, to_model, pay, to_bank, find, to_notes, wipe)] == [
        "chat gpt-5", "chat gpt-5", "execute_tool bank", "POST /transfers/{id}", "tools/call search",
        "tools/call search", "execute_tool bank",
    ]  # fmt: skip
    assert [span["parent_id"] for span in (chat, pay, wipe)] == [agent] * 3
    assert find["parent_id"] == to_bank["context"]["span_id"]  # the tool made this call while it served the other
    assert (to_model["span_kind"], pay["span_kind"], find["span_kind"]) == ("LLM", "TOOL", "TOOL")
    assert to_model["attributes"]["llm.token_count.total"] == 14
    assert "llm.token_count.total" not in chat["attributes"]
    assert {span["attributes"]["session.id"] for span in spans.values()} == {f"run-{protocol}"}
    assert [span["status_code"] for span in (pay, find, wipe)] == ["UNSET", "ERROR", "ERROR"]
    assert wipe["attributes"]["toolgate.rule"] == "safety/no-wiping"
    assert [event["name"] for event in wipe["events"]] == ["toolgate.decision", "toolgate.rule"]
