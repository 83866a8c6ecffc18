"""The gate and the frame of the admin API, over real sockets."""

from __future__ import annotations

import logging
import re
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from gateway.admin.api import MOST_BYTES, answer, body_of, changed, make_api
from gateway.admin.gate import PROOF, Gate
from gateway.admin.server import start
from gateway.admin.sessions import COOKIE
from gateway.config.fields import Address
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics

TOKEN = "0123456789abcdef-secret"
CHANGE = {"X-Toolgate-Admin": "1"}


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    number: int = 0


@asynccontextmanager
async def serving(token=None, listen=Address("127.0.0.1", 9090)):
    """A client session at an API with one thing in it, and what was done to that."""
    done = []
    api = make_api(Gate(listen, token))

    async def read(_):
        return answer({"done": len(done)})

    async def change(request):
        wanted = await body_of(request, Wanted)
        done.append(wanted)
        changed(request, wanted.name, "the number", "")
        return answer({}, 201)

    async def breaks(_):
        raise RuntimeError("a secret detail")

    api.router.add_get("/thing", read)
    api.router.add_post("/thing", change)
    api.router.add_get("/broken", breaks)
    runner = await start(("127.0.0.1", 0), dict, registry_of(Metrics(), Gauges()), api)
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            yield session, done
    finally:
        await runner.cleanup()


async def told(response):
    """The problem of an answer, after checking its form."""
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    problem = await response.json(content_type="application/problem+json")
    assert problem["status"] == response.status
    assert problem["title"]
    return problem


async def test_reading_and_changing_from_this_machine():
    async with serving() as (session, done):
        async with session.post("/api/thing", json={"name": "a"}, headers=CHANGE) as response:
            assert response.status == 201
        async with session.get("/api/thing") as response:
            assert await response.json() == {"done": 1}
        assert done == [Wanted("a")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Toolgate-Admin": "yes"},
        {**CHANGE, "Origin": "http://evil.example"},
        {**CHANGE, "Origin": "null"},
        {**CHANGE, "Host": "evil.example:9090"},
        {**CHANGE, "Host": "127.0.0.1.evil.example"},
        {**CHANGE, "X-Forwarded-For": "127.0.0.1"},
    ],
    ids=["plain", "wrong", "origin", "sandboxed", "rebound", "lookalike", "relayed"],
)
async def test_no_page_in_a_browser_changes_anything(headers):
    async with serving() as (session, done):
        async with session.post("/api/thing", json={"name": "a"}, headers=headers) as response:
            assert response.status == 403
            await told(response)
        assert not done


async def test_no_page_reads_by_a_name_that_was_made_to_resolve_to_this_machine():
    async with serving() as (session, _), session.get("/api/thing", headers={"Host": "evil.example"}) as response:
        assert response.status == 403


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.2", "[::1]:9090", "ops.internal:9090", "OPS.internal"])
async def test_names_of_the_loopback_and_the_configured_one_will_do(host):
    async with serving(listen=Address("ops.internal", 9090)) as (session, _):
        async with session.get("/api/thing", headers={"Host": host}) as response:
            assert response.status == 200


async def test_its_own_pages_may_change_something():
    async with serving() as (session, done):
        headers = {**CHANGE, "Host": "localhost:9090", "Origin": "http://localhost:9090"}
        async with session.post("/api/thing", json={"name": "a"}, headers=headers) as response:
            assert response.status == 201
        assert done


async def test_without_a_token_other_machines_are_turned_away():
    class Elsewhere:
        remote, method, headers = "192.0.2.7", "GET", {"Host": "127.0.0.1:9090"}

    with pytest.raises(Exception, match="only for this machine"):
        await Gate(Address("0.0.0.0", 9090), None).check(Elsewhere())


async def test_a_token_is_asked_for_whatever_the_host():
    async with serving(TOKEN) as (session, done):
        bearer = {"Authorization": f"Bearer {TOKEN}", "Host": "gateway.internal"}
        async with session.post("/api/thing", json={"name": "a"}, headers=bearer) as response:
            assert response.status == 201
        for wrong in ({}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {TOKEN}"}, CHANGE):
            async with session.get("/api/thing", headers=wrong) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
                assert TOKEN not in str(await told(response))
        assert len(done) == 1


async def test_health_and_metrics_need_no_token():
    async with serving(TOKEN) as (session, _):
        for path in ("/healthz", "/metrics"):
            async with session.get(path) as response:
                assert response.status == 200


@pytest.mark.parametrize(
    ("body", "kind", "status", "detail"),
    [
        ("{", "application/json", 400, "truncated"),
        ('{"name": 1}', "application/json", 400, r"\$\.name"),
        ('{"name": "a", "nmae": "b"}', "application/json", 400, "nmae"),
        ('{"name": "a"}', "text/plain", 415, "must be JSON"),
        ("x" * (MOST_BYTES + 1), "application/json", 413, "too large"),
    ],
)
async def test_a_body_that_will_not_do_is_told_of(body, kind, status, detail):
    async with serving() as (session, done):
        headers = {**CHANGE, "Content-Type": kind}
        async with session.post("/api/thing", data=body, headers=headers) as response:
            assert response.status == status
            assert re.search(detail, (await told(response))["detail"])
        assert not done


async def test_what_is_not_there_or_fails_is_a_problem_too():
    async with serving() as (session, _):
        for method, path, status in (("GET", "/api/none", 404), ("GET", "/api/broken", 500)):
            async with session.request(method, path) as response:
                assert response.status == status
                assert "secret" not in str(await told(response))
        async with session.delete("/api/thing", headers=CHANGE) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET,HEAD,POST"
            await told(response)


async def test_changes_are_logged_with_who_what_and_why_and_without_tricks(caplog):
    caplog.set_level(logging.INFO, "toolgate.audit")
    async with serving() as (session, _):
        async with session.post("/api/thing", json={"name": "eve\nadmin: by root"}, headers=CHANGE):
            pass
    (record,) = [record for record in caplog.records if record.name == "toolgate.audit"]
    assert record.getMessage() == "admin: by eve\\nadmin: by root from 127.0.0.1: the number (no reason given)"


async def test_a_session_reads_and_changes_only_what_its_own_pages_ask_for():
    async with serving(TOKEN) as (session, done):
        gate = Gate(Address("127.0.0.1", 9090), TOKEN)
        admitted = await gate.entrance.admit(TOKEN)
        value = gate.entrance.sessions.new(admitted.principal, admitted.stamp)
        key = {PROOF: gate.entrance.sessions.key(gate.entrance.sessions.read(value))}
        cookie = {"Cookie": f"{COOKIE}={value}", "Host": "ops.example"}
        async with session.get("/api/thing", headers=cookie) as response:
            assert response.status == 200
        foreign = [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
        for wrong in ({}, CHANGE, *({**key, **each} for each in foreign)):
            async with session.post("/api/thing", json={"name": "a"}, headers={**cookie, **wrong}) as response:
                assert response.status == 403
        assert not done
        own = {**cookie, **key, "Origin": "https://ops.example", "Sec-Fetch-Site": "same-origin"}
        async with session.post("/api/thing", json={"name": "a"}, headers=own) as response:
            assert response.status == 201
