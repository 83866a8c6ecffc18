"""Why an agent says that it makes a call: its plan's step, its reason, its goal.

It is shown to people and may make a rule stricter; nobody must believe it. An agent declares it in one of four places,
of which a later one wins member by member: members ``agent.*`` of W3C Baggage, the field ``Agent-Why`` (a JSON object,
or plain text for the reason), ``_meta["toolgate/why"]`` of an MCP message, ``metadata`` of a request to a model
(``agent.step`` and so on, since values there are texts).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from msgspec import structs

from gateway.model import Call, Request

MEMBERS = ("step", "parent", "reason", "goal", "kind")
"""``step`` names the step of the agent's plan, ``parent`` the step that it belongs to, ``kind`` what it is: plan,
tool_call, memory_lookup, memory_write, model_turn, state_transition, human."""
FIELD = b"agent-why"
META_KEY = "toolgate/why"
PREFIX = "agent."

LONGEST = 512
"""Characters kept of a member."""
MOST = 4096
"""Bytes of a field that are read."""

_FACTS = {member: f"why.{member}" for member in MEMBERS}


def with_why(call: Call) -> Call:
    """The call with what its header says, beneath what its body says already."""
    told = of_request(call.request)
    return structs.replace(call, facts={**told, **call.facts}) if told else call


def of_request(request: Request) -> dict[str, str]:
    """What a header declares, by the names of the facts."""
    told: dict[str, str] = {}
    baggage = request.lookup.get(b"baggage")
    if baggage is not None and PREFIX.encode() in baggage:
        told.update(_kept(_members(baggage[:MOST].decode("latin-1"))))
    field = request.lookup.get(FIELD)
    if field is not None:
        told.update(_of_field(field[:MOST].decode("latin-1").strip()))
    return told


def declared(value: object) -> dict[str, str]:
    """What an object declares that has these members; nothing of anything else."""
    return _kept(value.items()) if isinstance(value, Mapping) else {}


def of_metadata(value: object) -> dict[str, str]:
    """What a model request's ``metadata`` declares."""
    if not isinstance(value, Mapping):
        return {}
    return _kept((name[len(PREFIX) :], text) for name, text in value.items() if name.startswith(PREFIX))


def _of_field(text: str) -> dict[str, str]:
    if not text.startswith("{"):
        return _kept([("reason", text)])
    try:
        return declared(orjson.loads(text.encode("latin-1")))
    except orjson.JSONDecodeError:
        return _kept([("reason", text)])


def _members(baggage: str) -> Iterable[tuple[str, str]]:
    """The members that are ours (W3C Baggage, 3.2), without their properties."""
    for member in baggage.split(","):
        name, equals, value = member.partition(";")[0].partition("=")
        name = name.strip()
        if equals and name.startswith(PREFIX):
            yield name[len(PREFIX) :], unquote(value.strip())


def _kept(members: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    return {_FACTS[name]: text[:LONGEST] for name, text in members if isinstance(text, str) and text and name in _FACTS}
