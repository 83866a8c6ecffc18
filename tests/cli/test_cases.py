"""``toolgate test`` and what ``toolgate check`` says of tests: output, reports, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from gateway.config.case_schema import AnswerPart, Case, CaseSpec, Expect, Step
from gateway.config.described import PartOfCall
from tests.config.support import CONFIG, GRANT, written
from tests.rehearse.support import HEAD

POLICIES = """\
apiVersion: toolgate/v1
kind: Policy
metadata: {name: payments}
spec:
  match: {tools: [bank], operations: ["POST /transfers"]}
  rules:
    - {name: large, when: args.amount > 1000, then: deny, message: too much}
    - {name: odd, when: args.amount % 2 == 1, then: deny, mode: Audit}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: slow-down}
spec: {match: {tools: [bank]}, per: [agent], rate: 1/s, burst: 2}
"""
CASES = """\
spec:
  tools: {bank: {operations: [POST /transfers]}}
  defaults: {agent: pay-1, tool: bank, method: POST, path: /transfers}
  cases:
    - name: small ones pass
      call: {args: {amount: 10}}
      expect: {decision: allow, rules: []}
    - name: large ones do not
      call: {args: {amount: 1001}}
      expect: {decision: refuse, rule: payments/large, message: too much}
"""
WRONG = """\
    - name: large ones ask a person
      call: {args: {amount: 1001}}
      expect: {decision: approve, message: please, rules: []}
    - name: three at once
      steps:
        - {at: 1s, call: {args: {amount: 1}}, repeat: 4, expect: {decision: allow, status: 204}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "payments.yaml").write_text(POLICIES)
    (tmp_path / "policies" / "payments_test.yaml").write_text(HEAD + CASES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fail(folder: Path) -> None:
    (folder / "policies" / "payments_test.yaml").write_text(HEAD + CASES + WRONG)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(toolgate, arguments)


@pytest.mark.usefixtures("folder")
def test_cases_that_pass_are_summed_up() -> None:
    done = invoke("test")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "passed policies/payments_test.yaml: 2 cases, 0 failed\n2 cases passed, 0 failed, in 1 suite\n"
    )


def test_a_case_that_fails_is_told_with_its_place_and_the_rules_that_spoke(folder: Path) -> None:
    fail(folder)
    done = invoke("test", "policies")
    assert done.exit_code == 1
    told = "do not retry unchanged; the policy refuses this call whenever it is made"
    lines = done.stdout.splitlines(keepends=True)
    assert [line.partition("):")[0] for line in lines if "by limit/" in line] == [
        "    refuse by limit/slow-down (rate_limited"
    ]
    assert "".join(line for line in lines if "by limit/" not in line) == (
        "policies/payments_test.yaml:14:7: failed: large ones ask a person\n"
        "  policies/payments_test.yaml:14:7: POST /transfers of bank by pay-1\n"
        "    decision  expected approve\n"
        "              got      refuse\n"
        "    rules     expected []\n"
        "              got      [payments/large, payments/odd]\n"
        "    message   expected please\n"
        f"              got      too much; {told}\n"
        f"    refuse by payments/large (policy_denied): too much; {told}\n"
        "    rule payments/large (deny): too much\n"
        "    rule payments/odd (deny, Audit): is true\n"
        "policies/payments_test.yaml:17:7: failed: three at once\n"
        "  policies/payments_test.yaml:19:11: at 1 s, time 3 of 4: POST /transfers of bank by pay-1\n"
        "    decision  expected allow\n"
        "              got      refuse\n"
        "    status    expected 204\n"
        "              got      429\n"
        "    rule payments/odd (deny, Audit): is true\n"
        "failed policies/payments_test.yaml: 4 cases, 2 failed\n"
        "2 cases passed, 2 failed, in 1 suite\n"
    )


def test_json_holds_every_call_and_every_difference(folder: Path) -> None:
    fail(folder)
    done = invoke("test", "--format", "json", "-k", "PERSON")
    assert done.exit_code == 1
    report: dict[str, Any] = json.loads(done.stdout)
    assert (report["ok"], report["passed"], report["failed"], report["problems"]) == (False, 0, 1, [])
    (case,) = report["cases"]
    assert (case["file"], case["line"], case["suite"], case["ok"]) == (
        "policies/payments_test.yaml",
        14,
        "cases",
        False,
    )
    (call,) = case["calls"]
    assert (call["decision"], call["reason"], call["rule"]) == ("refuse", "policy_denied", "payments/large")
    assert call["differences"][0] == {"key": "decision", "expected": "approve", "got": "refuse"}
    assert "coverage" not in report


def test_junit_counts_and_names_what_failed(folder: Path) -> None:
    fail(folder)
    assert invoke("test", "--junit", "out.xml").exit_code == 1
    root = ElementTree.parse(folder / "out.xml").getroot()
    (suite,) = root
    assert suite.attrib == {
        "name": "policies/payments_test.yaml", "tests": "4", "failures": "2", "errors": "0", "skipped": "0",
    }  # fmt: skip
    assert [len(case) for case in suite] == [0, 0, 1, 1]
    failure = suite[2][0]
    assert failure.attrib["message"] == "decision: expected approve, got refuse"
    assert "payments/large (deny): too much" in str(failure.text)


def test_junit_writes_text_that_xml_cannot_hold(folder: Path) -> None:
    case = '  - {name: "a\\u0000b", call: {args: {amount: 1}}, expect: {decision: refuse, message: "\\u0001 & <"}}\n'
    (folder / "policies" / "payments_test.yaml").write_text(HEAD + CASES.partition("cases:\n")[0] + "cases:\n" + case)
    assert invoke("test", "--junit", "out.xml").exit_code == 1
    (suite,) = ElementTree.parse(folder / "out.xml").getroot()
    assert suite[0].attrib["name"] == "a?b"
    assert "expected ? & <" in str(suite[0][0].text)


@pytest.mark.usefixtures("folder")
def test_coverage_tells_what_was_never_tried() -> None:
    done = invoke("test", "--coverage")
    assert done.exit_code == 0
    assert done.stdout == (
        "passed policies/payments_test.yaml: 2 cases, 0 failed\n"
        "not covered in policies/payments.yaml:\n"
        "  policies/payments.yaml:10:1: limit/slow-down: never refused one\n"
        "coverage: 83 % of 3 rules, limits and breakers\n"
        "2 cases passed, 0 failed, in 1 suite\n"
    )
    report = json.loads(invoke("test", "--coverage", "--format", "json").stdout)["coverage"]
    assert report == {
        "percent": 83.3,
        "gaps": [
            {"file": "policies/payments.yaml", "line": 10, "column": 1, "name": "limit/slow-down",
             "missing": ["never refused one"]},
        ],
    }  # fmt: skip


@pytest.mark.usefixtures("folder")
def test_too_little_coverage_fails() -> None:
    done = invoke("test", "--min-coverage", "90")
    assert (done.exit_code, done.stderr) == (1, "coverage is 83 %, below 90 %\n")
    assert invoke("test", "--min-coverage", "83").exit_code == 0


def test_files_that_cannot_be_used_exit_2_and_the_others_still_run(folder: Path) -> None:
    (folder / "policies" / "bad_test.yaml").write_text(HEAD + "spec: {cases: [{name: a, expcet: allow}]}\n")
    done = invoke("test")
    assert done.exit_code == 2
    assert done.stderr.startswith("policies/bad_test.yaml:4:26: error: unknown key 'expcet' in spec.cases[0]")
    assert "    |                          ^" in done.stderr
    assert "2 cases passed" in done.stdout
    assert json.loads(invoke("test", "--format", "json").stdout)["ok"] is False


@pytest.mark.usefixtures("folder")
def test_no_case_at_all_exits_2() -> None:
    done = invoke("test", "-k", "nothing of this name")
    assert (done.exit_code, done.stderr) == (2, "there is no case to run\n")
    done = invoke("test", "gone")
    assert (done.exit_code, done.stderr) == (2, "gone: error: there is no such file or folder\n")


def test_a_configuration_gives_tools_and_policies(tmp_path: Path) -> None:
    config = written(tmp_path, CONFIG, grants=GRANT)
    (tmp_path / "policies" / "all_test.yaml").write_text(
        HEAD
        + "spec: {cases: [{name: granted, call: {agent: a, tool: github}, expect: {decision: allow, grant: all}}]}\n"
    )
    assert invoke("test", "-c", str(config)).exit_code == 0
    config.write_text("tools: {}\n")
    done = invoke("test", "-c", str(config))
    assert done.exit_code == 2
    assert "must have at least 1 entry" in done.stderr


def test_check_tells_mistakes_in_tests_and_takes_them_for_no_policies(tmp_path: Path) -> None:
    config = written(tmp_path, CONFIG, grants=GRANT)
    case = "spec: {cases: [{name: granted, call: {agent: a, tool: gitub}, expect: allow}]}\n"
    (tmp_path / "policies" / "all_test.yaml").write_text(HEAD + case)
    done = invoke("check", "-c", str(config))
    assert done.exit_code == 1
    assert "no tool named 'gitub' is configured (did you mean github?)" in done.stderr
    assert "1 mistake in tests; what they are about is ready to run" in done.stderr
    assert json.loads(invoke("check", "-c", str(config), "--format", "json").stdout)["ok"] is False
    (tmp_path / "policies" / "all_test.yaml").write_text(HEAD + case.replace("gitub", "github"))
    assert invoke("check", "-c", str(config)).exit_code == 0


def test_hundreds_of_cases_compile_their_policies_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.config import policies

    compiled = []
    compile_policies = policies.compile_policies
    monkeypatch.setattr(
        policies, "compile_policies", lambda *args, **rest: compiled.append(1) or compile_policies(*args, **rest)
    )
    cases = "".join(
        f"    - {{name: case {number}, call: {{args: {{amount: {number}}}}}, expect: allow}}\n" for number in range(300)
    )
    for name in ("payments_test.yaml", "more_test.yaml"):
        spec = CASES.partition("    - name")[0].replace("spec:\n", "spec:\n  policies: [payments.yaml]\n")
        (folder / "policies" / name).write_text(HEAD + spec + cases)
    done = invoke("test")
    assert "600 cases passed, 0 failed, in 2 suites" in done.stdout
    assert len(compiled) == 1


ROOT = Path(__file__).parents[2]


def test_the_shipped_policies_pass_their_cases() -> None:
    done = invoke("test", "-c", str(ROOT / "config.example.yaml"))
    assert done.exit_code == 0, done.output


def test_the_example_in_the_documentation_passes_and_covers_all(folder: Path) -> None:
    text = (ROOT / "docs" / "policy-tests.md").read_text()
    policy, cases = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (folder / "policies" / "payments.yaml").write_text(policy)
    (folder / "policies" / "payments_test.yaml").write_text(cases)
    done = invoke("test", "policies", "--coverage")
    assert done.stdout in text.replace("\n    ", "\n")
    assert done.exit_code == 0


def test_every_key_of_a_test_is_documented() -> None:
    text = (ROOT / "docs" / "policy-tests.md").read_text()
    for model in (CaseSpec, Case, Step, AnswerPart, Expect, PartOfCall):
        for name in model.model_fields:
            assert f"`{name}`" in text, name
