"""From the permit to the agent's answer: send, listen, judge, guard, collect, relay.

All of it belongs to ``Pipeline.run``, whose exits end what breaks in here too.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from msgspec import structs

from gateway.coherence.late import marks
from gateway.decide.loops import advice_of
from gateway.decide.results import ResultJudge
from gateway.effects import Await, Collect, Effect, Relay, Send
from gateway.errors import Refused, UpstreamError
from gateway.flow.listening import Listening
from gateway.flow.own import said_in
from gateway.guarding import guard_result
from gateway.holding import looked_at
from gateway.means import Means
from gateway.model import Answered, Call, Lent, Outcome, Permit, Reason, Refusal
from gateway.ports import Lender
from gateway.remembering import hearing, labelled, late_in, notes_of, refused_late, waits_for_all
from gateway.replies import timed, told
from gateway.story import Story
from gateway.street import Street
from gateway.understand.cutting import cut_where
from gateway.understand.guarded import Guarded
from gateway.understand.mcp_notes import noted
from gateway.understand.reader import Answer

_BODILESS = frozenset({204, 304})
"""Statuses whose answers have no body to read. Not 205: it should have none, but a tool may send one all the same."""

_UNREAD = frozenset({"HEAD", "CONNECT"})
"""Methods whose answers have none, or are a tunnel that the operator allowed, knowing that nobody reads it."""

_SWITCHED = 101


def execute(means: Means, permit: Permit, story: Story) -> Generator[Effect, Any, Outcome]:
    """Make the call and pass its answer on, through whatever the protocol and the policies have to read in it.

    Raises:
        UpstreamError: there is no answer that the agent may have.
    """
    street, call = means.streets[permit.call.tool.name], permit.call
    lent = None if street.lender is None else (yield from _lend(street.lender, call, story))
    if story.writing and street.memory is not None and (conditions := street.memory.conditions(call)):
        lent = Lent(conditions) if lent is None else structs.replace(lent, fields=(*conditions, *lent.fields))
    story.sent = True
    plain = street.hears or street.memory is not None or street.reader.plain(call)
    hears = street.hears or street.memory is not None
    answered: Answered = yield Send(permit, plain, street.compares or hears, lent)
    if call.glances:
        answered = labelled(call, answered)
    _arrived(means, street, permit, answered, story)
    answer = story.answer = _through(means, street, permit, answered, story)
    counted = street.budgets is not None
    spoke = permit.spoke + advice_of(permit.holds) if street.compares else permit.spoke
    if answer is None or not answer.whole:
        lines = _marks(means, street, call, answered) if call.glances else b""
        relayed: Outcome = yield Relay(told(story, answered, spoke, counted, means.hide) + lines, answer)
        return relayed
    body: bytes = yield Collect(call.tool.answer_limit)
    judge = story.judge
    inner = answer.inner if isinstance(answer, Listening) else answer
    if isinstance(inner, Guarded) and inner.names and judge is not None:
        yield from guard_result(means, body, inner, judge)
    came = body
    body, refusal = _read_whole(answer, body)
    behind = late_in(means, street, call, answered, body) if call.glances else ()
    if behind and refusal is None:
        refusal = refused_late(means, street, story, behind)
    if refusal is None and judge is not None and judge.questions:
        refusal = yield from looked_at(means, street, permit, answered, came, body, story)
    if refusal is not None:
        replied: Outcome = yield timed(means.reply(refusal, story), story)
        return structs.replace(replied, upstream=answered.status, first_byte=answered.first_byte)
    if isinstance(answer, Listening):
        answer.heard()
    if notes := notes_of(permit):
        body = noted(body, answered.content_type, notes)
    spoke = spoke + judge.spoke if judge is not None else spoke
    lines = marks(call, answered, behind, means.wall()) if call.glances else b""
    relayed = yield Relay(told(story, answered, spoke, counted, means.hide) + lines, None, body)
    return relayed


def _marks(means: Means, street: Street, call: Call, answered: Answered) -> bytes:
    """What the agent is told of a memory beside the answer, as far as its head shows it."""
    return marks(call, answered, late_in(means, street, call, answered, None), means.wall())


def _lend(lender: Lender, call: Call, story: Story) -> Generator[Effect, Any, Lent]:
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


def _arrived(means: Means, street: Street, permit: Permit, answered: Answered, story: Story) -> None:
    """The head of the answer is here: everybody who waits for that is told."""
    story.answered = answered
    if answered.labels:
        means.runs.mark(permit.call.tree, answered.labels)
    if answered.status == 401 and street.lender is not None:
        street.lender.rejected(permit.call)
    story.opened = means.clock()
    means.ledger.answered(permit.holds, answered, story.opened)


def _through(means: Means, street: Street, permit: Permit, answered: Answered, story: Story) -> Answer | None:
    """What the answer goes through on its way to the agent; None: it passes as it comes."""
    call, answer = permit.call, None
    has_body = answered.status not in _BODILESS and call.request.method not in _UNREAD
    if street.results is not None and has_body:
        heeds = partial(means.heed, story)
        judge = story.judge = street.results.of(call, street.price, priced=street.priced, hears=heeds)
        if answered.status == _SWITCHED:
            _hold_tunnel(judge)
        else:
            answer = _read_by(street, permit, answered, judge)
    hears = None
    if street.hears and call.flow is not None:
        labels = _tainted(means, street, call, answered.labels)
        call.flow.say(said_in(call))
        hears = partial(_hear, call, labels, answered)
    learns = None if street.memory is None else hearing(means, street, permit, answered, story)
    if learns is not None and not has_body:
        learns(b"", True)
    if (hears is not None or learns is not None) and has_body and answered.status != _SWITCHED:
        events = answered.content_type.lower().startswith("text/event-stream")
        listening = Listening(answer, hears, learns, events=events)
        listening.whole = listening.whole or (bool(call.glances) and waits_for_all(means, street, permit))
        return listening
    return answer


def _read_by(street: Street, permit: Permit, answered: Answered, judge: ResultJudge) -> Answer | None:
    """What reads the answer: the protocol, budgets that cut it, guardrails."""
    call, budgets = permit.call, street.budgets
    answer = street.reader.answer(call, answered, judge)
    if answer is None:
        return None
    if budgets is not None and budgets.cuts(permit.holds):
        answer = cut_where(answer, partial(budgets.beyond, call, permit.holds))
    names = street.guards.of_result(call) if street.guards is not None else {}
    return Guarded(answer, names) if names or judge.asks else answer


def _hold_tunnel(judge: ResultJudge) -> None:
    """An answer by another protocol cannot be read: no way around the rules that would have read it."""
    if judge.reads_result:
        raise UpstreamError(
            Reason.RESULT_UNREADABLE, 502, "rules read the answers of this operation, and cannot read an upgraded one"
        )


def _tainted(means: Means, street: Street, call: Call, told: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of what the tool answers, and those that it ``told``. They stick to the run before the agent has a
    byte of it, since it may make its next call before the end."""
    if street.flows is None:
        return ()
    parts = [part for part in call.parts or (call,) if not part.implied]
    given = [label for part in parts for label in street.flows.of(part.operation).returns]
    labels = tuple(dict.fromkeys([*given, *told]))
    if labels:
        means.runs.mark(call.tree, labels)
        call.flow.mark(labels)
    return labels


def _hear(call: Call, labels: tuple[str, ...], answered: Answered, data: bytes) -> None:
    source, args = f"{call.tool.name}/{call.operation}", (call.args, call.params)
    call.flow.hear(source, labels, data, answered.content_type, args)


def _read_whole(answer: Answer, body: bytes) -> tuple[bytes, Refusal | None]:
    """The body for the agent, or why it gets none; where reading breaks, nobody knows what the answer holds."""
    try:
        return answer.feed(body) + answer.end(), answer.refusal()
    except Exception as error:
        raise UpstreamError(
            Reason.RESULT_UNREADABLE, 502, f"the answer could not be read: {type(error).__name__}"
        ) from error


__all__ = ["execute"]
