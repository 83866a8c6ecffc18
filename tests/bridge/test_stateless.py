"""The revision without sessions over plain HTTP: one child for all, and nothing of one client reaches another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bridge.support import ACCEPT, SDK_SERVER, bridge, messages, until

VERSION = "2026-07-28"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with bridge(server=SDK_SERVER) as (url, _):
        yield url


def request(method: str, ident: int | str = 1, meta: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    own = {"io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": ident, "method": method, "params": {**params, "_meta": {**own, **(meta or {})}}}


def headers(message: dict[str, Any], **more: str) -> dict[str, str]:
    own = {"Accept": ACCEPT, "MCP-Protocol-Version": VERSION, "Mcp-Method": message["method"]}
    if "name" in message["params"]:
        own["Mcp-Name"] = message["params"]["name"]
    return {**own, **more}


def post(url: str, message: dict[str, Any], **more: str) -> httpx.Response:
    return httpx.post(url, json=message, headers=headers(message, **more), timeout=20, trust_env=False, verify=False)


def call(name: str, ident: int | str = 1, meta: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    return request("tools/call", ident, meta, name=name, arguments=arguments)


def test_clients_with_the_same_ids_and_tokens_get_their_own_answers_and_progress(url: str) -> None:
    def ask(to: int) -> list[Any]:
        return messages(post(url, call("count", "same", {"progressToken": "same"}, to=to)))

    with ThreadPoolExecutor() as pool:
        for to, said in zip((4, 6, 8), pool.map(ask, (4, 6, 8)), strict=True):
            *progress, answer = said
            assert [(step["params"]["progressToken"], step["params"]["total"]) for step in progress] == [
                ("same", to)
            ] * to
            assert answer["id"] == "same"
            assert answer["result"]["resultType"] == "complete"


def test_all_share_one_process(url: str) -> None:
    assert post(url, call("pid")).json()["result"] == post(url, call("pid")).json()["result"]


def test_an_id_comes_back_with_its_type(url: str) -> None:
    for ident in (1, "1", -(2**40), 10**30):
        assert post(url, call("add", ident, a=1, b=1)).json()["id"] == ident


def test_logs_that_may_be_another_clients_reach_nobody(url: str, tmp_path: Path) -> None:
    level = {"io.modelcontextprotocol/logLevel": "info"}
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(post, url, call("pause", 1, level, marks=str(tmp_path)))
        until((tmp_path / "started").exists)
        assert messages(post(url, call("log", 2, level, text="whose?")))[-1]["id"] == 2
        (tmp_path / "go").touch()
        assert [message["id"] for message in messages(waiting.result())] == [1]
    *logs, _ = messages(post(url, call("log", 3, level, text="mine")))
    assert [log["params"]["data"] for log in logs] == ["mine"]


@pytest.mark.parametrize("ident", [3, "3"])
def test_a_subscription_speaks_of_itself_by_the_clients_id(url: str, ident: int | str) -> None:
    message = request("subscriptions/listen", ident, notifications={"toolsListChanged": True})
    with httpx.stream(
        "POST", url, json=message, headers=headers(message), timeout=20, trust_env=False, verify=False
    ) as stream:
        said = (json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: "))
        assert next(said)["params"]["_meta"][SUBSCRIPTION] == ident
        post(url, call("change"))
        assert next(said)["params"]["_meta"][SUBSCRIPTION] == ident


def test_errors_show_in_the_status(url: str) -> None:
    assert post(url, request("no/such")).status_code == 404
    assert post(url, request("initialize")).status_code == 404
    assert post(url, request("tools/call", name="add", arguments=3)).status_code == 400


@pytest.mark.parametrize(
    ("more", "header"),
    [
        ({"Mcp-Method": "tools/list"}, "Mcp-Method"),
        ({"Mcp-Name": "pid"}, "Mcp-Name"),
        ({"Mcp-Name": "=?base64?cGlk?="}, "Mcp-Name"),
        ({"Mcp-Name": "=?base64?%%?="}, "Mcp-Name"),
        ({"MCP-Protocol-Version": "2027-01-01"}, "MCP-Protocol-Version"),
    ],
)
def test_a_header_that_says_other_than_the_body_is_refused(url: str, more: dict[str, str], header: str) -> None:
    answer = post(url, call("add", a=1, b=1), **more)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32020
    assert header in answer.json()["error"]["message"]
    assert answer.json()["id"] == 1


def test_a_name_may_be_encoded_in_its_header(url: str) -> None:
    assert post(url, call("add", a=1, b=1), **{"Mcp-Name": "=?base64?YWRk?="}).status_code == 200


def test_a_header_that_repeats_an_argument_must_agree_also_before_a_client_has_seen_the_tools(url: str) -> None:
    message = call("place", region="eu")
    assert post(url, message, **{"Mcp-Param-Region": "us"}).json()["error"]["code"] == -32020
    assert post(url, message).json()["error"]["code"] == -32020
    assert post(url, message, **{"Mcp-Param-Region": "eu"}).json()["result"]["structuredContent"] == {"result": "eu"}


def test_a_header_given_twice_is_refused(url: str) -> None:
    message = call("add", a=1, b=1)
    twice = [*headers(message).items(), ("Mcp-Name", "pid")]
    assert httpx.post(url, json=message, headers=twice, trust_env=False, verify=False).json()["error"]["code"] == -32020


def test_a_request_without_its_envelope_is_refused(url: str) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    assert post(url, message).json()["error"]["code"] == -32602


def test_what_has_no_place_in_this_revision_is_refused(url: str) -> None:
    own = {"MCP-Protocol-Version": VERSION, "Accept": ACCEPT}
    assert httpx.get(url, headers=own, trust_env=False, verify=False).headers["Allow"] == "POST"
    assert httpx.delete(url, headers=own, trust_env=False, verify=False).status_code == 405
    answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert httpx.post(url, json=answer, headers=own, trust_env=False, verify=False).status_code == 400
    assert httpx.post(url, json=[answer], headers=own, trust_env=False, verify=False).status_code == 400
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert httpx.post(url, json=note, headers=own, trust_env=False, verify=False).status_code == 202
    listen = request("subscriptions/listen", notifications={})
    assert post(url, listen, Accept="application/json").status_code == 406


def test_a_client_that_hangs_up_cancels_its_request(url: str, tmp_path: Path) -> None:
    message = call("wait", marks=str(tmp_path))
    with pytest.raises(httpx.ReadTimeout), httpx.Client(trust_env=False, verify=False, timeout=0.5) as client:
        client.post(url, json=message, headers=headers(message))
    until((tmp_path / "started").exists)
    until((tmp_path / "cancelled").exists)


def test_an_older_server_is_told_of_so_that_the_client_falls_back() -> None:
    with bridge() as (url, _):
        for _ in range(2):
            error = post(url, request("server/discover")).json()["error"]
            assert error["code"] == -32022
            assert "2025-11-25" in error["data"]["supported"]
            assert error["data"]["requested"] == VERSION
