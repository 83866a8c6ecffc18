"""Requests to Gemini's ``generateContent`` and its kin: read for the rules, and held to caps.

The API reads JSON as protocol buffers do: ``maxOutputTokens`` may be written ``max_output_tokens``, and one object may
stand where an array is expected. A member that is given in both spellings is refused: what counts then is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.errors import Refused
from gateway.model import Caps, Reason
from gateway.understand.dialect import Asked
from gateway.understand.members import (
    asked_count,
    asked_items,
    asked_object,
    asked_text,
    capped,
    dump,
    forbidden,
    wrong,
)

Object = dict[str, Any]
_WORD = re.compile(r"(?<!^)([A-Z])")
_DECLARED = "functionDeclarations"
_SNAKE = re.compile(r"_([a-z])")


def spelled(holder: Mapping[str, Any], camel: str, where: str = "") -> str:
    """How a member is spelled here: as given, or in camel case where it is absent.

    Raises:
        Refused: 400, it is given in both spellings.
    """
    snake = _WORD.sub(r"_\1", camel).lower()
    if snake == camel or snake not in holder:
        return camel
    if camel in holder:
        raise Refused(
            Reason.UNREADABLE_BODY,
            400,
            f"`{where}{camel}` is given twice, also as `{snake}`: which of them counts is not known",
            f"send `{where}{camel}` only",
        )
    return snake


def many(holder: Mapping[str, Any], camel: str, where: str = "") -> list[Object]:
    """A member that is an array of objects, or one object in its place."""
    name = spelled(holder, camel, where)
    value = holder.get(name)
    return [value] if isinstance(value, dict) else asked_items(holder, name, where)


def one(holder: Mapping[str, Any], camel: str, where: str = "") -> Object:
    """A member that is an object; an empty one where it is absent."""
    return asked_object(holder, spelled(holder, camel, where), where)


def read(body: Mapping[str, Any], model: str, *, stream: bool) -> Asked:
    """The request as rules see it.

    Raises:
        Refused: 400, a member is not of the type that the API documents, or is given in two spellings.
    """
    config = one(body, "generationConfig")
    return Asked(
        model,
        stream,
        asked_count(config, spelled(config, "maxOutputTokens", "generationConfig."), "generationConfig."),
        _system(body),
        tuple(_message(content, f"contents[{at}].") for at, content in enumerate(many(body, "contents"))),
        tuple(name for tool in _tools(body) for name in _names(tool)),
    )


def read_embedded(bodies: list[Object], model: str) -> Asked:
    """Requests for embeddings as rules see them: each text a message."""
    return Asked(model, messages=tuple(_message(one(body, "content"), "content.") for body in bodies))


def check_model(body: Mapping[str, Any], model: str, where: str = "") -> None:
    """The model in a body must be the one in the path.

    Raises:
        Refused: 400, it is another one.
    """
    named = asked_text(body, "model", where)
    if named and bare(named) != model:
        raise Refused(
            Reason.UNREADABLE_BODY,
            400,
            f"`{where}model` is {named!r}, and the path names {model!r}: which of them is asked is not known",
            f"leave `{where}model` out",
        )


def bare(model: str) -> str:
    """A model's name without the collection it is in: ``models/gemini-2.5-pro`` is ``gemini-2.5-pro``."""
    *_, collection, name = f"models/{model}".split("/")
    return name if collection == "models" else f"{collection}/{name}"


def _system(body: Mapping[str, Any]) -> str:
    name = spelled(body, "systemInstruction")
    if isinstance(body.get(name), str):
        raise wrong(name, "an object with `parts`", body[name])
    return _text(one(body, "systemInstruction"), f"{name}.")


def _message(content: Object, where: str) -> Mapping[str, str]:
    """Role and content; and what the role itself ``said``, where there are results of functions beside that."""
    read = {"role": asked_text(content, "role", where) or "user", "content": _text(content, where)}
    texts = [str(part["text"]) for part in many(content, "parts", where) if part.get("text") is not None]
    if (said := "\n".join(texts)) != read["content"]:
        read["said"] = said
    return read


def _text(content: Object, where: str) -> str:
    """The texts of a content's parts and results of tools in it, joined by line feeds."""
    return "\n".join(_texts(many(content, "parts", where), f"{where}parts"))


def _texts(parts: list[Object], where: str) -> Iterator[str]:
    for at, part in enumerate(parts):
        here = f"{where}[{at}]."
        if part.get("text") is not None:
            yield asked_text(part, "text", here)
        elif result := one(part, "functionResponse", here):
            yield dump(result.get("response")).decode()


def _tools(body: Mapping[str, Any]) -> list[Object]:
    return many(body, "tools")


def _names(tool: Object) -> Iterator[str]:
    """Names of the functions that a tool declares; what the provider offers goes by its member (``googleSearch``)."""
    for member, value in tool.items():
        if value is None:
            continue
        camel = _camel(member)
        spelled(tool, camel, "tools[].")
        if camel != _DECLARED:
            yield camel
            continue
        for declared in many(tool, camel, "tools[]."):
            yield asked_text(declared, "name", f"tools[].{camel}[].")


def _camel(member: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), member)


def amend(body: Object, raw: bytes, caps: Caps) -> tuple[bytes, tuple[str, ...]]:
    """The body under the caps, and what was changed.

    Raises:
        Refused: 403, the request asks for what a change could not take out of it.
    """
    if (caps.system or caps.forbid_tools) and body.get(spelled(body, "cachedContent")) is not None:
        raise capped(
            caps,
            "`cachedContent` holds a system instruction and tools that are kept at the provider and cannot be seen",
            "send system instruction, tools and contents in the request",
        )
    said: list[str] = []
    amended = dict(body)
    if caps.max_tokens:
        _lower(amended, caps.max_tokens, said)
    if caps.system and not _system(body).startswith(caps.system):
        _put_first(amended, caps.system)
        said.append("system text put first")
    if caps.forbid_tools:
        _take_out(amended, caps, said)
    return (dump(amended), tuple(said)) if said else (raw, ())


def _lower(amended: Object, most: int, said: list[str]) -> None:
    config = one(amended, "generationConfig")
    name = spelled(config, "maxOutputTokens")
    before = config.get(name)
    if not before or before > most:
        amended[spelled(amended, "generationConfig")] = {**config, name: most}
        said.append(f"{name} {before} -> {most}" if before else f"{name} set to {most}")


def _put_first(amended: Object, required: str) -> None:
    name = spelled(amended, "systemInstruction")
    given = one(amended, "systemInstruction")
    amended[name] = {**given, "parts": [{"text": required}, *many(given, "parts")]}


def _take_out(amended: Object, caps: Caps, said: list[str]) -> None:
    """Take the definitions of forbidden tools out. A choice of functions that names one is refused."""
    gone: set[str] = set()
    kept = [tool for tool in (_allowed(tool, caps, gone) for tool in _tools(amended)) if tool]
    if not gone:
        return
    config = one(one(amended, "toolConfig"), "functionCallingConfig")
    allowed = config.get(spelled(config, "allowedFunctionNames"))
    named = gone.intersection([allowed] if isinstance(allowed, str) else allowed or ())
    if named:
        raise capped(
            caps,
            f"the tool {min(named)!r} may not be defined, and `allowedFunctionNames` names it",
            "choose another function",
        )
    amended["tools"] = kept
    if not kept:
        del amended["tools"]
        amended.pop(spelled(amended, "toolConfig"), None)
    said.append(f"tools removed: {', '.join(sorted(gone))}")


def _allowed(tool: Object, caps: Caps, gone: set[str]) -> Object:
    """A tool without what is forbidden; the names of that go into ``gone``."""
    left: Object = {}
    for member, value in tool.items():
        declares = _camel(member) == _DECLARED
        entries = many(tool, member) if declares else []
        names = [entry.get("name") for entry in entries] if declares else [_camel(member)]
        bad = {name for name in names if isinstance(name, str) and forbidden(caps, name)}
        gone |= bad
        if not bad:
            left[member] = value
        elif keep := [entry for entry in entries if entry.get("name") not in bad]:
            left[member] = keep
    return left
