"""The configuration file as pydantic models: what may be written, its defaults, and what editors complete from.

Models only say what a file looks like; build.py turns it into the nouns of ``gateway.model``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gateway.config.fields import (
    Address,
    Authority,
    Bytes,
    Cost,
    FreeHeaderName,
    HeaderName,
    Listed,
    ListenAddress,
    Model,
    Operation,
    SigningKey,
    StateLocation,
    Url,
    Usd,
)
from gateway.config.schema_admin import Admin, AdminField
from gateway.config.schema_approvals import Approvals
from gateway.config.schema_coherence import ToolMemory
from gateway.config.schema_credentials import Credentials
from gateway.config.schema_egress import EgressConfig
from gateway.config.schema_flow import Flow, FlowSpec
from gateway.config.schema_guardrails import GuardrailConfig, GuardrailName
from gateway.config.schema_identify import Identify, ListenTls
from gateway.config.schema_memory import MemoryConfig
from gateway.config.schema_record import AuditConfig, TraceConfig
from gateway.policy.schema_parts import Duration


class Limits(Model):
    """How much, and for how long."""

    concurrency: int = Field(default=0, ge=0, description="Calls in flight at once; 0 means no bound.")
    connect: Duration = Field(default=5.0, gt=0, description="To the connection, TLS included.")
    timeout: Duration = Field(default=0.0, description="For the whole call; 0 means no bound, for long streams.")
    first_byte: Duration = Field(default=60.0, gt=0, description="To the first byte of the answer.")
    idle: Duration = Field(default=300.0, gt=0, description="Between two pieces of the answer.")


class Body(Model):
    """What happens to request bodies that a rule reads."""

    limit: Bytes = Field(default=1 << 20, ge=1, description="Bytes read ahead at most where a rule reads arguments.")
    answer_limit: Bytes = Field(
        default=2 << 20, ge=1, description="Bytes of an answer that a rule reads as a whole; a larger one is refused."
    )
    otherwise: Literal["refuse", "head-only"] = Field(
        default="refuse",
        description="Where the body is too large or unreadable for the rules: refuse the call, or decide on the head.",
    )


class Tls(Model):
    """How the tool's certificate is verified. Verification cannot be turned off."""

    ca_file: str | None = Field(
        default=None, min_length=1, description="PEM file of the authorities to trust instead of the system's."
    )
    server_name: str | None = Field(
        default=None, min_length=1, description="The name that the certificate must be for, instead of the URL's host."
    )


class ModelRates(Model):
    """US dollars for a million tokens."""

    input: Usd = Field(description="Tokens that the model reads.")
    output: Usd = Field(default=0.0, description="Tokens that it writes.")
    cache_read: Usd | None = Field(default=None, description="Tokens read from a cache; by default what input costs.")
    cache_write: Usd | None = Field(default=None, description="Tokens put in a cache; by default what input costs.")


class Prices(Model):
    """What the models of an LLM API cost."""

    provider: str | None = Field(
        default=None,
        min_length=1,
        description="Whose prices count, as genai-prices names it (openai, anthropic, google, azure, deepseek, ...); by"
        " default the one whose protocol is spoken.",
    )
    unknown: Literal["allow", "refuse"] | ModelRates = Field(
        default="allow", description="Models without a price: allow them unpriced, refuse them, or these rates."
    )
    models: dict[str, ModelRates] = Field(
        default={}, description="Rates by model, or by a glob of models; they win over known prices."
    )


class Llm(Model):
    """How an LLM API is spoken to."""

    stream_usage: Literal["ask", "estimate"] = Field(
        default="ask",
        description="OpenAI tells the usage of a stream only where it is asked to: ask for it and hide the answer, or"
        " estimate it, for servers that refuse stream_options.",
    )


class Mcp(Model):
    """How an MCP server is spoken for."""

    refusal: Literal["result", "error"] = Field(
        default="result",
        description="How a refused tools/call is answered: a result with isError, which the model reads, or a JSON-RPC"
        " error.",
    )
    validate_arguments: bool = Field(
        default=True, description="Whether arguments must fit the tool's inputSchema, where it is known."
    )
    endpoints: Listed[Annotated[str, Field(pattern=r"^/[!-~]*$")]] = Field(
        default=(),
        description='Paths below the url where MCP is spoken; by default the url, and "/mcp" where it has no path.',
    )
    allowed_hosts: Listed[Authority] = Field(
        default=(), description="Host and Origin names that may be used beside those of the loopback and hosts."
    )


PinAction = Literal["refuse", "approve", "warn", "allow"]
BUILTIN_URL = "http://memory.toolgate.internal"
"""The url of tools that the gateway is itself; nothing is ever resolved for it."""


class PinsConfig(Model):
    """How the tools of an MCP server are held to what was approved."""

    file: str | None = Field(
        default=None, min_length=1, description="The approved tools, as toolgate tools pin writes them."
    )
    changed: PinAction | None = Field(
        default=None, description="A tool that is not as approved; by default refuse with a file, else warn."
    )
    new: PinAction | None = Field(
        default=None, description="A tool that is not among the approved; by default refuse with a file, else allow."
    )


class ToolConfig(Model):
    """One upstream that agents may be let through to."""

    url: Url = Field(description="Where the tool is: http(s)://host[:port][/base].")
    builtin: Literal["memory"] | None = Field(
        default=None,
        description="Instead of url: memory is the gateway's own shared memory, by protocol: http or mcp.",
    )
    protocol: Literal["http", "mcp", "openai", "anthropic", "gemini"] = Field(
        default="http",
        description="What the tool speaks: plain HTTP, MCP (Streamable HTTP), or one of the LLM APIs.",
    )
    hosts: Listed[Authority] = Field(default=(), description="More Host names that mean this tool.")
    preserve_host: bool = Field(default=False, description="Pass on the agent's Host instead of the URL's.")
    credential: Credentials = Field(
        default=(), description="One credential or a list of them, added to each call; the agent's own are stripped."
    )
    credential_required: bool = Field(
        default=False, description="Refuse calls of agents that get none of the tool's credentials."
    )
    echo: Literal["mask", "pass"] = Field(
        default="mask",
        description="A tool that repeats its credential in an answer: mask it there, for which the tool is asked for"
        " answers without compression, or pass all on as it is.",
    )
    operations: Listed[Operation] = Field(
        default=(), description="Route templates that name operations: METHOD /path/{name}."
    )
    openapi: str | None = Field(
        default=None, min_length=1, description="OpenAPI document (YAML or JSON) to read the operations from instead."
    )
    limits: Limits = Limits()
    body: Body = Body()
    repeated_parameters: Literal["refuse", "list"] = Field(
        default="refuse", description="A query or form key given twice: refuse the call, or make it a list in args."
    )
    ambiguous_paths: Literal["auto", "refuse", "forward"] = Field(
        default="auto",
        description="Paths that servers read in different ways (//, /../, %2f, ;): refuse or forward them; auto"
        " refuses where a rule or grant of this tool tells paths apart.",
    )
    connect: bool = Field(
        default=False,
        description="Whether CONNECT to the URL's host and port is allowed; egress.tunnels says what it may carry.",
    )
    upgrades: Listed[str] = Field(default=("*",), description='Protocols that may be upgraded to; "*" is any.')
    forwarded: Literal["x-forwarded", "rfc7239", "off"] = Field(
        default="x-forwarded", description="What the tool is told about the agent's connection."
    )
    strip: Listed[FreeHeaderName] = Field(default=(), description="Request headers that are never forwarded.")
    tls: Tls = Tls()
    cost: Cost | None = Field(
        default=None,
        description="US dollars that a call costs, beside its tokens: a number, or CEL over args, result and the like.",
    )
    prices: Prices = Prices()
    llm: Llm = Llm()
    mcp: Mcp = Mcp()
    pins: PinsConfig = PinsConfig()
    egress: EgressConfig = Field(default=EgressConfig(), description="Wins over the top level's, but for its deny.")
    flow: Listed[FlowSpec] = Field(
        default=(), description="What operations do to the flow of information; none: their results are not trusted."
    )
    memory: ToolMemory | None = Field(
        default=None, description="The tool is a memory that agents share: nobody overwrites what he has not seen."
    )

    @model_validator(mode="before")
    @classmethod
    def _located(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("builtin") == "memory" and "url" not in value:
            return {**value, "url": BUILTIN_URL}
        return value


class Wire(Model):
    """Bounds on agents' connections."""

    head_timeout: Duration = Field(default=10.0, gt=0, description="For the whole head of a request.")
    body_idle: Duration = Field(default=60.0, gt=0, description="Between two pieces of a request's body.")
    keep_alive: Duration = Field(default=75.0, gt=0, description="An idle connection is kept for so long.")
    max_head: Bytes = Field(default=64 * 1024, ge=1024, description="Bytes of a head.")
    max_headers: int = Field(default=128, ge=1, description="Headers in a head.")
    max_connections: int = Field(default=10_000, ge=1, description="Agents' connections at once.")
    half_close_grace: Duration = Field(
        default=0.5,
        description="After a client has closed its sending side: when to find out whether it is still there.",
    )
    drain: Duration = Field(default=30.0, description="After SIGTERM, calls under way may take so long to end.")


class Lineage(Model):
    """Which run led to which, where agents are tools of other agents."""

    propagate: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Tell tools which call they serve (traceparent, baggage), and know by that the calls they make;"
        " auto: where a document of kind Run bounds runs, a rule reads run.depth or run.root, or spans are exported.",
    )
    key: SigningKey | None = Field(
        default=None,
        description="Signs what tools are told. Without it one is made, and kept with the state.",
    )
    parent_header: HeaderName = Field(
        default="x-parent-run-id", description="The header in which an agent names the run of its own that began this."
    )


class Log(Model):
    """The gateway's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")


ToolName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class CelFunctions(Model):
    """Functions of expressions that are not always there."""

    sql: bool = Field(default=False, description="The function sql(), which needs the package sqlglot.")


class Config(Model):
    """The configuration file."""

    listen: ListenAddress = Field(default=Address("127.0.0.1", 8080), description="Where agents call.")
    listen_tls: ListenTls | None = Field(default=None, description="TLS for agents; without it they speak plain HTTP.")
    listen_transparent: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the loopback for connections that toolgate redirect leads here.",
    )
    admin: AdminField = Field(
        default=Admin(), description="Where operators look and change things: an address, or {listen: ..., token: ...}."
    )
    state: StateLocation = Field(
        default="memory:",
        description="Where budgets, quarantines and open circuits are kept: memory: (nothing outlives the process),"
        " sqlite:///FILE, or redis://HOST:PORT/DB, which replicas share.",
    )
    policies: str = Field(default="./policies", min_length=1, description="Folder of policy files, or one file.")
    cel: Literal["cel-expr-python", "cel-python"] = Field(
        default="cel-expr-python", description="The engine that evaluates expressions."
    )
    cel_functions: CelFunctions = CelFunctions()
    identify: Listed[Identify] = Field(
        default=(Identify(header="x-agent-id"),),
        min_length=1,
        description="Who is asking: tried in order, the first that recognises the request wins; none: 401.",
    )
    run_header: HeaderName = Field(default="x-run-id", description="The header in which agents name their run.")
    lineage: Lineage = Lineage()
    tools: dict[ToolName, ToolConfig] = Field(min_length=1, description="The tools, by name.")
    approvals: Approvals = Approvals()
    flow: Flow = Flow()
    guardrails: dict[GuardrailName, GuardrailConfig] = Field(
        default={}, description="Classifiers of others, by the name that rules read: guardrail.NAME.flagged."
    )
    memory: MemoryConfig = MemoryConfig()
    egress: EgressConfig = EgressConfig()
    wire: Wire = Wire()
    trace: TraceConfig = TraceConfig()
    audit: AuditConfig | None = Field(
        default=None, description="Keep an audit that shows every later change of it; {} for all defaults."
    )
    log: Log = Log()
