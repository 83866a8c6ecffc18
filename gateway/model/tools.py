"""Tools, as the operator configured them."""

from __future__ import annotations

from msgspec import Struct

from gateway.model.credentials import Loan
from gateway.model.egress import Egress

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields as they came: original case, original order, repeats kept."""


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


class FlowLabels(Struct, frozen=True):
    """What some operations of a tool do to the flow of information."""

    operations: tuple[str, ...]
    """Globs."""
    returns: tuple[str, ...] = ()
    """Of trusted, untrusted, private, public: what its results are."""
    sends: str = ""
    """external or internal: where its arguments go; request where it only asks somebody outside; empty where it changes
    or tells nobody anything."""
    directs: tuple[str, ...] = ()
    """Paths of arguments that direct what it does (a recipient, an amount, a path, a URL): ``args.to``."""
    about: tuple[str, ...] = ()
    """Paths of arguments that say what it is about (a title, a name)."""
    asked: tuple[str, ...] = ()
    """Beginnings of the words with which people ask for it."""


class Tool(Struct, frozen=True):
    """One upstream as the operator configured it.

    ``inject`` holds the credential fields that every call gets, ``loans`` the others; ``strip`` the lower-cased field
    names removed from what the agent sent. ``ca_pem`` (certificates in PEM, instead of the system's) and
    ``server_name`` shape TLS verification, which cannot be turned off.
    """

    name: str
    origin: Origin
    protocol: str = "http"
    base_path: str = ""
    hosts: tuple[str, ...] = ()
    preserve_host: bool = False
    inject: Fields = ()
    strip: frozenset[bytes] = frozenset()
    loans: tuple[Loan, ...] = ()
    loan_required: bool = False
    """Who gets none of the loans makes no calls."""
    strip_query: frozenset[str] = frozenset()
    """Names of query members that are removed, however they are written."""
    masks_echo: bool = False
    """Credentials that the tool repeats in an answer are masked there."""
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
    egress: Egress = Egress()
    """Which addresses its host may resolve to, and what tunnels to it may carry."""
    flows: tuple[FlowLabels, ...] = ()
    """The first whose operations match counts."""
    builtin: str = ""
    """``memory``: the gateway itself is the tool, reached by no network."""


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
