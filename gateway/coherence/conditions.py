"""Conditions by which a store itself refuses a write that is not based on what stands there (RFC 9110, 13.1)."""

from __future__ import annotations

from gateway.coherence.evidence import tag_versions
from gateway.model import Call, Fields, Glance, How

_OWN = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range")


def has_own(call: Call) -> bool:
    """Whether the agent has sent conditions itself: they stay as they are."""
    lookup = call.request.lookup
    return any(name in lookup for name in _OWN)


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
