"""Configuration and policies, read together: everything usable, or every mistake at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from pydantic import ValidationError

from gateway.coherence.declared import Declared
from gateway.config.admin import settled
from gateway.config.build import LLM_PROTOCOLS, tools_of
from gateway.config.channels import authorities_of, unknown_channels
from gateway.config.documents import Document, problems_of, read_documents
from gateway.config.files import Files
from gateway.config.folders import without_folder
from gateway.config.guardrails import unknown_guardrails
from gateway.config.identities import settled_identities, settled_tls
from gateway.config.memories import MemoryCompiler, memory_mistakes
from gateway.config.model_errors import Mistake, mistakes
from gateway.config.packages import missing
from gateway.config.pins import read_pins
from gateway.config.policies import Policies
from gateway.config.problems import in_order
from gateway.config.references import expand
from gateway.config.schema import Config, PinAction, PinsConfig
from gateway.config.schema_record import TraceConfig
from gateway.cost.calls import CallPrice, compile_price
from gateway.cost.genai import load as model_prices
from gateway.cost.rates import Catalogue
from gateway.errors import ConfigError, Problem
from gateway.model import Origin, Tool
from gateway.model.state_url import read_state_url
from gateway.policy.argument_shapes import ToolArguments
from gateway.policy.book import PolicyBook
from gateway.policy.engine import CelEngine, CelError, EngineError
from gateway.policy.engines import ENGINES, load_engine
from gateway.policy.pins import Action, Pinning, arguments_of, pinning
from gateway.policy.priorities import compile_priority
from gateway.policy.schema import AnyDocument

DEFAULT_POLICIES = "./policies"


class Loaded(Struct, frozen=True):
    """One usable version of configuration and policies.

    ``version`` is 12 hex digits over both; secrets cannot be guessed from it, and changing only one leaves it as it is.
    ``files`` are all files and folders whose change makes another version. ``documents`` are the policy documents.
    """

    config: Config
    tools: tuple[Tool, ...]
    book: PolicyBook
    version: str
    files: frozenset[Path]
    warnings: list[Problem]
    documents: tuple[AnyDocument, ...]
    fingerprint: str
    call_prices: Mapping[str, CallPrice] = {}
    """Of the tools whose calls have a price of their own."""
    pinnings: Mapping[str, Pinning] = {}
    """Of the MCP servers: how their tools are held to what was approved."""
    model_prices: Catalogue | None = None
    """Prices of the providers' models, where some tool is an LLM API."""
    memories: Mapping[str, Declared] = {}
    """Of the tools that are memories."""
    mail_authorities: Mapping[str, str] = {}
    """Of channels: certificates that their mail servers are trusted by, in PEM, where not the system's are."""


class Attempt(Struct, frozen=True):
    """What came of reading. ``loaded`` is None where there are ``errors``; ``files`` remembers what was read, and
    ``policies`` knows the places of what was read in them."""

    loaded: Loaded | None
    errors: list[Problem]
    warnings: list[Problem]
    files: Files
    policies: Policies


def load(path: str | os.PathLike[str], policies: Path | None = None) -> Loaded:
    """Read the configuration file at ``path`` and the policies that it names, or those at ``policies`` instead.

    Raises:
        ConfigError: they cannot be used; it holds every problem that was found, with file, line and column.
    """
    made = attempt(path, policies)
    if made.loaded is None:
        raise ConfigError(made.errors)
    return made.loaded


def attempt(path: str | os.PathLike[str], policies: Path | None = None) -> Attempt:
    """As ``load``, without raising."""
    path, files = Path(path), Files()
    documents, problems = read_documents(path, files)
    named = None if policies is None else Policies(files.policies(policies), files)
    reading = _Reading(documents[0] if documents else None, path.parent, files, named)
    reading.errors += problems
    if not documents and not problems:
        reading.errors.append(Problem(str(path), 1, 1, "the configuration is empty", "write at least tools:"))
    if reading.config is not None:
        reading.errors += unknown_channels(reading.policies, reading.config.approvals.channels)
        reading.errors += unknown_guardrails(reading.policies, reading.config.guardrails)
    for more in documents[1:]:
        reading.errors.append(more.mistake(Mistake((), "a configuration is one document", "remove this one")))
    return _made(reading, str(path))


def attempt_document(document: Document, base: Path, policies: Policies, files: Files) -> Attempt:
    """As ``attempt``, with a document that stands for a configuration, and policies that were read already.

    ``base`` is the folder that relative paths of the document begin at.
    """
    return _made(_Reading(document, base, files, policies), document.file)


def _made(reading: _Reading, first: str) -> Attempt:
    """The attempt that a reading came to; problems of the file ``first`` are told first."""
    book, files, policies = reading.book(), reading.files, reading.policies
    errors = in_order(reading.errors, first)
    warnings = in_order(reading.warnings, first)
    config = reading.config
    if errors or config is None or book is None:
        return Attempt(None, errors, warnings, files, policies)
    loaded = Loaded(
        config=config,
        tools=tuple(reading.tools),
        book=book,
        version=reading.version(book),
        files=frozenset(files.read_files) | files.folders,
        warnings=warnings,
        documents=tuple(document.model for document in policies.sourced),
        fingerprint=files.fingerprint(),
        call_prices=reading.call_prices,
        pinnings=reading.pinnings,
        memories=reading.memories,
        mail_authorities=reading.mail_authorities,
        model_prices=model_prices() if any(tool.protocol in LLM_PROTOCOLS for tool in reading.tools) else None,
    )
    return Attempt(loaded, [], warnings, files, policies)


class _Reading:
    """The steps of one attempt. Each does what it can with what the ones before it made."""

    def __init__(self, document: Document | None, base: Path, files: Files, policies: Policies | None) -> None:
        self.base, self.files = base, files
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.config: Config | None = None
        self.tools: list[Tool] = []
        self.call_prices: dict[str, CallPrice] = {}
        self.pinnings: dict[str, Pinning] = {}
        self.memories: dict[str, Declared] = {}
        self.arguments: dict[str, ToolArguments] = {}
        self.mail_authorities: dict[str, str] = {}
        self._written: Any = None
        self._document = document
        if document is not None:
            self._check(document)
        self.policies = policies or self._policies()

    def _check(self, document: Document) -> None:
        if not isinstance(document.root.value, dict):
            message = "a configuration must be a mapping of settings"
            self.errors.append(document.mistake(Mistake((), message, "write at least tools:")))
            return
        self._written = document.root.plain()
        unresolved = expand(document.root, self.base, self.files)
        self.errors += problems_of(document.file, unresolved)
        try:
            config = Config.model_validate(document.root.plain())
        except ValidationError as error:
            found = [document.mistake(mistake) for mistake in mistakes(error, Config)]
            # What a reference should have stood for is not known, so nothing more is said of its value.
            known = {(one.line, one.column) for one in unresolved}
            self.errors += [problem for problem in found if (problem.line, problem.column) not in known]
            return
        built = tools_of(config, self.base, self.files)
        self.tools = built.tools
        self.arguments |= built.arguments
        self.errors += [document.mistake(mistake) for mistake in (*built.errors, *memory_mistakes(config))]
        self.warnings += [
            document.mistake(mistake)
            for mistake in (*built.warnings, *missing(config), *without_folder(config, self.base))
        ]
        for name, tool in config.tools.items():
            if tool.protocol == "mcp":
                pinned = self.pinnings[name] = self._pinning(document, name, tool.pins, tool.url.rstrip("/"))
                if (taken := arguments_of(pinned)) is not None:
                    self.arguments[name] = taken
        self.mail_authorities, wrong = authorities_of(config, self.base, self.files)
        self.errors += [document.mistake(mistake) for mistake in wrong]
        paths = {
            "trace": _from_folder(config.trace, self.base),
            "admin": settled(config.admin, self.base),
            "identify": settled_identities(config.identify, self.base),
            "listen_tls": settled_tls(config.listen_tls, self.base),
        }
        config = config.model_copy(update=paths)
        if config.audit is not None:
            folder = os.path.abspath(self.base / config.audit.dir)
            config = config.model_copy(update={"audit": config.audit.model_copy(update={"dir": folder})})
        state = read_state_url(config.state)
        if "state" in self._written:
            self._written["state"] = str(state)
        if state.kind == "sqlite":
            file = os.path.abspath(self.base / state.path)
            config = config.model_copy(update={"state": f"sqlite:///{quote(file)}"})
        self.config = config

    def _pinning(self, document: Document, name: str, config: PinsConfig, url: str) -> Pinning:
        """How a server's tools are held to what was approved; the mistakes of its pins file are told like others."""
        changed, new = _action(config.changed), _action(config.new)
        if config.file is None:
            return pinning(None, changed, new)
        path = self.base / config.file
        try:
            pins, problems = read_pins(path, self.files)
        except OSError as error:
            message = f"cannot read {path}: {error.strerror or error}"
            hint = f"write it with toolgate tools pin, or correct the path of {name}; it begins at the configuration's"
            self.errors.append(document.mistake(Mistake(("tools", name, "pins", "file"), message, f"{hint} folder")))
            return pinning(None, changed, new)
        self.errors += problems
        at = ("tools", name, "pins", "file")
        if pins.server not in ("", name):
            message = f"{path} is of the server {pins.server}, not of {name}"
            self.errors.append(document.mistake(Mistake(at, message, "give each server a file of its own")))
        elif pins.url and pins.url != url:
            message = f"{path} was approved of {pins.url}, and {name} is at {url}"
            hint = "remove the file and pin its tools anew; or take out its line url:, where both are the same server"
            self.errors.append(document.mistake(Mistake(at, message, hint)))
        elif pins.version == 1:
            message = f"{path} has digests of version 1, which still hold"
            hint = f"write it anew, with those of RFC 8785: toolgate tools pin -c {document.file} {name}"
            self.warnings.append(document.mistake(Mistake(at, message, hint)))
        elif not pins.exists:
            message = f"there is no {path} yet, so none of the tools of {name} is approved"
            self.warnings.append(
                document.mistake(Mistake(at, message, f"write it with toolgate tools pin -c {document.file} {name}"))
            )
        return pinning(pins, changed, new)

    def _price(self, document: Document, name: str, cost: float | str, engine: CelEngine) -> None:
        path = ("tools", name, "cost")
        try:
            price = self.call_prices[name] = compile_price(cost, engine)
            protocol = self.config.tools[name].protocol if self.config is not None else ""
            read = sorted(variable for variable in price.references if variable.startswith("usage."))
            if read and protocol not in LLM_PROTOCOLS:
                message = f"{read[0]} is known of models only, so with protocol: {protocol} there would never be a cost"
                self.errors.append(document.mistake(Mistake(path, message, "count by args or result instead")))
        except CelError as error:
            problem = document.inside(path, error.line, error.column, error.message, error.hint)
            self.errors.append(problem)
        except ValueError as error:
            self.errors.append(document.mistake(Mistake(path, str(error))))

    def _priority(self, document: Document, formula: str, engine: CelEngine) -> None:
        path = ("approvals", "priority")
        try:
            compile_priority(formula, engine)
        except CelError as error:
            self.errors.append(document.inside(path, error.line, error.column, error.message, error.hint))

    def _policies(self) -> Policies:
        """The policies that are named, also where the configuration has mistakes elsewhere: all are told at once."""
        named = self._setting("policies", DEFAULT_POLICIES)
        folder = Path(os.path.normpath(self.base / named))
        if not folder.exists():
            self.files.look(folder)
            if self._document is not None:
                message = f"the policy folder {folder} does not exist"
                hint = "create it, or correct policies:; the path begins at the configuration's folder"
                self.errors.append(self._document.mistake(Mistake(("policies",), message, hint)))
            return Policies((), self.files)
        return Policies(self.files.policies(folder), self.files)

    def _setting(self, key: str, default: str) -> str:
        node = self._document.root.items.get(key) if self._document is not None else None
        return node.value if node is not None and isinstance(node.value, str) and node.value else default

    def book(self) -> PolicyBook | None:
        """The compiled policies, or None where there is no engine to compile them."""
        if self._document is None:
            return None
        policies = self.policies
        try:
            name = self._setting("cel", ENGINES[0])
            functions = self._document.root.items.get("cel_functions")
            sql = functions is not None and "sql" in functions.items and functions.items["sql"].value is True
            engine = load_engine(name if name in ENGINES else ENGINES[0], sql=sql)
        except EngineError as error:
            message, _, hint = str(error).partition("; ")
            self.errors.append(self._document.mistake(Mistake((error.key,), message, hint)))
            self.errors += policies.errors
            return None
        for tool, settings in (self.config.tools if self.config is not None else {}).items():
            if settings.cost is not None:
                self._price(self._document, tool, settings.cost, engine)
            if settings.memory is not None:
                compiler = MemoryCompiler(tool, settings, self._document, engine)
                compiled = compiler.compile(settings.memory)
                self.errors += compiler.problems
                self.memories |= {} if compiled is None else {tool: compiled}
        if self.config is not None and self.config.approvals.priority is not None:
            self._priority(self._document, self.config.approvals.priority, engine)
        book = policies.compile(
            self.tools or self._named_tools(), engine, self.arguments, self.call_prices if self.tools else None
        )
        if self.config is None:
            policies.warnings.clear()  # they are about tools, which are not known now
        elif not (policies.grants or policies.errors or self.errors):
            message = "no policy document is a Grant, so every call will be refused"
            policies.warnings.append(self._document.mistake(Mistake(("policies",), message, "write a kind: Grant")))
        self.errors += policies.errors
        self.warnings += policies.warnings
        return book

    def _named_tools(self) -> list[Tool]:
        """Stand-ins where the configuration has mistakes, so that policies are not blamed for naming its tools."""
        tools = self._document.root.items.get("tools") if self._document is not None else None
        names = tools.items if tools is not None and isinstance(tools.value, dict) else ()
        return [Tool(str(name), Origin("http", "", 80)) for name in names]

    def version(self, book: PolicyBook) -> str:
        """Digest of what is written, not of what secrets it stands for."""
        pinned = {name: _digests(one) for name, one in self.pinnings.items()}
        content = [
            _without_secrets(_judged_by(self._written)),
            [tool.operations for tool in self.tools],
            book.digest,
            pinned,
        ]
        return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=6).hexdigest()


def _digests(pinned: Pinning) -> dict[str, str]:
    return {} if pinned.pins is None else {name: pin.sha256 for name, pin in pinned.pins.tools.items()}


def _action(action: PinAction | None) -> Action | None:
    return "" if action == "allow" else action


_SECRETS = frozenset({"credential", "token", "session_key", "client_secret", "headers"})


_UNJUDGED = frozenset({"admin", "audit", "listen", "listen_tls", "listen_transparent", "log", "state", "trace", "wire"})


def _judged_by(written: dict[str, Any]) -> dict[str, Any]:
    """Without what decides nothing: addresses, bounds of connections, what is recorded, who may look, where people are
    told. What waits for a person, who has seen one version, should not be void with each new user."""
    judged = {key: value for key, value in written.items() if key not in _UNJUDGED}
    approvals = judged.get("approvals")
    if isinstance(approvals, dict):
        judged["approvals"] = {key: value for key, value in approvals.items() if key != "channels"}
    return judged


def _without_secrets(value: Any, secret: bool = False) -> Any:
    """Values of credentials left out: a short one that is written in the file could be guessed from a digest."""
    if isinstance(value, dict):
        return {key: _without_secrets(item, secret or key in _SECRETS) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, secret) for item in value]
    return "" if secret else value


def _from_folder(trace: TraceConfig, base: Path) -> TraceConfig:
    """The settings with paths that hold wherever the process stands."""
    paths: dict[str, object] = {}
    if trace.file != "-":
        paths["file"] = os.path.abspath(base / trace.file)
    if trace.store is not None:
        paths["store"] = trace.store.model_copy(update={"path": os.path.abspath(base / trace.store.path)})
    return trace.model_copy(update=paths)
