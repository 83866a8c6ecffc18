"""Digests of tools, and what becomes of one that is not as approved."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.pins import Pin, Pins, digest_of, pinning
from gateway.understand.pins import Approvals, State

SEARCH = {
    "name": "search",
    "title": "Search",
    "description": "Finds documents — in any language: 文書.",
    "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
}
A, B = "a" * 64, "b" * 64

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(list(value))}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def approvals(file: dict[str, str] | None = None, **actions: Any) -> Approvals:
    pins = None if file is None else Pins("docs", {name: Pin(digest, {}) for name, digest in file.items()})
    return Approvals("docs", pinning(pins, **actions))


def test_the_digest_is_the_one_that_the_documentation_says() -> None:
    assert digest_of(SEARCH) == hashlib.sha256(rfc8785.dumps(SEARCH)).hexdigest()


@pytest.mark.parametrize("beyond", [2**53, -(2**64), "\ud800", {"\udc00": 1}])
def test_what_rfc_8785_cannot_write_is_told_apart_all_the_same(beyond: Any) -> None:
    """A schema with the bounds of a 64-bit integer is usual, and no reason to lose sight of a tool."""
    tool = SEARCH | {"inputSchema": {"maximum": beyond}}
    text = json.dumps(tool, sort_keys=True, separators=(",", ":"))
    assert digest_of(tool) == hashlib.sha256(text.encode()).hexdigest()
    assert digest_of(tool | {"description": "other"}) != digest_of(tool)


@given(st.dictionaries(st.sampled_from([*SEARCH, "x"]), json_values))
def test_the_order_of_names_does_not_matter(tool: dict[str, Any]) -> None:
    assert digest_of(reordered(tool)) == digest_of(tool)


@given(json_values, json_values)
def test_every_difference_in_a_schema_is_another_digest(one: Any, other: Any) -> None:
    def text(value: Any) -> str:
        return json.dumps(plain(value), sort_keys=True)

    def plain(value: Any) -> Any:
        """With 1.0 as 1: to JSON that is the same number."""
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    same = digest_of(SEARCH | {"inputSchema": one}) == digest_of(SEARCH | {"inputSchema": other})
    assert same == (text(one) == text(other))


@pytest.mark.parametrize("member", SEARCH)
def test_every_member_that_a_model_acts_on_is_covered(member: str) -> None:
    assert digest_of(SEARCH | {member: "other"}) != digest_of(SEARCH)


def test_icons_and_meta_are_not_covered_and_null_is_as_left_out() -> None:
    assert digest_of(SEARCH | {"icons": [1], "_meta": {"x": 1}}) == digest_of(SEARCH)
    assert digest_of({"name": "a", "title": None}) == digest_of({"name": "a"})


@given(st.text(st.characters(exclude_categories=[])))
def test_any_description_has_a_digest_also_with_lone_surrogates(text: str) -> None:
    assert len(digest_of({"name": "a", "description": text})) == 64


def test_without_a_file_what_is_seen_first_is_approved() -> None:
    trusting = approvals()
    assert trusting.unlisted("search") == "unknown"
    assert trusting.state("search", A) == "pinned"
    assert trusting.state("search", B) == "changed"
    assert trusting.verdict("search", "changed") == (
        "warn",
        "the definition of the tool 'search' of docs is not the one that was approved",
    )
    assert trusting.state("search", A) == "pinned"
    assert trusting.verdict("search", "pinned") == ("", "")


def test_without_a_file_a_tool_that_comes_after_a_whole_list_is_new_and_let_pass() -> None:
    trusting = approvals()
    trusting.state("search", A)
    trusting.settle()
    assert trusting.state("extra", A) == "new"
    assert trusting.state("search", A) == "pinned"
    assert trusting.verdict("extra", "new") == ("", "")


@pytest.mark.parametrize(
    ("name", "digest", "state", "action"),
    [
        ("search", A, "pinned", ""),
        ("search", B, "changed", "refuse"),
        ("search", "", "changed", "refuse"),
        ("extra", A, "new", "refuse"),
    ],
)
def test_with_a_file_only_what_it_says_is_approved(name: str, digest: str, state: State, action: str) -> None:
    strict = approvals({"search": A})
    assert strict.state(name, digest) == state
    assert strict.verdict(name, state)[0] == action


def test_with_a_file_a_tool_that_is_not_in_it_is_new_before_it_was_listed() -> None:
    strict = approvals({"search": A})
    assert (strict.unlisted("search"), strict.unlisted("extra")) == ("unknown", "new")


def test_what_becomes_of_changed_and_new_tools_can_be_chosen() -> None:
    chosen = approvals({"search": A}, changed="approve", new="warn")
    assert chosen.verdict("search", "changed")[0] == "approve"
    assert chosen.verdict("extra", "new") == ("warn", "the tool 'extra' of docs is not among those that were approved")
    assert approvals(None, new="refuse").verdict("extra", "new")[0] == "refuse"


def test_a_file_that_does_not_exist_yet_approves_nothing() -> None:
    strict = Approvals("docs", pinning(Pins("docs", exists=False)))
    assert strict.verdict("search", strict.state("search", A))[0] == "refuse"
