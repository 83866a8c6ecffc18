"""Calls, tools and documents in short, and engines to compile them with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.model import Agent, Call, Origin, Request, Run, Tool
from gateway.policy.book import PolicyBook
from gateway.policy.compile import Complaint, SourcedDocument, compile_policies
from gateway.policy.engines import load_engine
from gateway.policy.schema import DOCUMENT

CPP = load_engine("cel-expr-python")
PYTHON = load_engine("cel-python")
TOOLS = tuple(Tool(name, Origin("http", f"{name}.local", 80)) for name in ("github", "notes", "bank", "search"))

MAIL = Tool("mail", Origin("http", "mail.local", 80), "mcp")
MODELS = Tool("anthropic", Origin("https", "api.anthropic.com", 443), "anthropic")
"""Tools of other protocols, which the shipped examples have too."""


def speaking(protocol: str) -> tuple[Tool, ...]:
    """The tools, all of which speak this protocol: not every phase is reached in each."""
    return tuple(Tool(tool.name, tool.origin, protocol) for tool in TOOLS)


def tool_named(name: str) -> Tool:
    return next(tool for tool in (*TOOLS, MAIL, MODELS) if tool.name == name)


def call_to(
    tool: str = "bank",
    operation: str = "POST /transfers",
    args: dict[str, Any] | None = None,
    *,
    agent: str = "pay-1",
    roles: tuple[str, ...] = (),
    run: str = "run-1",
    headers: dict[bytes, bytes] | None = None,
    params: dict[str, str] | None = None,
) -> Call:
    method, _, path = operation.partition(" ")
    request = Request(method, path, "1.1", (), headers or {}, 12, "127.0.0.1", True)
    return Call(
        "c1", Agent(agent, roles), Run(run), tool_named(tool), operation, args or {}, params or {}, request, path, path,
        "q=1", "Bank.Local",
    )  # fmt: skip


def document(kind: str, name: str, /, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "toolgate/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def policy(name: str, *conditions: str, **spec: Any) -> dict[str, Any]:
    """A policy whose rules r0, r1, ... deny on these conditions."""
    rules = [{"name": f"r{number}", "when": when, "then": "deny"} for number, when in enumerate(conditions)]
    return document("Policy", name, rules=rules, **spec)


def compiled(
    *documents: dict[str, Any], engine: Any = CPP, tools: Sequence[Tool] = TOOLS
) -> tuple[PolicyBook, list[Complaint]]:
    sourced = [
        SourcedDocument(index, DOCUMENT.validate_python(raw), f"file{index}.yaml")
        for index, raw in enumerate(documents)
    ]
    return compile_policies(sourced, tools, engine)


def book_of(*documents: dict[str, Any], engine: Any = CPP, tools: Sequence[Tool] = TOOLS) -> PolicyBook:
    book, complaints = compiled(*documents, engine=engine, tools=tools)
    assert complaints == []
    return book
