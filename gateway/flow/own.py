"""What an agent itself writes into a call."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from gateway.model import Call


def said_in(call: Call) -> list[Any]:
    """The arguments, the query, and of the path what is no plain word."""
    parts = call.parts or (call,)
    said: list[Any] = [value for part in parts for value in (part.args, part.params)]
    if call.tool.protocol == "http":
        said += path_of(call)
        if call.query:
            said += unquote(call.query.replace("+", " ")).replace("=", "&").split("&")
    return said


def path_of(call: Call) -> list[str]:
    """What in the path of a call may be a value: its segments that are no plain words. None where the protocol has no
    values there."""
    if call.tool.protocol != "http":
        return []
    return [each for each in unquote(call.path).split("/") if each and not each.isalpha()]
