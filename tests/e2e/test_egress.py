"""Where the gateway connects to: nowhere but to what is configured, whatever a name, a tool or an agent says."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call
from .harness.net import eventually
from .harness.tls import Secure, certificate
from .harness.upstream import Upstream

RESOLVER = """
import json, os, socket, uvloop
asked = uvloop.Loop.getaddrinfo

async def getaddrinfo(self, host, port, **wanted):
    names = json.load(open(os.environ["NAMES"]))
    if host not in names:
        return await asked(self, host, port, **wanted)
    family = {True: socket.AF_INET6, False: socket.AF_INET}
    return [(family[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in names[host]]

uvloop.Loop.getaddrinfo = getaddrinfo
"""
"""A resolver for the process, which answers as a file says: whoever owns a name can change it at any time."""


class Locked:
    """A gateway, what it may reach, and a listener that nobody has configured."""

    def __init__(self, folder: Path, upstream: Upstream, secure: Secure, canary: Upstream) -> None:
        self.upstream, self.secure, self.canary = upstream, secure, canary
        self._names = folder / "names.json"
        self.names({})
        at = f":{upstream.port}"
        here = {"allow": ["127.0.0.1/32"]}
        tools = {
            "public": {"url": f"http://api.example.com{at}"},
            "rebinds": {"url": f"http://rebinds.example.com{at}", "egress": here},
            "cluster": {"url": f"http://tool.ns.svc.cluster.local{at}"},
            "meta": {"url": f"http://meta.internal{at}"},
            "literal": {"url": f"http://127.0.0.1{at}"},
            "closed": {"url": f"http://localhost{at}", "egress": {"private": "deny"}},
            "opened": {"url": f"http://opened.example.com{at}", "egress": {"private": "allow"}},
            "secure": {"url": f"https://tool.test:{secure.port}", "connect": True},
        }
        with pytest.MonkeyPatch.context() as patched:
            (folder / "sitecustomize.py").write_text(RESOLVER)
            patched.setenv("PYTHONPATH", str(folder))
            patched.setenv("NAMES", str(self._names))
            self.gateway = Gateway(folder, tools, ALL, egress={"deny": ["192.0.2.0/24"]}).start()

    def names(self, names: dict[str, list[str]]) -> None:
        """What names resolve to from now on."""
        told = {"tool.test": ["127.0.0.1"], "tool.ns.svc.cluster.local": ["127.0.0.1"], **names}
        fresh = self._names.with_suffix(".new")
        fresh.write_text(json.dumps(told))
        fresh.replace(self._names)

    def denied(self, tool: str) -> None:
        """The call is refused in a way that clients do not try again, is on record, and nothing was connected to."""
        before, sample = self.upstream.accepted, f'toolgate_broken_calls_total{{reason="egress_denied",tool="{tool}"}}'
        count = self.gateway.metric(sample)
        answer = call(self.gateway, "GET", f"/{tool}/x")
        problem = answer.json()
        assert (answer.status, problem["reason"], problem["retryable"]) == (403, "egress_denied", False)
        record = self.gateway.trace(answer.all("x-toolgate-call")[0])
        assert (record["decision"], record["fault"]) == ("allow", "gateway")
        assert "may not go to" in record["error"]
        assert self.gateway.metric(sample) == count + 1
        assert self.upstream.accepted == before


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    servers = (
        Upstream(),
        Secure(certificate(tmp_path_factory.mktemp("tls"), "tool.test")),
        Upstream(),
    )
    made = Locked(tmp_path_factory.mktemp("locked"), *servers)
    yield made
    made.gateway.stop()
    for server in servers:
        server.close()
    assert "Traceback" not in made.gateway.output, made.gateway.output


@pytest.mark.parametrize("tool", ["literal", "cluster"])
def test_tools_that_are_inside_by_their_url_are_reached(locked: Locked, tool: str) -> None:
    assert call(locked.gateway, "GET", f"/{tool}/x").status == 200


@pytest.mark.parametrize(
    "answer",
    [["127.0.0.1"], ["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"], ["::1"], ["fd00::1"]],
)
def test_a_public_name_does_not_lead_inside(locked: Locked, answer: list[str]) -> None:
    locked.names({"api.example.com": answer})
    locked.denied("public")
    assert f"{answer[-1]} is private, and api.example.com is not" in locked.gateway.output


@pytest.mark.parametrize("answer", ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "192.0.2.7", "64:ff9b::a9fe:a9fe"])
@pytest.mark.parametrize("tool", ["meta", "opened"])
def test_no_name_leads_to_where_clouds_keep_credentials(locked: Locked, tool: str, answer: str) -> None:
    locked.names({"meta.internal": [answer], "opened.example.com": [answer]})
    locked.denied(tool)


def test_what_the_operator_says_of_private_addresses_counts(locked: Locked) -> None:
    locked.names({"opened.example.com": ["127.0.0.1"]})
    assert call(locked.gateway, "GET", "/opened/x").status == 200
    locked.denied("closed")


def test_a_name_that_rebinds_is_caught_by_the_next_connection(locked: Locked) -> None:
    """A connection that was looked at stays in use; a new one is looked at again, and not trusted for the old one."""
    closing = http1.response("200 OK", [("Connection", "close")], b"bye")
    locked.names({"rebinds.example.com": ["127.0.0.1"]})
    assert call(locked.gateway, "GET", "/rebinds/x").status == 200
    locked.names({"rebinds.example.com": ["127.0.0.2"]})
    with locked.upstream.recording(closing) as seen:
        assert call(locked.gateway, "GET", "/rebinds/x").status == 200
        assert len(seen.requests) == 1
    locked.denied("rebinds")
    locked.names({"rebinds.example.com": ["127.0.0.1"]})
    assert call(locked.gateway, "GET", "/rebinds/x").status == 200


@pytest.mark.parametrize(
    ("method", "target", "host"),
    [
        ("GET", "http://127.0.0.1:{canary}/", "127.0.0.1:{canary}"),
        ("GET", "http://127.0.0.1:{canary}/", "127.0.0.1:{port}"),
        ("GET", "http://127.0.0.1:{port}@127.0.0.1:{canary}/", "127.0.0.1:{port}"),
        ("GET", "http://127.0.0.1:{canary}#@127.0.0.1:{port}/", "127.0.0.1:{port}"),
        ("GET", "http://127.1:{canary}/", "127.1:{canary}"),
        ("GET", "http://2130706433:{canary}/", "x"),
        ("GET", "http://[::ffff:127.0.0.1]:{canary}/", "x"),
        ("GET", "http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("GET", "/latest/meta-data/", "169.254.169.254"),
        ("GET", "/", "127.0.0.1:{canary}"),
        ("GET", "//127.0.0.1:{canary}/", "127.0.0.1:{canary}"),
        ("GET", "gopher://127.0.0.1:{canary}/", "x"),
        ("CONNECT", "127.0.0.1:{canary}", "127.0.0.1:{canary}"),
        ("CONNECT", "127.0.0.1:{canary}", "tool.test:{secure}"),
        ("CONNECT", "tool.test:{canary}", "tool.test:{canary}"),
        ("CONNECT", "127.0.0.1:{port}", "127.0.0.1:{port}"),
        ("CONNECT", "tool.test.:{secure}", "tool.test.:{secure}"),
    ],
)
def test_nothing_but_configured_tools_is_connected_to(locked: Locked, method: str, target: str, host: str) -> None:
    ports = {"canary": locked.canary.port, "port": locked.upstream.port, "secure": locked.secure.port}
    before = locked.upstream.accepted
    with locked.gateway.connect() as peer:
        peer.send(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".format(**ports).encode())
        assert http1.read_response(peer).status in (400, 403, 404)
    assert (locked.canary.accepted, locked.upstream.accepted) == (0, before)


def test_a_tool_cannot_send_the_gateway_elsewhere(locked: Locked) -> None:
    """Redirects are the agent's to follow; fields that other proxies obey are not."""
    where = f"http://127.0.0.1:{locked.canary.port}/"
    fields = [
        ("Location", where),
        ("Content-Location", where),
        ("X-Accel-Redirect", where),
        ("Refresh", f"0;url={where}"),
    ]
    for status in ("301 Moved Permanently", "307 Temporary Redirect", "305 Use Proxy"):
        with locked.upstream.recording(http1.response(status, fields)):
            answer = call(locked.gateway, "GET", "/literal/x")
            assert (answer.status, answer.all("location")) == (int(status[:3]), [where.encode()])
    assert locked.canary.accepted == 0


# -- tunnels -----------------------------------------------------------------------------------------------------


def trust(locked: Locked) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(locked.secure.certificate))


def test_clients_reach_a_tool_through_https_proxy(locked: Locked) -> None:
    url = f"https://tool.test:{locked.secure.port}/"
    with httpx.Client(proxy=locked.gateway.url, verify=trust(locked), trust_env=False) as client:
        assert client.post(url, content=b"hello").text == "over TLS hello"
    said = subprocess.run(
        ["curl", "-q", "-sS", "--cacert", str(locked.secure.certificate), "-d", "hello", url],
        env=os.environ | {"HTTPS_PROXY": locked.gateway.url, "NO_PROXY": "", "no_proxy": ""},
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert said.stdout == b"over TLS hello"


def tunnel(locked: Locked) -> socket.socket:
    """A socket behind the 200 of a CONNECT that is allowed."""
    raw = socket.create_connection(("127.0.0.1", locked.gateway.port), timeout=20)
    where = f"tool.test:{locked.secure.port}"
    raw.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1)
    assert head.startswith(b"HTTP/1.1 200 ")
    return raw


@pytest.mark.parametrize("named", ["evil.test", None])
def test_a_tunnel_is_for_the_host_that_was_asked_for(locked: Locked, named: str | None) -> None:
    """The client is told in TLS's own words, and the tool has not heard a byte."""
    locked.secure.heard.clear()
    context = trust(locked)
    context.check_hostname = False
    with tunnel(locked) as raw, pytest.raises(ssl.SSLError, match=r"(?i)access.denied"):
        context.wrap_socket(raw, server_hostname=named)
    assert not locked.secure.heard.is_set()
    refused = eventually(lambda: [one for one in locked.gateway.traces() if one.get("operation") == "CONNECT"][-1:])
    assert refused[0]["fault"] == "gateway"
    assert "not the one that CONNECT asked for" in refused[0]["error"]


def test_a_tunnel_carries_nothing_but_tls(locked: Locked) -> None:
    locked.secure.heard.clear()
    with tunnel(locked) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: tool.test\r\n\r\n")
        got = b""
        while piece := raw.recv(100):
            got += piece
    assert got == bytes.fromhex("15030300020231")
    assert not locked.secure.heard.is_set()
