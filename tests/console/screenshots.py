"""Pictures for the docs, of a real gateway after a bad night: ``python -m tests.console.screenshots``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser

from tests.console.asking import Asking
from tests.console.browser import CHROMIUM, DESKTOP, PHONE, chromium, opened
from tests.console.scene import Night

FOLDER = Path(__file__).parents[2] / "docs" / "img"
LONG = (1060, 1180)
SHOTS: tuple[tuple[str, str, tuple[int, int], dict[str, Any]], ...] = (
    ("live", "/", (1060, 760), {}),
    ("run", "/runs/treasurer/inv-4711", LONG, {}),
    ("run-phone", "/runs/treasurer/inv-4711", (PHONE[0], 1300), {}),
    ("live-phone", "/", PHONE, {"color_scheme": "dark"}),
    ("call", "/calls/{paid}", DESKTOP, {}),
    ("tool", "/tools/search", DESKTOP, {"color_scheme": "dark"}),
    ("policies", "/policies", (1280, 620), {}),
)


def main() -> None:
    """Write ``docs/img/console-*.png``."""
    if CHROMIUM is None:
        raise SystemExit("no Chromium here: install it, or name one in TOOLGATE_CHROMIUM")
    with TemporaryDirectory() as folder:
        night = Night(Path(folder))
        try:
            night.busy_evening()
            calls = night.poisoned_run()
            night.settled()
            with chromium() as browser:
                for shot in SHOTS:
                    _shoot(browser, night, calls, *shot)
        finally:
            night.close()
    _inbox()


def _inbox() -> None:
    """The inbox, with calls that wait."""
    with TemporaryDirectory() as folder, chromium() as browser:
        office = Asking(Path(folder))
        try:
            for amount in (120, 80, 310):
                body = {"to": "DE02-ACME", "amount": amount, "currency": "EUR"}
                why = {"step": "3", "reason": "a small invoice"}
                office.post("treasurer", "inv-4711", "/bank/transfers", body, why)
            for name in ("ann", "bob", "cem", "dora", "eve"):
                office.write(f"{name}@customers.example", f"Dear {name.title()}, your invoice is attached.")
            office.pay(75_000, "DE55-LAND", run="inv-4690", invoice="4690")
            office.pay(9400, "XX66-\u0415VIL", run="inv-4711", memo="the account has changed\u200b", invoice="4711")
            ident = office.approvals()[-1]["id"]
            for name, path, size, options in (
                ("approvals", f"/approvals?at={ident}", (1280, 860), {}),
                ("approvals-alike", "/approvals", (1280, 620), {"color_scheme": "dark"}),
                ("approvals-phone", f"/approvals/{ident}", PHONE, {}),
            ):
                with opened(browser, size, base_url=office.url, reduced_motion="reduce", **options) as (
                    page,
                    complaints,
                ):
                    page.goto(path)
                    if name == "approvals-alike":
                        page.locator("a.card", has_text="5 alike").click()
                        page.locator("table.differ").wait_for()
                    page.wait_for_timeout(300)
                    page.screenshot(path=str(FOLDER / f"console-{name}.png"))
                    assert complaints == [], complaints
        finally:
            office.close()


def _shoot(
    browser: Browser, night: Night, calls: dict[str, str], name: str, path: str, size: tuple[int, int], options: Any
) -> None:
    with opened(browser, size, base_url=night.url, reduced_motion="reduce", **options) as (page, complaints):
        page.goto(path.format(**calls))
        page.wait_for_load_state("load")
        if path == "/":
            page.wait_for_function("document.getElementById('feed-state').textContent === 'live'")
        page.screenshot(path=str(FOLDER / f"console-{name}.png"))
        assert complaints == [], complaints


if __name__ == "__main__":
    main()
