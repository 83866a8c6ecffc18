"""Tasks: what lies outside of a run's task is refused, and a task never lets pass what was refused without it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.decide.budgets import Budgets
from gateway.decide.grants import Grants
from gateway.decide.tasks import Tasks
from gateway.model import Call, Reason
from tests.policy.support import TOOLS, book_of, call_to, compiled, document

GRANT = document("Grant", "all", agents=["*"], tools=["*"])
ALLOW = [
    {"tools": ["github"], "operations": ["GET *"]},
    {"tools": ["bank"], "operations": ["POST /transfers"], "when": "args.amount < 100.0"},
]
REFUND = document("Task", "refund", agents=["pay-*"], allow=ALLOW, duration="10m")


def within(call: Call, task: str = "refund", age: float = 0.0) -> Call:
    return structs.replace(call, run=structs.replace(call.run, task=task, task_age=age))


def refused(call: Call, *documents: dict[str, Any]) -> str:
    """Why the call is refused; empty where it is not."""
    refusal = Tasks(book_of(GRANT, *(documents or (REFUND,)))).judge(call).refusal
    if refusal is None:
        return ""
    assert (refusal.reason, refusal.status) == (Reason.OUTSIDE_TASK, 403)
    assert refusal.advice
    assert not refusal.retryable
    return refusal.detail


def test_what_the_task_allows_passes_and_nothing_else() -> None:
    assert not refused(within(call_to("github", "GET /x")))
    assert not refused(within(call_to(args={"amount": 99.0})))
    assert "does not allow 'POST /x' on tool 'github'" in refused(within(call_to("github", "POST /x")))
    assert refused(within(call_to("notes", "GET /x")))
    assert refused(within(call_to(args={"amount": 100.0})))


def test_a_condition_that_cannot_be_evaluated_allows_nothing_and_says_so() -> None:
    assert "could not be evaluated" in refused(within(call_to(args={})))


def test_a_condition_that_fails_does_not_spoil_what_another_entry_allows() -> None:
    both = document("Task", "refund", agents=["*"], allow=[*ALLOW, {"tools": ["bank"]}])
    assert not refused(within(call_to(args={})), both)


def test_without_a_task_everything_is_as_it_was_unless_one_is_required() -> None:
    assert not refused(call_to("notes", "GET /x"))
    required = document("Task", "refund", agents=["pay-*"], allow=ALLOW, required=True)
    assert "only in a task" in refused(call_to("github", "GET /x"), required)
    assert not refused(call_to("github", "GET /x", agent="other-1"), required)
    other = document("Task", "reading", agents=["pay-*"], allow=[{"tools": ["notes"]}])
    assert not refused(within(call_to("notes", "GET /x"), "reading"), required, other), "any task will do"


def test_its_time_ends_it() -> None:
    assert not refused(within(call_to("github", "GET /x"), age=600.0))
    assert "is over" in refused(within(call_to("github", "GET /x"), age=600.1))


def test_a_task_that_was_taken_away_lets_nothing_pass() -> None:
    assert "any more" in refused(within(call_to("github", "GET /x"), "gone"))


def test_what_keeps_a_session_going_is_allowed_with_anything_of_the_tool() -> None:
    ping = structs.replace(call_to("bank", "ping"), implied=True)
    assert not refused(within(ping))
    assert refused(within(structs.replace(call_to("notes", "ping"), implied=True)))


def test_lists_show_what_may_be_called_in_the_task() -> None:
    known = {"tools": ["notes"], "when": "tool.readOnly"}
    tasks = Tasks(book_of(GRANT, document("Task", "refund", agents=["*"], allow=[*ALLOW, known])))
    assert tasks.lists(within(call_to("github", "GET /x")))
    assert not tasks.lists(within(call_to("github", "POST /x")))
    assert tasks.lists(within(call_to())), "its condition hangs on arguments, which a list does not have"
    assert not tasks.lists(within(call_to("notes", "POST /x"))), "its condition is known to be false"
    assert tasks.lists(call_to("github", "POST /x")), "there is no task"


OPERATIONS = st.sampled_from(["GET /x", "POST /x", "POST /transfers", "ping"])
NAMES = st.sampled_from([tool.name for tool in TOOLS])
ALLOWANCES = st.lists(
    st.fixed_dictionaries(
        {"tools": st.lists(st.sampled_from(["*", "bank", "git*"]), min_size=1, max_size=2)},
        optional={
            "operations": st.lists(st.sampled_from(["*", "GET *", "POST /transfers"]), min_size=1, max_size=2),
            "when": st.sampled_from(["true", "false", "args.amount > 1.0", 'agent.id == "pay-1"']),
        },
    ),
    min_size=1,
    max_size=4,
)


@given(ALLOWANCES, NAMES, OPERATIONS, st.sampled_from([{}, {"amount": 2.0}, {"amount": 0.5}]))
def test_more_entries_never_allow_less_and_fewer_never_more(
    allow: list[dict[str, Any]], tool: str, operation: str, args: dict[str, float]
) -> None:
    """A task is the union of its entries: each alone allows no more than all together."""
    call = within(call_to(tool, operation, args), "t")

    def allows(entries: list[dict[str, Any]]) -> bool:
        book, _ = compiled(GRANT, document("Task", "t", agents=["*"], allow=entries))
        return Tasks(book).judge(call).refusal is None

    assert allows(allow) is any(allows([entry]) for entry in allow)


@pytest.mark.parametrize(("allowed", "known"), [([], True), (["GET *"], False)])
def test_a_task_gives_nobody_what_no_grant_gives(allowed: list[str], known: bool) -> None:
    """Grants are looked at first, and know nothing of tasks."""
    grants = [document("Grant", "some", agents=["*"], tools=["github"], operations=allowed)] if allowed else []
    book = book_of(*grants, document("Task", "refund", agents=["*"], allow=[{"tools": ["*"]}]))
    call = within(call_to("github", "GET /x"))
    assert Tasks(book).judge(call).refusal is None
    assert (Grants(book).judge(call).refusal is not None) is known


def test_the_budget_of_a_task_counts_only_calls_in_it_however_late_the_run_comes_to_it() -> None:
    task = document("Task", "refund", agents=["*"], allow=[{"tools": ["*"]}], budget={"calls": 3})
    budgets = Budgets(book_of(GRANT, task))
    call = call_to()
    assert budgets.claims(call) == ()
    (claim,) = budgets.claims(within(call))
    assert claim.guard == "task/refund"
    assert claim.key[2:] == ("pay-1", "run-1")
    assert budgets.claims(within(call, "other")) == ()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"agents": ["*"], "allow": [{"tools": ["bank"], "when": "args.amount +"}]}, "allow"),
        ({"agents": ["*"], "allow": [{"tools": ["bank"], "when": "agent.id"}]}, "allow"),
        ({"agents": ["*"], "allow": [{"tools": ["banc"]}]}, "tools"),
    ],
)
def test_mistakes_are_told_with_their_place(spec: dict[str, Any], says: str) -> None:
    _, (complaint, *_) = compiled(GRANT, document("Task", "t", **spec))
    assert complaint.document_index == 1
    assert says in complaint.path
