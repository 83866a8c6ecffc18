"""The demo's tools, called directly."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.demo.tools import INJECTED, NOTES_TOKEN, TOOLS, serve


@asynccontextmanager
async def tool(name: str, **headers: str):
    """A session with the tool as its base."""
    runner = await serve(name, 0)
    try:
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(base, headers=headers) as session:
            yield session
    finally:
        await runner.cleanup()


async def test_notes_are_kept_and_deleted_for_who_has_the_token():
    async with tool("notes", Authorization=f"Bearer {NOTES_TOKEN}") as notes:
        async with notes.post("/notes", json={"text": "hello"}) as answer:
            assert answer.status == 201
            ident = (await answer.json())["id"]
        async with notes.get(f"/notes/{ident}") as answer:
            assert (await answer.json())["text"] == "hello"
        async with notes.delete(f"/notes/{ident}") as answer:
            assert answer.status == 204
        async with notes.get(f"/notes/{ident}") as answer:
            assert answer.status == 404
        async with notes.get("/notes/2") as answer:
            assert (await answer.json())["text"] == INJECTED


async def test_notes_refuse_who_has_no_token():
    async with tool("notes") as notes, notes.get("/notes") as answer:
        assert answer.status == 401


async def test_the_bank_takes_the_last_of_a_repeated_key_as_most_parsers_do():
    async with tool("bank") as bank:
        body = b'{"recipient":"DE11","amount":10,"amount":9000}'
        async with bank.post("/transfers", data=body) as answer:
            assert (await answer.json())["amount"] == 9000
        async with bank.get("/accounts/DE11") as answer:
            assert (await answer.json())["received"] == 9000


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"[]", 400), (b"{}", 422), (b'{"recipient":"x","amount":-1}', 422)]
)
async def test_the_bank_refuses_what_is_no_transfer(body, status):
    async with tool("bank") as bank, bank.post("/transfers", data=body) as answer:
        assert answer.status == status


async def test_search_breaks_and_heals_on_command():
    async with tool("search") as search:
        for broken, status in ((True, 503), (False, 200)):
            async with search.post("/_chaos", json={"broken": broken}) as answer:
                assert answer.status == 200
            async with search.get("/search?q=x") as answer:
                assert answer.status == status


async def test_the_clock_streams_events():
    async with tool("clock") as clock, clock.get("/ticks?count=2") as answer:
        assert answer.content_type == "text/event-stream"
        assert await answer.content.readuntil(b"\n\n") == b"id: 1\ndata: tick 1\n\n"
        assert (await answer.read()).endswith(b"data: tick 2\n\n")


async def test_the_clock_refuses_a_count_that_is_none():
    async with tool("clock") as clock, clock.get("/ticks?count=many") as answer:
        assert answer.status == 400


async def test_every_tool_of_the_configuration_exists():
    import yaml

    from gateway.demo import stage

    with open(stage.__file__.replace("stage.py", "demo.yaml")) as file:
        configured = yaml.safe_load(file)["tools"]
    assert configured.keys() == TOOLS.keys() == stage.TOOL_PORTS.keys()
    for name, port in stage.TOOL_PORTS.items():
        assert configured[name]["url"].removesuffix("/mcp") == f"http://127.0.0.1:{port}"
