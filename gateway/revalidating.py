"""What a run has read is asked for again, before rules read what of it has changed (``run.drift``).

Changes past the gateway are known to nobody until somebody reads. Here the gateway reads itself: by a GET on the
condition that the state which the run saw does not stand any more (RFC 9110, 13.1.2), or a plain one. What it finds, it
notes as nobody's read: the run has not seen it. What cannot be asked is told to the rules, which decide on it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from gateway.coherence.again import condition_on, proves
from gateway.decide.together import claims_of
from gateway.effects import Await, Effect
from gateway.errors import Refused
from gateway.means import Means
from gateway.model import (
    Agent,
    Answered,
    Call,
    Change,
    CircuitClaim,
    Fields,
    Glance,
    How,
    Learnt,
    Recalled,
    Request,
    Route,
    Run,
    Seen,
    Touch,
)
from gateway.policy.guards import short
from gateway.ports import Coherence, Errand, Revalidation
from gateway.story import Story
from gateway.street import Street

MOST_ASKED = 16
"""GETs for one call."""
MOST_TOLD = 100
"""Keys that could not be asked for and are named."""
FRESH = 1.0
"""Seconds for which what a run has read is not asked for again."""
_NOBODY, _NO_RUN = Agent(""), Run()

Place = tuple[str, str]


class Asked(Struct):
    """One GET, and what its answer is to tell of."""

    errand: Errand
    street: Street
    places: Mapping[Place, Seen]


def revalidated(
    means: Means, street: Street, call: Call, story: Story
) -> Generator[Effect, Any, tuple[tuple[Place, ...], tuple[Place, ...]]]:
    """Memory and key of what has been found to have changed, and of what could not be asked for.

    Raises:
        StoreUnavailable: nobody knows now what the run has seen.
    """
    coherence, again = means.coherence, means.revalidation
    if coherence is None or again is None or street.drift is None or not street.drift.counts(call):
        return (), ()
    if not street.admits(call):
        return (), ()  # it is refused anyway
    held = yield Await(coherence.held(call, street.drift.memories), call)
    open_ = {place: seen for place, seen in held if not _fresh(means, again, call, place, seen)}
    if not open_:
        return (), ()
    asked = list(_asked(means, call, open_))
    verified, changed = yield from _ask(means, coherence, again, call, asked)
    unverified = tuple([place for place in open_ if place not in verified and place not in changed])
    found = {"verified": verified, "changed": changed, "unverified": unverified}
    story.again += tuple([Recalled(place, how) for how, places in found.items() for place in places[:MOST_ASKED]])
    return tuple(changed), unverified[:MOST_TOLD]


def _fresh(means: Means, again: Revalidation, call: Call, place: Place, seen: Seen) -> bool:
    return means.wall() - seen.at < FRESH or again.fresh(call.agent.id, place, seen.change)


def _asked(means: Means, call: Call, places: Mapping[Place, Seen]) -> Iterator[Asked]:
    """The GETs that show these keys; a list shows many."""
    by_target: dict[str, dict[Place, Seen]] = {}
    for place, seen in places.items():
        if seen.again and (seen.again in by_target or len(by_target) < MOST_ASKED):
            by_target.setdefault(seen.again, {})[place] = seen
    for again, shown in by_target.items():
        tool, _, target = again.partition(" ")
        street = means.streets.get(tool)
        if street is None or street.memory is None or street.tool.protocol != "http":
            continue  # it is another tool by now
        try:
            made = _call(means, call, street, target)
        except Refused:
            continue
        if _may_be_made(means, street, made):
            yield Asked(Errand(made, street.lender), street, shown)


def _call(means: Means, call: Call, street: Street, target: str, fields: Fields = ()) -> Call:
    """The GET, as its tool's reader would read it of the agent."""
    sent = ((b"Accept", b"*/*"), *fields)
    lookup = {name.lower(): value for name, value in sent}
    peer, loopback = call.request.peer, call.request.loopback
    request = Request("GET", target, "1.1", sent, lookup, 0, peer, loopback, secure=call.request.secure)
    path, _, query = target.partition("?")
    route = Route(street.tool, target, path, query, street.tool.origin.authority)
    made = street.reader.read(means.ident(), request, route, call.agent, call.run, None)
    return structs.replace(made, onward=call.onward)


def _may_be_made(means: Means, street: Street, made: Call) -> bool:
    """Whether the agent may still read this, and no quarantine or breaker keeps calls from the tool now."""
    if not street.admits(made) or means.quarantines.standing(made) is not None:
        return False
    claims = [claim for _, claim in claims_of(made, street.quotas)[1] if isinstance(claim, CircuitClaim)]
    return not claims or all(hold.granted for hold in means.ledger.look(claims, means.clock()))


def _ask(
    means: Means, coherence: Coherence, again: Revalidation, call: Call, asked: Sequence[Asked]
) -> Generator[Effect, Any, tuple[list[Place], list[Place]]]:
    """What still stands, and what has changed."""
    seen = {place: what for one in asked for place, what in one.places.items()}
    touches = [Touch(*place) for place in seen]
    if not touches:
        return [], []
    nobody = structs.replace(call, agent=_NOBODY, run=_NO_RUN)
    edition, glances = yield Await(coherence.glance(nobody, touches), call)
    stood = {glance.touch.place: glance for glance in glances}
    sent = [one for one in (_conditional(means, call, one, stood) for one in asked) if one is not None]
    answers = yield Await(again.ask([one.errand for one in sent]), call)
    still: list[Place] = []
    for one, answer in zip(sent, answers, strict=True):
        if answer is not None:
            made = structs.replace(one.errand.call, agent=_NOBODY, run=_NO_RUN, edition=edition)
            still += _heard(means, coherence, one, made, stood, answer)
    _, glances = yield Await(coherence.glance(nobody, touches), call)
    now_stands = {glance.touch.place: glance.standing for glance in glances}
    same = {place for place, stands in now_stands.items() if stands and stands.newest.id == seen[place].change}
    for place in (verified := [place for place in still if place in same]):
        again.verified(call.agent.id, place, seen[place].change)
    return verified, [place for place in seen if place not in same]


def _conditional(means: Means, call: Call, one: Asked, stood: Mapping[Place, Glance]) -> Asked | None:
    """The GET on its condition. None where there is none, and the agent was shown something else than its body."""
    standing = stood[next(iter(one.places))].standing if len(one.places) == 1 else None
    fields = () if standing is None else condition_on(standing)
    if fields:
        made = _call(means, call, one.street, one.errand.call.target, fields)
        return Asked(Errand(made, one.errand.lender), one.street, one.places)
    return None if one.street.results is not None and one.street.results.any_results else one


def _heard(
    means: Means,
    coherence: Coherence,
    one: Asked,
    made: Call,
    stood: Mapping[Place, Glance],
    answer: tuple[Answered, bytes],
) -> list[Place]:
    """Note what has changed; what is shown to stand as it did."""
    learnt = () if one.street.memory is None else one.street.memory.learnt(made, *answer)
    changed: list[Learnt] = []
    same: list[Place] = []
    for told in learnt:
        glance = stood.get((told.place[0], short(told.place[1])))
        if glance is None or glance.standing is None or glance.touch.place not in one.places:
            continue
        proven = proves(glance.standing, told)
        if proven:
            same.append(glance.touch.place)
        elif proven is False:
            changed.append(told)
    if changed:
        glances = [stood[told.place[0], short(told.place[1])] for told in changed]
        coherence.learn(made, glances, changed, Change(made.id, How.FOUND, at=means.wall()))
    return same
