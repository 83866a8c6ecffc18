"""What takes time to tell of a call is read only where an evaluation comes to it, once, and means the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import structs

from gateway.model import Call, Verdict
from gateway.policy.cel_expr import CelExpr
from gateway.policy.functions_flow import postpone
from gateway.policy.rules import CompiledRule, RuleSet
from gateway.policy.tokens import tokenize
from gateway.policy.variables import TYPES
from tests.builders import call

LED = 'tool.name == "nowhere" && size(flow.planted) > 0'
PLANTED = 'flow.planted.exists(each, each == "evil.com")'


class Asked:
    """Counts what is asked; ``leads`` are planted in each call."""

    def __init__(self, *leads: str) -> None:
        self.leads, self.asked = leads, list[str]()

    def planted(self, call: Call) -> Sequence[str]:
        self.asked.append("planted")
        return self.leads

    def unproven(self, call: Call) -> Sequence[str]:
        self.asked.append("unproven")
        return ()

    def origin(self, value: Any) -> dict[str, Any]:
        return {"trusted": value == "corp.com"}


def spoke(flow: Asked, *conditions: str) -> list[tuple[str, bool]]:
    """The rules that spoke, and whether they failed."""
    engine = CelExpr()
    rules = [
        CompiledRule("p", condition, condition, engine.compile(condition, TYPES), Verdict.DENY)
        for condition in conditions
    ]
    judged = RuleSet(rules, engine).judge(structs.replace(call(), flow=flow))
    return [(said.rule, bool(said.error)) for said in judged]


def test_what_no_evaluation_comes_to_is_not_read() -> None:
    flow = Asked("evil.com")
    assert spoke(flow, LED) == spoke(flow, LED, "false && size(flow.unproven) > 0") == []
    assert flow.asked == []


def test_what_several_rules_read_is_read_once() -> None:
    flow = Asked("corp.com")
    assert spoke(flow, PLANTED, "size(flow.planted) > 1", "flow.planted.exists(each, !origin(each).trusted)") == []
    assert flow.asked == ["planted"]


def test_rules_speak_as_if_it_had_been_read_before() -> None:
    assert spoke(Asked("evil.com"), PLANTED, LED) == [(PLANTED, False)]
    assert spoke(Asked("evil.com"), PLANTED) == [(PLANTED, False)]
    assert spoke(Asked("corp.com"), "flow.planted[1] == ''", LED) == [("flow.planted[1] == ''", True)]


def test_each_call_has_its_own() -> None:
    engine = CelExpr()
    rules = RuleSet([CompiledRule("p", "r", PLANTED, engine.compile(PLANTED, TYPES), Verdict.DENY)], engine)
    found = [bool(rules.judge(structs.replace(call(), flow=Asked(lead)))) for lead in ("corp.com", "evil.com", "x")]
    assert found == [False, True, False]


@pytest.mark.parametrize("conditions", [(PLANTED,), (PLANTED, LED)])
def test_a_text_that_would_be_cut_fails_closed(conditions: tuple[str, ...]) -> None:
    assert (PLANTED, True) in spoke(Asked("corp.com\0.evil.com"), *conditions)


@pytest.mark.parametrize(
    "source", ["x.flow.planted", '"flow.planted"', "flow.labels", "[1].exists(flow, flow > 0)", "flow.planted_by"]
)
def test_what_only_looks_like_it_stays(source: str) -> None:
    assert postpone(source, tokenize(source)) == source


def test_what_follows_a_variable_stays_behind_its_function() -> None:
    source = "size(flow.unproven)>0||flow.planted . exists(a,a=='')"
    written = "size(_flow_unproven(flow.followed))>0||_flow_planted(flow.followed) . exists(a,a=='')"
    assert postpone(source, tokenize(source)) == written
