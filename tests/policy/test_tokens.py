"""Reading CEL's words without an engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.engine import EXPANDED_CAP, CelError
from gateway.policy.tokens import expand, place, references, tokenize

DECLARED = ("agent.id", "agent.roles", "args", "request.headers")


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ('agent.id == "args.x"', {"agent.id"}),
        ("\"agent.id\" == 'args'", set()),
        ("args.x // agent.id", {"args"}),
        ('r"\\" + args.x + "agent.id"', {"args"}),
        ('"""a " agent.id """ + args.b', {"args"}),
        ("agent // c\n . id", {"agent.id"}),
        (".agent.id == args.agent.id", {"agent.id", "args"}),
        ("agent.`id`", {"agent.id"}),
        ("agent.id.startsWith(args.prefix)", {"agent.id", "args"}),
        ("args(1)", set()),
        ("x.args == 1", set()),
        ("f(x).args == 1", set()),
        ('request.headers["agent.id"]', {"request.headers"}),
    ],
)
def test_references_are_what_the_code_reads_and_not_what_strings_say(source: str, used: set[str]) -> None:
    assert references(tokenize(source), DECLARED) == used


@given(st.text(max_size=200))
def test_tokens_never_fail_and_stand_where_they_say(source: str) -> None:
    for token in tokenize(source):
        assert source[token.start : token.end] == token.text


def test_places_count_lines_and_columns_from_1() -> None:
    assert place("ab\ncd", 4) == (2, 2)


@pytest.mark.parametrize(
    ("source", "expanded"),
    [
        ("variables.a", "(X\n)"),
        ("variables.a.b", "(X\n).b"),
        ("variables.a.size()", "(X\n).size()"),
        ('"variables.a" + variables.a', '"variables.a" + (X\n)'),
        ("variables.other", "variables.other"),
        ("my.variables.a", "my.variables.a"),
    ],
)
def test_variables_are_written_out_only_where_they_are_code(source: str, expanded: str) -> None:
    assert expand(source, {"a": "X"}) == expanded


def test_variables_that_double_each_other_stop_at_the_cap() -> None:
    texts = {"v0": "args.x"}
    with pytest.raises(CelError, match="written out"):
        for number in range(1, 40):
            texts[f"v{number}"] = expand(f"variables.v{number - 1} + variables.v{number - 1}", texts)
    assert max(map(len, texts.values())) <= EXPANDED_CAP
