"""Circuits of several replicas on one board, and operators' words on them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model import Answered, Outcome
from gateway.stores.breaker_notices import MOST_TOLD, TRIPS, WORDS, BreakerNotices
from gateway.stores.circuit import LEASE
from gateway.stores.circuits import Word
from gateway.stores.memory import MemoryLedger
from tests.builders import circuit
from tests.stores.boards import Board

EPOCH = 1_000_000.0
KEY = ("fragile", "bank")


class Time:
    now = 1000.0

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return EPOCH + self.now


class Replica:
    def __init__(self, name, board, time, *, shared=True) -> None:
        self.time = time
        self.ledger = MemoryLedger(time.clock)
        self.notices = BreakerNotices(board, name, self.ledger.circuits, time.clock, time.wall)
        self.ledger.circuits.spread = 0.0
        self.notices.start(shared=shared)

    def call(self, status=500, key="bank", **settings):
        """Make a call through the breaker: its hold."""
        claim = circuit(key, **{"failures": 1, "open": 10.0, **settings})
        (hold,) = self.ledger.reserve((claim,), self.time.now)
        if hold.granted:
            self.ledger.answered((hold,), Answered(status, 0.1), self.time.now)
            self.ledger.settle((hold,), Outcome(status, status), self.time.now)
        return hold


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def board(time):
    return Board(time.wall)


async def told():
    for _ in range(50):
        await asyncio.sleep(0)


async def test_one_that_opens_here_is_open_everywhere_with_the_same_wait(time, board):
    here, there, idle = (Replica(name, board, time) for name in "abc")
    assert there.call(200).granted
    here.call()
    await told()
    time.now += 4
    for replica in (here, there, idle):
        hold = replica.call()
        assert (hold.granted, hold.state, hold.retry_after) == (False, "open", pytest.approx(6.0))


async def test_a_replica_that_starts_later_finds_it_open(time, board):
    Replica("a", board, time).call()
    await told()
    time.now += 4
    assert Replica("b", board, time).call().retry_after == pytest.approx(6.0)


@pytest.mark.parametrize("status", [200, 500])
async def test_one_replica_probes_for_all(time, board, status):
    replicas = [Replica(name, board, time) for name in "abc"]
    replicas[0].call()
    await told()
    time.now += 10
    assert not any(replica.call().granted for replica in replicas), "each asks first"
    await told()
    assert [replica.call(status).granted for replica in replicas].count(True) == 1
    await told()
    holds = [replica.call(200) for replica in replicas]
    if status == 200:
        assert all(hold.granted for hold in holds)
    else:
        assert [hold.retry_after for hold in holds] == [20.0] * 3, "the time is doubled, everywhere"
        time.now += 20
        assert not any(replica.call().granted for replica in replicas)
        await told()
        assert [replica.call(200).granted for replica in replicas].count(True) == 1


async def test_a_replica_that_may_probe_and_does_not_is_not_waited_for_for_ever(time, board):
    here, there = Replica("a", board, time), Replica("b", board, time)
    here.call()
    await told()
    time.now += 10
    here.call()
    await told()
    there.call()
    await told()
    assert not there.call().granted
    time.now += 11
    there.call()
    await told()
    assert there.call(200).granted


async def test_with_the_store_away_each_goes_on_by_itself(time, board):
    here, there = Replica("a", board, time), Replica("b", board, time)
    board.away = True
    here.call()
    assert there.call(200).granted
    time.now += 10
    here.call()
    await told()
    assert here.call(200).granted, "it probes alone"
    await asyncio.gather(here.notices.close(), there.notices.close())


async def test_where_nothing_is_shared_nobody_is_asked_or_told(time, board):
    alone = Replica("a", board, time, shared=False)
    alone.call()
    time.now += 10
    assert alone.call(200).granted
    await told()
    assert board.entries(TRIPS) == {}


async def test_agents_that_fail_ever_new_operations_do_not_fill_the_board(time, board):
    here = Replica("a", board, time)
    for number in range(MOST_TOLD + 500):
        here.call(key=f"bank-{number}")
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert len(board.entries(TRIPS)) == MOST_TOLD
    time.now += 1000
    here.call(key="another")
    await told()
    assert len(board.entries(TRIPS)) == 1, "those that have been forgotten make room"


async def test_one_that_nobody_asked_for_here_is_forgotten_when_its_time_on_the_board_is_over(time, board):
    here, there = Replica("a", board, time), Replica("b", board, time)
    here.call()
    await told()
    time.now += 10 + 2 * LEASE + 1
    board.copy.expire()
    assert there.call(200).state == "closed"


async def test_an_operators_word_beats_what_circuits_do_by_themselves(time, board):
    here, there = Replica("a", board, time), Replica("b", board, time)
    here.notices.say(KEY, Word("open", "maintenance", "ada", time.wall(), time.wall() + 30))
    assert not here.call().granted, "at once"
    await told()
    hold = there.call()
    assert (hold.granted, hold.state, hold.detail, hold.retry_after) == (
        False, "held open", "maintenance", pytest.approx(30.0),
    )  # fmt: skip
    assert there.call(key="mail").granted
    time.now += 30
    assert there.call(200).granted, "its time is over"
    there.notices.say(("fragile",), Word("closed", "let it fail", "ada", time.wall()))
    await told()
    for _ in range(5):
        assert here.call(500).state == "held closed"
    assert set(here.ledger.breakers()) == {("fragile", "bank", "closed")}
    here.notices.say(("fragile",), None)
    await told()
    assert here.call().state == there.call().state == "open", "what was seen meanwhile counts"
    assert board.entries(WORDS) == {}


async def test_the_word_on_less_is_the_word(time, board):
    here = Replica("a", board, time)
    here.notices.say(("fragile",), Word("open", "all", "ada", time.wall()))
    here.notices.say(KEY, Word("closed", "but this", "ada", time.wall()))
    assert here.call().granted
    assert not here.call(key="mail").granted
    await told()
    late = Replica("b", board, time)
    assert late.call().granted
    assert not late.call(key="mail").granted


async def test_what_cannot_be_read_on_the_board_is_passed_over(time, board, caplog):
    here = Replica("a", board, time)
    board.copy.put(WORDS, "no json", b"{}", 0.0)
    board.copy.put(TRIPS, '["fragile","bank"]', b"{", 0.0)
    assert here.call().granted
    assert len(caplog.records) == 2
