"""Streamed answers of Anthropic's Messages API.

``message_start`` (input tokens), then blocks (``content_block_start``, deltas, ``content_block_stop``), then
``message_delta`` (stop reason, the totals so far) and ``message_stop``. ``error`` and ``ping`` come at any place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from gateway.model import Findings, Proposal, Refusal, Usage
from gateway.understand import anthropic_answer, members, strict_json
from gateway.understand.anthropic_answer import error_of, usage_notes, usage_of
from gateway.understand.dialect import MOST_ARGUMENTS, MOST_PROPOSALS
from gateway.understand.members import dump, items, mapping, refused_text, text, tokens_of
from gateway.understand.sse import Event, event


class Blocks:
    """Puts ``tool_use`` blocks together from their events."""

    def __init__(self) -> None:
        self.open: dict[Any, tuple[Mapping[str, Any], list[str]]] = {}
        """Blocks that have begun and not ended, by index: how they began, and pieces of JSON."""
        self.ended: set[Any] = set()
        """Indexes of blocks that have ended."""
        self.unclear = False
        """Indexes are not as blocks come: SDKs put pieces into blocks by their place, others by the index."""
        self._begun = self._size = self.called = 0

    def skip(self, count: int) -> None:
        """So many blocks came with the start of the message."""
        self._begun += count

    def take(self, told: Mapping[str, Any]) -> list[tuple[Any, Proposal]]:
        """Take in the data of one event; the proposals that it completes, with their indexes."""
        kind, index = told.get("type"), _index(told)
        if kind == "content_block_start":
            done = self._end(index)  # a block that begins again never ended
            self.unclear = self.unclear or index != self._begun
            self._begun += 1
            self.ended.discard(index)
            if mapping(told.get("content_block")).get("type") == "tool_use":
                self.called += 1
                self.open[index] = (mapping(told["content_block"]), [])
            return done
        if kind == "content_block_delta":
            self._grow(index, mapping(told.get("delta")))
        elif kind == "content_block_stop":
            return self._end(index)
        elif kind in ("message_delta", "message_stop"):
            return [done for open_index in list(self.open) for done in self._end(open_index)]
        return []

    def _grow(self, index: Any, delta: Mapping[str, Any]) -> None:
        if delta.get("type") == "input_json_delta" and index in self.open and self._size <= MOST_ARGUMENTS:
            piece = text(delta.get("partial_json"))
            self._size += len(piece)
            self.open[index][1].append(piece)

    def _end(self, index: Any) -> list[tuple[Any, Proposal]]:
        if index not in self.open:
            return []
        begun, pieces = self.open.pop(index)
        self.ended.add(index)
        given = begun.get("input")
        if pieces and (whole := "".join(pieces)):
            given = _parsed(whole) if self._size <= MOST_ARGUMENTS and not given else None
        args = given if isinstance(given, dict) and not self.unclear else None
        return [(index, Proposal(text(begun.get("name")), args, text(begun.get("id"))))]


class MessageStream:
    """Reads one streamed message. ``asked_size``: bytes of the request, for an estimate where nothing is told."""

    def __init__(self, model: str, asked_size: int) -> None:
        self.overfull = False
        self._model = model
        self._asked_size = asked_size
        self._usage: dict[str, Any] = {}
        self._settled = False
        """The totals have come."""
        self._said = 0
        """Bytes of what the model said, for an estimate."""
        self._failed = False
        self._blocks = Blocks()
        self._ready: list[Proposal] = []
        self._proposed: list[Proposal] = []
        self._refused: list[tuple[Proposal, str]] = []

    def read(self, event: Event) -> bool:
        """Take in one event; whether a proposal is not complete."""
        told = _data(event)
        kind = told.get("type")
        self.overfull = self.overfull or self._blocks.called >= MOST_PROPOSALS
        if kind == "content_block_delta":
            self._said += _size(mapping(told.get("delta")))
        elif kind == "message_start":
            message = mapping(told.get("message"))
            self._model = text(message.get("model")) or self._model
            self._usage.update(mapping(message.get("usage")))
            if content := items(message.get("content")):  # SDKs take blocks from here too
                self._blocks.skip(len(content))
                self.overfull = self.overfull or len(content) > MOST_PROPOSALS
                self._ready += anthropic_answer.read(message).proposed
        elif kind == "message_delta":
            # The totals so far: what is absent or null keeps the value it had.
            totals = mapping(told.get("usage"))
            self._usage.update({name: value for name, value in totals.items() if value is not None})
            self._settled = self._settled or "output_tokens" in totals
        elif kind == "error":
            self._failed = True
        if not self.overfull:
            self._ready += [proposal for _, proposal in self._blocks.take(told)]
        return bool(self._blocks.open)

    def complete(self) -> tuple[Proposal, ...]:
        """The proposals that have become complete since this was last asked."""
        ready, self._ready = tuple(self._ready), []
        self._proposed += ready
        return ready

    def hidden(self, event: Event) -> bool:
        """Whether it is a piece of a call that has ended: SDKs would put it to the call, which was judged without."""
        if not self._blocks.ended or b"input_json_delta" not in event.data:
            return False
        told = _data(event)
        return mapping(told.get("delta")).get("type") == "input_json_delta" and _index(told) in self._blocks.ended

    def without(self, held: Sequence[Event], refused: Sequence[tuple[Proposal, str]]) -> bytes:
        """The held events with a text block of the same index in the place of each refused proposal."""
        datas = [_data(event) for event in held]
        gone = self._places(datas, refused)
        self._refused += refused
        out: list[bytes] = []
        for at, (event_, told) in enumerate(zip(held, datas, strict=True)):
            place = next((g for g in gone if g[0] <= at <= g[1] and g[2] == _index(told)), None)
            if place is None or not text(told.get("type")).startswith("content_block_"):
                out.append(self.correct(event_))
            elif told["type"] == "content_block_start":
                out.append(_text_block(place[2], place[3]))
        return b"".join(out)

    def _places(
        self, datas: Sequence[Mapping[str, Any]], refused: Sequence[tuple[Proposal, str]]
    ) -> list[tuple[int, int, Any, str]]:
        """Where refused proposals stand in these events: first and last event, index of the block, text for it."""
        blocks = Blocks()
        blocks.skip(next((told["index"] for told in datas if _starts(told) and isinstance(told.get("index"), int)), 0))
        if self._blocks.unclear:  # then arguments were read of none, or of all: calls go by their names
            refused = [(structs.replace(proposal, args=None), said) for proposal, said in refused]
            blocks.unclear = True
        begun: dict[Any, int] = {}
        places = []
        for at, told in enumerate(datas):
            starts = _starts(told)
            for index, proposal in blocks.take(told):
                if (said := refused_text(proposal, refused)) is not None:
                    places.append((begun[index], at - starts, index, said))
            if starts:
                begun[_index(told)] = at
        return places

    def correct(self, event: Event) -> bytes:
        """A stop for a tool's use becomes the end of the turn, where no use of a tool is left."""
        if not self._refused:
            return event.raw
        if b"message_start" in event.data:
            return self._correct_start(event)
        if len(self._refused) < len(self._proposed) or b"message_delta" not in event.data:
            return event.raw
        told = _data(event)
        delta = mapping(told.get("delta"))
        if delta.get("stop_reason") != "tool_use":
            return event.raw
        return _event({**told, "delta": {**delta, "stop_reason": "end_turn"}})

    def _correct_start(self, event: Event) -> bytes:
        told = _data(event)
        message = mapping(told.get("message"))
        if told.get("type") != "message_start" or not items(message.get("content")):
            return event.raw
        return _event({**told, "message": anthropic_answer.without(message, self._refused)})

    def failed(self, refusal: Refusal) -> bytes:
        """An ``error`` event, at which the SDKs raise."""
        return _event({"type": "error", "error": error_of(refusal)})

    def found(self, *, complete: bool) -> Findings:
        """Usage as told; from the bytes where the totals never came."""
        usage = usage_of(self._model, self._usage)
        notes = usage_notes(self._usage)
        if not self._settled:
            usage = Usage(
                self._model,
                usage.input_tokens or tokens_of(self._asked_size),
                max(usage.output_tokens, tokens_of(self._said)),
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                usage.reasoning_tokens,
                estimated=True,
            )
            why = "the stream gave no totals" if complete else "the stream was cut"
            notes = (*notes, f"usage estimated: {why}")
        return Findings(self._failed, usage, (*self._proposed, *self._ready), notes=notes)

    def result(self, events: Sequence[Event]) -> dict[str, Any] | None:
        """The message that the events make up; None where they do not begin one."""
        message: dict[str, Any] | None = None
        content: dict[Any, dict[str, Any]] = {}
        blocks = Blocks()
        for told in map(_data, events):
            kind, index = told.get("type"), _index(told)
            if kind == "message_start":
                message = dict(mapping(told.get("message")))
            elif kind == "content_block_start":
                content[index] = dict(mapping(told.get("content_block")))
            elif kind == "content_block_delta" and index in content:
                _grow(content[index], mapping(told.get("delta")))
            elif kind == "message_delta" and message is not None:
                message.update(mapping(told.get("delta")))
                message["usage"] = {**mapping(message.get("usage")), **mapping(told.get("usage"))}
            for done, proposal in blocks.take(told):
                content[done]["input"] = proposal.args
        return None if message is None else {**message, "content": list(content.values())}


def _grow(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Put what a delta adds to the text or the thoughts of a block."""
    for member in ("text", "thinking"):
        if isinstance(piece := delta.get(member), str):
            block[member] = text(block.get(member)) + piece


def _parsed(whole: str) -> Any:
    """The arguments that pieces of text make up; None where they are no JSON that can be read in one way only."""
    try:
        return strict_json.parse(whole.encode())
    except ValueError:
        return None


def _data(event: Event) -> Mapping[str, Any]:
    return mapping(members.load(event.data)) if event.data else {}


def _index(told: Mapping[str, Any]) -> Any:
    """The index of an event's block, fit for a key of a dict."""
    index = told.get("index")
    return index if isinstance(index, int | str) else None


def _starts(told: Mapping[str, Any]) -> bool:
    return told.get("type") == "content_block_start"


def _size(delta: Mapping[str, Any]) -> int:
    """Bytes of what a delta says."""
    said = delta.get("text") or delta.get("partial_json") or delta.get("thinking")
    return len(text(said).encode("utf-8", "surrogatepass"))


def _event(data: Mapping[str, Any]) -> bytes:
    return event(dump(data), str(data["type"]))


def _text_block(index: Any, said: str) -> bytes:
    """A whole block of text as events."""
    return b"".join(
        [
            _event({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}),
            _event({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": said}}),
            _event({"type": "content_block_stop", "index": index}),
        ]
    )
