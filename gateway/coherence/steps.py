"""How what is known of a key goes from one state to the next: pure functions, taken by compare and set.

What makes it sound, whatever overlaps:
- A read is known by what stood when it *began*. Whatever was written while it was on its way makes it stale, unless
  its answer proves (by a version) that it is what stands now.
- One write of a key is under way at a time. It begins only where what its run has seen still stands (the validation of
  Kung and Robinson, 1981, with the writes of one key made serial), and when it ends, a change comes to stand that
  nobody else has seen.
- A write of which nobody knows what became is a change that nobody has seen, its own writer included.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from gateway.errors import BusyError, MovedError
from gateway.model import Change, Glance, How, Learnt, Seen, Standing

KEPT = 5
"""Changes of a key that are remembered: for what has changed since, and to tell an old version from a new one."""
LAG = 5.0
"""Seconds for which a version that is known to be older is taken for a slow replica of the store; after that, it stands
again."""


def found(now_stands: Standing | None, began: Glance | None, learnt: Learnt, change: Change) -> tuple[Standing, Seen]:
    """A read has ended: what stands now, and what its run has seen.

    ``began`` is what stood when the call came; None where nobody knows that any more, so that it may have been written
    meanwhile. ``change`` is what to note where it found something new (its id and time, no agent).
    """

    def seen(state: str) -> Seen:
        return Seen(state, change.at, learnt.whole, learnt.again)

    how = How.DELETED if learnt.gone else How.FOUND
    fresh = structs.replace(change, how=how, versions=dict(learnt.versions), text=learnt.text)
    if now_stands is None:
        if began is not None and began.standing is None:
            return Standing((fresh,)), seen(fresh.id)
        # what was written meanwhile is forgotten: what this read tells may be old, and is evidence of nothing
        return Standing((structs.replace(fresh, versions={}, text=None),)), seen("")
    newest = now_stands.newest
    same = alike(newest.versions, learnt.versions)
    if same and (newest.how is How.DELETED) == learnt.gone:
        return _richer(now_stands, learnt), seen(newest.id)
    before = "" if began is None or began.standing is None else began.standing.newest.id
    if began is None or before != newest.id or now_stands.writer:
        return now_stands, seen(before)
    older = older_than_known(began, learnt, change.at)
    if older is not None:
        return now_stands, seen(older.id)
    if same is None and (newest.how is How.DELETED) == learnt.gone:
        return _richer(now_stands, learnt), seen(newest.id)
    # what was found may be another view of what stood, or made of it
    return _changed(now_stands, structs.replace(fresh, labels=newest.labels)), seen(fresh.id)


def older_than_known(began: Glance, learnt: Learnt, now: float) -> Change | None:
    """The earlier state that an answer shows, although a newer one stood already when the read began: the answer of a
    replica of the store that lags behind. None for anything else."""
    standing = began.standing
    if standing is None or now - standing.newest.at >= LAG:
        return None
    same = alike(standing.newest.versions, learnt.versions)
    if same or (
        same is None and standing.newest.how is not How.UNKNOWN
    ):  # a write without evidence may bring text back
        return None
    return next((it for it in reversed(standing.changes[:-1]) if alike(it.versions, learnt.versions)), None)


def claimed(now_stands: Standing | None, glance: Glance, call: str, agent: str, now: float, until: float) -> Standing:
    """The call is about to write; ``glance`` is what it was decided upon.

    Raises:
        BusyError: somebody else is writing. The message is memory and key.
        MovedError: it stands otherwise by now; of a writer that has vanished, nobody knows what it did.
    """
    named = "/".join(glance.touch.place)
    if now_stands is not None and now_stands.writer:
        if now_stands.until > now:
            raise BusyError(named)
        raise MovedError(named)
    then = None if glance.standing is None else glance.standing.newest.id
    if (None if now_stands is None else now_stands.newest.id) != then:
        raise MovedError(named)
    changes = () if now_stands is None else now_stands.changes
    return Standing(changes or (_NOTHING,), call, agent, until)


def abandoned(now_stands: Standing, now: float) -> Standing:
    """What stands after a writer of which nothing was heard in time: a change that nobody has seen."""
    if not now_stands.writer or now_stands.until > now:
        return now_stands
    # an id of its own: should the writer end after all, that is another change, which nobody has seen either
    ident, labels = f"{now_stands.writer}?", now_stands.newest.labels
    lost = Change(ident, How.UNKNOWN, now_stands.writing, at=now_stands.until, labels=labels)
    return structs.replace(_changed(now_stands, lost), writer="", writing="", until=0.0)


def written(now_stands: Standing | None, glance: Glance | None, change: Change) -> tuple[Standing, Seen | None]:
    """A write has ended as ``change`` says (written, deleted, or unknown): what stands, and what its run has seen of it
    by that; None: it does not know what stands now.

    ``glance`` is what it was decided upon; None of a key that is new, and that only the answer has named. Also of a
    writer that was taken for gone: its write has come after all.
    """
    blind = structs.replace(change, how=How.UNKNOWN, versions={}, text=None)
    if now_stands is None:
        # its claim was forgotten, and with it whatever came after that; unless it never had one
        return (Standing((change,)), _knows(change, None)) if glance is None else (Standing((blind,)), None)
    own = now_stands.writer == change.id
    based = "" if glance is None or glance.standing is None else glance.standing.newest.id
    if own and now_stands.newest.id == based:
        standing, seen = _changed(now_stands, change), _knows(change, glance)
        if change.how is How.FOUND and glance is not None:
            seen = glance.seen  # the store refused it: what stands there, its run has yet to read
    else:  # others wrote meanwhile, and nobody knows in which order: what it made may be gone already
        standing, seen = _changed(now_stands, blind), None
    if own:
        standing = structs.replace(standing, writer="", writing="", until=0.0)
    if seen is not None and glance is not None and glance.merged:
        # its run knows what it sent, not what that was merged with
        seen = None if glance.seen is None else structs.replace(glance.seen, sent=glance.ours)
    return standing, seen


def with_evidence(change: Change, learnt: Learnt) -> Change:
    """A write with what its answer tells of the state that it has made."""
    return structs.replace(change, versions=dict(learnt.versions), text=learnt.text)


def _knows(change: Change, glance: Glance | None) -> Seen | None:
    again = "" if glance is None or glance.seen is None else glance.seen.again
    return None if change.how is How.UNKNOWN else Seen(change.id, change.at, again=again)


def unwritten(now_stands: Standing | None, call: str) -> Standing | None:
    """A write that never happened, for certain: what stands, where the call was the writer; None: nothing is left."""
    if now_stands is None or now_stands.writer != call:
        return now_stands
    if now_stands.changes == (_NOTHING,):
        return None
    return structs.replace(now_stands, writer="", writing="", until=0.0)


_NOTHING = Change("", How.DELETED)
"""Stands where nothing is known of a key that is being written."""


_NO_PROOF = frozenset({"strong", "last-modified"})
"""Kinds of versions that tell apart where they differ, and prove nothing where they are the same: a strong ETag that
its memory does not trust alone (else it is an ``etag`` too), and a time in seconds."""


def alike(known: Mapping[str, str], told: Mapping[str, str]) -> bool | None:
    """Whether both are the same state; None where they have no evidence in common that proves it."""
    common = known.keys() & told.keys()
    if any(known[kind] != told[kind] for kind in common):
        return False
    return True if common - _NO_PROOF else None


def _richer(standing: Standing, learnt: Learnt) -> Standing:
    """The newest change with evidence that nobody had of it so far."""
    newest = standing.newest
    text = newest.text if learnt.text is None else learnt.text
    versions = {**newest.versions, **learnt.versions}
    if versions == newest.versions and text == newest.text:
        return standing
    better = structs.replace(newest, versions=versions, text=text)
    return structs.replace(standing, changes=(*standing.changes[:-1], better))


def _changed(standing: Standing, change: Change) -> Standing:
    kept = tuple([it for it in standing.changes if it.id])
    return structs.replace(standing, changes=(*kept, change)[-KEPT:])
