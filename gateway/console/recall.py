"""Calls that were recorded, for those who think of letting more like one pass."""

from __future__ import annotations

from collections.abc import Callable

from gateway.approvals.preview import Recent
from gateway.console.errors import Unshown
from gateway.console.records import Records
from gateway.model import Approval
from gateway.observe.store.found import Filter
from gateway.observe.store.reader import TraceReader
from gateway.pipeline import Pipeline
from gateway.rehearse.past import past_of
from gateway.rehearse.rebuild import Rebuilder

SPAN = 7 * 86_400.0
"""Seconds that are looked back."""
MOST = 500
"""Calls that are looked at, the newest ones."""


class Recall:
    """``approvals.preview.Recall`` over the trace store, or what the feed still has."""

    def __init__(self, records: Records, pipeline: Callable[[], Pipeline], wall: Callable[[], float]) -> None:
        self._records, self._pipeline, self._wall = records, pipeline, wall

    async def __call__(self, approval: Approval) -> Recent:
        """What is recorded of calls that the first rule of this approval held; nothing where that cannot be told."""
        now, pipeline = self._wall(), self._pipeline()
        policy, _, rule = next(iter(approval.rules), "").rpartition("/")
        wanted = Filter(since=now - SPAN, tool=approval.tool, policy=policy, rule=rule if policy else "")
        rebuilder = Rebuilder(pipeline.streets, pipeline.router, now)

        def question(reader: TraceReader) -> Recent:
            rows = reader.calls(wanted, MOST)
            since = rows[-1].at if rows else now - SPAN
            return Recent(tuple(past_of([row.line for row in rows], rebuilder)), since, len(rows) < MOST)

        try:
            return await self._records.ask(question)
        except Unshown:  # Busy is one too
            return Recent(complete=False)
