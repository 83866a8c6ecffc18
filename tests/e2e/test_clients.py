"""Real clients get through the gateway what they get directly."""

from __future__ import annotations

import json
import shutil
import subprocess

import httpx
import pytest
import requests

from .harness.clients import CLIENTS, Step, comparable
from .harness.echo import EchoServer
from .harness.gateway import Gateway

STEPS = [
    Step("GET", "/plain"),
    Step("GET", "/q?a=1&a=2&empty=&plus=a+b&pct=%2F%00&utf=%E2%82%AC"),
    Step("GET", "/p%20a%2Fth;v=1/x"),
    Step("POST", "/json", {"Content-Type": "application/json", "X-Id": "7"}, b'{"a": [1, 2.50, "\xc3\xbc"]}'),
    Step("POST", "/form", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&a=2&b=%20+"),
    Step("PUT", "/streamed", {"Content-Type": "application/octet-stream"}, bytes(range(256)), streamed=True),
    Step("PATCH", "/patch", {"Content-Type": "text/plain"}, b"x" * 100_000),
    Step("DELETE", "/thing/1"),
    Step("HEAD", "/plain"),
    Step("OPTIONS", "/plain", {"Origin": "http://a.test", "Access-Control-Request-Method": "PUT"}),
    Step("PROPFIND", "/dav/", {"Depth": "1", "Content-Type": "application/xml"}, b"<propfind/>"),
    Step("GET", "/cookies"),
    Step("GET", "/coded/gzip"),
    Step("GET", "/status/204"),
    Step("GET", "/status/304", {"If-None-Match": '"1"'}),
    Step("GET", "/status/404"),
    Step("GET", "/status/503"),
    Step("GET", "/bytes/300000"),
    Step("GET", "/bytes/300000?chunked"),
    Step("POST", "/expect", {"Expect": "100-continue", "Content-Type": "text/plain"}, b"y" * 2000),
]


def _name(step: Step) -> str:
    return f"{step.method} {step.target}"


@pytest.mark.parametrize("name", CLIENTS)
def test_client_sees_no_difference(name: str, gateway: Gateway, echo: EchoServer) -> None:
    """The whole list in one session of the client, its connection reused as it sees fit."""
    client = CLIENTS[name]
    if name in ("curl", "node") and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    # fetch forbids Expect, and cannot send it
    steps = [step for step in STEPS if not (name == "node" and "Expect" in step.headers)]
    direct = client(f"http://127.0.0.1:{echo.port}", steps)
    through = client(f"{gateway.url}/echo", steps)
    assert len(through) == len(steps)
    differences = {
        _name(step): (comparable(one), comparable(other))
        for step, one, other in zip(steps, direct, through, strict=True)
        if comparable(one) != comparable(other)
    }
    assert not differences


@pytest.mark.parametrize("name", ["requests", "httpx", "curl"])
def test_client_reaches_tools_through_http_proxy(name: str, gateway: Gateway, echo: EchoServer) -> None:
    """HTTP_PROXY: absolute-form requests, to a tool's own host and port."""
    url = f"http://127.0.0.1:{echo.port}/by-proxy?x=1"
    if name == "requests":
        answer = requests.get(url, proxies={"http": gateway.url}, timeout=10)
        told, call = answer.json(), answer.headers["x-toolgate-call"]
    elif name == "httpx":
        with httpx.Client(proxy=gateway.url, trust_env=False) as client:
            reply = client.get(url)
        told, call = reply.json(), reply.headers["x-toolgate-call"]
    else:
        done = subprocess.run(
            ["curl", "-q", "-sS", "-x", gateway.url, "--noproxy", "", "-w", "\n%header{x-toolgate-call}", url],
            check=True, capture_output=True, timeout=10, text=True,
        )  # fmt: skip
        body, _, call = done.stdout.rpartition("\n")
        told = json.loads(body)
    assert told["target"] == "/by-proxy?x=1"
    assert call


@pytest.mark.parametrize("name", CLIENTS)
def test_client_sees_the_refusal_of_a_large_upload(name: str, gateway: Gateway) -> None:
    """The gateway has said no long before the body is sent: the client must get to read it."""
    if name in ("curl", "node") and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    upload = Step("POST", "/nobody/x", {"Content-Type": "application/octet-stream"}, bytes(4 << 20))
    status, _, body = CLIENTS[name](gateway.url, [upload])[0]
    assert status == 404
    assert b"unknown_tool" in body
