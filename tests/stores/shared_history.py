"""What must hold of all that clients of a shared namespace were told; the checks that a store has to pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.stores.linearizable import FOREVER, Operation, linearizable
from tests.stores.sharers import ACCOUNTS, REGISTERS, TOTAL

Register = tuple[str, int, bytes | None, tuple[str, ...]]
"""Epoch and revision of what stands (UNKNOWN where nobody heard of the write), its value, epochs that are over."""
NOTHING: Register = ("", 0, None, ())
UNKNOWN = -1


def operations(told: Sequence[tuple[Any, ...]]) -> list[Operation]:
    """Of what clients told, in which order whatsoever; each has asked one thing at a time."""
    calls: dict[str, tuple[float, Any]] = {}
    found = []
    for kind, client, *rest in told:
        if kind == "call":
            assert client not in calls
            calls[client] = (rest[0], rest[1])
        elif kind == "end":
            start, asked = calls.pop(client)
            found.append(Operation(asked, start, rest[1], rest[0]))
    return [*found, *(Operation(asked, start) for start, asked in calls.values())]


def problems(history: Sequence[Operation]) -> list[str]:
    """Everything that is wrong with a history."""
    wrong = [
        f"{key} is not linearizable"
        for key in REGISTERS
        if not linearizable([one for one in history if one.asked[:2] in (("read", key), ("write", key))], NOTHING, step)
    ]
    return [*wrong, *_revisions(history), *_sums(history)]


def step(state: Register, operation: Operation) -> Iterator[Register]:
    """A register of which one can only write over what one has seen."""
    kind, _, *how = operation.asked
    said = operation.said
    if kind == "read":
        if said is None:
            yield state
        else:
            yield from _shown(state, *said)
        return
    value, epoch, expect = how
    if said is None:
        yield state
        if _matches(state, epoch, expect):
            yield (state[0], UNKNOWN if value is not None else 0, value, state[3])
    elif said[0] == "no":
        for shown in _shown(state, *said[1:]):
            if shown[1] != expect or (expect and shown[0] != epoch):
                yield shown
    elif _matches(state, epoch, expect) and said[1] not in state[3]:
        stands = (said[2] if value is not None else 0, value)
        over = (*state[3], state[0]) if state[0] not in ("", said[1]) else state[3]
        yield (said[1], *stands, over)
        if over != state[3]:  # asked for again after its connection broke: done in one epoch, and told in the next
            yield (state[0], *stands, state[3])


def _matches(state: Register, epoch: str, expect: int) -> bool:
    """A revision that nobody was told of is expected by nobody: whoever expects it has read it before."""
    return state[1] == expect and (not expect or state[0] == epoch)


def _shown(state: Register, epoch: str, revision: int, value: bytes | None) -> Iterator[Register]:
    """The state after this was shown of it; an epoch may end at any time, and does not come back."""
    known, stands, what, over = state
    if epoch in over or value != what or (stands not in (revision, UNKNOWN)):
        return
    yield (epoch, revision, value, (*over, known) if known not in ("", epoch) else over)


def _revisions(history: Sequence[Operation]) -> Iterator[str]:
    """Each commit has a revision of its own, later than all that had been told when it was asked for."""
    done = [(one.said[1:3], one) for one in history if one.said and one.said[0] == "done"]
    if len({version for version, _ in done}) < len(done):
        yield "two commits have the same version"
    told: dict[str, int] = {}
    for _, starts, epoch, revision in sorted(_moments(history), key=lambda moment: moment[:2]):
        if not starts:
            told[epoch] = max(told.get(epoch, 0), revision)
        elif revision < told.get(epoch, 0):
            yield f"{epoch}-{revision} was given after a later one had been told"


def _moments(history: Sequence[Operation]) -> Iterator[tuple[float, bool, str, int]]:
    """When each was asked and answered, with the revision that it gave: commits, and audits that were shown one."""
    for one in history:
        if one.said is None or (one.said[0] != "done" and one.asked[0] != "audit"):
            continue
        epoch, revision = one.said[:2] if one.asked[0] == "audit" else one.said[1:3]
        yield (one.start, True, epoch, revision)
        yield (one.end, False, epoch, revision)


def _sums(history: Sequence[Operation]) -> Iterator[str]:
    """Nobody ever sees money half moved, and what is shown at a revision is what was written up to it."""
    audits = sorted((one.said for one in history if one.asked[0] == "audit" and one.said), key=lambda said: said[:2])
    moved: dict[tuple[str, int], tuple[tuple[str, bytes], ...]] = {
        one.said[1:3]: one.asked[1]
        for one in history
        if one.asked[0] == "transfer" and one.said and one.said[0] == "done"
    }
    heard = all(one.end < FOREVER for one in history if one.asked[0] == "transfer")
    for epoch, revision, shown in audits:
        if tuple(key for key, _ in shown) != ACCOUNTS or sum(int(value) for _, value in shown) != TOTAL:
            yield f"money is half moved at {epoch}-{revision}"
        if heard and len({each for each, _ in moved}) == 1:
            state = dict.fromkeys(ACCOUNTS, b"100")
            for _, puts in sorted((at, puts) for (_, at), puts in moved.items() if at <= revision):
                state.update(puts)
            if tuple(state.items()) != shown:
                yield f"what is shown at {epoch}-{revision} is not what was written"
