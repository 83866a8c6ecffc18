"""What rules make of answers: results, proposals, and what is left out of lists."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.decide.results import ResultJudge, Results
from gateway.decide.rules import labels_of
from gateway.model import Agent, Findings, Mode, Proposal, Reason, Usage, Verdict
from tests.policy.support import CPP, PYTHON, book_of, call_to, compiled, document, speaking

EVERYBODY = document("Grant", "all", agents=["*"], tools=["*"])
CALL = call_to("bank", "search", {"q": "x"})


def rules(name: str, *given: tuple[str, str, str], **spec: Any) -> dict[str, Any]:
    """A policy with rules r0, r1, ... of (phase, when, then)."""
    made = [
        {"name": f"r{number}", "phase": phase, "when": when, "then": then, "message": f"m{number}"}
        for number, (phase, when, then) in enumerate(given)
    ]
    return document("Policy", name, rules=made, **spec)


def judging(*documents: dict[str, Any], call: Any = CALL, priced: bool = False, engine: Any = CPP) -> ResultJudge:
    """The judge of a call's answer; the tool speaks a protocol that has the phases of the rules."""
    phases = {rule["phase"] for document in documents for rule in document["spec"]["rules"] if "phase" in rule}
    protocol = "anthropic" if "proposal" in phases else "mcp" if "list" in phases else "http"
    book = book_of(EVERYBODY, *documents, engine=engine, tools=speaking(protocol))
    return Results(book, call.tool.name).of(call, lambda call, found: 0.5 if found.usage else None, priced=priced)


def found(result: dict[str, Any] | None = None, **rest: Any) -> Findings:
    return Findings(result=result, **rest)


# -- results -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
def test_a_rule_reads_everything_of_an_answer_and_of_its_call(engine):
    conditions = [
        "response.status == 201",
        "response.isError",
        'result.items[0].id == "a"',
        "usage.input_tokens == 3",
        "usage.output_tokens == 5",
        "usage.cost_usd == 0.5",
        'llm.proposed == [{"name": "t", "args": {"n": 1}}, {"name": "u", "args": {}}]',
        'args.q == "x"',
        'tool.operation == "search"',
        'llm.model == "m"',
    ]
    asked = structs.replace(CALL, facts={"llm.model": "m"})
    judge = judging(rules("p", *[("response", when, "warn") for when in conditions]), call=asked, engine=engine)
    answer = found(
        {"items": [{"id": "a"}]},
        is_error=True,
        usage=Usage("m", 3, 5),
        proposed=(Proposal("t", {"n": 1}), Proposal("u")),
    )
    assert judge.result(201, answer) is None
    assert [(said.rule, said.error) for said in judge.spoke] == [(f"r{n}", "") for n in range(len(conditions))]


def test_without_usage_its_variables_are_zero():
    judge = judging(rules("p", ("response", "usage.input_tokens == 0 && usage.cost_usd == 0.0", "deny")))
    assert judge.result(200, found({})) is not None


def test_a_denied_result_says_that_the_call_was_made():
    refusal = judging(rules("p", ("response", "has(result.secret)", "deny"))).result(200, found({"secret": 1}))
    assert refusal is not None
    assert (refusal.reason, refusal.status, refusal.rule) == (Reason.RESULT_DENIED, 403, "p/r0")
    assert (refusal.detail, refusal.retryable) == ("m0", False)
    assert "the call was made" in refusal.advice


def test_a_rule_that_fails_refuses_the_result_and_does_not_send_the_agent_back_to_repeat_the_call():
    judge = judging(rules("p", ("response", "result.n > 1", "deny")))
    refusal = judge.result(200, found({"n": "many"}))
    assert refusal is not None
    assert (refusal.reason, refusal.rule) == (Reason.POLICY_ERROR, "p/r0")
    assert "the call was made" in refusal.advice
    assert "do not repeat" in refusal.advice
    assert "the call is refused" not in refusal.detail
    assert judge.spoke[0].error


def test_what_a_rule_failed_of_is_not_told_to_the_agent_from_whom_the_result_is_kept():
    judge = judging(rules("p", ("response", "result[result.secret] == 1", "deny")))
    refusal = judge.result(200, found({"secret": "hunter2"}))
    assert refusal is not None
    assert "hunter2" not in f"{refusal.detail} {refusal.advice}"


def test_a_rule_that_fails_and_may_be_ignored_only_speaks():
    judge = judging(rules("p", ("response", "result.n > 1", "deny"), failurePolicy="Ignore"))
    assert judge.result(200, found({"n": "many"})) is None
    assert [said.verdict for said in judge.spoke] == [Verdict.WARN]


@pytest.mark.parametrize("mode", ["Audit", "Warn"])
def test_shadow_modes_speak_and_do_not_refuse(mode):
    judge = judging(rules("p", ("response", "true", "deny"), mode=mode))
    assert judge.result(200, found({})) is None
    assert [said.mode for said in judge.spoke] == [Mode(mode)]


def test_a_result_that_cannot_be_read_is_refused_where_a_rule_reads_it():
    refusal = judging(rules("p", ("response", "has(result.secret)", "warn"))).result(200, found(None))
    assert refusal is not None
    assert (refusal.reason, refusal.status, refusal.retryable) == (Reason.RESULT_UNREADABLE, 502, False)
    assert "do not repeat" in refusal.advice


def test_a_message_that_reads_the_result_reads_it_too():
    rule = {"name": "r", "phase": "response", "when": "true", "then": "warn", "messageExpression": "string(result.n)"}
    judge = judging(document("Policy", "p", rules=[rule]))
    assert judge.result(200, found(None)) is not None
    assert judge.result(200, found({"n": 7})) is None
    assert judge.spoke[-1].message == "7"


@pytest.mark.parametrize(("status", "refused"), [(500, True), (200, False)])
def test_a_rule_that_reads_the_status_alone_needs_no_result(status, refused):
    judge = judging(rules("p", ("response", "response.status >= 500", "deny")))
    assert (judge.result(status, found(None)) is not None) is refused


# -- which answers must be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "priced", "expected"),
    [
        ([], False, (False, False, False)),
        ([], True, (False, False, True)),
        ([("request", "true", "warn")], False, (False, False, False)),
        ([("list", "true", "deny")], False, (False, False, False)),
        ([("response", "true", "warn")], False, (True, False, True)),
        ([("proposal", "true", "warn")], False, (False, True, False)),
        ([("proposal", "true", "warn")], True, (False, True, True)),
    ],
)
def test_an_answer_is_read_for_rules_of_its_phases_and_for_prices(given, priced, expected):
    judge = judging(*([rules("p", *given)] if given else []), priced=priced)
    assert (judge.reads_result, judge.reads_proposals, judge.wants_result) == expected


@pytest.mark.parametrize(
    ("match", "reads"),
    [
        ({"operations": ["POST /search"]}, True),
        ({"operations": ["POST /other"]}, False),
        ({"operations": ["* /search"]}, True),
        ({"tools": ["notes"]}, False),
    ],
)
def test_rules_for_other_operations_leave_an_answer_alone(match, reads):
    judge = judging(rules("p", ("response", "true", "deny"), match=match), call=call_to("bank", "POST /search"))
    assert judge.reads_result is reads
    assert (judge.result(200, found({})) is not None) is reads


@pytest.mark.parametrize(("operations", "reads"), [(["*"], False), (["* /search"], True)])
def test_what_keeps_a_session_going_is_judged_only_by_rules_that_name_it(operations, reads):
    asked = structs.replace(call_to("bank", "POST /search"), implied=True)
    judge = judging(rules("p", ("response", "true", "deny"), match={"operations": operations}), call=asked)
    assert judge.reads_result is reads


def test_rules_of_the_request_do_not_judge_the_answer():
    judge = judging(rules("p", ("request", "true", "deny"), ("response", "false", "deny")))
    assert judge.result(200, found({})) is None
    assert judge.spoke == ()


# -- proposals ---------------------------------------------------------------------------------------------------


def test_each_proposal_is_judged_by_its_name_and_arguments():
    rule = 'proposal.name == "pay" && proposal.args.amount > 100'
    judge = judging(rules("p", ("proposal", rule, "deny"), ("proposal", 'proposal.name == "look"', "warn")))
    assert judge.proposal(Proposal("pay", {"amount": 5})) is None
    refusal = judge.proposal(Proposal("pay", {"amount": 500}))
    assert judge.proposal(Proposal("look", {})) is None
    assert refusal is not None
    assert (refusal.reason, refusal.rule, refusal.detail) == (Reason.RESULT_DENIED, "p/r0", "m0")
    assert [said.rule for said in judge.spoke] == ["r0", "r1"]


def test_a_proposal_whose_arguments_cannot_be_read_is_refused():
    refusal = judging(rules("p", ("proposal", "false", "deny"))).proposal(Proposal("pay", None))
    assert refusal is not None
    assert refusal.reason is Reason.RESULT_UNREADABLE
    assert "'pay'" in refusal.detail


def test_without_rules_over_proposals_every_proposal_passes():
    assert judging(rules("p", ("response", "true", "deny"))).proposal(Proposal("pay", None)) is None


# -- masks, labels, rollout --------------------------------------------------------------------------------------


def ruled(*given: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A policy of the response phase with these rules, whose conditions are true unless they say otherwise."""
    made = [{"name": f"r{n}", "when": "true", "phase": "response", **rule} for n, rule in enumerate(given)]
    return document("Policy", "p", rules=made, **spec)


REDACT = {"then": "redact", "fields": ["result.ssn", "result.items.*.card"]}


def test_what_is_to_be_masked_in_a_result_is_told_after_it_was_judged():
    judge = judging(ruled(REDACT, {"then": "redact", "fields": ["result.x"]}))
    assert judge.fields == ()
    assert judge.result(200, found({"ssn": 1})) is None
    assert judge.fields == ("result.ssn", "result.items.*.card", "result.x")


def test_each_result_of_an_answer_has_its_own_masks():
    judge = judging(ruled({**REDACT, "when": "has(result.ssn)"}))
    judge.result(200, found({"ssn": 1}))
    judge.result(200, found({"n": 1}))
    assert judge.fields == ()


def test_a_result_that_is_refused_has_no_masks():
    judge = judging(ruled(REDACT, {"then": "deny"}))
    assert judge.result(200, found({"ssn": 1})) is not None
    assert judge.fields == ()


@pytest.mark.parametrize("spec", [{"mode": "Audit"}, {"mode": "Warn"}, {"rollout": {"percent": 0}}])
def test_a_shadow_rule_masks_nothing(spec):
    judge = judging(ruled(REDACT, **spec))
    judge.result(200, found({"ssn": 1}))
    assert judge.fields == ()
    assert [said.verdict for said in judge.spoke] == [Verdict.REDACT]


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({}, True),
        ({"rollout": {"percent": 100}}, True),
        ({"mode": "Audit"}, False),
        ({"rollout": {"percent": 0}}, False),
    ],
)
def test_a_result_that_cannot_be_read_is_refused_only_where_a_rule_is_enforced(spec, refused):
    """The condition reads nothing of the result: that it masks some of it is enough."""
    judge = judging(ruled(REDACT, **spec))
    refusal = judge.result(200, found())
    assert (refusal is not None and refusal.reason is Reason.RESULT_UNREADABLE) is refused


def test_what_rules_say_of_answers_is_heard_at_once():
    heard: list[str] = []
    book = book_of(
        EVERYBODY,
        ruled({"then": "label", "label": "paid", "when": "response.status == 200"}),
        document(
            "Policy", "q", rules=[{"name": "l", "phase": "proposal", "when": "true", "then": "label", "label": "x"}]
        ),
        tools=speaking("anthropic"),
    )
    judge = Results(book, "bank").of(
        CALL, lambda call, found: None, priced=False, hears=lambda spoke: heard.extend(labels_of(spoke))
    )
    judge.proposal(Proposal("pay", {}))
    assert heard == ["x"]
    judge.result(500, found({}))
    judge.result(200, found({}))
    assert heard == ["x", "paid"]


# -- lists -------------------------------------------------------------------------------------------------------


def lists(operation: str, *documents: dict[str, Any], facts: dict[str, Any] | None = None) -> bool:
    book, _ = compiled(*documents, tools=speaking("mcp"))
    judge = Results(book, "bank").of(CALL, lambda call, found: None, priced=False)
    return judge.lists(operation, facts or {})


@pytest.mark.parametrize(("operation", "shown"), [("search", True), ("pay", False)])
def test_what_no_grant_names_is_left_out(operation, shown):
    grant = document("Grant", "g", agents=["pay-1"], tools=["bank"], operations=["search"])
    assert lists(operation, grant) is shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (("list", 'mcp.name == "pay"', "deny"), False),
        (("list", 'mcp.name == "other"', "deny"), True),
        (("list", "tool.destructive", "deny"), False),
        (("list", "true", "warn"), True),
        (("request", 'tool.operation == "pay"', "deny"), False),
        (("request", 'tool.operation == "pay" && args.amount > 5', "deny"), True),
        (("request", 'tool.operation == "pay"', "warn"), True),
        (("request", 'tool.operation == "pay"', "approve"), True),
        (("response", "true", "deny"), True),
        (("proposal", "true", "deny"), True),
    ],
)
def test_rules_that_need_no_call_keep_a_tool_out_of_lists(given, shown):
    facts = {"mcp.name": "pay", "tool.destructive": True}
    assert lists("pay", EVERYBODY, rules("p", given), facts=facts) is shown


def test_a_listed_tool_is_judged_by_its_own_facts_and_not_by_the_listing_calls():
    asked = structs.replace(CALL, facts={"tool.readOnly": True, "mcp.name": ""}, implied=True)
    book = book_of(EVERYBODY, rules("p", ("list", "tool.readOnly == false", "deny")), tools=speaking("mcp"))
    judge = Results(book, "bank").of(asked, lambda call, found: None, priced=False)
    assert judge.lists("look", {"tool.readOnly": True})
    assert not judge.lists("pay", {"tool.readOnly": False})


def test_a_shadow_rule_hides_nothing():
    for mode in ("Audit", "Warn"):
        assert lists("pay", EVERYBODY, rules("p", ("list", "true", "deny"), mode=mode))
        assert lists("pay", EVERYBODY, rules("p", ("request", "true", "deny"), mode=mode))


@pytest.mark.parametrize("phase", ["list", "request"])
def test_a_rule_hides_only_inside_of_its_rollout(phase):
    for percent, shown in ((0, True), (100, False)):
        assert lists("pay", EVERYBODY, rules("p", (phase, "true", "deny"), rollout={"percent": percent})) is shown


def test_a_list_rule_that_fails_leaves_the_tool_out():
    assert not lists("pay", EVERYBODY, rules("p", ("list", "1 / 0 == 1", "deny")))


def test_lists_differ_by_agent():
    book = book_of(EVERYBODY, rules("p", ("list", 'agent.id == "pay-1"', "deny")), tools=speaking("mcp"))
    for agent, shown in (("pay-1", False), ("look-1", True)):
        asked = structs.replace(CALL, agent=Agent(agent))
        judge = Results(book, "bank").of(asked, lambda call, found: None, priced=False)
        assert judge.lists("pay", {}) is shown
