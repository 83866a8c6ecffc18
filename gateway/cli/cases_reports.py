"""The results of cases, for machines: JSON, and the XML that CI systems read as JUnit's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, tostring

import orjson

from gateway.cli.cases_text import described

if TYPE_CHECKING:
    from gateway.cli.cases import Ran
    from gateway.errors import Problem
    from gateway.rehearse.coverage import Coverage
    from gateway.rehearse.run import CaseResult, StepResult


def json_of(ran: Ran, problems: Sequence[Problem], coverage: Coverage | None) -> str:
    """Everything as one JSON object."""
    every = [result for _, results in ran for result in results]
    failed = len([result for result in every if result.failed])
    report: dict[str, Any] = {
        "ok": not failed and not problems and bool(every),
        "passed": len(every) - failed,
        "failed": failed,
        "problems": [str(problem) for problem in problems],
        "cases": [_case(suite.file, suite.name, result) for suite, results in ran for result in results],
    }
    if coverage is not None:
        report["coverage"] = {
            "percent": round(coverage.percent, 1),
            "gaps": [
                {"file": one.file, "line": one.line, "column": one.column, "name": one.name, "missing": one.missing}
                for one in coverage.gaps()
            ],
        }
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()


def _case(file: str, suite: str, result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "file": file,
        "line": case.line,
        "column": case.column,
        "suite": suite,
        "name": case.name,
        "ok": not result.failed,
        "calls": [_call(one) for one in result.results],
    }


def _call(one: StepResult) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "line": one.step.line,
        "at": one.step.at + (one.turn - 1) * one.step.every,
        "operation": one.trace.operation,
        "decision": verdict.decision,
        "reason": verdict.reason or None,
        "rule": verdict.rule or None,
        "rules": list(verdict.rules),
        "status": verdict.status,
        "message": verdict.message or None,
        "differences": [
            {"key": difference.name, "expected": difference.expected, "got": difference.got}
            for difference in one.differences
        ],
    }


def junit_of(ran: Ran) -> bytes:
    """A testsuite for each file, a testcase for each case."""
    root = Element("testsuites")
    for suite, results in ran:
        failed = len([result for result in results if result.failed])
        counts = {"tests": str(len(results)), "failures": str(failed), "errors": "0", "skipped": "0"}
        group = SubElement(root, "testsuite", {"name": _printable(suite.file), **counts})
        for result in results:
            case = result.case
            named = {"classname": suite.name, "name": _printable(case.name)}
            element = SubElement(group, "testcase", {**named, "file": group.attrib["name"], "line": str(case.line)})
            if result.failed:
                lines = [line for one in result.failed for line in described(suite.file, one, several=True)]
                first = result.failed[0].differences[0]
                message = f"{first.name}: expected {first.expected}, got {first.got}"
                SubElement(element, "failure", {"message": _printable(message)}).text = _printable("\n".join(lines))
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


_UNPRINTABLE = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _printable(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write (its production Char)."""
    return _UNPRINTABLE.sub("?", text)
