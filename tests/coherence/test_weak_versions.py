"""Stores whose versions do not always change: an ETag made of size and second (WsgiDAV), a time in seconds."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.coherence.steps import alike
from gateway.model import Agent, Change, How, Run
from gateway.stores.coherence import CoherenceBook
from tests.coherence.maps import answered, body, http_call, memory

TAG = (("ETag", '"size-second"'), ("Last-Modified", "Tue, 01 Dec 2026 04:45:23 GMT"))
"""The same before the write and after it."""


def section(version: Any, of_write: Any = None) -> dict[str, Any]:
    write = {"operations": ["PUT /notes/{id}"], "key": "args.id", **({} if of_write is None else {"version": of_write})}
    return {
        "reads": [{"operations": ["GET /notes/{id}"], "key": "args.id", "version": version}],
        "writes": [write],
    }


async def overlapping(version: Any, of_write: Any = None) -> bool:
    """Whether a write of bob's is lost: ann reads while he writes, and gets what stood before."""
    book, notes = CoherenceBook(lambda: 1000.0), memory(section(version, of_write))

    async def call(method: str, agent: str, ident: str) -> Any:
        made = structs.replace(http_call(method, "/notes/7"), id=ident, agent=Agent(agent), run=Run("r"))
        edition, glances = await book.glance(made, notes.touches(made))
        return structs.replace(made, edition=edition, glances=glances)

    def learn(made: Any, text: str) -> None:
        learnt = notes.learnt(made, answered(200, *TAG), body({"text": text}))
        book.learn(made, made.glances, learnt, Change(made.id, How.FOUND, at=1000.0))

    learn(await call("GET", "bob", "1"), "old")
    reading = await call("GET", "ann", "2")
    writing = await call("PUT", "bob", "3")
    await book.claim(writing, writing.glances, 60.0)
    made = notes.made(writing, answered(200, *TAG), None)
    book.settle(writing, writing.glances, Change("3", How.WRITTEN, "bob", "r", 1000.0), made)
    learn(reading, "old")
    (glance,) = (await call("PUT", "ann", "4")).glances
    return not glance.stale


async def test_an_etag_that_is_trusted_is_taken_for_proof() -> None:
    """As RFC 9110 has it: the store says that ann has read what bob wrote."""
    assert await overlapping("etag")


@pytest.mark.parametrize(
    ("version", "of_write"),
    [
        (["etag", "digest"], None),
        ("digest", None),
        ("last-modified", "last-modified"),
        (["last-modified", "etag", "digest"], None),
    ],
)
async def test_with_a_digest_beside_it_nothing_is_lost(version: Any, of_write: Any) -> None:
    assert not await overlapping(version, of_write)


def test_the_tag_still_makes_the_condition_of_a_write() -> None:
    notes = memory(section(["etag", "digest"]))
    (told,) = notes.learnt(http_call("GET", "/notes/7"), answered(200, *TAG), body({"text": "x"}))
    assert told.versions["strong"] == '"size-second"'
    assert "etag" not in told.versions


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"strong": "1"}, {"strong": "1"}, None),
        ({"strong": "1"}, {"strong": "2"}, False),
        ({"strong": "1", "etag": "1"}, {"strong": "1", "etag": "1"}, True),
        ({"strong": "1", "digest": "x"}, {"strong": "1", "digest": "x"}, True),
        ({"strong": "1", "digest": "x"}, {"strong": "2", "digest": "x"}, False),
        ({"last-modified": "t"}, {"last-modified": "t"}, None),
        ({}, {"etag": "1"}, None),
    ],
)
def test_what_differs_tells_apart_and_what_is_the_same_proves_only_sometimes(
    one: dict[str, str], other: dict[str, str], expected: bool | None
) -> None:
    assert alike(one, other) is expected
    assert alike(other, one) is expected
