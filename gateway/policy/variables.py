"""The variables that expressions may read, with their types, their phase, and where each comes from.

Four phases: ``request`` (may the call run?), ``list`` (may it be offered?), ``response`` (may its result be had?) and
``proposal`` (may the model's proposed tool call be had?). What a protocol tells of a call, and what is known after it,
lies in ``Call.facts`` by the variable's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from msgspec import Struct

from gateway.model import SAFE_METHODS, Call, FlowLabels
from gateway.model.hops import connection_options
from gateway.policy import functions_flow, memory_values
from gateway.policy.engine import BOOL, DOUBLE, DYN_MAP, INT, STRING, STRING_MAP, STRINGS, TIMESTAMP, CelType
from gateway.policy.labelled import Labelled


class Variable(Struct, frozen=True):
    """A variable: ``read`` takes it from a call, as plain Python."""

    name: str
    type: CelType
    read: Callable[[Call], Any]
    about: str


def _roles(call: Call) -> list[str]:
    return list(call.agent.roles)


def _labels(call: Call) -> list[str]:
    return list(call.run.labels)


def _root(call: Call) -> str:
    return call.tree[1]


def _host(call: Call) -> str:
    return call.host.lower()


def _time(call: Call) -> str:
    """As text, since that is what both engines can bind; they make a timestamp of it where it is read."""
    return datetime.fromtimestamp(call.at, UTC).isoformat().replace("+00:00", "Z")


def _headers(call: Call) -> dict[str, str]:
    """The fields that the tool will see: without those that end at this hop, or are stripped."""
    lookup = call.request.lookup
    gone = call.tool.strip
    if b"connection" in lookup:
        gone |= connection_options(lookup[b"connection"])
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in lookup.items() if name not in gone}


def _params(call: Call) -> dict[str, str]:
    return dict(call.params)


def _args(call: Call) -> dict[str, Any]:
    args = call.args
    return args if type(args) is dict else dict(args)


def _claims(call: Call) -> dict[str, Any]:
    return dict(call.agent.claims)


def _flow_labels(call: Call) -> FlowLabels:
    return (_labelled(call.tool.flows).of(call.operation) if call.tool.flows else None) or _UNLABELLED


_UNLABELLED = FlowLabels(())
_labelled = lru_cache(maxsize=256)(Labelled)


def _returns(call: Call) -> list[str]:
    return list(_flow_labels(call).returns)


def _sends(call: Call) -> str:
    return _flow_labels(call).sends


def _followed(call: Call) -> bool:
    """Also hands the call to ``origin()``: whatever calls that reads this (``tokens.references``)."""
    functions_flow.follow(call)
    return call.flow is not None


def _unproven(call: Call) -> list[str]:
    """All of them where nobody follows the flow: what is not known is not trusted."""
    return list(_flow_labels(call).directs if call.flow is None else call.flow.unproven(call))


def _foreign(call: Call) -> list[str]:
    if call.flow is not None:
        return list(call.flow.foreign(call))
    labels = _flow_labels(call)
    return [*labels.directs, *labels.about]


def _delegated(call: Call) -> list[str]:
    return [] if call.flow is None else list(call.flow.delegated(call))


def _asked(call: Call) -> bool:
    """Not where nobody follows the flow and it matters: nobody is known to have asked."""
    return not _flow_labels(call).asked if call.flow is None else call.flow.asked(call)


def _labels_told(call: Call) -> list[str]:
    return [] if call.flow is None else list(call.flow.labels)


def _planted(call: Call) -> list[str]:
    return [] if call.flow is None else list(call.flow.planted(call))


def _fact(name: str, default: Any) -> Callable[[Call], Any]:
    def read(call: Call) -> Any:
        return call.facts.get(name, default)

    return read


def _hint(name: str, methods: frozenset[str]) -> Callable[[Call], bool]:
    """What an MCP server says of a tool; of a plain HTTP call what RFC 9110 (9.2) says of its method."""

    def read(call: Call) -> bool:
        told = call.facts.get(name)
        return call.request.method in methods if told is None else bool(told)

    return read


IDEMPOTENT = SAFE_METHODS | {"PUT", "DELETE"}


def _destructive(call: Call) -> bool:
    told = call.facts.get("tool.destructive")
    return call.request.method not in SAFE_METHODS if told is None else bool(told)


MESSAGES = CelType("list", (STRING_MAP,))
PROPOSALS = CelType("list", (DYN_MAP,))

_REQUEST = (
    Variable("agent.id", STRING, attrgetter("agent.id"), "who is asking"),
    Variable("agent.roles", STRINGS, _roles, "the agent's roles, as its key or token says"),
    Variable("run.id", STRING, attrgetter("run.id"), 'the agent\'s task, "" where it named none'),
    Variable("run.cost_usd", DOUBLE, attrgetter("run.cost_usd"), "what the run's calls that have ended cost, in USD"),
    Variable("run.labels", STRINGS, _labels, "what rules with then: label have marked the run with so far"),
    Variable("run.steps", INT, attrgetter("run.steps"), "calls of the run that were permitted before this one"),
    Variable("run.errors_in_row", INT, attrgetter("run.errors_in_row"), "calls of it that failed, one after the other"),
    Variable("run.age", DOUBLE, attrgetter("run.age"), "seconds since the first call of the run, 0.0 at the first"),
    Variable("run.drift", STRINGS, memory_values.drift, "memory/key of what the run read and has changed since"),
    Variable("run.unverified", STRINGS, memory_values.unverified, "memory/key of what could not be asked for again"),
    Variable("run.depth", INT, attrgetter("run.depth"), "calls that it lies within: 0 where no call led to it"),
    Variable("run.task", STRING, attrgetter("run.task"), 'the task that the run is in, "" for none'),
    Variable("run.root", STRING, _root, "the run at the root of its tree: itself where none led to it"),
    Variable("tool.name", STRING, attrgetter("tool.name"), "the tool, as the configuration names it"),
    Variable("tool.operation", STRING, attrgetter("operation"), "METHOD /template, METHOD /path, or the MCP tool"),
    Variable("tool.protocol", STRING, attrgetter("tool.protocol"), "the protocol that the tool speaks"),
    Variable(
        "tool.readOnly", BOOL, _hint("tool.readOnly", SAFE_METHODS), "it changes nothing, the server or the method says"
    ),
    Variable("tool.destructive", BOOL, _destructive, "it may destroy, or nobody says that it does not"),
    Variable("tool.idempotent", BOOL, _hint("tool.idempotent", IDEMPOTENT), "calling it twice does no more than once"),
    Variable("tool.openWorld", BOOL, _fact("tool.openWorld", True), "it reaches beyond its server (MCP openWorldHint)"),
    Variable("tool.pin", STRING, _fact("tool.pin", ""), "of an MCP tool: pinned, changed, new or unknown"),
    Variable("mcp.method", STRING, _fact("mcp.method", ""), "the JSON-RPC method, such as tools/call"),
    Variable("mcp.name", STRING, _fact("mcp.name", ""), "the MCP tool or prompt"),
    Variable("mcp.uri", STRING, _fact("mcp.uri", ""), "the MCP resource"),
    Variable("mcp.session", STRING, _fact("mcp.session", ""), "the MCP session"),
    Variable("mcp.version", STRING, _fact("mcp.version", ""), "the MCP revision that was named"),
    Variable("llm.model", STRING, _fact("llm.model", ""), "the model that is asked"),
    Variable("llm.stream", BOOL, _fact("llm.stream", False), "whether the answer is to be streamed"),
    Variable("llm.max_tokens", INT, _fact("llm.max_tokens", 0), "the bound on the model's output, 0 for none"),
    Variable("llm.system", STRING, _fact("llm.system", ""), "the system prompt"),
    Variable("llm.messages", MESSAGES, _fact("llm.messages", []), "the messages: role and content"),
    Variable("llm.tools", STRINGS, _fact("llm.tools", []), "names of the tools that the model may propose"),
    Variable("why.step", STRING, _fact("why.step", ""), "the step of its plan, as the agent says: not to be believed"),
    Variable("why.parent", STRING, _fact("why.parent", ""), "the step that this one belongs to, as the agent says"),
    Variable("why.reason", STRING, _fact("why.reason", ""), "why it makes the call, as the agent says"),
    Variable("why.goal", STRING, _fact("why.goal", ""), "what it is after, as the agent says"),
    Variable("why.kind", STRING, _fact("why.kind", ""), "plan, tool_call, memory_lookup, ..., as the agent says"),
    Variable("request.method", STRING, attrgetter("request.method"), "GET, POST, ..."),
    Variable("request.host", STRING, _host, "the host (and port) that the agent asked for, in lower case"),
    Variable("request.path", STRING, attrgetter("path"), "the path for the tool, percent-decoded"),
    Variable("request.query", STRING, attrgetter("query"), "what follows the ?, as it was sent"),
    Variable("request.headers", STRING_MAP, _headers, "header fields, names in lower case, repeats joined by a comma"),
    Variable("request.params", STRING_MAP, _params, "values of the {names} in the operation's template"),
    Variable("request.size", INT, attrgetter("request.length"), "announced bytes of the body, -1 where unknown"),
    Variable("request.time", TIMESTAMP, _time, "when the call arrived"),
    Variable(
        "budget.remaining_usd", DOUBLE, _fact("budget.remaining_usd", 1e12), "US dollars left of the tightest budget"
    ),
    Variable(
        "budget.remaining_tokens", INT, _fact("budget.remaining_tokens", 1 << 53), "tokens left of the tightest budget"
    ),
    Variable(
        "budget.remaining_calls", INT, _fact("budget.remaining_calls", 1 << 53), "calls left of the tightest budget"
    ),
    Variable("agent.claims", DYN_MAP, _claims, "what the agent's token says of it, where it is known by one"),
    Variable("tool.returns", STRINGS, _returns, "labels of the operation's results, as the tool's flow says"),
    Variable("tool.sends", STRING, _sends, 'where its arguments go: external, internal or ""'),
    Variable("flow.followed", BOOL, _followed, "whether anything is known of where the run's values come from"),
    Variable("flow.labels", STRINGS, _labels_told, "labels of all that tools answered in the run; unnamed runs too"),
    Variable("flow.unproven", STRINGS, _unproven, "directing arguments (flow: directs) that nothing trusted told"),
    Variable("flow.delegated", STRINGS, _delegated, "of flow.unproven, what stands in a document that the user named"),
    Variable("flow.foreign", STRINGS, _foreign, "arguments (flow: directs, about) in which only the untrusted told"),
    Variable(
        "flow.asked", BOOL, _asked, "whether people said one of the words (flow: asked) with which one asks for it"
    ),
    Variable("flow.planted", STRINGS, _planted, "addresses, URLs, accounts in args that only the untrusted told"),
    Variable("guardrail", DYN_MAP, _fact("guardrail", {}), "what guardrails say: guardrail.NAME.flagged, .score"),
    Variable("memory.name", STRING, memory_values.name, 'the memory that the call touches, "" for none'),
    Variable("memory.key", STRING, memory_values.key, "the key that it writes or reads, the first of several"),
    Variable("memory.writes", BOOL, memory_values.writes, "whether it writes"),
    Variable("memory.read", BOOL, memory_values.read, "whether the run has read what stands there"),
    Variable("memory.stale", BOOL, memory_values.stale, "whether that has changed since the run read it"),
    Variable("memory.old", BOOL, memory_values.old, "whether the run read it longer ago than max_age"),
    Variable("memory.age", DOUBLE, memory_values.age, "seconds since the run read it, 1e12 where it has not"),
    Variable("memory.changed_by", STRING, memory_values.changed_by, 'who changed it last, "" where nobody knows'),
    Variable("args", DYN_MAP, _args, "the arguments: JSON body, form, query, or those of the MCP tool"),
)
_RESPONSE = (
    Variable("response.status", INT, _fact("response.status", 0), "the status that the tool answered"),
    Variable("response.isError", BOOL, _fact("response.isError", False), "the tool says that it failed"),
    Variable("result", DYN_MAP, _fact("result", {}), "the answer: its JSON object, or the MCP result"),
    Variable("usage.input_tokens", INT, _fact("usage.input_tokens", 0), "tokens that the model read"),
    Variable("usage.output_tokens", INT, _fact("usage.output_tokens", 0), "tokens that the model wrote"),
    Variable("usage.cost_usd", DOUBLE, _fact("usage.cost_usd", 0.0), "what the call cost, 0.0 where it is not known"),
    Variable("llm.proposed", PROPOSALS, _fact("llm.proposed", []), "proposed tool calls: name and args"),
)
_PROPOSAL = (
    Variable("proposal.name", STRING, _fact("proposal.name", ""), "the tool that the model proposes to call"),
    Variable("proposal.args", DYN_MAP, _fact("proposal.args", {}), "the arguments that it proposes"),
)
VARIABLES: Mapping[str, Variable] = {variable.name: variable for variable in (*_REQUEST, *_RESPONSE, *_PROPOSAL)}
TYPES: Mapping[str, CelType] = {variable.name: variable.type for variable in _REQUEST}
"""Those of the request phase."""
LISTED = frozenset(
    name for name in TYPES if name.partition(".")[0] in ("agent", "run", "tool") or name in ("mcp.method", "mcp.name")
)
"""What is known of an operation when it is only listed: nothing of a request for it."""
PHASES: Mapping[str, Mapping[str, CelType]] = {
    "request": TYPES,
    "list": {name: kind for name, kind in TYPES.items() if name in LISTED},
    "response": {**TYPES, **{variable.name: variable.type for variable in _RESPONSE}},
    "proposal": {**TYPES, **{variable.name: variable.type for variable in _PROPOSAL}},
}
PATH_VARIABLES = frozenset({"request.path", "tool.operation", "request.params"})
"""Those that tell paths apart, so that a path which servers read in two ways could mislead a rule."""

Binder = tuple[tuple[str, Callable[[Call], Any]], ...]


def binder(names: Iterable[str]) -> Binder:
    """Name and reader of each variable, to bind just those."""
    return tuple((name, VARIABLES[name].read) for name in sorted(names))


def bind(readers: Binder, call: Call) -> dict[str, Any]:
    """The values of a call for an activation."""
    return {name: read(call) for name, read in readers}


def elsewhere(name: str, phase: str) -> str:
    """What to write where a variable exists, but not in this phase; empty where it exists nowhere, or here."""
    if name in PHASES[phase]:
        return ""
    found = [other for other, types in PHASES.items() if name in types]
    if not found:
        return ""
    if phase == "list":
        return f"{name} is not known when a tool is only listed; leave it out, or write phase: {found[0]}"
    return f"{name} exists only in a rule with phase: {' or '.join(found)}"
