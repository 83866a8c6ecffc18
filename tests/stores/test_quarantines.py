"""Who may make no calls: the register, and what replicas tell each other of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model import Agent, Quarantine, Run
from gateway.stores.notices import AGAIN, Notices
from gateway.stores.quarantine_notices import KIND, QuarantineNotices
from gateway.stores.quarantines import MOST_RUNS, Register, covers, told
from tests.builders import call, tool
from tests.stores.boards import Board


class Wall:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def of(agent="a", run="r", name="bank", root=None):
    return call(to=tool(name), agent=Agent(agent), run=Run(run, root=root))


def stands(scope, *key, until=0.0, cut=False):
    return Quarantine(scope, key, "it ran wild", "ops", 999_999.0, until, cut)


@pytest.mark.parametrize(
    ("quarantine", "kept", "free"),
    [
        (stands("all"), of(), None),
        (stands("agent", "a"), of("a"), of("b")),
        (stands("tool", "bank"), of(name="bank"), of(name="mail")),
        (stands("run", "a", "r"), of("a", "r"), of("a", "other")),
        (stands("run", "a", "r"), of("b", "inner", root=("a", "r")), of("b", "r")),
    ],
    ids=["all", "agent", "tool", "run", "run's tree"],
)
def test_a_quarantine_keeps_what_it_names_and_nothing_else(quarantine, kept, free):
    register = Register(Wall())
    assert register.standing(kept) is None
    register.put(quarantine)
    assert register.standing(kept) == quarantine
    assert covers(quarantine, kept)
    assert free is None or (register.standing(free) is None and not covers(quarantine, free))
    assert dict(register.refused) == {quarantine.scope: 1}
    assert register.lift(quarantine.scope, quarantine.key)
    assert register.standing(kept) is None
    assert not register.lift(quarantine.scope, quarantine.key)


def test_it_ends_by_itself():
    wall = Wall()
    register = Register(wall)
    register.impose(of(), "agent", "why", "policy/rule", 60)
    assert register.standing(of()) is not None
    wall.now += 60
    assert list(register) == []
    assert register.standing(of()) is None


def test_what_stands_is_never_shortened_by_a_rule_but_by_people():
    wall, announced = Wall(), []
    register = Register(wall, lambda place, quarantine: announced.append(quarantine))
    register.put(stands("agent", "a"))
    register.impose(of(), "agent", "why", "policy/rule", 60)
    assert [each.by for each in register] == ["ops"]
    register.put(stands("agent", "a", until=wall.now + 60))
    register.impose(of(), "agent", "why", "policy/rule", 30)
    assert [each.by for each in register] == ["ops"]
    register.impose(of(), "agent", "why", "policy/rule", 90)
    assert [each.by for each in register] == ["policy/rule"]
    assert len(announced) == 3, "what changes nothing is not told to anybody"


def test_a_run_without_a_name_is_not_told_from_others():
    register = Register(Wall())
    register.impose(of(run=""), "run", "why", "policy/rule", 0)
    assert list(register) == []


def test_an_agent_whose_runs_are_quarantined_again_and_again_is_quarantined_itself():
    register = Register(Wall())
    for number in range(3 * MOST_RUNS):
        register.impose(of("eve", f"run {number}"), "run", "why", "policy/rule", 0)
        register.impose(of("bob", "run"), "run", "why", "policy/rule", 0)
    assert dict(register.counts()) == {"all": 0, "agent": 1, "tool": 0, "run": MOST_RUNS + 1}
    assert register.standing(of("eve", "fresh")).scope == "agent"
    assert register.standing(of("bob", "fresh")) is None


def test_long_names_of_runs_are_kept_short():
    register = Register(Wall())
    register.impose(of(run="x" * 60_000), "run", "why", "policy/rule", 0)
    (found,) = register
    assert len(found.key[1]) < 200
    assert register.standing(of(run="x" * 60_000)) == found
    assert register.standing(of(run="x" * 59_999)) is None


def test_what_has_ended_does_not_fill_the_memory():
    wall = Wall()
    register = Register(wall)
    for number in range(5000):
        register.put(stands("agent", f"a{number}", until=wall.now + 1))
        wall.now += 0.1
    assert len(register._standing) <= 2000


def test_agents_without_number_do_not_fill_the_memory_nor_push_out_what_people_said(monkeypatch):
    monkeypatch.setattr("gateway.stores.quarantines.MOST", 50)
    register = Register(Wall())
    register.put(stands("agent", "eve"))
    for number in range(200):
        register.impose(of(f"agent-{number}"), "agent", "why", "policy/rule", 0)
    assert len(list(register)) == 50
    assert register.standing(of("eve")).by == "ops"
    assert register.standing(of("agent-199")) is not None


def test_the_log_line_cannot_be_forged():
    line = told(Quarantine("run", ("a", "r\nquarantined by root"), "two\nlines", "ops", 0.0, 60.0))
    assert "\n" not in line
    assert line.startswith("quarantined by ops, until 1970-01-01T00:01:00+00:00: run a r\\n")


class Replica:
    """A register on a board, as the process puts it together."""

    def __init__(self, board, wall) -> None:
        self.heeded: list[Quarantine] = []
        self.notices = QuarantineNotices(board, wall)
        self.register = Register(wall, self.notices.announce, self.heeded.append)
        self.notices.start(self.register)


async def settled(*replicas):
    """Until everything has been told, or cannot be."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_replicas_hold_the_same_and_heed_each_once():
    wall = Wall()
    board = Board(wall)
    here, there = Replica(board, wall), Replica(board, wall)
    quarantine = stands("agent", "a", cut=True)
    here.register.put(quarantine)
    assert here.register.standing(of()) == quarantine, "at once"
    await settled()
    assert there.register.standing(of()) == quarantine
    assert here.heeded == there.heeded == [quarantine]
    there.register.lift("agent", ("a",))
    await settled()
    assert here.register.standing(of()) is None
    assert board.entries(KIND) == {}


async def test_a_replica_that_starts_later_knows_what_stands():
    wall = Wall()
    board = Board(wall)
    Replica(board, wall).register.put(stands("run", "a", "r", until=wall.now + 50))
    await settled()
    late = Replica(board, wall)
    assert late.register.standing(of()) is not None
    wall.now += 50
    assert Replica(board, wall).register.standing(of()) is None


async def test_with_the_store_away_it_holds_here_and_is_told_when_it_is_back(monkeypatch, caplog):
    monkeypatch.setattr("gateway.stores.notices.AGAIN", 0.0)
    wall = Wall()
    board = Board(wall)
    here, there = Replica(board, wall), Replica(board, wall)
    board.away = True
    here.register.put(stands("agent", "a"))
    here.register.put(stands("agent", "b"))
    here.register.lift("agent", ("b",))
    await settled()
    assert here.register.standing(of("a")) is not None
    assert here.notices.unsaid == 2
    monkeypatch.setattr("gateway.stores.notices.PATIENCE", 0.01)
    assert await here.notices.said() is False
    assert len([line for line in caplog.messages if "holds on this replica only" in line]) == 1
    # What the board is said to hold meanwhile does not undo what was said here.
    board.copy.put(KIND, '["agent","b"]', b"x", 0.0)
    assert here.register.standing(of("b")) is None
    board.away = False
    await settled()
    assert here.notices.unsaid == 0
    assert await here.notices.said() is True
    assert there.register.standing(of("a")) is not None
    assert there.register.standing(of("b")) is None


async def test_what_cannot_be_read_on_the_board_is_passed_over(caplog):
    wall = Wall()
    board = Board(wall)
    replica = Replica(board, wall)
    board.copy.put(KIND, "no json", b"{}", 0.0)
    board.copy.put(KIND, '["agent","a"]', b"{", 0.0)
    assert list(replica.register) == []
    assert len(caplog.records) == 2


async def test_closing_says_what_is_unsaid_or_tells_that_it_could_not(caplog):
    board = Board(Wall())
    heard = []
    notices = Notices(board, "thing", lambda key, value: heard.append(key))
    notices.start()
    notices.say("a", b"1")
    await notices.close()
    assert board.entries("thing") == {"a": b"1"}
    board.away = True
    notices.say("b", b"1")
    await notices.close()
    assert "never told" in caplog.messages[-1]
    assert heard == []
    assert AGAIN <= 1, "replicas learn of it within a second of the store's return"
