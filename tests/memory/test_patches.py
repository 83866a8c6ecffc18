"""JSON Merge Patch and JSON Patch: the examples of their RFCs, and what must not be made of them."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.memory.patches import MOST_STEPS, merged, patched
from gateway.memory.wrong import Wrong
from tests.memory.support import BOB, asking

MERGE, PATCH = {"Content-Type": "application/merge-patch+json"}, {"Content-Type": "application/json-patch+json"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_of_the_rfc(target: object, patch: object, result: object) -> None:
    assert merged(target, patch) == result


@given(JSON, JSON)
def test_a_merge_patch_made_twice_is_made_once_and_changes_only_its_result(target: object, patch: object) -> None:
    before = copy.deepcopy((target, patch))
    once = merged(target, patch)
    assert merged(once, patch) == once
    assert (target, patch) == before


def test_steps_are_made_in_order_and_a_test_that_fails_ends_them() -> None:
    steps = [{"op": "add", "path": "/l/-", "value": 2}, {"op": "move", "from": "/l", "path": "/m"}]
    assert patched({"l": [1]}, steps, 1000) == {"m": [1, 2]}
    with pytest.raises(Wrong, match="step 1"):
        patched({"a": 1}, [{"op": "remove", "path": "/a"}, {"op": "test", "path": "/a", "value": 1}], 1000)


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([{"op": "copy", "from": "", "path": "/a"}] * 50, 413),
        ([{"op": "test", "path": ""}] * (MOST_STEPS + 1), 400),
        ({"op": "test"}, 400),
        ([{"op": "teleport", "path": "/a"}], 422),
        ([{"op": "add", "path": 7, "value": 1}], 422),
        ([{"op": "add", "path": "/l/999", "value": 1}], 422),
        (["add"], 422),
        ([None], 422),
    ],
)
def test_steps_that_cannot_be_made_are_said(steps: object, status: int) -> None:
    with pytest.raises(Wrong) as wrong:
        patched({"l": [0] * 100}, steps, 1000)
    assert wrong.value.status == status


async def test_a_patch_has_the_conditions_of_a_write_and_the_labels_of_what_it_changes() -> None:
    async with asking() as agent:
        made = await agent.ask("PUT", "/team/k", {"from": "bob"}, by=BOB)
        assert (await agent.ask("PATCH", "/team/k", {"a": 1}, MERGE)).status == 428
        assert (await agent.ask("PATCH", "/team/k", {"a": 1}, {**MERGE, "If-Match": '"life1-9"'})).status == 412
        done = await agent.ask("PATCH", "/team/k", {"a": 1}, {**MERGE, "If-Match": made.etag})
        assert done.status == 200
        found = await agent.ask("GET", "/team/k")
        assert (found.json, found.labels) == ({"from": "bob", "a": 1}, "untrusted"), "it still says what bob wrote"
        step = [{"op": "replace", "path": "/a", "value": 2}]
        assert (await agent.ask("PATCH", "/team/k", step, {**PATCH, "If-Match": done.etag})).status == 200
        assert (await agent.ask("GET", "/team/k")).json == {"from": "bob", "a": 2}


async def test_what_cannot_be_patched() -> None:
    async with asking(team={"quotas": {"value": 50}}) as agent:
        assert (await agent.ask("PATCH", "/team/new", [], PATCH)).status == 404
        assert (await agent.ask("PATCH", "/team/new", {"a": 1}, MERGE)).status == 201
        await agent.ask("PUT", "/team/text", text="hello")
        assert (await agent.ask("PATCH", "/team/text", {"a": 1}, {**MERGE, "If-Match": "*"})).status == 422
        assert (await agent.ask("PATCH", "/team/new", {"a": 1}, {"If-Match": "*"})).status == 415
        large = {"b": "x" * 40}
        assert (await agent.ask("PATCH", "/team/new", large, {**MERGE, "If-Match": "*"})).status == 413


async def test_who_is_told_why_a_patch_fails_is_told_the_labels_of_what_stands() -> None:
    async with asking() as agent:
        await agent.ask("PUT", "/team/k", {"from": "a stranger"}, by=BOB)
        step = [{"op": "test", "path": "/from", "value": "?"}]
        told = await agent.ask("PATCH", "/team/k", step, {**PATCH, "If-Match": "*"})
        assert (told.status, told.labels) == (422, "untrusted")
        assert "a stranger" in told.json["detail"], "that is why"
