"""Phases of rules, caps, and what keeps a session going: which rules speak when, and what is said of mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.model import Agent, Caps
from gateway.policy.book import PolicyBook
from gateway.policy.schema import DOCUMENT
from gateway.policy.variables import PHASES, elsewhere

from .support import CPP, PYTHON, TOOLS, book_of, compiled, document, speaking

ENGINES = pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)


def rule(name: str, phase: str = "request", when: str = "true", **rest: Any) -> dict[str, Any]:
    return {"name": name, "phase": phase, "when": when, "then": "deny", **rest}


def with_rules(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return document("Policy", "p", rules=list(rules), **spec)


def complaint_of(*documents: dict[str, Any], engine: Any = CPP, protocol: str = "http") -> Any:
    """The one mistake (warnings aside)."""
    _, complaints = compiled(*documents, engine=engine, tools=speaking(protocol))
    (complaint,) = [one for one in complaints if one.severity == "error"]
    return complaint


# -- which rules speak when --------------------------------------------------------------------------------------


def sets_of(book: PolicyBook, tool: str = "bank", operation: str = "search") -> dict[str, list[str]]:
    """Names of the rules of each phase."""
    return {
        "request": [rule.name for rule in book.rules(tool, operation).rules],
        "list": [rule.name for rule in book.listing(tool, operation).rules],
        "response": [rule.name for rule in book.results(tool, operation).rules],
        "proposal": [rule.name for rule in book.proposals(tool, operation).rules],
    }


def test_each_phase_has_its_own_rules_in_their_order() -> None:
    rules = [
        rule(f"{phase}-{n}", phase, "request.size > 1" if phase != "list" else "true")
        for n in (1, 2)
        for phase in PHASES
    ]
    book, _ = compiled(with_rules(*rules))
    assert sets_of(book) == {phase: [f"{phase}-1", f"{phase}-2"] for phase in PHASES}
    assert book.phases("bank") == set(PHASES)


@pytest.mark.parametrize("phase", PHASES)
def test_a_tool_without_rules_of_a_phase_has_none(phase: str) -> None:
    book, _ = compiled(with_rules(rule("r", phase, "agent.id == 'x'", then="warn"), match={"tools": ["bank"]}))
    assert sets_of(book) == {other: ["r"] if other == phase else [] for other in PHASES}
    assert sets_of(book, "notes") == {other: [] for other in PHASES}
    assert (book.phases("bank"), book.phases("notes"), book.phases("unknown")) == ({phase}, set(), set())


def test_rules_of_all_phases_match_by_operation() -> None:
    rules = [rule(phase, phase, "agent.id == 'x'", then="warn") for phase in PHASES]
    book, _ = compiled(with_rules(*rules, match={"operations": ["GET /a*"]}))
    assert sets_of(book, operation="GET /abc") == {phase: [phase] for phase in PHASES}
    assert sets_of(book, operation="GET /b") == {phase: [] for phase in PHASES}


@pytest.mark.parametrize(
    ("when", "hides"),
    [
        ("true", True),
        ("tool.destructive", True),
        ('mcp.method == "tools/call" && mcp.name == "pay"', True),
        ('agent.id == "x" && run.cost_usd > 1.0', True),
        ("args.amount > 1", False),
        ('mcp.uri == "x"', False),
        ('request.path == "/x"', False),
        ("size(llm.messages) > 1", False),
    ],
)
def test_a_rule_that_refuses_and_needs_no_call_speaks_of_lists_too(when: str, hides: bool) -> None:
    book = book_of(with_rules(rule("r", "request", when)), tools=speaking("mcp"))
    assert sets_of(book)["list"] == (["r"] if hides else [])


@pytest.mark.parametrize("rest", [{"then": "warn"}, {"then": "approve"}, {"mode": "Audit"}, {"mode": "Warn"}])
def test_a_rule_that_refuses_nothing_does_not(rest: dict[str, Any]) -> None:
    assert sets_of(book_of(with_rules(rule("r", **rest)), tools=speaking("mcp")))["list"] == []


def test_a_message_that_needs_a_call_keeps_a_rule_out_of_lists() -> None:
    book = book_of(with_rules(rule("r", messageExpression="string(args.x)")), tools=speaking("mcp"))
    assert sets_of(book)["list"] == []


@pytest.mark.parametrize(
    ("rules", "reads"),
    [
        ([rule("r", "response", "has(result.x)")], {"result"}),
        ([rule("r", "response", "has(args.x)")], {"args"}),
        ([rule("r", "proposal", "has(proposal.args.x)"), rule("s", "request", "run.cost_usd > 1.0")],
         {"proposal.args", "run.cost_usd"}),
    ],
)  # fmt: skip
def test_what_rules_of_any_phase_read_is_known(rules: list[dict[str, Any]], reads: set[str]) -> None:
    book, _ = compiled(with_rules(*rules, match={"tools": ["bank"]}))
    assert book.reads("bank") == reads
    assert book.reads("notes") == book.reads("unknown") == set()
    assert book.reads_args("bank") is ("args" in reads)


# -- mistakes ----------------------------------------------------------------------------------------------------


@ENGINES
@pytest.mark.parametrize(
    ("phase", "when", "hint"),
    [
        ("request", 'result.x == "y"', "result exists only in a rule with phase: response"),
        ("request", "has(result.x)", "result exists only in a rule with phase: response"),
        ("request", "response.status == 200", "response.status exists only in a rule with phase: response"),
        ("request", "usage.cost_usd > 1.0", "usage.cost_usd exists only in a rule with phase: response"),
        ("request", 'proposal.name == "x"', "proposal.name exists only in a rule with phase: proposal"),
        ("response", "proposal.args.x == 1", "proposal.args exists only in a rule with phase: proposal"),
        ("proposal", "size(llm.proposed) > 1", "llm.proposed exists only in a rule with phase: response"),
        ("list", "args.x == 1",
         "args is not known when a tool is only listed; leave it out, or write phase: request"),
        ("list", 'request.path == "/x"',
         "request.path is not known when a tool is only listed; leave it out, or write phase: request"),
        ("list", "has(result.x)",
         "result is not known when a tool is only listed; leave it out, or write phase: response"),
    ],
)  # fmt: skip
def test_a_variable_of_another_phase_is_refused_with_where_it_belongs(
    phase: str, when: str, hint: str, engine: Any
) -> None:
    complaint = complaint_of(with_rules(rule("r", phase, f"agent.id == 'x' &&\n  {when}")), engine=engine)
    assert complaint.path == ("spec", "rules", 0, "when")
    assert (complaint.line_in_scalar, complaint.hint) == (2, hint)


@ENGINES
def test_messages_are_held_to_the_phase_too(engine: Any) -> None:
    made = with_rules(rule("r", "request", "true", messageExpression="string(result.x)"))
    complaint = complaint_of(made, engine=engine)
    assert complaint.path == ("spec", "rules", 0, "messageExpression")
    assert complaint.hint == "result exists only in a rule with phase: response"


@ENGINES
def test_a_policys_variable_may_be_of_any_phase_that_it_has_rules_for_and_no_rule_of_another_may_read_it(
    engine: Any,
) -> None:
    variables = [{"name": "big", "expression": "result.n > 10"}, {"name": "mine", "expression": "agent.id == 'pay-1'"}]
    late = rule("late", "response", "variables.big && variables.mine")
    book = book_of(with_rules(late, rule("early", "request", "variables.mine"), variables=variables), engine=engine)
    assert sets_of(book)["response"] == ["late"]
    complaint = complaint_of(with_rules(late, rule("early", when="variables.big"), variables=variables), engine=engine)
    assert complaint.path == ("spec", "rules", 1, "when")
    assert complaint.hint == "result exists only in a rule with phase: response"


@ENGINES
def test_a_variable_of_a_phase_without_rules_is_a_mistake_where_it_stands(engine: Any) -> None:
    made = with_rules(rule("r"), variables=[{"name": "big", "expression": "result.n > 10"}])
    assert complaint_of(made, engine=engine).path == ("spec", "variables", 0, "expression")


@ENGINES
@pytest.mark.parametrize("per", ["string(result.x)", "proposal.name"])
def test_limits_count_by_what_is_known_before_the_call(per: str, engine: Any) -> None:
    complaint = complaint_of(document("Limit", "l", per=[per], rate="1/s"), engine=engine)
    assert complaint.path == ("spec", "per", 0)


@pytest.mark.parametrize("name", ["agent.idd", "nothing", "result.x.y", ""])
@pytest.mark.parametrize("phase", PHASES)
def test_what_exists_nowhere_is_not_said_to_be_elsewhere(name: str, phase: str) -> None:
    assert elsewhere(name, phase) == ""


@pytest.mark.parametrize("phase", PHASES)
def test_what_a_phase_knows_is_not_said_to_be_elsewhere_and_all_else_is(phase: str) -> None:
    everything = {name for types in PHASES.values() for name in types}
    assert {name for name in everything if elsewhere(name, phase)} == everything - PHASES[phase].keys()


@pytest.mark.parametrize(
    ("phase", "then", "instead"),
    [
        ("list", "approve", "deny or warn"),
        ("list", "label", "deny or warn"),
        ("list", "redact", "deny or warn"),
        ("proposal", "approve", "deny, label or warn"),
        ("proposal", "redact", "deny, label or warn"),
        ("proposal", "wrap", "deny, label or warn"),
        ("list", "strip", "deny or warn"),
    ],
)
def test_a_verdict_that_a_phase_does_not_have_is_a_mistake(phase: str, then: str, instead: str) -> None:
    with pytest.raises(ValidationError, match=f"then: {then} has no meaning in phase {phase}; write {instead}"):
        DOCUMENT.validate_python(with_rules(rule("r", phase, then=then)))


def test_a_phase_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="phase"):
        DOCUMENT.validate_python(with_rules(rule("r", "result")))


# -- what keeps a session going ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operations", "named"),
    [(["*"], False), (["tools/list"], True), (["tools/*"], True), (["*", "tools/list"], True), (["*/list"], True)],
)
def test_policies_match_what_is_implied_only_where_they_name_it(operations: list[str], named: bool) -> None:
    match = {"operations": operations}
    book = book_of(
        with_rules(rule("r", "request", "request.size > 1"), rule("s", "response"), match=match),
        document("Limit", "l", per=[], rate="1/s", match=match),
        document("Breaker", "b", match=match),
        tools=speaking("mcp"),
    )
    for _ in ("looked up", "remembered"):
        assert bool(book.rules("bank", "tools/list", implied=True).rules) is named
        assert bool(book.results("bank", "tools/list", implied=True).rules) is named
        assert bool(book.limits("bank", "tools/list", implied=True)) is named
        assert bool(book.breakers("bank", "tools/list", implied=True)) is named
    other = "tools/call tools/list" if "*" in operations else "tools/list"
    assert bool(book.rules("bank", other).rules)


def test_any_grant_on_a_tool_opens_what_is_implied() -> None:
    book = book_of(
        document("Grant", "some", agents=["a"], tools=["bank"], operations=["search"]),
        document("Grant", "more", agents=["a"], roles=["r"], tools=["b*", "notes"]),
        tools=speaking("mcp"),
    )
    for _ in ("looked up", "remembered"):
        assert book.any_grant(Agent("a"), "bank") == "some"
        assert book.any_grant(Agent("a"), "notes") == "more"
        assert book.any_grant(Agent("x", ("r",)), "bank") == "more"
        assert book.any_grant(Agent("x"), "bank") is None
        assert book.any_grant(Agent("a"), "github") is None
    assert book.any_grant(Agent("x" * 300, ("r",)), "bank") == "more"


# -- caps --------------------------------------------------------------------------------------------------------


def test_caps_are_found_by_agent_tool_and_operation_in_their_order() -> None:
    book = book_of(
        document("Cap", "one", max_tokens=9, match={"tools": ["bank"], "operations": ["POST /chat/*"]}),
        document("Cap", "two", agents=["pay-*", "x"], models=["m-*"], system="be kind", forbid_tools=["rm*"]),
        document("Cap", "three", agents=["nobody"], max_tokens=1),
        tools=speaking("openai"),
    )

    def names(agent: str, tool: str, operation: str) -> list[str]:
        return [cap.name for cap in book.caps(Agent(agent), tool, operation)]

    assert names("pay-1", "bank", "POST /chat/completions") == ["one", "two"]
    assert names("report-1", "bank", "POST /chat/completions") == ["one"]
    assert names("pay-1", "bank", "POST /responses") == ["two"]
    assert names("pay-1", "notes", "POST /chat/completions") == ["two"]
    assert names("pay-1", "unknown", "POST /chat/completions") == []
    assert book.caps(Agent("x"), "notes", "GET /") == (Caps("two", ("m-*",), 0, "be kind", ("rm*",)),)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({}, "the cap caps nothing; give models, max_tokens, system or forbid_tools"),
        ({"agents": ["a"]}, "the cap caps nothing"),
        ({"max_tokens": 0}, "the cap caps nothing"),
        ({"max_tokens": -1}, "greater than or equal to 0"),
        ({"max_tokens": 1.5}, "valid integer"),
        ({"models": "m"}, "valid tuple"),
        ({"models": ["m[12]"]}, "character classes are not supported"),
        ({"forbid_tools": ["t[12]"]}, "character classes are not supported"),
        ({"system": "x" * 16_385}, "at most 16384"),
        ({"max_tokens": 1, "maxtokens": 1}, "Extra inputs"),
    ],
)
def test_a_cap_that_makes_no_sense_is_a_mistake(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says.replace("[", r"\[")):
        DOCUMENT.validate_python(document("Cap", "c", **spec))


def test_caps_change_the_digest() -> None:
    caps = [document("Cap", "c", max_tokens=number) for number in (1, 2)]
    models = speaking("openai")
    assert len({book_of(cap, tools=models).digest for cap in caps} | {book_of(tools=models).digest}) == 3


def test_results_count_for_a_breaker_only_where_it_says_so() -> None:
    book = book_of(document("Breaker", "a"), document("Breaker", "b", result_errors=True))
    assert [breaker.settings.result_errors for breaker in book.breakers("bank", "GET /")] == [False, True]
    assert [tool.name for tool in TOOLS if not book.breakers(tool.name, "GET /")] == []
