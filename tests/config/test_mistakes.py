"""Golden messages: every class of mistake, with its place and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.config.load import load
from gateway.errors import ConfigError
from tests.config.support import CONFIG, GRANT, policy, told, written

HERE = Path(__file__).parent


def cases(name: str) -> list[object]:
    entries = yaml.safe_load((HERE / name).read_text())
    return [pytest.param(entry["text"], entry["told"], id=entry["name"]) for entry in entries]


@pytest.mark.parametrize(("text", "expected"), cases("mistakes_config.yaml"))
def test_a_mistake_in_the_configuration(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOPE", raising=False)
    assert told(written(tmp_path, text)) == expected


@pytest.mark.parametrize(("text", "expected"), cases("mistakes_policies.yaml"))
def test_a_mistake_in_a_policy(text: str, expected: list[str], tmp_path: Path) -> None:
    assert told(written(tmp_path, p=text)) == expected


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        CONFIG + "plicies: x\nwire: {max_headers: many}\n",
        a=policy("    - {name: a, when: agent.idd == 'x', then: deny}\n    - {name: b, when: 'true', then: block}\n"),
        b=policy("    - {name: a, when: agent.idd == 'x', then: deny}\n")
        .replace("name: all", "name: q")
        .replace("name: p", "name: q"),
        c="a: [\n",
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        "toolgate.yaml:3:1: unknown key 'plicies' (did you mean policies?)",
        "toolgate.yaml:4:21: wire.max_headers: must be a whole number, not 'many'",
        "policies/a.yaml:11:23: unknown variable agent.idd (did you mean agent.id?)",
        (
            "policies/a.yaml:12:37: spec.rules[1].then: "
            "must be deny, approve, redact, truncate, strip, wrap, label or warn, not 'block'"
        ),
        "policies/b.yaml:11:23: unknown variable agent.idd (did you mean agent.id?)",
        "policies/c.yaml:2:1: a value is missing here (write one, or close the [ or { above)",
    ]


def test_expressions_beside_mistakes_of_shape_are_checked_in_the_same_go(tmp_path: Path) -> None:
    rules = (
        "    - {name: a b, when: agent.idd == 'x', then: deny}\n"
        "    - {when: true, then: deny, message: 3, messageExpression: agnt.id}\n"
        "    - {name: c, whn: 'true', then: deny, mode: audit}\n"
        "    - {name: d, when: size(agent.id), then: deny}\n"
    )
    assert told(written(tmp_path, p=policy(rules, "  failurePolicy: Maybe\n"))) == [
        "policies/p.yaml:10:18: spec.failurePolicy: must be Fail or Ignore, not 'Maybe'",
        (
            "policies/p.yaml:12:14: spec.rules[0].name: 'a b' is not a name (write letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit)"
        ),
        "policies/p.yaml:12:25: unknown variable agent.idd (did you mean agent.id?)",
        (
            "policies/p.yaml:13:7: spec.rules[1].name is missing (add name: unique in its policy; shown in traces and "
            "refusals as POLICY/RULE)"
        ),
        'policies/p.yaml:13:14: spec.rules[1].when: must be text, not true (write "true" in quotes)',
        'policies/p.yaml:13:41: spec.rules[1].message: must be text, not 3 (write "3" in quotes)',
        "policies/p.yaml:13:63: unknown variable agnt.id (did you mean agent.id?)",
        (
            "policies/p.yaml:14:7: spec.rules[2].when is missing (add when: a CEL expression that is true or false, at "
            "most 4096 characters)"
        ),
        "policies/p.yaml:14:17: unknown key 'whn' in spec.rules[2] (did you mean when?)",
        "policies/p.yaml:14:48: spec.rules[2].mode: must be Enforce, Audit or Warn, not 'audit' (did you mean Audit?)",
        "policies/p.yaml:15:23: when must give a bool, not int",
    ]


@pytest.mark.parametrize(
    "credential",
    [
        '{header: A, value: "${env:TOKEN}\\n"}',
        "{header: A, value: 4711081547}",
        "{header: A, value: 4711081547, extra: 1}",
        "[4711081547]",
        "{header: A, value: [4711081547]}",
    ],
)
def test_messages_and_excerpts_betray_no_secret(
    credential: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "4711081547")
    config = f'tools:\n  github:\n    url: "http://a"\n    credential: {credential}\n'
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, config))
    for problem in caught.value.problems:
        assert "4711081547" not in str(problem) + getattr(problem, "excerpt", "")


@pytest.mark.parametrize(
    "config",
    [
        'tools: {x: {url: "http://a", credential: {header: A, value: SECRET}, bogus: 1}}',
        'tools: {x: {url: "http://a"}}\nadmin: {listen: nonsense, token: "SECRET-SECRET-SECRET"}',
        'tools: {x: {url: "http://a"}}\naudit: {bogus: 1, key: "SECRET-SECRET-SECRET-SECRET-SECRET-SECRET"}',
        'tools: {x: {url: "http://a"}}\nlineage: {key: SECRET}',
        'tools: {x: {url: "http://a"}}\ntrace: {otlp: {endpoint: "http://b", headers: {a: SECRET}, bogus: 1}}',
        'tools: {x: {url: "http://a", credential: {header: A, value: "one\n  SECRET"}, bogus: 1}}',
    ],
)
def test_a_mistake_beside_a_secret_does_not_show_it(config: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, config))
    assert caught.value.problems
    for problem in caught.value.problems:
        assert "SECRET" not in str(problem) + getattr(problem, "excerpt", "")


def test_a_mistake_beside_the_reference_of_a_secret_shows_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "4711081547")
    config = 'tools: {x: {url: "http://a", credential: {header: A, value: "${env:TOKEN}"}, bogus: 1}}'
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, config))
    (shown,) = [getattr(problem, "excerpt", "") for problem in caught.value.problems]
    assert "${env:TOKEN}" in shown
    assert "4711081547" not in shown


def test_messages_show_a_reference_and_not_what_it_stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "ftp://hidden.example")
    (message,) = told(written(tmp_path, "tools: {a: {url: '${env:WHERE}'}}\n", a="# nothing\n"))
    assert message.startswith("toolgate.yaml:1:18: tools.a.url: not a URL: '${env:WHERE}'")


def test_a_problem_shows_its_line_with_a_caret_below_the_place(tmp_path: Path) -> None:
    path = written(tmp_path, a=policy("    - name: a\n      when: agent.idd == 'x'\n      then: deny\n"))
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert getattr(problem, "excerpt", "") == "  12 |       when: agent.idd == 'x'\n     |             ^"


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    assert told(tmp_path / "none.yaml") == ["none.yaml: cannot be read: No such file or directory (check the path)"]
    path = written(tmp_path)
    (tmp_path / "policies" / "bad.yaml").write_bytes(GRANT.encode() + b"# \xff\n")
    assert told(path) == ["policies/bad.yaml:5:3: this is not UTF-8 text (save the file as UTF-8)"]
