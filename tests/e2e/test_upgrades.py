"""WebSocket and other upgrades, and CONNECT: tunnels after the decision."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from .harness import http1
from .harness.gateway import Gateway
from .harness.net import Peer
from .harness.upstream import Upstream


def _open(gateway: Gateway, path: str = "/chat", subprotocols: list[Subprotocol] | None = None) -> ClientConnection:
    url = f"ws://127.0.0.1:{gateway.port}/ws{path}"
    return connect(url, proxy=None, max_size=1 << 24, subprotocols=subprotocols)


def test_messages_of_all_kinds_come_back(gateway: Gateway) -> None:
    with _open(gateway) as socket:
        for message in ("text \N{EURO SIGN}", b"\x00\xff", "", b"", "x" * (1 << 20), bytes(1 << 20)):
            socket.send(message)
            assert socket.recv(timeout=10) == message


def test_many_messages_at_once_keep_their_order(gateway: Gateway) -> None:
    with _open(gateway) as socket:
        for number in range(200):
            socket.send(str(number))
        assert [socket.recv(timeout=10) for _ in range(200)] == [str(number) for number in range(200)]


def test_path_and_query_arrive(gateway: Gateway) -> None:
    with _open(gateway, "/room%20x?a=1&a=2") as socket:
        socket.send("path")
        assert socket.recv(timeout=10) == "/room%20x?a=1&a=2"


def test_ping_is_answered_by_the_tool(gateway: Gateway) -> None:
    with _open(gateway) as socket:
        assert socket.ping(b"are you there").wait(10)


def test_subprotocol_is_negotiated_with_the_tool(gateway: Gateway) -> None:
    with _open(gateway, subprotocols=[Subprotocol("other"), Subprotocol("chat.v2")]) as socket:
        assert socket.subprotocol == "chat.v2"


def test_close_code_of_the_tool_arrives(gateway: Gateway) -> None:
    with _open(gateway) as socket:
        socket.send("close 4001")
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as asked")


def test_close_code_of_the_client_arrives(gateway: Gateway) -> None:
    with _open(gateway) as socket:
        socket.close(4002, "bye")
        assert socket.close_code == 4002


def test_refused_handshake_arrives_as_the_tool_sent_it(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as caught:
        _open(gateway, "/refused")
    assert caught.value.response.status_code == 403
    assert caught.value.response.headers["X-Why"] == "not today"
    assert caught.value.response.body == b"nope"


def test_a_tunnel_is_traced_with_its_bytes(gateway: Gateway) -> None:
    with _open(gateway) as socket:
        assert socket.response is not None
        call = socket.response.headers["X-Toolgate-Call"]
        socket.send("x" * 1000)
        socket.recv(timeout=10)
    record = gateway.trace(call)
    assert record["status"] == 101
    assert record["decision"] == "allow"
    assert record["tool"] == "ws"


def _tunnel(peer: Peer) -> None:
    """Switches to a protocol of its own: greets at once, then upper-cases lines until the client's end."""
    http1.read_head(peer)
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\nwelcome\n")
    while peer.wait_for_bytes():
        peer.send(peer.read_until(b"\n").upper())
    peer.send(b"bye\n")
    peer.close()


def test_another_protocol_is_tunnelled_with_what_follows_at_once(gateway: Gateway, upstream: Upstream) -> None:
    """The tool's first bytes come with its 101, the client's first bytes right after its head."""
    head = http1.request("GET", "/raw/x", [("Connection", "Upgrade"), ("Upgrade", "shout")])
    with upstream.playing(_tunnel) as seen, gateway.connect() as peer:
        peer.send(head)
        answer = http1.read_head(peer)
        assert answer.status == 101
        assert answer.all("upgrade") == [b"shout"]
        assert peer.read_until(b"\n") == b"welcome\n"
        peer.send(b"abc\n")
        assert peer.read_until(b"\n") == b"ABC\n"
        peer.half_close()
        assert peer.read_until(b"\n") == b"bye\n"
        assert peer.at_end()
    assert b"upgrade: shout" in seen.raw.lower()


def test_an_ignored_upgrade_is_an_ordinary_call(gateway: Gateway, upstream: Upstream) -> None:
    head = http1.request("GET", "/raw/x", [("Connection", "Upgrade"), ("Upgrade", "other")])
    with upstream.recording() as seen, gateway.connect() as peer:
        for _ in range(2):
            peer.send(head)
            assert http1.read_response(peer).body == b"ok"
    assert len(seen.requests) == 2


def test_h2c_is_never_a_tunnel(gateway: Gateway, upstream: Upstream) -> None:
    """h2c smuggling: a tunnel that speaks HTTP/2 would carry calls that nobody decided about."""
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")]

    def script(peer: Peer) -> None:
        message = http1.read_head(peer)
        if b"h2c" in b",".join(message.all("upgrade")):
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
            peer.read_to_end()
        else:
            peer.send(http1.response("200 OK", body=b"plain"))

    with upstream.playing(script) as seen, gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x", fields))
        assert http1.read_response(peer).status in (200, 400, 403, 501, 502)
    assert b"http2-settings" not in seen.raw.lower()


def test_the_http2_preface_is_refused(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert http1.read_response(peer).status in (400, 505)
        assert peer.at_end()
    assert not seen.turns


def test_a_switch_that_nobody_asked_for_is_a_fault_of_the_tool(gateway: Gateway, upstream: Upstream) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    with upstream.recording(answer), gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        assert http1.read_response(peer).status == 502


def _connect(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


def test_connect_to_an_allowed_tool_is_a_tunnel(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, gateway.connect() as peer:
        peer.send(_connect(f"127.0.0.1:{upstream.port}"))
        answer = http1.read_head(peer)
        assert answer.status == 200
        assert not answer.all("content-length")
        assert not answer.all("transfer-encoding")
        peer.send(http1.request("GET", "/inside"))
        assert http1.read_response(peer).body == b"ok"
    assert seen.requests[0].target == b"/inside"
    assert b"via" not in seen.raw.lower()


@pytest.mark.parametrize("authority", ["evil.test:443", "127.0.0.1:1", "{echo}", "tool.test:22", "[::1]:{port}"])
def test_connect_elsewhere_is_refused(gateway: Gateway, upstream: Upstream, echo: object, authority: str) -> None:
    """Also to a tool that has not said ``connect: true``, and to another port of an allowed host."""
    where = authority.format(port=upstream.port, echo=f"127.0.0.1:{echo.port}")  # type: ignore[attr-defined]
    with gateway.connect() as peer:
        peer.send(_connect(where))
        answer = http1.read_response(peer)
        assert answer.status in (403, 404)
        assert answer.json()["reason"]


def test_connect_without_a_port_is_malformed(gateway: Gateway) -> None:
    with gateway.connect() as peer:
        peer.send(_connect("tool.test"))
        assert http1.read_response(peer).status in (400, 403, 404)
