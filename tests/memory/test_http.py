"""Values, lists, snapshots, histories, limits: what the memory answers over HTTP."""

from __future__ import annotations

import pytest

from gateway.memory.caller import Caller
from tests.memory.support import ADA, BOB, asking


async def test_json_and_texts_come_back_as_they_were_written() -> None:
    async with asking() as agent:
        await agent.ask("PUT", "/team/a%20b/%C3%A9", text="grüße\n")
        found = await agent.ask("GET", "/team/a%20b/%C3%A9")
        assert (found.body.decode(), found.fields["Content-Type"]) == ("grüße\n", "text/plain; charset=utf-8")
        await agent.ask("PUT", "/team/n", fields={"Content-Type": "application/json"}, text='{"b": 1.50, "a": [ ]}')
        found = await agent.ask("GET", "/team/n")
        assert (found.body, found.fields["Content-Type"]) == (
            b'{"b": 1.50, "a": [ ]}',
            "application/json; charset=utf-8",
        )


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/x-www-form-urlencoded", "a=1", 415),
        ("application/octet-stream", "a", 415),
        ("text/plain; charset=latin-1", "a", 415),
        ("application/json", "{", 400),
        ("application/json", '{"a": 1, "a": 2}', 400),
        ("application/json", "12345678901234567890", 400),
        ("application/json", "x" * 2000, 413),
        ("text/plain", "x" * 2000, 413),
    ],
)
async def test_what_is_no_value_is_refused_and_nothing_is_written(kind: str, body: str, status: int) -> None:
    async with asking(team={"quotas": {"value": 1000}}) as agent:
        answer = await agent.ask("PUT", "/team/k", fields={"Content-Type": kind}, text=body)
        assert answer.status == status
        assert answer.json["advice"]
        assert (await agent.ask("GET", "/team")).json["items"] == []


async def test_a_list_goes_on_at_the_version_it_began_with() -> None:
    async with asking() as agent:
        for key in ("a/1", "a/2", "a/3", "b"):
            await agent.ask("PUT", f"/team/{key}", key)
        first = (await agent.ask("GET", "/team?prefix=a/&limit=2&values")).json
        assert [(item["key"], item["value"]) for item in first["items"]] == [("a/1", "a/1"), ("a/2", "a/2")]
        await agent.ask("PUT", "/team/a/4", 4)
        await agent.ask("DELETE", "/team/a/3", fields={"If-Match": "*"})
        rest = (await agent.ask("GET", f"/team?prefix=a/&after={first['next']}&at={first['version']}")).json
        assert [item["key"] for item in rest["items"]] == ["a/3"]
        assert rest["next"] is None
        assert "value" not in rest["items"][0]


async def test_the_past_is_there_as_long_as_it_is_kept() -> None:
    async with asking(team={"history": {"keep": 2}}) as agent:
        tags = [(await agent.ask("PUT", "/team/k", {"n": 0})).etag]
        for number in range(1, 4):
            tags.append((await agent.ask("PUT", "/team/k", {"n": number}, {"If-Match": tags[-1]}, by=BOB)).etag)
        told = (await agent.ask("GET", "/team/k?history&values")).json
        assert [version["value"]["n"] for version in told["versions"]] == [3, 2, 1]
        assert [version["by"]["agent"] for version in told["versions"]] == ["bob", "bob", "bob"]
        assert (await agent.ask("GET", f"/team/k?at={tags[2].strip(chr(34))}")).json == {"n": 2}
        assert (await agent.ask("GET", "/team/k?at=3")).json == {"n": 2}
        gone = await agent.ask("GET", "/team/k?at=1")
        assert (gone.status, gone.json["reason"]) == (410, "forgotten")
        assert (await agent.ask("GET", "/team/k?at=life9-3")).status == 410, "of another life"
        assert (await agent.ask("GET", "/team/k?at=yesterday")).status == 400


async def test_namespaces_that_nobody_configured_do_not_exist() -> None:
    async with asking(team={}, notes={"readers": ["role:lead"]}) as agent:
        assert (await agent.ask("GET", "/")).json["namespaces"] == [
            {"name": "team", "may_write": True},
            {"name": "notes", "may_write": True},
        ]
        missing = await agent.ask("PUT", "/other/k", 1, by=BOB)
        assert (missing.status, missing.json["reason"]) == (404, "no_namespace")
        assert "use team;" in missing.json["advice"], "what is for others is not told"
        assert "memory.namespaces" in missing.json["advice"]


async def test_quotas_are_refused_without_a_status_that_clients_repeat() -> None:
    async with asking(team={"quotas": {"items": 3, "keys_per_agent": 2}}) as agent:
        assert [(await agent.ask("PUT", f"/team/{key}", 1)).status for key in "ab"] == [201, 201]
        own = await agent.ask("PUT", "/team/c", 1)
        assert (own.status, own.json["reason"], own.fields["x-should-retry"]) == (403, "over_quota", "false")
        assert (await agent.ask("PUT", "/team/c", 1, by=BOB)).status == 201, "another agent has its own share"
        assert (await agent.ask("PUT", "/team/d", 1, by=BOB)).status == 403


async def test_agents_make_namespaces_by_a_glob_and_not_without_end() -> None:
    async with asking(box__={"most": 2}) as agent:
        for number in range(50):
            refused = await agent.ask("PUT", f"/box{number}/k", 1, {"If-Match": '"life1-1"'})
            assert refused.status == 412, "what is not written makes none, and keeps no place for one"
        assert [(await agent.ask("PUT", f"/box{number}/k", 1)).status for number in range(3)] == [201, 201, 403]
        assert (await agent.ask("PUT", "/box1/other", 1)).status == 201
        assert agent.world.book.conflicts.keys() == {"box*"}, "counted by what is configured, not by what agents say"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/team/k", 405),
        ("PUT", "/team", 405),
        ("PUT", "/team:commit", 405),
        ("POST", "/team:other", 405),
        ("POST", "/team:commit/k", 405),
        ("OPTIONS", "/team/k", 405),
        ("GET", "/team?limit=0", 400),
        ("GET", "/team?limit=1001", 400),
        ("GET", "/team/%ff", 400),
        ("GET", "/team/" + "k" * 513, 400),
        ("GET", "/team/a%00b", 400),
    ],
)
async def test_what_cannot_be_done_is_said(method: str, path: str, status: int) -> None:
    async with asking() as agent:
        answer = await agent.ask(method, path)
        assert answer.status == status
        assert answer.json["status"] == status
        assert ("Allow" in answer.fields) == (status == 405)


async def test_who_is_not_introduced_by_the_gateway_is_nobody() -> None:
    async with asking() as agent:
        for field in ("null", "[]", "x"):
            assert (await agent.ask("GET", "/team", fields={"X-Toolgate-By": field})).status == 400


async def test_provenance_of_names_beyond_ascii_fits_into_a_head() -> None:
    async with asking() as agent:
        odd = Caller("ädä\r\nX: y", (), "r\u2028")
        await agent.ask("PUT", "/team/k", 1, by=odd)
        fields = (await agent.ask("GET", "/team/k", by=ADA)).fields
        assert fields["Memory-Written-By"] == "%C3%A4d%C3%A4%0D%0AX: y"
