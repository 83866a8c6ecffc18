"""Names of tools: looked at before anything connects, and connected to as they were looked at."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.model import Reason
from gateway.model.egress import Egress
from gateway.wire.addresses import MOST, Addresses
from gateway.wire.pool import Pool
from gateway.wire.racing import first_of
from tests.builders import tool

HOST = "api.example.com"
HERE = Egress(allow=(ip_network("127.0.0.1/32"),))


class Names:
    """A resolver whose answers the test gives, one for each time that it is asked; the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str] | OSError) -> None:
        self._answers = list(answers)
        self.asked = 0
        self.hangs: asyncio.Event | None = None
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._answer)

    async def _answer(self, host: str, port: int, **wanted: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        if self.hangs is not None:
            await self.hangs.wait()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


def addresses(egress: Egress = Egress(), host: str = HOST) -> Addresses:
    return Addresses(tool("api", ("https", host, 443)).origin, egress)


async def refused(subject: Addresses, caplog: pytest.LogCaptureFixture) -> str:
    """What the operator is told of a refusal of which the agent learns no address."""
    caplog.clear()
    with caplog.at_level(logging.ERROR), pytest.raises(UpstreamError) as error:
        await subject.allowed()
    assert (error.value.reason, error.value.status) == (Reason.EGRESS_DENIED, 403)
    assert error.value.detail == f"{HOST} leads to an address that connections may not go to"
    return caplog.messages[0]


@pytest.mark.parametrize("inside", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("place", [0, 1, MOST + 3])
async def test_one_address_inside_spoils_all(monkeypatch, caplog, inside: str, place: int) -> None:
    """Also one behind those that would be tried."""
    answer = [f"93.184.216.{last}" for last in range(place)] + [inside, "93.184.216.99"]
    Names(monkeypatch, answer)
    assert inside in await refused(addresses(), caplog)


async def test_addresses_come_in_the_resolvers_order_once_each_and_not_too_many(monkeypatch) -> None:
    many = [f"93.184.216.{last}" for last in (9, 1, 9, *range(20, 40))]
    Names(monkeypatch, many)
    assert await addresses().allowed() == [many[0], many[1], *many[3:][: MOST - 2]]


async def test_a_name_is_looked_up_for_each_connection_but_once_at_a_time(monkeypatch, caplog) -> None:
    names = Names(monkeypatch, ["93.184.216.34"], ["10.0.0.1"])
    names.hangs = asyncio.Event()
    subject = addresses()
    waiting = [asyncio.ensure_future(subject.allowed()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    names.hangs.set()
    assert await asyncio.gather(*waiting[1:]) == [["93.184.216.34"]] * 4
    assert names.asked == 1
    await refused(subject, caplog)
    assert names.asked == 2


async def test_a_name_that_cannot_be_resolved_is_502_and_one_that_hangs_is_504(monkeypatch) -> None:
    names = Names(monkeypatch, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    pool = Pool(tool("api", ("http", HOST, 80)))
    with pytest.raises(UpstreamError) as error:
        await pool.connect(5)
    assert (error.value.status, error.value.reason) == (502, Reason.UPSTREAM_UNREACHABLE)
    names.hangs = asyncio.Event()
    for _ in range(3):
        with pytest.raises(UpstreamError) as error:
            await pool.connect(0.01)
        assert (error.value.status, error.value.reason) == (504, Reason.UPSTREAM_TIMEOUT)
    assert names.asked == 2
    names.hangs.set()


async def test_a_name_that_changes_after_the_look_changes_nothing(monkeypatch, caplog) -> None:
    """DNS rebinding: the second answer would lead to 127.0.0.2. The connection has the first one's address, and the
    next connection is looked at anew."""
    peers: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("sockname")[0])
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    other = await asyncio.start_server(serve, "127.0.0.2", port)
    pool = Pool(tool("api", ("http", HOST, port), egress=HERE))
    names = Names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    connection = await pool.connect(5)
    assert connection.transport.get_extra_info("peername")[0] == "127.0.0.1"
    with pytest.raises(UpstreamError) as error:
        await pool.connect(5)
    assert error.value.reason is Reason.EGRESS_DENIED
    assert names.asked == 2
    connection.transport.abort()
    for each in (server, other):
        each.close()
        await each.wait_closed()
    assert set(peers) <= {"127.0.0.1"}


async def test_the_next_address_is_tried_where_one_does_not_answer(monkeypatch) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pool = Pool(tool("api", ("http", "tools", server.sockets[0].getsockname()[1])))
    Names(monkeypatch, ["127.0.0.3", "127.0.0.1"])
    connection = await pool.connect(5)
    assert connection.transport.get_extra_info("peername")[0] == "127.0.0.1"
    connection.transport.abort()
    server.close()
    await server.wait_closed()


class Race:
    """Attempts by name: each ends when the test says so."""

    def __init__(self, *names: str) -> None:
        self.started: list[str] = []
        self.dropped: list[str] = []
        self.ends = {name: asyncio.get_running_loop().create_future() for name in names}

    async def attempt(self, name: str) -> str:
        self.started.append(name)
        return str(await self.ends[name])

    def run(self, stagger: float = 60) -> asyncio.Task[str]:
        attempts = [lambda name=name: self.attempt(name) for name in self.ends]
        return asyncio.ensure_future(first_of(attempts, self.dropped.append, stagger))


async def turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_attempts_start_in_order_when_one_has_failed() -> None:
    race = Race("a", "b", "c")
    task = race.run()
    await turns()
    assert race.started == ["a"]
    race.ends["a"].set_exception(OSError("refused"))
    await turns()
    assert race.started == ["a", "b"]
    race.ends["b"].set_result("by b")
    assert await task == "by b"
    assert race.started == ["a", "b"]


async def test_the_next_attempt_starts_beside_one_that_hangs_which_is_given_up_then() -> None:
    race = Race("a", "b")
    task = race.run(stagger=0.001)
    while len(race.started) < 2:
        await asyncio.sleep(0.001)
    race.ends["b"].set_result("by b")
    assert await task == "by b"
    await turns()
    assert race.ends["a"].cancelled()


async def test_of_two_that_succeed_at_once_one_is_dropped() -> None:
    race = Race("a", "b")
    task = race.run(stagger=0.001)
    while len(race.started) < 2:
        await asyncio.sleep(0.001)
    race.ends["a"].set_result("by a")
    race.ends["b"].set_result("by b")
    assert sorted([await task, *race.dropped]) == ["by a", "by b"]


async def test_who_is_not_who_he_should_be_ends_it_and_so_does_the_failure_of_all() -> None:
    race = Race("a", "b")
    task = race.run()
    await turns()
    race.ends["a"].set_exception(ssl.SSLCertVerificationError("not he"))
    with pytest.raises(ssl.SSLError):
        await task
    race = Race("a", "b")
    task = race.run()
    race.ends["a"].set_exception(OSError("first"))
    race.ends["b"].set_exception(OSError("last"))
    with pytest.raises(OSError, match="last"):
        await task
    with pytest.raises(OSError, match="no address"):
        await first_of([], race.dropped.append)


async def test_all_is_given_up_where_nobody_waits_any_more() -> None:
    race = Race("a", "b")
    task = race.run()
    await turns()
    task.cancel()
    await turns()
    assert race.ends["a"].cancelled()
    assert race.started == ["a"]
