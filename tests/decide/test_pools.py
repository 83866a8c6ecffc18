"""Pools as a guard: which places a call claims, in which order, and what is said where there is none."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.decide.engine import Look, Pace, Reserve
from gateway.decide.limits import Limits
from gateway.decide.pools import Pools
from gateway.model import Agent, Hold, Permit, PoolClaim, PoolSettings, Reason
from gateway.policy.globs import glob_regex
from gateway.policy.governors import CompiledPool, CompiledShare
from gateway.policy.guards import PARTS, CompiledLimit
from tests.builders import Book, call, rate
from tests.decide.playbook import play
from tests.drive import Quota

SETTINGS = PoolSettings(4)
SHARES = (
    CompiledShare((glob_regex("batch-*"),), 0.5, -1),
    CompiledShare((glob_regex("*"),), 2.0, 3),
)


class PoolBook(Book):
    """Says which pools an operation has a place in."""

    def __init__(self, **pools: tuple[CompiledPool, ...]) -> None:
        super().__init__()
        self.pools = pools

    def governors(self, kind, tool, operation, *, implied=False):
        return self.pools.get(operation, self.pools["everything"])


ALL = CompiledPool("b-all", SETTINGS)
SEARCH = CompiledPool("a-search", SETTINGS, SHARES)
QUOTA = Pools(PoolBook(everything=(ALL,), search=(ALL, SEARCH), only=(SEARCH,)))


def claim(pool: CompiledPool = ALL, agent: str = "report-1", weight: float = 1.0, priority: int = 0) -> PoolClaim:
    return PoolClaim(pool.name, (pool.name, "github"), agent, weight, priority, SETTINGS)


def test_places_are_claimed_in_the_order_of_names_so_that_no_two_calls_wait_for_each_other():
    assert QUOTA.claims(call("search")) == (claim(SEARCH, weight=2.0, priority=3), claim(ALL))


@pytest.mark.parametrize(("agent", "share"), [("batch-7", (0.5, -1)), ("ann", (2.0, 3))])
def test_the_first_share_that_names_the_agent_counts(agent, share):
    assert QUOTA.claims(call("only", agent=Agent(agent))) == (claim(SEARCH, agent, *share),)


def test_an_endless_name_of_an_agent_is_kept_short():
    (made,) = QUOTA.claims(call(agent=Agent("x" * 10_000)))
    assert isinstance(made, PoolClaim)
    assert len(made.agent) < 100


def test_a_batch_takes_one_place_in_each_pool_after_its_limits_and_in_the_order_of_names():
    """Whatever the order of its calls: two batches that list them the other way round must not lock each other."""
    limits = Limits(Book(limits=[CompiledLimit("per-agent", 2, 1, "wait", 9.0, (PARTS["agent"],))]))
    batch = structs.replace(call("batch"), parts=(call("list"), call("only"), call("search")))
    tokens = structs.replace(rate(2, 1, wait=9.0), capacity=2, cost=2.0)
    batch = structs.replace(batch, parts=batch.parts[:2])
    script = [
        (Pace(tokens), Hold(tokens, True)),
        (Pace(claim(SEARCH, weight=2.0, priority=3)), Hold(claim(SEARCH), True)),
        (Pace(claim(ALL)), Hold(claim(ALL), True)),
    ]
    decision = play(batch, (), (QUOTA, limits), *script)
    assert isinstance(decision, Permit)
    assert len(decision.holds) == 3


def test_no_place_is_waited_for_where_another_guard_would_refuse_at_the_end_of_the_line():
    now = rate()
    limits = Limits(Book(limits=[CompiledLimit("per-agent", 2, 1, "reject", 0.0, (PARTS["agent"],))]))
    refused = (Hold(now, False, retry_after=2.0),)
    decision = play(call(), (), (limits, QUOTA), (Pace(claim(), (now,)), refused))
    assert (decision.reason, decision.holds) == (Reason.RATE_LIMITED, refused)
    script = [
        (Pace(claim(), (now,)), Hold(claim(), True)),
        (Reserve((now,)), (Hold(now, True),)),
    ]
    assert isinstance(play(call(), (), (limits, QUOTA), *script), Permit)


def test_who_waits_for_a_limit_has_looked_before_and_looks_no_more_for_a_place():
    now, tokens = rate(key="b"), rate(wait=9.0)
    script = [
        (Look((now,)), (Hold(now, True),)),
        (Pace(tokens), Hold(tokens, True)),
        (Pace(claim()), Hold(claim(), True)),
        (Reserve((now,)), (Hold(now, True),)),
    ]
    assert isinstance(play(call(), (), (Quota(now, tokens), QUOTA), *script), Permit)


@pytest.mark.parametrize(("state", "status"), [("timeout", 503), ("full", 429), ("displaced", 429)])
def test_who_gets_no_place_is_told_why_and_when_to_come_back(state, status):
    hold = Hold(claim(), False, 0.0, 4.2, state, "4 calls in their places, 9 in line, 9 of them yours")
    refusal = QUOTA.refusal(hold)
    assert (refusal.reason, refusal.status, refusal.rule) == (Reason.QUEUE_TIMEOUT, status, "pool/b-all")
    assert (refusal.retry_after, refusal.retryable) == (4.2, True)
    assert "9 of them yours" in refusal.detail
    assert "wait 4 s" in refusal.advice


def test_holds_of_other_guards_are_none_of_its_own():
    with pytest.raises(TypeError):
        QUOTA.refusal(Hold(rate(), False))
