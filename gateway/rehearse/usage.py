"""What agents have called, as records tell it: what least privilege is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from gateway.config.load import Loaded
from gateway.model import Call
from gateway.rehearse.rebuild import Rebuilder, Rebuilt
from gateway.rehearse.records import RECORDS, Record
from gateway.rehearse.stage import Stage

MOST = 200_000
"""Kinds of call (agent, tool, operation) that are told apart; where there are more, patterns would say nothing."""


class TooVariousError(Exception):
    """There are more kinds of call than can be told apart."""


class Use(Struct):
    """How often one agent has called one operation of one tool. ``first`` and ``last`` are times of records."""

    agent: str
    roles: tuple[str, ...]
    tool: str
    operation: str
    implied: bool = False
    calls: int = 0
    first: str = ""
    last: str = ""

    def add(self, ts: str) -> None:
        """One call more."""
        self.calls += 1
        self.first = min(self.first or ts, ts)
        self.last = max(self.last, ts)


class Usage:
    """What the records of permitted calls say was used. Operations are named as this version of the configuration names
    them, so that templates which came later count. ``wanted`` says which records are looked at."""

    def __init__(self, loaded: Loaded, wanted: Callable[[Record], bool]) -> None:
        stage = Stage(loaded)
        self._rebuild = Rebuilder(stage.streets, stage.router, 0.0).of
        self._tools, self.counts = frozenset(tool.name for tool in loaded.tools), wanted
        self._uses: dict[tuple[str, tuple[str, ...], str, str, bool], Use] = {}
        self._runs: dict[tuple[str, str], int] = {}
        self.calls = self.refused = self.elsewhere = self.unusable = 0
        """Calls that were permitted, that were not, to tools that are not configured any more; lines that are no
        records."""
        self.first = self.last = ""
        self.most_in_a_run = 0
        """Calls of the run with most."""
        self._last = ""

    def feed(self, line: bytes) -> None:
        """The next record of a timeline: one that stands in several logs comes twice in a row. Raises
        TooVariousError."""
        try:
            record = RECORDS.decode(line)
        except msgspec.DecodeError:
            self.unusable += 1
            return
        if record.call == self._last or not self.counts(record):
            return
        self._last = record.call
        if record.decision != "allow":
            self.refused += 1
            return
        calls = list(self.calls_of(record))
        if not calls:
            self.elsewhere += 1
            return
        self.calls += 1
        self.first, self.last = min(self.first or record.ts, record.ts), max(self.last, record.ts)
        for call in calls:
            self._count(call, record.ts)
        if record.run and not calls[0].implied:
            run = (record.agent or "", record.run)
            self._runs[run] = self._runs.get(run, 0) + 1
            self.most_in_a_run = max(self.most_in_a_run, self._runs[run])

    def calls_of(self, record: Record) -> Iterator[Call]:
        """The calls that a record tells of: one, or those of a batch; none where its tool is not known any more."""
        if record.tool not in self._tools:
            return
        try:
            rebuilt = self._rebuild(record, 0.0)
        except ValueError:
            return
        if isinstance(rebuilt, Rebuilt):
            yield from rebuilt.call.parts or (rebuilt.call,)

    def _count(self, call: Call, ts: str) -> None:
        agent = call.agent
        key = (agent.id, agent.roles, call.tool.name, call.operation, call.implied)
        use = self._uses.get(key)
        if use is None:
            if len(self._uses) >= MOST:
                raise TooVariousError(f"there are more than {MOST} kinds of call; look at fewer agents, or less time")
            use = self._uses[key] = Use(agent.id, agent.roles, call.tool.name, call.operation, call.implied)
        use.add(ts)

    def uses(self) -> list[Use]:
        """By agent, tool and operation."""
        return sorted(self._uses.values(), key=lambda use: (use.agent, use.tool, use.operation))
