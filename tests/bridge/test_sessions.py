"""Sessions of the handshake revisions over plain HTTP: bytes, streams, statuses, and how things end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from tests.bridge.plain_server import RESULT
from tests.bridge.support import Peer, bridge, is_running, messages, until


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with bridge("--sessions", "3", "--allow-host", "tools.example") as (url, _):
        yield url


@pytest.fixture
def peer(url: str) -> Iterator[Peer]:
    with Peer(url) as peer:
        yield peer
        peer.http.delete(peer.url)


def test_a_result_keeps_its_bytes_and_an_id_its_type(peer: Peer) -> None:
    for ident in (7, "7"):
        answer = peer.ask("exact", ident)
        assert RESULT in answer.content
        assert answer.json()["id"] == ident
        assert answer.json()["extra"] is True


def test_two_requests_with_the_ids_1_and_text_1_are_two(peer: Peer) -> None:
    with held(peer, "1") as first:
        assert peer.ask("exact", 1).json()["id"] == 1
        peer.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "1"}})
        assert first.result().json()["id"] == "1"


def test_an_id_that_is_under_way_is_refused_until_its_request_is_cancelled(peer: Peer) -> None:
    with held(peer, 5) as first:
        again = peer.ask("exact", 5)
        assert again.status_code == 400
        assert "under way" in again.json()["error"]["message"]
        peer.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
        assert first.result().json()["error"]["code"] == -32800
    assert peer.ask("exact", 5).status_code == 200


def test_a_question_of_the_server_comes_in_the_stream_of_the_call_and_the_answer_goes_back(peer: Peer) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "ask"}
    with peer.http.stream("POST", peer.url, json=call) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        lines = stream.iter_lines()
        assert '"method":"roots/list"' in next(line for line in lines if line.startswith("data:"))
        assert peer.post({"jsonrpc": "2.0", "id": "q", "result": {"roots": []}}).status_code == 202
        assert '"said": {"jsonrpc": "2.0", "id": "q"' in (data := next(x for x in lines if x.startswith("data:"))), data


def test_what_belongs_to_no_call_waits_for_the_get_stream(peer: Peer) -> None:
    assert (
        peer.post({"jsonrpc": "2.0", "id": 1, "method": "announce"}, Accept="application/json").json()["result"] == {}
    )
    with peer.http.stream("GET", peer.url) as stream:
        assert "list_changed" in next(line for line in stream.iter_lines() if line.startswith("data:"))


def test_lines_that_are_no_messages_or_answer_nothing_are_passed_over(peer: Peer) -> None:
    assert messages(peer.ask("noise")) == [{"jsonrpc": "2.0", "extra": True, "result": {}, "id": 1}]


def test_a_crash_is_an_error_for_its_call_and_the_end_of_its_session_only(url: str, peer: Peer) -> None:
    with Peer(url) as other:
        assert other.ask("pid").json() != peer.ask("pid").json()
        assert "exit status 3" in other.ask("crash").json()["error"]["message"]
        assert other.ask("pid").status_code == 404
    assert peer.ask("pid").status_code == 200


def test_a_batch_is_answered_as_one_in_the_revision_that_has_them(url: str, peer: Peer) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "exact"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "b", "method": "nothing"},
    ]
    with Peer(url, "2025-03-26") as old:
        answers = {answer["id"]: answer for answer in old.post(batch).json()}
        assert set(answers) == {1, "b"}
        assert answers["b"]["error"]["code"] == -32601
        old.http.delete(old.url)
    assert peer.post(batch).status_code == 400


def test_a_deleted_session_is_gone_with_its_process(url: str) -> None:
    with Peer(url) as peer:
        pid = peer.ask("pid").json()["result"]["pid"]
        assert is_running(pid)
        assert peer.http.delete(peer.url).status_code == 204
        assert peer.ask("pid").status_code == 404
    until(lambda: not is_running(pid))


def test_more_sessions_than_allowed_are_refused_and_a_place_that_is_freed_is_given_again(url: str) -> None:
    peers = [Peer(url) for _ in range(3)]
    with Peer(url) as extra:
        assert extra.hello.status_code == 503
        assert "3 sessions" in extra.hello.json()["error"]["message"]
    peers[0].http.delete(peers[0].url)
    with Peer(url) as next_one:
        assert next_one.hello.status_code == 200
        peers[0] = next_one
        for peer in peers:
            peer.http.delete(peer.url)
            peer.http.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'"\xff"', -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"3", -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"initialize"}', -32600),
    ],
)
def test_what_is_no_message_is_answered_with_its_error(peer: Peer, body: bytes, code: int) -> None:
    answer = peer.post(body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Accept": "text/html"}, 406),
        ({"Mcp-Session-Id": "unknown"}, 404),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "tools.example", "Origin": "https://TOOLS.example"}, 200),
        ({"Host": "[::1]:80", "Origin": "http://localhost:1234"}, 200),
    ],
)
def test_headers_decide_before_the_server_is_asked(peer: Peer, headers: dict[str, str], status: int) -> None:
    assert peer.post({"jsonrpc": "2.0", "id": 1, "method": "exact"}, **headers).status_code == status


def test_without_a_session_there_is_nothing_but_initialize(url: str) -> None:
    post = httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "exact"}, trust_env=False, verify=False)
    assert post.status_code == 400
    assert "initialize" in post.json()["error"]["message"]
    assert httpx.get(url, trust_env=False, verify=False).status_code == 400
    assert httpx.put(url, trust_env=False, verify=False).status_code == 405


def test_a_line_without_end_is_the_end_of_its_process_and_an_error_for_who_waits(url: str) -> None:
    with Peer(url) as peer:
        answer = peer.ask("flood")
        assert "longer than 16 MiB" in answer.json()["error"]["message"]
        assert peer.ask("pid").status_code == 404


def test_a_server_that_stops_reading_is_ended_and_its_calls_are_answered(url: str) -> None:
    with Peer(url) as peer:
        assert peer.ask("deaf").status_code == 200
        answer = peer.post({"jsonrpc": "2.0", "id": 2, "method": "x" * (1 << 20)})
        assert "ended" in answer.json()["error"]["message"]
        assert peer.ask("pid").status_code == 404


def test_a_body_over_the_limit_is_refused(peer: Peer) -> None:
    assert peer.post(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (17 << 20)).status_code == 413


def test_a_session_that_nobody_uses_ends() -> None:
    with bridge("--idle", "1") as (url, _), Peer(url) as peer:
        pid = peer.ask("pid").json()["result"]["pid"]
        until(lambda: not is_running(pid))
        assert peer.ask("pid").status_code == 404


def test_a_signal_ends_calls_with_errors_streams_and_children_and_exits_0() -> None:
    with bridge() as (url, process), Peer(url) as peer:
        pid = peer.ask("pid").json()["result"]["pid"]
        with held(peer, 1) as call:
            process.send_signal(signal.SIGTERM)
            assert "closing" in call.result().json()["error"]["message"]
        assert process.wait(10) == 0
        assert not is_running(pid)


@contextlib.contextmanager
def held(peer: Peer, ident: int | str) -> Iterator[Future[httpx.Response]]:
    """A request that has reached the server and is not answered."""
    with ThreadPoolExecutor() as pool, peer.http.stream("GET", peer.url) as stream:
        call = pool.submit(peer.ask, "hold", ident)
        assert "list_changed" in next(line for line in stream.iter_lines() if line.startswith("data"))
        yield call
