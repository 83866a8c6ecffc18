"""The console of a real gateway in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console.browser import CHROMIUM, PHONE, chromium, opened
from tests.console.scene import HOSTILE_AGENT, HOSTILE_RUN, Night
from tests.e2e.harness.gateway import Gateway

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: install it, or name one in TOOLGATE_CHROMIUM"
)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """The gateway after a bad night; ``calls`` are those of the poisoned run."""
    scene = Night(tmp_path_factory.mktemp("night"))
    scene.busy_evening()
    scene.calls = scene.poisoned_run()
    scene.settled()
    yield scene
    scene.close()
    assert "Traceback" not in scene.gateway.output, scene.gateway.output


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, night: Night) -> Iterator[Page]:
    """A page at the console, which complains of nothing."""
    with opened(browser, base_url=night.url) as (shown, complaints):
        yield shown
        assert complaints == []


PAGES = (
    *("/", "/runs", "/runs/treasurer/inv-4711", "/search", "/tools", "/tools/search", "/agents", "/agents/treasurer"),
    "/policies",
)


@pytest.mark.parametrize("late", ["hx-sse.min.js", "console.js"])
def test_the_feed_is_live_whichever_script_comes_late(page: Page, night: Night, late: str) -> None:
    def hold(route: Route) -> None:
        page.wait_for_timeout(300)
        route.continue_()

    page.route(f"**/static/{late}", hold)
    page.goto("/")
    expect(page.locator("#feed-state")).to_have_text("live")


def test_calls_show_up_as_they_end(page: Page, night: Night) -> None:
    page.goto("/")
    expect(page.locator("#feed-state")).to_have_text("live")
    expect(page.locator("#feed-rows tr")).not_to_have_count(0)
    before = page.locator("#feed-rows tr").count()
    night.call("late-agent", "late-run", "GET", "/web/pages/late")
    first = page.locator("#feed-rows tr").first
    expect(first).to_contain_text("late-agent")
    expect(page.locator("#feed-rows tr")).to_have_count(before + 1)
    first.locator("a[data-main]").click()
    expect(page.locator("h1")).to_contain_text("GET /pages/{name}")


def test_the_feed_shows_what_is_chosen_and_can_be_held(page: Page, night: Night) -> None:
    page.goto("/?decision=refuse&agent=treasurer")
    expect(page.locator("#feed-state")).to_have_text("live")
    outcomes = page.locator("#feed-rows tr .badge").all_inner_texts()
    assert outcomes
    assert all("refused" in text for text in outcomes)
    before = page.locator("#feed-rows tr").count()
    night.call("treasurer", "inv-9", "GET", "/web/pages/allowed")
    large = {"to": "DE02-ACME", "amount": 501, "currency": "EUR"}
    night.call("treasurer", "inv-9", "POST", "/bank/transfers", large)
    expect(page.locator("#feed-rows tr")).to_have_count(before + 1)
    page.click("#feed-pause")
    night.call("treasurer", "inv-9", "POST", "/bank/transfers", large)
    expect(page.locator("#feed-state")).to_contain_text("paused, more has come")
    expect(page.locator("#feed-rows tr")).to_have_count(before + 1)


def test_what_cannot_be_fetched_leaves_the_page_as_it_is(browser: Browser, night: Night) -> None:
    with opened(browser, base_url=night.url) as (page, _):
        page.route("**/parts/feed?*", lambda route: route.fulfill(status=503, body="<p id=away>busy</p>"))
        page.goto("/")
        expect(page.locator("#feed-state")).to_have_text("refused; reload the page")
        expect(page.locator("#feed-rows tr")).not_to_have_count(0)
        assert page.locator("#away").count() == 0


def test_the_cause_of_an_incident_is_told_by_the_page_of_its_run(page: Page, night: Night) -> None:
    page.goto("/runs")
    page.get_by_role("link", name="inv-4711").click()
    wrong = page.locator(".troubles")
    expect(wrong).to_contain_text("payments/large: transfers over 500 are made by people")
    expect(wrong).to_contain_text("first of 4 calls")
    states = page.locator(".moves")
    expect(states).to_contain_text("quarantined")
    expect(states).to_contain_text("payments/never")
    calls = night.calls

    def step(name: str) -> str:
        return page.locator(f"#c-{calls[name]}").inner_text()

    assert "goal: pay the open invoices" in step("plan")
    assert "look up the account of ACME" in step("page")
    assert re.search(rf"proposes\s+transfers: made as {calls['paid']}", step("turn"))
    assert "delete_ledger: taken out by models/no-deleting" in step("turn")
    paid = step("paid")
    assert "the page says that the account has changed" in paid
    assert f"by the model in {calls['turn']}" in paid
    assert "XX66-EVIL" in paid
    assert "args.amount = 9400" in paid
    assert "Audit: only noted" in paid
    assert "again, the same as the call before" in step("again0")
    assert "goes from active to" in step("stopped")
    assert "this run is quarantined" in step("after")
    page.locator(f"#c-{calls['paid']} a[data-main]").click()
    expect(page.locator("main")).to_contain_text("variables.amount > 500.0 false (variables.amount is 9400.0)")


def test_strings_of_agents_do_nothing(page: Page, night: Night) -> None:
    page.goto("/runs")
    page.get_by_role("link", name=HOSTILE_RUN).click()
    expect(page.locator("h1")).to_have_text(f"Run {HOSTILE_RUN}")
    page.get_by_role("link", name=HOSTILE_AGENT).first.click()
    expect(page.locator("h1")).to_have_text(f"Agent {HOSTILE_AGENT}")
    for path in PAGES:
        page.goto(path)
        assert page.locator("main script, main img, svg[onload]").count() == 0


def test_who_has_logged_in_may_change_something_and_a_copied_cookie_may_not(browser: Browser, tmp_path: Path) -> None:
    """The same cookie in a window without the session's key, as another server on this host may come to have it."""
    gateway = Gateway(tmp_path, {"bank": {"url": "http://127.0.0.1:9"}})
    gateway.config["admin"] = {"listen": gateway.config["admin"], "token": "0123456789abcdef-token"}
    gateway.start()
    url = f"http://127.0.0.1:{gateway.admin}"
    try:
        with opened(browser, base_url=url) as (page, complaints):
            page.goto("/tools/bank")
            page.fill("[name=token]", "0123456789abcdef-token")
            page.get_by_role("button", name="Log in").click()
            expect(page.locator("#feed-state")).to_have_text("live")
            assert page.url == f"{url}/", "the key does not stay in the address"
            cookies = page.context.cookies()
            stop_the_bank(page)
            expect(page.locator("main")).to_contain_text("quarantined by admin")
            page.get_by_role("button", name="Lift").click()
            expect(page.get_by_text("Quarantine this tool")).to_be_visible()
            assert [said for said in complaints if not said.startswith("verbose:")] == []
        with opened(browser, base_url=url) as (page, _):
            page.context.add_cookies(cookies)
            stop_the_bank(page)
            expect(page.locator("form[data-method=POST] output").first).to_contain_text("log in again")
    finally:
        gateway.stop()


def stop_the_bank(page: Page) -> None:
    """Asked for on the page of the tool."""
    page.goto("/tools/bank")
    page.get_by_text("Quarantine this tool").click()
    form = page.locator("form[data-method=POST]").filter(has=page.get_by_role("button", name="Quarantine"))
    expect(form.locator("[name=by]")).to_have_count(0)  # the gateway knows who it is
    form.locator("[name=reason]").fill("it looks odd")
    form.get_by_role("button", name="Quarantine").click()


def test_a_person_stops_a_run_and_lets_it_go_on(page: Page, night: Night) -> None:
    night.call("researcher", "report-1", "GET", "/web/pages/more")
    page.goto("/runs/researcher/report-1")
    page.get_by_text("Quarantine this run").click()
    form = page.locator("form[data-method=POST]")
    form.locator("[name=by]").fill("ann")
    form.locator("[name=reason]").fill("it looks odd")
    form.get_by_role("button", name="Quarantine").click()
    expect(page.locator("main")).to_contain_text("This run is quarantined by ann")
    refused = night.call("researcher", "report-1", "GET", "/web/pages/more")
    assert night.gateway.trace(refused)["reason"] == "quarantined"
    lift = page.locator("form[data-method=DELETE]")
    lift.locator("[name=by]").fill("ann")
    lift.get_by_role("button", name="Lift").click()
    expect(page.get_by_text("Quarantine this run")).to_be_visible()
    allowed = night.call("researcher", "report-1", "GET", "/web/pages/more")
    assert night.gateway.trace(allowed)["decision"] == "allow"


def test_a_person_holds_a_breaker(page: Page, night: Night) -> None:
    page.goto("/tools/search")
    expect(page.locator("main")).to_contain_text("open")
    page.get_by_text("Hold it").click()
    form = page.locator("form[data-api='/api/breakers']")
    form.locator("select").select_option("closed")
    form.locator("[name=by]").fill("ann")
    form.get_by_role("button", name="Change").click()
    expect(page.locator("main")).to_contain_text("held closed")


def test_the_keyboard_is_enough(page: Page, night: Night) -> None:
    page.goto("/runs/treasurer/inv-4711")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator(f"#c-{night.calls['plan']}")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/calls/{night.calls['page']}$"))
    page.wait_for_load_state()  # keys are heard once the page's script has run
    page.keyboard.press("/")
    expect(page).to_have_url(re.compile("/search$"))
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("made by people")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr").first).to_contain_text("payments/large")


def test_pages_fit_a_phone(browser: Browser, night: Night) -> None:
    with opened(browser, PHONE, base_url=night.url, has_touch=True, is_mobile=True) as (page, complaints):
        for path in (*PAGES, f"/calls/{night.calls['paid']}"):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path
        assert complaints == []


def test_light_and_dark_have_enough_contrast(browser: Browser, night: Night) -> None:
    """Contrast of texts with what lies behind them, by WCAG 2.2, 1.4.3: 4.5 to 1."""
    grounds = []
    for scheme in ("light", "dark"):
        with opened(browser, base_url=night.url, color_scheme=scheme) as (page, _):
            for path in PAGES:
                page.goto(path)
                poor = page.evaluate(CONTRAST)
                assert poor == [], (scheme, path)
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(set(grounds)) == 2


CONTRAST = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const color = parts(getComputedStyle(element).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    if (element.closest("svg, option, .hidden-text, .skip, meter")) continue;
    const [one, other] = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) poor.push(`${element.outerHTML.slice(0, 80)} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
