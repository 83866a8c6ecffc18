"""People on the way of a call: what they are asked, what they may put into it, and what they approved, taken once."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from msgspec import structs

from gateway.decide.approvals import Asks
from gateway.decide.engine import AskHuman, unedited
from gateway.effects import Await, Effect
from gateway.errors import Refused, StoreUnavailable, refusal_of
from gateway.means import Means
from gateway.model import Call, Decision, Permit, Petition, Reason, Refusal, Ruling, Verdict
from gateway.story import Story
from gateway.street import Street
from gateway.understand.intents import with_intent
from gateway.understand.petitions import Unbound, petition_of


def ask(means: Means, effect: AskHuman, street: Street, story: Story) -> Generator[Effect, Any, Ruling | None]:
    """What a person says of the call. It waits here, before any counter, for as long as its terms say."""
    if street.asks is None or means.desk is None:
        return None
    call, body = effect.call, story.body if story.body is not None else story.raw
    try:
        petition = _petition(means, effect, street, street.asks, body)
    except Unbound as unbound:
        return Ruling(False, message=f"a person must approve this call, and cannot: {unbound}")
    began, queued = means.clock(), story.queued
    try:
        pulse = street.pulse(call, body) if street.pulse is not None else None
        ruling: Ruling = yield from means.wait(story, means.desk.ask(call, petition), pulse)
    finally:
        story.asked += means.clock() - began
        story.queued = queued
    if street.page is not None and ruling.reason is Reason.APPROVAL_PENDING and ruling.approval:
        return structs.replace(ruling, url=street.page(call, body, ruling.approval))
    return ruling


def edited(street: Street, story: Story, call: Call, args: Mapping[str, Any]) -> Call:
    """The call with other arguments, and what guards read of it made anew."""
    if street.edit is None:
        return unedited(call, args)
    body = story.body if story.body is not None else story.raw
    changed = street.edit(call, args, body)
    return with_intent(changed, changed.body) if street.compares else changed


def claim(means: Means, permit: Permit, ruling: Ruling, story: Story) -> Generator[Effect, Any, Decision]:
    """Take what a person approved, now that nothing else stands in the way: once, whoever else makes the call."""
    if means.desk is None:
        raise TypeError("an approval without a desk")
    try:
        if (yield Await(story.claim(means.desk.claim(ruling, story.ident), ruling), permit.call)):
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


def _petition(means: Means, effect: AskHuman, street: Street, asks: Asks, body: bytes | None) -> Petition:
    call = effect.call
    return petition_of(
        call,
        effect.questions,
        body,
        means.version,
        asks.terms(call, effect.questions),
        means.ignored,
        editable=_editable(call, street, body),
        answerable=street.answers is not None and not call.parts and street.answers(call),
    )


def _editable(call: Call, street: Street, body: bytes | None) -> bool:
    """Whether the call can be put together again from its arguments, and so from others."""
    if street.edit is None or call.parts:
        return False
    try:
        street.edit(call, call.args, body)
    except Refused:
        return False
    return True


def _asking(permit: Permit) -> str:
    """The first rule that asked."""
    asks = (said for said in permit.spoke if said.verdict is Verdict.APPROVE)
    return next((f"{said.policy}/{said.rule}" for said in asks), "pins")


__all__ = ["ask", "claim", "edited"]
