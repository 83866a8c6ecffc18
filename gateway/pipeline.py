"""One call, top to bottom. READ THIS FIRST.

    listen -> identify -> understand -> decide -> execute -> observe

``Pipeline.run`` is the whole way of a call, as a generator: it yields what it needs from the world (the body, a pause,
the upstream call, the answer to the agent) and is sent the results. It does no I/O and starts no task, so the wire can
drive it from plain callbacks, a test by hand, and a replay without a network.

Three things hold whatever happens on the way:
- Fail closed: anything unexpected before a permit is a refusal (in one place, here; no guard needs to care).
- Only a Permit is sent upstream, and only ``decide`` makes one.
- What was reserved is settled and the call is recorded, exactly once, whichever of the exits it took: answered,
  refused, broken, or abandoned by the agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from functools import partial
from typing import Any

from msgspec import structs

from gateway.answers import execute
from gateway.decide.engine import AskGuards, AskHuman, Look, Pace, Reserve, decide, unedited
from gateway.effects import Await, Collect, Effect, ReadBody, Relay, Reply, Send, Way
from gateway.errors import ClientGone, Refused, UpstreamError, refusal_of
from gateway.guarding import guarded
from gateway.holding import reattached
from gateway.identify import identify, run_of
from gateway.means import Means
from gateway.model import Agent, Call, Decision, Hold, Outcome, Permit, Reason, Refusal, Request
from gateway.people import ask, claim, edited
from gateway.ports import Tasks
from gateway.remembering import claim_writes, remembered, settle_writes
from gateway.replies import broken, broken_off, timed
from gateway.settling import failed, known
from gateway.statuses import is_status, status_way
from gateway.story import Story
from gateway.street import Street
from gateway.understand.intents import with_intent
from gateway.understand.people import STATUS_PATH
from gateway.understand.why import FIELD, with_why

ABANDONED = Outcome(499, fault="agent", error="the agent closed its connection")


class Pipeline(Means, frozen=True):
    """The way of calls, with all that one version of configuration and policy needs for it.

    Frozen: a reload makes a new one, and calls under way keep the one they began with.
    """

    def run(self, request: Request) -> Way:
        """The way of one call, or of a question how an approval stands. Ends when the agent has its answer, or has
        gone."""
        if STATUS_PATH in request.target and self.standings is not None and is_status(request):
            return status_way(request, self.sources, self.standings)
        return self._run(request)

    def _run(self, request: Request) -> Way:
        story = Story(self.ident(), request, self.clock())
        outcome = ABANDONED
        try:
            decision = story.decision = yield from self._decision(story)
            story.decided = story.opened = self.clock()
            if decision.spoke:
                self.heed(story, decision.spoke)
            if isinstance(decision, Permit) and decision.call.glances:
                street = self.streets[decision.call.tool.name]
                decision = story.decision = yield from claim_writes(self, street, decision, story)
            if isinstance(decision, Permit) and decision.ruling is not None and decision.ruling.approval:
                decision = story.decision = yield from claim(self, decision, decision.ruling, story)
            if isinstance(decision, Permit):
                story.call = decision.call
                self._begin(story, decision.call)
                try:
                    outcome = yield from execute(self, decision, story)
                except UpstreamError as error:
                    outcome = yield self.reply(broken(error), story)
                    outcome = broken_off(outcome, error, story.answered)
            else:
                self._impose(story, decision)
                outcome = yield timed(self.reply(decision, story), story)
        except ClientGone as gone:
            outcome = gone.args[0] if gone.args else ABANDONED
        except Exception as error:
            outcome = Outcome(500, fault="gateway", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            self._end(story, outcome)

    def _begin(self, story: Story, call: Call) -> None:
        """The call is about to be made: its run has one step more, which counts before it ends."""
        if not call.implied and call.tree[1]:
            story.counted = True
            self.runs.began(call.tree, story.decided)

    def _impose(self, story: Story, refusal: Refusal) -> None:
        """Quarantine what a guard's refusal says, beyond this call."""
        if refusal.quarantine and story.call is not None:
            by = refusal.rule or refusal.reason.value
            self.quarantines.impose(story.call, refusal.quarantine, refusal.detail, by, refusal.seconds)

    def reject(self, request: Request, refusal: Refusal) -> Reply:
        """The answer to bytes that never became a call (``request`` is as far as they were read): recorded too."""
        story = Story(self.ident(), request, self.clock())
        story.decision = refusal
        reply = self.reply(refusal, story)
        self._end(story, Outcome(refusal.status, fault="agent", error=refusal.detail, sent=len(reply.body)))
        return reply

    def _end(self, story: Story, outcome: Outcome) -> None:
        """Read what came of the call, settle what was reserved and record it, even where one of these breaks."""
        ended = self.clock()
        try:
            outcome = known(self, story, outcome)
        finally:
            story.judge = story.answer = None  # they know the story: without this, only the collector frees it
            self._settle(story, outcome, ended)

    def _settle(self, story: Story, outcome: Outcome, ended: float) -> None:
        try:
            street = self.streets.get(story.tool)
            if street is not None and street.memory is not None:
                settle_writes(self, street.memory, story, outcome)
        finally:
            self._give_back(story, outcome, ended)

    def _give_back(self, story: Story, outcome: Outcome, ended: float) -> None:
        try:
            if story.over:
                return
            if story.sent:
                self.ledger.settle(story.holds, outcome, ended)
            elif story.holds:
                self.ledger.release(story.holds, ended)
        finally:
            self._return(story, outcome, ended)

    def _return(self, story: Story, outcome: Outcome, ended: float) -> None:
        """What was approved is used up, unless nothing of the call can have reached its tool; a result, unless its
        agent has gone."""
        try:
            if story.claimed is None or self.desk is None:
                return
            if not outcome.fault if story.gives else story.sent and not outcome.unsent:
                self.desk.settle(story.claimed, story.ident, outcome)
            else:
                self.desk.release(story.claimed, story.ident)
        finally:
            self._ended(story, outcome, ended)

    def _ended(self, story: Story, outcome: Outcome, ended: float) -> None:
        try:
            if story.counted and story.call is not None:
                self.runs.ended(story.call.tree, ended, failed=failed(outcome))
        finally:
            self.recorder.record(story.trace(self.version, self.wall() - (ended - story.began), outcome, ended))

    def _decision(self, story: Story) -> Generator[Effect, Any, Decision]:
        """Identify, understand, decide. Whatever goes wrong here is a refusal."""
        request = story.request
        try:
            if not self.recorder.available:
                raise Refused(
                    Reason.TRACE_UNAVAILABLE, 503, "calls cannot be recorded now, so none are made", "", (), 5
                )
            known = identify(request, self.sources)
            agent = story.agent = known if isinstance(known, Agent) else (yield Await(known))
            run = story.run = run_of(request, self.run_header)
            route = self.router.route(request)
            street = self.streets[route.tool.name]
            story.tool = route.tool.name
            if street.traces:
                run = story.run = self.lineage.place(request.lookup, agent, run)
            if street.reads_run and (run.id or run.root):
                run = story.run = street.so_far(run, run.root or (agent.id, run.id), self.runs, self.clock())
            reader = story.reader = street.reader
            body = None
            if reader.wants_body(request):
                body = story.body = yield from self._body(ReadBody(route.tool.body_limit, route.tool.head_only), story)
            elif (street.compares or street.signs or street.asks is not None) and request.length:
                body = story.raw = yield from self._body(ReadBody(route.tool.body_limit, True), story)
            call = reader.read(story.ident, request, route, agent, run, body)
            if call.carried and street.traces:
                call = self._placed(call, street, story)
            call = self._prepare(call, street, story, body)
            return (yield from self._judge(call, street, story))
        except Refused as refused:
            return refusal_of(refused)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed, whatever broke
            return Refusal(Reason.INTERNAL_ERROR, 500, f"{type(error).__name__} while deciding: {error}", "pipeline")

    def _judge(self, call: Call, street: Street, story: Story) -> Generator[Effect, Any, Decision]:
        """Learn what others know of the call, and decide: but where it has been made, and people look at its result."""
        if street.guards is not None:
            call = yield from guarded(self, street, call, story)
        if street.memory is not None or street.drifts:
            call = yield from remembered(self, street, call, story)
        if street.results is not None and street.results.any_asks:
            before = yield from reattached(self, street, call, story)
            if before is not None:
                return before
        return (yield from self._decide(call, street, story))

    def _placed(self, call: Call, street: Street, story: Story) -> Call:
        """The call in the place that the trace context in its message tells."""
        carried, run = dict(call.carried), call.run
        if not run.root:
            run = self.lineage.place(carried, call.agent, run)
            if run.root and street.reads_run:
                run = street.so_far(run, run.root, self.runs, self.clock())
        if not run.parent and b"traceparent" in carried:
            run = structs.replace(run, parent=carried[b"traceparent"].decode("latin-1"))
        story.run = run
        return structs.replace(call, run=run)

    def _prepare(self, call: Call, street: Street, story: Story, body: bytes | None) -> Call:
        """The call with what its rules and guards read beyond the request.

        Raises:
            Refused: it cannot be decided upon, or its agent, run or tool is quarantined.
        """
        if street.reads_time:
            call = call.arrived(self.wall() - (self.clock() - story.began))
        lookup = call.request.lookup
        if FIELD in lookup or b"baggage" in lookup:
            call = with_why(call)
        story.call, story.operation = call, call.operation
        self.stand(call)
        if street.in_tasks and self.tasks is not None:
            call = self._in_task(self.tasks, call, story)
        if street.reads_budgets and street.budgets is not None:
            call = street.budgets.remaining(call, self.ledger.look, self.clock())
        if street.compares:
            call = with_intent(call, body)
        if street.traces:
            call = structs.replace(call, onward=self.lineage.onward(call))
            if street.tells is not None:
                call = street.tells(call, body)
        if street.flows is not None and self.flows is not None:
            flow = self.flows.enter(call)
            parts = tuple([structs.replace(part, flow=flow) for part in call.parts])
            call = structs.replace(call, flow=flow, parts=parts)
        if call.parts and street.results is not None and street.results.any_results:
            raise Refused(
                Reason.BAD_REQUEST,
                400,
                "rules read the results of this tool, which those of a batch cannot be held against",
                "send the calls one by one",
            )
        story.call = call
        return call

    def _in_task(self, tasks: Tasks, call: Call, story: Story) -> Call:
        """The call, and each of its parts, in the task that its run is in, with the labels of that."""
        task, age, labels = tasks.enter(call)
        if not task:
            return call
        if labels:
            self.runs.mark(call.tree, labels)
        marked = tuple(sorted({*call.run.labels, *labels}))
        run = story.run = structs.replace(call.run, task=task, task_age=age, labels=marked)
        parts = tuple([structs.replace(part, run=run) for part in call.parts])
        placed = story.call = structs.replace(call, run=run, parts=parts, facts={**call.facts, "run.task": task})
        return placed

    def _decide(self, call: Call, street: Street, story: Story) -> Generator[Effect, Any, Decision]:
        """Drive the deciding generator: answer what can be answered at once, pass on what must be waited for."""
        fit = street.budgets.fit if street.budgets is not None else None
        edit = partial(edited, street, story) if street.edit is not None else unedited
        deciding = decide(call, street.checks, street.quotas, story.redact, fit, edit)
        answer: object = None
        ended: Refused | None = None
        while True:
            try:
                effect = deciding.send(answer) if ended is None else deciding.throw(ended)
            except StopIteration as done:
                decision: Decision = done.value
                return decision
            ended = None
            try:
                if isinstance(effect, Reserve):
                    held = self.ledger.reserve(effect.claims, self.clock())
                    if isinstance(held, tuple):
                        story.hold(held)
                        answer = held
                    elif isinstance(held, Awaitable):
                        answer = yield from self.wait(story, story.keep(held))
                    else:
                        raise TypeError(f"the ledger answered {held!r}")
                elif isinstance(effect, Look):
                    answer = self.ledger.look(effect.claims, self.clock())
                elif isinstance(effect, Pace):
                    answer = yield from self._pace(effect, story)
                elif isinstance(effect, AskHuman):
                    answer = yield from ask(self, effect, street, story)
                elif isinstance(effect, AskGuards):
                    answer = yield from guarded(self, street, effect.call, story)
                else:
                    raise TypeError(f"decide asked for {effect!r}")
            except Refused as refused:  # while it waited: what rules had said so far is recorded with that
                ended = refused

    def _body(self, wanted: ReadBody, story: Story) -> Generator[Effect, Any, bytes | None]:
        began = self.clock()
        try:
            body: bytes | None = yield wanted
        finally:
            story.read = self.clock() - began
        return body

    def _pace(self, effect: Pace, story: Story) -> Generator[Effect, Any, Hold | tuple[Hold, ...]]:
        """A hold; what else would be refused, where the call would have to wait for that."""
        paced = self.pacer.pace(effect.claim)
        if isinstance(paced, Hold) and paced.granted:
            story.hold((paced,))
            return paced
        if effect.before:
            looked = self.ledger.look(effect.before, self.clock())
            if not all(hold.granted for hold in looked):
                return tuple(looked)
        if isinstance(paced, Hold):
            return paced
        held: Hold = yield from self.wait(story, story.queue(paced))
        return held


__all__ = ["Await", "Collect", "Effect", "Pipeline", "ReadBody", "Relay", "Reply", "Send", "Street", "Way"]
