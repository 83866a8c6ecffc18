"""Which run led to which: by a token that a tool passed on, by the span of a call, or by what an agent says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from gateway.model import Agent, Call, Fields, Run
from gateway.model.trace_context import RANDOM, SAMPLED, TraceContext, member, trace_context, with_member
from gateway.policy.guards import short
from gateway.ports import Clock
from gateway.stores.lineage_token import MEMBER, Place, place_of, token_of
from gateway.stores.shares import Shares

SPANS = 50_000
"""Spans of calls that are remembered."""
SPAN_LIFETIME = 3600.0
"""Seconds after which the span of a call is forgotten."""
PLACES = 10_000
"""Runs whose place is remembered."""

PARENT_HEADER = b"x-parent-run-id"

TOKEN, SPAN, DECLARED, REJECTED = "token", "span", "declared", "rejected"
"""How a run's place is known; ``rejected`` is a token that is not ours, or too old, and therefore says nothing."""

Lookup = Mapping[bytes, bytes]


class TracedRuns:
    """ports.Lineage. Survives reloads; ``key`` signs, and is best the same for all replicas. Used on one loop."""

    def __init__(self, key: bytes, wall: Clock, fresh: Callable[[int], bytes]) -> None:
        """``wall`` gives seconds since the epoch, ``fresh`` so many bytes that nobody can guess."""
        self._keys: tuple[bytes, ...] = (key,)
        self._wall = wall
        self._fresh = fresh
        self.parent_header = PARENT_HEADER
        """Lower-cased name of the field in which an agent names the run that began this one."""
        self._spans: Shares[str, tuple[Place, float]] = Shares(SPANS)
        self._declared: Shares[tuple[str, str], Place] = Shares(PLACES)
        self._told: Shares[tuple[str, str], Place] = Shares(PLACES)

    def rekey(self, key: bytes) -> None:
        """Sign with this key from now on. What the two before it signed is still believed."""
        self._keys = tuple(dict.fromkeys((key, *self._keys)))[:3]

    def place(self, lookup: Lookup, agent: Agent, run: Run) -> Run:
        """The run with its place in the tree of runs.

        What a tool passed on counts for more than what an agent says of its own runs, unless both lie in one tree.
        """
        found, how = self._passed_on(lookup) if b"baggage" in lookup or b"traceparent" in lookup else (None, "")
        own = (agent.id, short(run.id))
        if run.id and (len(self._declared) or self.parent_header in lookup):
            declared = self._said(own, lookup.get(self.parent_header))
            if declared is not None and (found is None or declared.root == found.root):
                return _placed(run, declared, DECLARED)
        if found is None:
            return structs.replace(run, lineage=how) if how else run
        if run.id:
            self._told.put(agent.id, own, found)
        return _placed(run, found, how)

    def onward(self, call: Call) -> Fields:
        """``traceparent`` with a new span of the agent's trace, or of a new one where it has none (its ``tracestate``
        then goes: nothing is, W3C Trace Context 4.3); and ``baggage`` with the token."""
        lookup, now, run = call.request.lookup, self._wall(), call.run
        agent, came = call.agent.id, None
        if call.carried or b"traceparent" in lookup:
            came = self._came(call)
        span, own = self._fresh(8).hex(), (agent, short(run.id))
        place = Place(run.root or (agent, run.id), own, run.depth, span)
        self._spans.put(agent, span, (place, now))
        if came is None:
            text = b"00-%b-%b-%02x" % (self._fresh(16).hex().encode(), span.encode(), SAMPLED | RANDOM)
        else:
            text = TraceContext(came.trace, span, came.flags).text()
        token = token_of(place, self._keys[0], now)
        if not token:
            fields: Fields = ((b"traceparent", text),)
        else:
            fields = ((b"traceparent", text), (b"baggage", with_member(lookup.get(b"baggage"), MEMBER, token)))
        if came is None and b"tracestate" in lookup:
            fields += ((b"tracestate", b""),)
        return fields

    @staticmethod
    def _came(call: Call) -> TraceContext | None:
        """The agent's trace: what the message says counts where the head says nothing."""
        value = call.request.lookup.get(b"traceparent")
        if value is None and call.carried:
            value = dict(call.carried).get(b"traceparent")
        return None if value is None else trace_context(value)

    def _passed_on(self, lookup: Lookup) -> tuple[Place | None, str]:
        token = member(lookup.get(b"baggage"), MEMBER)
        if token is not None:
            place = place_of(token, self._keys, self._wall())
            if place is not None:
                return place, TOKEN
        if len(self._spans) and b"traceparent" in lookup:
            context = trace_context(lookup[b"traceparent"])
            kept = None if context is None else self._spans.get(context.span)
            if kept is not None and self._wall() - kept[1] <= SPAN_LIFETIME:
                return kept[0], SPAN
        return None, "" if token is None else REJECTED

    def _said(self, own: tuple[str, str], named: bytes | None) -> Place | None:
        """The place of a run of which its agent says that another of its runs began it. What was said first stays, so
        that no run comes to lie below itself."""
        known = self._declared.use(own)
        if known is not None or named is None:
            return known
        parent = (own[0], short(named.decode("latin-1")[:128]))
        if parent == own or not parent[1]:
            return None
        above = self._declared.get(parent) or self._told.get(parent)
        place = Place(parent, parent, 0) if above is None else Place(above.root, parent, above.depth + 1)
        self._declared.put(own[0], own, place)
        return place


def _placed(run: Run, place: Place, how: str) -> Run:
    return structs.replace(run, root=place.root, led=place.led, depth=place.depth + 1, span=place.span, lineage=how)


class Roots:
    """ports.Lineage where nothing asks for it: every run is a root, and tools are told nothing."""

    def place(self, lookup: Lookup, agent: Agent, run: Run) -> Run:  # noqa: ARG002
        """The run as it is."""
        return run

    def onward(self, call: Call) -> Fields:  # noqa: ARG002
        """Nothing."""
        return ()
