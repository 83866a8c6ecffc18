"""Memories that agents share: nobody overwrites what has changed since he saw it, nor what he has not seen."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import Call, Glance, Mode, Question, Reason, Refusal, Spoke, Verdict

ADVICE = "read it again, work your change into what stands there now, then write that; do not repeat this call as it is"


class Conflicts:
    """A check: judges a write by what the call found at the keys that it writes (``Call.glances``)."""

    def __init__(self, memories: Mapping[str, str], unread: Mapping[str, str]) -> None:
        """By name of the memory, what becomes of a stale write (refuse, ask, merge, warn), and of one by a run that has
        not read what it writes (refuse, allow)."""
        self._memories, self._unread = memories, unread

    def judge(self, call: Call) -> Judgement:
        """A refusal, a question to people, or a warning."""
        for glance in call.glances:
            if not glance.touch.writes:
                continue
            if glance.stale:
                return self._stale(glance)
            if glance.unread and self._unread.get(glance.touch.memory, "refuse") == "refuse":
                return Judgement(_unread(glance))
        return NOTHING

    def _stale(self, glance: Glance) -> Judgement:
        memory = glance.touch.memory
        way = self._memories.get(memory, "refuse")
        text = what_changed(glance)
        if way == "ask":
            return Judgement(questions=(Question(text, f"memory/{memory}"),))
        if way == "warn":
            return Judgement(spoke=(Spoke("memory", memory, Verdict.WARN, Mode.ENFORCE, text),))
        return Judgement(Refusal(Reason.MEMORY_STALE, 412, text, f"memory/{memory}", advice=ADVICE))


def what_changed(glance: Glance) -> str:
    """What a stale write would overwrite, in a sentence."""
    touch, standing = glance.touch, glance.standing
    if standing is None:
        return f"it is not known any more how {touch.memory}/{touch.key} stands; read it again"
    by = standing.newest.agent or "somebody past the gateway"
    return f"{touch.memory}/{touch.key} has been changed by {by} since this run has read it"


def _unread(glance: Glance) -> Refusal:
    touch = glance.touch
    text = f"this run has not read {touch.memory}/{touch.key}, which it would overwrite"
    return Refusal(Reason.MEMORY_UNREAD, 428, text, f"memory/{touch.memory}", advice="read it first, then write")
