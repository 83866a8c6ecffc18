"""Masks: where a path leads, a mask stands afterwards, and nothing else is touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.redaction import MASK, MOST_STEPS, check_field, redact, told

CASES: list[tuple[Any, str, Any]] = [
    ({"password": "x", "n": 1}, "args.password", {"password": MASK, "n": 1}),
    ({"a": {"b": {"c": [1]}}}, "args.a.b", {"a": {"b": MASK}}),
    ({"a": None}, "args.a", {"a": MASK}),
    ({"a": {"b": 1, "c": 2}}, "args.a.*", {"a": {"b": MASK, "c": MASK}}),
    ({"a": [1, [2]]}, "args.a.*", {"a": [MASK, MASK]}),
    ({"items": [{"ssn": 1}, {"n": 2}, 3]}, "args.items.*.ssn", {"items": [{"ssn": MASK}, {"n": 2}, 3]}),
    ({"items": [{"ssn": 1}]}, "args.items.ssn", {"items": [{"ssn": MASK}]}),
    ({"user": {"ssn": 1}}, "args.*.ssn", {"user": {"ssn": MASK}}),
    ({"a": [[{"b": 1}]]}, "args.a.b", {"a": [[{"b": MASK}]]}),
    ({"a": 1, "b": {}}, "args.*", {"a": MASK, "b": MASK}),
]
NOWHERE: list[tuple[Any, str]] = [
    ({}, "args.password"),
    ({"Password": "x"}, "args.password"),
    ({"a": "text"}, "args.a.b"),
    ({"a": "text"}, "args.a.*"),
    ({"a": [], "b": {}}, "args.a.*"),
    ({"a.b": 1}, "args.a.b"),
    ({"0": 1, "a": [1]}, "args.a.0"),
]


@pytest.mark.parametrize(("value", "field", "expected"), CASES)
def test_a_mask_stands_where_the_path_leads(value: Any, field: str, expected: Any) -> None:
    before = copy.deepcopy(value)
    assert redact(value, [field]) == (expected, (field,))
    assert value == before, "rules go on seeing what was there"


@pytest.mark.parametrize(("value", "field"), NOWHERE)
def test_a_path_that_leads_nowhere_does_nothing(value: Any, field: str) -> None:
    assert redact(value, [field]) == (value, ())


def test_only_the_fields_that_led_somewhere_are_told_and_each_once() -> None:
    fields = ["args.a", "args.b", "args.a", "args.c.d"]
    masked, led = redact({"a": 1, "c": {"d": 2, "e": 3}}, fields)
    assert masked == {"a": MASK, "c": {"d": MASK, "e": 3}}
    assert led == ("args.a", "args.c.d")
    assert told(led) == ("redacted args.a", "redacted args.c.d")


def test_a_mask_above_another_is_enough() -> None:
    assert redact({"a": {"b": 1}}, ["args.a", "args.a.b"]) == ({"a": MASK}, ("args.a",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=4).map(
    lambda steps: ".".join(["args", *steps])
)


def at(value: Any, steps: list[str]) -> list[Any]:
    """What stands at a path, told another way than the code does it."""
    if isinstance(value, list):
        return (
            [found for entry in value for found in at(entry, steps[1:] if steps[:1] == ["*"] else steps)]
            if steps
            else [value]
        )
    if not steps:
        return [value]
    if not isinstance(value, dict):
        return []
    return [found for name, item in value.items() if steps[0] in ("*", name) for found in at(item, steps[1:])]


@given(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), st.lists(PATHS, max_size=3))
def test_after_masking_nothing_but_masks_stands_where_any_path_leads(value: dict[str, Any], fields: list[str]) -> None:
    masked, led = redact(value, fields)
    for field in fields:
        assert all(found == MASK for found in at(masked, field.split(".")[1:]))
    assert set(led) <= set(fields)
    assert bool(led) == (masked != value) or MASK in str(value)
    assert redact(masked, fields)[0] == masked


@pytest.mark.parametrize("field", ["args.password", "result.items.*.ssn", "args.*", "args.card-number", "args.größe"])
def test_a_path_is_a_path(field: str) -> None:
    assert check_field(field) == field


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("password", "names no argument"),
        ("request.headers", "names no argument"),
        ("args", "is everything"),
        ("args.", "is no path"),
        ("args..a", "is no path"),
        ("args.a b", "is no path"),
        ("args.items[0]", "is no path"),
        ("args.a*", "not for a part"),
        ("args.**", "not for a part"),
        ("args" + ".a" * (MOST_STEPS + 1), f"more than {MOST_STEPS} steps"),
    ],
)
def test_what_is_no_path_is_told_in_words(field: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_field(field)
