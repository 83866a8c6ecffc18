"""Requests to Anthropic's Messages API: read for the rules, and held to caps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.model import Caps
from gateway.policy.globs import matches_any
from gateway.understand.dialect import Asked
from gateway.understand.members import (
    asked_count,
    asked_items,
    asked_object,
    asked_text,
    capped,
    dump,
    forbidden,
    items,
    mapping,
    text,
    wrong,
)

Block = dict[str, Any]


def read(body: Mapping[str, Any]) -> Asked:
    """The request as rules see it.

    Raises:
        Refused: 400, a member is not of the type that the API documents.
    """
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise wrong("stream", "a boolean", stream)
    return Asked(
        asked_text(body, "model"),
        bool(stream),
        asked_count(body, "max_tokens"),
        _content(body, "system", ""),
        tuple(_message(message, f"messages[{at}].") for at, message in enumerate(asked_items(body, "messages"))),
        tuple(_tool_names(body)),
    )


def _message(message: Block, where: str) -> Mapping[str, str]:
    """Role and content; and what the role itself ``said``, where results of tools or documents are beside it."""
    read = {"role": asked_text(message, "role", where), "content": _content(message, "content", where)}
    blocks = message.get("content")
    if isinstance(blocks, list):
        said = "\n".join([text(block.get("text")) for block in blocks if block.get("type") == "text"])
        if said != read["content"]:
            read["said"] = said
    return read


def _content(holder: Mapping[str, Any], name: str, where: str) -> str:
    """A text, or the texts of blocks, joined by line feeds."""
    value = holder.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise wrong(f"{where}{name}", "a string or an array of blocks", value)
    return "\n".join(_texts(asked_items(holder, name, where), f"{where}{name}"))


def _texts(blocks: list[Block], where: str) -> Iterator[str]:
    """What blocks say: texts, thoughts, sources that are text, results of tools (which hold blocks themselves)."""
    for at, block in enumerate(blocks):
        here = f"{where}[{at}]."
        kind = block.get("type")
        if kind == "thinking":
            yield asked_text(block, "thinking", here)
        elif kind == "document":
            source = asked_object(block, "source", here)
            if source.get("type") == "text":
                yield asked_text(source, "data", f"{here}source.")
            elif source.get("type") == "content":
                yield _content(source, "content", f"{here}source.")
        elif block.get("text") is not None:
            yield asked_text(block, "text", here)
        elif isinstance(block.get("content"), str | list):
            yield _content(block, "content", here)


def _tool_names(body: Mapping[str, Any]) -> Iterator[str]:
    """Names of all tools that a request gives to the model; see ``_names``."""
    for at, tool in enumerate(asked_items(body, "tools")):
        asked_text(tool, "type", f"tools[{at}].")
        asked_text(tool, "name", f"tools[{at}].")
        yield _names(tool)[0]
    for at, server in enumerate(asked_items(body, "mcp_servers")):
        yield f"mcp_servers.{asked_text(server, 'name', f'mcp_servers[{at}].')}"


def _names(tool: Block) -> tuple[str, ...]:
    """What a tool goes by: its name, and its type where the provider defines it (``web_search_20250305``).

    A set of tools has no name: it goes by its type, that of an MCP server with the server's name behind.
    """
    name, kind = text(tool.get("name")), text(tool.get("type"))
    if kind == "mcp_toolset":
        return (f"mcp_toolset.{text(tool.get('mcp_server_name'))}",)
    if kind == "custom":
        kind = ""
    return (name, kind) if name else (kind,)


def amend(body: dict[str, Any], raw: bytes, caps: Caps, *, bounded: bool) -> tuple[bytes, tuple[str, ...]]:
    """The body under the caps, and what was changed. ``bounded``: the endpoint takes ``max_tokens``.

    Raises:
        Refused: 403, the request asks for what a change could not take out of it.
    """
    _check_other_models(body, caps)
    said: list[str] = []
    amended = dict(body)
    if bounded and caps.max_tokens:
        _lower(amended, caps.max_tokens, said)
        _think_less(amended, caps, said)
    if caps.system:
        _put_first(amended, caps.system, said)
    if caps.forbid_tools:
        _take_out(amended, caps, said)
    return (dump(amended), tuple(said)) if said else (raw, ())


def _check_other_models(body: dict[str, Any], caps: Caps) -> None:
    """A request names further models where others may answer in place of the first, or advise it."""
    if not caps.models:
        return
    fallbacks = body.get("fallbacks")
    if fallbacks is not None and not isinstance(fallbacks, list):
        raise capped(caps, "`fallbacks` leaves it to the provider which model answers", "name the models, or none")
    for where in ("fallbacks", "tools"):
        for entry in asked_items(body, where):
            model = entry.get("model")
            if model is not None and not (isinstance(model, str) and matches_any(caps.models, model)):
                raise capped(
                    caps,
                    f"the model {model!r} in `{where}` may not be asked",
                    f"leave it out, or ask one of {', '.join(caps.models)}",
                )


def _lower(amended: dict[str, Any], most: int, said: list[str]) -> None:
    before = amended.get("max_tokens")
    if not before or before > most:
        amended["max_tokens"] = most
        said.append(f"max_tokens {before} -> {most}" if before else f"max_tokens set to {most}")
    for where in ("fallbacks", "tools"):
        entries = items(amended.get(where))
        bounds = [asked_count(mapping(entry), "max_tokens", f"{where}[{at}].") for at, entry in enumerate(entries)]
        if any(bound > most for bound in bounds):
            amended[where] = [
                {**entry, "max_tokens": most} if bound > most else entry
                for entry, bound in zip(entries, bounds, strict=True)
            ]
            said.append(f"max_tokens in {where} -> {most}")


LEAST_THINKING = 1024
"""The smallest ``thinking.budget_tokens`` that the API takes."""


def _think_less(amended: dict[str, Any], caps: Caps, said: list[str]) -> None:
    """Thinking is part of the output: the API refuses a budget for it that is not below the whole bound."""
    thinking = asked_object(amended, "thinking")
    budget = asked_count(thinking, "budget_tokens", "thinking.")
    bound = amended["max_tokens"]
    if budget < bound:
        return
    if bound // 2 < LEAST_THINKING:
        raise capped(caps, f"{bound} tokens leave no room for thinking", "leave `thinking` out")
    amended["thinking"] = {**thinking, "budget_tokens": bound // 2}
    said.append(f"thinking.budget_tokens {budget} -> {bound // 2}")


def _put_first(amended: dict[str, Any], required: str, said: list[str]) -> None:
    """Put a text first in the system prompt, in the form that this has."""
    given = amended.get("system")
    if _content(amended, "system", "").startswith(required):
        return
    if isinstance(given, list):
        amended["system"] = [{"type": "text", "text": required}, *given]
    else:
        amended["system"] = f"{required}\n\n{given}" if given else required
    said.append("system text put first")


def _take_out(amended: dict[str, Any], caps: Caps, said: list[str]) -> None:
    """Take the definitions of forbidden tools out. A choice that names one is refused: it could not be kept."""
    gone: set[str] = set()
    for where in ("tools", "mcp_servers"):
        entries = items(amended.get(where))
        names = [_names(entry) if where == "tools" else (f"mcp_servers.{entry.get('name')}",) for entry in entries]
        kept = [entry for entry, known in zip(entries, names, strict=True) if not forbidden(caps, *known)]
        if len(kept) == len(entries):
            continue
        gone.update(known[0] for known in names if forbidden(caps, *known))
        amended[where] = kept
        if not kept:
            del amended[where]
    if not gone:
        return
    choice = mapping(amended.get("tool_choice"))
    if choice.get("name") in gone:
        raise capped(
            caps, f"the tool {choice['name']!r} may not be defined, and `tool_choice` names it", "choose another tool"
        )
    if choice and "tools" not in amended:
        del amended["tool_choice"]  # the API takes a choice only where there are tools
    said.append(f"tools removed: {', '.join(sorted(gone))}")
