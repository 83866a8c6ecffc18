"""Which credential an agent gets, and what outlives a reload."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.lend.lenders import Lenders, ToolLender
from gateway.lend.sources import Unavailable
from gateway.model import Agent, Lent, Reason
from gateway.model.credentials import Aws, Fixed, Loan, OAuth2
from tests.builders import call, request, tool


def fixed(value: str, place: str = "Authorization", **rest: Any) -> Loan:
    return Loan(f"header:{place.lower()}", Fixed((place.encode(), value.encode())), **rest)


def lender(*loans: Loan, required: bool = False) -> Any:
    made = Lenders(lambda tool, secret: None, lambda: 0.0, lambda: 0.0)
    return made.adopt([tool("t", loans=loans, loan_required=required)])["t"]


def given(of: Any, agent: Agent) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in of.lend(call(agent=agent), None).fields}


LOANS = (
    fixed("ci", agents=("ci-*",)),
    fixed("admins", agents=(), roles=("admin*",)),
    fixed("rest"),
    fixed("org", "X-Org", agents=("ci-1", "other")),
)


@pytest.mark.parametrize(
    ("agent", "gets"),
    [
        (Agent("ci-1", ("admins",)), {"Authorization": "ci", "X-Org": "org"}),
        (Agent("a", ("user", "admins")), {"Authorization": "admins"}),
        (Agent("a"), {"Authorization": "rest"}),
        (Agent("other"), {"Authorization": "rest", "X-Org": "org"}),
        (Agent("CI-1"), {"Authorization": "rest"}),
    ],
)
def test_of_those_for_one_place_an_agent_gets_the_first(agent: Agent, gets: dict[str, str]) -> None:
    assert given(lender(*LOANS), agent) == gets


def test_who_gets_none_calls_without_or_not_at_all() -> None:
    assert lender(LOANS[0]).lend(call(agent=Agent("a")), None) == Lent()
    with pytest.raises(UpstreamError) as raised:
        lender(LOANS[0], required=True).lend(call(agent=Agent("a")), None)
    assert (raised.value.reason, raised.value.status) == (Reason.CREDENTIAL_UNAVAILABLE, 403)
    assert raised.value.unsent


def test_a_tunnel_gets_none_and_is_no_way_around_having_one() -> None:
    tunnel = request("CONNECT", "api.test:443")
    slow = ToolLender([[Always(Slow(Unavailable("nobody asks")))]], required=True)
    assert slow.lend(call(of=tunnel), None) == Lent()
    with pytest.raises(UpstreamError):
        lender(LOANS[0], required=True).lend(call(agent=Agent("a"), of=tunnel), None)


class Slow:
    """A source that must be waited for, and fails where it is told to."""

    def __init__(self, lent: Lent | Unavailable) -> None:
        self.lent, self.heard = lent, 0

    async def lend(self, call, body, so_far):
        self.so_far = so_far
        if isinstance(self.lent, Unavailable):
            raise self.lent
        return self.lent

    def rejected(self, call):
        self.heard += 1


class Always:
    def __init__(self, source: Any) -> None:
        self.source = source

    def is_for(self, agent):
        return True


async def test_all_that_a_call_gets_is_put_together_in_order() -> None:
    first, second = Slow(Lent(((b"A", b"1"),), (), ("1",))), Slow(Lent((), (("b", "2"),), ("2",)))
    made = ToolLender([[Always(first)], [Always(second)]], required=False)
    waits = made.lend(call(), None)
    assert not isinstance(waits, Lent)
    assert await waits == Lent(((b"A", b"1"),), (("b", "2"),), ("1", "2"))
    assert second.so_far == first.lent
    made.rejected(call())
    assert (first.heard, second.heard) == (1, 1)


async def test_what_cannot_be_had_is_the_gateways_word() -> None:
    waits = ToolLender([[Always(Slow(Unavailable("it is down")))]], required=False).lend(call(), None)
    with pytest.raises(UpstreamError) as raised:
        await waits  # type: ignore[misc]
    assert (raised.value.reason, raised.value.status) == (Reason.CREDENTIAL_UNAVAILABLE, 502)
    assert raised.value.unsent
    assert "it is down" in raised.value.detail


async def test_sources_outlive_reloads_by_their_settings() -> None:
    made = Lenders(lambda tool, secret: None, lambda: 0.0, lambda: 0.0)

    def sources(*loans: Loan) -> list[Any]:
        (one,) = made.adopt([tool("t", loans=loans), tool("without")]).values()
        return [offer.source for place in one._places for offer in place]  # type: ignore[attr-defined]

    oauth2 = Loan("header:authorization", OAuth2("http://127.0.0.1:1/", "id", "secret"))
    aws = Loan("header:authorization", Aws("eu", "s3", "id", "secret"), agents=("b",))
    before = sources(oauth2, aws)
    assert sources(oauth2, aws) == before
    rotated = Loan("header:authorization", OAuth2("http://127.0.0.1:1/", "id", "rotated"))
    assert sources(rotated, aws)[0] is not before[0]
    await made.close()


def test_signatures_come_last_whatever_the_order() -> None:
    aws = Loan("header:authorization", Aws("eu", "x", "id", "secret"))
    (made,) = (
        Lenders(lambda tool, secret: None, lambda: 0.0, lambda: 0.0)
        .adopt([tool("t", loans=(aws, fixed("v", "X-Amz-Extra")))])
        .values()
    )
    lent = made.lend(call(), b"")
    assert isinstance(lent, Lent)
    signed = dict(lent.fields)[b"Authorization"]
    assert b"x-amz-extra" in signed
