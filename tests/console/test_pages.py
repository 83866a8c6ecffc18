"""Every page, over real sockets: with nothing to show, with much, with strange things, and for whoever may not look."""

from __future__ import annotations

import asyncio
from time import time

import orjson
import pytest
from msgspec import structs

from gateway.admin.gate import PROOF
from gateway.console import records as console_records
from gateway.model import (
    Agent,
    Hold,
    Mode,
    Outcome,
    Permit,
    Quarantine,
    Reason,
    Refusal,
    Ruling,
    Run,
    SlotClaim,
    Spoke,
    Verdict,
)
from gateway.observe.store.file import open_for_writing
from gateway.observe.store.writing import insert
from gateway.observe.trace import line_of
from tests.builders import call
from tests.observe.store.support import kept, made

from .support import serving

TOKEN = "a-token-of-the-operators"
LISTS = ("/", "/runs", "/search", "/tools", "/agents", "/policies")
EVIL = '"><script>alert(1)</script>'

SPOKE = Spoke("payments", "large", Verdict.DENY, Mode.ENFORCE, "too large")
SHADOW = Spoke("payments", "gone", Verdict.DENY, Mode.AUDIT, "would be too large")
OLD = {
    "ts": "2026-11-30T00:00:00.000Z", "call": "old", "agent": "ann", "run": "r0", "tool": "bank", "status": 200,
    "decision": "allow", "upstream_status": 200, "timings": {"total_ms": 1.5}, "operation": "POST /transfers",
}  # fmt: skip
DENIED = Refusal(Reason.POLICY_DENIED, 403, "too large", rule="payments/large", spoke=(SPOKE, SHADOW))


def traces():
    """A run of three calls, made just now, one of another agent, and one of nobody."""
    now = time() - 60
    usual = {"agent": Agent("ann"), "tool": "bank", "run": Run("r1")}
    strange = {"agent": Agent(EVIL), "run": Run(EVIL), "operation": EVIL, "tool": "bank"}
    listed = (
        made(0, Permit(call()), **usual),
        made(1, DENIED, Outcome(403), **usual),
        made(2, Permit(call()), Outcome(502, fault="tool", error=f"reset {EVIL}"), **usual),
        made(3, DENIED, Outcome(403), **strange),
        structs.replace(made(4, Permit(call()), Outcome(499), agent=None, tool="", run=Run("..")), decision=None),
    )
    return [structs.replace(one, wall=now + number) for number, one in enumerate(listed)]


async def text_of(session, path, status=200, **options):
    async with session.get(path, **options) as response:
        body = await response.text()
        assert response.status == status, body
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert response.headers["Cache-Control"] == "no-store"
    return body


async def test_the_call_in_which_a_guard_warns_is_told_and_not_only_that_it_is_the_same_again(tmp_path):
    usual = {"agent": Agent("ann"), "tool": "bank", "run": Run("r1")}
    near = Hold(SlotClaim("circles", ("circles",), 3), True, 3.0, state="near", detail="the next one is refused")
    listed = [made(number, Permit(call(), holds=holds), **usual) for number, holds in enumerate(((), (), (near,)))]
    async with serving(tmp_path, listed) as place:
        run = await text_of(place.session, "/runs/ann/r1")
        assert run.count("again, the same as the call before") == 1
        assert "the next one is refused" in run
        assert "again, the same" not in await text_of(place.session, "/runs/ann/r1?only=notable")


async def test_what_people_said_of_a_call_is_told_in_its_story_and_on_its_page(tmp_path):
    ruling = Ruling(True, "apr-1", ("ada",), "edit", edited={"n": 1}, waited=2.0)
    usual = {"agent": Agent("ann"), "tool": "bank", "run": Run("r1")}
    async with serving(tmp_path, [made(0, Permit(call(), ruling=ruling), **usual)]) as place:
        for path in ("/runs/ann/r1", "/calls/c0"):
            page = await text_of(place.session, path)
            assert "edit by <bdi>ada</bdi>, with other arguments" in page
            assert 'href="/approvals/apr-1"' in page


async def test_the_address_of_a_run_that_another_led_to_leads_to_the_page_that_tells_it(tmp_path):
    root, other = traces()[:2]
    inner = Run("sub", root=("ann", "r1"), led=("ann", "r1"), depth=1, lineage="token")
    async with serving(tmp_path, [root, structs.replace(other, agent=Agent("helper"), run=inner)]) as place:
        async with place.session.get("/runs/helper/sub", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/runs/ann/r1")
        assert 'id="c-c1"' in await text_of(place.session, "/runs/helper/sub")
        await text_of(place.session, "/runs/bob/sub", 404)


@pytest.mark.parametrize("path", LISTS)
async def test_pages_without_anything_to_show_say_so(tmp_path, path):
    async with serving(tmp_path) as place:
        body = await text_of(place.session, path)
    assert "No trace store is configured" in body
    assert any(word in body for word in ("Nothing yet", "No such", "no calls", "No agent", "never"))


@pytest.mark.parametrize("stored", [True, False], ids=["store", "memory"])
async def test_pages_tell_what_is_on_record(tmp_path, stored):
    store, listed = None, traces()
    if stored:
        store = tmp_path / "traces.db"
        connection = open_for_writing(str(store))
        insert(connection, kept(*listed))
        connection.close()
    async with serving(tmp_path, () if stored else listed, store=store) as place:
        get = place.session
        assert ("No trace store" in await text_of(get, "/runs")) is not stored
        assert "/runs/ann/r1" in await text_of(get, "/runs")
        run = await text_of(get, "/runs/ann/r1")
        for told in ("payments/large", "too large", "reset", "What stands out", "Audit: only noted", 'id="c-c2"'):
            assert told in run
        assert run.index('id="c-c0"') < run.index('id="c-c1"') < run.index('id="c-c2"')
        assert 'id="c-c0"' not in await text_of(get, "/runs/ann/r1?only=notable")
        one = await text_of(get, "/calls/c1")
        assert "nothing changes c1" in one
        assert "policy_denied" in one
        assert '<td class="right" data-label="calls">4</td>' in await text_of(get, "/tools")
        assert "Refused or failed lately" in await text_of(get, "/tools/bank")
        assert "payments/large" in await text_of(get, "/agents/ann")
        policies = await text_of(get, "/policies")
        assert "Never spoke in this time" in policies
        assert "payments/silent" in policies
        assert "would have said" in policies
        assert "/calls/c1" in await text_of(get, "/search?text=large&decision=refuse")
        found = await text_of(get, "/search", params={"where": "status == 502"})
        assert "/calls/c2" in found
        assert "/calls/c1" not in found


@pytest.mark.parametrize(
    "path",
    [*LISTS, "/calls/c3", "/runs/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E"],
)
async def test_strings_of_agents_are_text_on_every_page(tmp_path, path):
    async with serving(tmp_path, traces()) as place:
        body = await text_of(place.session, path)
    assert "<script>alert" not in body
    assert '"><script' not in body


async def test_runs_with_names_that_are_steps_of_a_path_have_pages_too(tmp_path):
    async with serving(tmp_path, traces()) as place:
        assert "/at/runs?part=&amp;part=.." in await text_of(place.session, "/runs")
        assert "c4" in await text_of(place.session, "/at/runs?part=&part=..")
        await text_of(place.session, "/at/runs?part=", 404)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/ann/nope", 404),
        ("/runs/bob/r1", 404),
        ("/calls/nope", 404),
        ("/tools/nope", 404),
        ("/agents/nope", 404),
        ("/tools?window=forever", 400),
        ("/runs?limit=many", 400),
        ("/?decision=perhaps", 400),
        ("/search?where=status%20%3D%3D%3D", 400),
    ],
)
async def test_what_is_not_there_or_makes_no_sense_is_told_on_a_page(tmp_path, path, status):
    async with serving(tmp_path, traces()) as place:
        body = await text_of(place.session, path, status)
    assert "<nav" in body


async def test_a_question_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(console_records, "PATIENCE", -1.0)
    monkeypatch.setattr(console_records, "_STEPS", 1)
    async with serving(tmp_path, traces()) as place:
        body = await text_of(place.session, "/search?text=large", 503)
        assert "ask for a shorter time" in body
        monkeypatch.undo()
        assert "/calls/c1" in await text_of(place.session, "/search?text=large"), "the next question is answered"


async def test_a_store_that_is_not_there_is_told(tmp_path):
    async with serving(tmp_path, store=tmp_path / "gone.db") as place:
        assert "there is no trace store" in await text_of(place.session, "/runs", 500)


async def test_what_needs_attention_is_told_first(tmp_path):
    async with serving(tmp_path) as place:
        place.register.put(Quarantine("run", ("ann", "r1"), EVIL, "loop/main", 1e9))
        place.state.update(last_reload_error={"at": "now", "problems": ["policy.yaml:3: no"]})
        body = await text_of(place.session, "/")
    assert "Needs attention" in body
    assert "loop/main" in body
    assert "policy.yaml:3: no" in body
    assert "<script>alert" not in body
    assert "reload failed" in body


async def events(response, wanted):
    """What the stream sends until it has this in it."""
    seen = b""
    async with asyncio.timeout(10):
        while wanted not in seen:
            seen += await response.content.readany()
    return seen.decode()


async def test_the_stream_goes_on_where_the_page_or_the_last_event_ended(tmp_path):
    async with serving(tmp_path, traces()) as place:
        async with place.session.get("/parts/feed?after=3") as response:
            assert response.content_type == "text/event-stream"
            seen = await events(response, b"/calls/c4")
            assert "/calls/c2" not in seen
            assert "id: 5\n" in seen
            assert all(line.startswith(("data: ", "id: ", "retry: ")) for line in seen.splitlines() if line)
            place.feed.put([line_of(made(9))])
            await events(response, b"/calls/c9")
        async with place.session.get("/parts/feed?tool=bank", headers={"Last-Event-ID": "0"}) as response:
            seen = await events(response, b"/calls/c0")
            assert "/calls/c4" not in seen


async def test_a_look_at_the_head_of_the_stream_does_not_hold_it_open(tmp_path):
    async with serving(tmp_path) as place, place.session.head("/parts/feed") as response:
        assert response.status == 405


async def test_streams_end_when_the_gateway_does(tmp_path):
    async with serving(tmp_path) as place, place.session.get("/parts/feed") as response:
        await events(response, b"retry")
        place.feed.close()
        async with asyncio.timeout(5):
            assert await response.content.read() == b"", "it ends, and is not broken off"


@pytest.mark.parametrize(
    "path", [*LISTS, "/parts/feed", "/parts/numbers", "/runs/a/b", "/calls/c1", "/at/agents?part=a"]
)
async def test_nothing_is_shown_by_a_name_that_was_made_to_resolve_to_this_machine(tmp_path, path):
    async with serving(tmp_path, traces()) as place:
        body = await text_of(place.session, path, 403, headers={"Host": "evil.example"})
    assert "ann" not in body


async def test_with_a_token_there_is_a_login(tmp_path):
    async with serving(tmp_path, traces(), TOKEN) as place:
        get = place.session
        async with get.get("/runs", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/login")
        await text_of(get, "/parts/feed", 401)
        async with get.post("/login", data={"token": "wrong"}) as response:
            assert response.status == 401
            assert "Set-Cookie" not in response.headers
        async with get.post("/login", data={"token": TOKEN}, headers={"Origin": "http://evil.example"}) as response:
            assert response.status == 403
            assert "Set-Cookie" not in response.headers
        jar = get.cookie_jar
        async with get.post("/login", data={"token": TOKEN}, allow_redirects=False) as response:
            assert response.status == 303
            address, _, key = response.headers["Location"].partition("#key=")
            assert (address, len(key)) == ("/", 64)
            cookie = response.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
            assert key not in cookie
            value = response.cookies["toolgate_console"].value
        jar.clear()
        session = {"Cookie": f"toolgate_console={value}"}
        assert "Log out" in await text_of(get, "/runs", headers=session)
        async with get.get("/api/nothing", headers=session) as response:
            assert response.status == 404, "the API knows the session too"
        async with get.post("/api/nothing", headers=session) as response:
            assert response.status == 403
        assert key not in await text_of(get, "/", headers=session)
        for shown in ("1", key[:-1], TOKEN):
            async with get.post("/api/nothing", headers={**session, PROOF: shown}) as response:
                assert response.status == 403, "a server on another port gets the cookie: it must not do for changes"
                assert "log in again" in (await response.json())["advice"]
        async with get.post("/api/nothing", headers={PROOF: key}) as response:
            assert response.status == 401, "nor does the key alone"
        async with get.post("/api/nothing", headers={**session, PROOF: key}) as response:
            assert response.status == 404
        elsewhere = {**session, PROOF: key, "Origin": "http://evil.example"}
        async with get.post("/api/nothing", headers=elsewhere) as response:
            assert response.status == 403
        async with get.get(
            "/runs", headers={"Cookie": f"toolgate_console={value}x"}, allow_redirects=False
        ) as response:
            assert response.status == 303
        async with get.post("/logout", headers=session, allow_redirects=False) as response:
            assert 'toolgate_console=""' in response.headers["Set-Cookie"]
        assert "/runs/ann/r1" in await text_of(get, "/runs", headers={"Authorization": f"Bearer {TOKEN}"})


async def test_what_goes_wrong_in_a_page_is_logged_and_not_shown(tmp_path, monkeypatch, caplog):
    async with serving(tmp_path) as place:
        monkeypatch.setattr("gateway.console.home.choice_of", lambda _: 1 / 0)
        body = await text_of(place.session, "/", 500)
    assert "division" not in body
    assert "division by zero" in caplog.text


async def test_a_record_of_an_older_gateway_has_a_page(tmp_path):
    async with serving(tmp_path) as place:
        place.feed.put([orjson.dumps(OLD)])
        assert "POST /transfers" in await text_of(place.session, "/runs/ann/r0")
        assert "POST /transfers" in await text_of(place.session, "/calls/old")
