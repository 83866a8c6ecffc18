"""The demo's policies: they compile with both engines, and decide what the scenes say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from msgspec import structs

import gateway.demo
from gateway.decide.grants import Grants
from gateway.decide.rules import Rules
from gateway.model import Agent, Call, Origin, Reason, Request, Run, Tool
from gateway.policy.compile import SourcedDocument, compile_policies
from gateway.policy.engines import load_engine
from gateway.policy.schema import DOCUMENT

ROOT = Path(gateway.demo.__file__).parent
TREASURER = Agent("treasurer", ("finance",))
RESEARCHER = Agent("researcher")


@pytest.fixture(scope="module", params=["cel-expr-python", "cel-python"])
def book(request):
    raw = [document for path in sorted(ROOT.glob("policies/*.yaml")) for document in yaml.safe_load_all(path.open())]
    documents = [SourcedDocument(index, DOCUMENT.validate_python(one)) for index, one in enumerate(raw)]
    configured = yaml.safe_load((ROOT / "demo.yaml").open())["tools"]
    tools = [
        Tool(
            name,
            Origin("http", "127.0.0.1", 1),
            tool.get("protocol", "http"),
            operations=tuple(tool.get("operations", ())),
        )
        for name, tool in configured.items()
    ]
    book, complaints = compile_policies(documents, tools, load_engine(request.param))
    assert complaints == []
    return book


def call(agent: Agent, tool: str, operation: str, **args: object) -> Call:
    method, _, path = operation.partition(" ")
    request = Request(method, path, "1.1", (), {}, 0, "127.0.0.1", True)
    named = Tool(tool, Origin("http", "127.0.0.1", 1))
    return Call("c", agent, Run(), named, operation, args, {}, request, path, path, "", "localhost")


def transfer(recipient: str, amount: object) -> Call:
    return call(TREASURER, "bank", "POST /transfers", recipient=recipient, amount=amount)


@pytest.mark.parametrize(
    ("agent", "tool", "operation", "allowed"),
    [
        (RESEARCHER, "notes", "GET /notes/{id}", True),
        (RESEARCHER, "notes", "DELETE /notes/{id}", False),
        (RESEARCHER, "bank", "POST /transfers", False),
        (RESEARCHER, "search", "GET /search", True),
        (TREASURER, "bank", "POST /transfers", True),
        (TREASURER, "search", "GET /search", False),
        (Agent("mallory"), "notes", "GET /notes", False),
        (Agent("assistant"), "library", "search", True),
        (Agent("assistant"), "library", "delete_all", False),
        (Agent("assistant"), "llm", "POST /chat/completions", True),
        (RESEARCHER, "library", "search", False),
    ],
)
def test_grants(book, agent, tool, operation, allowed):
    refusal = Grants(book).judge(call(agent, tool, operation)).refusal
    assert (refusal is None) is allowed


def test_a_large_transfer_to_a_stranger_is_refused_whether_the_amount_has_a_fraction_or_not(book):
    for amount in (1001, 1000.5, 2500):
        refusal = Rules(book).judge(transfer("XX66", amount)).refusal
        assert refusal.reason is Reason.POLICY_DENIED
        assert refusal.rule == "payments/large-to-strangers"
        assert "XX66" in refusal.detail


def test_a_small_transfer_to_a_stranger_needs_a_person(book):
    judged = Rules(book).judge(transfer("XX66", 950.0))
    assert judged.refusal is None
    assert judged.questions[0].rule == "payments/first-payment"


def test_a_transfer_to_a_known_recipient_is_only_looked_at(book):
    judged = Rules(book).judge(transfer("DE22", 700))
    assert (judged.refusal, judged.questions) == (None, ())
    assert [spoke.rule for spoke in judged.spoke] == ["worth-a-look", "small-only"]
    assert Rules(book).judge(transfer("DE11", 80)).spoke == ()


def test_a_transfer_without_an_amount_is_refused(book):
    refusal = Rules(book).judge(call(TREASURER, "bank", "POST /transfers", recipient="XX66")).refusal
    assert refusal.reason in (Reason.POLICY_ERROR, Reason.POLICY_DENIED)


def test_searches_are_small(book):
    judge = Rules(book).judge
    for limit, rule in ((21, "library/small-pages"), (20, None)):
        refusal = judge(call(Agent("assistant"), "library", "search", query="x", limit=limit)).refusal
        assert (refusal and refusal.rule) == rule
    assert judge(call(Agent("assistant"), "library", "search", query="x")).refusal is None


def test_a_run_may_spend_its_budget_and_is_told_what_it_spent(book):
    asked = call(Agent("assistant"), "llm", "POST /chat/completions")
    assert Rules(book).judge(structs.replace(asked, run=Run("r", cost_usd=0.149))).refusal is None
    refusal = Rules(book).judge(structs.replace(asked, run=Run("r", cost_usd=0.2))).refusal
    assert refusal.rule == "spending/run-budget"
    assert "0.2 US dollars" in refusal.detail
