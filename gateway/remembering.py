"""Shared memories on the way of a call: what it finds at the keys it touches, its write claimed, its answer learnt.

See ``coherence/steps.py`` for what makes this sound.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

from msgspec import structs

from gateway.coherence.again import again_of
from gateway.coherence.late import Late, late, may_be_late, version_of
from gateway.coherence.shape import MemoryMap
from gateway.decide.conflicts import Conflicts
from gateway.effects import Await, Effect
from gateway.errors import BusyError, MovedError, Refused, StoreUnavailable, refusal_of
from gateway.flow.listening import Learns
from gateway.means import Means
from gateway.model import (
    Answered,
    Call,
    Change,
    Decision,
    Glance,
    How,
    Learnt,
    Outcome,
    Permit,
    Reason,
    Recalled,
    Refusal,
    Verdict,
)
from gateway.revalidating import revalidated
from gateway.story import Story
from gateway.street import Street

ENDED = Outcome(0)
"""Of a call whose answer is there."""
LONGEST_WRITE = 120.0
"""Seconds after which a write without a bound of its own counts as gone."""
_MARGIN = 10.0
MOST_RECALLED = 20
"""Keys of one call that its record tells of."""


def remembered(means: Means, street: Street, call: Call, story: Story) -> Generator[Effect, Any, Call]:
    """The call with what it finds at the keys that it touches, and what has changed of all that its run has seen.

    Raises:
        Refused: the key of a write cannot be told, or what stands cannot be known now.
    """
    if means.coherence is None:
        return call
    parts: list[Call] = []
    for part in call.parts:
        looked = yield from _looked(means, street, part, story)
        parts.append(looked)
    call = yield from _looked(means, street, structs.replace(call, parts=tuple(parts)), story)
    if street.conflicts is not None and not parts:
        call = _merged(street, street.conflicts, call, story)
    if parts:
        glances = tuple([glance for part in parts for glance in part.glances])
        call = structs.replace(call, glances=glances, edition=min(part.edition for part in parts))
    story.call = call
    return call


def _looked(means: Means, street: Street, call: Call, story: Story) -> Generator[Effect, Any, Call]:
    coherence, memory = means.coherence, street.memory
    touches = memory.touches(call) if memory is not None and not call.parts else ()
    hears = memory is not None and memory.hears(call)
    if coherence is None or not (touches or hears or street.drifts):
        return call
    edition, glances = 0, ()
    changed: tuple[tuple[str, str], ...] = ()
    unverified = changed
    try:
        if touches or hears:
            edition, glances = yield Await(coherence.glance(call, touches), call)
        if street.drift is not None:
            changed, unverified = yield from revalidated(means, street, call, story)
        drift = (yield Await(coherence.drift(call), call)) if street.drifts else None
    except StoreUnavailable as error:
        raise Refused(Reason.STATE_UNAVAILABLE, 503, f"what memories hold cannot be known now: {error}") from None
    if drift is not None:
        call = structs.replace(call, drift=_named([*drift, *changed]), unverified=_named(unverified))
    return structs.replace(call, glances=glances, edition=edition, at=call.at or means.wall())


def _named(places: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple([f"{memory}/{key}" for memory, key in dict.fromkeys(places)])


def _merged(street: Street, conflicts: Conflicts, call: Call, story: Story) -> Call:
    """The call with a stale write merged with what has changed since, where its memory wants that and it can be done;
    rules then judge what the tool gets."""
    writes, memory = writes_of(call), street.memory
    if memory is None or len(writes) != 1 or not conflicts.merges(writes[0]):
        return call
    ours = memory.ours(call)
    glance, text = conflicts.merge(writes[0], ours)
    if text is not None and text != ours:
        try:
            call = _rewritten(street, memory, call, text, story)
        except Refused as refused:
            glance = structs.replace(writes[0], clash=f"the merged text cannot be put into the call: {refused.detail}")
    if glance.merged:
        call = structs.replace(call, amendments=(*call.amendments, f"memory: merged with a change of {glance.merged}"))
    glances = tuple([glance if each is writes[0] else each for each in call.glances])
    return structs.replace(call, glances=glances)


def _rewritten(street: Street, memory: MemoryMap, call: Call, text: str, story: Story) -> Call:
    args = memory.rewritten(call, text)
    if args is None or street.edit is None:
        raise Refused(Reason.MEMORY_STALE, 412, "there is no place for it")
    body = story.body if story.body is not None else story.raw
    return structs.replace(street.edit(call, args, body), amendments=call.amendments)


def writes_of(call: Call) -> tuple[Glance, ...]:
    """What the call is about to write."""
    return tuple([glance for glance in call.glances if glance.touch.writes])


def claim_writes(means: Means, street: Street, permit: Permit, story: Story) -> Generator[Effect, Any, Decision]:
    """Begin the write, now that nothing else stands in the way but people's approval: only where it stands as it was
    decided upon, and nobody else writes."""
    if means.coherence is None or street.memory is None:
        return permit
    if permit.ruling is not None and permit.ruling.edited is not None:
        again = yield from _anew(means, street, permit, story)
        if isinstance(again, Refusal):
            return again
        permit = again
    writes = writes_of(permit.call)
    if not writes:
        return permit
    timeouts = permit.call.tool.timeouts
    seconds = (timeouts.total or max(LONGEST_WRITE, timeouts.first_byte * 2)) + timeouts.connect + _MARGIN
    try:
        yield Await(story.write(means.coherence.claim(permit.call, writes, seconds), writes), permit.call)
    except (BusyError, MovedError) as error:
        if street.conflicts is None or not street.conflicts.only_warns(writes):
            return _overtaken(permit, error)
        story.writing = writes
    except StoreUnavailable as error:
        text = f"whether somebody else writes cannot be known now: {error}"
        return _refused(permit, Refusal(Reason.STATE_UNAVAILABLE, 503, text, retry_after=1, retryable=True))
    except Refused as refused:
        return _refused(permit, refusal_of(refused))
    return permit


def _anew(means: Means, street: Street, permit: Permit, story: Story) -> Generator[Effect, Any, Permit | Refusal]:
    """A person has put other arguments in: they may be about other keys."""
    edited = permit.ruling.edited if permit.ruling is not None else None
    try:
        looked = yield from _looked(means, street, structs.replace(permit.call, args=edited), story)
    except Refused as refused:
        return _refused(permit, refusal_of(refused))
    before = {glance.touch.place: glance for glance in writes_of(permit.call)}
    if street.conflicts is not None:
        new = tuple([glance for glance in looked.glances if glance.touch.place not in before])
        judged = street.conflicts.judge(structs.replace(looked, glances=new))
        if judged.refusal is not None:
            return _refused(permit, judged.refusal)
    # what people saw of a key stays what the write is based on
    glances = tuple([before.get(glance.touch.place, glance) for glance in looked.glances])
    return structs.replace(permit, call=structs.replace(permit.call, glances=glances))


def _overtaken(permit: Permit, error: Exception) -> Decision:
    if isinstance(error, BusyError):
        text, advice = f"{error} is being written by another call", "wait a moment, read it again, then write"
    else:
        text, advice = f"{error} was changed while this call was on its way", "read it again, then write"
    return _refused(permit, Refusal(Reason.MEMORY_STALE, 412, text, f"memory/{permit.call.tool.name}", advice=advice))


def _refused(permit: Permit, refusal: Refusal) -> Refusal:
    return structs.replace(refusal, spoke=permit.spoke, holds=permit.holds, ruling=permit.ruling)


def hearing(means: Means, street: Street, permit: Permit, answered: Answered, story: Story) -> Learns | None:
    """What is to be told of the answer's body when the agent gets the end of it; None where nothing is learnt from
    it."""
    call, memory = permit.call, street.memory
    if memory is None or means.coherence is None or not memory.hears(call):
        return None
    return partial(_heard, means, street, call, answered, story)


def _heard(
    means: Means, street: Street, call: Call, answered: Answered, story: Story, body: bytes | None, ended: bool
) -> bool:
    memory = street.memory
    if memory is None or not (ended or (body is not None and memory.ends(call, answered, body))):
        return False
    if story.writing or memory.creates(call):
        story.heard = body
        settle_writes(means, memory, story)
    else:
        learn(means, street, call, answered, body, story)
    return True


def learn(means: Means, street: Street, call: Call, answered: Answered, body: bytes | None, story: Story) -> None:
    """Know what a read's answer tells. What was stored there by a run with labels marks this one too."""
    if means.coherence is None or street.memory is None:
        return
    learnt = street.memory.learnt(call, answered, body)
    if not learnt:
        return
    if means.revalidation is not None and (again := again_of(call, answered)):
        learnt = tuple([structs.replace(one, again=again) for one in learnt])
    now = means.wall()
    behind = {one.glance.touch.place for one in late(call, learnt, now)}
    change = Change(call.id, How.FOUND, at=now)
    means.coherence.learn(call, call.glances, learnt, change, partial(_mark, means, call))
    for one in learnt[:MOST_RECALLED]:
        how = "late" if one.place in behind else "gone" if one.gone else "read"
        story.recalled += (Recalled(one.place, how, version_of(one)),)


def labelled(call: Call, answered: Answered) -> Answered:
    """The answer with the labels of who wrote what the call reads, as far as that is known before it is read."""
    stored = [label for one in call.glances if not one.touch.writes for label in _labels(one)]
    return structs.replace(answered, labels=tuple(dict.fromkeys([*answered.labels, *stored]))) if stored else answered


def _labels(glance: Glance) -> tuple[str, ...]:
    return glance.labels if glance.standing is None else glance.standing.newest.labels


def _mark(means: Means, call: Call, labels: tuple[str, ...]) -> None:
    means.runs.mark(call.tree, labels)
    if call.flow is not None:
        call.flow.mark(labels)


def late_in(means: Means, street: Street, call: Call, answered: Answered, body: bytes | None) -> tuple[Late, ...]:
    """The keys that an answer's head, and its body where there is all of it, shows in an older state than is known."""
    now = means.wall()
    if street.memory is None or not may_be_late(call, now):
        return ()
    return late(call, street.memory.learnt(call, answered, body), now)


def refused_late(means: Means, street: Street, story: Story, found: tuple[Late, ...]) -> Refusal | None:
    """The refusal of such an answer, where its memory wants that."""
    refusal = None if street.conflicts is None else street.conflicts.refuses(found, means.wall())
    if refusal is not None:
        story.recalled += tuple([Recalled(one.glance.touch.place, "late") for one in found])
    return refusal


def waits_for_all(means: Means, street: Street, permit: Permit) -> bool:
    """Whether nothing of the answer may pass before all of it is there: it may be older than what the run has seen, or
    something is to be put into it."""
    call, conflicts = permit.call, street.conflicts
    if conflicts is None:
        return False
    return bool(notes_of(permit)) or (conflicts.refuses_late(call) and may_be_late(call, means.wall()))


def notes_of(permit: Permit) -> tuple[str, ...]:
    """What a model must be told of a write over MCP, whose clients show it no header fields."""
    if not permit.call.glances or permit.call.tool.protocol != "mcp" or permit.call.parts:
        return ()
    said = [one for one in permit.spoke if one.policy == "memory" and one.verdict is Verdict.WARN]
    return tuple([one.message for one in said if one.rule in {glance.touch.memory for glance in permit.call.glances}])


def settle_writes(means: Means, memory: MemoryMap, story: Story, outcome: Outcome = ENDED) -> None:
    """A write has ended, one way or the other; also one of which only the answer tells what was written. Once."""
    call, coherence = story.call, means.coherence
    if call is None or coherence is None or story.settled or not (story.writing or memory.creates(call)):
        return
    story.settled = True
    how = None
    if story.sent and not outcome.unsent:
        how = memory.wrote(call, story.answered, outcome, story.heard)
    if how is None:
        coherence.release(call, story.writing)
        return
    made: tuple[Learnt, ...] = ()
    if how not in (How.UNKNOWN, How.FOUND) and story.answered is not None:
        made = memory.made(call, story.answered, story.heard)
    by = ("", "") if how is How.FOUND else (call.agent.id, call.run.id)
    change = Change(call.id, how, *by, means.wall(), labels=() if how is How.FOUND else _origin(means, call))
    coherence.settle(call, story.writing, change, made)
    versions = {one.place: version_of(one) for one in made[:MOST_RECALLED]}
    places = dict.fromkeys([*[glance.touch.place for glance in story.writing], *versions])
    told = "refused" if how is How.FOUND else how.value
    story.recalled = tuple([Recalled(place, told, versions.get(place, "")) for place in places])


def _origin(means: Means, call: Call) -> tuple[str, ...]:
    """What is stored with what the call writes: the labels of its run. That something may be trusted, or known to all,
    nobody can pass on by copying it."""
    told = () if call.flow is None else call.flow.labels
    return tuple([one for one in dict.fromkeys([*means.runs.labels(call.tree), *told]) if one not in _NOT_STORED])


_NOT_STORED = frozenset({"trusted", "public"})
