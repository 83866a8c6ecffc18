"""What a tool's section can change about the wire, and what it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Peer, connect, eventually
from .harness.tls import Secure, certificate
from .harness.upstream import Upstream

LOOKS = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: looks-at-paths}
spec: {match: {tools: [looked, trusting]}, rules: [{name: x, when: 'request.path == "/never"', then: deny}]}
"""


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A tool that speaks TLS as tool.test: its port, and the certificate to trust."""
    server = Secure(certificate(tmp_path_factory.mktemp("tls"), "tool.test"))
    yield server.port, server.certificate
    server.close()


@pytest.fixture(scope="module")
def optioned(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, secure: tuple[int, Path]
) -> Iterator[Gateway]:
    url = f"http://127.0.0.1:{upstream.port}"
    port, authority = secure
    over_tls = f"https://127.0.0.1:{port}"
    trusted = {"ca_file": str(authority), "server_name": "tool.test"}
    gateway = Gateway(
        tmp_path_factory.mktemp("optioned"),
        {
            "kept": {"url": url, "preserve_host": True},
            "modern": {"url": url, "forwarded": "rfc7239"},
            "silent": {"url": url, "forwarded": "off"},
            "chat": {"url": url, "upgrades": ["websocket"]},
            "still": {"url": url, "upgrades": []},
            "looked": {"url": url},
            "trusting": {"url": url, "ambiguous_paths": "forward"},
            "strict": {"url": url, "ambiguous_paths": "refuse"},
            "tls": {"url": over_tls, "tls": trusted},
            "untrusted": {"url": over_tls, "tls": {"server_name": "tool.test"}},
            "misnamed": {"url": over_tls, "tls": {"ca_file": str(authority), "server_name": "other.test"}},
            "plain-to-tls": {"url": f"http://127.0.0.1:{port}"},
        },
        ALL + LOOKS,
        wire={"max_connections": 20},
    ).start()
    yield gateway
    gateway.stop()


def test_host_is_preserved_where_asked(optioned: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        assert call(optioned, "GET", "/kept/x", host="named.test:81").status == 200
    assert seen.requests[0].all("host") == [b"named.test:81"]


def test_forwarded_in_its_three_ways(optioned: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        for tool in ("modern", "silent"):
            assert call(optioned, "GET", f"/{tool}/x").status == 200
    modern, silent = seen.requests
    forwarded = (modern.get("forwarded") or b"").lower()
    assert b"for=127.0.0.1" in forwarded.replace(b'"', b"")
    assert b"proto=http" in forwarded
    assert not modern.all("x-forwarded-for")
    assert not silent.all("forwarded")
    assert not silent.all("x-forwarded-for")


@pytest.mark.parametrize(("tool", "protocol", "tunnel"), [("chat", "websocket", True), ("chat", "x", False),
                                                          ("still", "websocket", False)])  # fmt: skip
def test_only_listed_upgrades_pass(
    optioned: Gateway, upstream: Upstream, tool: str, protocol: str, tunnel: bool
) -> None:
    """Another upgrade is refused, or is an ordinary call whose Upgrade field the tool never sees."""
    fields = [("Connection", "Upgrade"), ("Upgrade", protocol)]

    def script(peer: Peer) -> None:
        message = http1.read_head(peer)
        if message.all("upgrade"):
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
            peer.read_to_end()
        else:
            peer.send(http1.response("200 OK"))

    with upstream.playing(script), optioned.connect() as peer:
        peer.send(http1.request("GET", f"/{tool}/x", fields))
        assert (http1.read_response(peer).status == 101) == tunnel


@pytest.mark.parametrize(("tool", "passes"), [("looked", False), ("strict", False), ("trusting", True), ("kept", True)])
@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e/b", "/a%2Fb", "/a//b", "/a/..;/b"])
def test_ambiguous_paths(optioned: Gateway, upstream: Upstream, tool: str, passes: bool, path: str) -> None:
    """auto: refused where a rule looks at the path; forwarded byte for byte where none does."""
    with upstream.recording() as seen:
        answer = call(optioned, "GET", f"/{tool}{path}")
    if passes:
        assert seen.requests[0].target == path.encode()
    else:
        assert not seen.turns
        problem_of(answer, "ambiguous_path", 400)


def test_tls_with_a_known_certificate(optioned: Gateway) -> None:
    for _ in range(2):
        assert call(optioned, "POST", "/tls/x", body=b"body").body == b"over TLS body"


@pytest.mark.parametrize("tool", ["untrusted", "misnamed"])
def test_tls_is_verified(optioned: Gateway, tool: str) -> None:
    """There is no way to turn this off."""
    problem = problem_of(call(optioned, "GET", f"/{tool}/x"), "upstream_unreachable", 502)
    assert "certificate" in problem["detail"].lower()


def test_a_plain_call_to_a_tls_port_is_the_tools_fault(optioned: Gateway) -> None:
    assert call(optioned, "GET", "/plain-to-tls/x").status == 502


def test_connections_are_bounded_and_come_back(optioned: Gateway, upstream: Upstream) -> None:
    """Above the bound a client is told, or closed on; nobody who is connected is disturbed."""
    with upstream.recording():
        peers = [optioned.connect() for _ in range(20)]
        try:
            peers[0].send(http1.request("GET", "/kept/x"))
            assert http1.read_response(peers[0]).status == 200
            with connect(optioned.port, timeout=3) as extra:
                extra.send(http1.request("GET", "/kept/x"))
                rest = extra.read_to_end()
            assert not rest or rest.startswith(b"HTTP/1.1 503")
            peers[1].send(http1.request("GET", "/kept/x"))
            assert http1.read_response(peers[1]).status == 200
        finally:
            for peer in peers:
                peer.close()

        def served() -> bool:
            with optioned.connect() as peer:
                peer.send(http1.request("GET", "/kept/x"))
                return peer.wait_for_bytes() and http1.read_response(peer).status == 200

        eventually(served, what="places are free again")
