"""Each verdict given in a real browser, with the agent's call held on the other side."""

from __future__ import annotations

import asyncio
import json
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.asking import Asking
from tests.console.browser import CHROMIUM, PHONE, chromium, opened
from tests.console.support import serving
from tests.console.test_browser import CONTRAST
from tests.console.test_inbox import asked, docket_of

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: install it, or name one in TOOLGATE_CHROMIUM"
)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """Agents at a gateway."""
    scene = Asking(tmp_path_factory.mktemp("office"))
    yield scene
    scene.close()
    assert "Traceback" not in scene.gateway.output, scene.gateway.output


@pytest.fixture(autouse=True)
def nothing_is_left(office: Asking) -> Iterator[None]:
    yield
    office.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, office: Asking) -> Iterator[Page]:
    """A page at the inbox, which complains of nothing."""
    with opened(browser, base_url=office.url) as (shown, complaints):
        shown.goto("/approvals")
        expect(shown.locator("#feed-state")).to_have_text("live")
        yield shown
        # Chromium itself notes each answer that refuses something.
        assert [one for one in complaints if "Failed to load resource" not in one] == []


def look(page: Page, text: str) -> None:
    """Wait for what is at the side, for as long as a verdict is not heard yet."""
    expect(page.locator("#beside article")).to_contain_text(text)
    page.wait_for_timeout(320)


def problem(body: bytes) -> Any:
    return json.loads(body)


def test_a_call_shows_up_by_itself_and_runs_by_one_key(page: Page, office: Asking) -> None:
    expect(page.locator("#beside")).to_contain_text("Nothing to decide")
    held = office.pay(901)
    look(page, "a transfer of more than 500")
    expect(page).to_have_title(re.compile(r"^\(1\) Approvals"))
    page.keyboard.press("a")
    assert held.answer.status == 201
    expect(page.locator("#toasts")).to_contain_text("Approved: POST /transfers of treasurer")
    expect(page.locator("#beside")).to_contain_text("Nothing to decide")
    expect(page).to_have_title(re.compile(r"^Approvals"))


def test_what_is_asked_is_told_at_once(page: Page, office: Asking) -> None:
    office.post("treasurer", "inv-2", "/bank/transfers", {"to": "DE02-ACME", "amount": 10, "currency": "EUR"})
    office.recorded("treasurer", "inv-2")
    office.pay(902, "XX66", run="inv-2", note="for\u202e you\u200b", site="раураl.com", long="x" * 1000)
    look(page, "more than 500")
    told = page.locator("#beside article")
    for text in ("treasurer", "inv-2", "POST /transfers", "changes something", "on the line", "impact 902"):
        expect(told).to_contain_text(text)
    expect(told.locator("dl.read")).to_contain_text("args.amount902")
    expect(told.locator(".tree .leaf.read")).to_contain_text("amount 902 a rule read this")
    expect(told.locator("mark.unseen")).to_have_text(["\\u202e", "\\u200b"])
    expect(told.locator("mark.mixed")).to_have_text("раураl.com")
    expect(told.locator(".alarm")).to_contain_text("2 characters that people do not see, and 1 word")
    expect(told).to_contain_text("600 more characters")
    expect(told.locator("#words + p")).to_have_text("Nobody has checked them.")
    expect(told).to_contain_text("the invoice is due")
    expect(told.locator("ol.so-far li")).to_have_count(1)
    expect(told.locator(".until")).to_have_text(re.compile(r"^29 min \d+ s$"))


def test_what_is_denied_tells_the_model_why(page: Page, office: Asking) -> None:
    held = office.pay(903)
    look(page, "903")
    page.keyboard.press("d")
    page.keyboard.type("pay only what was invoiced")
    page.keyboard.press("Control+Enter")
    assert held.answer.status == 403
    assert "pay only what was invoiced" in problem(held.answer.body)["detail"]


def test_edited_arguments_are_shown_as_a_difference_and_reach_the_tool(page: Page, office: Asking) -> None:
    held = office.pay(904, rate=1.0)
    look(page, "904")
    page.keyboard.press("e")
    field, send = page.locator("textarea[name=args]"), page.get_by_role("button", name="Approve with these changes")
    expect(field).to_be_focused()
    expect(send).to_be_disabled()
    text = field.input_value()
    field.fill(text.replace("904", "90,4"))
    expect(page.locator(".diff")).to_contain_text("no JSON")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(send).to_be_disabled()
    field.fill(text.replace("904", "50"))
    expect(page.locator(".diff p")).to_have_text(["- args.amount: 904", "+ args.amount: 50"])
    page.keyboard.press("Control+Enter")
    assert held.answer.status == 201
    assert json.loads(held.answer.body)["made"] == {
        "to": "DE02-ACME", "amount": 50, "currency": "EUR", "rate": 1.0,
    }  # fmt: skip


def test_a_person_answers_in_place_of_the_tool(page: Page, office: Asking) -> None:
    held = office.pay(905)
    look(page, "905")
    page.keyboard.press("r")
    page.keyboard.type("paid by hand this morning")
    page.keyboard.press("Control+Enter")
    assert held.answer.status == 200
    assert b"paid by hand this morning" in held.answer.body


def test_an_endorsed_value_is_not_asked_about_again_in_its_run(page: Page, office: Asking) -> None:
    held = office.pay(906, run="inv-6")
    look(page, "906")
    page.keyboard.press("n")
    expect(page.get_by_role("checkbox", name="args.amount")).to_be_checked()
    page.get_by_role("button", name="Approve and endorse").click()
    assert held.answer.status == 201
    again = office.post("treasurer", "inv-6", "/bank/transfers", {"to": "X", "amount": 906, "currency": "EUR"})
    assert again.status == 201


def test_who_asks_back_leaves_the_call_waiting(page: Page, office: Asking) -> None:
    held = office.pay(907)
    look(page, "907")
    page.keyboard.press("q")
    page.keyboard.type("which invoice is this?")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#beside article")).to_contain_text("asks back")
    expect(page.locator("#beside article")).to_contain_text("which invoice is this?")
    assert not held.answered
    look(page, "907")
    page.keyboard.press("a")
    assert held.answer.status == 201


def test_calls_like_one_that_was_approved_pass_until_that_is_ended(page: Page, office: Asking) -> None:
    held = office.pay(908, agent="billing", run="b-1")
    look(page, "908")
    page.keyboard.press("l")
    like = page.locator("form[data-verb=like]")
    expect(like.locator("code")).not_to_have_count(0)
    like.locator("[name=own]").fill("args.amount <")
    expect(like.locator("fieldset")).to_contain_text("column")
    like.locator("[name=own]").fill("args.amount <= 950")
    expect(like.locator("fieldset")).not_to_contain_text("column")
    like.locator("[name=scope]").select_option("agent")
    page.get_by_role("button", name="Approve, and let them pass").click()
    assert held.answer.status == 201
    body = {"to": "DE02-ACME", "amount": 940, "currency": "EUR"}
    assert office.post("billing", "b-2", "/bank/transfers", body).status == 201
    page.goto("/exemptions")
    row = page.locator("tbody tr").filter(has_text="args.amount <= 950")
    expect(row).to_contain_text("1 of 20")
    row.get_by_role("button", name="End it").click()
    expect(page.locator("main")).to_contain_text("There are none")
    asked = office.held(lambda: office.post("billing", "b-3", "/bank/transfers", body))
    assert not asked.answered


def test_two_people_look_at_what_is_large(page: Page, office: Asking) -> None:
    held = office.pay(75_000, run="inv-8")
    look(page, "two people look")
    expect(page.locator("#beside header")).to_contain_text("0 of 2")
    expect(page.get_by_role("button", name="Calls like this")).to_have_count(0)
    ident = office.approvals()[0]["id"]
    assert office.decide(ident, "approve", "bea") == 200
    expect(page.locator("#beside header")).to_contain_text("1 of 2")
    expect(page.locator("#beside article")).to_contain_text("bea approves")
    assert not held.answered
    look(page, "1 of 2")
    page.keyboard.press("a")
    assert held.answer.status == 201


def test_whoever_is_too_late_is_told_who_was_first(page: Page, office: Asking) -> None:
    held = office.pay(909)
    look(page, "909")
    page.keyboard.press("d")
    page.keyboard.type("no")
    ident = office.approvals()[0]["id"]
    assert office.decide(ident, "approve", "bea") == 200
    assert held.answer.status == 201
    expect(page.locator("output.told")).to_contain_text("Something has changed")
    with page.expect_response("**/decide") as answered:
        page.keyboard.press("Control+Enter")
    assert answered.value.status == 409
    expect(page.locator("#toasts")).to_contain_text("nothing has changed by this")
    expect(page.locator("#beside article")).to_contain_text("approve by bea")
    expect(page.locator("#verbs")).to_have_count(0)


def test_alike_calls_are_decided_at_once_after_a_look_at_what_differs(page: Page, office: Asking) -> None:
    letters = [office.write(f"bob{number}@else.example", "Dear Bob", run=f"mail-{number}") for number in range(5)]
    card = page.locator("a.card", has_text="5 alike")
    card.click()
    look(page, "5 alike")
    table = page.locator("table.differ")
    expect(table.locator("th code")).to_have_text("args.to")
    expect(page.locator("#beside article")).to_contain_text('args.text"Dear Bob"')
    other = table.locator("tr", has_text="bob3@")
    other.get_by_role("checkbox").uncheck()
    expect(page.get_by_role("button", name="Approve 4")).to_be_visible()
    page.locator("#asked").click()
    page.keyboard.press("a")
    expect(page.locator("#sure")).to_contain_text("Approve 4 calls at once?")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("Approved: 4 of 4")
    assert [letter.answer.status for letter in letters if letter is not letters[3]] == [201] * 4
    assert not letters[3].answered
    look(page, "bob3@else.example")


def test_whoever_may_not_decide_is_told_why(page: Page, office: Asking) -> None:
    held = office.write("board@acme.example", "Dear board")
    look(page, "mail to the board")
    expect(page.locator("#barred")).to_contain_text("operator is not among those who may decide on this")
    expect(page.locator("#verbs")).to_have_count(0)
    page.keyboard.press("a")
    page.wait_for_timeout(100)
    assert office.waiting() == 1
    page.get_by_label("You decide as").fill("secretary")
    page.keyboard.press("Tab")
    expect(page.locator("#verbs")).to_be_visible()
    page.wait_for_timeout(320)
    page.get_by_role("button", name="Approve").click()
    assert held.answer.status == 201
    page.goto("/approvals/history")
    expect(page.locator("tbody tr").first).to_contain_text("secretary")


def test_keys_go_through_the_queue_and_say_what_they_do(page: Page, office: Asking) -> None:
    office.pay(2000, agent="one")
    office.pay(1000, agent="two", extra=1)
    office.write("bob@else.example", "Dear Bob")
    page.reload()
    expect(page.locator("#feed-state")).to_have_text("live")
    page.keyboard.press("j")
    look(page, "mail to somebody outside")
    expect(page.locator("a.card[aria-current]")).to_contain_text("POST /messages")
    expect(page.locator("a.card[aria-current]")).to_be_focused()
    page.keyboard.press("k")
    look(page, "2 alike")
    page.keyboard.press("t")
    look(page, "args.amount")
    page.keyboard.press("o")
    expect(page.locator("#beside")).to_be_focused()
    page.keyboard.press("d")
    expect(page.locator("form[data-verb=deny] textarea")).to_be_focused()
    page.keyboard.type("aaa")
    page.keyboard.press("Escape")
    expect(page.locator("form[data-verb=deny]")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("a.card[aria-current]")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("approve")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert office.waiting() == 3


def test_the_key_that_was_for_the_one_before_decides_nothing(page: Page, office: Asking) -> None:
    """Two of the same key in a row, as a held or bouncing key gives them."""
    office.pay(3000, agent="one")
    office.write("bob@else.example", "Dear Bob")
    page.reload()
    look(page, "3000")
    page.keyboard.press("a")
    expect(page.locator("#beside article")).to_contain_text("mail to somebody outside")
    page.keyboard.press("a")
    expect(page.locator("output.told")).to_contain_text("Look first")
    assert office.waiting() == 1


def test_people_are_called_where_they_asked_for_it(browser: Browser, office: Asking) -> None:
    with opened(browser, base_url=office.url) as (page, complaints):
        page.add_init_script(NOTES)
        page.goto("/approvals")
        expect(page.locator("#feed-state")).to_have_text("live")
        office.pay(911)
        look(page, "911")
        assert page.evaluate("notes") == []
        page.get_by_role("button", name="Notify me").click()
        expect(page.get_by_role("button", name="Notify me")).to_have_attribute("aria-pressed", "true")
        office.pay(912, more=1)
        page.wait_for_function("() => notes.length === 1")
        assert page.evaluate("notes") == ["2 calls wait for a person"]
        assert complaints == []


NOTES = """
window.notes = [];
document.hasFocus = () => false;
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (Notification.permission = "granted"); }
  constructor(title, options) { notes.push(options.body); }
};
"""


def test_what_has_been_decided_is_in_the_past(page: Page, office: Asking) -> None:
    held = office.pay(913, agent="historian")
    look(page, "913")
    page.keyboard.press("a")
    assert held.answer.status == 201
    page.goto("/approvals/history?agent=historian")
    expect(page.locator("tbody tr")).to_contain_text("approved and done")
    expect(page.locator("tbody tr")).to_contain_text("operator")
    page.locator("a[data-main]").click()
    expect(page.locator(".ended")).to_contain_text("approve by operator (console)")


def test_a_phone_is_enough(browser: Browser, office: Asking) -> None:
    held = office.pay(914)
    with opened(browser, PHONE, base_url=office.url, has_touch=True, is_mobile=True) as (page, complaints):
        for path in ("/approvals", "/approvals/history", "/exemptions"):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path
        page.goto("/approvals")
        page.locator("a.card").tap()
        look(page, "914")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        page.get_by_role("button", name="Approve").tap()
        assert held.answer.status == 201
        assert complaints == []


def test_all_has_a_name_and_enough_contrast(browser: Browser, office: Asking) -> None:
    """WCAG 2.2, 1.4.3 and 4.1.2, in both themes, with each form open."""
    office.pay(915, note="for\u202e you", run="inv-15")
    for scheme in ("light", "dark"):
        with opened(browser, base_url=office.url, color_scheme=scheme) as (page, _):
            page.goto("/approvals")
            look(page, "915")
            for key in ("d", "e", "r", "n", "q", "l"):
                page.keyboard.press(key)
                expect(page.locator("form.verb:not([hidden])")).to_have_count(1)
                page.wait_for_timeout(100)
                assert page.evaluate(CONTRAST) == [], (scheme, key)
                assert page.evaluate(NAMELESS) == [], key
                page.keyboard.press("Escape")
            for path in ("/approvals/history", "/exemptions"):
                page.goto(path)
                assert page.evaluate(CONTRAST) == [], (scheme, path)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[str]:
    """The address of a console at which ten thousand calls of a hundred agents wait, served on another thread."""
    served: queue.Queue[str] = queue.Queue()
    ended = threading.Event()

    async def serve() -> None:
        docket = docket_of()
        for number in range(10_000):
            await asked(docket, f"op{number % 400}", number, agent=f"agent-{number % 100}", args={"n": number})
        async with serving(tmp_path, docket=docket) as place:
            served.put(place.url)
            while not ended.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield served.get(timeout=30)
    finally:
        ended.set()
        thread.join()


def test_ten_thousand_are_gone_through_by_keys_filters_and_pages(browser: Browser, crowd: str) -> None:
    with opened(browser, base_url=crowd) as (page, complaints):
        page.goto("/approvals")
        expect(page.locator("#feed-state")).to_have_text("live")
        expect(page.locator("#counts")).to_have_text("10,000 wait, in 400 groups")
        cards = page.locator("a.card")
        expect(cards).to_have_count(50)
        expect(page.locator("#asked")).to_contain_text("25 alike: op399")
        expect(page.locator("table.differ tbody tr")).to_have_count(25)
        for operation in ("op398", "op397", "op396"):
            page.keyboard.press("j")
            expect(page.locator("#asked")).to_contain_text(operation)
        page.get_by_role("link", name="Next").click()
        expect(page.locator(".pages")).to_contain_text("page 2 of 8")
        expect(cards.first).to_contain_text("op349")
        page.get_by_label("Agent").select_option("agent-7")
        expect(page.locator("#counts")).to_have_text("10,000 wait, 100 of these, in 4 groups")
        expect(cards).to_have_count(4)
        assert complaints == []


NAMELESS = """() => [...document.querySelectorAll("button, input:not([type=hidden]), select, textarea, a[href]")]
  .filter((one) => one.getClientRects().length)
  .filter((one) => !(one.getAttribute("aria-label") || [...(one.labels || [])].some((label) => label.textContent.trim())
    || one.textContent.trim()))
  .map((one) => one.outerHTML.slice(0, 100))"""
