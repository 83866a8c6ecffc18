"""The shipped library (docs/policy-library.md): it loads, its cases hold in both engines, and they try every rule."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from gateway.config import load
from gateway.config.case_files import Suite, Suites
from gateway.config.files import case_files, policy_files
from gateway.policy.engines import ENGINES, load_engine
from gateway.rehearse.coverage import Coverage
from gateway.rehearse.run import CaseResult, run_case

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "policies" / "library"
DOC = (ROOT / "docs" / "policy-library.md").read_text()
FILES = policy_files(LIBRARY)


# Values of another type than a rule expects: one engine finds a comparison false, the other fails of it. Both refuse.
OTHER_TYPES = {
    ("egress", "data does not leave"),
    ("files", "paths have one spelling"),  # U+0000, at which one of them would end a text
    ("files", "other arguments and other types are refused"),
    ("github", "nothing is forced"),
    ("github", "own repositories, own branches, no workflows"),
    ("money", "amounts are sane numbers"),
    ("slack", "nowhere else"),
}


@cache
def suites(engine: str) -> tuple[Suite, ...]:
    """The cases of the library, with its policies compiled by this engine."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(load, "load_engine", lambda name, *, sql: load_engine(engine, sql=sql))
        reading = Suites()
        read = tuple([suite for path in case_files(LIBRARY) for suite in reading.read(path)])
    assert reading.errors == []
    return read


@cache
def results(engine: str) -> tuple[tuple[Suite, CaseResult], ...]:
    read = suites(engine)
    return tuple([(suite, run_case(case, suite.loaded, suite.offers)) for suite in read for case in suite.cases])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_case_holds_in_both_engines(engine: str) -> None:
    assert {suite.file for suite in suites(engine)} == {str(path) for path in case_files(LIBRARY)}
    failed = [(suite.file, one.case.name, one.failed[0].differences) for suite, one in results(engine) if one.failed]
    assert failed == []


def test_the_engines_decide_every_call_alike_and_differ_only_in_how_they_fail() -> None:
    differ = set()
    for (suite, one), (_, other) in zip(*map(results, ENGINES), strict=True):
        for first, second in zip(one.results, other.results, strict=True):
            assert first.verdict.decision == second.verdict.decision, (suite.file, one.case.name)
            if (first.verdict.reason, first.verdict.rules) != (second.verdict.reason, second.verdict.rules):
                assert first.verdict.decision == "refuse"
                differ.add((Path(suite.file).stem.removesuffix("_test"), one.case.name))
    assert differ == OTHER_TYPES


def test_every_rule_is_true_in_one_case_and_false_in_another_and_every_guard_refuses_once() -> None:
    coverage = Coverage()
    for suite in suites(ENGINES[0]):
        watched = coverage.watch(suite)
        coverage.note(step.trace for case in suite.cases for step in run_case(case, watched, suite.offers).results)
    assert {subject.file for subject in coverage.subjects.values()} == {str(path) for path in FILES}
    assert [(gap.name, gap.missing) for gap in coverage.gaps()] == []


@pytest.mark.parametrize("engine", ENGINES)
def test_the_whole_library_loads_at_once(tmp_path: Path, engine: str) -> None:
    tools: dict[str, object] = {}
    for path in case_files(LIBRARY):
        for document in yaml.safe_load_all(path.read_text()):
            for name, tool in document["spec"]["tools"].items():
                tools[name] = {**tool, "url": "http://tool.invalid"}
    config = {"cel": engine, "cel_functions": {"sql": True}, "policies": str(LIBRARY), "tools": tools}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    made = load.attempt(tmp_path / "config.yaml")
    assert made.errors == []
    assert [problem.message for problem in made.warnings] == [
        "no policy document is a Grant, so every call will be refused"
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_policy_has_cases_a_line_in_the_docs_and_tells_agents_what_to_do(path: Path) -> None:
    assert path.with_stem(f"{path.stem}_test").is_file()
    assert re.search(rf"^\| \[`{path.name}`\]\(\.\./policies/library/{path.name}\) \|", DOC, re.MULTILINE)
    for document in yaml.safe_load_all(path.read_text()):
        for rule in document["spec"].get("rules", []):
            silent = rule["then"] in ("label", "redact", "strip", "truncate", "wrap")
            assert silent or rule.get("message") or rule.get("messageExpression"), rule["name"]


def test_the_example_configuration_does_not_load_the_library() -> None:
    assert load.load(ROOT / "config.example.yaml").config.policies == "./policies/example"
