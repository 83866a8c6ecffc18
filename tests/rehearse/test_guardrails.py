"""Guardrails where nobody is asked: the file says what they say, and what it does not say is no all-clear."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate

PAGE = Path(__file__).parents[2] / "docs" / "guardrails.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The examples of the page, as they stand there."""
    config, policy, tests = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "policies").mkdir()
    (tmp_path / "toolgate.yaml").write_text(config)
    (tmp_path / "policies" / "guarded.yaml").write_text(policy)
    (tmp_path / "policies" / "guarded_test.yaml").write_text(tests)
    return tmp_path


def outcome(folder: Path, more: str = "") -> Result:
    file = folder / "policies" / "guarded_test.yaml"
    file.write_text(file.read_text() + more)
    return CliRunner().invoke(toolgate, ["test", "-c", str(folder / "toolgate.yaml"), str(file)])


def test_the_cases_of_the_page_pass(folder: Path) -> None:
    result = outcome(folder)
    assert result.exit_code == 0, result.output


def test_results_are_judged_by_what_the_answer_says_of_them(folder: Path) -> None:
    result = outcome(
        folder,
        """\
    - name: a poisoned result is withheld
      answer: {result: {text: x}, guardrail: {injection: {flagged: true}}}
      expect: {decision: refuse, rule: guarded/poisoned}
    - name: a harmless one is not
      answer: {result: {text: x}, guardrail: {injection: {}}}
      expect: allow
    - name: the word on the call is no word on the result
      answer: {result: {text: x}}
      expect: {decision: refuse, reason: guardrail_unavailable}
""",
    )
    assert result.exit_code == 0, result.output


def test_what_nobody_says_is_as_if_the_guardrail_were_away(folder: Path) -> None:
    result = outcome(
        folder,
        """\
    - name: one that must be asked
      call: {guardrail: {pii: {}}}
      expect: {decision: refuse, reason: guardrail_unavailable, rule: guardrail/injection}
    - name: one that may be away, of which a rule takes care
      call: {guardrail: {injection: {}}}
      expect: {decision: approve, rule: guarded/personal}
    - name: one that does not answer
      call: {guardrail: {injection: {answered: false}, pii: {}}}
      expect: {decision: refuse, reason: guardrail_unavailable}
""",
    )
    assert result.exit_code == 0, result.output
