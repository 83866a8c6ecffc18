"""Values that a person has looked at may be used in the run, by whatever call."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.approvals.endorsements import STANDS
from gateway.approvals.permission import Who
from gateway.approvals.verdicts import BadVerdict
from gateway.model import UNREAD, Held, Ruling, Run, Terms
from gateway.policy.readings import MOST as MOST_PATHS
from tests.approvals.bench import ADA, BOB, Room, payload, petition, transfer

TREE = ("agent-1", "run-1")


async def endorse(room: Room, *paths: str, who: Who = ADA, **rest: Any) -> None:
    """A call of run-1 whose values a person has endorsed."""
    waiting = await room.waiting(**rest)
    await room.give(waiting.id, who, "endorse", endorse=paths)


async def test_what_the_rules_read_may_be_used_in_this_run() -> None:
    room = Room()
    await endorse(room)
    ruling = await room.rules(transfer(note="again"))
    assert ruling == Ruling(True, by=("ada",), verb="endorsed", why="all that the rules read is endorsed in this run")
    assert await room.rules(transfer(501)) is None
    assert await room.rules(transfer(to="eve@example.net")) is None


async def test_the_same_value_counts_wherever_it_is_and_whatever_operation_it_is_for() -> None:
    room = Room()
    await endorse(room, "args.to")
    mail = structs.replace(transfer(recipient="a@example.org"), operation="POST /mails")
    assert await room.rules(mail, read=("args.recipient",)) is not None
    assert await room.rules(mail, read=("args.recipient", "args.amount")) is None


async def test_an_object_counts_whatever_the_order_of_its_members() -> None:
    room = Room()
    await endorse(room, of=petition(transfer(card={"a": 1, "b": [2]}), read=("args.card",)))
    assert await room.rules(transfer(card={"b": [2], "a": 1}), read=("args.card",)) is not None
    assert await room.rules(transfer(card={"b": [2], "a": 2}), read=("args.card",)) is None


async def test_every_rule_that_asks_must_have_read_endorsed_values() -> None:
    room = Room()
    await endorse(room)
    held = (
        Held("payments/large", "", (("args.amount", 500),)),
        Held("payments/new-payee", "", (("args.to", "a@example.org"),)),
    )
    assert await room.rules(transfer(), held=held) is not None
    other = Held("payments/note", "", (("args.note", "x"),))
    assert await room.rules(transfer(note="x"), held=(*held, other)) is None
    assert await room.rules(transfer(), held=(*held, Held("pins", "not as it was"))) is None


async def test_it_counts_in_the_tree_of_runs_and_nowhere_else() -> None:
    room = Room()
    await endorse(room)
    child = structs.replace(transfer(agent="agent-2"), run=Run("child", root=TREE))
    assert await room.rules(child) is not None
    assert await room.rules(transfer(run="run-2")) is None
    assert await room.rules(transfer(agent="agent-2")) is None, "run ids are agents' own words"


async def test_a_rule_that_read_what_else_an_agent_chooses_is_asked_about() -> None:
    room = Room()
    await endorse(room)
    for path in ("request.path", "request.query", "request.params.id", "request.headers", "llm.messages", "why.reason"):
        held = Held("payments/large", "", (("args.amount", 500), (path, "x")))
        assert await room.rules(transfer(), held=(held,)) is None, path
    for path in ("agent.roles", "run.labels", "tool.name", "request.method"):
        held = Held("payments/large", "", (("args.amount", 500), (path, "x")))
        assert await room.rules(transfer(), held=(held,)) is not None, path


async def test_a_rule_that_read_more_than_is_told_of_is_asked_about() -> None:
    room = Room()
    await endorse(room)
    read = (("args.amount", 500),) * MOST_PATHS
    assert await room.rules(transfer(), held=(Held("payments/large", "", read),)) is None
    assert await room.rules(transfer(), held=(Held("payments/large", "", read[1:]),)) is not None


async def test_a_value_that_cannot_be_found_again_is_asked_about() -> None:
    room = Room()
    await endorse(room)
    gone = Held("payments/large", "", (("args.amount", 500), ("args.a.b", "at a name with a dot")))
    assert await room.rules(transfer(), held=(gone,)) is None
    never = Held("payments/large", "", (("args.amount", 500), ("args.cc", None)))
    assert await room.rules(transfer(), held=(never,)) is not None
    assert await room.rules(transfer(cc="eve"), held=(never,)) is None


async def test_a_yes_or_no_counts_only_where_it_was_seen_and_never_alone() -> None:
    room = Room()
    of = petition(transfer(force=True), read=("args.force", "args.to"))
    await endorse(room, of=of)
    assert await room.rules(transfer(force=True), read=("args.force", "args.to")) is not None
    assert await room.rules(transfer(wipe=True), read=("args.wipe", "args.to")) is None
    assert await room.rules(transfer(force=True), read=("args.force",)) is None
    waiting = await room.waiting(petition(transfer(force=True), read=("args.force",)))
    with pytest.raises(BadVerdict, match="no value here that could be endorsed"):
        await room.give(waiting.id, ADA, "endorse")


async def test_it_counts_only_for_calls_on_which_they_could_decide() -> None:
    room = Room()
    await endorse(room)
    assert await room.rules(transfer(), terms=Terms(who='"payments" in approver.roles')) is None
    assert await room.rules(transfer(), terms=Terms(who='approver.id == "ada"')) is not None


async def test_where_two_must_approve_two_must_endorse() -> None:
    room = Room()
    two = Terms(approvers=2)
    waiting = await room.waiting(terms=two)
    await room.give(waiting.id, ADA, "endorse")
    assert await room.rules(transfer(), terms=two) is None
    await room.give(waiting.id, BOB, "endorse")
    ruling = await room.rules(transfer(), terms=two)
    assert ruling is not None
    assert ruling.by == ("ada", "bob")


async def test_the_edited_arguments_are_what_is_endorsed() -> None:
    room = Room()
    two = Terms(approvers=2)
    waiting = await room.waiting(terms=two)
    await room.give(waiting.id, ADA, "edit", args={"amount": 50, "to": "b@example.org"})
    await room.give(waiting.id, BOB, "endorse")
    assert room.bench.endorsements.endorsed(TREE, "b@example.org")
    assert not room.bench.endorsements.endorsed(TREE, "a@example.org")


async def test_it_ends_after_a_day() -> None:
    room = Room()
    await endorse(room)
    room.wall.now += STANDS - 1
    assert await room.rules(transfer()) is not None
    room.wall.now += 1
    assert await room.rules(transfer()) is None
    assert not room.bench.endorsements.endorsed(TREE, "a@example.org")


async def test_what_was_read_tells_whether_a_value_is_endorsed() -> None:
    room = Room()
    endorsed = room.bench.endorsements.endorsed
    assert not endorsed(TREE, "a@example.org")
    await endorse(room)
    assert endorsed(TREE, "a@example.org")
    assert endorsed(TREE, 500)
    assert not endorsed(TREE, "500")
    assert not endorsed(("agent-1", "run-2"), "a@example.org")
    assert not endorsed(("agent-1", ""), "a@example.org")


async def test_other_replicas_hear_of_it_and_a_restart_forgets_nothing() -> None:
    one = Room()
    two = Room(one.cabinet, one.wall)
    await endorse(one)
    assert await two.rules(transfer()) is None
    await two.follow()
    assert await two.rules(transfer()) is not None


@pytest.mark.parametrize("args", [None, {}], ids=["unread", "none"])
async def test_where_there_are_no_arguments_nothing_can_be_endorsed(args: dict[str, Any] | None) -> None:
    room = Room()
    waiting = await room.waiting(payload=payload(args))
    with pytest.raises(BadVerdict, match="endorsed"):
        await room.give(waiting.id, ADA, "endorse")


async def test_a_call_without_a_run_has_nothing_in_which_values_could_be_used() -> None:
    room = Room()
    waiting = await room.waiting(run="", tree=("agent-1", ""))
    with pytest.raises(BadVerdict, match="names no run"):
        await room.give(waiting.id, ADA, "endorse")


async def test_batches_and_calls_that_nobody_has_read_are_asked_about() -> None:
    room = Room()
    await endorse(room)
    assert await room.rules(structs.replace(transfer(), parts=(transfer(), transfer()))) is None
    assert await room.rules(structs.replace(transfer(), args=UNREAD)) is None


async def test_where_rules_read_no_arguments_all_values_are_endorsed_but_the_rule_still_asks() -> None:
    room = Room()
    held = (Held("payments/all", "", (("tool.name", "bank"),)),)
    await endorse(room, held=held)
    assert room.bench.endorsements.endorsed(TREE, "a@example.org")
    assert await room.rules(transfer(), held=held) is None
