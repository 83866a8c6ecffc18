"""Conditions by which a store itself refuses a write that is not based on what stands there (RFC 9110, 13.1)."""

from __future__ import annotations

from gateway.coherence.evidence import tag_versions
from gateway.model import Call, Fields, Glance, How


def has_own(call: Call) -> bool:
    """Whether the agent has sent a condition on a version itself, which stays as it is. Others, that say nothing of
    what stands (``If-Range``, a time, an empty ``If-Match``), do not take the place of ours."""
    lookup = call.request.lookup
    return bool(lookup.get(b"if-match", b"").strip()) or guards_itself(call)


def guards_itself(call: Call) -> bool:
    """Whether the agent's own conditions make the write one of the version that it names, or of nothing."""
    one = "strong" in asked_for_match(call)
    return one or call.request.header(b"if-none-match").strip() == "*"


def conditions_of(glance: Glance) -> Fields:
    """The condition for the write of one key: on the state that is known to stand, or on nothing where its run has read
    nothing. None where that state has no strong ETag."""
    standing = glance.standing
    newest = None if standing is None else standing.newest
    if glance.unread or newest is None or newest.how is How.DELETED:
        return () if glance.touch.deletes else ((b"If-None-Match", b"*"),)
    tag = newest.versions.get("strong", "")
    return ((b"If-Match", tag.encode("latin-1")),) if tag else ()


def asked_for_match(call: Call) -> dict[str, str]:
    """The version that the agent's own condition wants to stand."""
    return tag_versions(call.request.header(b"if-match"))


def asked_for(call: Call) -> dict[str, str]:
    """The version that the agent has already, by its own condition: what stands where the answer is 304."""
    return tag_versions(call.request.header(b"if-none-match"))
