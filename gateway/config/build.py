"""From what the configuration says to the nouns that the gateway works with, and the checks between settings."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from gateway.config.admin import admin_mistakes
from gateway.config.authorities import believing
from gateway.config.builtin import builtin_mistakes
from gateway.config.credentials import credential_mistakes, credential_warnings, held_for
from gateway.config.fields import origin_of, shape_of
from gateway.config.files import Files
from gateway.config.identities import identity_mistakes
from gateway.config.model_errors import Mistake
from gateway.config.openapi import Described, described
from gateway.config.schema import Config, ToolConfig
from gateway.config.schema_egress import EgressConfig
from gateway.model import Timeouts, Tool
from gateway.model.egress import Egress, Network
from gateway.policy.argument_shapes import ToolArguments


class Built(NamedTuple):
    """The tools, the mistakes that make the configuration unusable, and what to warn of. ``arguments`` are those that
    the tools' OpenAPI documents tell of, by tool."""

    tools: list[Tool]
    errors: list[Mistake]
    warnings: list[Mistake]
    arguments: dict[str, ToolArguments]


def tools_of(config: Config, base: Path, files: Files) -> Built:
    """What the configuration's tools are.

    ``base`` is the folder that relative paths begin at. A tool with a mistake is made as far as it can be.
    """
    tools, errors, warnings = [], [], []
    arguments: dict[str, ToolArguments] = {}
    for name, tool in config.tools.items():
        operations = tool.operations
        if tool.openapi is not None:
            read = _from_openapi(name, tool, base / tool.openapi, files)
            if isinstance(read, Mistake):
                operations = ()
                errors.append(read)
            else:
                operations, arguments[name] = tuple(read.operations), read.arguments
                warnings += [Mistake(("tools", name, "openapi"), warning) for warning in read.warnings]
        ca_pem, wrong = _authorities(name, tool, base, files)
        errors += wrong
        made = _lending(_tool(name, tool, operations, ca_pem), tool, base, files)
        errors += credential_mistakes(name, tool, base, files)
        warnings += credential_warnings(name, tool)
        made = structs.replace(made, egress=_egress(config.egress, tool.egress))
        tools.append(made)
        errors += _unnamed_tunnels(made)
        errors += _contradictions(name, tool)
        errors += builtin_mistakes(name, tool, config.memory)
        errors += _of_other_protocols(name, tool)
    errors += _shared_hosts(config)
    errors += identity_mistakes(config, base, files)
    errors += admin_mistakes(config.admin, config.listen, base, files)
    if config.listen.meets(config.admin.listen):
        message = f"{config.admin.listen} is where agents are listened to, too"
        errors.append(
            Mistake(
                ("admin",) if "admin" in config.model_fields_set else ("listen",), message, "give each its own port"
            )
        )
    return Built(tools, errors, warnings, arguments)


def _tool(name: str, config: ToolConfig, operations: Sequence[str], ca_pem: str | None) -> Tool:
    origin, base_path = origin_of(config.url)
    if config.builtin is not None:  # each its own: by absolute targets, tools are told apart by their hosts
        origin = structs.replace(origin, host=f"{name}.{origin.host}")
    limits = config.limits
    return Tool(
        name=name,
        origin=origin,
        protocol=config.protocol,
        base_path=base_path,
        hosts=config.hosts,
        preserve_host=config.preserve_host,
        strip=frozenset([header.lower().encode("ascii") for header in config.strip]),
        operations=tuple(operations),
        timeouts=Timeouts(limits.connect, limits.first_byte, limits.idle, limits.timeout),
        concurrency=limits.concurrency,
        body_limit=config.body.limit,
        answer_limit=config.body.answer_limit,
        head_only=config.body.otherwise == "head-only",
        repeated_parameters=config.repeated_parameters == "list",
        ambiguous_paths=config.ambiguous_paths,
        connect=config.connect,
        upgrades=tuple(upgrade.lower() for upgrade in config.upgrades),
        forwarded=config.forwarded,
        ca_pem=ca_pem,
        server_name=config.tls.server_name,
        flows=tuple(each.labels() for each in config.flow),
        builtin=config.builtin or "",
    )


def _lending(tool: Tool, config: ToolConfig, base: Path, files: Files) -> Tool:
    held = held_for(config, base, files)
    return structs.replace(
        tool,
        inject=held.inject,
        loans=held.loans,
        loan_required=config.credential_required,
        strip=tool.strip | held.strip,
        strip_query=held.strip_query,
        masks_echo=bool(config.credential) and config.echo == "mask",
    )


def _egress(house: EgressConfig, tool: EgressConfig) -> Egress:
    """Where connections to a tool may go: as the whole house's, but for what the tool says."""

    def networks(ranges: Sequence[str]) -> tuple[Network, ...]:
        return tuple(ip_network(text) for text in ranges)

    return Egress(
        tool.private or house.private or "auto",
        networks((*tool.allow, *house.allow)),
        networks((*house.deny, *tool.deny)),
        tool.tunnels or house.tunnels or "named",
    )


def _unnamed_tunnels(tool: Tool) -> Iterator[Mistake]:
    if tool.connect and tool.origin.scheme == "http" and tool.egress.tunnels != "any":
        message = "tunnels must begin with TLS that names the url's host, and an http url is none of TLS"
        hint = "write https in url, or egress: {tunnels: any} for bytes of any kind"
        yield Mistake(("tools", tool.name, "connect"), message, hint)


def _from_openapi(name: str, tool: ToolConfig, file: Path, files: Files) -> Described | Mistake:
    path = ("tools", name, "openapi")
    try:
        return described(file, files.read(file), repeated=tool.repeated_parameters == "list")
    except OSError as error:
        message = f"cannot read {file}: {error.strerror or error}"
        return Mistake(path, message, "correct the path; it begins at the configuration's folder")
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        return Mistake(path, message, hint)


def _contradictions(name: str, tool: ToolConfig) -> Iterator[Mistake]:
    path = ("tools", name)
    if tool.operations and tool.openapi is not None:
        yield Mistake((*path, "openapi"), "operations and openapi are both given", "keep one of them")
    seen: dict[str, str] = {}
    for number, operation in enumerate(tool.operations):
        first = seen.setdefault(shape_of(operation), operation)
        if number and first is not operation:
            message = f"{operation!r} matches the same requests as {first!r}"
            yield Mistake((*path, "operations", number), message, "remove one of the two")
    if tool.url.lower().startswith("http:") and (tool.tls.ca_file or tool.tls.server_name):
        yield Mistake((*path, "tls"), "tls has no effect with an http URL", "write https in url, or remove tls")


LLM_PROTOCOLS = ("openai", "anthropic", "gemini")


def _of_other_protocols(name: str, tool: ToolConfig) -> Iterator[Mistake]:
    """Settings without effect under the tool's protocol: somebody who wrote them thinks that they hold."""
    protocol = tool.protocol
    for key in ("mcp", "pins"):
        if key in tool.model_fields_set and protocol != "mcp":
            message = f"{key} has no effect with protocol: {protocol}"
            yield Mistake(("tools", name, key), message, f"write protocol: mcp, or remove {key}")
    if "prices" in tool.model_fields_set and protocol not in LLM_PROTOCOLS:
        hint = f"write protocol: {', '.join(LLM_PROTOCOLS[:-1])} or {LLM_PROTOCOLS[-1]}; for other tools write cost"
        yield Mistake(("tools", name, "prices"), f"prices has no effect with protocol: {protocol}", hint)
    if "llm" in tool.model_fields_set and protocol != "openai":
        message = f"llm.stream_usage has no effect with protocol: {protocol}"
        yield Mistake(("tools", name, "llm"), message, "write protocol: openai, or remove llm")
    if protocol != "http" and tool.body.otherwise == "head-only":
        message = f"with protocol: {protocol} the body says what is called, so no call is decided without it"
        yield Mistake(("tools", name, "body", "otherwise"), message, "remove it, or write refuse")
    if protocol == "mcp" and (tool.operations or tool.openapi):
        key = "operations" if tool.operations else "openapi"
        message = f"{key} has no effect with protocol: mcp, whose operations are its tools"
        yield Mistake(("tools", name, key), message, "remove it")


def _authorities(name: str, tool: ToolConfig, base: Path, files: Files) -> tuple[str | None, list[Mistake]]:
    """The certificates to trust, read here so that a new file is a new version; None for the system's."""
    if not tool.tls.ca_file:
        return None, []
    path, file = ("tools", name, "tls", "ca_file"), base / tool.tls.ca_file
    try:
        pem = files.read(file).decode("utf-8", "replace").encode("ascii", "ignore").decode()
    except OSError as error:
        message = f"cannot read {file}: {error.strerror or error}"
        return None, [Mistake(path, message, "correct the path; it begins at the configuration's folder")]
    try:
        believing(pem=pem)
    except (ssl.SSLError, ValueError):
        return None, [Mistake(path, f"{file} holds no certificate that can be read", "give a PEM file")]
    return pem, []


def _shared_hosts(config: Config) -> Iterator[Mistake]:
    owners: dict[str, str] = {}
    for name, tool in config.tools.items():
        for number, host in enumerate(tool.hosts):
            owner = owners.setdefault(host, name)
            if owner != name:
                message = f"the host {host} already means the tool {owner}"
                yield Mistake(("tools", name, "hosts", number), message, "give each tool hosts of its own")
