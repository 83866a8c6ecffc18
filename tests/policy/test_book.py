"""The book: who may call what, which rules are asked, what is counted by what, and that its caches stay small."""

from __future__ import annotations

import pytest

from gateway.model import Agent, CircuitSettings
from gateway.policy import book as book_module
from gateway.policy.engine import EvaluationError

from .support import CPP, PYTHON, book_of, call_to, compiled, document, policy

GRANTS = (
    document("Grant", "readers", agents=["report-*"], roles=["analyst"], tools=["git*", "notes"], operations=["GET *"]),
    document("Grant", "payers", agents=["pay-1"], tools=["bank"], operations=["POST /transfers"]),
    document("Grant", "all-of-bank", roles=["treasurer"], tools=["bank"]),
)


@pytest.mark.parametrize(
    ("agent", "roles", "tool", "operation", "grant"),
    [
        ("report-1", (), "github", "GET /repos/{owner}/{repo}", "readers"),
        ("someone", ("x", "analyst"), "notes", "GET /a/b", "readers"),
        ("report-1", (), "github", "POST /repos", None),
        ("report-1", (), "bank", "GET /accounts", None),
        ("reporter", (), "github", "GET /", None),
        ("analyst", (), "github", "GET /", None),
        ("pay-1", (), "bank", "POST /transfers", "payers"),
        ("pay-1", (), "bank", "POST /transfers/1", None),
        ("pay-11", (), "bank", "POST /transfers", None),
        ("pay-1", ("treasurer",), "bank", "POST /transfers", "payers"),
        ("pay-1", ("treasurer",), "bank", "DELETE /accounts", "all-of-bank"),
        ("report-1", (), "unknown", "GET /", None),
    ],
)
def test_a_call_needs_a_grant_for_its_agent_tool_and_operation(
    agent: str, roles: tuple[str, ...], tool: str, operation: str, grant: str | None
) -> None:
    book = book_of(*GRANTS)
    for _ in ("looked up", "remembered"):
        assert book.grant(Agent(agent, roles), tool, operation) == grant


@pytest.mark.parametrize(
    ("roles", "granted"),
    [(("eu-analyst",), True), (("us-lead", "x"), True), (("eu",), False), (("analyst",), False), ((), False)],
)
def test_roles_of_a_grant_are_globs(roles: tuple[str, ...], granted: bool) -> None:
    book = book_of(document("Grant", "g", roles=["eu-*", "??-lead"], tools=["bank"]))
    assert (book.grant(Agent("a", roles), "bank", "GET /") == "g") is granted
    assert (book.any_grant(Agent("a", roles), "bank") == "g") is granted


def test_without_grants_nothing_is_allowed() -> None:
    assert book_of().grant(Agent("a"), "bank", "GET /") is None


def test_only_rules_that_match_tool_and_operation_are_asked() -> None:
    many = [policy(f"other-{n}", "1 / 0 == 1", match={"tools": ["notes"]}) for n in range(200)]
    many += [policy(f"read-{n}", "1 / 0 == 1", match={"operations": [f"GET /{n}"]}) for n in range(200)]
    mine = policy("mine", "true", match={"tools": ["ba*"], "operations": ["POST /tra*"]})
    rules = book_of(*many, mine).rules("bank", "POST /transfers")
    assert [rule.policy for rule in rules.rules] == ["mine"]
    assert [said.policy for said in rules.judge(call_to())] == ["mine"]


def test_operations_with_the_same_policies_share_one_rule_set() -> None:
    book = book_of(policy("p", "true", match={"operations": ["GET *"]}))
    assert book.rules("bank", "GET /a") is book.rules("notes", "GET /b")


def test_caches_stay_bounded_however_many_paths_an_agent_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MEMO_CAP", 8)
    breaker = document("Breaker", "b")
    limit = document("Limit", "l", per=["agent"], rate="1/s")
    book = book_of(*GRANTS, policy("p", "true", match={"operations": ["GET /1*"]}), breaker, limit)
    for memo in (book._rules_memo["request"], book._rule_sets):
        memo.clear()
    memos = (book._grant_memo, book._rules_memo["request"], book._limits_memo, book._breakers_memo, book._rule_sets)
    for number in range(50):
        operation = f"GET /{number}"
        book.grant(Agent(f"report-{number}"), "github", operation)
        assert len(book.rules("bank", operation).rules) == (1 if str(number).startswith("1") else 0)
        assert [limit.name for limit in book.limits("bank", operation)] == ["l"]
        assert [breaker.name for breaker in book.breakers("bank", operation)] == ["b"]
        assert all(len(memo) <= 8 for memo in memos)


def test_long_names_are_answered_but_not_remembered() -> None:
    book = book_of(document("Grant", "g", agents=["*"], tools=["*"]), policy("p", "true"))
    long = "GET /" + "x" * 300
    assert book.grant(Agent("a"), "bank", long) == "g"
    assert book.grant(Agent("a" * 300), "bank", "GET /") == "g"
    assert len(book.rules("bank", long).rules) == 1
    assert book.limits("bank", long) == book.breakers("bank", long) == ()
    memos = (book._rules_memo["request"], book._limits_memo, book._breakers_memo)
    assert not any(long in key for memo in memos for key in memo)
    assert not book._grant_memo


def test_a_limits_key_names_the_limit_and_what_it_counts_by() -> None:
    per = ["agent", "run", "tool", "operation", "args.to", "args.n", "args.flag"]
    book = book_of(document("Limit", "l", per=per, rate="30/m", match={"tools": ["bank"]}))
    (limit,) = book.limits("bank", "POST /transfers")
    assert (limit.rate, limit.capacity, limit.mode, limit.max_wait) == (0.5, 1.0, "reject", 0.0)
    assert limit.key(call_to(args={"to": "x", "n": 3, "flag": True})) == (
        *("l", "pay-1", "pay-1", "run-1", "bank", "bank", "POST /transfers"),
        *("x", "3", "true"),
    )
    assert book.limits("notes", "POST /transfers") == ()


def test_a_burst_is_one_seconds_worth_unless_given_and_waiting_is_bounded() -> None:
    book = book_of(
        document("Limit", "a", per=[], rate="20/s"),
        document("Limit", "b", per=[], rate="20/s", burst=5, mode="wait"),
        document("Limit", "c", per=[], rate="20/s", mode="wait", max_wait="1m"),
    )
    assert [(limit.capacity, limit.max_wait) for limit in book.limits("bank", "GET /")] == [(20, 0), (5, 5), (20, 60)]


@pytest.mark.parametrize("value", [{}, {"to": 1.5}, {"to": None}, {"to": ["x"]}])
@pytest.mark.parametrize("engine", [CPP, PYTHON], ids=lambda engine: engine.name)
def test_a_key_that_cannot_be_told_refuses_the_call(value: dict[str, object], engine: object) -> None:
    (limit,) = book_of(document("Limit", "l", per=["args.to"], rate="1/s"), engine=engine).limits("bank", "GET /")
    with pytest.raises(EvaluationError):
        limit.key(call_to(args=value))


def test_breakers_know_their_settings_and_keys() -> None:
    book, _ = compiled(
        document(
            "Breaker",
            "a",
            failures=3,
            rate="25%",
            window="1m",
            minimum=4,
            open="5s",
            probes=2,
            slow="1s",
            slow_rate=0.5,
        ),
        document("Breaker", "b", per=["tool", "operation"]),
    )
    a, b = book.breakers("bank", "POST /transfers")
    assert a.settings == CircuitSettings(3, 0.25, 60.0, 4, 5.0, 2, 1.0, 0.5)
    assert b.settings == CircuitSettings()
    assert a.key(call_to()) == ("a", "bank")
    assert b.key(call_to()) == ("b", "bank", "POST /transfers")


@pytest.mark.parametrize(
    ("extra", "reads"),
    [
        (policy("p", "args.x == 1", match={"tools": ["bank"]}), True),
        (
            policy(
                "p", "variables.v", match={"tools": ["bank"]}, variables=[{"name": "v", "expression": "has(args.x)"}]
            ),
            True,
        ),
        (policy("p", "true", match={"tools": ["bank"]}, variables=[{"name": "v", "expression": "has(args.x)"}]), False),
        (
            document(
                "Policy",
                "p",
                rules=[{"name": "r", "when": "true", "then": "warn", "messageExpression": "string(args.x)"}],
            ),
            True,
        ),
        (document("Policy", "p", rules=[{"name": "r", "when": "true", "then": "redact", "fields": ["args.x"]}]), True),
        (policy("p", "args.x == 1", match={"tools": ["notes"]}), False),
        (policy("p", 'agent.id == "args.x"'), False),
        (document("Limit", "l", per=["string(args.x)"], rate="1/s"), True),
        (document("Limit", "l", per=["agent"], rate="1/s"), False),
    ],
)
def test_the_body_is_wanted_only_where_something_reads_the_arguments(extra: dict[str, object], reads: bool) -> None:
    assert book_of(*GRANTS, extra).reads_args("bank") is reads


@pytest.mark.parametrize(
    ("documents", "looks"),
    [
        (
            [document("Grant", "g", agents=["*"], tools=["*"], operations=["GET *", "POST *"]), policy("p", "true")],
            False,
        ),
        ([document("Grant", "g", agents=["*"], tools=["bank"], operations=["GET /a*"])], True),
        ([document("Grant", "g", agents=["*"], tools=["notes"], operations=["GET /a*"])], False),
        ([policy("p", "true", match={"operations": ["* /admin"]})], True),
        ([policy("p", 'request.path.startsWith("/x")')], True),
        ([policy("p", 'request.params.id == "1"')], True),
        ([policy("p", 'tool.operation == "GET /x"')], True),
        ([document("Limit", "l", per=["operation"], rate="1/s")], True),
        ([document("Limit", "l", per=["tool"], rate="1/s", match={"operations": ["GET /x"]})], True),
        ([document("Breaker", "b", per=["tool", "operation"])], True),
        ([document("Breaker", "b")], False),
    ],
)
def test_paths_matter_only_where_something_tells_them_apart(documents: list[dict[str, object]], looks: bool) -> None:
    book, _ = compiled(*documents)
    assert book.looks_at_path("bank") is looks


def test_a_tool_that_is_not_configured_has_nothing() -> None:
    book = book_of(*GRANTS, policy("p", "args.x"))
    assert not book.reads_args("unknown")
    assert not book.looks_at_path("unknown")
    assert book.rules("unknown", "GET /").rules == ()
    assert book.limits("unknown", "GET /") == book.breakers("unknown", "GET /") == ()


def test_the_digest_tells_contents_order_and_engine_apart() -> None:
    first, second = GRANTS[0], GRANTS[1]
    digests = {
        book_of(first, second).digest,
        book_of(second, first).digest,
        book_of(first).digest,
        book_of(first, second, engine=PYTHON).digest,
    }
    assert len(digests) == 4
    assert book_of(first, second).digest == book_of(first, second).digest
    assert all(len(digest) == 16 for digest in digests)
