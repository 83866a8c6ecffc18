"""What is sent to a tool, and what comes back, with fields masked: every place in which a value stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from msgspec import structs

from gateway.errors import Refused
from gateway.model import Call, Changed, Reason
from gateway.policy.redaction import redact, told
from gateway.understand.members import dump, load

Change = Callable[[Mapping[str, Any], Sequence[Changed]], tuple[dict[str, Any], tuple[str, ...]]]
"""As ``policy.redaction.redact``."""


def masked_call(
    call: Call,
    fields: Sequence[Changed],
    *,
    body: bytes | None = None,
    query: str | None = None,
    change: Change = redact,
) -> Call:
    """The call with its arguments masked; ``body`` and ``query``: what the tool gets instead of those that came."""
    args, led = change(call.args, fields)
    if not led:
        return call
    target = call.target if query is None else f"{call.target.partition('?')[0]}?{query}"
    return structs.replace(
        call,
        args=args,
        amendments=call.amendments + told(led),
        body=call.body if body is None else body,
        query=call.query if query is None else query,
        target=target,
    )


def impossible(why: str, advice: str = "") -> Refused:
    """The refusal of a call whose fields cannot be masked wherever they stand."""
    return Refused(
        Reason.REDACTION_FAILED,
        403,
        f"fields of this call are to be masked before the tool gets it, and {why}",
        advice or "send the call without what is to be masked",
    )


def with_values(pairs: str, values: Mapping[str, Any]) -> str:
    """A query or form with other values. Pairs whose value is the same stay as they came, byte for byte.

    ``values`` are those of the same pairs by name, a list where a name is given more than once; pairs beyond its end
    are left out.
    """
    nth: dict[str, int] = {}
    written: list[str] = []
    for pair in pairs.split("&"):
        name, _, value = pair.partition("=")
        key = unquote_plus(name)
        new = values.get(key, value)
        if isinstance(new, list):
            at = nth.get(key, 0)
            nth[key] = at + 1
            if at >= len(new):
                continue
            new = new[at]
        written.append(pair if not pair or new == unquote_plus(value) else f"{name}={quote_plus(new)}")
    return "&".join(written)


def masked_result(result: Mapping[str, Any], fields: Sequence[Changed]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A tool's result with its fields masked, and those that were there.

    An MCP server repeats ``structuredContent`` as JSON in a text: where that is masked, so is its repetition, and what
    is done to texts of ``content`` is done to that.
    """
    structured = result.get("structuredContent")
    content = result.get("content")
    if structured is None or not isinstance(content, list):
        return redact(result, fields)
    inner = redact({"structuredContent": structured}, fields)[0]["structuredContent"]
    if inner is structured or inner == structured:
        return redact(result, fields)
    text = dump(inner).decode()
    repeated = [{**one, "text": text} if _repeats(one, structured) else one for one in content]
    masked, _ = redact({**result, "content": repeated, "structuredContent": None}, fields)
    return {**masked, "structuredContent": inner}, redact(result, fields)[1]


def _repeats(content: Any, structured: Any) -> bool:
    if not isinstance(content, dict):
        return False
    text = content.get("text")
    return isinstance(text, str) and text.lstrip()[:1] in ("{", "[") and load(text.encode()) == structured
