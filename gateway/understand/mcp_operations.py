"""What an MCP message is about: the operation by which policies name it, and its arguments.

A tool is named as the server names it (``search``). Everything else has a name that no tool's can be: a tool whose name
has other characters than ``[A-Za-z0-9_.-]``, or is one of ours, is ``tools/call NAME``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.understand.jsonrpc import Malformed, Message

RESPONSE, STREAM, END, BATCH = "response", "stream", "session/end", "batch"
"""Operations that have no method: a client's answer, the GET stream, DELETE, and an array of messages."""

IMPLIED = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "roots/list",
        "logging/setLevel",
        "subscriptions/listen",
    }
)
"""Methods that only keep a session going or say what there is; so do those below ``_IMPLIED_BELOW``."""
_IMPLIED_BELOW = ("notifications/", "tasks/")
_RESERVED = frozenset({"initialize", "ping", RESPONSE, STREAM, BATCH})
_BARE = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST_NAME, _LONGEST_URI = 256, 4096
NO_ARGS: Mapping[str, Any] = {}

READS: Mapping[str, Any] = {"tool.readOnly": True, "tool.destructive": False, "tool.idempotent": True}
"""What the protocol says of reading resources and prompts, for rules that ask for a tool's annotations."""


class Subject(Struct, frozen=True, gc=False):
    """What a message is about. ``name`` is the tool or prompt, ``uri`` the resource; empty where there is none."""

    operation: str
    args: Mapping[str, Any] = NO_ARGS
    name: str = ""
    uri: str = ""
    implied: bool = False


def operation_of(method: str, about: str) -> str:
    """The operation of a method with the tool, prompt or URI that it is about: how policies name it."""
    if method == "tools/call" and about not in _RESERVED and _BARE.fullmatch(about):
        return about
    return f"{method} {about}"


def subject(message: Message) -> Subject:
    """The subject of one message.

    Raises:
        Malformed: the method's params are not as the protocol says (their place is named).
    """
    method, params = message.method, message.params
    if method == "tools/call" or method == "prompts/get":
        name = _text(params, "name", "$.params", _LONGEST_NAME)
        arguments = params.get("arguments")
        if arguments is None:
            arguments = NO_ARGS
        elif type(arguments) is not dict:
            raise Malformed("$.params.arguments is not an object")
        return Subject(operation_of(method, name), arguments, name)
    if method in IMPLIED or method.startswith(_IMPLIED_BELOW):
        return Subject(method, _without_meta(params), implied=True)
    if method == "":
        return Subject(RESPONSE, message.result if type(message.result) is dict else NO_ARGS, implied=True)
    if method in ("resources/subscribe", "resources/unsubscribe") and "uri" not in params:
        return Subject(method, _without_meta(params))  # revisions without these methods say so by themselves
    if method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
        uri = _text(params, "uri", "$.params", _LONGEST_URI)
        return Subject(f"{method} {uri}", {"uri": uri}, uri=uri)
    if method == "completion/complete":
        return _completion(params)
    # An unknown method must not be taken for a tool, nor for one of our own names.
    unclear = "/" not in method or method == END
    return Subject(f"method {method}" if unclear else method, _without_meta(params))


def with_args(message: Mapping[str, Any], args: Mapping[str, Any]) -> Mapping[str, Any]:
    """A JSON-RPC message with these arguments where ``subject`` has found its own; what is no argument stays."""
    if not args:
        return message
    method = message.get("method", "")
    if method == "":
        return {**message, "result": args}
    params = message["params"]
    if method in ("tools/call", "prompts/get"):
        return {**message, "params": {**params, "arguments": args}}
    return {**message, "params": {**params, **args}}


def _completion(params: Mapping[str, Any]) -> Subject:
    ref = params.get("ref")
    if type(ref) is not dict:
        raise Malformed("$.params.ref is not an object")
    if ("name" in ref) == ("uri" in ref):
        raise Malformed("$.params.ref must have either a name (of a prompt) or a uri (of a resource)")
    if "name" in ref:
        name = _text(ref, "name", "$.params.ref", _LONGEST_NAME)
        return Subject(f"completion/complete {name}", _without_meta(params), name)
    uri = _text(ref, "uri", "$.params.ref", _LONGEST_URI)
    return Subject(f"completion/complete {uri}", _without_meta(params), uri=uri)


def _text(values: Mapping[str, Any], key: str, place: str, longest: int) -> str:
    value = values.get(key)
    if type(value) is str and 0 < len(value) <= longest:
        return value
    raise Malformed(f"{place}.{key} is not a string of 1 to {longest} characters")


def _without_meta(params: Mapping[str, Any]) -> Mapping[str, Any]:
    if "_meta" not in params:
        return params
    return {key: value for key, value in params.items() if key != "_meta"}
