"""``/api/runs/{agent}/{run}/prompt``: the platform hands over what users said."""

from __future__ import annotations

import pytest

from gateway.admin import prompts
from gateway.stores.flows import FlowBook
from tests.admin.support import CHANGE, session_of


async def said(book: FlowBook, run: str, **wanted: str) -> tuple[int, dict[str, object]]:
    async with (
        session_of(lambda api: prompts.add(api, book.hand_over)) as session,
        session.post(f"/api/runs/a/{run}/prompt", json=wanted, headers=CHANGE) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_a_prompt_is_handed_over_to_its_run() -> None:
    book = FlowBook()
    answer = await said(book, "r%2F1", prompt="pay bob@corp.com", by="chat")
    assert answer == (200, {"agent": "a", "run": "r/1", "bytes": 16})
    assert book.of("a", "r/1").origin("bob@corp.com")["sources"] == ["user"]
    assert not book.of("a", "other").origin("bob@corp.com")["seen"]


@pytest.mark.parametrize(
    ("wanted", "detail"), [({"prompt": ""}, "from 1 to"), ({"promt": "x"}, "promt"), ({}, "prompt")]
)
async def test_mistakes_are_told(wanted: dict[str, str], detail: str) -> None:
    status, body = await said(FlowBook(), "r", **wanted)
    assert status == 400
    assert detail in str(body["detail"])


async def test_a_prompt_has_a_bound() -> None:
    status, _ = await said(FlowBook(), "r", prompt="x" * (prompts.MOST + 1))
    assert status in (400, 413)
