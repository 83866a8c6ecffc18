"""From call to decision, as a generator that asks for effects and performs none.

Checks first, then people, then queues, then counters: nothing is held while somebody thinks, only places of pools while
a call waits for another place or a budget, and no counter moves for a call that was never going to run. All claims go
in one reserve, all or nothing: a refusal has nothing to undo but such places, which the pipeline gives back. The
pipeline answers each effect with ``send``; a test answers by hand.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.decide.shapes import Check, Edit, Fit, Quota, Redact
from gateway.decide.together import Claimed, Paced, Waiting, claims_of
from gateway.errors import Refused, refusal_of
from gateway.model import (
    Call,
    Changed,
    Claim,
    Decision,
    Hold,
    Mode,
    Permit,
    PoolClaim,
    Question,
    RateClaim,
    Reason,
    Refusal,
    Ruling,
    Spoke,
)
from gateway.policy.guardrails import VARIABLE


class AskHuman(Struct, frozen=True):
    """Answered with a Ruling; anything else is no approval. All questions about a call are one matter for a
    person."""

    questions: tuple[Question, ...]
    call: Call


class AskGuards(Struct, frozen=True):
    """Answered with the call with what guardrails say of it, after a person has changed it; they were asked about it
    before that."""

    call: Call


class Pace(Struct, frozen=True):
    """Wait for room in a limit that waits, or for a place in a pool. Answered with a hold; not granted where it would
    take longer than allowed.

    ``before``: where it cannot be had at once, these are looked at first; answered with what was found where one of
    them would be refused.
    """

    claim: Waiting
    before: tuple[Claim, ...] = ()


class Reserve(Struct, frozen=True):
    """Answered with one hold for each claim, in order: all granted, or none taken."""

    claims: tuple[Claim, ...]


class Look(Struct, frozen=True):
    """As Reserve, but nothing is taken: what would be refused now?"""

    claims: tuple[Claim, ...]


Effect = AskHuman | AskGuards | Look | Pace | Reserve
Deciding = Generator[Effect, Any, Decision]


def unredacted(call: Call, fields: tuple[Changed, ...]) -> Call:  # noqa: ARG001 - a Redact
    """Stands in where nothing can be masked: refuses."""
    raise Refused(Reason.REDACTION_FAILED, 403, "fields of this call are to be masked, and nothing here can do it")


def unedited(call: Call, args: Mapping[str, Any]) -> Call:  # noqa: ARG001 - an Edit
    """Stands in where nobody can put other arguments into a call: refuses."""
    raise Refused(Reason.APPROVAL_REQUIRED, 403, "other arguments were approved, and nothing here can put them in")


def decide(
    call: Call,
    checks: Sequence[Check],
    quotas: Sequence[Quota],
    redact: Redact = unredacted,
    fit: Fit | None = None,
    edit: Edit = unedited,
) -> Deciding:
    """Decide on one call, or on a batch as a whole: a Permit, or a Refusal that carries every rule that spoke.

    The permit's call has the arguments that a person has put into it (``edit``), masks where rules ask for them
    (``redact``), and is cut down to what was granted of it (``fit``); everything here is decided by what was there.
    """
    checked = _looked_at(call, checks, redact)
    if isinstance(checked, Refusal):
        return checked
    ruling: Ruling | None = None
    try:
        if checked.questions:
            approved = yield from _ask(call, checked, checks, redact, edit)
            if isinstance(approved, Refusal):
                return approved
            call, checked, ruling = approved
        return (yield from _count(call, checked, quotas, fit, ruling))
    except Refused as refused:  # thrown in while the call waited: it was quarantined, or the gateway ends
        return _with(refusal_of(refused), checked.spoke, (), ruling)


def _count(call: Call, checked: _Checked, quotas: Sequence[Quota], fit: Fit | None, ruling: Ruling | None) -> Deciding:
    """Hold the call to all that counts."""
    spoke, grant = checked.spoke, checked.grant
    asked = _asked(call, quotas)
    if isinstance(asked, Refusal):
        return _with(asked, spoke, (), ruling)
    paced, claimed = asked
    waited: tuple[Hold, ...] = ()
    if paced:
        refusal, waited = yield from _queue(paced, claimed)
        if refusal is not None:
            return _with(refusal, spoke, waited, ruling)
    if not claimed:
        return Permit(checked.permitted, grant, waited, spoke, ruling)
    holds: tuple[Hold, ...] = yield Reserve(tuple([claim for _, claim in claimed]))
    refusal = _refused(claimed, holds)
    if refusal is not None:
        return _with(refusal, spoke, waited + holds, ruling)
    fitted = _fitted(checked.permitted, holds, fit)
    if isinstance(fitted, Refusal):
        return _with(fitted, spoke, waited + holds, ruling)
    return Permit(fitted, grant, waited + holds, spoke, ruling)


class _Checked(Struct, frozen=True):
    """What the checks made of a call: ``permitted`` has the masks that rules want."""

    permitted: Call
    spoke: tuple[Spoke, ...]
    grant: str
    questions: tuple[Question, ...]


_Approved = tuple[Call, _Checked, Ruling]


def _looked_at(call: Call, checks: Sequence[Check], redact: Redact) -> _Checked | Refusal:
    refusal, spoke, grant, questions, fields = _checked(call, checks)
    if refusal is not None:
        return _with(refusal, spoke, ())
    permitted = call
    if fields:
        masked = _redacted(call, fields, redact, spoke)
        if isinstance(masked, Refusal):
            return _with(masked, spoke, ())
        permitted = masked
    return _Checked(permitted, spoke, grant, tuple(questions))


def _ask(
    call: Call, checked: _Checked, checks: Sequence[Check], redact: Redact, edit: Edit
) -> Generator[Effect, Any, _Approved | Refusal]:
    """Ask a person. What comes back with other arguments is decided again from the start: a rule that refuses it
    refuses it, and one that asks and had not asked before is a new matter."""
    answer: Any = yield AskHuman(checked.questions, call)
    if not isinstance(answer, Ruling) or not answer.granted:
        return _with(_unapproved(checked.questions[0], answer), checked.spoke, (), _ruling(answer))
    if answer.edited is None:
        return call, checked, answer
    try:
        edited = edit(call, answer.edited)
        if VARIABLE in edited.facts:
            edited = yield AskGuards(edited)
    except Refused as refused:
        return _with(refusal_of(refused), checked.spoke, (), answer)
    again = _looked_at(edited, checks, redact)
    if isinstance(again, Refusal):
        return _with(again, again.spoke, (), answer)
    asked = {question.rule for question in checked.questions}
    if new := [question for question in again.questions if question.rule not in asked]:
        refusal = Refusal(
            Reason.APPROVAL_REQUIRED,
            403,
            f"the arguments that a person put in are asked about by another rule: {new[0].text}",
            new[0].rule,
            advice="do not repeat this call; ask for what is needed in another way",
        )
        return _with(refusal, again.spoke, (), answer)
    return edited, again, answer


def _ruling(answer: object) -> Ruling | None:
    return answer if isinstance(answer, Ruling) else None


def _asked(call: Call, quotas: Sequence[Quota]) -> tuple[Paced, Claimed] | Refusal:
    """What the quotas claim; a refusal where one of them cannot tell, or would never grant it."""
    try:
        paced, claimed = claims_of(call, quotas)
    except Refused as refused:
        return refusal_of(refused)
    beyond = _beyond([*paced, *claimed]) if call.parts else None
    return (paced, claimed) if beyond is None else beyond


def _fitted(call: Call, holds: tuple[Hold, ...], fit: Fit | None) -> Call | Refusal:
    """The call within what was granted; a refusal where it cannot be brought under that."""
    if fit is None:
        return call
    try:
        return fit(call, holds)
    except Refused as refused:
        return Refusal(Reason.BUDGET_EXHAUSTED, 403, refused.detail, refused.rule or "budget", advice=refused.advice)


def _redacted(call: Call, fields: tuple[Changed, ...], redact: Redact, spoke: tuple[Spoke, ...]) -> Call | Refusal:
    """The call with its fields masked, before anybody is asked and anything counted, since it may not be possible."""
    changing = (said for said in spoke if (said.fields or said.treats) and said.mode is Mode.ENFORCE)
    rule = next(f"{said.policy}/{said.rule}" for said in changing)
    if call.parts:
        what, advice = "rules mask fields of this call, which is not done in a batch", "send the calls one by one"
        return Refusal(Reason.REDACTION_FAILED, 403, what, rule, advice=advice)
    try:
        return redact(call, fields)
    except Refused as refused:
        return Refusal(refused.reason, refused.status, refused.detail, rule, advice=refused.advice)


_Found = tuple[Refusal | None, tuple[Spoke, ...], str, list[Question], tuple[Changed, ...]]


def _checked(call: Call, checks: Sequence[Check]) -> _Found:
    """The first refusal, what was said until then, the grant, what people must be asked, and what is to be masked."""
    spoke: tuple[Spoke, ...] = ()
    fields: tuple[Changed, ...] = ()
    grant = ""
    questions: list[Question] = []
    for part in call.parts or (call,):
        for check in checks:
            judged = check.judge(part)
            if judged.spoke:
                spoke += judged.spoke
                fields += judged.fields
            if judged.refusal is not None:
                return judged.refusal, spoke, grant, questions, ()
            if judged.questions:
                questions += judged.questions
            grant = judged.grant or grant
    return None, spoke, grant, questions, fields


def _queue(paced: Paced, claimed: Claimed) -> Generator[Effect, Any, tuple[Refusal | None, tuple[Hold, ...]]]:
    """Wait in line for limits that wait and for places, but not for what would be refused at the end of it (an open
    circuit). A place is held from then on; the pipeline gives it back where the call goes no further."""
    claims = tuple([claim for _, claim in claimed])
    looked = not claims
    waited: tuple[Hold, ...] = ()
    for quota, claim in paced:
        # A token is gone once it is taken; a place is given back, so that only who has to wait for one looks first.
        if not looked and not isinstance(claim, PoolClaim):
            looked = True
            found: tuple[Hold, ...] = yield Look(claims)
            refusal = _refused(claimed, found)
            if refusal is not None:
                return refusal, found
        answer: Hold | tuple[Hold, ...] = yield Pace(claim, () if looked else claims)
        if isinstance(answer, tuple):
            return _refused(claimed, answer), (*waited, *answer)
        waited += (answer,)
        if not answer.granted:
            return quota.refusal(answer), waited
    return None, waited


def _refused(claimed: Claimed, holds: tuple[Hold, ...]) -> Refusal | None:
    for (quota, _), hold in zip(claimed, holds, strict=True):
        if not hold.granted:
            return quota.refusal(hold)
    return None


def _beyond(claims: Sequence[tuple[Quota, Claim]]) -> Refusal | None:
    """A batch with more calls than a limit ever lets through at once: waiting would not help."""
    for _, claim in claims:
        if isinstance(claim, RateClaim) and claim.cost > claim.capacity:
            return Refusal(
                Reason.RATE_LIMITED,
                429,
                f"the batch has {claim.cost:g} calls that limit {claim.guard!r} counts, which lets"
                f" {claim.capacity:g} through at once",
                f"limit/{claim.guard}",
                advice=f"send batches of at most {claim.capacity:g} such calls, or the calls one by one",
            )
    return None


def _with(refusal: Refusal, spoke: tuple[Spoke, ...], holds: tuple[Hold, ...], ruling: Ruling | None = None) -> Refusal:
    return Refusal(
        refusal.reason,
        refusal.status,
        refusal.detail,
        refusal.rule,
        refusal.retry_after,
        refusal.retryable,
        refusal.advice,
        spoke,
        holds,
        refusal.fields,
        refusal.quarantine,
        refusal.seconds,
        ruling,
        refusal.changes,
    )


def _unapproved(question: Question, answer: object) -> Refusal:
    """Nobody approved: by a ruling that says why, or since there is nobody to ask."""
    if isinstance(answer, Ruling):
        detail = answer.message or question.text
        return Refusal(answer.reason, answer.status, detail, question.rule, advice=answer.advice, fields=answer.fields)
    return Refusal(
        Reason.APPROVAL_REQUIRED,
        403,
        question.text,
        question.rule,
        advice="a person must approve this call; do not repeat it as it is",
    )
