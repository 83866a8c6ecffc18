"""``/api/quarantines`` over real sockets."""

from __future__ import annotations

import logging
import time
from contextlib import asynccontextmanager

import pytest

from gateway.admin import quarantines
from gateway.stores.quarantines import Register
from tests.admin.support import CHANGE, session_of, stored


@asynccontextmanager
async def serving():
    register = Register(time.time)
    async with session_of(lambda api: quarantines.add(api, register, lambda: {"bank", "mail"}, stored)) as session:
        yield session, register


async def test_imposing_listing_and_lifting(caplog):
    caplog.set_level(logging.INFO, "toolgate.audit")
    wanted = {"scope": "agent", "key": ["a"], "reason": "ran wild", "by": "ada", "seconds": 60, "cut": True}
    async with serving() as (session, register):
        async with session.post("/api/quarantines", json=wanted, headers=CHANGE) as response:
            assert response.status == 201
            shown = await response.json()
        assert {key: shown[key] for key in ("scope", "key", "reason", "by", "cut")} == {
            key: wanted[key] for key in ("scope", "key", "reason", "by", "cut")
        }
        assert 0 < shown["seconds_left"] <= 60
        assert shown["stored"] is True
        (standing,) = register
        assert (standing.key, standing.cut) == (("a",), True)
        async with session.get("/api/quarantines") as response:
            (listed,) = (await response.json())["quarantines"]
            assert listed["key"] == ["a"]
        gone = "/api/quarantines?scope=agent&key=a&by=ada&reason=fixed"
        async with session.delete(gone, headers=CHANGE) as response:
            assert response.status == 200
        assert list(register) == []
        async with session.delete(gone, headers=CHANGE) as response:
            assert response.status == 404
    told = [record.getMessage() for record in caplog.records if record.name == "toolgate.audit"]
    assert told == [
        "admin: by ada from 127.0.0.1: quarantine agent a for 60 s, cut (ran wild)",
        "admin: by ada from 127.0.0.1: lift the quarantine of agent a (fixed)",
    ]


async def test_one_without_an_end_is_logged_as_such(caplog):
    caplog.set_level(logging.INFO, "toolgate.audit")
    wanted = {"scope": "all", "reason": "incident 41", "by": "ada"}
    async with serving() as (session, _), session.post("/api/quarantines", json=wanted, headers=CHANGE) as response:
        assert response.status == 201
    assert "by ada from 127.0.0.1: quarantine all until it is lifted (incident 41)" in caplog.text


async def test_a_run_is_named_with_its_agent_and_long_names_are_kept_short():
    async with serving() as (session, _):
        wanted = {"scope": "run", "key": ["a", "x" * 5000]}
        async with session.post("/api/quarantines", json=wanted, headers=CHANGE) as response:
            assert response.status == 201
            key = (await response.json())["key"]
        assert len(key[1]) < 200
        query = {"scope": "run", "key": key[0]}
        async with session.delete("/api/quarantines", params=[*query.items(), ("key", key[1])], headers=CHANGE) as gone:
            assert gone.status == 200, "by the name that the list shows"


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        ({}, "scope"),
        ({"scope": "team", "key": ["a"]}, "no scope is called 'team'"),
        ({"scope": "agent"}, "the key of agent is agent, not 0 texts"),
        ({"scope": "run", "key": ["a"]}, "agent and run"),
        ({"scope": "run", "key": ["a", ""]}, "must not be empty"),
        ({"scope": "all", "key": ["a"]}, "the key of all is nothing"),
        ({"scope": "tool", "key": ["bnak"]}, "no tool is called 'bnak'"),
        ({"scope": "agent", "key": ["a"], "seconds": -1}, "seconds"),
        ({"scope": "agent", "key": ["a"], "reason": "x" * 501}, "reason"),
        ({"scope": "agent", "key": ["a" * 501]}, "at most 500 characters"),
        ({"scope": "agent", "key": ["a"], "secnods": 1}, "secnods"),
        ({"scope": "agent", "key": ["a"], "by": "policy/rule"}, "a person's name"),
    ],
)
async def test_mistakes_are_told_and_change_nothing(wanted, detail):
    async with serving() as (session, register):
        async with session.post("/api/quarantines", json=wanted, headers=CHANGE) as response:
            assert response.status == 400
            assert detail in (await response.json(content_type=None))["detail"]
        assert list(register) == []


async def test_a_body_that_is_no_utf_8_is_a_mistake_too():
    async with serving() as (session, register):
        fields = {**CHANGE, "Content-Type": "application/json"}
        body = b'{"scope": "agent", "key": ["\xff"]}'
        async with session.post("/api/quarantines", data=body, headers=fields) as response:
            assert response.status == 400
        assert list(register) == []
