"""Those who decide: their verdicts, and what stands because of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

from gateway.approvals.desk import Before
from gateway.approvals.docket import Docket
from gateway.approvals.endorsements import Endorsements
from gateway.approvals.escalation import Escalations
from gateway.approvals.exemptions import Exemptions
from gateway.approvals.offers import Offers
from gateway.approvals.verdicts import Noted, Verdicts
from gateway.policy.engine import CelEngine
from gateway.policy.people import People
from gateway.ports import Cabinet


class Bench:
    """``before`` are the desk's hooks: what was endorsed and what is exempt passes without a person."""

    def __init__(
        self, docket: Docket, cabinet: Cabinet, new_id: Callable[[], str], engine: CelEngine, noted: Noted
    ) -> None:
        """``new_id`` gives ids of exemptions, unlike any other; ``noted`` is told of each verdict."""
        people = People(engine)
        self.endorsements = Endorsements(cabinet, docket.now, people)
        self.exemptions = Exemptions(cabinet, docket.now, new_id, engine, people)
        self.verdicts = Verdicts(docket, people, self.exemptions, self.endorsements, noted)
        self.escalations = Escalations(docket)
        self.offers = Offers(docket, engine)
        self.before: tuple[Before, ...] = (self.endorsements.rule, self.exemptions.rule)

    def adopt(self, engine: CelEngine) -> None:
        """Other policies: who may decide, and what is exempt, is asked of their engine from now on."""
        people = People(engine)
        self.endorsements.adopt(people)
        self.exemptions.adopt(engine, people)
        self.verdicts.adopt(people)
        self.offers.adopt(engine)

    async def start(self) -> None:
        """Learn what stands. State and docket must have been started.

        Raises:
            StoreUnavailable: the state cannot be reached.
        """
        await self.endorsements.start()
        await self.exemptions.start()
        await self.escalations.start()

    async def close(self) -> None:
        """Follow it no more."""
        async with AsyncExitStack() as ends:  # each whatever becomes of the others
            ends.push_async_callback(self.endorsements.close)
            ends.push_async_callback(self.exemptions.close)
            ends.push_async_callback(self.escalations.close)
