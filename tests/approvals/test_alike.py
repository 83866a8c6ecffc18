"""Approvals that are alike, and what people said of such calls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.alike import MOST_PATHS, differing, groups, shape_of
from gateway.approvals.priority import DENIALS, VERDICTS
from gateway.approvals.similar import similar
from gateway.approvals.tallies import Tallies
from gateway.policy.fingerprints import canonical

from .asked import approval, payload, sample

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
arguments = st.dictionaries(st.text("ab", min_size=1, max_size=2), values, max_size=4)


def test_alike_is_the_same_rules_operation_and_roles_in_the_order_of_the_first():
    one, other, more = approval(), approval(operation="refund"), approval()
    assert [group.members for group in groups([one, other, more])] == [(one, more), (other,)]
    assert len(groups([approval(), approval(rules=("money/new",))])) == 2
    assert len(groups([approval(), approval(roles=("admin",))])) == 2


def test_calls_of_other_shapes_are_not_alike_where_shapes_are_known():
    one, other = approval(), approval()
    shapes = {one.id: shape_of(payload({"to": "a"})), other.id: shape_of(payload({"to": "a", "cc": "b"}))}
    assert len(groups([one, other], shapes)) == 2
    assert len(groups([one, other])) == 1


def test_a_shape_is_of_names_and_types_and_has_no_value_in_it():
    assert shape_of(payload({"to": "a", "n": 1})) == shape_of(payload({"n": 2.5, "to": "b"}))
    assert shape_of(payload({"n": 1})) != shape_of(payload({"n": "1"}))
    assert shape_of(payload({"n": True})) != shape_of(payload({"n": 1}))
    assert shape_of(payload({"l": [1]})) == shape_of(payload({"l": [1, 2, 3]}))
    assert shape_of(None) == shape_of(b"no JSON") == ""


@given(arguments, arguments)
def test_calls_differ_in_no_path_exactly_where_they_are_the_same(one, other):
    assert bool(differing([payload(one), payload(other)])) == (canonical(one) != canonical(other))


def test_the_paths_that_differ_are_told_those_that_are_missing_too():
    calls = [payload({"to": {"mail": "a"}, "n": 1}), payload({"to": {"mail": "b"}, "n": 1, "cc": "x"})]
    assert differing(calls) == ["args.cc", "args.to.mail"]


def test_an_agent_that_sends_very_many_arguments_is_not_compared_without_end():
    many = {f"k{number}": number for number in range(50 * MOST_PATHS)}
    assert len(differing([payload(many), payload({})])) <= MOST_PATHS + 1


def test_similar_calls_are_those_of_the_same_rule_and_operation_and_what_this_agent_got():
    tallies = Tallies()
    for one in (sample(), sample("deny", agent="other"), sample(operation="refund"), sample("deny", canary=True)):
        tallies.add(one)
    assert similar(approval(), tallies) == [
        {"rule": "money/large", "verdicts": {"approve": 1, "deny": 1}, "agent": {"approve": 1}}
    ]
    assert similar(approval(rules=("money/never",)), tallies) == [{"rule": "money/never", "verdicts": {}, "agent": {}}]


def test_the_chance_of_a_denial_moves_from_the_prior_to_what_people_said():
    tallies = Tallies()
    asked = approval()
    assert tallies.known(asked).deny_rate == DENIALS / VERDICTS
    for _ in range(40):
        tallies.add(sample("deny"))
    assert tallies.known(asked).deny_rate > 0.95
    stranger = approval(agent="new")
    assert 0.9 < tallies.known(stranger).deny_rate < tallies.known(asked).deny_rate
    for _ in range(40):
        tallies.add(sample("approve", agent="new"))
    assert tallies.known(stranger).deny_rate < 0.2


@given(st.lists(st.tuples(st.sampled_from(["approve", "deny", "edit"]), st.sampled_from("abc"), st.booleans())))
def test_samples_that_are_taken_out_again_leave_nothing(drawn):
    tallies = Tallies()
    made = [sample(verb, agent=agent, canary=canary) for verb, agent, canary in drawn]
    for one in made:
        tallies.add(one)
    for one in reversed(made):
        tallies.remove(one)
    assert len(tallies) == 0
