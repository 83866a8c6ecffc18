"""What a record tells of memories, in words for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_CAME = {
    "read": "read {}",
    "gone": "read {}: nothing stands there",
    "late": "read {} in an older state than is known",
    "written": "wrote {}",
    "deleted": "deleted {}",
    "refused": "could not write {}, since something else stands there in its store",
    "verified": "asked for {} again: it still stands",
    "changed": "asked for {} again: it has changed",
    "unverified": "could not ask for {} again",
    "unknown": "wrote {}, and nobody knows whether that was carried out",
}
_WANTED = {"read": "reads {}", "write": "would write {}", "delete": "would delete {}", "revalidate": "asked for {}"}
_SHIFTED = {"policy": "the policies changed", "identity": "its agent is known otherwise", "tool": "a pin changed"}


def memory_words(record: Mapping[str, Any]) -> Iterator[str]:
    """A line for each key that the call touched, for what had changed before it, and for what shifted in its run."""
    for one in record.get("memory") or ():
        yield _touched(one)
    if drift := record.get("drift"):
        yield f"changed since the run read it: {', '.join(drift)}"
    for one in record.get("shifts") or ():
        yield f"while the run went on, {_SHIFTED.get(one['what'], one['what'])}: {one['before']} -> {one['now']}"


def _touched(one: Mapping[str, Any]) -> str:
    version = f" @{one['version']}" if one.get("version") else ""
    name = f"{one['memory']}/{one['key']}{version}"
    said = _CAME.get(one.get("came_of") or "", _WANTED[one["does"]]).format(name)
    by = one.get("changed_by") or "somebody past the gateway"
    if one.get("found") == "stale":
        return f"{said}; {by} has changed it since the run read it{_ago(one)}"
    if one.get("found") == "merged":
        return f"{said}, merged with a change of {by}"
    if one.get("found") == "unread" and one["does"] != "read":
        return f"{said}, which the run had not read"
    return said


def _ago(one: Mapping[str, Any]) -> str:
    return "" if one.get("seen_s") is None else f" {one['seen_s']:g} s before"
