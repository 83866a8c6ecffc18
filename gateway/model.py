"""The nouns. Frozen and free of I/O; every other room speaks in these.

They are ``msgspec.Struct`` rather than frozen dataclasses because several are made for every call: a frozen
dataclass of eight fields costs about 0.9 us to make, a frozen Struct about 0.1 us, with the same guarantees.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, structs

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields as they came: original case, original order, repeats kept."""


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"})
"""HTTP methods that change nothing (RFC 9110, 9.2.1), so that sending one twice does no harm."""


class Reason(StrEnum):
    """Why a call was not simply let through. Stable: dashboards and agents match on it."""

    BAD_REQUEST = "bad_request"
    UNREADABLE_BODY = "unreadable_body"
    BODY_TOO_LARGE = "body_too_large"
    AMBIGUOUS_PATH = "ambiguous_path"
    UNAUTHENTICATED = "unauthenticated"
    UNKNOWN_TOOL = "unknown_tool"
    NOT_GRANTED = "not_granted"
    POLICY_DENIED = "policy_denied"
    POLICY_ERROR = "policy_error"
    REDACTION_FAILED = "redaction_failed"
    APPROVAL_REQUIRED = "approval_required"
    RATE_LIMITED = "rate_limited"
    CIRCUIT_OPEN = "circuit_open"
    CONCURRENCY_LIMITED = "concurrency_limited"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_PROTOCOL = "upstream_protocol"
    HEADER_MISMATCH = "header_mismatch"
    FOREIGN_ORIGIN = "foreign_origin"
    INVALID_ARGUMENTS = "invalid_arguments"
    TOOL_CHANGED = "tool_changed"
    CAPPED = "capped"
    UNPRICED = "unpriced"
    RESULT_DENIED = "result_denied"
    RESULT_UNREADABLE = "result_unreadable"
    REQUEST_TIMEOUT = "request_timeout"
    TRACE_UNAVAILABLE = "trace_unavailable"
    DRAINING = "draining"
    INTERNAL_ERROR = "internal_error"


class Verdict(StrEnum):
    """What a rule asks for when it is true, weakest first. The strongest verdict of all rules that spoke wins.

    REDACT and LABEL refuse nothing: values are masked in what is passed on, the run is marked.
    """

    WARN = "warn"
    LABEL = "label"
    REDACT = "redact"
    APPROVE = "approve"
    DENY = "deny"


class Mode(StrEnum):
    """Whether a policy is enforced, or only recorded (Audit), or recorded and told to the agent (Warn)."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"
    WARN = "Warn"


class Origin(Struct, frozen=True):
    """Where an upstream lives. ``scheme`` is http or https; ``host`` a name or address without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """``host`` or ``host:port``, as it stands in a Host field (the port only where it is not the default)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"


class Timeouts(Struct, frozen=True):
    """Seconds. ``total`` of 0 means no bound on the whole call (streams)."""

    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 300.0
    total: float = 0.0


class Tool(Struct, frozen=True):
    """One upstream as the operator configured it.

    ``inject`` holds the credential fields to add; ``strip`` the lower-cased field names removed from what the agent
    sent. ``ca_pem`` (certificates in PEM, instead of the system's) and ``server_name`` shape TLS verification, which
    cannot be turned off.
    """

    name: str
    origin: Origin
    protocol: str = "http"
    base_path: str = ""
    hosts: tuple[str, ...] = ()
    preserve_host: bool = False
    inject: Fields = ()
    strip: frozenset[bytes] = frozenset()
    operations: tuple[str, ...] = ()
    timeouts: Timeouts = Timeouts()
    concurrency: int = 0
    """Calls in flight at once; 0 means no bound."""
    body_limit: int = 1 << 20
    """Bytes read ahead at most where a rule reads the body."""
    answer_limit: int = 2 << 20
    """Bytes of an answer that a rule must read as a whole; a larger one is refused."""
    head_only: bool = False
    """Where the body is too large or unreadable for the rules: decide on the head alone instead of refusing."""
    repeated_parameters: bool = False
    """A query or form key given twice becomes a list in ``args`` instead of a refusal."""
    ambiguous_paths: str = "auto"
    """``refuse``, ``forward``, or ``auto``: refuse where a rule or grant looks at the path."""
    connect: bool = False
    """Whether CONNECT to this tool's host and port is allowed."""
    upgrades: tuple[str, ...] = ("*",)
    forwarded: str = "x-forwarded"
    """``x-forwarded``, ``rfc7239`` or ``off``: what the upstream is told about the agent's connection."""
    ca_pem: str | None = None
    server_name: str | None = None


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


class Run(Struct, frozen=True):
    """The agent's task: one conversation or job. ``id`` is empty where the agent named none."""

    id: str = ""
    parent: str = ""
    """W3C trace context of the caller (``traceparent``), or empty."""
    cost_usd: float = 0.0
    """What the calls of this run that have ended cost so far, in US dollars."""
    labels: tuple[str, ...] = ()
    """What rules have marked it with so far; read only where some rule of the tool asks for it."""


class Route(Struct, frozen=True):
    """Which tool a request is for, and what the tool will see, byte for byte.

    ``target`` is path and query below the tool's base path, as sent; ``path`` and ``query`` are its two parts.
    """

    tool: Tool
    target: str
    path: str
    query: str
    host: str


NO_FACTS: Mapping[str, Any] = {}
UNREAD: Mapping[str, Any] = {}
"""Arguments that nobody has read, since no rule does: this very object, so that a record can tell them from none."""


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

    def arrived(self, at: float) -> Call:
        """The call, and each of its parts, with the time of its arrival (seconds since the epoch)."""
        parts = tuple([part.arrived(at) for part in self.parts])
        return structs.replace(self, at=at, parts=parts)


class Spoke(Struct, frozen=True):
    """One rule that had something to say of a call."""

    policy: str
    rule: str
    verdict: Verdict
    mode: Mode
    message: str = ""
    error: str = ""
    """Set where the expression could not be evaluated; the verdict then follows the policy's failurePolicy."""
    label: str = ""
    """With the verdict LABEL: what the run is marked with."""
    fields: tuple[str, ...] = ()
    """With the verdict REDACT: paths of what is masked (``args.password``)."""
    annotations: tuple[tuple[str, str], ...] = ()
    outside: bool = False
    """The mode is AUDIT since the call lies outside of the policy's rollout."""


class CircuitSettings(Struct, frozen=True):
    """When a breaker opens and closes. ``failures`` are consecutive; ``rate`` and ``slow_rate`` are 0..1 over
    ``window`` seconds, looked at from ``minimum`` calls on; 0 turns a trigger off. ``slow`` is in seconds to the first
    byte of the answer. Open for ``open`` seconds, then ``probes`` calls are let through; all must succeed."""

    failures: int = 5
    rate: float = 0.5
    window: float = 30.0
    minimum: int = 10
    open: float = 15.0
    probes: int = 1
    slow: float = 0.0
    slow_rate: float = 0.0
    result_errors: bool = False
    """An answer that says of itself that it failed (``Findings.is_error``) is a failure too."""


class Caps(Struct, frozen=True):
    """What requests to a model are held to. Empty means no cap."""

    name: str = ""
    models: tuple[str, ...] = ()
    """Globs of models that may be asked; others are refused."""
    max_tokens: int = 0
    """Lowered to this, or set where the request has no bound."""
    system: str = ""
    """Text that the system prompt must begin with: put first where it does not."""
    forbid_tools: tuple[str, ...] = ()
    """Globs of tools that may not be defined: they are taken out of the request."""


class Claim(Struct, frozen=True):
    """What a guard asks the ledger to set aside before the call may run. ``key`` names the counter."""

    guard: str
    key: tuple[str, ...]


class RateClaim(Claim, frozen=True):
    """``cost`` tokens out of a bucket of ``capacity`` that refills at ``rate`` tokens a second.

    ``wait`` above 0: wait up to so many seconds for room instead of refusing.
    """

    capacity: float
    rate: float
    cost: float = 1.0
    wait: float = 0.0


class SlotClaim(Claim, frozen=True):
    """One of ``capacity`` places, given back when the call ends."""

    capacity: int


class CircuitClaim(Claim, frozen=True):
    """Passage through a circuit breaker, which is told how the call ended."""

    settings: CircuitSettings


class Hold(Struct, frozen=True):
    """The ledger's answer to one claim. ``left`` is tokens or places left; ``state`` a breaker's state."""

    claim: Claim
    granted: bool
    left: float = 0.0
    retry_after: float = 0.0
    state: str = ""


class Refusal(Struct, frozen=True):
    """Why a call does not run, and what the agent should do. ``rule`` is ``policy/rule`` or a guard's name."""

    reason: Reason
    status: int
    detail: str
    rule: str = ""
    retry_after: float = 0.0
    retryable: bool = False
    advice: str = ""
    spoke: tuple[Spoke, ...] = ()
    holds: tuple[Hold, ...] = ()
    fields: Fields = ()
    """Extra response fields (RateLimit, WWW-Authenticate)."""


class Question(Struct, frozen=True):
    """What a human is asked before the call may run."""

    rule: str
    text: str


class Permit(Struct, frozen=True):
    """Proof that a call was decided. execute accepts nothing else; only decide/engine.py makes one."""

    call: Call
    grant: str = ""
    holds: tuple[Hold, ...] = ()
    spoke: tuple[Spoke, ...] = ()


Decision = Permit | Refusal


class Answered(Struct, frozen=True):
    """The head of an upstream's answer. ``first_byte`` is the seconds from the start of the upstream call to it."""

    status: int
    first_byte: float
    content_type: str = ""
    """The media type with its parameters, as the tool gave it; told only of answers that may be read."""
    content_encoding: str = ""


class Usage(Struct, frozen=True):
    """What a model read and wrote, in tokens. ``input_tokens`` counts everything that was read, cached or not;
    ``cache_read_tokens`` and ``cache_write_tokens`` are parts of it; ``reasoning_tokens`` a part of the output."""

    model: str = ""
    """The model that answered, by the provider's name for it."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    """Counted from bytes, since the provider did not say (a stream that was cut)."""


class Proposal(Struct, frozen=True):
    """A tool call that a model proposes in its answer. ``args`` is None where its text is no JSON object."""

    name: str
    args: Mapping[str, Any] | None = None
    id: str = ""
    refused: str = ""
    """``policy/rule`` that kept it from the agent, or empty."""


class Findings(Struct, frozen=True):
    """What was read in a tool's answer. All of it is optional: most answers are passed on unread."""

    is_error: bool = False
    """The tool says that it failed, whatever the status (MCP ``isError``, an ``error`` event in a stream)."""
    usage: Usage | None = None
    proposed: tuple[Proposal, ...] = ()
    result: Mapping[str, Any] | None = None
    """The result as rules see it, kept only where a rule or a price reads it."""
    refusal: Refusal | None = None
    """The answer, or a part of it, was kept from the agent: why."""
    answered: bool = False
    """What was asked for has been passed on: an agent that leaves now (and ends the stream) has not broken it off."""
    spoke: tuple[Spoke, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader of the record should know (``usage estimated: the stream was cut``)."""


NOTHING_FOUND = Findings()


class Outcome(Struct, frozen=True):
    """What came of a call, told once at its end whatever the exit.

    ``status`` is what the agent got (499: it had gone). ``upstream`` is what the tool answered, 0 for nothing.
    ``fault`` is "" | "tool" | "agent" | "gateway": who broke it. Sizes are body bytes in and out.
    """

    status: int
    upstream: int = 0
    fault: str = ""
    error: str = ""
    received: int = 0
    sent: int = 0
    first_byte: float = 0.0
    """Seconds from the start of the upstream call to the head of its answer; 0 for none."""
    found: Findings = NOTHING_FOUND
    cost_usd: float | None = None
    """What the call cost, in US dollars; None where nothing has a price."""


class Trace(Struct, frozen=True):
    """One line of the record: a call from arrival to outcome. Times are monotonic seconds unless said otherwise."""

    id: str
    wall: float
    """Arrival, seconds since the epoch."""
    began: float
    decided: float
    opened: float
    ended: float
    request: Request
    agent: Agent | None
    run: Run
    tool: str
    operation: str
    policy: str
    """Digest of the policy set that decided."""
    decision: Decision | None
    outcome: Outcome
    queued: float = 0.0
    """Seconds spent waiting for a place (limits in wait mode)."""
    facts: Mapping[str, Any] = NO_FACTS
    """What the protocol told of the call; see ``Call.facts``."""
    amendments: tuple[str, ...] = ()
    call: Call | None = None
    """The call as the policies saw it, but with the masks that they put on; None where the request was not read so
    far."""
