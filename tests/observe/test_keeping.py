"""What a record keeps so that its call can be decided again, and what it must not keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from gateway.config.schema_record import SECRETS
from gateway.model import UNREAD, Agent, Call, Mode, Permit, Question, Reason, Refusal
from gateway.observe.keeping import Keeping, keeping
from gateway.observe.trace import line_of
from gateway.policy.redaction import MASK
from tests.builders import call, redacting, request

from .support import trace

ALL = keeping(True, SECRETS, ["X-Tenant", "X-Api-Key", "X-Absent"], 16 * 1024)


def kept(of: Call, settings: Keeping = ALL, *, permitted: bool = True) -> dict[str, Any]:
    decision = Permit(of) if permitted else Refusal(Reason.POLICY_DENIED, 403, "no")
    line = line_of(structs.replace(trace(decision), call=of, request=of.request), settings)
    record: dict[str, Any] = json.loads(line)
    return record


def test_arguments_are_kept_only_where_that_is_asked_for():
    of = call(args={"amount": 5}, target="/user?page=2")
    assert (kept(of)["args"], kept(of)["query"]) == ({"amount": 5}, "page=2")
    record = kept(of, Keeping())
    assert (record["args"], record["query"], record["headers"], record["masked"]) == (None, None, {}, [])


@pytest.mark.parametrize("permitted", [True, False])
def test_a_refused_call_keeps_its_arguments_too(permitted):
    assert kept(call(args={"amount": 5}), permitted=permitted)["args"] == {"amount": 5}


@pytest.mark.parametrize(("mode", "hidden"), [(Mode.ENFORCE, True), (Mode.AUDIT, False), (Mode.WARN, False)])
def test_what_a_rule_wanted_masked_is_not_kept_of_a_refused_call_either(mode, hidden):
    part = call(args={"iban": "DE1"})
    of = structs.replace(call(args={"iban": "DE1", "n": 1}, target="/user?iban=DE1"), parts=(part,))
    decision = Refusal(Reason.RATE_LIMITED, 429, "slow", spoke=(redacting("args.iban", mode=mode),))
    line = line_of(structs.replace(trace(decision), call=of), ALL)
    record = json.loads(line)
    assert (b"DE1" not in line) is hidden
    if hidden:
        assert record["args"] == {"iban": MASK, "n": 1}
        assert record["masked"] == ["args.iban", "request.query"]
        assert record["parts"][0]["masked"] == ["args.iban"]


def test_arguments_that_nobody_read_are_not_the_same_as_none():
    assert kept(structs.replace(call(), args=UNREAD))["args"] is None
    assert kept(structs.replace(call(), args={}))["args"] == {}


def test_secrets_are_masked_at_any_depth_and_named():
    args = {
        "Password": "x",
        "user": {"api_key": ["k"], "name": "Ann"},
        "cards": [{"cvv": 1}, {"cvv": 2}],
        "max_tokens": 5,
    }
    record = kept(call(args=args))
    assert record["args"] == {
        "Password": MASK, "user": {"api_key": MASK, "name": "Ann"},
        "cards": [{"cvv": MASK}, {"cvv": MASK}], "max_tokens": 5,
    }  # fmt: skip
    assert record["masked"] == ["args.Password", "args.user.api_key", "args.cards.0.cvv", "args.cards.1.cvv"]


def test_what_a_rule_has_redacted_counts_as_masked():
    assert kept(call(args={"ssn": MASK}))["masked"] == ["args.ssn"]


def test_ones_own_globs_replace_the_default():
    record = kept(call(args={"items": [{"ssn": 1}], "password": "x"}), keeping(True, ["items.*.SSN"], (), 1000))
    assert record["args"] == {"items": [{"ssn": MASK}], "password": "x"}


def test_arguments_over_the_limit_are_left_out_and_said_to_be():
    record = kept(call(args={"text": "x" * 100}), keeping(True, (), (), 100))
    assert (record["args"], record["masked"]) == (None, ["args"])


def test_arguments_that_no_json_can_hold_are_left_out():
    record = kept(call(args={"text": "\ud800"}))
    assert (record["args"], record["masked"]) == (None, ["args"])


def test_a_conversation_with_a_model_is_never_kept():
    of = structs.replace(call(args={"messages": ["s3cret"], "system": "s3cret", "n": 1}), facts={"llm.model": "m"})
    record = kept(of, keeping(True, (), (), 1000))
    assert record["args"] == {"messages": MASK, "system": MASK, "n": 1}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("token=s3cret&page=2", f"token={MASK}&page=2"),
        ("tok%65n=s3cret", f"tok%65n={MASK}"),
        ("page=2&flag", "page=2&flag"),
        ("x" * 20_000, MASK),
    ],
)
def test_secrets_in_the_query_are_masked(query, shown):
    record = kept(call(target=f"/user?{query}"))
    assert record["query"] == shown
    assert record["masked"] == ([] if shown == query else ["request.query"])


def test_headers_are_kept_by_name_and_secrets_among_them_masked():
    of = call(of=request(fields=[("X-Tenant", "acme"), ("X-Api-Key", "s3cret"), ("Cookie", "s3cret")]))
    record = kept(of)
    assert record["headers"] == {"x-tenant": "acme", "x-api-key": MASK, "x-absent": None}
    assert record["masked"] == ["request.headers.x-api-key"]


def test_the_header_that_an_agent_is_known_by_is_masked_whatever_its_name():
    of = call(of=request(fields=[("X-Tenant", "k3y")]), agent=Agent("a", (), "api_key", b"x-tenant"))
    assert kept(of)["headers"]["x-tenant"] == MASK


@pytest.mark.parametrize(
    ("flaw", "told"),
    [
        (Refusal(Reason.TOOL_CHANGED, 403, "changed", "pins"), ("tool_changed", 403, "pins", "changed")),
        (Question("pins", "new tool?"), ("approval_required", 403, "pins", "new tool?")),
    ],
)
def test_what_the_server_says_against_a_call_is_kept_even_where_something_else_refused_it(flaw, told):
    record = kept(structs.replace(call(), flaw=flaw), permitted=False)
    assert tuple(record["flaw"].values()) == told


def test_the_calls_of_a_batch_are_kept_one_by_one():
    parts = (structs.replace(call("add", args={"a": 1}), facts={"mcp.method": "tools/call"}), call("ping"))
    record = kept(structs.replace(call("batch"), parts=parts))
    assert [(part["operation"], part["args"]) for part in record["parts"]] == [("add", {"a": 1}), ("ping", {})]
    assert record["parts"][0]["facts"] == {"mcp.method": "tools/call"}
