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

from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from typing import Any

from msgspec import Struct, structs

from gateway.decide.engine import AskHuman, Look, Pace, Reserve, decide, unedited
from gateway.decide.guardrails import Guardrails
from gateway.decide.loops import advice_of
from gateway.decide.results import UNCHECKED, ResultJudge
from gateway.decide.rules import labels_of, quarantines_of
from gateway.effects import Await, Collect, Effect, ReadBody, Relay, Reply, Send, Way
from gateway.errors import ClientGone, Refused, StoreUnavailable, UpstreamError, refusal_of
from gateway.flow.listening import Listening
from gateway.flow.own import said_in
from gateway.identify import Source, identify, run_of
from gateway.model import (
    Agent,
    Answered,
    Call,
    Decision,
    Hold,
    Lent,
    Outcome,
    Permit,
    Reason,
    Refusal,
    Request,
    Ruling,
    Spoke,
    Verdict,
)
from gateway.ports import (
    Clock,
    Desk,
    Flows,
    Guards,
    Ledger,
    Lender,
    Lineage,
    Pacer,
    Quarantines,
    Recorder,
    Runs,
    Standings,
    Tasks,
)
from gateway.replies import Hide, broken, broken_off, hidden, quarantined, reply_to, timed, told
from gateway.statuses import is_status, status_way
from gateway.story import Story
from gateway.street import Street
from gateway.understand.cutting import cut_where
from gateway.understand.guarded import Guarded
from gateway.understand.intents import with_intent
from gateway.understand.people import STATUS_PATH
from gateway.understand.petitions import Unbound, petition_of
from gateway.understand.reader import Answer, Pulse
from gateway.understand.route import Router
from gateway.understand.why import FIELD, with_why

_BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body to read. Not 205: it should have none, but a tool may send one all the same."""

_UNREAD = frozenset({"HEAD", "CONNECT"})
"""Methods whose answers have none, or are a tunnel that the operator allowed, knowing that nobody reads it."""

_SWITCHED = 101

ABANDONED = Outcome(499, fault="agent", error="the agent closed its connection")


class Pipeline(Struct, frozen=True):
    """Everything one version of configuration and policy needs to take a call from arrival to record.

    Frozen: a reload makes a new one, and calls under way keep the one they began with.
    """

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
                self._hear(story, decision.spoke)
            if isinstance(decision, Permit) and decision.ruling is not None and decision.ruling.approval:
                decision = story.decision = yield from self._claim(decision, decision.ruling, story)
            if isinstance(decision, Permit):
                story.call = decision.call
                self._begin(story, decision.call)
                try:
                    outcome = yield from self._execute(decision, story)
                except UpstreamError as error:
                    outcome = yield self._reply(broken(error), story)
                    outcome = broken_off(outcome, error, story.answered)
            else:
                self._impose(story, decision)
                outcome = yield timed(self._reply(decision, story), story)
        except ClientGone as gone:
            outcome = gone.args[0] if gone.args else ABANDONED
        except Exception as error:
            outcome = Outcome(500, fault="gateway", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            self._end(story, outcome)

    def _execute(self, permit: Permit, story: Story) -> Generator[Effect, Any, Outcome]:
        """Make the call and pass its answer on, through whatever the protocol and the policies have to read in it."""
        street, call = self.streets[permit.call.tool.name], permit.call
        lent = None if street.lender is None else (yield from self._lend(street.lender, call, story))
        story.sent = True
        plain = street.hears or street.reader.plain(call)
        answered: Answered = yield Send(permit, plain, street.compares or street.hears, lent)
        story.answered = answered
        if answered.status == 401 and street.lender is not None:
            street.lender.rejected(call)
        story.opened = self.clock()
        self.ledger.answered(permit.holds, answered, story.opened)
        budgets = street.budgets
        counted = budgets is not None
        spoke = permit.spoke + advice_of(permit.holds) if street.compares else permit.spoke
        judge, answer = None, None
        has_body = answered.status not in _BODILESS and call.request.method not in _UNREAD
        if street.results is not None and has_body:
            hears = partial(self._hear, story)
            judge = story.judge = street.results.of(call, street.price, priced=street.priced, hears=hears)
            if answered.status == _SWITCHED:
                _hold_tunnel(judge)
            else:
                answer = story.answer = _read_by(street, permit, answered, judge)
        guarded = answer if isinstance(answer, Guarded) else None
        if street.hears and call.flow is not None:
            labels = self._tainted(street, call)
            call.flow.say(said_in(call))
            if has_body and answered.status != _SWITCHED:
                hear = partial(_hear, call, labels, answered)
                answer = story.answer = Listening(answer, hear)
        if answer is None or not answer.whole:
            relayed: Outcome = yield Relay(told(story, answered, spoke, counted, self.hide), answer)
            return relayed
        body: bytes = yield Collect(call.tool.answer_limit)
        if guarded is not None and judge is not None:
            yield from self._ask_about(body, guarded, judge, story)
        body, refusal = _read_whole(answer, body)
        if isinstance(answer, Listening) and refusal is None:
            answer.heard()
        if refusal is not None:
            replied: Outcome = yield timed(self._reply(refusal, story), story)
            return structs.replace(replied, upstream=answered.status, first_byte=answered.first_byte)
        spoke = spoke + judge.spoke if judge is not None else spoke
        relayed = yield Relay(told(story, answered, spoke, counted, self.hide), None, body)
        return relayed

    def _claim(self, permit: Permit, ruling: Ruling, story: Story) -> Generator[Effect, Any, Decision]:
        """Take what a person approved, now that nothing else stands in the way: once, whoever else makes the call."""
        if self.desk is None:
            raise TypeError("an approval without a desk")
        try:
            if (yield Await(story.claim(self.desk.claim(ruling, story.ident), ruling), permit.call)):
                return permit
            why, advice = "what was approved has been used, or is not there any more", "make the call again to ask anew"
            reason, status = Reason.APPROVAL_REQUIRED, 403
        except StoreUnavailable as error:
            why, advice = f"what was approved cannot be taken now: {error}", "repeat exactly the same call later"
            reason, status = Reason.STATE_UNAVAILABLE, 503
        except Refused as refused:
            return structs.replace(refusal_of(refused), spoke=permit.spoke, holds=permit.holds, ruling=ruling)
        return Refusal(
            reason, status, why, _asking(permit), advice=advice, spoke=permit.spoke, holds=permit.holds, ruling=ruling
        )

    def _lend(self, lender: Lender, call: Call, story: Story) -> Generator[Effect, Any, Lent]:
        """A credential for this very call, had before anything of it is sent."""
        body = call.body if call.body is not None else story.body if story.body is not None else story.raw
        lent = lender.lend(call, body)
        if isinstance(lent, Lent):
            return lent
        try:
            given: Lent = yield Await(lent, call)
        except Refused as refused:  # while it waited: quarantined, or the gateway ends
            error = UpstreamError(refused.reason, refused.status, refused.detail)
            error.unsent = True
            raise error from None
        return given

    def _tainted(self, street: Street, call: Call) -> tuple[str, ...]:
        """The labels of what the tool answers. They stick to the run before the agent has a byte of it, since it may
        make its next call before the end."""
        if street.flows is None:
            return ()
        parts = [part for part in call.parts or (call,) if not part.implied]
        labels = tuple(dict.fromkeys([label for part in parts for label in street.flows.of(part.operation).returns]))
        if labels:
            self.runs.mark(call.tree, labels)
            call.flow.mark(labels)
        return labels

    def _guard(
        self, names: Mapping[str, bool], call: Call, story: Story, result: bytes | None = None
    ) -> Generator[Effect, Any, Mapping[str, Any]]:
        """What guardrails say of a call, or of its result. Before the call it may be ended meanwhile."""
        if self.guards is None:
            raise TypeError("guardrails that nobody asks")
        about = {"agent": call.agent.id, "run": call.run.id, "tool": call.tool.name, "operation": call.operation}
        told: dict[str, Any] = {**about, "args": dict(call.args), "messages": call.facts.get("llm.messages")}
        if result is not None:
            told["result"] = result.decode("utf-8", "replace")
            said: Mapping[str, Any] = yield Await(self.guards.ask(names, told))
        else:
            said = yield from self._wait(story, self.guards.ask(names, told))
        return said

    def _ask_about(
        self, body: bytes, guarded: Guarded, judge: ResultJudge, story: Story
    ) -> Generator[Effect, Any, None]:
        """Ask guardrails about a result; it is withheld where one must say something of it and does not."""
        try:
            judge.guards = yield from self._guard(guarded.names, judge.call, story, body)
        except Refused as refused:
            guarded.withheld = structs.replace(refusal_of(refused), advice=UNCHECKED, retryable=False)

    def _guarded(self, street: Street, guards: Guardrails, call: Call, story: Story) -> Generator[Effect, Any, Call]:
        """The call with what guardrails say of it, where its rules read that. They cost time and money, so nobody is
        asked about a call that is refused whatever they say."""
        if any(guards.of_call(part) for part in call.parts):
            raise Refused(
                Reason.BAD_REQUEST, 400, "guardrails are asked about calls one by one", "send the calls one by one"
            )
        names = guards.of_call(call)
        if not names or not street.admits(call):
            return call
        said = yield from self._guard(names, call, story)
        guarded = story.call = structs.replace(call, facts={**call.facts, "guardrail": said})
        return guarded

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

    def _hear(self, story: Story, spoke: tuple[Spoke, ...]) -> None:
        """Mark the run, and quarantine, as these rules want it: at once, since the agent may make its next call before
        this one ends."""
        if story.agent is not None:
            self.runs.mark(story.run.root or (story.agent.id, story.run.id), labels_of(spoke))
        if story.call is not None:
            for wanted in quarantines_of(spoke):
                self.quarantines.impose(story.call, *wanted)

    def reject(self, request: Request, refusal: Refusal) -> Reply:
        """The answer to bytes that never became a call (``request`` is as far as they were read): recorded too."""
        story = Story(self.ident(), request, self.clock())
        story.decision = refusal
        reply = self._reply(refusal, story)
        self._end(story, Outcome(refusal.status, fault="agent", error=refusal.detail, sent=len(reply.body)))
        return reply

    def _reply(self, refusal: Refusal, story: Story) -> Reply:
        return hidden(reply_to(refusal, story), self.hide)

    def _end(self, story: Story, outcome: Outcome) -> None:
        """Read what came of the call, settle what was reserved and record it, even where one of these breaks."""
        ended = self.clock()
        try:
            outcome = self._read(story, outcome)
        finally:
            story.judge = story.answer = None  # they know the story: without this, only the collector frees it
            self._settle(story, outcome, ended)

    def _settle(self, story: Story, outcome: Outcome, ended: float) -> None:
        try:
            if story.sent:
                self.ledger.settle(story.holds, outcome, ended)
            elif story.holds:
                self.ledger.release(story.holds, ended)
        finally:
            self._return(story, outcome, ended)

    def _return(self, story: Story, outcome: Outcome, ended: float) -> None:
        """What was approved is used up, unless nothing of the call can have reached its tool."""
        try:
            if story.claimed is None or self.desk is None:
                return
            if story.sent and not outcome.unsent:
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

    def _read(self, story: Story, outcome: Outcome) -> Outcome:
        """The outcome with what was read in the answer and what the call cost, which its run is told."""
        if story.answer is not None:
            if isinstance(story.answer, Listening) and not story.answer.whole:
                story.answer.heard()
            found = story.answer.found()
            if story.judge is not None and story.judge.spoke:
                found = structs.replace(found, spoke=story.judge.spoke)
            outcome = structs.replace(outcome, found=found)
            if found.answered and outcome.fault == "agent" and outcome.upstream:
                # It has what it asked for: MCP clients close a stream once they have read the result.
                outcome = structs.replace(outcome, status=outcome.upstream, fault="", error="")
        permit, street = story.decision, self.streets.get(story.tool)
        if street is None or street.pricer is None or not isinstance(permit, Permit):
            return outcome
        priced = street.pricer.price(permit.call, outcome)
        if priced.notes:
            found = outcome.found
            outcome = structs.replace(outcome, found=structs.replace(found, notes=found.notes + priced.notes))
        if priced.usd and story.agent is not None:
            self.runs.add(permit.call.tree, priced.usd)
        return structs.replace(outcome, cost_usd=priced.usd)

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
            if street.guards is not None:
                call = yield from self._guarded(street, street.guards, call, story)
            return (yield from self._decide(call, street, story))
        except Refused as refused:
            return refusal_of(refused)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed, whatever broke
            return Refusal(Reason.INTERNAL_ERROR, 500, f"{type(error).__name__} while deciding: {error}", "pipeline")

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
        self._stand(call)
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
            call = structs.replace(call, flow=self.flows.enter(call))
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
        edit = partial(_edited, street, story) if street.edit is not None else unedited
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
                        answer = yield from self._wait(story, story.keep(held))
                    else:
                        raise TypeError(f"the ledger answered {held!r}")
                elif isinstance(effect, Look):
                    answer = self.ledger.look(effect.claims, self.clock())
                elif isinstance(effect, Pace):
                    answer = yield from self._pace(effect, story)
                elif isinstance(effect, AskHuman):
                    answer = yield from self._ask(effect, street, story)
                else:
                    raise TypeError(f"decide asked for {effect!r}")
            except Refused as refused:  # while it waited: what rules had said so far is recorded with that
                ended = refused

    def _ask(self, effect: AskHuman, street: Street, story: Story) -> Generator[Effect, Any, Ruling | None]:
        """What a person says of the call. It waits here, before any counter, for as long as its terms say."""
        if street.asks is None or self.desk is None:
            return None
        call, body = effect.call, story.body if story.body is not None else story.raw
        terms = street.asks.terms(call, effect.questions)
        try:
            petition = petition_of(
                call,
                effect.questions,
                body,
                self.version,
                terms,
                self.ignored,
                editable=_editable(call, street, body),
                answerable=street.answers is not None and not call.parts and street.answers(call),
            )
        except Unbound as unbound:
            return Ruling(False, message=f"a person must approve this call, and cannot: {unbound}")
        began, queued = self.clock(), story.queued
        try:
            pulse = street.pulse(call, body) if street.pulse is not None else None
            ruling: Ruling = yield from self._wait(story, self.desk.ask(call, petition), pulse)
        finally:
            story.asked += self.clock() - began
            story.queued = queued
        if street.page is not None and ruling.reason is Reason.APPROVAL_PENDING and ruling.approval:
            return structs.replace(ruling, url=street.page(call, body, ruling.approval))
        return ruling

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
        held: Hold = yield from self._wait(story, story.queue(paced))
        return held

    def _wait(self, story: Story, awaitable: Awaitable[Any], pulse: Pulse | None = None) -> Generator[Effect, Any, Any]:
        began = self.clock()
        try:
            answer = yield Await(awaitable, story.call, pulse)
        finally:
            story.queued += self.clock() - began
        if story.call is not None:
            self._stand(story.call)
        return answer

    def _stand(self, call: Call) -> None:
        """Raises Refused where the call's agent, run or tool is quarantined: now, or while it waited."""
        quarantine = self.quarantines.standing(call)
        if quarantine is not None:
            raise quarantined(quarantine, self.wall())


def _hear(call: Call, labels: tuple[str, ...], answered: Answered, data: bytes) -> None:
    source, args = f"{call.tool.name}/{call.operation}", (call.args, call.params)
    call.flow.hear(source, labels, data, answered.content_type, args)


def _read_by(street: Street, permit: Permit, answered: Answered, judge: ResultJudge) -> Answer | None:
    """What the answer goes through on its way to the agent."""
    call, budgets = permit.call, street.budgets
    answer = street.reader.answer(call, answered, judge)
    if answer is None:
        return None
    if budgets is not None and budgets.cuts(permit.holds):
        answer = cut_where(answer, partial(budgets.beyond, call, permit.holds))
    if street.guards is not None and (names := street.guards.of_result(call)):
        return Guarded(answer, names)
    return answer


def _asking(permit: Permit) -> str:
    """The first rule that asked."""
    asks = (said for said in permit.spoke if said.verdict is Verdict.APPROVE)
    return next((f"{said.policy}/{said.rule}" for said in asks), "pins")


def _editable(call: Call, street: Street, body: bytes | None) -> bool:
    """Whether the call can be put together again from its arguments, and so from others."""
    if street.edit is None or call.parts:
        return False
    try:
        street.edit(call, call.args, body)
    except Refused:
        return False
    return True


def _edited(street: Street, story: Story, call: Call, args: Mapping[str, Any]) -> Call:
    """The call with other arguments, and what guards read of it made anew."""
    if street.edit is None:
        return unedited(call, args)
    body = story.body if story.body is not None else story.raw
    edited = street.edit(call, args, body)
    return with_intent(edited, edited.body) if street.compares else edited


def _read_whole(answer: Answer, body: bytes) -> tuple[bytes, Refusal | None]:
    """The body for the agent, or why it gets none; where reading breaks, nobody knows what the answer holds."""
    try:
        return answer.feed(body) + answer.end(), answer.refusal()
    except Exception as error:
        raise UpstreamError(
            Reason.RESULT_UNREADABLE, 502, f"the answer could not be read: {type(error).__name__}"
        ) from error


def failed(outcome: Outcome) -> bool:
    """Whether a call that was made has failed, as its agent sees it: no answer, an error status, or a tool's word."""
    return outcome.upstream == 0 or outcome.upstream >= 400 or bool(outcome.fault) or outcome.found.is_error


def _hold_tunnel(judge: ResultJudge) -> None:
    """An answer by another protocol cannot be read: no way around the rules that would have read it."""
    if judge.reads_result:
        raise UpstreamError(
            Reason.RESULT_UNREADABLE, 502, "rules read the answers of this operation, and cannot read an upgraded one"
        )


__all__ = ["Await", "Collect", "Effect", "Pipeline", "ReadBody", "Relay", "Reply", "Send", "Street", "Way"]
