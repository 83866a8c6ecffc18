"""Checks with a known answer: nothing tells them from real calls, and nothing can be made of one."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.admin.approvals_shown import summary
from gateway.approvals import rulings, states
from gateway.approvals.canaries import Canaries, Check, debrief, petition_like
from gateway.approvals.desk import Desk
from gateway.approvals.states import Conflict
from gateway.model import Approval, ApprovalState, Terms, Vote
from gateway.stores.memory_cabinet import MemoryCabinet

from .asked import NOW, Time, docket, petition

BAD = Check("pay", {"amount": 99_000, "to": "mallory", "cc": "x"})
ALWAYS = Terms(canary=1.0)


class Street:
    """A desk with checks, as a replica has it."""

    def __init__(self, *checks: Check, chance: float = 0.0) -> None:
        self.time = Time()
        self.docket = docket(MemoryCabinet(self.time), self.time)
        self.canaries = Canaries(self.docket, lambda: chance, lambda: "call-2", latest=0.0)
        self.canaries.adopt(checks)
        self.desk = Desk(self.docket, self.time, (self.canaries.before,))

    async def come(self, **fields) -> list[Approval]:
        """A call comes and is asked about; the checks that stand after it."""
        asked = petition(**fields)
        waiting = asyncio.get_running_loop().create_task(self.desk.ask(None, asked))
        for _ in range(20):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        return [one for one in self.docket if one.canary]

    async def vote(self, one: Approval, verb: str) -> Approval:
        return await self.docket.step(one.id, lambda at: states.voted(at, Vote("ann", verb, NOW), NOW))


async def test_a_check_is_put_beside_a_call_and_looks_like_one_but_for_its_arguments():
    street = Street(BAD)
    (check,) = await street.come(terms=ALWAYS)
    real = next(one for one in street.docket if not one.canary)
    shown, beside = summary(check, NOW), summary(real, NOW)
    assert shown.keys() == beside.keys()
    told = {name for name in shown if shown[name] != beside[name]}
    assert told == {"id", "call", "held"}
    assert check.held[0].read == (("args.amount", 99_000), ("args.to", "mallory"))
    assert orjson.loads(await street.docket.payload(check.id))["args"] == BAD.args
    assert len(check.binding) == len(real.binding)
    assert "canary" not in repr(shown)


async def test_only_the_share_that_the_terms_ask_for_gets_one():
    assert await Street(BAD, chance=0.3).come(terms=Terms(canary=0.2)) == []
    assert len(await Street(BAD, chance=0.1).come(terms=Terms(canary=0.2))) == 1
    assert await Street(BAD).come() == []


async def test_a_check_is_not_put_beside_checks_nor_beside_other_operations():
    assert await Street(BAD).come(terms=ALWAYS, operation="refund") == []
    assert await Street(Check("pay", {}, tool="other")).come(terms=ALWAYS) == []
    (check,) = await Street(BAD).come(terms=ALWAYS)
    assert check.terms.canary == 0.0


async def test_without_what_the_operator_wrote_a_call_that_a_person_denied_is_taken():
    street = Street()
    assert await street.come(terms=ALWAYS) == []
    real = next(iter(street.docket))
    await street.vote(real, "deny")
    (check,) = await street.come(args={"amount": 5, "to": "b"}, terms=ALWAYS)
    assert orjson.loads(await street.docket.payload(check.id))["args"] == {"amount": 900, "to": "acme"}


@pytest.mark.parametrize("verb", ["approve", "edit", "endorse"])
async def test_whatever_is_said_to_a_check_it_cannot_be_claimed(verb):
    street = Street(BAD)
    (check,) = await street.come(terms=ALWAYS)
    after = await street.vote(check, verb)
    assert after.state is ApprovalState.APPROVED
    ruling = rulings.ruling_of(after)
    assert not await street.desk.claim(ruling, "call-3")
    with pytest.raises(Conflict):
        states.claimed(after, "call-3", NOW)
    street.time.now += after.terms.valid + 1
    ended = await street.docket.step(check.id, lambda one: states.timed_out(one, street.time.now))
    assert ended.state is ApprovalState.EXPIRED


async def test_a_check_is_not_let_through_where_nobody_decides_whatever_the_policy_says():
    street = Street(BAD)
    (check,) = await street.come(terms=Terms(canary=1.0, timeout="allow"))
    street.time.now += check.terms.expires + 1
    ended = await street.docket.step(check.id, lambda one: states.timed_out(one, street.time.now))
    assert ended.state is ApprovalState.EXPIRED


@given(st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53), max_size=3))
def test_no_call_has_the_binding_of_a_check(args):
    asked = petition()
    like = petition_like(asked, Check("pay", args), "0" * 32, "call-2")
    assert like.binding == "0" * 32 != asked.binding
    assert (like.agent, like.run, like.tool, like.operation) == (asked.agent, asked.run, asked.tool, asked.operation)


def test_beside_a_call_whose_arguments_nobody_read_there_is_none():
    asked = petition()
    for data in (b"", orjson.dumps({"args": None, "body": "x"}), orjson.dumps({"args": {}, "parts": [1]})):
        assert petition_like(structs.replace(asked, payload=data), BAD, "0" * 32, "call-2") is None


async def test_who_decided_is_told_afterwards_and_nobody_before():
    street = Street(BAD)
    (check,) = await street.come(terms=Terms(canary=1.0, approvers=2))
    half = await street.vote(check, "approve")
    assert debrief(half) == ""
    denied = await street.docket.step(check.id, lambda at: states.voted(at, Vote("bob", "deny", NOW), NOW))
    assert "caught" in debrief(denied)
    real = next(one for one in street.docket if not one.canary)
    await street.vote(real, "approve")
    assert debrief(real) == ""


async def test_checks_on_their_way_end_with_the_process():
    time = Time()
    book = docket(MemoryCabinet(time), time)
    canaries = Canaries(book, lambda: 0.5, lambda: "call-2", latest=1000.0)
    canaries.adopt([BAD])
    await canaries.before(None, petition(terms=ALWAYS))
    await canaries.close()
    assert len(book) == 0


async def test_a_check_seems_to_have_an_agent_on_the_line_for_as_long_as_a_call_would():
    street = Street(BAD)
    (check,) = await street.come(terms=ALWAYS)
    real = next(one for one in street.docket if not one.canary)
    assert street.canaries.seems_held(check.id)
    assert not street.canaries.seems_held(real.id)
    street.time.now += check.terms.hold
    assert not street.canaries.seems_held(check.id)
    street.time.now = NOW
    await street.vote(check, "deny")
    assert not street.canaries.seems_held(check.id)
