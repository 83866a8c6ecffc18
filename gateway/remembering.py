"""Shared memories on the way of a call: what it finds at the keys it touches, its write claimed, its answer learnt.

See ``coherence/steps.py`` for what makes this sound.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from msgspec import structs

from gateway.coherence.shape import MemoryMap
from gateway.effects import Await, Effect
from gateway.errors import BusyError, MovedError, Refused, StoreUnavailable, refusal_of
from gateway.means import Means
from gateway.model import Answered, Call, Change, Decision, Glance, How, Learnt, Outcome, Permit, Reason, Refusal
from gateway.story import Story
from gateway.street import Street

LONGEST_WRITE = 600.0
"""Seconds after which a write without a bound of its own counts as gone."""
_MARGIN = 10.0


def remembered(means: Means, street: Street, call: Call, story: Story) -> Generator[Effect, Any, Call]:
    """The call with what it finds at the keys that it touches, and what has changed of all that its run has seen.

    Raises:
        Refused: the key of a write cannot be told, or what stands cannot be known now.
    """
    if means.coherence is None:
        return call
    parts: list[Call] = []
    for part in call.parts:
        looked = yield from _looked(means, street, part)
        parts.append(looked)
    call = yield from _looked(means, street, structs.replace(call, parts=tuple(parts)))
    if parts:
        glances = tuple([glance for part in parts for glance in part.glances])
        call = structs.replace(call, glances=glances, edition=min(part.edition for part in parts))
    story.call = call
    return call


def _looked(means: Means, street: Street, call: Call) -> Generator[Effect, Any, Call]:
    coherence, memory = means.coherence, street.memory
    touches = memory.touches(call) if memory is not None and not call.parts else ()
    hears = memory is not None and memory.hears(call)
    if coherence is None or not (touches or hears or street.drifts):
        return call
    edition, glances = 0, ()
    try:
        if touches or hears:
            edition, glances = yield Await(coherence.glance(call, touches), call)
        drift = (yield Await(coherence.drift(call), call)) if street.drifts else ()
    except StoreUnavailable as error:
        raise Refused(Reason.STATE_UNAVAILABLE, 503, f"what memories hold cannot be known now: {error}") from None
    drifted = tuple([f"{memory}/{key}" for memory, key in drift])
    return structs.replace(call, glances=glances, edition=edition, drift=drifted)


def writes_of(call: Call) -> tuple[Glance, ...]:
    """What the call is about to write."""
    return tuple([glance for glance in call.glances if glance.touch.writes])


def claim_writes(means: Means, street: Street, permit: Permit, story: Story) -> Generator[Effect, Any, Decision]:
    """Begin the write, now that nothing else stands in the way but people's approval: only where it stands as it was
    decided upon, and nobody else writes."""
    if means.coherence is None or street.memory is None:
        return permit
    if permit.ruling is not None and permit.ruling.edited is not None:
        again = yield from _anew(means, street, permit)
        if isinstance(again, Refusal):
            return again
        permit = again
    writes = writes_of(permit.call)
    if not writes:
        return permit
    timeouts = permit.call.tool.timeouts
    seconds = (timeouts.total or LONGEST_WRITE) + timeouts.connect + _MARGIN
    try:
        yield Await(story.write(means.coherence.claim(permit.call, writes, seconds), writes), permit.call)
    except (BusyError, MovedError) as error:
        return _overtaken(permit, error)
    except StoreUnavailable as error:
        text = f"whether somebody else writes cannot be known now: {error}"
        return _refused(permit, Refusal(Reason.STATE_UNAVAILABLE, 503, text, retry_after=1, retryable=True))
    except Refused as refused:
        return _refused(permit, refusal_of(refused))
    return permit


def _anew(means: Means, street: Street, permit: Permit) -> Generator[Effect, Any, Permit | Refusal]:
    """A person has put other arguments in: they may be about other keys."""
    edited = permit.ruling.edited if permit.ruling is not None else None
    try:
        looked = yield from _looked(means, street, structs.replace(permit.call, args=edited))
    except Refused as refused:
        return _refused(permit, refusal_of(refused))
    if street.conflicts is not None:
        before = {glance.touch.place for glance in writes_of(permit.call)}
        new = tuple([glance for glance in looked.glances if glance.touch.place not in before])
        judged = street.conflicts.judge(structs.replace(looked, glances=new))
        if judged.refusal is not None:
            return _refused(permit, judged.refusal)
    return structs.replace(permit, call=structs.replace(permit.call, glances=looked.glances))


def _overtaken(permit: Permit, error: Exception) -> Decision:
    if isinstance(error, BusyError):
        text, advice = f"{error} is being written by another call", "wait a moment, read it again, then write"
    else:
        text, advice = f"{error} was changed while this call was on its way", "read it again, then write"
    return _refused(permit, Refusal(Reason.MEMORY_STALE, 412, text, f"memory/{permit.call.tool.name}", advice=advice))


def _refused(permit: Permit, refusal: Refusal) -> Refusal:
    return structs.replace(refusal, spoke=permit.spoke, holds=permit.holds, ruling=permit.ruling)


def hearing(means: Means, street: Street, permit: Permit, answered: Answered, story: Story) -> Any:
    """What is to be told of the answer's body once the agent has it; None where nothing is learnt from it."""
    call, memory = permit.call, street.memory
    if memory is None or means.coherence is None or not memory.hears(call):
        return None
    return partial(_heard, means, street, call, answered, story)


def _heard(means: Means, street: Street, call: Call, answered: Answered, story: Story, body: bytes | None) -> None:
    if street.memory is not None and (story.writing or street.memory.creates(call)):
        story.heard = body
    else:
        learn(means, street, call, answered, body)


def learn(means: Means, street: Street, call: Call, answered: Answered, body: bytes | None) -> None:
    """Know what a read's answer tells."""
    if means.coherence is None or street.memory is None:
        return
    learnt = street.memory.learnt(call, answered, body)
    if learnt:
        means.coherence.learn(call, call.glances, learnt, Change(call.id, How.FOUND, at=means.wall()))


def settle_writes(means: Means, memory: MemoryMap, story: Story, outcome: Outcome) -> None:
    """A write has ended, one way or the other; also one of which only the answer tells what was written."""
    call, coherence = story.call, means.coherence
    if call is None or coherence is None or not (story.writing or memory.creates(call)):
        return
    how = None
    if story.sent and not outcome.unsent:
        how = memory.wrote(call, story.answered, outcome, story.heard)
    if how is None:
        coherence.release(call, story.writing)
        return
    made: tuple[Learnt, ...] = ()
    if how is not How.UNKNOWN and story.answered is not None:
        made = memory.made(call, story.answered, story.heard)
    change = Change(call.id, how, call.agent.id, call.run.id, means.wall(), labels=means.runs.labels(call.tree))
    coherence.settle(call, story.writing, change, made)
