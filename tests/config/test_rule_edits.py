"""Changes of one rule in the text of a policy file."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.rule_edits import NotFoundError, narrowed, refusing

FILE = """\
# Payments.
apiVersion: toolgate.dev/v1
kind: Grant
metadata: {name: pay}
---
apiVersion: toolgate.dev/v1
kind: Policy
metadata: {name: pay}
spec:
  rules:
    - name: plain   # the first
      when: args.amount > 500   # why
      then: approve  # ask
    - name: block
      when: |
        args.amount > 500 &&  // much
        args.to != "acme"

      then: "approve"
      message: It is a lot.
    - {name: flow, when: 'args.to == "it''s"', then: approve}
    - name: denies
      when: "true"
      then: deny
"""
UNLESS = 'tool.operation == "it\'s: # a \\"trap\\""'


def rules(text: str) -> dict[str, dict[str, str]]:
    return {rule["name"]: rule for rule in list(yaml.safe_load_all(text))[1]["spec"]["rules"]}


@pytest.mark.parametrize("name", ["plain", "block", "flow"])
def test_a_narrowed_rule_has_its_condition_and_the_exception_and_all_else_stays(name):
    text = narrowed(FILE, "pay", name, UNLESS)
    before, after = rules(FILE), rules(text)
    condition = "".join(after[name].pop("when").split())
    old = "".join(before[name].pop("when").split())
    assert condition == f"({old})&&!({''.join(UNLESS.split())})"
    assert before == after
    kept = set(text.splitlines())
    assert [line for line in FILE.splitlines() if line not in kept and "when" not in line and "args." not in line] == []


@pytest.mark.parametrize("name", ["plain", "block", "flow"])
def test_a_rule_that_refuses_instead_of_asking_is_one_word(name):
    text = refusing(FILE, "pay", name)
    before, after = rules(FILE), rules(text)
    assert after[name].pop("then") == "deny"
    assert before[name].pop("then") == "approve"
    assert before == after
    assert len(text.splitlines()) == len(FILE.splitlines())


def test_a_comment_of_the_expression_does_not_swallow_the_exception():
    assert "// much\n" in narrowed(FILE, "pay", "block", UNLESS)


@pytest.mark.parametrize(("policy", "name"), [("pay", "denies"), ("pay", "none"), ("other", "plain")])
def test_a_rule_that_is_not_there_or_does_not_ask_is_not_changed(policy, name):
    with pytest.raises(NotFoundError):
        narrowed(FILE, policy, name, UNLESS)
    with pytest.raises(NotFoundError):
        refusing(FILE, policy, name)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20))
def test_whatever_the_exception_says_the_file_reads_back_as_it(text):
    unless = f'agent.id == "{text}"'
    for name in ("plain", "block", "flow"):
        assert rules(narrowed(FILE, "pay", name, unless))[name]["when"].endswith(f"&& !({unless})")
