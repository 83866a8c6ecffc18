"""``matches`` with a literal pattern is CEL's own, and only faster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.engine import DYN_MAP, STRING, CelError, EvaluationError

from .support import CPP

PIECES = st.sampled_from(
    ["a", "b", "B", ".", "*", "+", "?", "|", "(", ")", "[ab]", "[^a]", "^", "$", "(?i)", "{2,3}", "\\b", "é"]
)
PATTERNS = st.lists(PIECES, max_size=6).map("".join)
TEXTS = st.text(alphabet="abB é\n", max_size=12)
TYPES = {"text": STRING, "args": DYN_MAP}


def value_of(source: str, **bindings: Any) -> Any:
    try:
        return CPP.compile(source, TYPES).evaluate(CPP.activation({"text": "", "args": {}, **bindings}))
    except EvaluationError as error:
        return error.message


@given(PATTERNS, TEXTS)
def test_it_gives_what_cels_own_gives(pattern: str, text: str) -> None:
    """A pattern that is no literal is left to the engine; so is the function that is not a method."""
    literal = json.dumps(pattern, ensure_ascii=False)
    try:
        found = value_of(f"text.matches({literal})", text=text)
    except CelError:
        assert isinstance(value_of("text.matches(args.p)", text=text, args={"p": pattern}), str)
        return
    assert found is value_of(f"matches(text, {literal})", text=text)
    assert found is value_of("text.matches(args.p)", text=text, args={"p": pattern})


@pytest.mark.parametrize("value", [1, None, True, ["a"], {"a": "a"}])
def test_what_is_no_text_fails_as_it_does_in_cels_own(value: Any) -> None:
    assert value_of('args.v.matches("a")', args={"v": value}) == value_of(
        "args.v.matches(string(args.p))", args={"v": value, "p": "a"}
    )


@pytest.mark.parametrize(
    ("source", "words", "column"),
    [
        ('text.matches("(")', "missing )", 14),
        ('1.matches("a")', "matches cannot be applied", 10),
        ('  text.matches("a") && text.nothing', "", 26),
        ("text.matches(b'a')", "matches cannot be applied", 13),
    ],
)
def test_mistakes_are_told_of_matches_and_at_their_place(source: str, words: str, column: int) -> None:
    with pytest.raises(CelError) as caught:
        CPP.compile(source, TYPES)
    assert words in caught.value.message
    assert "_matches" not in caught.value.message
    assert abs(caught.value.column - column) <= 3
