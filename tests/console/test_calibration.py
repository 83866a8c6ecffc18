"""The page that tells what verdicts tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway.admin.calibration import told
from gateway.approvals.samples import Sample
from tests.approvals.asked import sample

from .support import serving


async def page_of(folder: Path, samples: Sequence[Sample]) -> str:
    def calibration() -> Mapping[str, Any]:
        return told(SimpleNamespace(samples=samples))

    async with serving(folder, calibration=calibration) as place:
        response = await place.session.get("/calibration")
        assert response.status == 200
        return await response.text()


async def test_rules_people_and_suggestions_are_told(tmp_path: Path) -> None:
    samples = [sample(by=("ann", "<b>bob</b>")[number % 2]) for number in range(220)]
    samples += [sample("deny", canary=True), sample("deny", rules=("money/new",), looked=0.0)]
    text = await page_of(tmp_path, samples)
    assert "money/large" in text
    assert "98." in text  # the interval's lower end
    assert "let such calls pass" in text
    assert "1 of 1" in text
    assert "&lt;b&gt;bob" in text
    assert "<b>bob" not in text


async def test_drift_and_whoever_stands_apart_are_told(tmp_path: Path) -> None:
    samples = [sample() for _ in range(200)] + [sample("deny", "bob") for _ in range(50)]
    text = await page_of(tmp_path, samples)
    assert "drifts" in text
    assert "decides unlike the others" in text


async def test_before_the_first_verdict_the_page_says_so(tmp_path: Path) -> None:
    assert "Nobody has decided on anything yet" in await page_of(tmp_path, [])
