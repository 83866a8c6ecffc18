"""The tree of what a call carries: rules' values stand out, and what does not fit is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.console.payload import FOLDED, MOST_LEAVES, Node, leaves, tree_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from nodes(child)


def test_what_a_rule_read_is_marked_and_open_and_what_is_deep_beside_it_is_not() -> None:
    padding = [{"x": {"y": number}} for number in range(100)]
    tree = tree_of({"a": {"b": {"c": {"to": "acme"}}}, "padding": padding}, "args", {"args.a.b.c.to"})
    found = {node.path: node for node in nodes(tree.root)}
    assert [path for path, node in found.items() if node.read] == ["args.a.b.c.to"]
    assert all(found[path].open for path in ("args", "args.a", "args.a.b", "args.a.b.c"))
    assert not found["args.padding.7.x"].open


def test_few_values_are_all_open() -> None:
    tree = tree_of({"a": [[[[1]]]]}, "args", set())
    assert all(node.open for node in nodes(tree.root))


def test_padding_does_not_push_out_what_a_rule_read() -> None:
    args = {**{f"p{number}": number for number in range(3 * MOST_LEAVES)}, "to": "XX66"}
    tree = tree_of(args, "args", {"args.to"})
    assert "args.to" in {node.path for node in nodes(tree.root)}
    assert tree.left == 2 * MOST_LEAVES + 1
    assert len(tree.root.children) == MOST_LEAVES


def test_a_long_text_is_folded_and_its_length_is_told() -> None:
    tree = tree_of({"text": "a" * 25_000}, "args", set())
    (text,) = tree.root.children
    assert text.size == 25_000
    assert len(text.shown) == FOLDED
    assert text.rest.endswith("(25000 characters in all)")


def test_suspicious_names_and_values_are_counted_for_the_whole() -> None:
    tree = tree_of({"na\u200bme": "раypal", "list": ["\u202e"]}, "args", set())
    assert (tree.suspects.hidden, tree.suspects.mixed) == (2, 1)


@given(JSON)
def test_every_value_is_in_the_tree_or_counted(value: Any) -> None:
    tree = tree_of(value, "args", set())
    ends = [node.path for node in nodes(tree.root) if not node.children]
    assert sorted(ends) == sorted(path for path, _ in leaves(value, "args"))
    assert tree.left == 0
