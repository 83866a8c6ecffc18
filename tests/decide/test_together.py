"""The quotas of a street ask for the same together as one by one, however often and for whatever calls."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.decide.memo import LONGEST, MOST, ClaimMemo
from gateway.decide.together import Together, claims_of
from gateway.model import Agent, Call, Claim, Hold, PoolClaim, PoolSettings, RateClaim, Refusal, Run, SlotClaim
from tests.builders import call

Made = Callable[[Call], tuple[Claim, ...]]


class Counts:
    """Claims what it is told to."""

    def __init__(self, made: Made) -> None:
        self.claims = made

    def refusal(self, hold: Hold) -> Refusal:
        raise NotImplementedError


class OfTheKind(Counts):
    """As ``Counts``, and remembers it by kind where that is enough."""

    def __init__(self, made: Made, *, by_kind: bool) -> None:
        memo = ClaimMemo(lambda call: (made(call), by_kind))
        super().__init__(memo.of)
        self.of_the_kind = memo.of_the_kind


def _kind(call: Call) -> tuple[str, ...]:
    return (call.agent.id, call.run.id, call.operation)


CLAIMS: list[Callable[[str, tuple[str, ...]], Claim]] = [
    lambda guard, key: RateClaim(guard, key, 1.0, 1.0),
    lambda guard, key: RateClaim(guard, key, 1.0, 1.0, 1.0, 5.0),
    lambda guard, key: SlotClaim(guard, key, 1),
    lambda guard, key: PoolClaim(guard, key, "a", 1.0, 0, PoolSettings(1)),
]
MAKERS = st.lists(st.sampled_from(CLAIMS), max_size=3)
CALLS = st.builds(
    lambda agent, run, operation, ident: structs.replace(
        call(operation=operation), id=ident, agent=Agent(agent), run=Run(run)
    ),
    st.sampled_from("ab"),
    st.sampled_from(["", "r", "s"]),
    st.sampled_from(["GET /x", "GET /y"]),
    st.sampled_from("12"),
)


def _quota(number: int, makers: list[Callable[[str, tuple[str, ...]], Claim]], sort: str) -> Counts:
    guard = f"quota{number}"

    def made(call: Call) -> tuple[Claim, ...]:
        own = () if sort == "by kind" else (call.id,)
        return tuple([maker(guard, (*_kind(call), *own)) for maker in makers])

    return Counts(made) if sort == "plain" else OfTheKind(made, by_kind=sort == "by kind")


QUOTAS = st.lists(st.tuples(MAKERS, st.sampled_from(["plain", "by kind", "by call"])), max_size=5).map(
    lambda sorts: [_quota(number, makers, sort) for number, (makers, sort) in enumerate(sorts)]
)


@given(QUOTAS, st.lists(CALLS, max_size=8))
def test_together_quotas_ask_for_what_each_asks_for_in_the_same_order(quotas, calls):
    together = Together(quotas)
    for each in calls:
        assert claims_of(each, together) == claims_of(each, quotas)
    if calls:
        batch = structs.replace(calls[0], parts=tuple(calls))
        assert claims_of(batch, together) == claims_of(batch, quotas)


def test_a_quota_that_goes_by_kinds_is_asked_once_for_each():
    asked = []

    def made(each: Call) -> tuple[Claim, ...]:
        asked.append(each.run.id)
        return ()

    together = Together([OfTheKind(made, by_kind=True)])
    for run in ("r", "s", "r", "s", "r"):
        claims_of(structs.replace(call(), run=Run(run)), together)
    assert asked == ["r", "s"]


def test_runs_without_number_or_bound_do_not_fill_the_memory():
    together = Together([OfTheKind(lambda each: (), by_kind=True)])
    for number in range(MOST + 1):
        claims_of(structs.replace(call(), run=Run(f"run {number}")), together)
    claims_of(structs.replace(call(), run=Run("x" * (LONGEST + 1))), together)
    assert len(together._kept) == 1
