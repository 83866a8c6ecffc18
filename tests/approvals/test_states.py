"""The states of an approval: whatever is done, in whatever order, nothing runs unapproved, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.approvals import states
from gateway.approvals.states import Conflict
from gateway.model import Approval, ApprovalState, Terms, Vote
from tests.stores.opening import AT

S = ApprovalState
EDGES = {
    S.WAITING: {S.WAITING, S.APPROVED, S.DENIED, S.ANSWERED, S.EXPIRED, S.WITHDRAWN},
    S.APPROVED: {S.APPROVED, S.RUNNING, S.EXPIRED, S.WITHDRAWN},
    S.RUNNING: {S.DONE, S.APPROVED},
}
"""Where each state may lead; from those that are not here, nowhere."""
PEOPLE = st.sampled_from(["alice", "bob", "carol"])
CALLS = st.sampled_from(["c1", "c2"])
VERBS = st.sampled_from(["approve", "edit", "endorse", "ask", "deny", "answer"])


def approval(approvers: int = 1, timeout: str = "deny", *, canary: bool = False) -> Approval:
    terms = Terms(approvers=approvers, timeout=timeout, valid=60.0)
    return Approval(
        "apr-1", "b", "a", (), "r", ("a", "r"), "bank", "POST /pay", "v", (), terms, AT, AT + 600, canary=canary
    )


class Life(RuleBasedStateMachine):
    """One approval, and what is known of it beside: who has approved what stands, and who holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = AT
        self.approved_by: set[str] = set()
        self.holder = ""
        self.executed = 0

    @initialize(approvers=st.integers(1, 3), timeout=st.sampled_from(["deny", "allow"]), canary=st.booleans())
    def opens(self, approvers: int, timeout: str, canary: bool) -> None:
        self.it = approval(approvers, timeout, canary=canary)

    def take(self, step: Callable[[Approval], Approval]) -> bool:
        """Whether the step fits."""
        before = self.it
        try:
            self.it = step(before)
        except Conflict as conflict:
            assert str(conflict)
            return False
        assert self.it.state in EDGES[before.state], f"{before.state} -> {self.it.state}"
        return True

    @rule(by=PEOPLE, verb=VERBS)
    def votes(self, by: str, verb: str) -> None:
        in_time = self.now < self.it.expires
        if not self.take(lambda it: states.voted(it, Vote(by, verb, self.now, "said"), self.now)):
            return
        assert in_time
        if verb == "edit":
            self.approved_by.clear()
        if verb in states.APPROVING:
            assert by not in self.approved_by
            self.approved_by.add(by)
        closes = {"deny": S.DENIED, "answer": S.ANSWERED, "ask": S.WAITING}.get(verb)
        enough = S.APPROVED if len(self.approved_by) >= self.it.terms.approvers else S.WAITING
        assert self.it.state is (closes or enough)

    @rule(seconds=st.sampled_from([1.0, 59.0, 61.0, 599.0]))
    def waits(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def times_out(self) -> None:
        before = self.it
        if not self.take(lambda it: states.timed_out(it, self.now)):
            return
        assert self.now >= before.expires
        allowed = before.state is S.WAITING and before.terms.timeout == "allow" and not before.canary
        assert self.it.state is (S.APPROVED if allowed else S.EXPIRED)

    @rule(call=CALLS)
    def claims(self, call: str) -> None:
        in_time = self.now < self.it.expires
        if not self.take(lambda it: states.claimed(it, call, self.now)):
            return
        allowed = self.it.terms.timeout == "allow" and any(vote.by == states.FOR_TIMEOUT for vote in self.it.votes)
        assert in_time
        assert not self.it.canary
        assert not self.holder
        assert len(self.approved_by) >= self.it.terms.approvers or allowed
        assert not any(vote.verb in ("deny", "answer") for vote in self.it.votes)
        self.holder = call

    @rule(call=CALLS)
    def ends(self, call: str) -> None:
        if self.take(lambda it: states.ended(it, call, "200")):
            assert self.holder == call
            self.holder, self.executed = "", self.executed + 1

    @rule(call=CALLS, sure=st.booleans())
    def is_given_back(self, call: str, sure: bool) -> None:
        step = states.released if sure else states.unclaimed
        before = self.it
        if self.take(lambda it: step(it, call)):
            assert self.it is not before, "it is written anew, so that whoever saw it before comes too late"
            assert self.holder in ((call,) if sure else (call, ""))
            self.holder = ""

    @rule()
    def is_withdrawn(self) -> None:
        self.take(lambda it: states.withdrawn(it, "taken back", self.now))

    @rule(more=st.integers(1, 3))
    def is_asked_again(self, more: int) -> None:
        before = self.it.asked
        if self.take(lambda it: states.attached(it, more)):
            assert self.it.asked == before + more

    @invariant()
    def holds(self) -> None:
        assert (self.it.state is S.RUNNING) == bool(self.holder)
        assert self.executed == (self.it.state is S.DONE)
        assert states.told(self.it)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


def test_a_verdict_says_how_it_stands_to_whoever_comes_second() -> None:
    denied = states.voted(approval(), Vote("alice", "deny", AT, "no"), AT)
    with pytest.raises(Conflict, match="it was denied by alice"):
        states.voted(denied, Vote("bob", "approve", AT), AT)


def test_one_person_does_not_count_for_two() -> None:
    once = states.voted(approval(2), Vote("alice", "approve", AT), AT)
    with pytest.raises(Conflict, match="alice has approved already; another person must"):
        states.voted(once, Vote("alice", "endorse", AT), AT)
    assert states.voted(once, Vote("bob", "approve", AT), AT).state is S.APPROVED


def test_who_approved_something_else_before_an_edit_does_not_count() -> None:
    once = states.voted(approval(2), Vote("alice", "approve", AT), AT)
    edited = states.voted(once, Vote("bob", "edit", AT), AT)
    assert (edited.state, edited.approvals) == (S.WAITING, 1)
    assert states.voted(edited, Vote("alice", "approve", AT), AT).state is S.APPROVED


def test_a_verdict_and_that_there_was_none_are_remembered_for_as_long() -> None:
    assert states.voted(approval(), Vote("alice", "deny", AT + 5), AT + 5).expires == AT + 65
    assert states.timed_out(approval(), AT + 600).expires == AT + 660
