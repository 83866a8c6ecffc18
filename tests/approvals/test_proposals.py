"""From one call to calls like it: what is proposed is CEL for both engines, true of the call, and each wider."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.approvals.matching import check_when, is_true
from gateway.approvals.proposals import MOST, Proposal, proposals
from gateway.model import DEFAULT_TERMS, Approval, Held
from gateway.policy.engines import ENGINES, load_engine
from tests.approvals.bench import payload, transfer

BOTH = [load_engine(name) for name in ENGINES]


def proposed(args: dict[str, Any] | None, *read: str, **shown: Any) -> tuple[Proposal, ...]:
    """What is proposed for a call with these arguments, of which the rule read these paths."""
    held = (Held("payments/large", "", tuple([(path, None) for path in read])),)
    operation = shown.pop("operation", "POST /transfers")
    approval = Approval(
        "apr-1",
        "b",
        "agent-1",
        (),
        "run-1",
        ("agent-1", "run-1"),
        "bank",
        operation,
        "v1",
        held,
        DEFAULT_TERMS,
        0.0,
        1.0,
    )
    return proposals(approval, payload(args, **shown))


def matches(when: str, args: dict[str, Any], engine: Any = BOTH[0]) -> bool:
    return is_true(engine, check_when(engine, when), structs.replace(transfer(), args=args))


def test_numbers_are_bounded_texts_stay_and_addresses_keep_their_domain() -> None:
    args = {"amount": 500, "currency": "EUR", "to": "a@example.org", "note": "x"}
    found = proposed(args, "args.amount", "args.currency", "args.to")
    domain = 'args.to.endsWith("@example.org") && args.to.matches("^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$")'
    assert {one.name: one.when for one in found} == {
        "narrow": 'args.amount >= 0 && args.amount <= 500 && args.currency == "EUR" && args.to == "a@example.org"'
        ' && args.note == "x"',
        "middle": f'args.amount >= 0 && args.amount <= 500 && args.currency == "EUR" && {domain}',
        "wide": f"args.amount >= 0 && args.amount <= 500 && {domain}",
    }
    assert found[1].about == (
        "args.amount is from 0 to 500",
        'args.currency is "EUR"',
        "args.to is an address at example.org",
    )


@pytest.mark.parametrize("engine", BOTH, ids=ENGINES)
@pytest.mark.parametrize(
    ("value", "like", "unlike"),
    [
        (500, [0, 1, 499, 500], [501, -1, "500", None]),
        (2.5, [0.0, 2.5], [2.6, -0.1, "2"]),
        (-5, [-5, -6], [-4, "x"]),
        ("a@example.org", ["b.c+d@example.org"], ["b@example.org.eve.net", "b@eve.net", "b@eve.net,a@example.org",
            "<b@example.org>", "b@example.org\n", "x\nb@example.org", "b@eve.net?@example.org", "@example.org", 7]),
        ("https://api.example.org/a?b", ["https://api.example.org/", "https://API.example.org:8443/x"],
            ["http://api.example.org/", "https://api.example.org.eve.net/", "https://eve.net/@api.example.org",
             "https://api.example.org@eve.net/", "https://eve.net#@api.example.org", "api.example.org", 1]),
        (["a@example.org", "b@example.org"], [["c@example.org"], []],
            [["c@example.org", "d@eve.net"], "c@example.org"]),
        (["x", "y"], [["y"], ["x", "x"]], [["z"], ["x", "z"], "x", {"x": 1}]),
        (True, [True], [False, "true"]),
        (None, [None], [False, "", 0]),
        ("plain", ["plain"], ["Plain", "plain ", ["plain"]]),
    ],
)  # fmt: skip
def test_the_widest_that_speaks_of_it_generalises_sanely(
    engine: Any, value: Any, like: list[Any], unlike: list[Any]
) -> None:
    found = [one for one in proposed({"x": value}, "args.x") if one.when != "true"]
    assert matches(found[0].when, {"x": value}, engine)
    wide = next(one for one in reversed(found) if one.name != "wide" or "args.x" in one.when)
    for other in like:
        assert matches(wide.when, {"x": other}, engine), other
    for other in unlike:
        assert not matches(wide.when, {"x": other}, engine), other


def test_what_no_rule_read_stays_the_same_in_the_narrow_one_unless_it_is_prose() -> None:
    args = {"amount": 500, "to": "a@example.org", "text": "Dear Ada, " * 20, "urgent": True, "meta": {"a": 1}}
    narrow, middle = proposed(args, "args.amount")
    assert narrow.when == 'args.amount >= 0 && args.amount <= 500 && args.to == "a@example.org" && args.urgent == true'
    assert middle.when == "args.amount >= 0 && args.amount <= 500"


def test_where_rules_read_no_arguments_all_of_them_matter() -> None:
    narrow, wide = proposed({"id": "7", "force": True})
    assert narrow.when == 'args.id == "7" && args.force == true'
    assert wide.when == "args.force == true"


def test_where_nothing_is_left_to_say_the_widest_is_every_call_of_the_operation() -> None:
    found = proposed({"id": "7"}, "args.id")
    assert [one.when for one in found] == ['args.id == "7"', "true"]
    assert found[1].about == ("every call of POST /transfers that these rules hold",)


def test_what_a_rule_looked_for_and_did_not_find_stays_away() -> None:
    found = proposed({"amount": 1}, "args.amount", "args.cc", "args.options.force")
    for one in found:
        assert matches(one.when, {"amount": 1})
        assert not matches(one.when, {"amount": 1, "cc": "eve"})
        assert not matches(one.when, {"amount": 1, "options": {"force": True}})


def test_objects_are_told_member_by_member() -> None:
    narrow, *_ = proposed({"card": {"number": "4", "odd name": [1, 2], "in": {"a": True}}}, "args.card")
    assert narrow.when == 'args.card.number == "4" && args.card["odd name"] == [1, 2] && args.card["in"].a == true'


def test_the_path_counts_where_the_operation_is_a_template() -> None:
    found = proposed({"x": 1}, "args.x", operation="PUT /users/{id}", target="/users/a%20b?x=1")
    assert found[0].when == 'request.path == "/users/a b" && args.x >= 0 && args.x <= 1'
    assert "request.path" not in found[-1].when


def test_a_call_of_which_nothing_was_read_is_told_by_its_query_and_path() -> None:
    found = proposed(None, operation="DELETE /users/{id}", target="/users/7?force=1")
    assert [one.when for one in found] == ['request.path == "/users/7" && request.query == "force=1"', "true"]


def test_what_cannot_be_written_is_not_proposed() -> None:
    assert [one.name for one in proposed({"x": "y" * 5000, "amount": 5}, "args.x", "args.amount")] == ["wide"]
    assert proposed({f"x{number}": "y" for number in range(MOST + 1)})[0].when == "true"
    deep: dict[str, Any] = {"x": 1}
    for _ in range(10):
        deep = {"a": deep}
    assert proposed(deep) == ()


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
PLACES = st.sampled_from(
    ["a@example.org", "https://example.org/x", "ftp://x", "http://[::1]:80/", "a@b", "://", "x@y@z.org"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 53), 1 << 53),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    TEXTS,
    PLACES,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
)
ARGS = st.dictionaries(TEXTS, VALUES, max_size=3)


@settings(max_examples=120)
@given(args=ARGS)
def test_whatever_the_call_what_is_proposed_is_true_of_it_for_both_engines(args: dict[str, Any]) -> None:
    for one in proposed(args):
        for engine in BOTH:
            assert matches(one.when, args, engine), (engine.name, one.when)


@settings(max_examples=100)
@given(args=ARGS, name=TEXTS, other=TEXTS)
def test_the_narrow_one_is_true_of_no_call_with_another_text(args: dict[str, Any], name: str, other: str) -> None:
    found = proposed(args)
    if found and found[0].name == "narrow" and isinstance(args.get(name), str) and args[name] != other:
        assert not matches(found[0].when, {**args, name: other})


@settings(max_examples=60)
@given(args=ARGS, others=ARGS)
def test_each_is_wider_than_the_one_before(args: dict[str, Any], others: dict[str, Any]) -> None:
    found = proposed(args)
    for call in (args, others, {**args, **others}):
        true = [matches(one.when, call) for one in found]
        assert true == sorted(true)
