"""``toolgate approvals stats`` and ``suggest``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.admin.calibration import told
from gateway.cli import calibration
from gateway.cli.root import toolgate
from tests.approvals.asked import sample
from tests.rehearse.test_replay_unknown import BASE

CONFIG = """\
tools:
  bank: {url: "http://127.0.0.1:1", operations: [POST /pay, POST /refund]}
trace: {file: calls.log}
"""
POLICY = """\
apiVersion: toolgate/v1
kind: Grant
metadata: {name: all}
spec: {agents: ["*"], tools: ["*"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: money}
spec:
  rules:
    - name: large  # asks
      when: tool.operation.startsWith("POST")
      then: approve
    - {name: odd, when: agent.id == "odd", then: approve}
"""
LARGE = {"rules": ("money/large",), "operation": "POST /pay"}


class Stand:
    """A stand-in for a running gateway with these verdicts."""

    def __init__(self, samples: list[Any]) -> None:
        self.samples = samples
        self.asked: list[Any] = []

    def ask(self, method: str, path: str, body: Any = None, query: Any = None) -> Any:
        self.asked.append((method, path, query))
        return json.loads(json.dumps(told(SimpleNamespace(samples=self.samples))))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "money.yaml").write_text(POLICY)
    (tmp_path / "toolgate.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)

    def run(samples: list[Any], *args: str) -> Result:
        stand = Stand(samples)
        monkeypatch.setattr(calibration, "gateway_at", lambda *_: stand)
        return CliRunner().invoke(toolgate, ["approvals", *args])

    return run


def test_stats_of_nothing_and_of_something(site):
    assert "nobody has decided" in site([], "stats").output
    result = site([sample(), sample("deny"), sample("deny", canary=True)], "stats")
    assert result.exit_code == 0
    assert "money/large  2         50.0%" in result.output
    assert "1 of 1" in result.output
    assert json.loads(site([sample()], "stats", "--json").output)["samples"] == 1


def test_a_suggestion_is_a_patch_that_applies_and_nothing_is_changed_by_itself(site, tmp_path: Path):
    samples = [sample(**LARGE) for _ in range(200)] + [sample("deny", rules=("money/odd",)) for _ in range(20)]
    result = site(samples, "suggest", "-c", "toolgate.yaml", "--write", "out")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "policies" / "money.yaml").read_text() == POLICY
    patches = sorted((tmp_path / "out").glob("*.patch"))
    assert [one.name for one in patches] == ["01-loosen-money-large.patch", "02-tighten-money-odd.patch"]
    texts = []
    for patch in patches:  # each is of the file as it stands
        (tmp_path / "policies" / "money.yaml").write_text(POLICY)
        subprocess.run(["git", "apply", str(patch)], check=True, cwd=tmp_path, timeout=20)
        texts.append((tmp_path / "policies" / "money.yaml").read_text())
    unless = 'tool.name == "bank" && tool.operation == "POST /pay"'
    assert f"when: '(tool.operation.startsWith(\"POST\")) && !({unless})'" in texts[0]
    assert '{name: odd, when: agent.id == "odd", then: deny}' in texts[1]
    assert json.loads((tmp_path / "out" / "01-loosen-money-large.json").read_text())["n"] == 200


def test_without_recorded_calls_it_says_that_nobody_knows_what_would_change(site):
    result = site([sample(**LARGE) for _ in range(200)], "suggest", "-c", "toolgate.yaml")
    assert "no calls are recorded" in result.output
    assert "caution: all of these verdicts are of one person, ann" in result.output
    assert "+      when: " in result.output


def test_recorded_calls_are_replayed_against_the_policies_as_they_are(site, tmp_path: Path):
    call = {**BASE, "operation": "POST /pay", "path": "/bank/pay"}
    lines = [orjson.dumps({**call, "call": f"p-{number:06d}", "clock": 100.0 + number}) for number in range(5)]
    (tmp_path / "calls.log").write_bytes(b"\n".join(lines))
    result = site([sample(**LARGE) for _ in range(200)], "suggest", "-c", "toolgate.yaml", "--json")
    (one,) = json.loads(result.output)
    assert one["replay"]["newly_allowed"] == 5


def test_a_rule_that_the_files_do_not_have_is_told(site):
    result = site([sample(rules=("gone/rule",)) for _ in range(200)], "suggest", "-c", "toolgate.yaml")
    assert "no policy file" in result.output
    assert "gone/rule" in result.output


def test_nothing_suggested_and_no_configuration(site):
    assert "1 verdicts suggest no change" in site([sample()], "suggest", "-c", "toolgate.yaml").output
    result = site([], "suggest")
    assert result.exit_code == 2
    assert "-c FILE" in result.output
