"""The record of a call."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Mode, Outcome, Permit, Reason, Refusal, Run, Spoke, Verdict
from gateway.observe import trace as trace_module
from gateway.observe.keeping import args_digest
from gateway.observe.placing import NOWHERE
from gateway.observe.trace import LONGEST, line_of, path_of, record_of

from .support import SPOKE, permit, refusal, trace


def test_an_allowed_call_is_recorded_with_its_guards_rules_and_timings():
    assert record_of(trace(permit())) == {
        "ts": "2023-11-14T22:13:20.123Z",
        "call": "c1",
        "run": "r1",
        "traceparent": "00-ab-cd-01",
        "trace_id": None,
        "span_id": None,
        "parent_span_id": None,
        "root": None,
        "led_by": None,
        "depth": 0,
        "lineage": None,
        "agent": "treasurer",
        "roles": ("finance",),
        "tool": "bank",
        "operation": "POST /transfers",
        "method": "POST",
        "path": "/bank/transfers",
        "decision": "allow",
        "reason": None,
        "rule": None,
        "detail": None,
        "grant": "payers",
        "rules": [
            {
                "policy": "payments",
                "rule": "large",
                "verdict": "deny",
                "mode": "Enforce",
                "message": "too large",
                "error": None,
                "label": None,
                "fields": (),
                "annotations": {},
                "outside_rollout": False,
                "quarantine": None,
                "values": {},
            }
        ],
        "proposed_by": None,
        "guards": [
            {
                "guard": "per-agent",
                "granted": True,
                "left": 4.0,
                "state": None,
                "retry_after": 0.0,
                "detail": None,
                "escalate": False,
                "budget": None,
            },
            {
                "guard": "bank",
                "granted": True,
                "left": 0.0,
                "state": "half-open",
                "retry_after": 0.0,
                "detail": None,
                "escalate": False,
                "budget": None,
            },
        ],
        "approval": None,
        "quarantines": [],
        "memory": [],
        "drift": None,
        "shifts": [],
        "reached": "answer",
        "status": 201,
        "upstream_status": 201,
        "fault": None,
        "error": None,
        "facts": {},
        "amendments": (),
        "why": None,
        "step": "tool_call",
        "labels": (),
        "is_error": None,
        "withheld": None,
        "proposed": [],
        "usage": None,
        "notes": [],
        "result": None,
        "cost_usd": None,
        "bytes_in": 10,
        "bytes_out": 20,
        "timings": {
            "read_ms": 0.0,
            "queue_ms": 250.0,
            "asked_ms": 0.0,
            "decide_ms": 250.0,
            "upstream_first_byte_ms": 30.0,
            "answer_ms": 400.0,
            "total_ms": 1000.0,
        },
        "policy_version": "v1",
        "size": 10,
        "clock": 100.0,
        "host": "localhost",
        "implied": False,
        "flaw": None,
        "args_digest": args_digest(permit().call, b""),
        "args": None,
        "query": None,
        "headers": {},
        "parts": [],
        "masked": [],
    }


def test_a_refused_call_says_why_and_has_no_upstream():
    record = record_of(trace(refusal(Reason.RATE_LIMITED), Outcome(429)))
    assert (record["decision"], record["reason"], record["rule"]) == ("refuse", "rate_limited", "payments/large")
    assert record["upstream_status"] is None
    assert record["timings"]["upstream_first_byte_ms"] is None


def test_a_rule_is_recorded_with_its_label_its_fields_and_its_annotations():
    notes = (("owner", "payments"), ("severity", "high"))
    said = (
        Spoke("tags", "paid", Verdict.LABEL, Mode.ENFORCE, label="paid", annotations=notes),
        Spoke("pii", "cards", Verdict.REDACT, Mode.AUDIT, fields=("args.card",), outside=True),
    )
    first, second = record_of(trace(structs.replace(permit(), spoke=said)))["rules"]
    assert (first["label"], first["fields"], first["outside_rollout"]) == ("paid", (), False)
    assert first["annotations"] == {"owner": "payments", "severity": "high"}
    assert (second["label"], second["fields"], second["outside_rollout"]) == (None, ("args.card",), True)


def test_a_call_abandoned_before_its_decision_has_none():
    record = record_of(trace(None, Outcome(499, fault="agent", error="gone")))
    assert record["decision"] is None
    assert (record["rules"], record["guards"], record["fault"]) == ([], [], "agent")


@pytest.mark.parametrize("decision", [None, permit(), refusal()])
def test_every_record_has_the_same_keys_and_the_module_names_each(decision):
    record = record_of(trace(decision))
    assert record.keys() == record_of(trace(permit())).keys()
    words = trace_module.__doc__.replace("_out", "bytes_out")
    assert [key for key in (*record, *record["timings"]) if key not in words] == []


def test_no_query_field_value_or_argument_reaches_the_record():
    assert b"s3cret" not in line_of(trace(permit()))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c=d", "/a/b"),
        ("/a%3Fb#x?y", "/a%3Fb"),
        ("*", "*"),
        ("http://me:pw@tool:81/a?b", "http://tool:81/a"),
        ("http://tool", "http://tool"),
        ("me:pw@tool:443", "tool:443"),
        ("tool:443", "tool:443"),
    ],
)
def test_the_path_is_kept_without_query_and_password(target, path):
    assert path_of(target) == path


@given(st.text(), st.text(max_size=50))
def test_any_text_makes_one_line_of_json(message, target):
    decision = Refusal(Reason.POLICY_DENIED, 403, message, spoke=(Spoke("p", "r", SPOKE.verdict, SPOKE.mode, message),))
    line = line_of(trace(decision, target="/" + target))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line)["decision"] == "refuse"


def test_a_lone_surrogate_does_not_lose_the_record():
    record = json.loads(line_of(trace(Refusal(Reason.POLICY_DENIED, 403, "a\ud800b"))))
    assert record["detail"] == "a?b"


def test_an_agent_cannot_make_a_line_as_long_as_its_request():
    record = record_of(trace(refusal(), target="/" + "x" * 60_000))
    assert len(record["path"]) == LONGEST


def test_a_permit_without_a_named_grant_has_null():
    assert record_of(trace(Permit(permit().call)))["grant"] is None


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_record_says_where_a_call_stands_in_its_trace_and_which_run_led_to_it():
    run = Run("r2", TRACEPARENT, root=("planner", "r1"), led=("planner", "r1"), depth=1, span="ab" * 8, lineage="token")
    told = ((b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01"), (b"baggage", b"a=b"))
    made = structs.replace(trace(permit()), run=run, call=structs.replace(permit().call, run=run, onward=told))
    record = orjson.loads(line_of(made))
    assert {key: record[key] for key in NOWHERE} == {
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "1111111111111111",
        "parent_span_id": "00f067aa0ba902b7",
        "root": {"agent": "planner", "run": "r1"},
        "led_by": {"agent": "planner", "run": "r1", "span_id": "ab" * 8},
        "depth": 1,
        "lineage": "token",
    }


def test_a_call_that_nobody_traces_has_only_the_ids_that_came():
    made = structs.replace(trace(permit()), run=Run("r2", TRACEPARENT))
    record = orjson.loads(line_of(made))
    assert record["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert record["parent_span_id"] == "00f067aa0ba902b7"
    assert [record[key] for key in ("span_id", "root", "led_by", "depth")] == [None, None, None, 0]
