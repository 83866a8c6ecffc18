"""Which run is in which task: it sticks, the platform's word wins, and no agent gets itself or another out of one."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from gateway.errors import Refused, StoreUnavailable
from gateway.model import Call, Reason, Run
from gateway.policy.globs import glob_regex
from gateway.policy.tasks import CompiledTask
from gateway.stores.memory_state import MemoryBoard
from gateway.stores.tasks import HEADER, KIND, SIGNATURE, TaskBook
from tests.policy.support import call_to

KEY = b"k" * 32
EVERYBODY = (glob_regex("*"),)
TASKS = (
    CompiledTask("reading", EVERYBODY, (), labels=("reads",)),
    CompiledTask("paying", (glob_regex("pay-*"),), ()),
    CompiledTask("assigned", EVERYBODY, (), platform=True),
)


class Wall:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def book(board: Any = None, wall: Wall | None = None) -> TaskBook:
    made = TaskBook(wall or Wall(), board)
    made.adopt(TASKS, KEY)
    made.start()
    return made


def call(name: str | None = None, signature: str | None = None, *, agent: str = "pay-1", run: str = "r") -> Call:
    headers = {HEADER: name.encode()} if name is not None else {}
    if signature is not None:
        headers[SIGNATURE] = signature.encode()
    return call_to(agent=agent, run=run, headers=headers)


def sign(name: str, agent: str = "pay-1", run: str = "r", key: bytes = KEY) -> str:
    return hmac.new(key, f"task\0{agent}\0{run}\0{name}".encode(), hashlib.sha256).hexdigest()


def refusal(tasks: TaskBook, of: Call) -> str:
    with pytest.raises(Refused) as caught:
        tasks.enter(of)
    assert (caught.value.reason, caught.value.status) == (Reason.OUTSIDE_TASK, 403)
    return caught.value.detail


def test_what_a_run_was_put_in_sticks_without_the_header() -> None:
    tasks = book()
    assert tasks.enter(call()) == ("", 0.0, ())
    assert tasks.enter(call("reading")) == ("reading", 0.0, ("reads",))
    assert tasks.enter(call())[0] == "reading"
    assert tasks.enter(call(run="other"))[0] == ""
    assert tasks.enter(call(agent="pay-2"))[0] == ""


def test_another_task_is_refused_and_changes_nothing() -> None:
    tasks = book()
    tasks.enter(call("reading"))
    assert "stays in it" in refusal(tasks, call("paying"))
    assert tasks.enter(call())[0] == "reading"


@pytest.mark.parametrize(
    ("name", "agent", "says"),
    [
        ("unheard-of", "pay-1", "there is no task"),
        ("", "pay-1", "there is no task"),
        ("reading, paying", "pay-1", "there is no task"),
        ("paying", "report-1", "is not for agent"),
        ("assigned", "pay-1", "only the platform"),
    ],
)
def test_what_a_run_cannot_be_put_in_is_refused(name: str, agent: str, says: str) -> None:
    tasks = book()
    assert says in refusal(tasks, call(name, agent=agent))
    assert tasks.enter(call(agent=agent))[0] == ""


def test_the_platform_signs_a_task_for_one_run_of_one_agent() -> None:
    tasks = book()
    assert tasks.enter(call("assigned", sign("assigned")))[0] == "assigned"
    for stolen in (sign("assigned"), sign("reading"), "", sign("assigned", key=b"x" * 32)):
        assert "only the platform" in refusal(tasks, call("assigned", stolen, run="r2"))
    unkeyed = book()
    unkeyed.adopt(TASKS, b"")
    assert "only the platform" in refusal(unkeyed, call("assigned", sign("assigned", key=b"")))


def test_the_platform_wins_over_the_agent_and_never_the_other_way_round() -> None:
    tasks = book()
    tasks.enter(call("reading"))
    assert tasks.enter(call("assigned", sign("assigned")))[0] == "assigned"
    assert "stays in it" in refusal(tasks, call("reading"))
    assert "stays in it" in refusal(tasks, call("reading", sign("reading"))), "one run, one task"


def test_what_a_run_leads_to_is_in_its_task() -> None:
    tasks = book()
    tasks.enter(call("reading"))
    led = structs.replace(call(agent="sub-1", run="s"), run=Run("s", root=("pay-1", "r"), depth=1))
    assert tasks.enter(led)[0] == "reading"
    named = structs.replace(led, request=call("paying").request)
    assert "stays in it" in refusal(tasks, named)


def test_a_sub_run_cannot_put_the_run_above_it_in_a_task() -> None:
    tasks = book()
    led = structs.replace(call("reading", agent="sub-1", run="s"), run=Run("s", root=("pay-1", "r"), depth=1))
    assert tasks.enter(led)[0] == "reading"
    assert tasks.enter(call())[0] == ""


def test_calls_without_a_run_are_each_by_themselves() -> None:
    tasks = book()
    assert tasks.enter(call("reading", run=""))[0] == "reading"
    assert tasks.enter(call(run=""))[0] == ""
    assert tasks.enter(call("paying", run=""))[0] == "paying"


def test_its_age_counts_from_the_first_call_in_it_whoever_says_so_again() -> None:
    wall = Wall()
    tasks = book(wall=wall)
    tasks.enter(call("reading"))
    wall.now += 60
    assert tasks.enter(call("reading"))[1] == 60
    assert tasks.enter(call("reading", sign("reading")))[1] == 60


async def test_the_admin_api_says_it_to_all_replicas_and_it_outlives_them() -> None:
    wall = Wall()
    board = MemoryBoard(wall)
    first, second = book(board, wall), book(board, wall)
    await first.assign("pay-1", "r", "assigned")
    assert first.enter(call())[0] == second.enter(call())[0] == "assigned"
    assert "stays in it" in refusal(second, call("reading"))
    wall.now += 60
    assert book(board, wall).enter(call())[:2] == ("assigned", 60.0)
    await first.assign("pay-1", "r", "assigned")
    assert second.enter(call())[1] == 60, "said again, it does not begin again"
    with pytest.raises(KeyError):
        await first.assign("pay-1", "r", "unheard-of")


async def test_what_is_not_stored_does_not_hold() -> None:
    class Full(MemoryBoard):
        async def post(self, kind: str, key: str, value: bytes, seconds: float = 0.0) -> None:
            raise StoreUnavailable("the board is full")

    tasks = book(Full(Wall()))
    with pytest.raises(StoreUnavailable):
        await tasks.assign("pay-1", "r", "assigned")
    assert tasks.enter(call())[0] == ""


async def test_what_cannot_be_read_on_the_board_is_passed_over() -> None:
    board = MemoryBoard(Wall())
    await board.post(KIND, "nonsense", b"{}")
    await board.post(KIND, msgspec.json.encode(["pay-1", "r"]).decode(), b"[]")
    assert book(board).enter(call())[0] == ""


def test_an_agent_with_many_runs_pushes_out_its_own_not_others() -> None:
    tasks = book()
    tasks.enter(call("reading", agent="pay-2"))
    for number in range(25_000):
        tasks.enter(call("reading", agent="pay-1", run=f"r{number}"))
    assert tasks.enter(call(agent="pay-2"))[0] == "reading"
    tasks.enter(call("reading", run="x" * 60_000))
    assert tasks.enter(call(run="x" * 60_000))[0] == "reading"


class OneRun(RuleBasedStateMachine):
    """Whatever an agent sends, in whatever order: once in a task a run is in that one, or in one that was signed."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = book()
        self.task, self.signed = "", False

    @rule(name=st.sampled_from(["reading", "paying", "assigned", "nothing", ""]), forged=st.booleans())
    def says(self, name: str, forged: bool) -> None:
        try:
            told = self.tasks.enter(call(name, "0" * 64 if forged else None))[0]
        except Refused:
            return
        assert told == name
        assert name != "assigned" or self.signed
        assert self.task in ("", name)
        self.task = name

    @rule(name=st.sampled_from(["reading", "paying", "assigned"]))
    def platform_says(self, name: str) -> None:
        try:
            self.tasks.enter(call(name, sign(name)))
        except Refused:
            assert self.signed
            assert self.task != name
            return
        assert not self.signed or self.task == name
        self.task, self.signed = name, True

    @invariant()
    def stands(self) -> None:
        assert self.tasks.enter(call())[0] == self.task


OneRun.TestCase.settings = settings(max_examples=50, stateful_step_count=12)
TestOneRun = OneRun.TestCase
