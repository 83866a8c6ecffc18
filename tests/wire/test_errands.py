"""GETs of the gateway's own, against a server on the loopback that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.execute.forward import Forwarder
from gateway.model import Lent, Reason, Tool
from gateway.ports import Errand
from gateway.wire import errand, errands
from gateway.wire.errands import Errands
from gateway.wire.pool import Pools
from tests.builders import call, request, tool


class Store:
    """Answers each request with the next of these, raw; an empty one ends the connection, None says nothing."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.heard: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heard.append(await reader.readuntil(b"\r\n\r\n"))
                answer = self.answers.pop(0)
                if answer is None:
                    await reader.read()
                if not answer:
                    return
                writer.write(answer)
                if answer.startswith(b"HTTP/1.0"):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


class Place:
    """The store, and what asks it."""

    def __init__(self, store: Store, port: int) -> None:
        self.store, self.tool = store, tool("notes", ("http", "127.0.0.1", port), inject=((b"X-Key", b"k"),))
        self.pools, self.now = Pools(), 100.0
        self.errands = Errands(self.way_to, lambda: self.now)

    def way_to(self, tool: Tool) -> Any:
        return Forwarder(tool), self.pools.of(tool)

    def errand(self, target: str = "/notes/a", lender: Any = None) -> Errand:
        asked = request("GET", target, [("If-None-Match", '"1"')], host=None)
        return Errand(call(to=self.tool, of=asked, target=target), lender)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    store = Store()
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0)
    made = Place(store, server.sockets[0].getsockname()[1])
    yield made
    made.pools.close()
    server.close()
    await asyncio.sleep(0)


async def test_an_answer_is_given_with_its_fields_and_body(place: Place) -> None:
    place.store.answers = [b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: "2"\r\nContent-Length: 4\r\n\r\ntext']
    (found,) = await place.errands.ask([place.errand()])
    assert found is not None
    answered, body = found
    assert (answered.status, answered.content_type, body) == (200, "text/plain", b"text")
    assert (b"ETag", b'"2"') in answered.fields
    (head,) = place.store.heard
    assert head.startswith(b"GET /notes/a HTTP/1.1\r\n")
    assert b'\r\nIf-None-Match: "1"\r\n' in head
    assert b"\r\nX-Key: k\r\n" in head
    assert b"\r\nAccept-Encoding: identity\r\n" in head


async def test_connections_are_kept_and_one_that_has_ended_is_made_anew(place: Place) -> None:
    unchanged = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    place.store.answers = [unchanged, unchanged, b"", unchanged]
    for _ in range(3):
        (found,) = await place.errands.ask([place.errand()])
        assert found is not None
        assert found[0].status == 304
    assert place.store.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        None,
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_in_time_is_none(
    place: Place, answer: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands, "WITHIN", 0.2)
    monkeypatch.setattr(errand, "MOST", 1000)
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    place.store.answers = [answer, fine]
    (found,) = await place.errands.ask([place.errand()])
    assert found is None
    (found,) = await place.errands.ask([place.errand()])
    assert found is not None, "the connection is not used again"


async def test_one_that_cannot_be_asked_keeps_no_other(place: Place) -> None:
    class Lender:
        rejects = 0

        def lend(self, call: Any, body: Any) -> Any:
            raise UpstreamError(Reason.CREDENTIAL_UNAVAILABLE, 502, "none")

    place.store.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    missing, found = await place.errands.ask([place.errand("/a", Lender()), place.errand("/b")])
    assert missing is None
    assert found is not None


async def test_credentials_are_lent_and_told_of_when_they_are_rejected(place: Place) -> None:
    class Lender:
        rejects = 0

        async def lend(self, call: Any, body: Any) -> Lent:
            return Lent(((b"Authorization", b"Bearer lent"),))

        def rejected(self, call: Any) -> None:
            self.rejects += 1

    lender = Lender()
    place.store.answers = [b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"]
    (found,) = await place.errands.ask([place.errand(lender=lender)])
    assert found is not None
    assert b"\r\nAuthorization: Bearer lent\r\n" in place.store.heard[0]
    assert lender.rejects == 1


async def test_what_stands_is_fresh_for_its_agent_for_a_second(place: Place) -> None:
    asks, key = place.errands, ("notes", "a")
    asks.verified("ann", key, "change-1")
    assert asks.fresh("ann", key, "change-1")
    assert not asks.fresh("bob", key, "change-1")
    assert not asks.fresh("ann", key, "change-2")
    place.now += 1.0
    assert not asks.fresh("ann", key, "change-1")


async def test_what_is_fresh_is_forgotten_in_order(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "MOST_FRESH", 3)
    for number in range(4):
        place.errands.verified("ann", ("notes", str(number)), "c")
    assert [place.errands.fresh("ann", ("notes", str(number)), "c") for number in range(4)] == [False, True, True, True]


async def test_an_agent_that_goes_takes_what_is_asked_for_it_along(place: Place) -> None:
    place.store.answers = [None]
    asking = asyncio.ensure_future(place.errands.ask([place.errand()]))
    while not place.store.heard:
        await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    while place.pools.open():
        await asyncio.sleep(0.001)
