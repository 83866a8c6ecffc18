"""Memories that agents share: nobody overwrites what has changed since he saw it, nor what he has not seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from gateway.coherence.differences import difference
from gateway.coherence.late import Late
from gateway.coherence.merging import merged
from gateway.coherence.steps import LAG
from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import Call, Change, Glance, How, Mode, Question, Reason, Refusal, Spoke, Verdict

ADVICE = "read it again, work your change into what stands there now, then write that; do not repeat this call as it is"
_LONGEST = 200
"""Characters of a key that are told."""
_MOST_TOLD = 5
"""Changes that a refusal tells of."""


class Conflicts:
    """A check: judges a write by what the call found at the keys that it writes (``Call.glances``)."""

    def __init__(
        self,
        memories: Mapping[str, str],
        unread: Mapping[str, str],
        *,
        shows: bool = True,
        refusing: Collection[str] = (),
    ) -> None:
        """By name of the memory, what becomes of a stale write (refuse, ask, merge, warn), and of one by a run that has
        not read what it writes (refuse, allow). ``shows``: what others wrote may be shown; not where rules look
        through what the memory answers, since one agent may see less of it than another. ``refusing``: memories of
        which answers are refused that are older than what the run has seen."""
        self._memories, self._unread, self._shows, self._refusing = memories, unread, shows, frozenset(refusing)

    def judge(self, call: Call) -> Judgement:
        """A refusal, a question to people, or a warning."""
        stale: list[Glance] = []
        spoke: tuple[Spoke, ...] = ()
        for glance in call.glances:
            if not glance.touch.writes:
                continue
            if glance.merged:
                spoke += (_spoke(glance, Verdict.WARN, _told_merged(glance)),)
            elif glance.stale:
                stale.append(glance)
            elif self._blind(glance):
                return Judgement(_unread(glance))
        if stale:
            return self._stale(call, stale)
        return Judgement(spoke=spoke) if spoke else NOTHING

    def _blind(self, glance: Glance) -> bool:
        """Whether it is a write of what its run has not read, and nothing else keeps that from being lost."""
        return glance.unread and not glance.touch.guarded and self._unread.get(glance.touch.memory) != "allow"

    @property
    def asks(self) -> bool:
        """Whether people are asked about stale writes of some memory."""
        return "ask" in self._memories.values()

    def refuses_late(self, call: Call) -> bool:
        """Whether the call reads what may not be older than what its run has seen."""
        return any(glance.touch.memory in self._refusing for glance in call.glances)

    def refuses(self, found: Sequence[Late], now: float) -> Refusal | None:
        """The refusal of an answer that shows these keys in an earlier state."""
        first = next((one for one in found if one.goes_back and one.glance.touch.memory in self._refusing), None)
        if first is None:
            return None
        rule, wait = f"memory/{first.glance.touch.memory}", max(0.1, first.newest.at + LAG - now)
        text = f"the answer shows {_named(first.glance)} older than this run has seen it"
        return Refusal(Reason.MEMORY_STALE, 503, text, rule, wait, True, "read it again in a moment")

    def only_warns(self, writes: Sequence[Glance]) -> bool:
        """Whether these may be written whatever else becomes of them meanwhile."""
        return all(self._memories.get(glance.touch.memory) == "warn" for glance in writes)

    def merges(self, glance: Glance) -> bool:
        """Whether a stale write there is to be merged with what has changed."""
        return glance.stale and self._memories.get(glance.touch.memory) == "merge"

    def merge(self, glance: Glance, ours: str | None) -> tuple[Glance, str | None]:
        """The write of ``ours`` merged with what has changed since its run has read it: what the call then finds, and
        the text to write; None where the two clash, or one of the texts is not known. Then it is stale as before."""
        base, theirs = self._texts(glance)
        if ours is None or base is None or theirs is None:
            return structs.replace(glance, clash="what was read, or what stands there, is not known as text"), None
        found = merged(base, ours, theirs)
        if found.text is None:
            shown = found.clash if self._shows else "both have changed the same"
            return structs.replace(glance, clash=shown), None
        return structs.replace(glance, merged=_by(glance), ours=ours), found.text

    def _stale(self, call: Call, stale: Sequence[Glance]) -> Judgement:
        """By the strictest word of their memories."""
        ways = [self._memories.get(glance.touch.memory, "refuse") for glance in stale]
        first = next((one for one, way in zip(stale, ways, strict=True) if way not in ("ask", "warn")), None)
        if first is None:
            asked = [one for one, way in zip(stale, ways, strict=True) if way == "ask"]
            return self._asked(asked, call.at) if asked else _warned(stale, call.at)
        told = tuple([self._told(glance, call.at) for glance in stale[:_MOST_TOLD]])
        memory, text = first.touch.memory, what_changed(first, call.at)
        if first.clash:
            text = f"{text}; the two could not be merged"
        return Judgement(Refusal(Reason.MEMORY_STALE, 412, text, f"memory/{memory}", advice=ADVICE, changes=told))

    def _asked(self, stale: Sequence[Glance], now: float) -> Judgement:
        questions, spoke = [], []
        for glance in stale:
            text, memory = what_changed(glance, now), glance.touch.memory
            read = tuple([(("memory", (name,)), value) for name, value in self._told(glance, now).items() if value])
            questions.append(Question(f"memory/{memory}", f"{text}; this call would overwrite that", read))
            spoke.append(_spoke(glance, Verdict.APPROVE, text))
        return Judgement(questions=tuple(questions), spoke=tuple(spoke))

    def _told(self, glance: Glance, now: float) -> dict[str, Any]:
        """What has changed, as members of an answer."""
        touch = glance.touch
        told: dict[str, Any] = {"memory": touch.memory, "key": _plain(touch.key)}
        if glance.standing is None:
            return {**told, "how": "forgotten", "changed_by": None, "changed_at": None, "difference": None}
        newest = glance.standing.newest
        before, after = self._texts(glance)
        shown = None if before is None or after is None else difference(before, after)
        if glance.clash:
            told["clash"] = glance.clash
        return {
            **told,
            "how": newest.how.value,
            "changed_by": newest.agent or None,
            "run": _plain(newest.run) or None,
            "changed_at": _moment(newest.at),
            "seconds_ago": _ago(newest, now),
            "difference": shown,
        }

    def _texts(self, glance: Glance) -> tuple[str | None, str | None]:
        """What the run has seen, and what stands, where both are known and may be shown to it."""
        if not self._shows or glance.standing is None or glance.seen is None or not glance.seen.whole:
            return None, None
        newest, seen = glance.standing.newest, glance.standing.find(glance.seen.change)
        if newest.how in (How.DELETED, How.UNKNOWN):
            return None, None
        if glance.seen.sent is not None:
            return glance.seen.sent, newest.text
        return (None, None) if seen is None else (seen.text, newest.text)


def what_changed(glance: Glance, now: float) -> str:
    """What a stale write would overwrite, in a sentence; ``now`` in seconds since the epoch."""
    named = _named(glance)
    if glance.standing is None:
        return f"it is not known any more how {named} stands"
    newest = glance.standing.newest
    ago = _ago(newest, now)
    when = "" if ago is None else f" {ago:g} s ago"
    if newest.how is How.UNKNOWN:
        return f"{_by(glance)} wrote {named}{when}, and nobody knows whether that has been carried out"
    did = "deleted" if newest.how is How.DELETED else "changed"
    if newest.how is How.FOUND or not newest.agent:
        return f"{named} has been {did} past the gateway since this run read it (found{when})"
    return f"{named} has been {did} by {_by(glance)}{when}, after this run read it"


def _by(glance: Glance) -> str:
    newest = None if glance.standing is None else glance.standing.newest
    return (newest.agent if newest is not None else "") or "somebody past the gateway"


def _ago(change: Change, now: float) -> float | None:
    return round(max(0.0, now - change.at), 1) if change.at and now else None


def _moment(at: float) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds") if at else None


def _named(glance: Glance) -> str:
    return f"{glance.touch.memory}/{_plain(glance.touch.key)}"


def _plain(text: str) -> str:
    """What an agent chose, as it can be told."""
    return text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")


def _warned(stale: Sequence[Glance], now: float) -> Judgement:
    said = [f"{what_changed(glance, now)}; this call has overwritten that" for glance in stale]
    pairs = zip(stale, said, strict=True)
    return Judgement(spoke=tuple([_spoke(glance, Verdict.WARN, text) for glance, text in pairs]))


def _told_merged(glance: Glance) -> str:
    return f"{_named(glance)} was merged with a change of {glance.merged}: read it again to know what stands there"


def _spoke(glance: Glance, verdict: Verdict, text: str) -> Spoke:
    return Spoke("memory", glance.touch.memory, verdict, Mode.ENFORCE, text)


def _unread(glance: Glance) -> Refusal:
    memory = glance.touch.memory
    text = f"this run has not read {_named(glance)}, which it would overwrite"
    return Refusal(Reason.MEMORY_UNREAD, 428, text, f"memory/{memory}", advice="read it first, then write")
