"""Streams of OpenAI's responses: events about items of the output, and at the end the whole response again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.model import Findings, Proposal, Refusal, Usage
from gateway.understand import sse
from gateway.understand.dialect import MOST_ARGUMENTS, MOST_PROPOSALS
from gateway.understand.members import dump, items, load, mapping, refused_text, same, text, tokens_of
from gateway.understand.openai_shapes import arguments_of, error_of, size_of, usage_of
from gateway.understand.sse import Event

_HOSTED_NAMES = {"local_shell_call": "local_shell", "shell_call": "shell", "apply_patch_call": "apply_patch"}
_CALLS = frozenset({"function_call", "custom_tool_call", "computer_call", "mcp_approval_request", *_HOSTED_NAMES})
"""Items that ask the agent to act. What the provider runs itself (searches, code, MCP) has run when it is told."""
_OF_CALL = ("response.function_call_arguments.", "response.custom_tool_call_input.", "response.shell_call_")
_ABOUT_CALL = frozenset({"id", "call_id", "type", "status", "name", "namespace"})
_UNCLEAR = "\0"
"""In place of arguments that were told in two ways: equal to none."""
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})


def proposes(item: Mapping[str, Any]) -> bool:
    """Whether an item of the output asks the agent to act."""
    return text(item.get("type")) in _CALLS


def proposal_of(item: Mapping[str, Any]) -> Proposal:
    """The proposal that an item is. Tools without arguments of their own have their members as ``args``."""
    kind = text(item.get("type"))
    ident = text(item.get("call_id")) or text(item.get("id"))
    if kind == "custom_tool_call":
        return Proposal(text(item.get("name")), {"input": text(item.get("input"))}, ident)
    if kind in ("function_call", "mcp_approval_request"):
        return Proposal(text(item.get("name")), arguments_of(item.get("arguments")), ident)
    args = {name: value for name, value in item.items() if name not in _ABOUT_CALL}
    return Proposal(_HOSTED_NAMES.get(kind, "computer"), args, ident)


def message_of(item: Mapping[str, Any], said: str, status: str = "completed") -> dict[str, Any]:
    """The message that stands for a refused item. Its id is made of the item's, so that it is the same each time, and
    is no other item's: servers that count give ``msg_1`` and ``fc_1``, and SDKs raise where two items have one id."""
    ident = text(item.get("id")) or text(item.get("call_id"))
    part = {"type": "output_text", "text": said, "annotations": []}
    content = [part] if status == "completed" else []
    return {
        "id": f"msg_refused_{ident.partition('_')[2] or ident}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


class ResponsesStream:
    """Reads the events of a response; see ``dialect.Stream``."""

    def __init__(self, model: str, sent: bytes) -> None:
        self.overfull = False
        self._called_size = 0
        self._model, self._sent = model, len(sent)
        self._usage: Usage | None = None
        self._is_error = False
        self._seen = 0
        self._last: dict[str, Any] | None = None
        self._open: set[int] = set()
        self._fresh: list[Proposal] = []
        self._proposals: list[Proposal] = []
        self._refused: list[tuple[Proposal, str]] = []
        self._items: dict[int, dict[str, Any]] = {}
        self._proposed: dict[int, list[Proposal]] = {}
        self._pieces: dict[int, list[str]] = {}  # arguments as deltas tell them, by which some clients go
        self._ended: set[int] = set()
        self._gone: dict[int, str] = {}  # indices of what is kept from the agent, with the texts in their place

    def read(self, event: Event) -> bool:
        """Take in one event: its kind is told by ``type``, which SDKs go by, not by the event's name."""
        told = mapping(load(event.data)) if event.data else {}
        kind = text(told.get("type"))
        if kind in ("response.output_item.added", "response.output_item.done"):
            self._read_item(_index(told), mapping(told.get("item")), done=kind.endswith("done"))
        elif kind.endswith((".delta", ".done")):
            if kind.startswith(_OF_CALL) and _index(told) not in self._ended:
                self._grow(_index(told), told, kind)
            if kind.endswith(".delta"):
                self._seen += size_of(told.get("delta"))
        elif kind == "error":
            self._is_error = True
        elif isinstance(told.get("response"), dict):
            self._read_response(told["response"], last=kind in _LAST)
        return bool(self._open)

    def _grow(self, index: int, told: dict[str, Any], kind: str) -> None:
        """Take in a piece of arguments; what is said at their end must be what the pieces said."""
        self._called_size += size_of(told.get("delta"))
        if self._is_full(index) or self._called_size > MOST_ARGUMENTS:
            self.overfull = True
            return
        self._open.add(index)
        pieces = self._pieces.setdefault(index, [])
        if self._items.get(index, told).get("id") not in (None, told.get("item_id")):
            pieces.append(_UNCLEAR)  # by its id it is a piece of another call
        if kind.endswith(".delta"):
            pieces.append(text(told.get("delta")))
        elif isinstance(whole := told.get("arguments", told.get("input")), str):
            said = "".join(pieces) or whole
            self._pieces[index] = [said] if said == whole else [said, _UNCLEAR]

    def _read_item(self, index: int, item: dict[str, Any], *, done: bool) -> None:
        if done:
            self._open.discard(index)
        if not proposes(item):
            return
        if self._is_full(index):
            self.overfull = True
            return
        self._items[index] = item
        if not done:
            self._ended.discard(index)
            self._open.add(index)
            return
        self._ended.add(index)
        proposal = proposal_of(item)
        pieces = "".join(self._pieces.pop(index, ()))
        if pieces and pieces != item.get("arguments", item.get("input")):
            proposal = Proposal(proposal.name, None, proposal.id)
        self._propose(index, proposal)

    def _is_full(self, index: int) -> bool:
        """Whether a call more would be one too many."""
        known = index in self._items or index in self._open
        return not known and len(self._items) + len(self._open) >= MOST_PROPOSALS

    def _read_response(self, response: dict[str, Any], *, last: bool) -> None:
        self._model = text(response.get("model")) or self._model
        for index, item in enumerate(map(mapping, items(response.get("output")))):
            if proposes(item):
                self._open.discard(index)
                self._items.setdefault(index, item)
                self._propose(index, proposal_of(item))
        if not last:
            return
        self._last = response
        self._usage = usage_of(response.get("usage"), self._model) or self._usage
        self._is_error = self._is_error or bool(response.get("error")) or response.get("status") == "failed"
        for index in self._open:  # begun, and never told whole: no arguments that a rule could judge
            begun = proposal_of(self._items.setdefault(index, {}))
            self._propose(index, Proposal(begun.name, None, begun.id))
        self._open.clear()

    def _propose(self, index: int, proposal: Proposal) -> None:
        self._proposed.setdefault(index, []).append(proposal)
        if len(self._proposals) >= MOST_PROPOSALS:
            self.overfull = True
        elif not any(same(proposal, known) for known in self._proposals):
            self._proposals.append(proposal)
            self._fresh.append(proposal)

    def complete(self) -> tuple[Proposal, ...]:
        """The proposals that have become complete since this was last asked."""
        if not self._fresh:
            return ()
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def hidden(self, event: Event) -> bool:
        """Whether it is a piece of a call that has ended: clients that join pieces would put it to the call, which was
        judged without."""
        if not self._ended or b"_call" not in event.data:
            return False
        told = mapping(load(event.data))
        return text(told.get("type")).startswith(_OF_CALL) and _index(told) in self._ended

    def without(self, held: Sequence[Event], refused: Sequence[tuple[Proposal, str]]) -> bytes:
        """The held events, with all that is about a refused call replaced by the events of a message."""
        self._refused += refused
        told = [mapping(load(event.data)) if event.data else {} for event in held]
        for index, proposals in self._proposed.items():
            for proposal in proposals:
                if index not in self._gone and (said := refused_text(proposal, self._refused)) is not None:
                    self._gone[index] = said
        passed: list[bytes] = []
        replaced: set[int] = set()
        for event, of_event in zip(held, told, strict=True):
            index = _index(of_event)
            if index not in self._gone or not _about_item(of_event):
                passed.append(self.correct(event))
            elif index not in replaced:
                replaced.add(index)
                numbers = [each.get("sequence_number") for each in told if _index(each) == index]
                passed += _message_events(self._items[index], self._gone[index], index, numbers)
        return b"".join(passed)

    def correct(self, event: Event) -> bytes:
        """The event for the agent: the response that it repeats has messages in place of refused calls."""
        told = load(event.data) if event.data else None
        if not isinstance(told, dict):
            return event.raw
        if _index(told) in self._gone and _about_item(told):
            return b""
        response = told.get("response")
        if not isinstance(response, dict):
            return event.raw
        corrected = self._strip(response)
        return event.raw if corrected is response else sse.event(dump({**told, "response": corrected}), event.name)

    def _strip(self, response: dict[str, Any]) -> dict[str, Any]:
        output, changed = [], False
        for item in items(response.get("output")):
            said = refused_text(proposal_of(item), self._refused) if proposes(mapping(item)) else None
            output.append(item if said is None else message_of(item, said))
            changed = changed or said is not None
        return {**response, "output": output} if changed else response

    def failed(self, refusal: Refusal) -> bytes:
        """An error as OpenAI's SDKs raise it from a stream: they look for ``error`` in an event's data."""
        error = error_of(refusal)
        return sse.event(dump({**error, "type": "error", "sequence_number": 0, "error": error}), "error")

    def found(self, *, complete: bool) -> Findings:
        """What is known; usage estimated by the bytes of deltas where the response was not told to its end."""
        proposed = tuple(self._proposals)
        if self._usage is not None:
            return Findings(self._is_error, self._usage, proposed)
        usage = Usage(self._model, tokens_of(self._sent), tokens_of(self._seen), estimated=True)
        why = "the stream does not tell it" if complete else "the stream was cut off"
        return Findings(self._is_error, usage, proposed, notes=(f"usage estimated: {why}",))

    def result(self, events: Sequence[Event]) -> dict[str, Any] | None:  # noqa: ARG002
        """The response as the last event tells it, without refused calls."""
        return None if self._last is None else self._strip(self._last)


def _index(told: Mapping[str, Any]) -> int:
    """The index of the item that an event is about; -1 where it names none."""
    index = told.get("output_index")
    return index if isinstance(index, int) else -1


def _about_item(told: Mapping[str, Any]) -> bool:
    """Whether an event is about one item: of those that name no index, those that tell it or a piece of a call."""
    return "output_index" in told or "item" in told or text(told.get("type")).startswith(_OF_CALL)


def _message_events(item: dict[str, Any], said: str, index: int, numbers: Sequence[object]) -> Iterator[bytes]:
    """The events of a message with one text, in place of those that had these sequence numbers."""
    message = message_of(item, said)
    [part] = message["content"]
    about = {"item_id": message["id"], "output_index": index, "content_index": 0}
    told: list[dict[str, Any]] = [
        {
            "type": "response.output_item.added",
            "output_index": index,
            "item": message_of(item, said, "in_progress"),
        },
        {"type": "response.content_part.added", **about, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **about, "delta": said, "logprobs": []},
        {"type": "response.output_text.done", **about, "text": said, "logprobs": []},
        {"type": "response.content_part.done", **about, "part": part},
        {"type": "response.output_item.done", "output_index": index, "item": message},
    ]
    known = [number for number in numbers if isinstance(number, int)] or [0]
    for at, each in enumerate(told):
        each["sequence_number"] = known[min(at, len(known) - 1)]
        yield sse.event(dump(each), each["type"])
