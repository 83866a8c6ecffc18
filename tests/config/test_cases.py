"""Files of cases: which tools and policies they are about, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.case_files import Suites, files_of_cases, with_cases
from gateway.config.load import attempt
from gateway.errors import ConfigError, Problem
from gateway.rehearse.run import run_case
from tests.config.support import CONFIG, GRANT, written
from tests.config.test_load import edited
from tests.rehearse.support import HEAD, TOOLS, document, rule, suites

ONE = "- {name: one, call: {path: /accounts}, expect: allow}\n"


def wrong(folder: Path, cases: str, policies: str = "", head: str = HEAD + TOOLS) -> list[str]:
    found, errors = suites(folder, policies, cases, head=head)
    assert found == []
    return errors


MISTAKES: dict[str, Any] = {
    "unknown key": (
        "- {name: one, expects: allow}",
        (16, 19, "unknown key 'expects' in spec.cases[0]", "did you mean expect?"),
    ),
    "unknown decision": (
        "- {name: one, expect: denied}",
        (16, 27, "spec.cases[0].expect.decision: must be allow, refuse or approve, not 'denied'", ""),
    ),
    "unknown reason": (
        "- {name: one, expect: {reason: policy_denid}}",
        (16, 36, "spec.cases[0].expect.reason: not a reason: 'policy_denid'", "did you mean policy_denied?"),
    ),
    "nothing expected": (
        "- {name: one}",
        (16, 7, "spec.cases[0]: the case expects nothing", "write expect: allow, or refuse, or a mapping"),
    ),
    "expect beside steps": (
        "- {name: one, expect: allow, steps: [{}]}",
        (16, 7, "spec.cases[0]: expect stands beside steps", "write it in the steps"),
    ),
    "no agent": (
        "- {name: one, call: {agent: ''}, expect: allow}",
        (16, 33, "agent: must not be empty", ""),
    ),
    "unknown tool": (
        "- {name: one, call: {tool: bnak}, expect: allow}",
        (16, 32, "no tool named 'bnak' is configured", "did you mean bank?"),
    ),
    "operation of HTTP": (
        "- {name: one, call: {operation: send}, expect: allow}",
        (16, 37, "operation is for MCP servers, and bank speaks http", "write method and path"),
    ),
    "time goes back": (
        "- {name: one, steps: [{at: 2s, repeat: 2, every: 1s}, {at: 2s, expect: allow}]}",
        (
            16,
            64,
            "this step is at 2 s, before the end of the one before it at 3 s",
            "write the steps in the order of time",
        ),
    ),
    "unknown rule": (
        "- {name: one, expect: {rule: p/s, rules: [q/r], grant: evrybody}}",
        (16, 34, "nothing is called 'p/s' in these policies", "did you mean p/r?"),
        (16, 47, "nothing is called 'q/r' in these policies", "did you mean p/r?"),
        (16, 60, "nothing is called 'evrybody' in these policies", "did you mean everybody?"),
    ),
    "answers of others": (
        "- {name: one, answer: {isError: true, usage: {}, model: m}, expect: allow}",
        (16, 37, "isError is of MCP, and the tool speaks http", "write a status, such as 500"),
        (16, 50, "usage is of LLM APIs, and the tool speaks http", "write result"),
        (16, 61, "model is of LLM APIs, and the tool speaks http", "write result"),
    ),
    "two answers": (
        "- {name: one, answer: {body: a, result: {}}, expect: allow}",
        (16, 27, "spec.cases[0].answer: body stands for the whole answer", "remove the rest, or body"),
    ),
    "twice": (
        "- {name: one, expect: allow}\n- {name: one, expect: allow}",
        (17, 14, "there already is a case 'one'", "give each its own name"),
    ),
    "no moment": (
        "- {name: one, start: 2026-01-05 12:00, expect: allow}",
        (
            16,
            26,
            "spec.cases[0].start: not a moment: '2026-01-05 12:00'",
            "write date, time and zone, such as 2026-01-05T12:00:00Z",
        ),
    ),
}
"""A case, and line, column, message and hint of each mistake in it."""


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, name: str) -> None:
    cases, *said = MISTAKES[name]
    told = [str(Problem("p_test.yaml", *one)) for one in said]
    assert wrong(tmp_path, cases, rule("true")) == told


def test_mistakes_of_the_policies_are_told_once_for_all_files_about_them(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(rule('agnet.id == ""'))
    head = HEAD + TOOLS.replace("spec:\n", "spec:\n  policies: [p.yaml]\n")
    reading = Suites()
    for name in ("a_test.yaml", "b_test.yaml"):
        (tmp_path / name).write_text(head + "  cases:\n  " + ONE)
        assert reading.read(tmp_path / name) == []
    assert [(problem.line, "agnet" in problem.message) for problem in reading.errors] == [(7, True)]


def test_mistakes_of_the_tools_are_told_at_their_place(tmp_path: Path) -> None:
    head = HEAD + "spec:\n  tools: {bank: {openapi: api.yaml}}\n  defaults: {agent: a, tool: bank}\n"
    (said,) = wrong(tmp_path, ONE, head=head)
    assert said.startswith("p_test.yaml:5:27: cannot read api.yaml")


def test_what_is_not_said_is_a_mistake(tmp_path: Path) -> None:
    no_tools = HEAD + "spec:\n  defaults: {agent: a, tool: bank}\n"
    (said,) = wrong(tmp_path, ONE, head=no_tools)
    assert said.startswith("p_test.yaml:5:3: it is not said what the tools are (add tools: ")
    lonely = tmp_path / "lonely_test.yaml"
    lonely.write_text(HEAD + TOOLS + "  cases:\n  " + ONE)
    reading = Suites()
    assert reading.read(lonely) == []
    assert "there is no lonely.yaml here" in str(reading.errors[0])
    missing = HEAD + TOOLS.replace("spec:\n", "spec:\n  policies: [p.yaml, gone]\n")
    (said,) = wrong(tmp_path, ONE, head=missing)
    assert said.endswith("there is no 'gone' (correct the path; it begins at this file's folder)")
    (tmp_path / "empty_test.yaml").write_text("# nothing\n")
    reading = Suites()
    assert reading.read(tmp_path / "empty_test.yaml") == []
    assert reading.errors[0].message == "there are no cases in this file"


def test_policies_named_as_cases_are_one_mistake(tmp_path: Path) -> None:
    path = tmp_path / "access.yaml"
    path.write_text(GRANT)
    reading = Suites()
    assert reading.read(path) == []
    (told,) = reading.errors
    assert (told.message, told.hint) == (
        "this is a Grant, not cases",
        "name the file of its cases, access_test.yaml, or the folder of both",
    )


def test_defaults_case_and_step_each_say_more_of_a_call(tmp_path: Path) -> None:
    head = HEAD + TOOLS.replace("tool: bank}", "tool: bank, headers: {a: b}, args: {x: 1}, run: r}")
    cases = """\
    - name: one
      call: {path: /accounts, headers: {c: d}}
      answer: {status: 201}
      steps:
        - {expect: allow}
        - {call: {body: text, run: s, roles: [x]}, answer: {status: 202}}
    """
    found, errors = suites(tmp_path, "", cases, head=head)
    assert errors == []
    first, second = found[0].cases[0].steps
    assert first.call.model_dump(exclude_defaults=True) == {
        "agent": "pay-1", "tool": "bank", "path": "/accounts", "headers": {"a": "b", "c": "d"}, "args": {"x": 1},
        "run": "r",
    }  # fmt: skip
    assert (second.call.args, second.call.body, second.call.run, second.call.roles) == (None, "text", "s", ("x",))
    assert [step.answer.status for step in (first, second) if step.answer is not None] == [201, 202]


def test_where_the_policies_grant_nothing_everybody_may_call(tmp_path: Path) -> None:
    granted, _ = suites(tmp_path, document("Grant", "g", "{agents: [b], tools: [bank]}"), ONE)
    assert [one.metadata.name for one in granted[0].loaded.documents] == ["g"]
    open_, _ = suites(tmp_path, rule("false"), ONE)
    assert [one.metadata.name for one in open_[0].loaded.documents] == ["p", "everybody"]


def suite_over(config: Path, text: str, name: str = "all_test.yaml") -> list[str]:
    """Names of the documents that a file of cases is about, with a configuration."""
    path = config.parent / "policies" / name
    path.write_text(text)
    reading = Suites(config)
    found = reading.read(path)
    assert reading.errors == []
    return [one.metadata.name for one in found[0].loaded.documents]


def test_with_a_configuration_its_tools_hold_and_its_policies_where_no_other_are_named(tmp_path: Path) -> None:
    config = written(tmp_path, CONFIG, grants=GRANT, one=rule("false"))
    calls = "  defaults: {agent: a, tool: github}\n  cases: [{name: one, expect: allow}]\n"
    assert suite_over(config, HEAD + "spec:\n" + calls) == ["all", "p"]
    assert suite_over(config, HEAD + "spec:\n" + calls, "one_test.yaml") == ["p", "everybody"]
    assert suite_over(config, HEAD + "spec:\n  policies: [.]\n" + calls) == ["all", "p"]
    tools = "spec:\n  tools: {github: {protocol: mcp}}\n"
    assert suite_over(config, HEAD + tools + calls) == ["all", "p"]


def test_files_of_cases_are_those_that_are_named_or_lie_beside_the_policies(tmp_path: Path) -> None:
    config = written(tmp_path, CONFIG)
    folder = tmp_path / "policies"
    for name in ("a_test.yaml", "b_test.yml", "c.yaml", ".d_test.yaml"):
        (folder / name).write_text("")
    (tmp_path / "odd.yaml").write_text("")
    names = ["a_test.yaml", "b_test.yml"]
    assert [path.name for path in files_of_cases((), config)] == names
    assert [path.name for path in files_of_cases((tmp_path, folder / "a_test.yaml"), None)] == names
    assert [path.name for path in files_of_cases((tmp_path / "odd.yaml",), None)] == ["odd.yaml"]
    with pytest.raises(ConfigError, match="gone: there is no such file or folder"):
        files_of_cases((tmp_path / "gone",), None)
    (tmp_path / "one.yaml").write_text(GRANT)
    single = tmp_path / "single.yaml"
    single.write_text(CONFIG + "policies: one.yaml\n")
    assert files_of_cases((), single) == []
    (tmp_path / "one_test.yaml").write_text("")
    assert files_of_cases((), single) == [tmp_path / "one_test.yaml"]


def test_tests_among_the_policies_are_no_policies_and_are_checked_with_them(tmp_path: Path) -> None:
    config = written(tmp_path, CONFIG)
    made = attempt(config)
    assert with_cases(config, made).errors == []
    (tmp_path / "policies" / "all_test.yaml").write_text(HEAD + "spec: {cases: [{name: one, expect: allow}]}\n")
    checked = with_cases(config, made)
    assert checked.loaded is made.loaded
    assert [problem.message for problem in checked.errors] == ["agent is missing", "tool is missing"]
    broken = attempt(tmp_path / "gone.yaml")
    assert with_cases(tmp_path / "gone.yaml", broken) is broken


def test_what_a_server_offers_is_known_of_mcp_servers_alone(tmp_path: Path) -> None:
    head = HEAD + TOOLS + "  offers: {mail: [{name: send}, {title: x}], bank: [], gone: []}\n"
    hint = "write the name of a tool with protocol: mcp"
    assert wrong(tmp_path, ONE, head=head) == [
        str(Problem("p_test.yaml", 15, 33, "name is missing", "add the tool's name")),
        str(Problem("p_test.yaml", 15, 46, "'bank' is no MCP server here, so it has no list of tools", hint)),
        str(Problem("p_test.yaml", 15, 56, "'gone' is no MCP server here", hint)),
    ]


EXAMPLES = Path(__file__).parents[2] / "policies" / "example"
SHIPPED = [path.read_text() for path in sorted(EXAMPLES.glob("*_test.yaml"))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_edit_of_valid_cases_gives_a_traceback(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "p_test.yaml"
    path.write_text(data.draw(st.sampled_from(SHIPPED).flatmap(edited)))
    reading = Suites(Path(__file__).parents[2] / "config.example.yaml")
    for suite in reading.read(path):
        for case in suite.cases:
            assert run_case(case, suite.loaded, suite.offers).results
    for problem in reading.errors:
        assert problem.message
        assert "pydantic" not in str(problem).lower()
