"""Nobody keeps the gateway waiting for ever: slow clients, slow tools, absent tools."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from .harness import http1
from .harness.gateway import Gateway, call, problem_of
from .harness.net import Ended, Peer, eventually, free_port
from .harness.upstream import Upstream


@pytest.fixture(scope="module")
def unreachable() -> Iterator[int]:
    """A port where connecting hangs: its queue of unaccepted connections is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield full.getsockname()[1]
        for sock in waiting:
            sock.close()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, unreachable: int) -> Iterator[Gateway]:
    """A gateway with little patience."""
    url = f"http://127.0.0.1:{upstream.port}"
    gateway = Gateway(
        tmp_path_factory.mktemp("hasty"),
        {
            "raw": {"url": url, "limits": {"first_byte": "600ms", "idle": "600ms", "connect": "500ms"}},
            "bounded": {"url": url, "limits": {"timeout": "800ms"}},
            "absent": {"url": f"http://127.0.0.1:{free_port()}"},
            "hanging": {"url": f"http://127.0.0.1:{unreachable}", "limits": {"connect": "500ms"}},
            "nameless": {"url": "http://no-such-host.invalid"},
        },
        wire={"head_timeout": "600ms", "body_idle": "600ms", "keep_alive": "600ms"},
    ).start()
    yield gateway
    gateway.stop()


def _ends_with(peer: Peer, statuses: set[int]) -> None:
    """The connection ends: with one of these answers, or with none."""
    rest = peer.read_to_end()
    assert not rest or int(rest.split(b" ")[1]) in statuses, rest


def test_a_head_that_never_ends_is_given_up(hasty: Gateway) -> None:
    with hasty.connect() as peer:
        peer.send(b"GET /raw/x HTTP/1.1\r\nHost: to")
        _ends_with(peer, {408})


def test_a_head_that_drips_is_given_up(hasty: Gateway) -> None:
    """Slowloris: each byte comes soon, the head never."""
    with hasty.connect(timeout=5) as peer:
        stop = threading.Event()

        def drip() -> None:
            try:
                peer.send(b"GET /raw/x HTTP/1.1\r\nHost: a\r\n")
                while not stop.wait(0.1):
                    peer.send(b"X: y\r\n")
            except OSError:
                return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            _ends_with(peer, {408})
        finally:
            stop.set()
            thread.join()


def test_a_connection_that_says_nothing_is_given_up(hasty: Gateway) -> None:
    with hasty.connect() as peer:
        _ends_with(peer, {408})


def test_an_idle_connection_is_closed_after_its_answer(hasty: Gateway, upstream: Upstream) -> None:
    with upstream.recording(), hasty.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        assert http1.read_response(peer).status == 200
        assert peer.at_end()


def test_a_body_that_stops_is_given_up_on_both_sides(hasty: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen, hasty.connect() as peer:
        peer.send(http1.request("POST", "/raw/x", [("Content-Length", "100")]) + b"part")
        _ends_with(peer, {408})
        eventually(lambda: seen.errors, what="the tool's connection has ended")
    assert isinstance(seen.errors[0], Ended)


def test_a_tool_that_is_not_there(hasty: Gateway) -> None:
    problem_of(call(hasty, "GET", "/absent/x"), "upstream_unreachable", 502)


def test_a_tool_whose_name_is_unknown(hasty: Gateway) -> None:
    problem_of(call(hasty, "GET", "/nameless/x"), "upstream_unreachable", 502)


def test_a_tool_that_does_not_take_the_connection(hasty: Gateway) -> None:
    answer = call(hasty, "GET", "/hanging/x")
    assert answer.status in (502, 504)
    assert answer.json()["reason"] in ("upstream_timeout", "upstream_unreachable")


def test_a_tool_that_does_not_answer(hasty: Gateway, upstream: Upstream) -> None:
    ended = threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        assert peer.at_end()
        ended.set()
        peer.close()

    with upstream.playing(script):
        answer = call(hasty, "GET", "/raw/x")
        problem_of(answer, "upstream_timeout", 504)
        assert ended.wait(5), "the call to the tool is given up too"
    record = hasty.trace(answer.get("x-toolgate-call"))
    assert (record["status"], record["upstream_status"], record["fault"]) == (504, None, "tool")


def test_a_tool_that_stops_in_the_middle(hasty: Gateway, upstream: Upstream) -> None:
    """The head has gone out: the client must see that the body is not whole."""

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        peer.at_end()
        peer.close()

    with upstream.playing(script), hasty.connect() as peer:
        peer.send(http1.request("GET", "/raw/x"))
        with pytest.raises(Ended):
            http1.read_response(peer)


def test_a_call_that_takes_too_long_in_total(hasty: Gateway, upstream: Upstream) -> None:
    """Bytes keep coming, so no idle bound helps."""

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            peer.send(b"1\r\na\r\n")
            time.sleep(0.05)
        peer.send(b"0\r\n\r\n")

    with upstream.playing(script), hasty.connect() as peer:
        peer.send(http1.request("GET", "/bounded/x"))
        with pytest.raises(Ended):
            http1.read_response(peer)


def test_other_calls_are_not_disturbed(hasty: Gateway, upstream: Upstream) -> None:
    """While one tool hangs, the next call is served."""
    with upstream.recording(), hasty.connect() as hanging:
        hanging.send(http1.request("GET", "/hanging/x"))
        assert call(hasty, "GET", "/raw/x").status == 200
        assert http1.read_response(hanging).status in (502, 504)
