"""Globs over operations, and the index over them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.globs import OperationIndex, check_glob, glob_regex, sees_path

PATTERNS = st.text(alphabet="aG/ *?.", min_size=1, max_size=8)
NAMES = st.text(alphabet="aG/ .\n", max_size=8)


def reference(pattern: str, name: str) -> bool:
    return (
        re.fullmatch("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), name, re.DOTALL) is not None
    )


@given(PATTERNS, NAMES)
def test_a_glob_means_what_the_plain_translation_means(pattern: str, name: str) -> None:
    assert (glob_regex(pattern).fullmatch(name) is not None) == reference(pattern, name)


@given(st.lists(st.lists(PATTERNS, min_size=1, max_size=3), max_size=12), NAMES)
def test_the_index_finds_what_trying_each_finds_in_order(filed: list[list[str]], name: str) -> None:
    index = OperationIndex([(patterns, number) for number, patterns in enumerate(filed)])
    expected = tuple(n for n, patterns in enumerate(filed) if any(reference(p, name) for p in patterns))
    assert index.lookup(name) == expected


def test_the_index_keeps_the_order_however_numbers_hash() -> None:
    index = OperationIndex([(["a*"] if number in (1, 8) else ["z"], number) for number in range(9)])
    assert index.lookup("ab") == (1, 8)


def test_many_stars_do_not_backtrack() -> None:
    assert glob_regex("*a" * 30 + "b").fullmatch("a" * 20_000) is None


def test_character_classes_are_refused_rather_than_taken_literally() -> None:
    with pytest.raises(ValueError, match="one pattern for each case"):
        check_glob("GET /[ab]")


@pytest.mark.parametrize(
    ("pattern", "sees"),
    [("*", False), ("GET *", False), ("GET /*", True), ("GET /repos", True), ("*/admin", True), ("G* *", True)],
)
def test_only_star_and_method_star_are_blind_to_paths(pattern: str, sees: bool) -> None:
    assert sees_path(pattern) is sees
