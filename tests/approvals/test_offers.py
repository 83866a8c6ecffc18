"""Proposals come with what they would have let pass of the calls that are recorded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from gateway.approvals.preview import Past, Preview, Recent, preview
from gateway.model import Approval, Run
from gateway.policy.engine import CelError
from tests.approvals.bench import ADA, ENGINE, Room, transfer

LARGE = ("payments/large",)


def recent(*past: Past) -> Recent:
    return Recent(past, 1_000.0)


def of(waiting: Approval, when: str, *past: Past) -> Preview:
    return preview(ENGINE, waiting, when, recent(*past))


async def test_calls_that_the_rules_held_are_counted_by_scope() -> None:
    waiting = await Room().waiting()
    found = of(
        waiting,
        "args.amount <= 500",
        Past(transfer(400), LARGE),
        Past(transfer(501), LARGE),
        Past(transfer(300, run="run-2"), LARGE),
        Past(transfer(300, agent="agent-2"), LARGE),
        Past(structs.replace(transfer(1, agent="agent-2"), run=Run("child", root=("agent-1", "run-1"))), LARGE),
    )
    assert found == Preview(5, {"run": 2, "agent": 2, "everybody": 4}, 0, 1_000.0, True)


async def test_calls_that_nothing_or_something_else_held_are_not_counted() -> None:
    waiting = await Room().waiting()
    found = of(
        waiting,
        "true",
        Past(transfer(1), ()),
        Past(transfer(1), ("payments/large", "payments/abroad")),
        Past(structs.replace(transfer(1), operation="POST /refunds"), LARGE),
    )
    assert found.held == 0


@pytest.mark.parametrize(
    ("unknown", "counted"),
    [(("args",), 1), (("args.amount",), 1), (("agent.id",), 0), (("request.query", "tool.operation"), 0)],
)
async def test_what_was_not_recorded_is_said_and_not_guessed(unknown: tuple[str, ...], counted: int) -> None:
    waiting = await Room().waiting()
    found = of(waiting, "args.amount <= 500", Past(transfer(1), LARGE, unknown))
    assert (found.unknown, found.passed["everybody"]) == (counted, 1 - counted)


async def test_each_proposal_has_its_preview_and_so_has_a_condition_of_ones_own() -> None:
    room = Room()

    async def recall(_: Approval) -> Recent:
        return recent(Past(transfer(400), LARGE), Past(transfer(400, "b@example.org"), LARGE))

    room.bench.offers.recall = recall
    waiting = await room.waiting()
    found = [(one.proposal.name, one.preview.passed["run"]) for one in await room.bench.offers.of(waiting)]
    assert found == [("narrow", 1), ("middle", 2)]
    assert (await room.bench.offers.preview(waiting, "args.amount < 1")).passed["run"] == 0
    with pytest.raises(CelError):
        await room.bench.offers.preview(waiting, "run.steps == 0")


async def test_what_was_edited_is_what_is_proposed() -> None:
    room = Room()
    waiting = await room.waiting()
    after = await room.give(waiting.id, ADA, "edit", args={"amount": 50, "to": "a@example.org"})
    narrow, *_ = await room.bench.offers.of(after)
    assert "args.amount <= 50 " in narrow.proposal.when


async def test_where_the_call_is_not_there_any_more_nothing_is_proposed() -> None:
    room = Room()
    waiting = await room.waiting()

    async def gone(_: str) -> Any:
        return await asyncio.sleep(0)

    room.docket.payload = gone  # type: ignore[method-assign]
    assert await room.bench.offers.of(waiting) == []
