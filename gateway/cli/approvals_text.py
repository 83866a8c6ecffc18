"""Approvals for people at a terminal. What agents wrote is a stranger's text: made visible."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from gateway.cli.columns import span
from gateway.policy.visible import visible

HEAD = ("ID", "STATE", "AGE", "LEFT", "AGENT", "TOOL", "OPERATION", "RULES", "VOTES")
_SHORT = 12
"""Characters of an id that tell it from any other, as good as ever."""
_VERBS = {
    "approve": "approved",
    "deny": "denied",
    "edit": "approved other arguments",
    "answer": "answered",
    "endorse": "endorsed values",
    "ask": "asked",
}


def row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Its line in a list."""
    return (
        one["id"][:_SHORT],
        one["state"],
        span(time.time() - one["opened"]),
        span(one["seconds_left"]),
        one["agent"],
        one["tool"],
        one["operation"],
        ", ".join(one["rules"]),
        f"{one['approvals']}/{one['approvers']}",
    )


def change(one: Mapping[str, Any]) -> str:
    """A line about its newest change."""
    what = f"{one['id'][:_SHORT]}  {one['agent']}  {one['operation']}  ({', '.join(one['rules'])})"
    said = f" by {one['votes'][-1]['by']}" if one["votes"] else ""
    return _line(f"{one['state']}{said}  {what}")


def whole(one: Mapping[str, Any]) -> Iterator[str]:
    """Lines with all that is known of it."""
    yield from _standing(one)
    yield from _asked_by(one)
    for held in one["held"]:
        yield _line(f"  held by    {held['rule']}: {held['text']}")
        for read in held["read"]:
            yield _line(f"             {read['path']} = {_short(read['value'])}")
    yield from _would_do(one)
    yield from _result(one)
    if one["edit"] is not None:
        yield _line(f"  edited by  {one['edit']['by']}: the tool gets this instead")
        yield from _indented(diff((one["payload"] or {}).get("args"), one["edit"]["args"]))
    yield from _said(one)
    if one["why_not"]:
        yield _line(f"  you        may not decide: {one['why_not']}")


def diff(before: object, after: object) -> list[str]:
    """What differs between two values, as a unified diff of their JSON."""
    sent, given = _json(before).split("\n"), _json(after).split("\n")
    return list(unified_diff(sent, given, "as the agent sent them", "as the tool would get them", lineterm=""))


def _standing(one: Mapping[str, Any]) -> Iterator[str]:
    age = span(time.time() - one["opened"])
    if one["state"] == "waiting":
        then = "then it is let through" if one["timeout"] == "allow" else "then denied"
        standing = f"waits for {age}, {span(one['seconds_left'])} left, {then}"
    else:
        standing = f"{one['state']}, asked {age} ago" + (f", outcome {one['outcome']}" if one["outcome"] else "")
    held = "; the agent is held on the line" if one["connected"] else ""
    yield _line(f"{one['id']}  {standing}{held}")
    impact = f", impact {one['impact']:g}" if one["impact"] != 1 else ""
    times = f", asked {one['asked']} times" if one["asked"] > 1 else ""
    yield _line(f"  asked      {one['operation']} of tool {one['tool']}{impact}{times}")


def _asked_by(one: Mapping[str, Any]) -> Iterator[str]:
    roles = f" ({', '.join(one['roles'])})" if one["roles"] else ""
    run = f", run {one['run']}" if one["run"] else ""
    yield _line(f"  by         {one['agent']}{roles}{run}")
    for name, text in (one["payload"] or {}).get("why", {}).items():
        yield _line(f"             {name}, in its own words: {_short(text)}")


def _would_do(one: Mapping[str, Any]) -> Iterator[str]:
    payload = one["payload"]
    if payload is None:
        yield "  would do   (not kept any more)"
        return
    what = "has done " if one.get("about") == "result" else "would do "
    yield _line(f"  {what}  {payload['method']} {payload['target']}")
    for name, value in payload.get("fields", {}).items():
        yield _line(f"             {name}: {value}")
    if payload["args"] is not None:
        yield from _indented(_json(payload["args"]).split("\n"))
    for part in payload.get("parts", ()):
        yield _line(f"             {part['operation']}")
        yield from _indented(_json(part["args"]).split("\n"))
    if "body" in payload:
        yield _line(f"             {payload['size']} bytes of {payload['media_type'] or 'no media type'}")
        yield from _indented(visible(payload["body"]).split("\n"))
        if payload["size"] > len(payload["body"].encode()):
            yield "             ... only the beginning was kept for people to see"


def _result(one: Mapping[str, Any]) -> Iterator[str]:
    """What the tool has answered, where that is what people look at."""
    result = (one["payload"] or {}).get("result")
    if result is None:
        return
    kind = result["media_type"] or "no media type"
    yield _line(f"  result     status {result['status']}, {result['size']} bytes of {kind}; the agent does not have it")
    text = _json(result["value"]) if "value" in result else visible(result["body"])
    yield from _indented(text.split("\n"))


def _said(one: Mapping[str, Any]) -> Iterator[str]:
    for vote in one["votes"]:
        message = f": {_short(vote['message'])}" if vote["message"] else ""
        ago = span(time.time() - vote["at"])
        verb = _VERBS.get(vote["verb"], vote["verb"])
        yield _line(f"  said       {vote['by']} {verb} {ago} ago{message}")
    if one["state"] == "waiting" and one["approvers"] > 1:
        yield f"             {one['approvals']} of {one['approvers']} people have approved"
    for before in one["similar"]:
        if before["verdicts"]:
            of_agent = f"; this agent's: {_counts(before['agent'])}" if before["agent"] else ""
            yield _line(f"  before     {before['rule']}: {_counts(before['verdicts'])}{of_agent}")


def _counts(verdicts: Mapping[str, int]) -> str:
    return ", ".join([f"{count} {_VERBS.get(verb, verb)}" for verb, count in verdicts.items()])


def _indented(lines: Sequence[str]) -> Iterator[str]:
    return (f"             {line}" for line in lines)


def _json(value: object) -> str:
    """Pretty JSON; what a terminal would hide stays an escape."""
    return visible(json.dumps(value, indent=2, ensure_ascii=False))


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(text: str) -> str:
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")
