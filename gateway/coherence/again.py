"""Asking a store again for what a run has seen: which reads can be repeated as they were, and what an answer proves."""

from __future__ import annotations

from gateway.coherence.answers import headers
from gateway.coherence.steps import alike
from gateway.model import Answered, Call, Fields, How, Learnt, Standing

LONGEST = 256
"""Characters of a target that is remembered: each run may have seen many."""
_READS = frozenset({200, 203, 304, 404, 410})
_CREDENTIALS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
_ANY_FORM = {b"accept-encoding": None, b"accept": b"*/*"}
"""Fields by which an answer may vary and is the same all the same: with any value (None), or with this one."""


def again_of(call: Call, answered: Answered) -> str:
    """Where the gateway itself can read again what this call has read (``Seen.again``); empty where it cannot, since
    the answer was for a credential of the agent's own, which is not kept, or depends on other fields of its request."""
    request, tool = call.request, call.tool
    if (
        request.method != "GET"
        or request.length
        or tool.preserve_host
        or tool.protocol != "http"
        or answered.status not in _READS
    ):
        return ""
    if call.body is not None or len(call.target) > LONGEST or (call.query and tool.strip_query):
        return ""
    sent = {name for name in request.lookup if name not in tool.strip and name != call.agent.credential}
    if b"range" in sent or not sent.isdisjoint(_CREDENTIALS) or _varies(call, sent, answered):
        return ""
    return f"{tool.name} {call.target}"


def _varies(call: Call, sent: set[bytes], answered: Answered) -> bool:
    named = {name.strip().lower().encode("latin-1") for name in headers(answered).get("vary", "").split(",")}
    return b"*" in named or any(
        _ANY_FORM.get(name, b"") not in (None, call.request.lookup[name].strip()) for name in named & sent
    )


def condition_on(standing: Standing) -> Fields:
    """What makes a GET answer 304 where the key still stands so; empty where it has no ETag, and all is read."""
    tag = standing.newest.versions.get("etag", "")
    return ((b"If-None-Match", tag.encode("latin-1")),) if tag else ()


def proves(standing: Standing, learnt: Learnt) -> bool | None:
    """Whether an answer shows that the key stands so, or that it does not; None where it shows neither."""
    if learnt.gone or standing.newest.how is How.DELETED:
        return learnt.gone and standing.newest.how is How.DELETED
    return alike(standing.newest.versions, learnt.versions)
