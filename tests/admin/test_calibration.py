"""What verdicts tell, over the admin API; and all that is learnt from them as one."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from pydantic import ValidationError

from gateway.admin import calibration
from gateway.approvals import states
from gateway.approvals.desk import Desk
from gateway.approvals.learning import Learning
from gateway.config.schema_approvals import Approvals
from gateway.model import Attention, Terms, Vote
from gateway.observe.approvals import ApprovalSeries
from gateway.policy.engines import load_engine
from gateway.stores.memory_cabinet import MemoryCabinet
from tests.approvals.asked import Time, docket, petition

from .support import session_of


class Site:
    """A desk with all that learns from it."""

    def __init__(self, config: Approvals | None = None) -> None:
        self.time, self.series = Time(), ApprovalSeries()
        cabinet = MemoryCabinet(self.time)
        self.docket = docket(cabinet, self.time)
        numbers = itertools.count(1)
        self.learning = Learning(self.docket, cabinet, self.series, lambda _: False, lambda: f"call-{next(numbers)}")
        self.learning.adopt(config or Approvals(), load_engine())
        self.desk = Desk(self.docket, self.time, self.learning.before)

    async def come(self, verb: str = "", by: str = "ann", looked: float = 10.0, **fields) -> None:
        """A call is asked about, and decided on."""
        asked = petition(**fields)
        waiting = asyncio.get_running_loop().create_task(self.desk.ask(None, asked))
        for _ in range(10):
            await asyncio.sleep(0)
        if verb:
            one = self.docket.bound(asked.binding)
            vote = Vote(by, verb, self.time(), seconds=looked)
            await self.docket.step(one.id, lambda at: states.voted(at, vote, self.time()))
        waiting.cancel()
        await asyncio.wait({waiting})
        await asyncio.sleep(0)


async def test_what_people_said_is_told_by_rule_and_by_person():
    site = Site()
    for verb in ("approve", "approve", "deny"):
        await site.come(verb)
    async with session_of(lambda app: calibration.add(app, site.learning)) as session:
        told = await (await session.get("/api/calibration")).json()
    assert told["samples"] == 3
    assert [(one["rule"], one["n"], one["approved"]) for one in told["rules"]] == [("money/large", 3, 2)]
    assert [(one["who"], one["n"]) for one in told["people"]] == [("ann", 3)]
    assert told["suggestions"] == []


async def test_the_limits_of_suggestions_are_the_askers():
    site = Site()
    for _ in range(12):
        await site.come("approve")
    async with session_of(lambda app: calibration.add(app, site.learning)) as session:
        told = await (await session.get("/api/calibration?loosen=0.7&loosen_n=10")).json()
        assert [one["kind"] for one in told["suggestions"]] == ["loosen"]
        for query in ("loosen=2", "loosen_n=x", "tighten=0", "other=1", "loosen=nan"):
            assert (await session.get(f"/api/calibration?{query}")).status == 400


async def test_each_asking_and_each_verdict_is_counted_once():
    site = Site()
    await site.come("approve", looked=1.0)
    await site.come("deny")
    await site.come()
    assert site.series.opened == {"money/large": 3}
    assert site.series.decided == {("money/large", "approve"): 1, ("money/large", "deny"): 1}
    vigilance = site.learning.vigilance()
    assert vigilance.waiting == {"approved": 1, "running": 0, "waiting": 1}
    assert vigilance.rubber_stamps == 1.0
    assert vigilance.caught is None


async def test_a_refusal_beyond_attention_asks_nobody():
    site = Site()
    terms = Terms(attention=Attention("money", per_hour=1))
    for _ in range(3):
        await site.come(terms=terms)
    assert len(site.docket) == 1
    assert site.series.opened == {"money/large": 1}
    assert site.series.beyond == {("money", "refused"): 2}


async def test_checks_of_the_configuration_are_used_and_do_not_count_as_verdicts_on_rules():
    config = Approvals.model_validate({"canaries": [{"operation": "pay", "args": {"amount": 1, "to": "mallory"}}]})
    site = Site(config)
    site.learning.canaries._latest = 0.0  # at once
    await site.come("deny", terms=Terms(canary=1.0))
    (check,) = [one for one in site.docket if one.canary]
    vote = Vote("ann", "approve", site.time())
    await site.docket.step(check.id, lambda at: states.voted(at, vote, site.time()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert site.series.decided == {("money/large", "deny"): 1}
    assert site.learning.vigilance().caught == 0.0
    await site.learning.close()


def test_a_check_must_be_denied():
    with pytest.raises(ValidationError):
        Approvals.model_validate({"canaries": [{"operation": "pay", "args": {}, "expect": "approve"}]})
