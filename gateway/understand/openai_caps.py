"""OpenAI requests held to caps: bounds of the answer, and definitions of tools, in the shapes of all endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.model import Caps
from gateway.policy.globs import matches_any
from gateway.understand.members import asked_count, asked_items, asked_object, asked_text, capped, forbidden, mapping

Definition = dict[str, Any]


def asked_bound(body: Mapping[str, Any], names: Sequence[str]) -> int:
    """The bound of the answer in tokens, 0 for none; of several, which servers choose among, the largest.

    Raises:
        Refused: 400, one is no whole number.
    """
    return max([asked_count(body, name) for name in names])


def lower(amended: dict[str, Any], names: Sequence[str], most: int, said: list[str]) -> None:
    """Lower the bounds of the answer to ``most``; where there is none, set the first that ``names`` has."""
    given = [name for name in names if amended.get(name) is not None]
    for name in given or names[:1]:
        before = amended.get(name)
        if not before or before > most:
            amended[name] = most
            said.append(f"{name} {before} -> {most}" if before else f"{name} set to {most}")


def check_models(body: Mapping[str, Any], caps: Caps) -> None:
    """Refuse a request that names other models too: those that proxies (OpenRouter, LiteLLM) ask where the first fails,
    and a model beside that of the path.

    Raises:
        Refused: 403 CAPPED, one of them is not allowed.
    """
    if not caps.models:
        return
    named = [body["model"]] if body.get("model") else []
    for where in ("models", "fallbacks"):
        entries = body.get(where)
        if entries is not None:
            named += entries if isinstance(entries, list) else [entries]
    for entry in named:
        model = entry.get("model") if isinstance(entry, dict) else entry
        if not (isinstance(model, str) and matches_any(caps.models, model)):
            raise capped(
                caps,
                f"the model {str(model)[:200]!r}, which the request names too, may not be asked",
                f"leave it out, or ask one of {', '.join(caps.models)}",
            )


def tool_names(body: Mapping[str, Any], holder: str, where: str = "") -> list[str]:
    """Names of all tools that are defined in a member of a request.

    Raises:
        Refused: 400, a definition is not of the type that the API documents.
    """
    found: list[str] = []
    for at, entry in enumerate(asked_items(body, holder, where)):
        place = f"{where}{holder}[{at}]."
        found += _names(entry, place)
        if entry.get("type") == "namespace":
            found += tool_names(entry, "tools", place)
    return found


def _names(entry: Definition, place: str) -> list[str]:
    """What a tool goes by: its name; its type where the provider runs it; ``mcp`` and ``mcp.LABEL`` for a server.

    A definition in the shape of both chat completions and responses goes by both names: servers choose.
    """
    kind = asked_text(entry, "type", place)
    names = [asked_text(entry, "name", place)]
    names += [asked_text(asked_object(entry, way, place), "name", f"{place}{way}.") for way in ("function", "custom")]
    if kind == "mcp":
        names.append(f"mcp.{asked_text(entry, 'server_label', place)}")
    if kind not in ("function", "custom", "namespace"):
        names.append(kind)
    return [name for name in names if name]


def take_out(body: dict[str, Any], holder: str, caps: Caps) -> list[str]:
    """Take the definitions of forbidden tools out of a member of ``body``, and the member where it is left empty.

    ``body`` is changed, nothing below it is. Gives the names of what is gone.
    """
    entries = asked_items(body, holder)
    gone: list[str] = []
    kept = list(_kept(entries, caps, gone))
    if gone:
        body[holder] = kept
        if not kept:
            del body[holder]
    return gone


def _kept(entries: Sequence[Definition], caps: Caps, gone: list[str]) -> Iterator[Definition]:
    for entry in entries:
        names = _names(entry, "tools[].")
        if forbidden(caps, *names):
            gone.append(names[0])
        elif entry.get("type") == "namespace":
            inner = dict(entry)
            lost = take_out(inner, "tools", caps)
            gone += lost
            if "tools" in inner or not lost:
                yield inner if lost else entry
        else:
            yield entry


def check_choice(choice: object, caps: Caps) -> None:
    """Refuse a choice among tools that names a forbidden one: it could not be kept.

    Raises:
        Refused: 403 CAPPED.
    """
    chosen = mapping(choice)
    if not chosen:
        return
    allowed = mapping(chosen.get("allowed_tools")) or chosen
    names = _names(chosen, "tool_choice.") + tool_names(allowed, "tools", "tool_choice.")
    for name in names:
        if forbidden(caps, name):
            raise capped(caps, f"the tool {name!r} may not be used, and the request chooses it", "choose another tool")
