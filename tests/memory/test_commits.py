"""Several keys at once, or none of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.memory.support import BOB, Asker, asking


async def standing(agent: Asker) -> dict[str, Any]:
    items = (await agent.ask("GET", "/team?values")).json["items"]
    return {item["key"]: item["value"] for item in items}


async def test_all_is_written_as_one_version_where_all_stands_as_expected() -> None:
    async with asking() as agent:
        made = await agent.ask(
            "POST", "/team:commit", {"puts": [{"key": "a", "value": 100}, {"key": "b", "text": "x"}]}
        )
        assert made.status == 200
        versions = {item["key"]: item["version"] for item in made.json["items"]}
        assert set(versions.values()) == {made.json["version"]}
        puts = [
            {"key": "a", "value": 60, "version": versions["a"]},
            {"key": "b", "delete": True, "version": versions["b"]},
            {"key": "c", "value": None, "version": None, "ttl": "1h"},
        ]
        assert (await agent.ask("POST", "/team:commit", {"puts": puts})).status == 200
        assert await standing(agent) == {"a": 60, "c": None}


async def test_nothing_is_written_where_one_of_them_stands_otherwise() -> None:
    async with asking() as agent:
        a = (await agent.ask("PUT", "/team/a", 1)).json["version"]
        b = (await agent.ask("PUT", "/team/b", 1, by=BOB)).json["version"]
        await agent.ask("PUT", "/team/b", 2, {"If-Match": f'"{b}"'}, by=BOB)
        puts = [{"key": "a", "value": 9, "version": a}, {"key": "b", "value": 9, "version": b}]
        refused = await agent.ask("POST", "/team:commit", {"puts": puts})
        assert (refused.status, refused.labels) == (412, "untrusted")
        assert [(one["key"], one["value"]) for one in refused.json["standing"]] == [("b", 2)]
        blind = await agent.ask(
            "POST", "/team:commit", {"puts": [{"key": "new", "value": 1}, {"key": "a", "value": 9}]}
        )
        assert (blind.status, [one["key"] for one in blind.json["standing"]]) == (428, ["a"])
        assert await standing(agent) == {"a": 1, "b": 2}


async def test_keys_that_are_only_compared_must_stand_too() -> None:
    async with asking() as agent:
        a = (await agent.ask("PUT", "/team/a", 1)).json["version"]
        put = {"key": "b", "value": 1}
        for compare, status in ((a, 200), (None, 412), ("life1-9", 412), ("other-1", 412)):
            body = {"puts": [{**put, "key": f"b{compare}"}], "compares": [{"key": "a", "version": compare}]}
            assert (await agent.ask("POST", "/team:commit", body)).status == status
        absent = {"puts": [put], "compares": [{"key": "nothing", "version": None}]}
        assert (await agent.ask("POST", "/team:commit", absent)).status == 200


async def test_versions_of_two_lives_never_stand_together() -> None:
    async with asking() as agent:
        a, b = [(await agent.ask("PUT", f"/team/{key}", 1)).json["version"] for key in "ab"]
        other = b.replace("life1", "life0")
        for first, second in ((a, other), (other, a)):
            puts = [{"key": "a", "value": 9, "version": first}, {"key": "b", "value": 9, "version": second}]
            assert (await agent.ask("POST", "/team:commit", {"puts": puts})).status == 412


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"puts": [{"key": "a"}]},
        {"puts": [{"key": "a", "value": 1, "text": "x"}]},
        {"puts": [{"key": "a", "value": 1, "delete": True}]},
        {"puts": [{"key": "a", "value": 1}, {"key": "a", "value": 2}]},
        {"puts": [{"key": "", "value": 1}]},
        {"puts": [{"key": "a", "value": 1, "expected": "x"}]},
        {"puts": [{"key": "a", "value": 1, "ttl": "soon"}]},
        {"puts": [{"key": "a", "value": 1}], "compares": [{"key": "a", "version": None}]},
        {"puts": [{"key": f"k{number}", "value": 1} for number in range(201)]},
    ],
)
async def test_a_commit_that_cannot_be_understood_is_refused(body: dict[str, Any]) -> None:
    async with asking() as agent:
        answer = await agent.ask("POST", "/team:commit", body)
        assert (answer.status, answer.json["reason"]) == (400, "unusable")
        assert await standing(agent) == {}


async def test_each_value_of_a_commit_has_the_bound_of_a_value() -> None:
    async with asking(team={"quotas": {"value": 10}}) as agent:
        for put in ({"key": "a", "value": "x" * 10}, {"key": "a", "text": "x" * 11}):
            assert (await agent.ask("POST", "/team:commit", {"puts": [put]})).status == 413
