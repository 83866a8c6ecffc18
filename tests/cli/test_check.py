"""``toolgate check`` for machines, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from tests.config.support import GRANT, policy, written

WARNED = GRANT.replace("[github]", "[github, githb]")
WRONG = policy("    - {name: a, when: agent.idd == 'x', then: deny}\n")


def check(path: Path, *options: str) -> Result:
    return CliRunner().invoke(toolgate, ["check", "-c", str(path), *options])


def sarif(path: Path) -> dict[str, Any]:
    log = json.loads(check(path, "--format", "sarif").stdout)
    assert (log["version"], log["$schema"].endswith("sarif-schema-2.1.0.json"), len(log["runs"])) == ("2.1.0", True, 1)
    run: dict[str, Any] = log["runs"][0]
    return run


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (GRANT, [], 0),
        (GRANT, ["--strict"], 0),
        (WARNED, [], 0),
        (WARNED, ["--strict"], 1),
        (WRONG, [], 1),
        (GRANT, ["--frmat"], 2),
    ],
)
def test_it_exits_as_its_help_says(text: str, options: list[str], code: int, form: str, tmp_path: Path) -> None:
    assert check(written(tmp_path, p=text), *options, "--format", form).exit_code == code


def test_a_strict_check_says_why_it_failed(tmp_path: Path) -> None:
    done = check(written(tmp_path, p=WARNED), "--strict")
    assert done.stderr.endswith("1 warning, and the check is strict\n")
    assert done.stdout == ""
    assert json.loads(check(written(tmp_path, p=WARNED), "--strict", "--format", "json").stdout)["ok"] is False


def test_json_names_the_kind_of_each_mistake(tmp_path: Path) -> None:
    report = json.loads(check(written(tmp_path, p=WRONG, q=WARNED), "--format", "json").stdout)
    kinds = {problem["kind"] for problem in (*report["errors"], *report["warnings"])}
    assert kinds == {"expression", "unmatched-tool", "duplicate-name"}


def test_sarif_has_a_result_for_each_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, **{"a b": WARNED + "---\n" + WRONG.partition("---\n")[2]})
    run = sarif(path.relative_to(tmp_path))
    assert run["tool"]["driver"]["name"] == "Toolgate"
    assert run["originalUriBaseIds"]["%SRCROOT%"]["uri"] == f"{tmp_path.resolve().as_uri()}/"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["expression", "unmatched-tool"]
    assert all(rule["shortDescription"]["text"] for rule in rules)
    assert [(one["level"], one["ruleId"], rules[one["ruleIndex"]]["id"]) for one in run["results"]] == [
        ("error", "expression", "expression"),
        ("warning", "unmatched-tool", "unmatched-tool"),
    ]
    error = run["results"][0]
    assert error["message"]["text"] == "unknown variable agent.idd (did you mean agent.id?)"
    assert error["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "policies/a%20b.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 11, "startColumn": 23},
            }
        }
    ]


def test_sarif_of_a_sound_configuration_has_no_results(tmp_path: Path) -> None:
    run = sarif(written(tmp_path))
    assert (run["results"], run["tool"]["driver"]["rules"], run["columnKind"]) == ([], [], "unicodeCodePoints")


def test_sarif_has_no_region_where_no_place_is_known(tmp_path: Path) -> None:
    (result,) = sarif(tmp_path / "missing.yaml")["results"]
    assert result["ruleId"] == "unreadable"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": (tmp_path / "missing.yaml").as_uri()}}


def test_of_wrong_syntax_in_a_policy_the_line_is_shown(tmp_path: Path) -> None:
    done = check(written(tmp_path, p=GRANT + "more: {agents: [a}\n"))
    assert "  5 | more: {agents: [a}\n    |                ^\n" in done.stderr


def test_of_wrong_syntax_in_a_configuration_no_line_is_shown(tmp_path: Path) -> None:
    done = check(written(tmp_path, "tools:\n  github: {credential: hunter2, url: [a}\n"))
    assert "toolgate.yaml:2:38: error: the list that opens" in done.stderr
    assert "hunter2" not in done.stderr
