"""``json()``, ``glob()`` and ``texts()``."""

from __future__ import annotations

import json as standard
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.functions_text import TEXTS_CAP, FunctionError, glob, json, texts

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text().filter(lambda text: "\0" not in text),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(min_codepoint=1)), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_json_gives_what_was_written(value: Any) -> None:
    assert json(standard.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{} x", "trailing"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 1, "a": 2}', "duplicate key"),
        ("[NaN]", "not JSON"),
        ("[Infinity]", "not JSON"),
        ("[1e999]", "range of a double"),
        ("[9007199254740993]", r"2\^53"),
        ("[-9007199254740993]", r"2\^53"),
        ("1" * 5000, "not JSON"),
        (r'["\ud800"]', "not JSON"),
        ("[\ud800]", "not JSON"),
        (r'["a\u0000b"]', r"U\+0000"),
        (r'[{"a\u0000b": 1}]', r"U\+0000"),
        ("[" * 10_000, "not JSON"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ('{"a":' * 65 + "1" + "}" * 65, "deeper than 64"),
        (" " * 65_537, "more than 65536"),
    ],
)
def test_json_that_reads_in_more_than_one_way_is_an_error(text: str, why: str) -> None:
    with pytest.raises(FunctionError, match=why):
        json(text)


def test_json_may_be_nested_as_deep_as_a_body() -> None:
    assert json("[" * 64 + "]" * 64) != []


@given(st.text(alphabet="ab/\n*", max_size=12), st.text(alphabet="ab/*?", max_size=8))
def test_glob_matches_as_its_regular_expression(text: str, pattern: str) -> None:
    expected = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    assert glob(text, pattern) is (re.fullmatch(expected, text, re.DOTALL) is not None)


def test_many_stars_over_a_long_text_end() -> None:
    assert not glob("a" * 65_000, "*a" * 127 + "b")
    assert glob("a" * 65_000, "*a" * 127)


@pytest.mark.parametrize(
    ("text", "pattern", "why"),
    [("a", "[a]", "character classes"), ("a" * 65_537, "*", "more than 65536"), ("a", "a" * 257, "more than 256")],
)
def test_a_glob_that_would_mislead_or_take_too_long_is_an_error(text: str, pattern: str, why: str) -> None:
    with pytest.raises(FunctionError, match=why):
        glob(text, pattern)


@given(VALUES)
def test_no_text_of_a_value_is_missing_from_its_texts(value: Any) -> None:
    def every(item: Any) -> set[str]:
        if isinstance(item, dict):
            return set(item) | every(list(item.values()))
        if isinstance(item, list):
            return {text for one in item for text in every(one)}
        return {item} if isinstance(item, str) else set()

    found = texts(value)
    assert every(value) <= set(found)
    assert all(text in every(value) or re.fullmatch("-?[0-9]+", text) for text in found)
    assert found == sorted(set(found))


def test_a_value_of_too_many_texts_is_an_error() -> None:
    many = [str(number) for number in range(TEXTS_CAP)]
    assert len(texts(many)) == TEXTS_CAP
    with pytest.raises(FunctionError, match="more than 4096 texts"):
        texts([*many, "one more"])
