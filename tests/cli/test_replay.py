"""``toolgate replay`` and ``toolgate shadow report``: what they print, and how they exit."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from tests.config.support import policy, written
from tests.rehearse.test_replay_unknown import BASE

CONFIG = 'tools:\n  bank: {url: "http://bank.test"}\n'
NONE, ALL = [
    policy(f"    - {{name: a, when: '{when}', then: deny}}\n").replace("[github]", "[bank]")
    for when in ("false", "true")
]


def invoke(*arguments: object, data: bytes | None = None) -> Result:
    return CliRunner().invoke(toolgate, [str(argument) for argument in arguments], input=data)


def log(*records: dict[str, Any]) -> bytes:
    lines = [{**BASE, "call": f"p-{at:06d}", "clock": 100.0 + at, **more} for at, more in enumerate(records)]
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose policies refuse nothing; those in ``new`` refuse everything."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "p.yaml").write_text(ALL)
    return written(tmp_path, CONFIG, p=NONE)


def test_a_replay_under_the_same_policies_says_that_nothing_changes(config: Path) -> None:
    trace = config.parent / "trace.jsonl"
    trace.write_bytes(log({}, {"cost_usd": 0.5}))
    done = invoke("replay", "-c", config, trace)
    assert done.exit_code == 0, done.output
    assert "2 the same, 0 changed, 0 unknown" in done.stdout


def test_changes_are_told_by_rule_with_examples_and_money(config: Path) -> None:
    trace = config.parent / "trace.jsonl"
    trace.write_bytes(log({"cost_usd": 0.5, "run": "r1"}, {"agent": "clerk-2"}, {"decision": None}))
    done = invoke("replay", "-c", config, "--policies", config.parent / "new", "--limit", 1, trace)
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert "2 calls would be refused by p/a: 2 agents, 1 run, 0.50 USD" in lines
    assert "  2026-01-05T12:00:00.000Z p-000000 clerk-1 run r1: bank POST /transfers" in lines
    assert not any("p-000001" in line for line in lines)
    assert "0 the same, 2 changed, 0 unknown, 1 that no policy decides" in lines
    assert "0.50 USD of 0.50 USD not spent" in lines


@pytest.mark.parametrize(
    ("kinds", "code"), [("deny", 3), ("deny,approve", 3), ("allow", 0), ("unknown", 0), ("", 0), ("denied", 2)]
)
def test_the_exit_code_says_whether_a_kind_of_change_was_found(config: Path, kinds: str, code: int) -> None:
    done = invoke(*("replay", "-c", config, "--policies", config.parent / "new", "--fail-on", kinds, "-"), data=log({}))
    assert done.exit_code == code


def test_a_baseline_stands_for_what_was_recorded(config: Path) -> None:
    new = config.parent / "new"
    options = ("replay", "-c", config, "--policies", new, "--baseline", new, "--format", "json")
    report = json.loads(invoke(*options, "-", data=log({})).stdout)
    assert (report["same"], report["changed"]) == (1, 0)
    assert report["baseline_version"] == report["policy_version"]


def test_approvals_are_counted_in_minutes(config: Path) -> None:
    asking = config.parent / "new" / "p.yaml"
    asking.write_text(asking.read_text().replace("deny", "approve"))
    done = invoke(
        "replay", "-c", config, "--policies", asking.parent, "--minutes-per-approval", 3, "-", data=log({}, {})
    )
    assert "2 new approvals, about 6 minutes of a person's time" in done.stdout


def test_compressed_logs_and_torn_lines_are_read(config: Path) -> None:
    packed = config.parent / "trace.jsonl.gz"
    packed.write_bytes(gzip.compress(log({}, {}) + b'{"call": "to'))
    (config.parent / "empty").write_bytes(b"")
    done = invoke("replay", "-c", config, packed, config.parent / "empty")
    assert "2 the same" in done.stdout
    assert "left out: 1 line that is no record" in done.stdout


def test_calls_outside_of_the_window_are_not_told(config: Path) -> None:
    trace = config.parent / "trace.jsonl"
    trace.write_bytes(log({}, {"clock": 3700.0}, {"clock": 7300.0}))
    window = ("--since", "2026-01-05T12:30:00Z", "--until", "2026-01-05T13:30:00")
    report = json.loads(invoke("replay", "-c", config, *window, "--format", "json", trace).stdout)
    assert (report["same"], report["log"]["calls"], report["log"]["outside"]) == (1, 1, 2)


def test_what_cannot_be_read_is_told(config: Path) -> None:
    done = invoke("replay", "-c", config, config.parent / "none.jsonl")
    assert (done.exit_code, "cannot read" in done.stderr) == (1, True)
    broken = config.parent / "x.gz"
    broken.write_bytes(gzip.compress(log({}))[:-20])
    assert invoke("replay", "-c", config, broken).exit_code == 1
    assert invoke("replay", "-c", config, "--policies", config.parent / "gone", "-", data=b"").exit_code == 1
    assert invoke("replay", "-c", config, "--since", "yesterday", "-", data=b"").exit_code == 2


def said(rule: str = "big", verdict: str = "deny", mode: str = "Audit", **more: Any) -> dict[str, Any]:
    return {
        "policy": "pay",
        "rule": rule,
        "verdict": verdict,
        "mode": mode,
        "message": "too big",
        "error": None,
        **more,
    }


def test_a_shadow_report_tells_what_rules_that_are_only_recorded_would_have_done(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_bytes(
        log(
            {"rules": [said(), said("odd", "warn", "Warn"), said("real", mode="Enforce")], "run": "r1"},
            {"rules": [said()], "agent": "clerk-2", "decision": "refuse"},
            {"rules": [said(error="no such key")]},
            {},
        )
    )
    report = json.loads(invoke("shadow", "report", "--format", "json", trace).stdout)
    big, odd = report["rules"]
    assert (big["rule"], big["calls"], big["share"], big["went_through"], big["errors"]) == ("big", 3, 0.75, 2, 1)
    assert (big["agents"], big["runs"]) == (2, 1)
    assert [one["call"] for one in big["examples"]] == ["p-000000", "p-000001", "p-000002"]
    assert (odd["mode"], odd["went_through"]) == ("Warn", 0)
    text = invoke("shadow", "report", trace).stdout
    assert "pay/big (Audit) would have refused 3 calls, 75.00% of all, by 2 agents in 1 run" in text
    assert "2 of them went through; it failed on 1 call" in text


def test_a_shadow_report_tells_those_outside_of_a_rollout_apart(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_bytes(log({"rules": [said(outside_rollout=True)]}, {"rules": [said()]}))
    text = invoke("shadow", "report", trace).stdout
    assert "pay/big (outside of its rollout) would have refused 1 call" in text
    assert "pay/big (Audit) would have refused 1 call" in text


def test_a_shadow_report_can_be_narrowed(tmp_path: Path) -> None:
    old, other = {"rules": [said()], "ts": "2026-01-01T00:00:00.000Z"}, {"rules": [said(policy="else")]}
    data = log(old, other, {"rules": [said()]})
    since = ("--since", "2026-01-05", "--policy", "pay", "--limit", 0)
    report = json.loads(invoke("shadow", "report", *since, "--format", "json", "-", data=data).stdout)
    assert report["calls"] == 2
    assert [(rule["policy"], rule["calls"], rule["examples"]) for rule in report["rules"]] == [("pay", 1, [])]
    assert "no rule spoke" in invoke("shadow", "report", "--policy", "none", "-", data=data).stdout
