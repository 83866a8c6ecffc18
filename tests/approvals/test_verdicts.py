"""What a verdict does, and who may give it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from gateway.approvals.permission import Who
from gateway.approvals.states import Conflict
from gateway.approvals.verdicts import (
    LONGEST_ANSWER,
    LONGEST_MESSAGE,
    BadVerdict,
    Like,
    NotAllowed,
    NotThere,
    edit_of,
)
from gateway.errors import StoreUnavailable
from gateway.model import ApprovalState, Escalation, Terms
from tests.approvals.bench import ADA, BOB, Room, petition, transfer

TWO = Terms(approvers=2)


async def test_an_approval_that_waits_is_approved_by_one_person() -> None:
    room = Room()
    waiting = await room.waiting()
    after = await room.give(waiting.id, ADA, "approve", seen=3.5)
    assert after.state is ApprovalState.APPROVED
    (vote,) = after.votes
    assert (vote.by, vote.verb, vote.via, vote.seconds, vote.roles) == ("ada", "approve", "console", 3.5, ("approver",))


async def test_a_denial_says_to_the_model_what_the_person_said() -> None:
    room = Room()
    waiting = await room.waiting()
    after = await room.give(waiting.id, ADA, "deny", message="pay in two parts")
    assert (after.state, after.message) == (ApprovalState.DENIED, "pay in two parts")


async def test_a_person_may_answer_in_place_of_the_tool() -> None:
    room = Room()
    waiting = await room.waiting()
    after = await room.give(waiting.id, ADA, "answer", answer='{"status": "paid by hand"}')
    assert (after.state, after.message) == (ApprovalState.ANSWERED, '{"status": "paid by hand"}')


async def test_who_asks_back_leaves_it_waiting() -> None:
    room = Room()
    waiting = await room.waiting()
    after = await room.give(waiting.id, ADA, "ask", message="for which invoice?")
    assert (after.state, after.message) == (ApprovalState.WAITING, "for which invoice?")
    assert (await room.give(waiting.id, ADA, "approve")).state is ApprovalState.APPROVED


async def test_each_verdict_is_audited_with_who_gave_it_and_how() -> None:
    room = Room()
    waiting = await room.waiting(operation="POST /a\nb\u202e")
    await room.give(waiting.id, ADA, "deny", message="no")
    ((by, via, what, said),) = room.audit
    assert (by, via, said) == ("ada", "console", "no")
    assert what.startswith(f"deny {waiting.id} (agent-1: POST /a")
    assert "\n" not in what
    assert "\u202e" not in what


async def test_the_audit_tells_which_values_were_endorsed_by_their_paths() -> None:
    room = Room()
    waiting = await room.waiting()
    await room.give(waiting.id, ADA, "endorse", endorse=("args.to",))
    assert room.audit[0][2] == f"endorse {waiting.id} args.to (agent-1: POST /transfers)"


async def test_what_is_refused_is_not_audited_as_a_verdict() -> None:
    room = Room()
    waiting = await room.waiting()
    await room.give(waiting.id, ADA, "deny")
    with pytest.raises(Conflict):
        await room.give(waiting.id, BOB, "approve")
    assert len(room.audit) == 1


# -- who may decide ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (Who("eve"), "eve is no approver"),
        (Who("eve", frozenset({"viewer", "payments"})), "eve is no approver"),
        (Who("agent-1", frozenset({"approver"})), "agent-1 may not decide on calls of its own"),
        (Who("agent-1", frozenset({"admin"})), "agent-1 may not decide on calls of its own"),
        (Who("root-1", frozenset({"approver"})), "root-1 may not decide on calls of its own"),
        (Who("Root-1", frozenset({"approver"})), "Root-1 may not decide on calls of its own"),
    ],
)
async def test_nobody_decides_without_the_role_nor_on_calls_of_their_own(who: Who, why: str) -> None:
    room = Room()
    waiting = await room.waiting(tree=("root-1", "run-0"))
    with pytest.raises(NotAllowed, match=why):
        await room.give(waiting.id, who, "approve")
    assert room.docket.find(waiting.id) == waiting


async def test_the_terms_say_who_may_decide() -> None:
    room = Room()
    waiting = await room.waiting(terms=Terms(who='"payments" in approver.roles && "payer" in agent.roles'))
    assert "is not among those who may decide on this" in room.bench.verdicts.why_not(waiting, ADA)
    with pytest.raises(NotAllowed):
        await room.give(waiting.id, ADA, "deny")
    cashier = Who("cashier", frozenset({"approver", "payments"}))
    assert room.bench.verdicts.why_not(waiting, cashier) == ""
    assert (await room.give(waiting.id, cashier, "approve")).state is ApprovalState.APPROVED


async def test_an_expression_that_no_engine_takes_lets_nobody_decide() -> None:
    room = Room()
    waiting = await room.waiting(terms=Terms(who="approver.shoe_size > 40"))
    with pytest.raises(NotAllowed):
        await room.give(waiting.id, ADA, "approve")


async def test_others_may_decide_once_the_time_of_their_step_has_come() -> None:
    room = Room()
    steps = (Escalation(60, 'approver.id == "bob"'), Escalation(120, ""))
    waiting = await room.waiting(terms=Terms(who='approver.id == "ada"', escalate=steps))
    room.wall.now += 59
    assert room.bench.verdicts.why_not(waiting, BOB).endswith("others may once it has waited for 60 s")
    room.wall.now += 1
    assert room.bench.verdicts.why_not(waiting, BOB) == ""
    room.wall.now += 100
    assert room.bench.verdicts.why_not(waiting, Who("carl", frozenset({"approver"}))), "a step without who only tells"
    assert room.bench.verdicts.why_not(waiting, ADA) == ""


async def test_four_eyes_are_those_of_two_people() -> None:
    room = Room()
    waiting = await room.waiting(terms=TWO)
    assert (await room.give(waiting.id, ADA, "approve")).state is ApprovalState.WAITING
    with pytest.raises(Conflict, match="ada has approved already"):
        await room.give(waiting.id, structs.replace(ADA, via="slack"), "endorse")
    assert (await room.give(waiting.id, BOB, "approve")).state is ApprovalState.APPROVED


async def test_of_two_people_at_once_one_decides() -> None:
    room = Room()
    waiting = await room.waiting()
    found = await asyncio.gather(
        room.give(waiting.id, ADA, "approve"), room.give(waiting.id, BOB, "deny"), return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in found) == 1
    assert len(room.audit) == 1


# -- what is no verdict ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "given", "what"),
    [
        ("frobnicate", {}, "no verdict is called 'frobnicate'"),
        ("approve", {"args": {}}, "args is given"),
        ("deny", {"answer": "x"}, "answer is given"),
        ("approve", {"endorse": ("args.to",)}, "endorse is given"),
        ("deny", {"message": "x" * (LONGEST_MESSAGE + 1)}, "at most"),
        ("ask", {"message": " "}, "message is empty"),
        ("edit", {}, "args is missing"),
        ("answer", {}, "answer is empty"),
        ("answer", {"answer": "x" * (LONGEST_ANSWER + 1)}, "at most"),
        ("edit", {"args": {"amount": float("nan")}}, "args.amount: nan is no number of JSON"),
        ("edit", {"args": {"amount": 1 << 60}}, "beyond 2\\^53"),
        ("edit", {"args": {"to": ["a", "\ud800"]}}, r"args.to\[1\]: half a character"),
        ("edit", {"args": {"to": {"a": object()}}}, "args.to.a: object is no JSON"),
        ("edit", {"args": {"text": "x" * 300_000}}, "bytes of JSON; at most"),
        ("endorse", {"endorse": ("args.nothing",)}, "no argument args.nothing"),
        ("deny", {"like": Like("true")}, "only be let pass with an approval"),
        ("approve", {"like": Like("args.amount <")}, "when, column"),
    ],
)
async def test_what_is_no_verdict_is_told_and_changes_nothing(verb: str, given: dict[str, object], what: str) -> None:
    room = Room()
    waiting = await room.waiting()
    with pytest.raises(BadVerdict, match=what):
        await room.give(waiting.id, ADA, verb, **given)  # type: ignore[arg-type]
    assert room.docket.find(waiting.id) == waiting
    assert room.exemptions.standing() == []


async def test_what_cannot_be_edited_or_answered_is_not() -> None:
    room = Room()
    waiting = await room.waiting(editable=False, answerable=False)
    with pytest.raises(BadVerdict, match="cannot be replaced"):
        await room.give(waiting.id, ADA, "edit", args={"amount": 1})
    with pytest.raises(BadVerdict, match="cannot be answered"):
        await room.give(waiting.id, ADA, "answer", answer="x")


async def test_deep_nesting_is_no_edit() -> None:
    room = Room()
    waiting = await room.waiting()
    deep: dict[str, object] = {}
    for _ in range(80):
        deep = {"a": deep}
    with pytest.raises(BadVerdict, match="nested more than 64 deep"):
        await room.give(waiting.id, ADA, "edit", args=deep)


async def test_there_is_nothing_to_decide_on() -> None:
    with pytest.raises(NotThere):
        await Room().give("apr-nothing", ADA, "approve")


# -- edits -------------------------------------------------------------------------------------------------------


async def test_an_edit_is_kept_under_the_name_that_the_vote_tells() -> None:
    room = Room()
    waiting = await room.waiting()
    after = await room.give(waiting.id, ADA, "edit", args={"amount": 50, "to": "a@example.org"})
    assert after.state is ApprovalState.APPROVED
    assert after.edited
    assert await room.docket.edit(after.id, edit_of(after)) == b'{"amount":50,"to":"a@example.org"}'


async def test_who_has_edited_cannot_exchange_the_arguments_while_the_second_person_looks() -> None:
    room = Room()
    waiting = await room.waiting(terms=TWO)
    first = await room.give(waiting.id, ADA, "edit", args={"amount": 50})
    with pytest.raises(Conflict):
        await room.give(waiting.id, ADA, "edit", args={"amount": 50_000})
    after = await room.give(waiting.id, BOB, "approve", shown=edit_of(first))
    assert after.state is ApprovalState.APPROVED
    assert await room.docket.edit(after.id, edit_of(after)) == b'{"amount":50}'


async def test_a_verdict_on_arguments_that_were_edited_since_is_refused() -> None:
    room = Room()
    waiting = await room.waiting(terms=TWO)
    await room.give(waiting.id, ADA, "edit", args={"amount": 50_000})
    with pytest.raises(Conflict, match="look again"):
        await room.give(waiting.id, BOB, "approve", shown="")


async def test_an_edit_is_one_approval_and_what_was_approved_before_counts_no_more() -> None:
    room = Room()
    waiting = await room.waiting(terms=TWO)
    await room.give(waiting.id, ADA, "approve")
    after = await room.give(waiting.id, BOB, "edit", args={"amount": 50})
    assert (after.state, after.approvals) == (ApprovalState.WAITING, 1)
    assert (await room.give(waiting.id, ADA, "approve")).state is ApprovalState.APPROVED


# -- what stands because of it -----------------------------------------------------------------------------------


async def test_a_question_with_a_known_answer_leaves_nothing_behind() -> None:
    room = Room()
    canary = await room.docket.open(petition(), canary=True)
    after = await room.give(canary.id, ADA, "endorse", like=Like("true", "everybody"))
    assert after.state is ApprovalState.APPROVED
    assert room.exemptions.standing() == []
    assert await room.rules(transfer()) is None


async def test_where_the_state_is_away_nobody_has_decided() -> None:
    room = Room()
    waiting = await room.waiting()

    async def away(*_: object, **__: object) -> int:
        raise StoreUnavailable("away")

    room.cabinet.swap = away  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailable):
        await room.give(waiting.id, ADA, "approve")
    assert room.audit == []


async def test_who_decides_only_since_others_did_not_may_exempt_nothing() -> None:
    room = Room()
    terms = Terms(who='approver.id == "ada"', escalate=(Escalation(60, 'approver.id == "bob"'),))
    waiting = await room.waiting(terms=terms)
    room.wall.now += 60
    with pytest.raises(NotAllowed, match="may exempt nothing"):
        await room.give(waiting.id, BOB, "approve", like=Like("true"))
    assert (await room.give(waiting.id, BOB, "approve")).state is ApprovalState.APPROVED


async def test_where_two_must_approve_one_can_exempt_nothing() -> None:
    room = Room()
    waiting = await room.waiting(terms=TWO)
    with pytest.raises(NotAllowed, match="need 2 people"):
        await room.give(waiting.id, ADA, "approve", like=Like("true"))


async def test_calls_like_one_that_was_decided_on_can_be_let_pass_afterwards() -> None:
    room = Room()
    waiting = await room.waiting()
    with pytest.raises(Conflict):
        await room.bench.verdicts.exempt(waiting.id, ADA, Like("true"))
    await room.give(waiting.id, ADA, "approve")
    exemption = await room.bench.verdicts.exempt(waiting.id, BOB, Like("args.amount <= 500"))
    assert room.exemptions.standing() == [exemption]
    assert room.audit[-1][0] == "bob"
