"""CEL as a tree: precedence as the specification has it, places, and no text that breaks the reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.syntax import Expr, parse, text_of


def shown(expr: Expr | None) -> str:
    """The tree as an s-expression."""
    if expr is None:
        return "unread"
    parts = " ".join(map(shown, expr.args))
    if expr.kind in ("literal", "name"):
        return expr.name
    return f"({expr.name or expr.kind} {parts})" if parts else f"({expr.name or expr.kind})"


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("a || b && c", "(|| a (&& b c))"),
        ("a && b && c || d", "(|| (&& a b c) d)"),
        ("a ? b : c ? d : e", "(?: a b (?: c d e))"),
        ("!a.b == -c", "(== (!x (b a)) (-x c))"),
        ("a + b - c + d", "(+ (- (+ a b) c) d)"),
        ("a + b + c", "(+ a b c)"),
        ("a * b % c", "(% (* a b) c)"),
        ("a in [1, 2u, 0xF, 2.5, true, null]", "(in a (list int uint int double bool null))"),
        ('{"a": 1, b: [c]}', "(map string int b (list c))"),
        ("a.b[0].c(d, e)", "(c ([] (b a) int) d e)"),
        ("f(a, )", "(f a)"),
        ("a < b", "(< a b)"),
        ("a >= b && c != d", "(&& (>= a b) (!= c d))"),
        ("a > -1", "(> a (-x int))"),
        ("(a || b) && c", "(&& (|| a b) c)"),
        ("a & b", "unread"),
        ("a b", "unread"),
        ("a.", "unread"),
        ("Message{a: 1}", "unread"),
        ("", "unread"),
        ("(" * 60 + "a" + ")" * 60, "unread"),
        ("!" * 60 + "a", "unread"),
    ],
)
def test_an_expression_has_the_tree_that_the_specification_says(source: str, tree: str) -> None:
    assert shown(parse(source)) == tree


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('"a b"', "a b"),
        ("'''a'b'''", "a'b"),
        (r"r'a\d'", r"a\d"),
        (r'"a\n"', None),
        ('b"a"', None),
        ('"bytes"', "bytes"),
        ("a", None),
    ],
)
def test_a_string_says_what_stands_in_it(source: str, said: str | None) -> None:
    tree = parse(source)
    assert tree is not None
    assert text_of(source, tree) == said


def test_every_part_knows_its_place() -> None:
    source = 'has(args.a) &&\n  args.b["c"] > 1'
    tree = parse(source)
    assert tree is not None
    comparison = tree.args[1]
    assert source[comparison.start : comparison.end] == 'args.b["c"] > 1'
    assert source[comparison.at] == ">"
    index = comparison.args[0]
    assert source[index.at : index.end] == '"c"]'


WORDS = st.sampled_from(
    ["a", "args", ".", "(", ")", "[", "]", "{", "}", ",", ":", "?", "&&", "||", "!", "-", "==", "in", '"x"', "1", " "]
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=400).map("".join)))
def test_no_text_breaks_the_reader_and_all_places_lie_in_it(source: str) -> None:
    pending = [tree] if (tree := parse(source)) is not None else []
    while pending:
        expr = pending.pop()
        assert 0 <= expr.start <= expr.at < expr.end <= len(source)
        assert all(expr.start <= part.start and part.end <= expr.end for part in expr.args)
        pending += expr.args
