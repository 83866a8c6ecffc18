"""``/api/memory`` over real sockets."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.admin import memory
from gateway.model.shelf import Provenance, Put, ShelfLimits
from gateway.stores.memory_shelf import MemoryShelf
from tests.admin.support import CHANGE, session_of

WHO = Provenance("ada", "r1", "c1", ("untrusted",))


@pytest.fixture
async def shelf() -> MemoryShelf:
    shelf = MemoryShelf(lambda: 1_700_000_000.0, iter(f"life{n}" for n in range(9)).__next__)
    for values in ([Put("a/1", b'{"n": 1}'), Put("b", b"x", "text")], [Put("a/1", b'{"n": 2}')]):
        await shelf.commit("team", values, WHO, ShelfLimits())
    return shelf


async def get(shelf: MemoryShelf, path: str, status: int = 200) -> Any:
    async with session_of(lambda api: memory.add(api, shelf, "team".__eq__)) as session:
        async with session.get(f"/api/memory{path}") as response:
            assert response.status == status
            return await response.json()


async def test_what_there_is_and_was(shelf: MemoryShelf) -> None:
    (space,) = (await get(shelf, ""))["namespaces"]
    assert (space["namespace"], space["items"], space["configured"]) == ("team", 2, True)
    listed = await get(shelf, "/team?prefix=a/")
    assert [(one["key"], one["by"]["agent"], one["labels"]) for one in listed["items"]] == [
        ("a/1", "ada", ["untrusted"])
    ]
    assert (await get(shelf, "/team?limit=1"))["next"] == "a/1"
    assert (await get(shelf, "/team/value?key=a/1"))["value"] == {"n": 2}
    assert (await get(shelf, f"/team/value?key=a/1&at={space['version'][:-1]}1"))["value"] == {"n": 1}
    assert (await get(shelf, "/team/value?key=a/1&at=1"))["value"] == {"n": 1}
    versions = (await get(shelf, "/team/history?key=a/1&values"))["items"]
    assert [version["value"]["n"] for version in versions] == [2, 1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/team/value", 400),
        ("/team/value?key=none", 404),
        ("/team/value?key=a&at=yesterday", 400),
        ("/team/value?key=a&at=99", 410),
        ("/team?limit=0", 400),
    ],
)
async def test_what_cannot_be_shown_is_said(shelf: MemoryShelf, path: str, status: int) -> None:
    assert (await get(shelf, path, status))["status"] == status


async def test_an_export_is_put_back_only_where_its_namespace_is_configured(shelf: MemoryShelf) -> None:
    async with session_of(lambda api: memory.add(api, shelf, "team".__eq__)) as session:
        async with session.get("/api/memory/team/export") as response:
            lines = await response.read()
        for name, status in (("other", 404), ("team", 200)):
            async with session.post(f"/api/memory/{name}/import", data=lines, headers=CHANGE) as response:
                assert response.status == status
        async with session.post("/api/memory/team/import", data=lines + b"x" * 100, headers=CHANGE) as response:
            assert (response.status, "line 5" in (await response.json())["detail"]) == (400, True)
    assert (await shelf.get("team", "b")).items[0].by == WHO


async def test_a_line_that_does_not_end_is_not_gathered(shelf: MemoryShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LONGEST_LINE", 1000)
    async with session_of(lambda api: memory.add(api, shelf, "team".__eq__)) as session:
        async with session.post("/api/memory/team/import", data=b"x" * 5000, headers=CHANGE) as response:
            assert (response.status, "1000 bytes" in (await response.json())["detail"]) == (400, True)
