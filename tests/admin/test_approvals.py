"""``/api/approvals`` over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from gateway.admin.principals import Principal
from gateway.errors import StoreUnavailable
from gateway.model import ApprovalState, Escalation, Terms
from tests.admin.office import SECRET, serving
from tests.admin.support import CHANGE

ADA = Principal("ada", frozenset({"approver"}), "jwt")
VIEWER = Principal("vic", frozenset({"viewer"}), "jwt")


async def told(response, status=200):
    """The JSON of an answer."""
    body = await response.json(content_type=None)
    assert response.status == status, body
    return body


async def decide(session, ident, status=200, **decision):
    async with session.post(f"/api/approvals/{ident}/decide", json=decision, headers=CHANGE) as response:
        return await told(response, status)


async def get(session, path, status=200):
    async with session.get(path) as response:
        return await told(response, status)


async def test_what_waits_is_listed_with_what_is_worth_a_look_first():
    async with serving() as (session, office):
        small = await office.open(terms=Terms(impact=1.0))
        large = await office.open(terms=Terms(impact=900.0))
        office.now += 10
        listed = await get(session, "/api/approvals")
        assert [one["id"] for one in listed["approvals"]] == [large.id, small.id]
        assert (listed["total"], listed["counts"]) == (2, {"waiting": 2})
        shown = listed["approvals"][0]
        assert shown["held"] == [
            {
                "rule": "money/large",
                "text": "more than 500 needs a person",
                "read": [{"path": "args.amount", "value": 900}],
            }
        ]
        assert (shown["seconds_left"], shown["impact"]) == (3590.0, 900.0)
        assert shown["run_url"] == "/at/runs?part=invoices&part=run-1"
        oldest = await get(session, "/api/approvals?order=age&limit=1")
        assert [one["id"] for one in oldest["approvals"]] == [small.id]
        assert oldest["total"] == 2


async def test_lists_are_of_a_state_a_tool_an_agent_a_rule():
    async with serving() as (session, office):
        first = await office.open(tool="bank", agent="a", rule="money/large")
        second = await office.open(tool="mail", agent="b", rule="mail/outside")
        await decide(session, first.id, verb="deny", by="ada")

        async def ids(query):
            return [one["id"] for one in (await get(session, f"/api/approvals?{query}"))["approvals"]]

        assert await ids("") == await ids("state=open") == [second.id]
        assert await ids("state=denied") == await ids("state=closed") == [first.id]
        assert await ids("state=waiting,denied&order=newest") == [first.id, second.id]
        assert await ids("state=all&tool=mail") == await ids("state=all&agent=b") == [second.id]
        assert await ids("state=all&rule=money") == await ids("state=all&rule=money/large") == [first.id]
        assert await ids("state=all&rule=mon") == []
        assert (await get(session, "/api/approvals"))["counts"] == {"denied": 1, "waiting": 1}


@pytest.mark.parametrize("query", ["state=lost", "order=up", "limit=0", "limit=1001", "limit=²", "stat=all"])
async def test_a_query_that_makes_no_sense_is_told(query):
    async with serving() as (session, _):
        assert (await get(session, f"/api/approvals?{query}", 400))["detail"]


async def test_one_is_shown_with_all_that_it_would_do_and_nothing_of_canaries():
    async with serving() as (session, office):
        real = await office.open()
        check = await office.open(canary=True)
        shown = await get(session, f"/api/approvals/{real.id}")
        assert shown["payload"] == {"method": "POST", "target": "/transfer", "args": {"to": "mallory", "amount": 900}}
        assert (shown["edit"], shown["why_not"], shown["similar"]) == (None, "", [])
        other = await get(session, f"/api/approvals/{check.id}")
        same = shown.keys() - {"id"}
        assert {key: other[key] for key in same} == {key: shown[key] for key in same}
        assert "canary" not in json.dumps(await get(session, "/api/approvals?state=all"))
        first, second = [await decide(session, one.id, verb="approve", by="ada") for one in (real, check)]
        told = first.keys() - {"id", "note"}
        assert {key: first[key] for key in told} == {key: second[key] for key in told}
        assert (first["note"], "This was a check" in second["note"]) == ("", True), "told when it has been decided on"


async def test_the_beginning_of_an_id_will_do_where_it_is_the_only_one():
    async with serving() as (session, office):
        first, second = [await office.open() for _ in range(2)]
        assert (first.id, second.id) == ("apr-abcd0001", "apr-abcd0002")
        assert (await get(session, "/api/approvals/abcd0002"))["id"] == second.id
        assert (await get(session, "/api/approvals/apr-abcd0001"))["id"] == first.id
        several = await get(session, "/api/approvals/abcd", 400)
        assert (several["detail"], several["advice"]) == ("2 approvals begin with 'abcd'", "write more of the id")
        for short in ("abc", "apr-", "apr", "x" * 5000):
            await get(session, f"/api/approvals/{short}", 404)
        assert (await decide(session, "abcd0001", verb="approve", by="ada"))["id"] == first.id


async def test_each_verb_does_what_it_says(caplog):
    caplog.set_level(logging.INFO, "toolgate.audit")
    async with serving() as (session, office):
        asked, approved, denied, answered, endorsed = [await office.open() for _ in range(5)]
        back = await decide(session, asked.id, verb="ask", message="who is mallory?", by="ada", via="cli", seen=4.5)
        assert (back["state"], back["message"]) == ("waiting", "who is mallory?")
        (vote,) = back["votes"]
        assert (vote["by"], vote["verb"], vote["via"], vote["seconds"]) == ("ada", "ask", "cli", 4.5)
        assert (await decide(session, approved.id, verb="approve", by="ada"))["state"] == "approved"
        no = await decide(session, denied.id, verb="deny", message="only to known accounts", by="ada")
        assert (no["state"], no["message"]) == ("denied", "only to known accounts")
        mine = await decide(session, answered.id, verb="answer", answer={"paid": False}, by="ada")
        assert (mine["state"], mine["message"]) == ("answered", '{"paid":false}')
        fine = await decide(session, endorsed.id, verb="endorse", endorse=["args.to"], by="ada")
        assert fine["state"] == "approved"
        assert office.bench.endorsements.endorsed(endorsed.tree, "mallory")
        assert not office.bench.endorsements.endorsed(endorsed.tree, 900)
    said = [record.getMessage() for record in caplog.records if record.name == "toolgate.audit"]
    assert len(said) == len(office.noted) == 5
    assert said[2] == (
        f"admin: by ada from 127.0.0.1: deny {denied.id} (invoices: POST /transfer) (only to known accounts)"
    )


async def test_an_edit_is_kept_shown_to_the_next_person_and_bound_to_what_they_saw():
    async with serving() as (session, office):
        call = await office.open(terms=Terms(approvers=2))
        args = {"to": "mallory", "amount": 50}
        first = await decide(session, call.id, verb="edit", args=args, by="ada", shown="")
        assert (first["state"], first["approvals"], first["edited"]) == ("waiting", 1, True)
        edit = (await get(session, f"/api/approvals/{call.id}"))["edit"]
        assert (edit["args"], edit["by"]) == (args, "ada")
        missed = await decide(session, call.id, 409, verb="approve", by="bob", shown="")
        assert "edited the arguments since you looked" in missed["detail"]
        done = await decide(session, call.id, verb="approve", by="bob", shown=edit["id"])
        assert done["state"] == "approved"


async def test_what_was_masked_on_the_way_to_a_person_comes_back_as_it_was():
    secret = SECRET.decode()
    async with serving() as (session, office):
        args = {"to": "mallory", "amount": 900, "notes": [f"key {secret}", {f"x-{secret}": secret}], "pin": "1"}
        call = await office.open(args)
        shown = (await get(session, f"/api/approvals/{call.id}"))["payload"]["args"]
        assert secret in json.dumps(shown), "the server's own middleware hides it, not this route"
        masked = json.loads(json.dumps(args).replace(secret, "[redacted:credential:bank]"))
        after = await decide(session, call.id, verb="edit", args={**masked, "amount": 50}, by="ada")
        kept = await office.docket.edit(call.id, office.docket.find(call.id).votes[0].edit)
        assert json.loads(kept) == {**args, "amount": 50}
        assert after["state"] == "approved"
        other = await office.open(args)
        for moved in ({"to": masked["notes"][0]}, {"notes": [masked["notes"][0], "[redacted:credential:bank]"]}):
            refused = await decide(session, other.id, 400, verb="edit", args={**masked, **moved}, by="ada")
            assert "mask" in refused["detail"]
        assert office.docket.find(other.id).state is ApprovalState.WAITING


async def test_a_mask_that_the_agent_wrote_itself_is_an_argument_like_any_other():
    async with serving() as (session, office):
        args = {"note": "[redacted:github]", "key": SECRET.decode()}
        call = await office.open(args)
        given = {"note": "[redacted:github]", "key": "[redacted:credential:bank]"}
        await decide(session, call.id, verb="edit", args=given, by="ada")
        assert json.loads(await office.docket.edit(call.id, office.docket.find(call.id).votes[0].edit)) == args


@pytest.mark.parametrize(
    ("decision", "detail"),
    [
        ({"verb": "shrug"}, "no verdict is called 'shrug'"),
        ({"verb": "edit"}, "args is missing"),
        ({"verb": "edit", "args": {"amount": 2**60}}, "args.amount"),
        ({"verb": "edit", "args": [1]}, "$.args"),
        ({"verb": "answer"}, "answer is empty"),
        ({"verb": "ask"}, "message is empty"),
        ({"verb": "approve", "args": {}}, "args is given"),
        ({"verb": "endorse", "endorse": ["args.cc"]}, "no argument args.cc"),
        ({"verb": "approve", "like": {"when": "true", "until": 5}}, "$.like"),
        ({"verb": "approve", "like": {"when": "args.amount <"}}, "when, column"),
        ({"verb": "approve", "like": {"when": "true", "scope": "world"}}, "scope"),
        ({"verb": "approve", "via": "smoke"}, "$.via"),
        ({"verb": "approve", "by": "a/b"}, "$.by"),
        ({"verb": "approve", "by": "a\u202eb"}, "$.by"),
        ({"verb": "approve", "bye": "ada"}, "bye"),
    ],
)
async def test_mistakes_are_told_with_their_place_and_decide_nothing(decision, detail):
    async with serving() as (session, office):
        call = await office.open()
        assert detail in (await decide(session, call.id, 400, **decision))["detail"]
        assert office.docket.find(call.id).state is ApprovalState.WAITING


async def test_who_comes_second_is_told_how_it_stands():
    async with serving() as (session, office):
        call = await office.open()
        await decide(session, call.id, verb="deny", message="no", by="ada")
        late = await decide(session, call.id, 409, verb="approve", by="bob")
        assert late["detail"] == "nothing has changed by this: it was denied by ada"
        await decide(session, "apr-ffffffff", 404, verb="approve", by="bob")


async def test_of_many_at_once_each_is_decided_by_itself():
    async with serving() as (session, office):
        first, second, third = [await office.open() for _ in range(3)]
        await decide(session, second.id, verb="deny", by="bob")
        wanted = {"ids": [first.id, second.id, "apr-nothere", third.id, first.id], "verb": "approve", "by": "ada"}
        async with session.post("/api/approvals/decide", json=wanted, headers=CHANGE) as response:
            results = (await told(response))["results"]
        assert [(one["id"], one["ok"], one["status"]) for one in results] == [
            (first.id, True, 200),
            (second.id, False, 409),
            ("apr-nothere", False, 404),
            (third.id, True, 200),
        ]
        assert "denied by bob" in results[1]["detail"]
        for wrong in ({"ids": []}, {"ids": ["x"] * 201}, {"ids": [first.id], "verb": "edit"}):
            async with session.post(
                "/api/approvals/decide", json={"verb": "deny", **wrong}, headers=CHANGE
            ) as response:
                await told(response, 400)


async def test_many_at_once_are_approved_only_as_they_were_asked():
    async with serving() as (session, office):
        call = await office.open(terms=Terms(approvers=2))
        await decide(session, call.id, verb="edit", args={"to": "mallory", "amount": 1}, by="ada")
        wanted = {"ids": [call.id], "verb": "approve", "by": "bob"}
        async with session.post("/api/approvals/decide", json=wanted, headers=CHANGE) as response:
            (result,) = (await told(response))["results"]
        assert (result["status"], "edited the arguments" in result["detail"]) == (409, True)
        async with session.post("/api/approvals/decide", json={**wanted, "verb": "deny"}, headers=CHANGE) as response:
            assert (await told(response))["results"][0]["state"] == "denied"


async def test_looking_needs_a_viewer_and_deciding_an_approver():
    async with serving(VIEWER) as (session, office):
        call = await office.open()
        await get(session, "/api/approvals")
        assert (await get(session, f"/api/approvals/{call.id}"))["why_not"] == "vic is no approver"
        await decide(session, call.id, 403, verb="approve")
        for method, path, body in (
            ("POST", "/api/approvals/decide", {"ids": [call.id], "verb": "approve"}),
            ("POST", "/api/exemptions", {"approval": call.id, "when": "true"}),
            ("DELETE", "/api/exemptions?id=x", None),
        ):
            async with session.request(method, path, json=body, headers=CHANGE) as response:
                await told(response, 403)
        assert office.docket.find(call.id).state is ApprovalState.WAITING
    async with serving(Principal("nobody", frozenset(), "jwt")) as (session, _):
        for path in ("/api/approvals", "/api/approvals/stream", "/api/approvals/apr-1", "/api/exemptions"):
            await get(session, path, 403)


async def test_who_decides_is_who_the_gateway_knows_whatever_they_say():
    async with serving(ADA) as (session, office):
        call = await office.open()
        refused = await decide(session, call.id, 400, verb="approve", by="bob")
        assert refused["detail"] == "you are known as ada, and cannot decide as 'bob'"
        after = await decide(session, call.id, verb="approve", by="ada")
        assert [(vote["by"], vote["roles"]) for vote in after["votes"]] == [("ada", ["approver"])]


async def test_the_terms_say_who_else_may_not():
    async with serving(ADA) as (session, office):
        own = await office.open(agent="ada")
        assert "calls of its own" in (await decide(session, own.id, 403, verb="approve"))["detail"]
        terms = Terms(who='"treasury" in approver.roles', escalate=(Escalation(60.0, "true"),))
        call = await office.open(terms=terms)
        why = (await get(session, f"/api/approvals/{call.id}"))["why_not"]
        assert why == (await decide(session, call.id, 403, verb="approve"))["detail"]
        assert "treasury" in why
        office.now += 61
        assert (await get(session, f"/api/approvals/{call.id}"))["why_not"] == ""
        await decide(session, call.id, verb="approve")


async def test_a_state_that_is_away_is_told_and_nothing_is_decided(monkeypatch):
    async with serving() as (session, office):
        call = await office.open()

        async def away(*_):
            raise StoreUnavailable("it has gone")

        monkeypatch.setattr(office.docket, "step", away)
        monkeypatch.setattr(office.docket, "payload", away)
        assert "it has gone" in (await decide(session, call.id, 503, verb="approve", by="ada"))["detail"]
        await get(session, f"/api/approvals/{call.id}", 503)
        assert office.docket.find(call.id).state is ApprovalState.WAITING


class Events:
    """Server-sent events as a client reads them."""

    def __init__(self, response):
        self._response = response
        self.last = ""

    async def next(self):
        """The name and data of the next event."""
        name, data = "", ""
        async with asyncio.timeout(5):
            while line := (await self._response.content.readline()).decode().rstrip("\n"):
                field, _, value = line.partition(": ")
                name = value if field == "event" else name
                data = value if field == "data" else data
                self.last = value if field == "id" else self.last
        return (name, json.loads(data)) if name else await self.next()


async def test_changes_are_told_as_they_come_and_from_where_a_client_left_off():
    async with serving() as (session, office):
        before = await office.open()
        async with session.get("/api/approvals/stream") as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            events = Events(response)
            assert await events.next() == ("reset", {})
            call = await office.open({"to": "x"}, operation=f"POST /{SECRET.decode()}")
            name, shown = await events.next()
            assert (name, shown["id"], shown["state"]) == ("approval", call.id, "waiting")
            assert shown["operation"] == "POST /[redacted:credential:bank]", "no middleware sees a stream"
            assert "canary" not in shown
            left = events.last
        await decide(session, before.id, verb="deny", by="ada")
        third = await office.open()
        async with session.get("/api/approvals/stream", headers={"Last-Event-ID": left}) as response:
            events = Events(response)
            told = [await events.next() for _ in range(2)]
            assert [(one["id"], one["state"]) for _, one in told] == [(before.id, "denied"), (third.id, "waiting")]
        for strange in ("p2-1", "p1-x", "", "p1-9" * 9):
            async with session.get("/api/approvals/stream", headers={"Last-Event-ID": strange}) as response:
                assert (await Events(response).next())[0] == "reset"


async def test_who_was_away_for_too_long_reads_the_list_anew():
    async with serving() as (session, office):
        await office.open()
        for _ in range(300):
            await office.open()
        async with session.get("/api/approvals/stream", headers={"Last-Event-ID": "p1-1"}) as response:
            events = Events(response)
            assert await events.next() == ("reset", {})
            assert events.last == "p1-301"


async def test_only_so_many_watch_at_once(monkeypatch):
    monkeypatch.setattr("gateway.approvals.changes.MOST_WATCHING", 1)
    async with serving() as (session, _), session.get("/api/approvals/stream") as response:
        await Events(response).next()
        await get(session, "/api/approvals/stream", 503)


async def test_calls_like_one_are_let_pass_listed_and_revoked():
    async with serving() as (session, office):
        call, later = await office.open(), await office.open()
        like = {"when": "args.amount <= 900", "scope": "agent", "uses": 3, "seconds": 3600}
        await decide(session, call.id, verb="approve", like=like, by="ada")
        (made,) = (await get(session, "/api/exemptions"))["exemptions"]
        assert (made["when"], made["scope"], made["agent"], made["uses"], made["by"], made["approval"]) == (
            "args.amount <= 900", "agent", "invoices", 3, "ada", call.id,
        )  # fmt: skip
        assert made["until"] == office.now + 3600
        wanted = {"approval": later.id, "when": "true", "by": "ada"}
        async with session.post("/api/exemptions", json=wanted, headers=CHANGE) as response:
            assert "nobody has decided on it yet" in (await told(response, 409))["detail"]
        await decide(session, later.id, verb="approve", by="ada")
        async with session.post("/api/exemptions", json=wanted, headers=CHANGE) as response:
            other = await told(response, 201)
        assert (other["scope"], other["uses"]) == ("run", None)
        async with session.delete("/api/exemptions?id=exm-abcd", headers=CHANGE) as response:
            assert (await told(response, 400))["detail"] == "2 exemptions begin with 'exm-abcd'"
        async with session.delete(f"/api/exemptions?id={other['id'][4:]}&by=bob", headers=CHANGE) as response:
            assert (await told(response))["revoked"]["id"] == other["id"]
        assert [one["id"] for one in (await get(session, "/api/exemptions"))["exemptions"]] == [made["id"]]
        for nothing in ("exm-ffff0000", "exm", "", "abc"):
            async with session.delete(f"/api/exemptions?id={nothing}", headers=CHANGE) as response:
                await told(response, 404)


async def test_conditions_are_proposed_and_ones_own_tried_out():
    async with serving() as (session, office):
        call = await office.open()
        proposed = (await get(session, f"/api/approvals/{call.id}/proposals"))["proposals"]
        assert [(one["name"], one["when"]) for one in proposed] == [
            ("narrow", 'args.amount >= 0 && args.amount <= 900 && args.to == "mallory"'),
            ("middle", "args.amount >= 0 && args.amount <= 900"),
        ]
        assert proposed[0]["preview"]["passed"] == {"run": 0, "agent": 0, "everybody": 0}
        path = f"/api/approvals/{call.id}/preview"
        assert (await get(session, f"{path}?when=args.amount<1"))["preview"]["held"] == 0
        assert (await get(session, f"{path}?when=args.amount<", 400))["detail"].startswith("when, column")


async def test_a_known_answer_check_makes_no_exemption():
    async with serving() as (session, office):
        check = await office.open(canary=True)
        await decide(session, check.id, verb="approve", like={"when": "true"}, by="ada")
        assert (await get(session, "/api/exemptions"))["exemptions"] == []
