"""A call, from the bytes that came to what is permitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from gateway.model.approvals import Ruling
from gateway.model.claims import Hold
from gateway.model.coherence import Glance
from gateway.model.tools import Fields, Tool
from gateway.model.verdicts import Question, Refusal, Spoke

NO_FACTS: Mapping[str, Any] = {}


class Request(Struct, frozen=True, gc=False):
    """The head of what arrived, before anyone has said what it means.

    ``target`` is the request target byte for byte (latin-1). ``lookup`` maps lower-cased field names to values,
    repeated fields joined with ``", "`` (RFC 9110, 5.3). ``length`` is the announced body length in bytes: 0 for
    none, -1 for chunked.
    """

    method: str
    target: str
    version: str
    fields: Fields
    lookup: Mapping[bytes, bytes]
    length: int
    peer: str
    loopback: bool
    certificate: tuple[str, ...] = ()
    """Names in the client's certificate, which TLS has verified: URIs (SPIFFE ids) first, then DNS names."""
    secure: bool = False
    """Whether it came over TLS."""
    original: str = ""
    """``address:port`` that its connection was for, where the network of this machine has redirected that to us."""

    def repeats(self, name: bytes) -> bool:
        """Whether the field with this lower-cased name stands more than once."""
        if b"," not in self.lookup.get(name, b""):
            return False
        return len([field for field, _ in self.fields if field.lower() == name]) > 1

    def header(self, name: bytes, default: str = "") -> str:
        """The value of the field with this lower-cased name, as text, or ``default``."""
        value = self.lookup.get(name)
        return default if value is None else value.decode("latin-1")


class Agent(Struct, frozen=True):
    """Who is asking, and how we know."""

    id: str
    roles: tuple[str, ...] = ()
    source: str = ""
    credential: bytes = b""
    """Lower-cased name of the field that carried the agent's own credential: never forwarded."""
    claims: Mapping[str, Any] = NO_FACTS
    """What a token says of it, where it was known by one."""
    token: bytes = b""
    """That very token, for who exchanges it for another; it is shown and recorded nowhere."""

    def __repr__(self) -> str:
        return f"Agent({self.id!r}, {self.roles!r}, {self.source!r})"


class Run(Struct, frozen=True):
    """The agent's task: one conversation or job. ``id`` is empty where the agent named none."""

    id: str = ""
    parent: str = ""
    """W3C trace context of the caller (``traceparent``), or empty."""
    cost_usd: float = 0.0
    """What the calls of this run that have ended cost so far, in US dollars."""
    labels: tuple[str, ...] = ()
    """What rules have marked it with so far; read only where some rule of the tool asks for it."""
    root: tuple[str, str] | tuple[()] = ()
    """Agent and run at the root of the tree of runs to which it belongs; empty where it is the root itself."""
    led: tuple[str, str] | tuple[()] = ()
    """Agent and run whose call led to this run; empty at the root."""
    depth: int = 0
    """Calls that it lies within: 0 at the root, 1 where the tool of a call of the root made it, ..."""
    span: str = ""
    """Id of the span of the call that led to it, where that is known."""
    lineage: str = ""
    """How its place is known: token (its tool passed on), span (``traceparent``), declared (by the agent itself);
    ``rejected``: what came was no token of ours, or too old, and it is a root."""
    steps: int = 0
    """Permitted calls of the tree before this one; like the next two, only where some rule of the tool reads it."""
    errors_in_row: int = 0
    """Calls of the tree that failed one after the other, up to now."""
    age: float = 0.0
    """Seconds since the tree's first call."""
    task: str = ""
    """The task that it is in; empty where it is in none."""
    task_age: float = 0.0
    """Seconds for which it has been in it."""


class Route(Struct, frozen=True):
    """Which tool a request is for, and what the tool will see, byte for byte.

    ``target`` is path and query below the tool's base path, as sent; ``path`` and ``query`` are its two parts.
    """

    tool: Tool
    target: str
    path: str
    query: str
    host: str


UNREAD: Mapping[str, Any] = {}
"""Arguments that nobody has read, since no rule does: this very object, so that a record can tell them from none."""


class Extent(Struct, frozen=True):
    """How much a request to a model can read and write at most, in tokens."""

    input: int
    """Tokens of what stands in the request, for all answers that it asks for together."""
    output: int
    """Tokens of all answers together."""
    answers: int = 1
    """Answers that are asked for (``n``)."""
    beyond: bool = False
    """The request refers to what lies elsewhere (stored conversations, files, tools that the provider runs): then the
    model may read as much as it can."""
    models: tuple[str, ...] = ()
    """Other models that may answer in place of the first."""
    besides: int = 0
    """Tokens of each answer that do not become fewer where it is made shorter."""
    sound: bool = False
    """Sound may be read or written."""


class Call(Struct, frozen=True):
    """One thing an agent wants done.

    ``operation`` is ``METHOD template`` where the tool's operations name one, else ``METHOD path`` with the path
    percent-decoded; of an MCP server it is the name of the tool that is called, or the method with what it is about.
    ``args`` are the arguments a rule may read, or empty where no rule of the tool reads them.
    """

    id: str
    agent: Agent
    run: Run
    tool: Tool
    operation: str
    args: Mapping[str, Any]
    params: Mapping[str, str]
    request: Request
    target: str
    """Path and query for the tool, byte for byte, below its base path."""
    path: str
    """The path, percent-decoded: what rules see."""
    query: str
    host: str
    """The authority the agent asked for."""
    facts: Mapping[str, Any] = NO_FACTS
    """What the protocol tells beyond that, by the dotted names of the CEL variables (``mcp.method``, ``llm.model``)."""
    implied: bool = False
    """It only keeps a session going (handshake, lists, notifications, streams): granted to every agent that may call
    anything of the tool, and matched only by policies that name its operation, not by ``*``."""
    parts: tuple[Call, ...] = ()
    """The calls of a batch (JSON-RPC, MCP 2025-03-26), decided all or nothing; the call itself then stands for all."""
    flaw: Refusal | Question | None = None
    """What is wrong with it by what its server says (arguments against the schema, a tool that was changed): refused,
    or asked about, once it is known that the agent may call this at all."""
    body: bytes | None = None
    """What the tool gets instead of the body that came, where a reader changed it: for caps, which rules see applied,
    or for masks, before which rules saw what was there."""
    amendments: tuple[str, ...] = ()
    """What a reader changed, in words, for the record (``max_tokens 100000 -> 4096``)."""
    at: float = 0.0
    """When it arrived, in seconds since the epoch: set only where a rule reads ``request.time``."""
    intent: str = ""
    """Digest of tool, operation and arguments, the same for calls that ask for the same; where a guard reads it."""
    carried: Fields = ()
    """Trace context in the message itself, by the names of the header fields; it counts where the head has none."""
    onward: Fields = ()
    """Fields that the tool gets instead of the agent's own of these names (in lower case; where the value is empty,
    none): the trace context of this call."""
    extent: Extent | None = None
    """How much it can cost at most, where it asks a model and a budget counts it."""
    flow: Any = None
    """What is known of where values come from in its run (``ports.Flow``); None where no rule of the tool asks."""
    glances: tuple[Glance, ...] = ()
    """What it finds at the keys of a memory that it touches."""
    edition: int = 0
    """Of what is known of memories, when it looked."""
    drift: tuple[str, ...] | None = None
    """``memory/key`` of all that its run has seen and that has changed since; None where no rule reads it."""
    unverified: tuple[str, ...] = ()
    """``memory/key`` of what its run has seen, and of which its store could not be asked again whether it has
    changed."""

    @property
    def tree(self) -> tuple[str, str]:
        """Agent and run at the root of the tree of runs: what counts by run, counts by this."""
        return self.run.root or (self.agent.id, self.run.id)

    def arrived(self, at: float) -> Call:
        """The call, and each of its parts, with the time of its arrival (seconds since the epoch)."""
        parts = tuple([part.arrived(at) for part in self.parts])
        return structs.replace(self, at=at, parts=parts)


class Lent(Struct, frozen=True):
    """A credential of the gateway's for one call: header fields, and members of the query."""

    fields: Fields = ()
    query: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    """What of it nobody may read."""


class Permit(Struct, frozen=True):
    """Proof that a call was decided. execute accepts nothing else; only decide/engine.py makes one."""

    call: Call
    grant: str = ""
    holds: tuple[Hold, ...] = ()
    spoke: tuple[Spoke, ...] = ()
    ruling: Ruling | None = None
    """What people said; where it names an approval, that must be claimed before the call is made."""


Decision = Permit | Refusal
