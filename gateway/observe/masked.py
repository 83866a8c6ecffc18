"""A record's line without secrets. Of a usual one only what comes from outside is looked through, a tenth of it."""

from __future__ import annotations

from gateway.model import Trace
from gateway.observe.keeping import Keeping
from gateway.observe.lines import usual_line
from gateway.observe.links import Link
from gateway.observe.redact import Redactor, own_of
from gateway.observe.targets import path_of
from gateway.observe.trace import line_of, timestamp


def masked_line(trace: Trace, settings: Keeping, link: Link | None, redactor: Redactor) -> tuple[bytes, bool, bool]:
    """The line; whether it is as it would be without masks; and whether it is a usual one that keeps nothing.

    Raises:
        TypeError, ValueError, OverflowError, RecursionError: it cannot be made, or not be looked through.
    """
    own = own_of(trace)
    if link is None and not settings.keeps:
        usual = usual_line(trace, timestamp(trace.wall), settings)
        if usual is not None and redactor.passes(_from_outside(trace), own):
            return usual, True, True
    line = line_of(trace, settings, link)
    masked = redactor.line(line, own)
    return masked, masked is line, False


def _from_outside(trace: Trace) -> bytes:
    """All texts of a usual line that the gateway and its operator have not made, between quotes as in the line."""
    run, agent, call = trace.run, trace.agent, trace.call
    texts = [run.id, run.parent, run.span, *run.root, *run.led, trace.operation, path_of(trace.request.target)]
    if agent is not None:
        texts += (agent.id, *agent.roles)
    if call is not None:
        texts.append(call.host)
        texts += [value.decode("latin-1") for _, value in call.onward]
        for one in call.glances:
            texts += (one.touch.key, "" if one.standing is None else one.standing.newest.agent)
        texts += call.drift or ()
    for came in trace.recalled:
        texts += (came.place[1], came.version)
    return '","'.join(["", *texts, trace.request.method, ""]).encode("utf-8", "replace")
