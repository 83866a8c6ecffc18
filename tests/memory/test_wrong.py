"""What the store cannot do is told as what it is."""

from __future__ import annotations

import pytest

from gateway.errors import StoreUnavailable
from gateway.memory.book import MOST_TRIES, Want
from gateway.memory.seen import Seen
from gateway.memory.wrong import Wrong, wrong_of
from gateway.model.shelf import Mismatch, Page
from tests.memory.support import ADA, World, asking


async def test_a_store_that_is_away_is_no_conflict_and_may_be_asked_again() -> None:
    async with asking() as agent:

        async def away(*_: object, **__: object) -> Page:
            raise StoreUnavailable("redis is gone")

        agent.world.shelf.get = agent.world.shelf.commit = away  # type: ignore[method-assign]
        for method, value in (("GET", None), ("PUT", {"a": 1})):
            answer = await agent.ask(method, "/team/k", value)
            assert (answer.status, answer.json["reason"], answer.json["retryable"]) == (503, "unavailable", True)
            assert answer.fields["x-should-retry"] == "true"
            assert "whether it was written is not known" in answer.json["detail"]


async def test_a_change_that_always_meets_another_one_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.book.commit(ADA, "team", [Want("k", b"1")])
    tries = []

    async def overtaken(*_: object, **__: object) -> Mismatch:
        tries.append(1)
        return Mismatch("life1", 9, ())

    monkeypatch.setattr(world.shelf, "commit", overtaken)
    with pytest.raises(Wrong, match="by many at once"):
        await world.book.change(ADA, "team", "k", lambda _: (b"2", "json"), Seen.ANY)
    assert len(tries) == MOST_TRIES


def test_what_nobody_foresaw_is_not_put_into_words() -> None:
    assert wrong_of(KeyError("x")) is None
