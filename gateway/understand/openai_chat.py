"""OpenAI's chat completions (``POST /chat/completions``): requests, and answers that are not streamed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from gateway.model import Caps, Findings, Proposal
from gateway.understand.dialect import Asked, Stream
from gateway.understand.members import asked_items, asked_text, dump, items, mapping, refused_text, text
from gateway.understand.openai_caps import asked_bound, check_choice, check_models, lower, take_out, tool_names
from gateway.understand.openai_chat_stream import ChatStream
from gateway.understand.openai_shapes import arguments_of, asked_content, asked_stream, proposal_of, usage_of

_SYSTEM = ("system", "developer")
_OPEN = re.compile(rb"[ \t\r\n]*\{")
_ASK_USAGE = b'{"stream_options":{"include_usage":true},'


class ChatAsked(Asked, frozen=True):
    """A request for a chat completion. ``include_usage``: it asks itself for the usage of the stream."""

    include_usage: bool = False


class Chat:
    """Chat completions. ``asks_usage``: ask for the usage of a stream where the agent does not, and hide it."""

    operation = "POST /chat/completions"
    metered: Literal["nothing", "input", "both"] = "both"
    bounds: ClassVar[Sequence[str]] = ("max_completion_tokens", "max_tokens")
    """The members that bound the answer; the first is set where none is."""

    def __init__(self, *, asks_usage: bool) -> None:
        self._asks_usage = asks_usage

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> ChatAsked:
        """Read a request; see ``dialect.Endpoint``. A deployment in the path (Azure) is the model."""
        messages = self._messages(body)
        return ChatAsked(
            params.get("model") or asked_text(body, "model"),
            asked_stream(body),
            asked_bound(body, self.bounds),
            "\n".join([each["content"] for each in messages if each["role"] in _SYSTEM]),
            messages,
            (
                *tool_names(body, "tools"),
                *tool_names(body, "functions"),
                *(("web_search",) if body.get("web_search_options") is not None else ()),
            ),
            _includes_usage(body),
        )

    def _messages(self, body: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
        return tuple(
            [
                {
                    "role": asked_text(each, "role", f"messages[{at}]."),
                    "content": asked_content(each, "content", f"messages[{at}]."),
                }
                for at, each in enumerate(asked_items(body, "messages"))
            ]
        )

    def amend(self, body: dict[str, Any], raw: bytes, asked: Asked, caps: Caps) -> tuple[bytes, tuple[str, ...]]:
        """The body under the caps; see ``dialect.Endpoint``."""
        check_models(body, caps)
        said: list[str] = []
        amended = dict(body)
        if caps.max_tokens:
            lower(amended, self.bounds, caps.max_tokens, said)
        if caps.system and self._put_first(amended, asked, caps):
            said.append("system text put first")
        if caps.forbid_tools:
            _forbid(amended, caps, said)
        asks = self._asks_usage and asked.stream and not _includes_usage(body)
        options = mapping(body.get("stream_options"))
        if said:
            if asks:
                amended["stream_options"] = {**options, "include_usage": True}
            return dump(amended), tuple(said)
        if not asks:
            return raw, ()
        spliced = "stream_options" not in body  # then it can be put first, and all else keeps its bytes
        body["stream_options"] = {**options, "include_usage": True}
        return _OPEN.sub(_ASK_USAGE, raw, count=1) if spliced else dump(body), ()

    def _put_first(self, amended: dict[str, Any], asked: Asked, caps: Caps) -> bool:
        """Put the system text first. False where it is there already."""
        if asked.system.startswith(caps.system):
            return False
        amended["messages"] = [{"role": "system", "content": caps.system}, *items(amended.get("messages"))]
        return True

    def answer(self, body: Mapping[str, Any]) -> Findings:
        """Read a whole answer; see ``dialect.Endpoint``."""
        proposed: list[Proposal] = []
        for choice in items(body.get("choices")):
            message = mapping(mapping(choice).get("message"))
            proposed += [proposal_of(mapping(call)) for call in items(message.get("tool_calls"))]
            if message.get("function_call"):
                proposed.append(_old_proposal(message))
        usage = usage_of(body.get("usage"), text(body.get("model")))
        return Findings(is_error=bool(body.get("error")), usage=usage, proposed=tuple(proposed))

    def without(self, body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
        """The answer with each refused proposal replaced by its text in the message's content."""
        return strip(body, refused)

    def stream(self, asked: Asked, raw: bytes, sent: bytes) -> Stream:
        """Read a streamed answer; see ``dialect.Endpoint``."""
        asks = sent is not raw and self._asks_usage
        return ChatStream(asked.model, sent, hides=asks and isinstance(asked, ChatAsked) and not asked.include_usage)


def _includes_usage(body: Mapping[str, Any]) -> bool:
    return mapping(body.get("stream_options")).get("include_usage") is True


def _forbid(amended: dict[str, Any], caps: Caps, said: list[str]) -> None:
    for name in ("tool_choice", "function_call"):
        check_choice(amended.get(name), caps)
    gone = take_out(amended, "tools", caps) + take_out(amended, "functions", caps)
    if amended.get("web_search_options") is not None:
        search = {"tools": [{"type": "web_search"}]}
        if take_out(search, "tools", caps):
            del amended["web_search_options"]
            gone.append("web_search")
    if not gone:
        return
    for holder, leans in (("tools", ("tool_choice", "parallel_tool_calls")), ("functions", ("function_call",))):
        if holder not in amended:
            for name in leans:  # the API takes them only where there are tools
                amended.pop(name, None)
    said.append(f"tools removed: {', '.join(sorted(set(gone)))}")


def _old_proposal(message: Mapping[str, Any]) -> Proposal:
    called = mapping(message.get("function_call"))
    return Proposal(text(called.get("name")), arguments_of(called.get("arguments")))


def strip(body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
    """A chat completion with each refused proposal replaced by its text."""
    choices = [_strip_choice(choice, refused) if isinstance(choice, dict) else choice for choice in body["choices"]]
    return {**body, "choices": choices}


def _strip_choice(choice: dict[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
    message = dict(mapping(choice.get("message")))
    texts: list[str] = []
    kept = []
    for call in items(message.get("tool_calls")):
        said = refused_text(proposal_of(mapping(call)), refused)
        if said is None:
            kept.append(call)
        else:
            texts.append(said)
    if message.get("function_call"):
        said = refused_text(_old_proposal(message), refused)
        if said is not None:
            texts.append(said)
            del message["function_call"]
    if not texts:
        return choice
    if kept:
        message["tool_calls"] = kept
    else:
        message.pop("tool_calls", None)
    content = message.get("content")
    if isinstance(content, list):
        message["content"] = [*content, {"type": "text", "text": "\n".join(texts)}]
    else:
        message["content"] = "\n".join([text(content), *texts] if content else texts)
    stripped = {**choice, "message": message, "logprobs": None}
    if not kept and not message.get("function_call") and choice.get("finish_reason") in ("tool_calls", "function_call"):
        stripped["finish_reason"] = "stop"
    return stripped
