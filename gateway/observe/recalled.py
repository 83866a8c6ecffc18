"""What a call did with memories that agents share, for its record."""

from __future__ import annotations

from typing import Any

from gateway.model import Glance, How, Recalled, Trace

MOST = 20
"""Keys of a call that are told of."""
_LONGEST = 512
LOOKUP, WRITE, TOOL_CALL = "memory_lookup", "memory_write", "tool_call"
"""Kinds of steps."""
AGAIN = frozenset(("verified", "changed", "unverified"))
"""What came of a key that the gateway itself has asked for again."""
_WRITES = frozenset((How.WRITTEN.value, How.DELETED.value, How.UNKNOWN.value, "refused"))


def recalled(trace: Trace) -> list[dict[str, Any]]:
    """Each key: ``memory, key, does`` (read, write, delete, revalidate), ``found`` (how the call found it: new,
    current, stale, unread, merged), ``seen_s`` (seconds since its run saw it), ``changed_by``, ``came_of`` (read, gone,
    late, written, deleted, unknown, refused; verified, changed, unverified) and ``version``. What does not apply is
    null."""
    call = trace.call
    if call is None or not (call.glances or trace.recalled):
        return []
    came = {one.place: one for one in trace.recalled}
    found = [_touched(one, came.pop(one.touch.place, None), call.at) for one in call.glances[:MOST]]
    touched = {glance.touch.place for glance in call.glances}
    return [*found, *[_named(one) for one in came.values() if one.place not in touched]][:MOST]


def drifted(trace: Trace) -> list[str] | None:
    """``memory/key`` of what the run had seen, and had changed before this call; None where no rule asked for that."""
    if trace.call is None or trace.call.drift is None:
        return None
    return [name[:_LONGEST] for name in trace.call.drift[:MOST]]


def kind_of(trace: Trace) -> str | None:
    """What kind of step it is, where it touched a memory."""
    call = trace.call
    if call is None or not (call.glances or any(one.how not in AGAIN for one in trace.recalled)):
        return None
    wrote = any(one.touch.writes for one in call.glances) or any(one.how in _WRITES for one in trace.recalled)
    return WRITE if wrote else LOOKUP


def state_of(glance: Glance) -> str:
    """How a call found a key."""
    if glance.merged:
        return "merged"
    if glance.stale:
        return "stale"
    if glance.standing is None and glance.seen is None:
        return "new"
    return "unread" if glance.unread else "current"


def _touched(glance: Glance, came: Recalled | None, at: float) -> dict[str, Any]:
    touch = glance.touch
    return {
        "memory": touch.memory,
        "key": touch.key[:_LONGEST],
        "does": "delete" if touch.deletes else "write" if touch.writes else "read",
        "found": state_of(glance),
        "seen_s": None if glance.seen is None or not at else round(max(0.0, at - glance.seen.at), 3),
        "changed_by": None if glance.standing is None else glance.standing.newest.agent[:_LONGEST] or None,
        **_came(came),
    }


def _named(came: Recalled) -> dict[str, Any]:
    """A key that only the answer has named."""
    memory, key = came.place
    does = "delete" if came.how == How.DELETED else "write" if came.how in _WRITES else "read"
    if came.how in AGAIN:
        does = "revalidate"
    told = {"memory": memory, "key": key[:_LONGEST], "does": does, "found": None, "seen_s": None, "changed_by": None}
    return {**told, **_came(came)}


def _came(came: Recalled | None) -> dict[str, Any]:
    return {"came_of": None if came is None else came.how, "version": None if came is None else came.version or None}
