"""Guardrails in the configuration and in rules: what may be written, and what is said of what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import parts
from gateway.config.load import attempt, load
from tests.config.support import policy, told, written

CONFIG = """\
tools:
  github: {{url: "https://api.github.com"}}
guardrails:
  injection: {{url: "http://127.0.0.1:9/check", headers: {{x-key: {key}}}}}
"""


def rule(when: str) -> str:
    return policy(f"    - {{name: r, when: '{when}', then: deny}}\n")


def loaded(folder: Path, when: str, key: str = "hunter2-hunter2") -> Path:
    return written(folder, CONFIG.format(key=key), rules=rule(when))


def test_a_rule_that_reads_a_guardrail_of_the_configuration_loads(tmp_path: Path) -> None:
    assert told(loaded(tmp_path, "guardrail.injection.flagged && guardrail.injection.score > 0.5")) == []


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("guardrail.injektion.flagged", "there is no guardrail injektion in the configuration (configured are inj"),
        ('guardrail["injection"].flagged', "read by its name"),
        ("guardrail.exists(name, guardrail[name].flagged)", "read by its name"),
        ("guardrail.injection.blocked", "says nothing that is called blocked (there are flagged, score"),
    ],
)
def test_what_cannot_be_asked_is_told_with_its_place(tmp_path: Path, when: str, says: str) -> None:
    errors = told(loaded(tmp_path, when))
    assert any(says in error for error in errors), errors
    assert errors[0].startswith("policies/rules.yaml:11:24: ")


def test_keys_of_limits_cannot_read_guardrails(tmp_path: Path) -> None:
    path = loaded(tmp_path, "true")
    spec = "spec: {per: [string(guardrail.injection.score)], rate: 1/s}"
    limit = f"apiVersion: toolgate/v1\nkind: Limit\nmetadata: {{name: l}}\n{spec}\n"
    (tmp_path / "policies" / "limit.yaml").write_text(limit)
    assert any("known to rules of policies only" in error for error in told(path))


def test_keys_are_held_as_credentials_and_do_not_change_the_version(tmp_path: Path) -> None:
    first = load(loaded(tmp_path, "guardrail.injection.flagged"))
    assert ("guardrail injection", "hunter2-hunter2") in list(parts.credentials(first))
    assert load(loaded(tmp_path, "guardrail.injection.flagged", "another-key-altogether")).version == first.version


def test_no_mistake_shows_a_key(tmp_path: Path) -> None:
    config = CONFIG.format(key='"hunter2\\n"').replace("9/check", "9/check?x")
    made = attempt(written(tmp_path, config))
    assert made.errors
    assert not any("hunter2" in str(problem) + getattr(problem, "shown", "") for problem in made.errors)
