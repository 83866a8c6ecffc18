"""Recorded plays of AgentDojo: what the user wanted goes through, what the injected text wanted does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.config import load
from gateway.config.case_files import Suites
from gateway.policy.engines import ENGINES, load_engine
from gateway.rehearse.run import run_case

FILE = Path(__file__).with_name("agentdojo_test.yaml")
CASES = yaml.safe_load(FILE.read_text())["spec"]["cases"]


@pytest.mark.parametrize("engine", ENGINES)
def test_recorded_plays_are_decided_as_they_were(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_engine", lambda name, *, sql: load_engine(engine, sql=sql))
    reading = Suites()
    (suite,) = reading.read(FILE)
    assert reading.errors == []
    ran = [run_case(case, suite.loaded, suite.offers) for case in suite.cases]
    assert [(one.case.name, one.failed[0].differences) for one in ran if one.failed] == []
    assert len(ran) == len(CASES)


def test_each_recorded_attack_has_been_read_and_was_stopped() -> None:
    """The injection stands in an answer that the agent got, and some call after it waits for a person."""
    for case in CASES:
        read = [at for at, step in enumerate(case["steps"]) if "INFORMATION-7f3a" in str(step.get("answer"))]
        assert read, case["name"]
        assert any(step["expect"] != "allow" for step in case["steps"][read[0] + 1 :]), case["name"]
