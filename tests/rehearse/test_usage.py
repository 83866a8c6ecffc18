"""Least privilege from records: what was used is allowed, nothing much else is, and what nobody used is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.suggest_check import Trial
from gateway.cli.suggest_text import grants_text, task_text
from gateway.config.load import Loaded, load
from gateway.model import Tool
from gateway.policy.schema import DOCUMENT
from gateway.rehearse.least import Unused, patterns_of, unused, wanted
from gateway.rehearse.usage import Usage, Use
from tests.config.support import written
from tests.rehearse.test_replay_unknown import BASE

CONFIG = """\
tools:
  bank: {url: "http://bank", operations: ["POST /transfers", "GET /accounts/{id}"]}
  mail: {url: "http://mail", protocol: mcp}
  plain: {url: "http://plain"}
"""
GRANTS = """\
apiVersion: toolgate/v1
kind: Grant
metadata: {name: wide}
spec: {agents: ["*"], tools: [bank, plain], operations: ["POST *", "GET *", "DELETE *"]}
---
apiVersion: toolgate/v1
kind: Grant
metadata: {name: idle}
spec: {roles: [auditor], tools: ["*"]}
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(written(tmp_path_factory.mktemp("least"), CONFIG, grants=GRANTS))


def record(number: int, agent: str, tool: str, operation: str, **more: Any) -> bytes:
    method, _, path = operation.partition(" ")
    told = {
        "agent": agent,
        "tool": tool,
        "method": method,
        "path": f"/{tool}{quote(path or '/mcp')}",
        "operation": operation,
    }
    known = {"decision": "allow", "ts": f"2026-01-{1 + number % 28:02d}T12:00:00.000Z", "rule": None, "reason": None}
    return orjson.dumps({**BASE, "call": f"p-{number:06d}", "roles": [], **known, **told, **more})


def usage_of(loaded: Loaded, *records: bytes) -> Usage:
    usage = Usage(loaded, lambda _: True)
    for line in records:
        usage.feed(line)
    return usage


def use(operation: str, calls: int = 1, last: str = "2026-01-02", **more: Any) -> Use:
    return Use(
        more.pop("agent", "a"),
        more.pop("roles", ()),
        more.pop("tool", "plain"),
        operation,
        calls=calls,
        last=last,
        **more,
    )


def patterns(*operations: str, variants: int = 4) -> list[str]:
    return [one.pattern for one in patterns_of([use(one) for one in operations], frozenset(), variants)]


def test_paths_that_differ_in_ids_become_a_pattern_only_where_there_are_many() -> None:
    few = [f"GET /orders/{number}" for number in (1, 2, 3)]
    assert patterns(*few) == few
    assert patterns(*few, "GET /orders/4") == ["GET /orders/*"]
    (one,) = patterns_of([use(one, 5) for one in (*few, "GET /orders/4")], frozenset(), 4)
    assert (one.calls, one.variants, one.template) == (20, 4, "GET /orders/{id}")


@pytest.mark.parametrize(
    ("ids", "pattern"),
    [
        ([f"0d6f8a1{digit}-1111-4222-8333-444455556666" for digit in range(4)], "GET /x/*/y"),
        ([f"deadbee{digit}" for digit in range(4)], "GET /x/*/y"),
        ([f"ord-{digit}" for digit in range(4)], "GET /x/*/y"),
        ([f"user{digit}@example.org" for digit in range(4)], "GET /x/*/y"),
        (["users", "orders", "items", "status", "health"], ""),
    ],
)
def test_only_what_looks_like_an_id_becomes_a_star(ids: list[str], pattern: str) -> None:
    """Names of resources do not: a pattern over those would grant what nobody has thought of yet."""
    found = patterns(*[f"GET /x/{ident}/y" for ident in ids])
    assert found == ([pattern] if pattern else sorted(f"GET /x/{ident}/y" for ident in ids))


def test_templates_of_the_configuration_are_operations_and_not_generalised() -> None:
    (one,) = patterns_of([use("GET /accounts/{id}", 7)], frozenset({"GET /accounts/{id}"}), 2)
    assert (one.pattern, one.calls, one.template) == ("GET /accounts/{id}", 7, "")


def test_what_a_pattern_would_take_for_more_stands_for_one_character() -> None:
    assert patterns("GET /*", "GET /a[b]") == ["GET /?", "GET /a?b]"]


def test_operations_are_named_by_the_configuration_of_now(loaded: Loaded) -> None:
    usage = usage_of(loaded, record(1, "a", "bank", "GET /accounts/17"))
    assert [one.operation for one in usage.uses()] == ["GET /accounts/{id}"]


def test_refused_calls_and_tools_that_are_gone_are_left_out(loaded: Loaded) -> None:
    usage = usage_of(
        loaded,
        record(1, "a", "bank", "POST /transfers", decision="refuse", reason="policy_denied", status=403),
        record(2, "a", "gone", "POST /x"),
        b"no record",
    )
    assert (usage.calls, usage.refused, usage.elsewhere, usage.unusable) == (0, 1, 1, 1)
    assert usage.uses() == []


def test_agents_that_use_a_tool_in_the_same_way_share_a_grant_and_no_tool_is_a_star(loaded: Loaded) -> None:
    usage = usage_of(
        loaded,
        record(1, "a", "bank", "POST /transfers"),
        record(2, "b", "bank", "POST /transfers"),
        record(3, "c", "bank", "GET /accounts/1"),
        record(4, "c", "mail", "search"),
    )
    found = wanted(usage.uses(), loaded.tools, 4)
    assert [(one.agents, one.tool) for one in found] == [(("a", "b"), "bank"), (("c",), "bank"), (("c",), "mail")]
    assert "*" not in "".join(document.text for document in grants_text(found))


def test_what_nobody_used_is_told_by_grant_tool_and_operations(loaded: Loaded) -> None:
    uses = [use("POST /x", last="2026-02-01", tool="bank"), use("GET /x", last="2026-01-01", tool="bank")]
    found = unused(loaded, uses, "2026-01-15")
    assert Unused("idle") in found
    assert Unused("wide", "tool plain") in found
    assert Unused("wide", "operations GET *", "2026-01-01") in found
    assert Unused("wide", "operations DELETE *") in found
    assert not [one for one in found if one.what in ("tool bank", "operations POST *")]


AGENTS = st.sampled_from(["a", "b*", "c[1]", "d?", "é\n", "x" * 200]) | st.text(min_size=1, max_size=6)
SEGMENTS = st.sampled_from(["orders", "7", "8", "9", "10", "*", "a?b", "[x]", "…", "a b", "o'\"#: "]) | st.text(
    st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=4
)
PATHS = st.lists(SEGMENTS, max_size=3).map("/".join)
HTTP = st.tuples(
    st.just("plain"), st.builds(lambda method, path: f"{method} /{path}", st.sampled_from(["GET", "POST"]), PATHS)
)
MCP = st.tuples(
    st.just("mail"), st.sampled_from(["search", "tools/call a*b", "resources/read file:///a/1", "tools/list"])
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(st.tuples(AGENTS, HTTP | MCP), min_size=1, max_size=20), st.integers(2, 4), st.booleans())
def test_whatever_was_recorded_is_allowed_by_what_is_suggested(
    loaded: Loaded, calls: list[tuple[str, tuple[str, str]]], variants: int, as_task: bool
) -> None:
    """And the text, whatever is in names, is YAML that reads back as documents of policies."""
    lines = [
        record(number, agent, tool, operation, implied=operation == "tools/list")
        for number, (agent, (tool, operation)) in enumerate(calls)
    ]
    usage = usage_of(loaded, *lines)
    found = wanted(usage.uses(), loaded.tools, variants)
    documents = [task_text("t", found, usage)] if as_task else grants_text(found)
    for document in documents:
        DOCUMENT.validate_python(yaml.safe_load(document.text))
    trial = Trial(loaded, documents, "t" if as_task else None)
    for line in lines:
        trial.feed(line, usage)
    assert trial.examples == []
    assert trial.calls == usage.calls


def test_tools_are_never_a_star_whatever_they_are_called() -> None:
    found = wanted([use("GET /x", tool="t")], [Tool("t", None)], 4)  # type: ignore[arg-type]
    assert found[0].tool == "t"


def test_a_task_allows_all_that_its_runs_used_and_bounds_them_by_the_largest(loaded: Loaded, tmp_path: Path) -> None:
    usage = usage_of(
        loaded,
        *[record(number, "a", "bank", "POST /transfers", run="r1") for number in range(3)],
        record(4, "a", "mail", "search", run="r2"),
    )
    document = task_text("refund", wanted(usage.uses(), loaded.tools, 4), usage)
    spec = yaml.safe_load(document.text)["spec"]
    assert spec["budget"] == {"calls": 3}
    assert [entry["tools"] for entry in spec["allow"]] == [["bank"], ["mail"]]
