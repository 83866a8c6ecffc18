"""Answers that are older than what is known already: of a replica of a memory's store that lags behind.

What is read after a write, or after a newer state, by the same run is covered by that: read-your-writes and monotonic
reads (Terry et al., "Session Guarantees for Weakly Consistent Replicated Data", 1994).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gateway.coherence.steps import LAG, older_than_known
from gateway.model import Answered, Call, Change, Glance, Learnt

_MOST = 5
_LONGEST = 100


class Late(Struct, frozen=True):
    """A key of which an answer shows an earlier state."""

    glance: Glance
    newest: Change
    """What stands, as far as is known."""
    goes_back: bool
    """Its run has seen, or written, a newer state than that already."""


def may_be_late(call: Call, now: float) -> bool:
    """Whether the answer of a call may show what is older than is known; ``now`` in seconds since the epoch."""
    return any(_recent(glance, now) for glance in call.glances)


def late(call: Call, learnt: Sequence[Learnt], now: float) -> tuple[Late, ...]:
    """The keys of which the answer shows an earlier state."""
    told = {one.place: one for one in learnt}
    found = []
    for glance in call.glances:
        one = told.get(glance.touch.place)
        if one is None or glance.standing is None or not _recent(glance, now):
            continue
        older = older_than_known(glance, one, now)
        if older is not None:
            found.append(Late(glance, glance.standing.newest, _goes_back(glance, older)))
    return tuple(found)


def marks(call: Call, answered: Answered, found: Sequence[Late], now: float) -> bytes:
    """Field lines that tell the agent of merges, of what is late, and of what a cache has kept for longer than the
    memory's ``max_age`` (RFC 9111, 5.1)."""
    told = [f"merged; key={_named(one)}; with={_plain(one.merged)}" for one in call.glances if one.merged]
    for one in found:
        by = f"; changed-by={_plain(one.newest.agent)}" if one.newest.agent else ""
        told.append(f"stale; key={_named(one.glance)}{by}; age={max(0.0, now - one.newest.at):.1f}")
    if (age := _age_of(answered)) and not found:
        bounds = [(one, one.touch.max_age) for one in call.glances if not one.touch.writes]
        told += [f"old; key={_named(one)}; age={age}" for one, most in bounds if 0 < most < age]
    return b"".join([b"X-Toolgate-Memory: %b\r\n" % line.encode("ascii") for line in told[:_MOST]])


def _age_of(answered: Answered) -> int:
    """Seconds for which the answer has lain in caches."""
    values = [value for name, value in answered.fields if name.lower() == b"age"]
    return int(values[0]) if len(values) == 1 and values[0].isdigit() and len(values[0]) < 12 else 0


def version_of(learnt: Learnt) -> str:
    """The version by which people know a state: the store's own where it names one, else the beginning of a digest."""
    for kind in ("etag", "version", "strong", "last-modified"):
        if kind in learnt.versions:
            return _plain(learnt.versions[kind].strip('"'))
    return next((_plain(value[:12]) for value in learnt.versions.values()), "")


def _recent(glance: Glance, now: float) -> bool:
    """Whether an earlier state is known, and the last change is so recent that a replica may not have it yet."""
    standing = glance.standing
    return standing is not None and len(standing.changes) > 1 and now - standing.newest.at < LAG


def _goes_back(glance: Glance, older: Change) -> bool:
    order = [change.id for change in glance.standing.changes] if glance.standing is not None else []
    seen = "" if glance.seen is None else glance.seen.change
    return seen in order and order.index(seen) > order.index(older.id)


def _named(glance: Glance) -> str:
    return f'"{_plain("/".join(glance.touch.place))}"'


def _plain(text: str) -> str:
    """Text fit for a parameter of a field: visible ASCII without quotes, the rest as ``?``."""
    return "".join(c if " " <= c <= "~" and c not in '"\\;' else "?" for c in text[:_LONGEST])
