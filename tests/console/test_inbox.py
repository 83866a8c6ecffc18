"""The queue: in order, alike ones together, a page at a time, however many wait."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import orjson
from msgspec import structs

from gateway.approvals.docket import Docket
from gateway.approvals.states import voted
from gateway.console.approval import table_of
from gateway.console.inbox import PER_PAGE, Inbox, Wanted
from gateway.model import Approval, Attention, Held, Petition, Terms, Vote
from gateway.observe.redact import Redactor
from gateway.stores.memory_cabinet import MemoryCabinet
from tests.approvals.asked import petition

from .support import serving

NOW = 2e9


def docket_of(*petitions: Petition) -> Docket:
    numbers = iter(range(1, 1 << 20))
    return Docket(MemoryCabinet(lambda: NOW), lambda: NOW, lambda: f"apr-{next(numbers):06d}")


def by_impact(approval: Approval, now: float) -> float:
    assert now == NOW
    return approval.terms.impact


def inbox_of(docket: Docket, tired: Sequence[str] = ()) -> Inbox:
    return Inbox(docket, by_impact, lambda who, budget, _: (who, budget.name) in {("ann", name) for name in tired})


async def asked(docket: Docket, operation: str = "pay", impact: float = 1.0, **rest: object) -> Approval:
    terms = structs.replace(Terms(impact=impact), **{key: rest.pop(key) for key in ("attention",) if key in rest})
    return await docket.open(petition(operation=operation, terms=terms, **rest))


async def test_the_most_worth_is_first_and_alike_ones_are_one_card() -> None:
    docket = docket_of()
    inbox = inbox_of(docket)
    await asked(docket, "mail", 5)
    await asked(docket, "pay", 1, agent="a")
    await asked(docket, "pay", 9, agent="b")
    page = await inbox.page(Wanted())
    assert [(card.first.operation, len(card.members)) for card in page.cards] == [("pay", 2), ("mail", 1)]
    assert page.cards[0].first.terms.impact == 9
    assert (page.waiting, page.wanted, page.groups, page.pages) == (3, 3, 2, 1)


async def test_what_is_decided_is_gone_at_once_and_what_is_new_is_there_at_once() -> None:
    """Also in the moments in which the order is not made anew."""
    docket = docket_of()
    inbox = inbox_of(docket)
    first = await asked(docket, "one")
    for number in range(300):
        await asked(docket, f"op{number}")
    assert (await inbox.page(Wanted())).waiting == 301
    await docket.step(first.id, lambda one: voted(one, Vote("ann", "deny", NOW), NOW))
    await asked(docket, "new")
    page = await inbox.page(Wanted())
    assert page.waiting == 301
    assert (await inbox.page(Wanted(), 100)).number == page.pages
    seen = {card.first.operation for number in range(1, 8) for card in (await inbox.page(Wanted(), number)).cards}
    assert "new" in seen
    assert "one" not in seen


async def test_filters_are_by_tool_agent_and_rule() -> None:
    docket = docket_of()
    inbox = inbox_of(docket)
    await asked(docket, "a", tool="bank", agent="x", rules=("p/one", "p/two"))
    await asked(docket, "b", tool="mail", agent="y", rules=("p/two",))

    async def found(**wanted: str) -> list[str]:
        return [card.first.operation for card in (await inbox.page(Wanted(**wanted))).cards]

    assert await found(tool="bank") == ["a"]
    assert await found(agent="y") == ["b"]
    assert await found(rule="p/two") == ["a", "b"]
    assert await found(rule="p/one", agent="y") == []
    assert (await inbox.choices()).rules == [("p/two", 2), ("p/one", 1)]


async def test_what_somebody_has_seen_enough_of_comes_last_for_them() -> None:
    docket = docket_of()
    inbox = inbox_of(docket, tired=["money"])
    await asked(docket, "pay", 9, attention=Attention("money", per_approver=1))
    await asked(docket, "mail", 1)
    assert [card.first.operation for card in (await inbox.page(Wanted(), 1, "ann")).cards] == ["mail", "pay"]
    assert [card.first.operation for card in (await inbox.page(Wanted(), 1, "bea")).cards] == ["pay", "mail"]


async def test_ten_thousand_can_wait(tmp_path: Path) -> None:
    """No page has more than a page's worth, and all of them can be reached."""
    docket = docket_of()
    for number in range(10_000):
        await asked(docket, f"op{number % 400}", number, agent=f"agent-{number % 100}", args={"n": number})
    async with serving(tmp_path, docket=docket) as place:
        async with place.session.get("/approvals") as answer:
            page = await answer.text()
        assert len(re.findall(r'class="card"', page)) == PER_PAGE
        assert "10,000 wait" in page
        assert "in 400 groups" in page
        assert "page 1 of 8" in page
        assert len(page) < 200_000
        async with place.session.get("/parts/approvals?page=8") as answer:
            last = await answer.text()
        assert len(re.findall(r'class="card"', last)) == PER_PAGE
        assert set(re.findall(r"<strong><bdi>(op\d+)", page)).isdisjoint(re.findall(r"<strong><bdi>(op\d+)", last))
        async with place.session.get("/parts/approvals?agent=agent-7") as answer:
            assert len(re.findall(r'class="card"', await answer.text())) == 4
        first = re.search(r'data-card="([^"]+)"', page)
        assert first is not None
        async with place.session.get(f"/parts/approval?alike=1&id={first[1]}") as answer:
            table = await answer.text()
        assert "25 alike" in table
        assert len(re.findall(r'name="id"', table)) == 25


async def test_pages_tell_what_is_not_there(tmp_path: Path) -> None:
    async with serving(tmp_path, docket=docket_of()) as place:
        for path in ("/approvals/apr-none", "/parts/approval?id=apr-none", "/parts/payload?id=apr-none"):
            async with place.session.get(path) as answer:
                assert answer.status == 404
                assert "An hour after its end it is forgotten" in await answer.text()
        for path in ("/approvals?page=x", "/approvals/history?state=odd"):
            async with place.session.get(path) as answer:
                assert answer.status == 400


async def test_whoever_may_not_decide_gets_no_verbs(tmp_path: Path) -> None:
    docket = docket_of()
    approval = await asked(docket)
    async with serving(tmp_path, docket=docket, why_not=lambda one, who: f"{who.id} asked for {one.id}") as place:
        async with place.session.get(f"/approvals/{approval.id}") as answer:
            page = await answer.text()
    assert f"operator asked for {approval.id}" in page
    assert 'id="verbs"' not in page


async def test_all_of_the_call_is_text_on_a_page_of_its_own(tmp_path: Path) -> None:
    docket = docket_of()
    approval = await asked(docket, args={"to": "ac\u202eme", "many": list(range(2000))})
    async with serving(tmp_path, docket=docket) as place:
        async with place.session.get(f"/approvals/{approval.id}") as answer:
            assert "look at all of it" in await answer.text()
        async with place.session.get(f"/parts/payload?id={approval.id}") as answer:
            assert answer.content_type == "text/plain"
            text = await answer.text()
    assert '"ac\\u202eme"' in text
    assert orjson.loads(text)["args"]["many"][-1] == 1999


async def test_secrets_among_the_arguments_are_masked_before_a_page_is_made_of_them(tmp_path: Path) -> None:
    docket = docket_of()
    held = (Held("money/large", "more than 500", ()),)
    secret = {"to": "acme", "password": "hunter2-and-more-1"}
    one = await docket.open(structs.replace(petition(secret), held=held))
    await docket.open(structs.replace(petition({**secret, "password": "correct-horse-battery"}), held=held))
    async with serving(tmp_path, docket=docket, hide=Redactor().page) as place:
        for path in ("/approvals/{}", "/parts/approval?id={}", "/parts/approval?alike=1&id={}", "/parts/payload?id={}"):
            async with place.session.get(path.format(one.id)) as answer:
                page = await answer.text()
            assert "hunter2" not in page, path
            assert "battery" not in page, path
            assert "[redacted:secret]" in page, path


def test_a_table_of_alike_calls_compares_all_that_their_tools_get() -> None:
    calls = [
        {"target": "/pay/1", "args": {"to": "a", "deep": {"x": [1, 2]}, "same": True}},
        {"target": "/pay/2", "args": {"to": "b", "deep": {"x": [1, 3]}, "same": True, "more": None}},
    ]
    table = table_of(calls)
    assert set(table.differ) == {"request", "args.to", "args.deep.x.1", "args.more"}
    assert table.same == [("args.deep.x.0", "1"), ("args.same", "true")]
    assert table.rows[0] == {"request": "/pay/1", "args.to": '"a"', "args.deep.x.1": "2"}
    assert table.rows[1]["args.more"] == "null"


def test_a_member_with_a_dot_in_its_name_hides_no_other() -> None:
    good, evil = {"to": {"iban": "A"}}, {"to": {"iban": "B"}, "to.iban": "A"}
    assert set(table_of([{"args": good}, {"args": evil}]).differ) == {"args.to.iban", 'args["to.iban"]'}


def test_what_rules_read_is_not_pushed_out_of_the_table_by_what_differs_more() -> None:
    calls = [{"args": {"to": "ab"[number % 2], **{f"n{name}": number for name in range(9)}}} for number in range(4)]
    assert table_of(calls).differ[0] != "args.to"
    assert table_of(calls, ["args.to"]).differ[0] == "args.to"
