"""Files of cases in short, and what comes of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from gateway.config.case_files import Suite, Suites
from gateway.rehearse.run import CaseResult, run_case

HEAD = """\
apiVersion: toolgate/v1
kind: Test
metadata: {name: cases}
"""
TOOLS = """\
spec:
  tools:
    bank:
      operations: [POST /transfers, GET /accounts]
      limits: {concurrency: 2}
      body: {limit: 1KiB, answer_limit: 1KiB}
    mail: {protocol: mcp}
    gpt: {protocol: openai}
    claude: {protocol: anthropic}
    gemini: {protocol: gemini}
  defaults: {agent: pay-1, tool: bank}
"""


def document(kind: str, name: str, spec: str) -> str:
    """A policy document; ``spec`` is YAML in braces or a block indented by two."""
    return f"---\napiVersion: toolgate/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def rule(when: str, then: str = "deny", more: str = "", *, match: str = "{tools: ['*']}", spec: str = "") -> str:
    """A policy ``p`` of one rule ``r``."""
    spec = f"\n  match: {match}\n{spec}  rules: [{{name: r, when: '{when}', then: {then}{more}}}]"
    return document("Policy", "p", spec)


def suites(folder: Path, policies: str, cases: str, *, head: str = HEAD + TOOLS) -> tuple[list[Suite], list[str]]:
    """The suites of ``cases`` (the entries of ``cases:``, not indented) over ``policies``, and what is wrong."""
    (folder / "p.yaml").write_text(policies)
    path = folder / "p_test.yaml"
    entries = "\n".join(f"    {line}" for line in dedent(cases).splitlines())
    path.write_text(f"{head}  cases:\n{entries}\n")
    reading = Suites()
    found = reading.read(path)
    return found, [str(problem).replace(f"{folder}/", "") for problem in reading.errors]


def ran(folder: Path, policies: str, cases: str) -> list[CaseResult]:
    """The results of cases that can all be used."""
    found, errors = suites(folder, policies, cases)
    assert errors == []
    return [run_case(case, suite.loaded, suite.offers) for suite in found for case in suite.cases]


def told(folder: Path, policies: str, cases: str) -> list[str]:
    """Every difference of every call, as ``key: expected, got``."""
    return [
        f"{difference.name}: {difference.expected}, {difference.got}"
        for result in ran(folder, policies, cases)
        for one in result.results
        for difference in one.differences
    ]
