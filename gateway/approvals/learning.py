"""What is learnt from verdicts, and what comes of it: the order of the inbox, budgets of attention, checks of
vigilance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from random import SystemRandom
from typing import Any

from gateway.approvals.attention import AttentionBudgets
from gateway.approvals.calibration import caught, stamps
from gateway.approvals.canaries import Canaries, Check
from gateway.approvals.desk import Before
from gateway.approvals.docket import Docket
from gateway.approvals.order import Connected, Order
from gateway.approvals.sample_book import SampleBook
from gateway.approvals.samples import Sample
from gateway.approvals.similar import similar
from gateway.config.schema_approvals import Approvals
from gateway.model import OPEN, Approval, Call, Petition, Ruling
from gateway.observe.approvals import ApprovalSeries, Vigilance
from gateway.policy.engine import CelEngine
from gateway.ports import Cabinet

LATELY = 7 * 86400.0
"""Seconds of which metrics of vigilance tell."""


class Learning:
    """``before`` are the desk's hooks, after those that let calls pass without a person. To be made before the docket
    starts."""

    def __init__(
        self,
        docket: Docket,
        cabinet: Cabinet,
        series: ApprovalSeries,
        connected: Connected,
        new_call: Callable[[], str],
    ) -> None:
        self._docket, self._series, self._connected = docket, series, connected
        self.attention = AttentionBudgets(docket, self._beyond)
        self.samples = SampleBook(docket, cabinet, self._wrote)
        self.canaries = Canaries(docket, SystemRandom().random, new_call)
        self.order = Order(self.samples.tallies, self.attention, self.connected)
        self.before: tuple[Before, ...] = (self.attention.before, self._asked, self.canaries.before)

    def adopt(self, config: Approvals, engine: CelEngine) -> None:
        """Another configuration: its formula and its checks."""
        self.order.adopt(config.priority, engine)
        self.canaries.adopt([Check(one.operation, one.args, one.tool or "", one.message) for one in config.canaries])

    async def start(self) -> None:
        """Learn what is known already. State and docket must have been started.

        Raises:
            StoreUnavailable: the state cannot be reached.
        """
        await self.samples.start()

    async def close(self) -> None:
        """Write down what is not written yet."""
        async with AsyncExitStack() as ends:
            ends.push_async_callback(self.samples.close)
            ends.push_async_callback(self.canaries.close)

    def connected(self, ident: str) -> bool:
        """Whether an agent is held on the line here for the approval with this id, as people are told."""
        return self._connected(ident) or self.canaries.seems_held(ident)

    def similar(self, approval: Approval) -> list[dict[str, Any]]:
        """What people said of calls like this one; see ``similar.py``."""
        return similar(approval, self.samples.tallies)

    def vigilance(self) -> Vigilance:
        """For the metrics."""
        states = Counter(approval.state.value for approval in self._docket if approval.state in OPEN)
        lately = list(self._lately())
        waiting = {state.value: states[state.value] for state in sorted(OPEN)}
        return Vigilance(waiting, stamps(lately), caught(lately))

    def _lately(self) -> Iterator[Sample]:
        since = self._docket.now() - LATELY
        return (sample for sample in self.samples if sample.at >= since)

    async def _asked(self, _: Call, petition: Petition) -> Ruling | None:
        """The last word before people are asked: count it."""
        self._series.ask(dict.fromkeys(held.rule for held in petition.held))
        return None

    def _wrote(self, sample: Sample) -> None:
        if not sample.canary:
            self._series.decide(dict.fromkeys(sample.rules), sample.verb, sample.waited)

    def _beyond(self, budget: str, outcome: str) -> None:
        self._series.beyond[budget, outcome] += 1
