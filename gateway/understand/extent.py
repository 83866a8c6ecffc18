"""How much a request to a model can read and write at most: the bound that budgets reserve by.

A token of text is at least one byte, and every message, tool and member costs more bytes of JSON than tokens, so the
bytes of the body bound the input, except for what they only stand for: pictures (bounded by what a provider makes of
one), and whatever lies elsewhere or is unpacked there (files, documents, video, stored conversations, caches, tools
that the provider runs): no count of bytes bounds those.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any, Literal

from gateway.model import Extent
from gateway.understand.dialect import Asked
from gateway.understand.members import dump

SLACK = 64
"""Tokens that a provider puts around a conversation."""
TOOLS = 1024
"""Tokens of the system prompt that explains tools (Anthropic documents up to 804)."""
PICTURE, PICTURE_MINI = 5000, 48_169
"""Tokens of one picture at most: Anthropic's and Gemini's largest are below 5,000, OpenAI's too, but for gpt-4o-mini:
2,833 and 5,667 for each of 8 tiles."""
MOST_MODELS = 16
"""Models that a request may name: each has its price looked up."""
OUTPUT = 1 << 17
"""Tokens of an answer that nothing bounds: as many as the largest models write."""

_ABSURD = float(1 << 53)
"""No more of anything is asked for in earnest."""
_COUNTS = ("n", "best_of", "candidateCount", "candidate_count")
_BEYOND = frozenset({"previous_response_id", "conversation", "cachedContent", "cached_content", "container"})
"""Members of a request that refer to what is kept at the provider; ``mcp_servers`` and ``prompt`` are looked at."""
_PICTURES = frozenset({"image", "image_url", "input_image"})
_FILES = frozenset({"file", "input_file", "document", "video_url", "input_video", "item_reference", "container_upload"})
_ELSEWHERE = frozenset({"fileData", "file_data", "file_id"})
"""Members of a part that refer to what is kept at the provider, or hold a file."""
_COUNTED = ("image/", "audio/", "text/")
"""Media of which a token takes at least a byte, or that are counted by the piece."""
_OWN_TOOLS = frozenset({"", "function", "custom", "namespace", "allowed_tools"})
"""Types of tools that the agent runs itself. The provider runs the others, and lets the model read what they give."""


def extent_of(
    args: Mapping[str, Any], sent: bytes, asked: Asked, metered: Literal["nothing", "input", "both"]
) -> Extent:
    """The bound of a request whose body is ``args``, and is sent as ``sent``."""
    if metered == "nothing":
        return Extent(0, 0)
    besides = _besides(args) if asked.max_tokens else OUTPUT
    output = _written(args, asked.max_tokens or OUTPUT) if metered == "both" else 0
    pictures, beyond, sound = _counted(args)
    answers = _answers(args) if output else 1
    picture = PICTURE_MINI if "4o-mini" in asked.model else PICTURE
    read = len(sent) + SLACK + pictures * picture + (TOOLS if asked.tools else 0)
    sound = sound or beyond or _kept(args) or _speaks(args)
    beyond = beyond or _refers(args)
    return Extent(read, output * answers, answers, beyond, _other_models(args), besides, sound)


def _written(args: Mapping[str, Any], most: int) -> int:
    """Tokens of one answer at most, where models that may stand in for the first have bounds of their own."""
    return max([most, *_bounds(args, "fallbacks")]) + _besides(args)


def _besides(args: Mapping[str, Any]) -> int:
    """What is written besides: by models that advise the first (Anthropic), and what is predicted of the answer
    (OpenAI), which is paid as if written where it does not come true."""
    predicted = args.get("prediction")
    return sum(_bounds(args, "tools")) + (len(dump(predicted)) if predicted else 0)


def _bounds(args: Mapping[str, Any], where: str) -> list[int]:
    return [_number(entry.get("max_tokens")) for entry in _entries(args, where) if isinstance(entry, dict)]


def _entries(args: Mapping[str, Any], where: str) -> list[Any]:
    entries = args.get(where)
    return entries if isinstance(entries, list) else []


def _number(value: Any) -> int:
    """A count, however lax a server reads it; 0 where it is none."""
    try:
        return 0 if value is None or isinstance(value, bool) else ceil(min(float(value), _ABSURD))
    except (TypeError, ValueError, OverflowError):
        return 0


def _answers(args: Mapping[str, Any]) -> int:
    """How many answers are asked for, and paid: so many for each prompt, where there are several (OpenAI's completions
    of old take an array of texts, or of arrays of tokens)."""
    config = args.get("generationConfig") or args.get("generation_config")
    holders = [args, config] if isinstance(config, dict) else [args]
    counts = [_number(holder.get(name)) for holder in holders for name in _COUNTS]
    prompts = sum(not isinstance(each, int) for each in _entries(args, "prompt"))
    return max([1, *counts]) * max(1, prompts)


def _refers(args: Mapping[str, Any]) -> bool:
    """Whether the request as a whole refers to what is kept, or done, at the provider."""
    if _kept(args) or args.get("mcp_servers") or isinstance(args.get("prompt"), dict):
        return True
    tools = args.get("tools")
    entries = tools if isinstance(tools, list) else [tools] if isinstance(tools, dict) else []
    return any(isinstance(entry, dict) and _runs_there(entry) for entry in entries) or bool(
        args.get("web_search_options") is not None
    )


def _kept(args: Mapping[str, Any]) -> bool:
    """Whether the request goes on with what is kept at the provider."""
    return any(args.get(name) for name in _BEYOND)


def _runs_there(tool: Mapping[str, Any]) -> bool:
    """Whether it is the provider that runs the tool: by its type, in Gemini by its member."""
    kind = tool.get("type")
    if kind is not None:
        return str(kind) not in _OWN_TOOLS
    if "name" in tool or "function" in tool:
        return False
    return any(
        member not in ("functionDeclarations", "function_declarations")
        for member, value in tool.items()
        if value is not None
    )


def _other_models(args: Mapping[str, Any]) -> tuple[str, ...]:
    """Models that may answer in place of the first, or beside it (Anthropic's advisors). Of too many the last is "",
    which has no price."""
    found: dict[str, None] = {}
    for where in ("models", "fallbacks", "tools"):
        for entry in _entries(args, where):
            model = entry.get("model") if isinstance(entry, dict) else entry if where != "tools" else None
            if isinstance(model, str) and model:
                found[model] = None
            if len(found) > MOST_MODELS:
                return (*found, "")
    return tuple(found)


def _speaks(args: Mapping[str, Any]) -> bool:
    """Whether an answer with sound is asked for."""
    config = args.get("generationConfig") or args.get("generation_config")
    holder = config if isinstance(config, dict) else {}
    kinds = [args.get("modalities"), holder.get("responseModalities"), holder.get("response_modalities")]
    return bool(args.get("audio")) or "audio" in str(kinds).lower()


def _counted(args: Mapping[str, Any]) -> tuple[int, bool, bool]:
    """Pictures in a request, whether it has parts that bytes do not bound, and whether it has sound."""
    pictures, beyond, sound = 0, False, False
    left: list[Any] = [
        args[name] for name in ("messages", "input", "system", "contents", "requests", "content") if name in args
    ]
    left += [args[name] for name in ("systemInstruction", "system_instruction") if name in args]
    while left:
        value = left.pop()
        if type(value) is dict:
            kind, mime = value.get("type"), _inline(value)
            named = kind if isinstance(kind, str) else ""
            pictures += named in _PICTURES or "image_url" in value or mime.startswith("image/")
            beyond = beyond or (named in _FILES and not _plain(value)) or not _ELSEWHERE.isdisjoint(value)
            beyond = beyond or not mime.startswith(_COUNTED)
            sound = sound or named == "input_audio" or mime.startswith("audio/")
            value = value.values()
        left += [each for each in value if type(each) is dict or type(each) is list]
    return pictures, beyond, sound


def _inline(part: Mapping[str, Any]) -> str:
    """The media type of data that stands in one of Gemini's parts; as of text where there is none."""
    inline = part.get("inlineData") or part.get("inline_data")
    return str(inline.get("mimeType") or inline.get("mime_type")) if isinstance(inline, dict) else "text/"


def _plain(block: Mapping[str, Any]) -> bool:
    """Whether a document's text stands in the request itself."""
    source = block.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")
