"""OpenAI's responses (``POST /responses``): requests, and answers that are not streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from gateway.model import Caps, Findings, Proposal
from gateway.understand.dialect import Asked, Stream
from gateway.understand.members import asked_items, asked_text, dump, items, mapping, refused_text, text, wrong
from gateway.understand.openai_caps import asked_bound, check_choice, check_models, lower, take_out, tool_names
from gateway.understand.openai_responses_stream import ResponsesStream, message_of, proposal_of, proposes
from gateway.understand.openai_shapes import asked_content, asked_stream, usage_of

_SYSTEM = ("system", "developer")
_BOUNDS = ("max_output_tokens",)
_CARRIERS = ("additional_tools", "tool_search_output")
"""Items of the input that define tools."""


class Responses:
    """Responses, and what else takes the same request: ``bounded`` where it also takes bounds and defines tools."""

    def __init__(
        self, below: str = "", *, bounded: bool = True, metered: Literal["nothing", "input", "both"] = "both"
    ) -> None:
        self.operation = f"POST /responses{below}"
        self.metered: Literal["nothing", "input", "both"] = metered
        self._bounded = bounded

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> Asked:
        """Read a request; see ``dialect.Endpoint``. What lies with the provider (``prompt``, earlier responses) is not
        seen."""
        messages = tuple(_messages(body))
        instructions = asked_text(body, "instructions")
        system = [instructions] if instructions else []
        return Asked(
            params.get("model") or asked_text(body, "model"),
            asked_stream(body),
            asked_bound(body, _BOUNDS),
            "\n".join([*system, *[each["content"] for each in messages if each["role"] in _SYSTEM]]),
            messages,
            (*tool_names(body, "tools"), *_carried(body)),
        )

    def amend(self, body: dict[str, Any], raw: bytes, asked: Asked, caps: Caps) -> tuple[bytes, tuple[str, ...]]:
        """The body under the caps; see ``dialect.Endpoint``."""
        check_models(body, caps)
        said: list[str] = []
        amended = dict(body)
        if caps.max_tokens and self._bounded:
            lower(amended, _BOUNDS, caps.max_tokens, said)
        if caps.system and not asked.system.startswith(caps.system):
            given = text(amended.get("instructions"))
            amended["instructions"] = f"{caps.system}\n\n{given}" if given else caps.system
            said.append("system text put first")
        if caps.forbid_tools:
            _forbid(amended, caps, said)
        return (dump(amended), tuple(said)) if said else (raw, ())

    def answer(self, body: Mapping[str, Any]) -> Findings:
        """Read a whole answer; see ``dialect.Endpoint``."""
        output = map(mapping, items(body.get("output")))
        return Findings(
            is_error=bool(body.get("error")) or body.get("status") == "failed",
            usage=usage_of(body.get("usage"), text(body.get("model"))),
            proposed=tuple([proposal_of(item) for item in output if proposes(item)]),
        )

    def without(self, body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
        """The answer with a message in the place of each refused call."""
        output = []
        for item in items(body.get("output")):
            said = refused_text(proposal_of(item), refused) if proposes(mapping(item)) else None
            output.append(item if said is None else message_of(item, said))
        return {**body, "output": output}

    def stream(self, asked: Asked, raw: bytes, sent: bytes) -> Stream:  # noqa: ARG002
        """Read a streamed answer; see ``dialect.Endpoint``."""
        return ResponsesStream(asked.model, sent)


def _messages(body: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    given = body.get("input")
    if given is None or isinstance(given, str):
        if given:
            yield {"role": "user", "content": given}
        return
    if not isinstance(given, list):
        raise wrong("input", "a string or an array of items", given)
    for at, item in enumerate(asked_items(body, "input")):
        place = f"input[{at}]."
        if item.get("content") is not None and "role" in item:
            yield {"role": asked_text(item, "role", place), "content": asked_content(item, "content", place)}
        elif isinstance(item.get("output"), str | list):
            yield {"role": "tool", "content": _output(item, place)}


def _output(item: Mapping[str, Any], place: str) -> str:
    """What a tool gave: a text, parts, or what commands of a shell wrote."""
    if isinstance(item["output"], str):
        return str(item["output"])
    parts = asked_items(item, "output", place)
    return "\n".join([text(part[key]) for part in parts for key in ("text", "stdout", "stderr") if part.get(key)])


def _carried(body: Mapping[str, Any]) -> Iterator[str]:
    """Names of the tools that items of the input define."""
    for at, item in enumerate(items(body.get("input"))):
        if item.get("type") in _CARRIERS:
            yield from tool_names(item, "tools", f"input[{at}].")


def _forbid(amended: dict[str, Any], caps: Caps, said: list[str]) -> None:
    check_choice(amended.get("tool_choice"), caps)
    gone = take_out(amended, "tools", caps)
    given, changed = [], False
    for item in items(amended.get("input")):
        held = dict(item) if item.get("type") in _CARRIERS else {}
        if lost := take_out(held, "tools", caps) if held else []:
            gone += lost
            changed = True
            given.append({**held, "tools": held.get("tools", [])})
        else:
            given.append(item)
    if changed:
        amended["input"] = given
    if not gone:
        return
    if "tools" not in amended:
        for name in ("tool_choice", "parallel_tool_calls"):  # the API takes them only where there are tools
            amended.pop(name, None)
    said.append(f"tools removed: {', '.join(sorted(set(gone)))}")
