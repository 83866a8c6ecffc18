"""Verdicts as samples: what is one, and that each is kept exactly once over all replicas."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from gateway.approvals import states
from gateway.approvals.sample_book import KEPT, SampleBook
from gateway.approvals.samples import Sample, sample_of, verdict_of
from gateway.approvals.states import FOR_TIMEOUT
from gateway.errors import StoreUnavailable
from gateway.model import ApprovalState, Terms, Vote
from gateway.stores.memory_cabinet import MemoryCabinet

from .asked import NOW, Time, approval, decided, docket, petition, sample


@pytest.mark.parametrize("verb", ["approve", "edit", "endorse", "deny", "answer"])
def test_each_verdict_of_a_person_is_a_sample(verb):
    found = sample_of(decided(verb), "shape")
    assert found is not None
    assert (found.verb, found.by, found.waited, found.looked) == (verb, ("ann",), 30.0, 10.0)
    assert found.approved == (verb in ("approve", "edit", "endorse"))


def test_what_no_person_decided_is_none():
    waiting = approval()
    asked = approval(votes=(Vote("ann", "ask", NOW),))
    timeout = decided(votes=(Vote(FOR_TIMEOUT, "approve", NOW),))
    half = approval(terms=Terms(approvers=2), votes=(Vote("ann", "approve", NOW),))
    expired = structs.replace(half, state=ApprovalState.EXPIRED)
    for one in (waiting, asked, timeout, half, expired, approval(state=ApprovalState.WITHDRAWN)):
        assert sample_of(one, "") is None


def test_a_verdict_stays_one_when_the_call_runs_ends_or_never_comes():
    for state in (ApprovalState.RUNNING, ApprovalState.DONE, ApprovalState.EXPIRED, ApprovalState.WITHDRAWN):
        assert verdict_of(structs.replace(decided(), state=state)) == "approve"


def test_quick_is_an_approval_faster_than_anybody_reads():
    assert sample(looked=1.0).quick
    assert not sample(looked=0.0).quick  # nobody knows
    assert not sample(looked=9.0).quick
    assert not sample("deny", looked=1.0).quick


def test_a_sample_has_no_value_of_an_argument_in_it():
    found = sample_of(decided(), "shape")
    assert "acme" not in repr(found)
    assert "900" not in repr(found)


class Away(MemoryCabinet):
    """A cabinet that can be away."""

    away = False

    async def swap(self, kind, key, seen, value, seconds=0.0):
        if self.away:
            raise StoreUnavailable("away")
        return await super().swap(kind, key, seen, value, seconds)


class Replica:
    """A docket with its book."""

    def __init__(self, cabinet: MemoryCabinet, time: Time, most: int = 100) -> None:
        self.docket = docket(cabinet, time)
        self.wrote: list[Sample] = []
        self.book = SampleBook(self.docket, cabinet, self.wrote.append, most)

    async def decide(self, verb: str = "approve", by: str = "ann") -> str:
        asked = await self.docket.open(petition())
        await self.vote(asked.id, verb, by)
        return asked.id

    async def vote(self, ident: str, verb: str, by: str) -> None:
        now = self.docket.now()
        await self.docket.step(ident, lambda one: states.voted(one, Vote(by, verb, now), now))

    async def settle(self) -> None:
        await self.docket.follow()
        await asyncio.sleep(0)
        while self.book._writing is not None and not self.book._writing.done():
            await asyncio.sleep(0)
        await self.book.follow()


async def test_a_verdict_is_written_once_whichever_replicas_hear_of_it():
    time = Time()
    cabinet = MemoryCabinet(time)
    replicas = [Replica(cabinet, time) for _ in range(3)]
    idents = [await replicas[0].decide(verb) for verb in ("approve", "deny", "answer")]
    for replica in (*replicas, *replicas):
        await replica.settle()
    assert sorted(one.id for replica in replicas for one in replica.wrote) == sorted(idents)
    for replica in replicas:
        assert {one.id: one.verb for one in replica.book} == dict(
            zip(idents, ("approve", "deny", "answer"), strict=True)
        )
        assert replica.book.tallies.of("money/large").verdicts == 3


async def test_a_verdict_that_a_replica_died_over_is_written_by_the_next_one():
    time = Time()
    cabinet = MemoryCabinet(time)
    dying = docket(cabinet, time)
    asked = await dying.open(petition())
    await dying.step(asked.id, lambda one: states.voted(one, Vote("ann", "deny", NOW), NOW))
    heir = Replica(cabinet, time)
    await heir.settle()
    assert [one.id for one in heir.wrote] == [asked.id]
    late = Replica(cabinet, time)
    await late.settle()
    assert late.wrote == []
    assert [one.verb for one in late.book] == ["deny"]


async def test_a_verdict_while_the_store_is_away_is_written_when_it_is_back():
    time = Time()
    cabinet = Away(time)
    one = Replica(cabinet, time)
    asked = await one.docket.open(petition())
    cabinet.away = False
    await one.vote(asked.id, "approve", "ann")
    cabinet.away = True
    await one.settle()
    assert one.wrote == []
    cabinet.away = False
    one.book._write_soon()
    await one.settle()
    assert [each.id for each in one.wrote] == [asked.id]


async def test_the_newest_are_kept_and_they_end_after_ninety_days():
    time = Time()
    cabinet = MemoryCabinet(time)
    one = Replica(cabinet, time, most=5)
    idents = []
    for _ in range(9):
        time.now += 1
        idents.append(await one.decide())
        await one.settle()
    assert [each.id for each in one.book] == idents[-5:]
    assert one.book.tallies.of("money/large").verdicts == 5
    other = Replica(cabinet, time, most=5)
    await other.settle()
    assert [each.id for each in other.book] == idents[-5:]
    time.now += KEPT + 1
    await one.book.follow()
    assert len(one.book) == len(one.book.tallies) == 0


async def test_four_eyes_are_one_sample_with_both_votes():
    time = Time()
    one = Replica(MemoryCabinet(time), time)
    asked = await one.docket.open(petition(terms=Terms(approvers=2)))
    await one.vote(asked.id, "approve", "ann")
    await one.settle()
    assert one.wrote == []
    await one.vote(asked.id, "deny", "bob")
    await one.settle()
    assert one.wrote[0].votes == (("ann", "approve"), ("bob", "deny"))
    assert one.wrote[0].verb == "deny"


async def test_a_canary_teaches_nothing_of_the_calls_that_it_looks_like():
    time = Time()
    one = Replica(MemoryCabinet(time), time)
    asked = await one.docket.open(petition(), canary=True)
    await one.vote(asked.id, "deny", "ann")
    await one.settle()
    assert one.wrote[0].caught
    assert len(one.book.tallies) == 0
