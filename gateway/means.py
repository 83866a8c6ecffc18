"""What the way of a call has at hand, and what all its stretches do with that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any

from msgspec import Struct

from gateway.decide.rules import labels_of, quarantines_of
from gateway.effects import Await, Effect, Reply
from gateway.identify import Source
from gateway.model import Call, Refusal, Spoke
from gateway.ports import (
    Clock,
    Coherence,
    Desk,
    Flows,
    Guards,
    Ledger,
    Lineage,
    Pacer,
    Quarantines,
    Recorder,
    Revalidation,
    Runs,
    Standings,
    Tasks,
)
from gateway.replies import Hide, hidden, quarantined, reply_to
from gateway.story import Story
from gateway.street import Street
from gateway.understand.reader import Pulse
from gateway.understand.route import Router


class Means(Struct, frozen=True):
    """Everything one version of configuration and policy needs to take a call from arrival to record."""

    version: str
    sources: tuple[Source, ...]
    run_header: bytes
    router: Router
    streets: Mapping[str, Street]
    ledger: Ledger
    pacer: Pacer
    recorder: Recorder
    clock: Clock
    wall: Clock
    ident: Callable[[], str]
    runs: Runs
    lineage: Lineage
    quarantines: Quarantines
    hide: Hide = bytes
    """Takes credentials that the gateway holds out of what it tells agents."""
    desk: Desk | None = None
    """Where people decide; None: nobody can be asked, and what rules ask about is refused."""
    ignored: frozenset[bytes] = frozenset()
    """Lower-cased names of fields that differ each time the same call is made; see ``understand/petitions.py``."""
    standings: Standings | None = None
    """Where agents learn how their approvals stand; None: nobody can be asked."""
    flows: Flows | None = None
    """None: nothing is known of where values come from."""
    guards: Guards | None = None
    tasks: Tasks | None = None
    coherence: Coherence | None = None
    """None: no tool is declared a memory, and no rule asks what has changed."""
    revalidation: Revalidation | None = None
    """None: what changes past the gateway is only found when somebody reads it."""

    def reply(self, refusal: Refusal, story: Story) -> Reply:
        """What the agent is told instead of an answer. A result that was kept is the tool's, byte for byte."""
        reply = reply_to(refusal, story)
        return reply if refusal.kept is not None else hidden(reply, self.hide)

    def heed(self, story: Story, spoke: tuple[Spoke, ...]) -> None:
        """Mark the run, and quarantine, as these rules want it: at once, since the agent may make its next call before
        this one ends."""
        if story.agent is not None:
            self.runs.mark(story.run.root or (story.agent.id, story.run.id), labels_of(spoke))
        if story.call is not None:
            for wanted in quarantines_of(spoke):
                self.quarantines.impose(story.call, *wanted)

    def wait(self, story: Story, awaitable: Awaitable[Any], pulse: Pulse | None = None) -> Generator[Effect, Any, Any]:
        """Wait before the call is permitted. Raises Refused where it may not go on after that."""
        began = self.clock()
        try:
            answer = yield Await(awaitable, story.call, pulse)
        finally:
            story.queued += self.clock() - began
        if story.call is not None:
            self.stand(story.call)
        return answer

    def stand(self, call: Call) -> None:
        """Raises Refused where the call's agent, run or tool is quarantined: now, or while it waited."""
        quarantine = self.quarantines.standing(call)
        if quarantine is not None:
            raise quarantined(quarantine, self.wall())


__all__ = ["Means"]
