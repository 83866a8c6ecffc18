"""Results that people look at before the agent has them: held, kept, and given to the same call once.

The call has been made when its result is held, so it is never made again because of that: the same call meets its
result before anything is sent. See ``docs/approvals.md``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from msgspec import structs

from gateway.decide.results import KEPT_BACK
from gateway.effects import Await, Effect
from gateway.errors import Refused, StoreUnavailable, refusal_of
from gateway.means import Means
from gateway.model import (
    RESULT,
    Answered,
    Call,
    Held,
    Kept,
    Permit,
    Petition,
    Question,
    Reason,
    Refusal,
    Ruling,
    Spoke,
)
from gateway.settling import settle_early
from gateway.story import Story
from gateway.street import Street
from gateway.understand.keeping import MOST_KEPT, kept_of, packed, payload_with, result_binding, unpacked
from gateway.understand.petitions import Unbound, check_bound, read_of
from gateway.understand.reader import Pulse

LATER = (
    "the call was made, and is not made again: repeat exactly the same call later, in a minute or more, to get its"
    " result; or go on with something else"
)
_TEXTS = {
    "deny": "a person has kept this result from you",
    "expired": "nobody looked at the result in time, so it is kept from you",
    "used": "the result has been given to the same call",
    "running": "the result is being given to the same call, or was in a way that nobody knows",
    "withdrawn": "what was asked of a person about this result has been taken back",
    "lost": "the result is not there any more",
}


def reattached(means: Means, street: Street, call: Call, story: Story) -> Generator[Effect, Any, Refusal | None]:
    """What the same call, made before, comes to, where a person was asked about its result: it is not made again.
    None: nothing stands, and the call goes on.

    Raises:
        Refused: it may not go on, as it stands after the wait.
    """
    if means.desk is None or street.results is None or not street.results.asks(call):
        return None
    sent = _sent(call, story)
    try:
        check_bound(call, story.body if story.body is not None else story.raw)
    except Unbound:
        return None  # its result is refused, where a person would have to look at it
    story.binding = result_binding(call, sent, means.version, means.ignored)
    attaching = means.desk.attach(call, story.binding, means.version)
    began, queued = means.clock(), story.queued
    try:
        ruling: Ruling | None = yield from means.wait(story, attaching, _pulse(street, call, story))
    finally:
        story.asked += means.clock() - began
        story.queued = queued
    if ruling is None:
        return None
    spoke: tuple[Spoke, ...] = ()
    for check in street.checks:
        judged = check.judge(call)
        spoke += judged.spoke
        if judged.refusal is not None:
            return structs.replace(judged.refusal, spoke=spoke, ruling=_told(ruling))
    refusal = (yield from _given(means, call, ruling, story)) if ruling.granted else refused(ruling)
    if refusal.kept is not None:
        _hear(street, call, refusal.kept)
    return structs.replace(refusal, spoke=spoke)


def looked_at(
    means: Means, street: Street, permit: Permit, answered: Answered, came: bytes, body: bytes, story: Story
) -> Generator[Effect, Any, Refusal | None]:
    """Ask a person about a result, for which the agent waits. None: it gets ``body``, as it may be changed from what
    ``came``; else what it gets instead."""
    judge = story.judge
    if judge is None:
        raise TypeError("a result that nobody judged")
    story.heard = body
    settle_early(means, story, answered)
    kept = kept_of(answered, body, changed=body is not came and body != came)
    refusal = _unkept(means, street, body, story, judge.questions)
    if refusal is None:
        refusal = yield from _asked(means, street, permit.call, kept, story, judge.questions)
        if refusal.kept == kept:
            return None
    if refusal.kept is None:
        story.withheld = refusal
    return refusal


def _asked(
    means: Means, street: Street, call: Call, kept: Kept, story: Story, questions: tuple[Question, ...]
) -> Generator[Effect, Any, Refusal]:
    if means.desk is None or street.asks is None:
        raise TypeError("a question without a desk")
    petition = _petition(means, street, call, kept, story, questions)
    asking = means.desk.ask(call, petition)
    try:
        ruling: Ruling = yield Await(asking, call, _pulse(street, call, story))
        means.stand(call)
    except Refused as refused_:  # quarantined while it waited
        return structs.replace(refusal_of(refused_), advice=KEPT_BACK, retry_after=0.0)
    story.looked = _told(ruling)
    refusal = (yield from _given(means, call, ruling, story)) if ruling.granted else refused(ruling)
    return structs.replace(refusal, rule=questions[0].rule)


def _given(means: Means, call: Call, ruling: Ruling, story: Story) -> Generator[Effect, Any, Refusal]:
    """The result, taken once, whoever else makes the call."""
    if means.desk is None:
        raise TypeError("an approval without a desk")
    kept, ruling = unpacked(ruling.kept), _told(ruling)
    try:
        if not (yield Await(story.claim(means.desk.claim(ruling, story.ident), ruling), call)):
            return refused(structs.replace(ruling, granted=False, verb="used"))
    except StoreUnavailable as error:
        text = f"the result, which a person let pass, cannot be taken now: {error}"
        return Refusal(Reason.STATE_UNAVAILABLE, 503, text, advice=LATER, ruling=ruling)
    except Refused as refused_:
        return structs.replace(refusal_of(refused_), advice=LATER, ruling=ruling)
    story.gives = True
    told = f"the result of the same call, made before, which {' and '.join(ruling.by) or 'nobody'} let pass"
    return Refusal(Reason.RESULT_APPROVED, kept.status, told, ruling=ruling, kept=kept)


def _told(ruling: Ruling) -> Ruling:
    """The ruling for the record, which has no results in it."""
    return structs.replace(ruling, kept=b"")


def refused(ruling: Ruling) -> Refusal:
    """What an agent is told of a result that it does not get, or not yet."""
    if ruling.reason is Reason.ANSWERED_BY_PERSON:
        return Refusal(ruling.reason, 200, ruling.message, ruling=ruling)
    if ruling.verb == "pending":
        text = f"the call was made, and its result is {ruling.message}"
        return Refusal(Reason.RESULT_PENDING, 403, text, advice=LATER, ruling=ruling)
    if ruling.verb == "unavailable":
        return Refusal(Reason.STATE_UNAVAILABLE, 503, ruling.message, advice=ruling.advice, ruling=ruling)
    said = ruling.message if ruling.verb not in _TEXTS or _by_person(ruling) else ""
    text = said or _TEXTS.get(ruling.verb, _TEXTS["lost"])
    return Refusal(Reason.RESULT_DENIED, 403, text, advice=KEPT_BACK, ruling=ruling)


def _by_person(ruling: Ruling) -> bool:
    """Whether its message is what somebody wrote, and not the text for calls."""
    return ruling.verb in ("deny", "withdrawn") and bool(ruling.message)


def _unkept(means: Means, street: Street, body: bytes, story: Story, questions: tuple[Question, ...]) -> Refusal | None:
    """Why nobody can be asked about the result, which the agent then does not get."""
    rule = questions[0].rule
    if means.desk is None or street.asks is None:
        return Refusal(Reason.APPROVAL_REQUIRED, 403, questions[0].text, rule, advice=KEPT_BACK)
    if not story.binding:
        why = "its call is too large to be read, and so to be shown to a person"
    elif len(body) > MOST_KEPT:
        why = f"it has {len(body)} bytes, of which {MOST_KEPT} can be kept for that"
    else:
        return None
    text = f"a person must look at this result, and cannot: {why}"
    return Refusal(Reason.RESULT_DENIED, 403, text, rule, advice=KEPT_BACK)


def _petition(
    means: Means, street: Street, call: Call, kept: Kept, story: Story, questions: tuple[Question, ...]
) -> Petition:
    if street.asks is None:
        raise TypeError("a question without terms")
    return Petition(
        story.binding,
        call.agent.id,
        call.agent.roles,
        call.run.id,
        call.tree,
        call.tool.name,
        call.operation,
        means.version,
        tuple([Held(question.rule, question.text, _read(question, story)) for question in questions]),
        street.asks.terms(call, questions),
        call.id,
        payload_with(call, _sent(call, story), kept),
        answerable=street.answers is not None and street.answers(call),
        about=RESULT,
        kept=packed(kept),
    )


def _read(question: Question, story: Story) -> tuple[tuple[str, Any], ...]:
    """What the rule read; of a result that is masked or changed nothing, since it is shown as the agent gets it."""
    read = read_of(question)
    if story.judge is None or not story.judge.fields:
        return read
    return tuple([(path, "..." if path.partition(".")[0] == "result" else value) for path, value in read])


def _hear(street: Street, call: Call, kept: Kept) -> None:
    """The run has what the tool told, now that the agent gets it."""
    if not street.hears or call.flow is None:
        return
    labels = () if street.flows is None else street.flows.of(call.operation).returns
    kind = next((value.decode("latin-1") for name, value in kept.fields if name.lower() == b"content-type"), "")
    call.flow.hear(f"{call.tool.name}/{call.operation}", labels, kept.body, kind, (call.args, call.params))


def _pulse(street: Street, call: Call, story: Story) -> Pulse | None:
    """Streams of models end as they came, whole or not at all: nothing is said in them before."""
    if street.pulse is None or call.tool.protocol != "mcp":
        return None
    return street.pulse(call, story.body if story.body is not None else story.raw)


def _sent(call: Call, story: Story) -> bytes:
    body = story.body if story.body is not None else story.raw
    return call.body if call.body is not None else body or b""


__all__ = ["LATER", "looked_at", "reattached", "refused"]
