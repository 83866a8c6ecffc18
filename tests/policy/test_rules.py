"""Rules: what speaks, what it says, and that the fast path says the same as asking one by one."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Call, Change, FlowLabels, Glance, How, Mode, Run, Seen, Spoke, Standing, Touch, Verdict
from gateway.policy import rules as rules_module
from gateway.policy.book import PolicyBook
from gateway.policy.engine import EXPANDED_CAP
from gateway.policy.rules import RuleSet
from gateway.policy.variables import PHASES

from .support import CPP, PYTHON, book_of, call_to, document, policy, speaking


def judge(book: PolicyBook, call: Call) -> tuple[Spoke, ...]:
    return book.rules(call.tool.name, call.operation).judge(call)


CONDITIONS = [
    "true",
    "false",
    "args.a > 1",
    "args.b > 1.5",
    'args.s == "x" // a comment',
    "args.missing == 1",
    "args.flag",
    "args.s",
    "1 / 0 == 1",
    'agent.id == "pay-1"',
    '"analyst" in agent.roles',
    "has(args.a) && args.a < 0",
    'args.s.matches("^y+$")',
    "args.list.all(x, x > 0)",
    "variables.v || variables.w",
    "args.a == 1 ? args.b > 0 : false",
]
VARIABLES = [{"name": "v", "expression": "args.a == 2 // ("}, {"name": "w", "expression": "variables.v && args.flag"}]
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0, "x", "yy", ""])
ARGS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(["a", "b", "s", "flag"], VALUES), "list": st.lists(VALUES, max_size=3)}
)


def _alone(when: str, ignore: bool, call: Call) -> tuple[Spoke, ...]:
    """What a rule says when it is the only one: no combined program is involved."""
    return judge(book_of(_policy_of([when], ignore)), call)


def _policy_of(conditions: list[str], ignore: bool) -> dict[str, Any]:
    return policy("p", *conditions, variables=VARIABLES, failurePolicy="Ignore" if ignore else "Fail")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=8), ARGS, st.booleans())
def test_rules_together_say_what_each_says_alone(conditions: list[str], args: dict[str, Any], ignore: bool) -> None:
    call = call_to(args=args)
    together = judge(book_of(_policy_of(conditions, ignore)), call)
    alone = [
        Spoke("p", f"r{number}", said.verdict, said.mode, said.message, said.error, read=said.read)
        for number, when in enumerate(conditions)
        for said in _alone(when, ignore, call)
    ]
    assert list(together) == alone


@pytest.mark.parametrize(
    "args", [{}, {"a": 0, "b": 0, "s": "y", "flag": False, "list": []}, {"a": 1, "b": 0, "s": "-"}, {"a": 2, "b": 1}]
)
def test_every_pair_of_rules_says_together_what_each_says_alone(args: dict[str, Any]) -> None:
    call = call_to(args=args)
    alone = {when: _alone(when, False, call) for when in CONDITIONS}
    for pair in itertools.permutations(CONDITIONS, 2):
        spoke = judge(book_of(_policy_of(list(pair), False)), call)
        expected = [(f"r{number}", said.error) for number, when in enumerate(pair) for said in alone[when]]
        assert [(said.rule, said.error) for said in spoke] == expected


def programs(rules: RuleSet) -> list[Any]:
    """The expressions that rules are joined to."""
    return [program for joined in rules._joined for program in joined.programs]


def test_comments_do_not_keep_rules_from_being_combined() -> None:
    conditions = ["args.a == 1 // one", "args.a == 2 // two", "args.a == 3"]
    assert len(programs(book_of(policy("p", *conditions)).rules("bank", "POST /transfers"))) == 1


def test_an_error_is_not_hidden_by_another_rule_that_is_true() -> None:
    book = book_of(policy("p", "args.missing == 1", "true"))
    assert [(said.rule, bool(said.error)) for said in judge(book, call_to())] == [("r0", True), ("r1", False)]


def test_failure_policy_fail_denies_and_ignore_warns() -> None:
    failing, ignoring = policy("f", "args.x > 1"), policy("i", "args.x > 1", failurePolicy="Ignore")
    denied, warned = judge(book_of(failing, ignoring), call_to())
    assert (denied.verdict, denied.error) == (Verdict.DENY, 'there is no key "x"')
    assert (warned.verdict, warned.error) == (Verdict.WARN, 'there is no key "x"')


def test_a_condition_that_is_neither_true_nor_false_is_an_error() -> None:
    for engine in (CPP, PYTHON):
        (said,) = judge(book_of(policy("p", "args.x"), engine=engine), call_to(args={"x": "yes"}))
        assert (said.verdict, said.error) == (Verdict.DENY, "the condition gives text instead of true or false")


def test_a_rule_may_override_its_policys_mode() -> None:
    spec = [
        {"name": "a", "when": "true", "then": "warn"},
        {"name": "b", "when": "true", "then": "deny", "mode": "Enforce"},
    ]
    spoke = judge(book_of(document("Policy", "p", mode="Audit", rules=spec)), call_to())
    assert [(said.mode, said.verdict) for said in spoke] == [(Mode.AUDIT, Verdict.WARN), (Mode.ENFORCE, Verdict.DENY)]


def message_of(args: dict[str, Any], **rule: Any) -> str:
    rules = [{"name": "r", "when": "true", "then": "deny", **rule}]
    (said,) = judge(book_of(document("Policy", "p", rules=rules)), call_to(args=args))
    return said.message


def test_the_message_expression_wins_and_the_message_stands_in_where_it_fails() -> None:
    both = {"message": "plain", "messageExpression": '"to " + args.who'}
    assert message_of({"who": "Eve"}, **both) == "to Eve"
    assert message_of({}, **both) == "plain"
    assert message_of({"who": 3}, **both) == "plain"
    assert message_of({}, messageExpression="args.who") == ""
    assert message_of({"who": 3}, message="plain", messageExpression="args.who") == "plain"


def test_a_message_that_quotes_a_huge_argument_is_cut() -> None:
    assert len(message_of({"who": "x" * 100_000}, messageExpression="args.who")) == rules_module.MESSAGE_CAP


def test_rules_too_large_for_one_expression_are_combined_in_parts() -> None:
    padding = '"' + "x" * 3000 + '"'
    conditions = [f"args.a == {number} && {padding} != args.s" for number in range(12)]
    rules = book_of(policy("p", *conditions)).rules("bank", "POST /transfers")
    assert 1 < len(programs(rules)) < 12
    assert all(len(program.source) <= EXPANDED_CAP for program in programs(rules))
    assert [said.rule for said in rules.judge(call_to(args={"a": 11, "s": ""}))] == ["r11"]
    assert rules.judge(call_to(args={"a": 12, "s": ""})) == ()


def test_rules_nested_to_the_cap_still_work_together() -> None:
    deep = "(" * 32 + "args.a == 1" + ")" * 32
    book = book_of(policy("p", deep, "args.a == 2", deep))
    assert [said.rule for said in judge(book, call_to(args={"a": 1}))] == ["r0", "r2"]
    assert judge(book, call_to(args={"a": 3})) == ()


def test_without_rules_nothing_is_said() -> None:
    assert judge(book_of(), call_to()) == ()


def test_explain_tells_each_rules_result_and_what_it_read() -> None:
    rules = [
        {"name": "a", "when": "variables.big", "then": "approve", "messageExpression": '"for " + agent.id'},
        {"name": "b", "when": 'run.id == "other"', "then": "deny"},
        {"name": "c", "when": "args.missing", "then": "deny", "mode": "Warn"},
    ]
    spec = {"variables": [{"name": "big", "expression": "args.amount > 10"}], "rules": rules}
    call = call_to(args={"amount": 11})
    a, b, c = book_of(document("Policy", "p", **spec)).rules("bank", call.operation).explain(call)
    assert (a.result, a.when, a.verdict, a.message) == ("true", "variables.big", Verdict.APPROVE, "for pay-1")
    assert a.read == {"args": {"amount": 11}, "agent.id": "pay-1"}
    assert (b.result, b.read) == ("false", {"run.id": "run-1"})
    assert (c.result, c.mode) == ('there is no key "missing"', Mode.WARN)


FACTS: dict[str, Any] = {
    "guardrail": {"lakera": {"flagged": True}},
    "tool.readOnly": True,
    "tool.destructive": False,
    "tool.idempotent": True,
    "tool.openWorld": False,
    "tool.pin": "pinned",
    "mcp.method": "tools/call",
    "mcp.name": "search",
    "mcp.uri": "file:///a",
    "mcp.session": "s-1",
    "mcp.version": "2026-07-28",
    "llm.model": "m-1",
    "llm.stream": True,
    "llm.max_tokens": 100,
    "llm.system": "be kind",
    "llm.messages": [{"role": "user", "content": "hi"}],
    "llm.tools": ["search"],
    **{f"why.{name}": name for name in ("step", "parent", "reason", "goal", "kind")},
    "budget.remaining_usd": 0.25,
    "budget.remaining_tokens": 300,
    "budget.remaining_calls": 4,
    "response.status": 201,
    "response.isError": True,
    "result": {"a": [1]},
    "usage.input_tokens": 3,
    "usage.output_tokens": 5,
    "usage.cost_usd": 0.5,
    "llm.proposed": [{"name": "t", "args": {"n": 1}}],
    "proposal.name": "t",
    "proposal.args": {"n": 1},
}
"""What protocols and answers tell, by variable."""

WITHOUT: dict[str, Any] = {
    "tool.readOnly": False,
    "tool.destructive": True,
    "tool.idempotent": False,
    "tool.openWorld": True,
    "tool.pin": "",
    "mcp.method": "",
    "mcp.name": "",
    "mcp.uri": "",
    "mcp.session": "",
    "mcp.version": "",
    "llm.model": "",
    "llm.stream": False,
    "llm.max_tokens": 0,
    "llm.system": "",
    "llm.messages": [],
    "llm.tools": [],
    **{f"why.{name}": "" for name in ("step", "parent", "reason", "goal", "kind")},
    "budget.remaining_usd": 1e12,
    "budget.remaining_tokens": 1 << 53,
    "budget.remaining_calls": 1 << 53,
    "response.status": 0,
    "response.isError": False,
    "result": {},
    "usage.input_tokens": 0,
    "usage.output_tokens": 0,
    "usage.cost_usd": 0.0,
    "llm.proposed": [],
    "proposal.name": "",
    "proposal.args": {},
    "guardrail": {},
}
"""What they are of a plain HTTP call (a POST) of which nobody tells."""

OF_THE_CALL = {
    "agent.id": '"pay-1"',
    "agent.roles": '["analyst"]',
    "run.id": '"run-1"',
    "run.cost_usd": "1.5",
    "run.labels": '["paid", "tainted"]',
    "run.steps": "4",
    "run.errors_in_row": "2",
    "run.age": "0.5",
    "run.depth": "1",
    "run.root": '"root-1"',
    "tool.name": '"bank"',
    "tool.operation": '"POST /transfers/{id}"',
    "tool.protocol": '"http"',
    "request.method": '"POST"',
    "request.host": '"bank.local"',
    "request.path": '"/transfers/{id}"',
    "request.query": '"q=1"',
    "request.headers": '{"x-team": "bl\\u00fce"}',
    "request.params": '{"id": "7"}',
    "request.size": "12",
    "request.time": 'timestamp("2026-07-01T12:00:00.25Z")',
    "args": '{"n": [1]}',
    "agent.claims": '{"team": "pay"}',
    "tool.returns": '["private"]',
    "tool.sends": '"external"',
    "flow.followed": "false",
    "flow.labels": "[]",
    "flow.delegated": "[]",
    "flow.foreign": '["args.to"]',
    "flow.asked": "true",
    "run.task": '""',
    "flow.unproven": '["args.to"]',
    "flow.planted": "[]",
    "run.drift": '["notes/plan"]',
    "run.unverified": "[]",
    "memory.name": '"notes"',
    "memory.key": '"plan"',
    "memory.writes": "true",
    "memory.read": "true",
    "memory.stale": "true",
    "memory.old": "false",
    "memory.age": "30.25",
    "memory.changed_by": '"bob"',
}


def known_in(phase: str, facts: dict[str, Any]) -> dict[str, str]:
    """Every variable of a phase, and what it is as CEL writes it (JSON is CEL)."""
    told = {name: json.dumps(value) for name, value in facts.items() if name in PHASES[phase]}
    return {**{name: text for name, text in OF_THE_CALL.items() if name in PHASES[phase]}, **told}


@pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
@pytest.mark.parametrize("facts", [FACTS, WITHOUT], ids=["told", "not told"])
@pytest.mark.parametrize("phase", PHASES)
def test_every_variable_is_what_the_call_says(phase: str, facts: dict[str, Any], engine: Any) -> None:
    conditions = known_in(phase, facts)
    assert conditions.keys() == PHASES[phase].keys()
    call = call_to(
        operation="POST /transfers/{id}",
        args={"n": [1]},
        roles=("analyst",),
        headers={b"x-team": b"bl\xfce"},
        params={"id": "7"},
    )
    told = facts if facts is FACTS else {}
    run = Run(
        call.run.id,
        "",
        1.5,
        ("paid", "tainted"),
        ("planner", "root-1"),
        ("planner", "root-1"),
        1,
        "ab",
        "token",
        4,
        2,
        0.5,
    )
    flows = (FlowLabels(("POST *",), ("private",), "external", ("args.to",)),)
    agent, tool = structs.replace(call.agent, claims={"team": "pay"}), structs.replace(call.tool, flows=flows)
    standing = Standing((Change("c1", How.FOUND), Change("c2", How.WRITTEN, "bob")))
    found = (Glance(Touch("notes", "plan", writes=True), standing, Seen("c1", 1782907170.0)),)
    call = structs.replace(
        call, facts=told, run=run, agent=agent, tool=tool, at=1782907200.25, glances=found, drift=("notes/plan",)
    )
    rules = [
        {"name": f"r{number}", "when": f"{name} == {text}", "then": "deny", "phase": phase}
        for number, (name, text) in enumerate(conditions.items())
    ]
    tools = speaking({"list": "mcp", "proposal": "anthropic"}.get(phase, "http"))
    book = book_of(document("Policy", "p", rules=rules), engine=engine, tools=tools)
    of = {"request": book.rules, "list": book.listing, "response": book.results, "proposal": book.proposals}
    spoke = of[phase]("bank", call.operation).judge(call)
    assert [(said.rule, said.error) for said in spoke] == [(f"r{number}", "") for number in range(len(conditions))]


@pytest.mark.parametrize(
    ("method", "read_only", "destructive", "idempotent"),
    [
        ("GET", True, False, True),
        ("HEAD", True, False, True),
        ("QUERY", True, False, True),
        ("PUT", False, True, True),
        ("DELETE", False, True, True),
        ("POST", False, True, False),
        ("PATCH", False, True, False),
        ("CONNECT", False, True, False),
    ],
)
def test_what_a_method_promises_stands_for_what_nobody_tells(
    method: str, read_only: bool, destructive: bool, idempotent: bool
) -> None:
    call = call_to(operation=f"{method} /x")
    names = ("tool.readOnly", "tool.destructive", "tool.idempotent")
    spoke = {said.rule for said in judge(book_of(policy("p", *names)), call)}
    assert spoke == {f"r{n}" for n, is_ in enumerate((read_only, destructive, idempotent)) if is_}
    told = structs.replace(call, facts={name: not is_ for name, is_ in zip(names, (True, False, True), strict=True)})
    assert {said.rule for said in judge(book_of(policy("p", *names)), told)} == {"r1"}, "what is told wins"


# -- label, redact, annotations ----------------------------------------------------------------------------------

SPEAKING = [
    {"name": "l", "when": "args.n > 1", "then": "label", "label": "paid", "annotations": {"severity": "low"}},
    {"name": "r", "when": "args.n > 1", "then": "redact", "fields": ["args.iban", "args.pin"], "message": "masked"},
    {
        "name": "f",
        "when": 'args.none == "x"',
        "then": "redact",
        "fields": ["args.iban"],
        "annotations": {"b": "2", "a": "1"},
    },
]


@pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
@pytest.mark.parametrize(("failure", "verdict"), [("Fail", Verdict.DENY), ("Ignore", Verdict.WARN)])
def test_a_rule_says_its_label_its_fields_and_its_annotations(engine: Any, failure: str, verdict: Verdict) -> None:
    book = book_of(document("Policy", "p", rules=SPEAKING, failurePolicy=failure), engine=engine)
    label, mask, failed = book.rules("bank", "POST /transfers").judge(call_to(args={"n": 2}))
    assert (label.verdict, label.label, label.annotations) == (Verdict.LABEL, "paid", (("severity", "low"),))
    assert (mask.verdict, mask.fields, mask.message) == (Verdict.REDACT, ("args.iban", "args.pin"), "masked")
    assert failed.error
    assert (failed.verdict, failed.fields, failed.annotations) == (verdict, (), (("a", "1"), ("b", "2")))


def test_explain_tells_them_too() -> None:
    label, mask, _ = (
        book_of(document("Policy", "p", rules=SPEAKING)).rules("bank", "POST /x").explain(call_to(args={"n": 1}))
    )
    assert (label.label, label.annotations, label.result) == ("paid", (("severity", "low"),), "false")
    assert (mask.fields, mask.outside) == (("args.iban", "args.pin"), False)


def test_a_run_that_is_marked_is_refused_what_others_may_and_sees_it_in_no_list() -> None:
    when = '"tainted" in run.labels'
    book = book_of(policy("p", when), tools=speaking("mcp"))
    for labels, denied in ((("tainted", "x"), True), (("x",), False), ((), False)):
        call = structs.replace(call_to(), run=Run("r", labels=labels))
        assert bool(book.rules("bank", "pay").judge(call)) is denied
        assert bool(book.listing("bank", "pay").judge(call)) is denied


KINDS = st.tuples(
    st.sampled_from(["a", "evil-1"]),
    st.sampled_from([(), ("banned",), ("x", "y")]),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["/a", "/deny", "/" + "x" * 600]),
    st.sampled_from(["h", "H:80"]),
    st.sampled_from(["", "r"]),
    st.sampled_from([{}, {"n": 1}, {"n": 2}]),
)


@given(st.lists(KINDS, max_size=12))
def test_what_is_remembered_of_calls_changes_nothing(kinds: list[Any]) -> None:
    """The same rules, asked again and again, say what rules that were never asked before say."""
    conditions = [
        'agent.id.startsWith("evil-")',
        '"banned" in agent.roles',
        'request.method == "POST" && request.path == "/deny"',
        'request.host == "h:80" && run.id == "r"',
        "has(args.n) && args.n == 2",
    ]
    asked = book_of(policy("p", *conditions))
    for agent, roles, method, path, host, run, args in kinds:
        call = structs.replace(call_to(agent=agent, roles=roles, args=args), path=path, host=host, run=Run(run))
        call = structs.replace(call, request=structs.replace(call.request, method=method))
        assert judge(asked, call) == judge(book_of(policy("p", *conditions)), call)


def test_only_so_many_kinds_of_calls_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_module, "_MOST_KINDS", 4)
    rules = book_of(policy("p", 'request.path == "/deny"')).rules("bank", "POST /transfers")
    for number in range(20):
        rules.judge(structs.replace(call_to(), path=f"/{number}"))
        rules.judge(structs.replace(call_to(), path=f"/{number}" + "x" * 600))
    (joined,) = rules._joined
    assert len(joined.silent) <= 4
