"""What ``toolgate check`` found, for machines: JSON, and SARIF 2.1.0 (OASIS) for code review and editors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.errors import Problem

KINDS = {
    "unreadable": "A file cannot be read, or is not UTF-8 text",
    "yaml": "The file is not YAML, or YAML that could be read in two ways",
    "reference": "A ${...} reference in the configuration leads nowhere",
    "unknown-key": "A key that does not exist",
    "missing-key": "A key that must be there is missing",
    "type": "A value of another type than the key has",
    "value": "A value that the key cannot have",
    "setting": "Settings that contradict each other, or lead nowhere",
    "expression": "A CEL expression that cannot be used",
    "policy": "A policy document that cannot be used, or hardly does what was meant",
    "duplicate-name": "Two documents, rules or variables of one name",
    "unmatched-tool": "A glob that no configured tool matches",
    "unmatched-operation": "A glob that matches no operation",
    "unknown-guardrail": "A guardrail that is not configured, or cannot be read here",
    "unreached-rule": "A rule that can never speak, or cannot do anything",
    "argument-unknown": "An argument that the tool's schema does not have",
    "argument-type": "An argument used as if it were of another type",
    "argument-optional": "An optional argument read without asking whether it is there",
    "argument-numbers": "An int and a double in one computation",
    "argument-word": "A text that the argument never is",
    "arguments-unchecked": "Rules that were not held against schemas",
}
"""The kinds of mistakes (``Problem.kind``), which are SARIF's rules."""

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def problem_json(problem: Problem) -> dict[str, Any]:
    """One problem; what is not known is null."""
    return {
        "file": problem.file,
        "line": problem.line or None,
        "column": problem.column or None,
        "kind": problem.kind,
        "message": problem.message,
        "hint": problem.hint or None,
    }


def sarif(errors: Sequence[Problem], warnings: Sequence[Problem], folder: Path) -> dict[str, Any]:
    """One run as a SARIF log. Files below ``folder`` are told relative to it (``%SRCROOT%``), others as file URIs."""
    found = [*(("error", one) for one in errors), *(("warning", one) for one in warnings)]
    kinds = list(dict.fromkeys(problem.kind for _, problem in found))
    driver = {
        "name": "Toolgate",
        "semanticVersion": version("toolgate"),
        "rules": [{"id": kind, "shortDescription": {"text": KINDS[kind]}} for kind in kinds],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"uri": f"{folder.resolve().as_uri()}/"}},
        "results": list(_results(found, kinds, folder)),
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _results(found: Sequence[tuple[str, Problem]], kinds: Sequence[str], folder: Path) -> Iterator[dict[str, Any]]:
    for level, problem in found:
        hint = f" ({problem.hint})" if problem.hint else ""
        place: dict[str, Any] = {"artifactLocation": _location(problem.file, folder)}
        if problem.line:
            place["region"] = {"startLine": problem.line, "startColumn": max(1, problem.column)}
        yield {
            "ruleId": problem.kind,
            "ruleIndex": kinds.index(problem.kind),
            "level": level,
            "message": {"text": problem.message + hint},
            "locations": [{"physicalLocation": place}],
        }


def _location(file: str, folder: Path) -> dict[str, str]:
    path = Path(os.path.abspath(file))
    below = os.path.abspath(folder)
    if path.is_relative_to(below):
        return {"uri": quote(path.relative_to(below).as_posix()), "uriBaseId": "%SRCROOT%"}
    return {"uri": path.as_uri()}
