"""Writes say what they have seen, and nobody overwrites what he has not seen (RFC 9110, 13.1)."""

from __future__ import annotations

import pytest

from tests.memory.support import ADA, BOB, asking


async def test_a_new_key_needs_no_condition_and_a_second_write_does() -> None:
    async with asking() as agent:
        made = await agent.ask("PUT", "/team/plans/q3", {"a": 1})
        assert (made.status, made.json["key"], made.etag) == (201, "plans/q3", '"life1-1"')
        blind = await agent.ask("PUT", "/team/plans/q3", {"a": 2}, by=BOB)
        assert (blind.status, blind.json["reason"], blind.etag) == (428, "unseen", made.etag)
        assert blind.fields["x-should-retry"] == "false"
        assert blind.json["standing"][0]["value"] == {"a": 1}, "the model need not ask again"
        assert made.etag in blind.json["advice"]


async def test_a_write_over_what_was_seen_is_made_and_over_anything_else_is_not() -> None:
    async with asking() as agent:
        first = await agent.ask("PUT", "/team/k", {"a": 1, "b": 2})
        second = await agent.ask("PUT", "/team/k", {"a": 1, "b": 3}, {"If-Match": first.etag}, by=BOB)
        assert (second.status, second.etag) == (200, '"life1-2"')
        late = await agent.ask("PUT", "/team/k", {"a": 9, "b": 2}, {"If-Match": first.etag})
        assert (late.status, late.json["reason"]) == (412, "conflict")
        assert "bob has written it" in late.json["detail"]
        assert late.json["changes"] == "- b: 2\n+ b: 3", "what the writer has not seen"
        assert late.json["standing"][0]["by"] == {"agent": "bob", "run": "r2", "call": "c2"}
        assert late.labels == "untrusted", "the answer shows what bob wrote"
        assert (await agent.ask("GET", "/team/k")).json == {"a": 1, "b": 3}
        assert agent.world.book.conflicts == {"team": 1}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"nope-7", "life1-1"'}, 200),
        ({"If-Match": 'W/"life1-1"'}, 412),
        ({"If-Match": '"life1-01"'}, 412),
        ({"If-Match": '"life2-1"'}, 412),
        ({"If-Match": '"life1-0"'}, 412),
        ({"If-Match": '"life1--1"'}, 412),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": "life1-1"}, 400),
        ({"If-None-Match": "*"}, 412),
        ({"If-None-Match": '"life1-1"'}, 400),
        ({"If-Match": '"life1-1"', "If-None-Match": "*"}, 400),
    ],
)
async def test_conditions_on_a_key_that_has_a_value(fields: dict[str, str], status: int) -> None:
    async with asking() as agent:
        await agent.ask("PUT", "/team/k", 1)
        assert (await agent.ask("PUT", "/team/k", 2, fields)).status == status
        assert (await agent.ask("GET", "/team/k")).json == (2 if status == 200 else 1)


@pytest.mark.parametrize(
    ("fields", "status"), [({"If-Match": "*"}, 412), ({"If-Match": '"life1-1"'}, 412), ({"If-None-Match": "*"}, 201)]
)
async def test_conditions_on_a_key_that_has_none(fields: dict[str, str], status: int) -> None:
    async with asking() as agent:
        answer = await agent.ask("PUT", "/team/k", 2, fields)
        assert answer.status == status
        if status == 412:
            assert answer.json["standing"] == [{"key": "k", "version": None, "deleted": True}]
            assert "If-None-Match: *" in answer.json["advice"]


async def test_where_blind_writes_are_allowed_the_last_one_wins() -> None:
    async with asking(team={"blind_writes": "allow"}) as agent:
        assert [(await agent.ask("PUT", "/team/k", value)).status for value in (1, 2)] == [201, 200]
        patch = {"Content-Type": "application/merge-patch+json"}
        assert (await agent.ask("PATCH", "/team/k", {"c": 1}, patch)).status == 200
        assert (await agent.ask("DELETE", "/team/k")).status == 200


async def test_a_removal_needs_the_version_too() -> None:
    async with asking() as agent:
        assert (await agent.ask("DELETE", "/team/k")).status == 404
        made = await agent.ask("PUT", "/team/k", 1)
        assert (await agent.ask("DELETE", "/team/k")).status == 428
        assert (await agent.ask("DELETE", "/team/k", fields={"If-Match": '"life1-7"'})).status == 412
        gone = await agent.ask("DELETE", "/team/k", fields={"If-Match": made.etag})
        assert (gone.status, gone.json["deleted"]) == (200, True)
        late = await agent.ask("PUT", "/team/k", 2, {"If-Match": made.etag})
        assert late.status == 412
        assert "it was removed by ada" in late.json["detail"]
        anew = await agent.ask("PUT", "/team/k", 1)
        assert anew.status == 201
        assert anew.etag != made.etag, "the same value is another version"


async def test_what_has_expired_is_not_there_and_can_be_made_anew() -> None:
    async with asking(team={"ttl": "60s"}) as agent:
        first = await agent.ask("PUT", "/team/k", 1)
        assert first.json["ends"] == "2023-11-14T22:14:20.001Z"
        assert (await agent.ask("PUT", "/team/long?ttl=2h", 1)).json["ends"] == "2023-11-15T00:13:20.002Z"
        assert (await agent.ask("PUT", "/team/ever", 1, {"Memory-Ttl": "0"})).json["ends"] is None
        agent.world.now += 60
        assert (await agent.ask("GET", "/team/k")).status == 404
        late = await agent.ask("PUT", "/team/k", 2, {"If-Match": first.etag})
        assert (late.status, "it has expired" in late.json["detail"]) == (412, True)
        assert (await agent.ask("PUT", "/team/k", 2, {"If-None-Match": "*"})).status == 201
        assert (await agent.ask("PUT", "/team/x?ttl=soon", 1)).status == 400
        assert (await agent.ask("PUT", "/team/x?ttl=1e12", 1)).status == 400


async def test_a_version_of_an_earlier_life_never_matches() -> None:
    async with asking() as agent:
        before = await agent.ask("PUT", "/team/k", 1)

        async def nothing():
            return
            yield

        await agent.world.shelf.load("team", nothing())
        again = await agent.ask("PUT", "/team/k", 1)
        assert again.status == 201
        assert (await agent.ask("PUT", "/team/k", 2, {"If-Match": before.etag})).status == 412


async def test_a_reader_who_has_it_gets_no_value() -> None:
    async with asking() as agent:
        made = await agent.ask("PUT", "/team/k", 1, by=BOB)
        same = await agent.ask("GET", "/team/k", fields={"If-None-Match": made.etag})
        assert (same.status, same.body, same.etag) == (304, b"", made.etag)
        assert (await agent.ask("GET", "/team/k", fields={"If-None-Match": '"life1-9"'})).status == 200
        head = await agent.ask("HEAD", "/team/k")
        assert (head.status, head.body, head.etag) == (200, b"", made.etag)
        assert head.fields["Memory-Written-By"] == "bob"
        assert head.fields["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert head.labels == "untrusted"
        assert (await agent.ask("GET", "/team/k", by=ADA)).fields["Memory-Labels"] == "untrusted"
