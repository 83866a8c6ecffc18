"""Streams of OpenAI's chat completions and completions: chunks, until ``[DONE]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.model import Findings, Proposal, Refusal, Usage
from gateway.understand import sse
from gateway.understand.dialect import MOST_ARGUMENTS, MOST_PROPOSALS
from gateway.understand.members import dump, items, load, mapping, refused_text, text, tokens_of
from gateway.understand.openai_shapes import arguments_of, error_of, size_of, usage_of
from gateway.understand.sse import Event

Key = tuple[int, int]
"""A call: number of the choice, and index in it. SDKs put together what has the same."""
_OLD = -1
"""In place of an index: ``function_call``, which came before ``tool_calls``."""
_CALLED = ("tool_calls", "function_call")
_DONE = b"[DONE]"


class _Called:
    """A tool call as far as it has come: pieces of arguments are joined by all clients, those of a name by some."""

    __slots__ = ("custom", "ident", "kinds", "name", "pieces", "unclear")

    def __init__(self) -> None:
        self.ident = self.name = ""
        self.pieces: list[str] = []
        self.custom = self.unclear = False
        self.kinds: set[str] = set()

    def add(self, entry: dict[str, Any]) -> int:
        """Take in a delta. Gives the size of what the model wrote of it."""
        self.ident += text(entry.get("id"))
        custom = mapping(entry.get("custom"))
        self.custom = self.custom or bool(custom)
        self.kinds.update(kind for kind in ("custom", "function") if mapping(entry.get(kind)))
        told = custom or mapping(entry.get("function"))
        more = told.get("input") if custom else told.get("arguments")
        if isinstance(more, dict):
            more = dump(more).decode()
        # Of a name in two pieces clients take the first, the last or both; of a call of two kinds, either.
        self.unclear = self.unclear or len(self.kinds) > 1 or bool(self.name and told.get("name"))
        self.name += text(told.get("name"))
        if isinstance(more, str):
            self.pieces.append(more)
        return size_of(more) + size_of(told.get("name"))

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def proposal(self) -> Proposal:
        """The call as rules see it."""
        if self.unclear:
            return Proposal(self.name, None, self.ident)
        args = {"input": self.arguments} if self.custom else arguments_of(self.arguments)
        return Proposal(self.name, args, self.ident)

    def message(self) -> dict[str, Any]:
        """The call as it stands in an answer that is not streamed."""
        if self.custom:
            return {"id": self.ident, "type": "custom", "custom": {"name": self.name, "input": self.arguments}}
        return {"id": self.ident, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class ChatStream:
    """Reads chunks; see ``dialect.Stream``. ``hides``: the chunk with the usage is the gateway's own."""

    def __init__(self, model: str, sent: bytes, *, hides: bool) -> None:
        self._model, self._sent, self._hides = model, len(sent), hides
        self.overfull = False
        self._called_size = 0
        self._event: Event | None = None
        self._chunk: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._is_error = False
        self._seen = 0
        self._spoken: set[int] = set()
        self._calls: dict[Key, _Called] = {}
        self._open: dict[Key, None] = {}
        self._fresh: list[Proposal] = []
        self._proposals: dict[Key, Proposal] = {}
        self._refused: dict[Key, str] = {}
        self._told: set[Key] = set()
        self._places: dict[Key, int] = {}

    def read(self, event: Event) -> bool:
        """Take in one chunk."""
        if event.data.strip() == _DONE:
            self._close(list(self._open))
            return False
        chunk = self._load(event)
        if chunk:
            self._model = text(chunk.get("model")) or self._model
            if chunk.get("usage"):
                self._usage = usage_of(chunk["usage"], self._model) or self._usage
            self._is_error = self._is_error or bool(chunk.get("error"))
            for choice in items(chunk.get("choices")):
                self._read_choice(mapping(choice))
        return bool(self._open)

    def _load(self, event: Event) -> dict[str, Any]:
        if event is not self._event:
            self._event = event
            self._chunk = mapping(load(event.data)) if event.data else {}
        return self._chunk

    def _read_choice(self, choice: dict[str, Any]) -> None:
        number = _number(choice)
        delta = mapping(choice.get("delta"))
        for said in (delta.get("content"), delta.get("refusal"), choice.get("text")):
            if said:
                self._spoken.add(number)
                self._seen += size_of(said)
        self._seen += size_of(delta.get("reasoning_content") or delta.get("reasoning"))
        for position, entry in enumerate(items(delta.get("tool_calls"))):
            self._add(_key(number, entry, position), mapping(entry))
        if delta.get("function_call"):
            self._add((number, _OLD), {"function": delta["function_call"]})
        if choice.get("finish_reason"):
            self._close([key for key in self._open if key[0] == number])

    def _add(self, key: Key, entry: dict[str, Any]) -> None:
        called = self._calls.get(key)
        if (called is None and len(self._calls) >= MOST_PROPOSALS) or self._called_size > MOST_ARGUMENTS:
            self.overfull = True
            return
        if called is None:
            called = self._calls[key] = _Called()
        self._open[key] = None
        size = called.add(entry)
        self._called_size += size
        self._seen += size

    def _close(self, keys: list[Key]) -> None:
        for key in keys:
            del self._open[key]
            self._proposals[key] = proposal = self._calls[key].proposal()
            self._fresh.append(proposal)

    def complete(self) -> tuple[Proposal, ...]:
        """The proposals that have become complete since this was last asked."""
        if not self._fresh:
            return ()
        fresh, self._fresh = tuple(self._fresh), []
        return fresh

    def hidden(self, event: Event) -> bool:
        """Whether this is the chunk with the usage that only the gateway asked for."""
        if not self._hides:
            return False
        chunk = self._load(event)
        return chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)

    def without(self, held: Sequence[Event], refused: Sequence[tuple[Proposal, str]]) -> bytes:
        """The held chunks, with refused calls taken out, and the text in the content where the call began."""
        for key, proposal in self._proposals.items():
            if key not in self._refused and (said := refused_text(proposal, refused)) is not None:
                self._refused[key] = said
        return b"".join([self.correct(event) for event in held])

    def correct(self, event: Event) -> bytes:
        """The chunk for the agent: without the pieces of refused calls, the indices of others without gaps."""
        chunk = load(event.data) if event.data else None
        if not isinstance(chunk, dict):
            return event.raw
        changed = False
        for choice in items(chunk.get("choices")):
            changed = self._correct_choice(mapping(choice)) or changed
        if not changed:
            return event.raw
        if not chunk.get("usage") and all(_is_bare(mapping(choice)) for choice in items(chunk.get("choices"))):
            return b""
        return sse.event(dump(chunk), event.name)

    def _correct_choice(self, choice: dict[str, Any]) -> bool:
        number = _number(choice)
        delta = mapping(choice.get("delta"))
        kept, texts = [], []
        changed = False
        for position, entry in enumerate(items(delta.get("tool_calls"))):
            key = _key(number, entry, position)
            if key in self._refused:
                texts += self._text_of(key)
                changed = True
                continue
            place = self._places.setdefault(key, sum(1 for known in self._places if known[0] == number))
            changed = changed or place != key[1]
            kept.append({**mapping(entry), "index": place})
        if (number, _OLD) in self._refused and delta.pop("function_call", None):
            texts += self._text_of((number, _OLD))
            changed = True
        if changed:
            self._write(choice, delta, kept, texts)
        if choice.get("finish_reason") in _CALLED and self._left(number) == 0:
            choice["finish_reason"] = "stop"
            changed = True
        return changed

    def _write(self, choice: dict[str, Any], delta: dict[str, Any], kept: list[Any], texts: list[str]) -> None:
        if kept:
            delta["tool_calls"] = kept
        else:
            delta.pop("tool_calls", None)
        if texts:
            delta["content"] = text(delta.get("content")) + "".join(texts)
        if "logprobs" in choice:
            choice["logprobs"] = None

    def _text_of(self, key: Key) -> list[str]:
        """The text of a refused call, once; on a line of its own."""
        if key in self._told:
            return []
        self._told.add(key)
        line = "\n" if key[0] in self._spoken else ""
        self._spoken.add(key[0])
        return [line + self._refused[key]]

    def _left(self, number: int) -> int:
        return sum(1 for key in self._calls if key[0] == number and key not in self._refused)

    def failed(self, refusal: Refusal) -> bytes:
        """An error as OpenAI's SDKs raise it from a stream, and the end."""
        return sse.event(dump({"error": error_of(refusal)})) + sse.event(_DONE)

    def found(self, *, complete: bool) -> Findings:
        """What is known; usage estimated by the bytes of texts where it was not told."""
        proposed = tuple(self._proposals.values())
        if self._usage is not None:
            return Findings(self._is_error, self._usage, proposed)
        usage = Usage(self._model, tokens_of(self._sent), tokens_of(self._seen), estimated=True)
        why = "the stream does not tell it" if complete else "the stream was cut off"
        return Findings(self._is_error, usage, proposed, notes=(f"usage estimated: {why}",))

    def result(self, events: Sequence[Event]) -> dict[str, Any] | None:
        """The chunks as one completion, without refused calls."""
        head: dict[str, Any] | None = None
        choices: dict[int, dict[str, Any]] = {}
        contents: dict[int, list[str]] = {}
        for event in events:
            chunk = load(event.data) if event.data else None
            if not isinstance(chunk, dict):
                continue
            head = head or chunk
            for each in map(mapping, items(chunk.get("choices"))):
                number = _number(each)
                choice = choices.setdefault(number, {"index": number, "finish_reason": None})
                choice["finish_reason"] = each.get("finish_reason") or choice["finish_reason"]
                said = text(mapping(each.get("delta")).get("content")) or text(each.get("text"))
                contents.setdefault(number, []).append(said)
        if head is None:
            return None
        for number, choice in choices.items():
            choice["message"] = self._message(number, "".join(contents[number]))
        told: dict[str, Any] = {name: head[name] for name in ("id", "created", "model") if name in head}
        return {**told, "object": "chat.completion", "choices": list(choices.values())}

    def _message(self, number: int, content: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": content}
        calls = [
            called.message() for key, called in self._calls.items() if key[0] == number and key not in self._refused
        ]
        if calls:
            message["tool_calls"] = calls
        return message


def _number(choice: dict[str, Any]) -> int:
    number = choice.get("index")
    return number if isinstance(number, int) else 0


def _key(number: int, entry: object, position: int) -> Key:
    index = mapping(entry).get("index")
    return number, index if isinstance(index, int) else position


def _is_bare(choice: dict[str, Any]) -> bool:
    """Whether nothing is left in a chunk's choice that an agent needs."""
    return not choice.get("finish_reason") and not any(mapping(choice.get("delta")).values())
