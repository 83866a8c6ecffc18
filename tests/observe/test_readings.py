"""What rules read is on record as openly as the record itself, and no more so."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Findings, Mode, Outcome, Permit, Reason, Refusal, Spoke, Verdict
from gateway.observe.keeping import NOTHING, keeping
from gateway.observe.readings import LONGEST, read_by
from gateway.observe.trace import record_of
from gateway.policy.redaction import MASK
from tests.observe.support import trace
from tests.policy.support import book_of, call_to, policy

KEPT = keeping(True, ["*password*", "card.*"], [], 10_000)


def said(*read, **changes) -> Spoke:
    one = Spoke("p", "r", Verdict.DENY, Mode.ENFORCE, read=tuple(read))
    return structs.replace(one, **changes)


def told(settings, *read, others=()):
    one = said(*read)
    return read_by(one, (one, *others), settings)


OPEN = [(("agent.id", ()), "ann"), (("run.labels", ()), ["x"]), (("budget.remaining_usd", ()), 2.5)]


def test_who_calls_what_is_always_told():
    assert told(NOTHING, *OPEN) == {"agent.id": "ann", "run.labels": ["x"], "budget.remaining_usd": 2.5}


@pytest.mark.parametrize("name", ["args", "result", "proposal.args"])
def test_arguments_and_results_are_told_only_where_they_are_kept(name):
    read = ((name, ("amount",)), 900)
    assert told(NOTHING, read) == {}
    assert told(KEPT, read) == {f"{name}.amount": 900}


@pytest.mark.parametrize("name", ["llm.system", "llm.messages", "llm.proposed", "request.headers", "unheard.of"])
def test_prompts_and_headers_are_never_told(name):
    assert told(KEPT, ((name, ()), ["secret"])) == {}


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (("password",), "s3cret", MASK),
        (("login", "Password2"), "s3cret", MASK),
        (("login",), {"password": "s3cret", "user": "ann"}, {"password": MASK, "user": "ann"}),
        ((), {"login": [{"password": "s3cret"}]}, {"login": [{"password": MASK}]}),
        (("card", "number"), "4111", MASK),
        (("card",), {"number": "4111"}, {"number": MASK}),
        (("missing",), None, None),
    ],
)
@pytest.mark.parametrize("name", ["args", "result"])
def test_secrets_are_masked_by_their_names(name, path, value, shown):
    assert told(KEPT, ((name, path), value)) == {".".join((name, *path)): shown}


@pytest.mark.parametrize(
    ("fields", "path", "value", "shown"),
    [
        (("args.a.b",), ("a", "b"), "x", MASK),
        (("args.a",), ("a", "b"), "x", MASK),
        (("args.a.b",), ("a",), {"b": "x", "c": 1}, {"b": MASK, "c": 1}),
        (("args.*",), ("a",), "x", MASK),
        (("args.items.*.n",), ("items",), [{"n": 1}, {"m": 2}], [{"n": MASK}, {"m": 2}]),
        (("result.a",), ("a",), "x", "x"),
    ],
)
def test_what_one_rule_masks_another_rule_has_not_shown(fields, path, value, shown):
    masks = said(fields=fields, verdict=Verdict.REDACT)
    assert told(KEPT, (("args", path), value), others=(masks,)) == {".".join(("args", *path)): shown}
    watching = structs.replace(masks, mode=Mode.AUDIT)
    assert told(KEPT, (("args", path), value), others=(watching,)) == {".".join(("args", *path)): value}


def test_the_query_is_only_told_to_have_been_read():
    assert told(KEPT, (("request.query", ()), "token=s3cret")) == {"request.query": MASK}


def test_long_values_are_cut_and_what_no_json_holds_is_masked():
    (cut,) = told(KEPT, (("args", ("a",)), "x" * 5000)).values()
    assert len(cut) == LONGEST + 3
    assert told(KEPT, (("args", ("a",)), "\ud800"), (("args", ("b",)), 1 << 70)) == {"args.a": MASK, "args.b": MASK}


VALUES = st.recursive(
    st.text(max_size=5) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(VALUES, st.lists(st.text(max_size=5), max_size=3).map(tuple))
def test_whatever_was_read_makes_a_record(value, path):
    one = said((("args", path), value), (("result", path), value))
    made = trace(Refusal(Reason.POLICY_DENIED, 403, "", spoke=(one,)), Outcome(403, found=Findings(spoke=(one,))))
    orjson.dumps([rule["values"] for rule in record_of(made, KEPT)["rules"]])


def test_a_rule_that_speaks_has_read_what_its_condition_names():
    asked = call_to(args={"amount": 900, "note": "x"})
    book = book_of(policy("p", "args.amount > 500 && agent.id == 'pay-1'", "args.amount > 1000"))
    spoke = book.rules("bank", "POST /transfers").judge(asked)
    record = record_of(trace(Permit(asked, spoke=spoke)), KEPT)
    assert [rule["values"] for rule in record["rules"]] == [{"args.amount": 900, "agent.id": "pay-1"}]
