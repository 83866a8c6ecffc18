"""Mistakes in policies: all at once, each with its place and the fix; and the shipped examples have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.files import policy_files
from gateway.policy.engine import EXPANDED_CAP

from .support import CPP, MAIL, MODELS, PYTHON, TOOLS, book_of, call_to, compiled, document, policy

EXAMPLES = Path(__file__).parents[2] / "policies" / "example"


def found(*documents: dict[str, Any], **options: Any) -> list[tuple[Any, ...]]:
    _, complaints = compiled(*documents, **options)
    return [(c.document_index, c.path, c.line_in_scalar, c.column_in_scalar, c.severity) for c in complaints]


def only(*documents: dict[str, Any], **options: Any) -> Any:
    _, (complaint,) = compiled(*documents, **options)
    return complaint


def test_every_mistake_is_found_not_only_the_first() -> None:
    rules = [
        {"name": "a", "when": 'agent.idd == "x"', "then": "deny"},
        {"name": "a", "when": "true", "then": "deny", "messageExpression": "1"},
        {"name": "c", "when": "true &&\n  1 +", "then": "deny"},
        {"name": "d", "when": "agent.id", "then": "deny"},
    ]
    variables = [{"name": "v", "expression": "args.x +"}, {"name": "in", "expression": "true"}]
    assert found(
        document("Policy", "p", variables=variables, rules=rules),
        document("Limit", "l", per=["agnet", "agent.roles"], rate="1/s"),
    ) == [
        (0, ("spec", "variables", 0, "expression"), 1, 9, "error"),
        (0, ("spec", "variables", 1, "name"), 0, 0, "error"),
        (0, ("spec", "rules", 0, "when"), 1, 1, "error"),
        (0, ("spec", "rules", 1, "name"), 0, 0, "error"),
        (0, ("spec", "rules", 1, "messageExpression"), 0, 0, "error"),
        (0, ("spec", "rules", 2, "when"), 2, 6, "error"),
        (0, ("spec", "rules", 3, "when"), 0, 0, "error"),
        (1, ("spec", "per", 0), 1, 1, "error"),
        (1, ("spec", "per", 1), 0, 0, "error"),
    ]


def test_a_broken_variable_is_complained_of_once_where_it_stands() -> None:
    variables = [{"name": "v", "expression": "args.x +"}, {"name": "w", "expression": "variables.v && true"}]
    complaint = only(policy("p", "variables.v", "variables.w", variables=variables))
    assert complaint.path == ("spec", "variables", 0, "expression")


def test_variables_are_typed_and_see_only_earlier_ones() -> None:
    variables = [{"name": "size", "expression": "request.size"}, {"name": "late", "expression": "variables.later"}]
    later, typed = compiled(policy("p", 'variables.size == "x"', variables=variables))[1]
    assert typed.message == "== cannot be applied to (int, string)"
    assert later.message == "unknown variable variables.later"
    assert later.hint == "did you mean variables.size?"


def test_variables_are_written_out_with_their_brackets() -> None:
    variables = [{"name": "either", "expression": "args.a || args.b // why"}]
    book = book_of(policy("p", "variables.either && args.c", variables=variables))
    rules = book.rules("bank", "POST /transfers")
    assert rules.judge(call_to(args={"a": True, "b": True, "c": False})) == ()
    assert len(rules.judge(call_to(args={"a": True, "b": False, "c": True}))) == 1


def test_variables_that_grow_beyond_the_cap_are_refused() -> None:
    variables = [{"name": "v0", "expression": "args.x"}]
    variables += [{"name": f"v{n}", "expression": f"variables.v{n - 1} + variables.v{n - 1}"} for n in range(1, 20)]
    _, complaints = compiled(policy("p", "variables.v19 == 1", variables=variables))
    assert str(EXPANDED_CAP) in complaints[0].message
    assert len(complaints) == 1


def test_a_name_may_be_used_once_a_kind() -> None:
    grant = document("Grant", "x", agents=["a"], tools=["*"])
    complaint = only(policy("x", "true"), grant, policy("x", "false"))
    assert (complaint.document_index, complaint.path) == (2, ("metadata", "name"))
    assert complaint.message == "there already is a Policy named x in file0.yaml"


def test_a_misspelt_word_in_per_is_met_with_the_word() -> None:
    assert only(document("Limit", "l", per=["agnet"], rate="1/s")).hint == "did you mean agent?"
    assert only(document("Limit", "l", per=["agent.nid"], rate="1/s")).hint == "did you mean agent.id?"


def test_a_tool_that_no_configuration_names_is_a_warning() -> None:
    complaint = only(document("Grant", "g", agents=["a"], tools=["bank", "gihub"]))
    assert (complaint.severity, complaint.path) == ("warning", ("spec", "tools", 1))
    assert complaint.hint == "did you mean github?"
    complaint = only(policy("p", "true", match={"tools": ["x-*"]}))
    assert (complaint.severity, complaint.path) == ("warning", ("spec", "match", "tools", 0))
    assert complaint.hint == "configured are github, notes, bank, search"


def test_a_method_in_lower_case_is_a_warning() -> None:
    complaint = only(policy("p", "true", match={"operations": ["GET *", "post /x"]}))
    assert (complaint.severity, complaint.path) == ("warning", ("spec", "match", "operations", 1))
    assert complaint.hint == "write POST /x"


def test_a_circuit_for_every_path_is_a_warning() -> None:
    complaint = only(document("Breaker", "b", per=["tool", "operation"], match={"tools": ["bank"]}))
    assert (complaint.severity, complaint.path) == ("warning", ("spec", "per"))
    assert "bank has no operations" in complaint.message


def test_the_other_engine_finds_misspelt_names_too() -> None:
    complaint = only(policy("p", "agent.idd == args.x"), engine=PYTHON)
    assert complaint.hint == "did you mean agent.id?"


WORDS = [
    "args",
    ".",
    "x",
    "agent.id",
    "variables.v",
    "==",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "?",
    ":",
    "||",
    "&&",
    "!",
    "-",
]
WORDS += ["1", "1.5", "1u", '"s"', "'", '"', "r'", "`a`", "//", "\n", "in", "has(", ".exists(", ".map(x,", ",", "null"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map("".join) | st.text(min_size=1, max_size=20))
def test_whatever_is_written_as_an_expression_gives_complaints_and_decisions_and_no_crash(text: str) -> None:
    variables = [{"name": "v", "expression": text}]
    rules = [{"name": "r", "when": text, "then": "deny", "messageExpression": text}]
    limit = document("Limit", "l", per=[text], rate="1/s")
    for engine in (CPP, PYTHON):
        book, _ = compiled(document("Policy", "p", variables=variables, rules=rules), limit, engine=engine)
        call = call_to(args={"x": 1})
        assert len(book.rules("bank", call.operation).judge(call)) <= 1


@pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
def test_the_shipped_examples_have_no_mistakes_and_decide_as_they_say(engine: Any) -> None:
    documents = [raw for file in policy_files(EXAMPLES) for raw in yaml.safe_load_all(file.read_text())]
    assert len(documents) >= 10
    book = book_of(*documents, engine=engine, tools=(*TOOLS, MAIL, MODELS))
    assert book.phases("mail") >= {"request", "list", "response"}
    assert book.phases("anthropic") >= {"request", "proposal"}
    rules = book.rules("bank", "POST /transfers")
    known = "DE89370400440532013000"

    def spoken(**args: Any) -> list[str]:
        return [f"{said.verdict}:{said.rule}" for said in rules.judge(call_to(args=args))]

    assert spoken(recipient=known, amount=50) == []
    assert spoken(recipient="X", amount=50) == ["warn:new-recipients"]
    assert spoken(recipient="X", amount=5000.0) == ["deny:known-recipients", "warn:new-recipients"]
    assert spoken(recipient=known, amount=50_000) == ["approve:large-transfers"]
    assert spoken(recipient=known, amount=-1) == ["deny:sane-amount"]
    assert "deny:sane-amount" in spoken(recipient=known)
