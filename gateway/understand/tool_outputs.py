"""What tools answered, in a request to a model: found in the shapes of all providers, and changed where it stands.

OpenAI: messages of the roles tool and function, items of the types ``*_output`` (Responses). Anthropic: blocks
``tool_result``. Gemini: parts ``functionResponse``. Where a body has none of them, it stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.model import Changed, Treated
from gateway.policy.redaction import MASK, TOOL_RESULTS, redact
from gateway.policy.treatments import change_of, done

Change = Callable[[Any], Any]


def redacted(args: Mapping[str, Any], fields: Iterable[Changed]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """As ``policy.redaction.redact``, for the body of a request to a model."""
    masked, led = redact(args, fields)
    for field in dict.fromkeys(fields):
        path = field.path if isinstance(field, Treated) else field
        if path != TOOL_RESULTS:
            continue
        changed = _outputs(masked, _mask if isinstance(field, str) else change_of(field))
        if changed is not masked:
            masked = changed
            led = (*led, field if isinstance(field, str) else done(field))
    return masked, led


def _mask(value: Any) -> Any:
    """A mask over every text: other values may be told by it."""
    if isinstance(value, Mapping):
        return {name: _mask(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_mask(item) for item in value]
    return MASK


def _outputs(body: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The body itself where nothing is changed."""
    changed = dict(body)
    for name, of_item in (("messages", _message), ("input", _item), ("contents", _content)):
        items = body.get(name)
        if not isinstance(items, list):
            continue
        new = [of_item(item, change) if isinstance(item, Mapping) else item for item in items]
        if any(one is not old for one, old in zip(new, items, strict=True)):
            changed[name] = new
    same = all(changed[name] is body[name] for name in changed)
    return body if same and isinstance(body, dict) else changed


def _message(message: Mapping[str, Any], change: Change) -> Mapping[str, Any]:
    """OpenAI's chat, and Anthropic."""
    content = message.get("content")
    if message.get("role") in ("tool", "function"):
        return _with(message, "content", _texts(content, change))
    if not isinstance(content, list):
        return message
    return _with(message, "content", _each(content, lambda block: _block(block, change)))


def _block(block: Mapping[str, Any], change: Change) -> Mapping[str, Any]:
    if not str(block.get("type")).endswith("tool_result"):
        return block
    return _with(block, "content", _texts(block.get("content"), change))


def _item(item: Mapping[str, Any], change: Change) -> Mapping[str, Any]:
    """OpenAI's responses."""
    if not str(item.get("type")).endswith("_output"):
        return item
    return _with(item, "output", _texts(item.get("output"), change))


def _content(content: Mapping[str, Any], change: Change) -> Mapping[str, Any]:
    """Gemini."""
    parts = content.get("parts")
    if not isinstance(parts, list):
        return content
    return _with(content, "parts", _each(parts, lambda part: _part(part, change)))


def _part(part: Mapping[str, Any], change: Change) -> Mapping[str, Any]:
    for name in ("functionResponse", "function_response"):
        answer = part.get(name)
        if isinstance(answer, Mapping) and "response" in answer:
            part = _with(part, name, _with(answer, "response", change(answer["response"])))
    return part


def _texts(content: Any, change: Change) -> Any:
    """A text, or blocks with texts; of blocks nothing else is changed, since their types would be wrong then."""
    if isinstance(content, str):
        return change(content)
    if not isinstance(content, list):
        return content
    return _each(content, lambda block: _with(block, "text", change(block["text"])) if "text" in block else block)


def _each(items: list[Any], change: Change) -> list[Any]:
    new = [change(item) if isinstance(item, Mapping) else item for item in items]
    return items if all(one is old for one, old in zip(new, items, strict=True)) else new


def _with(holder: Mapping[str, Any], name: str, value: Any) -> Mapping[str, Any]:
    return holder if name not in holder or value is holder[name] else {**holder, name: value}
