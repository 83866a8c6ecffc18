"""What the demo prints."""

from __future__ import annotations

import pytest

from gateway.demo.table import (
    ALLOWED,
    FAILED,
    HELD,
    PARTLY,
    REFUSED,
    SHORTED,
    THROTTLED,
    WAITING,
    Seen,
    Table,
    outcome_of,
    why,
)

WITHHELD = {"reason": "policy_denied", "rule": "proposals/p", "detail": "not that one"}


def record(queue: float = 0.0, rules: tuple[dict, ...] = (), **other: object) -> dict:
    return {
        "decision": "allow",
        "grant": "research",
        "guards": [{"guard": "pace", "left": 2.96, "state": None}, {"guard": "health", "left": 0, "state": "probe"}],
        "rules": list(rules),
        "timings": {"queue_ms": queue, "decide_ms": 0.123, "upstream_first_byte_ms": 1.26, "total_ms": 2.0},
        "withheld": None,
        "fault": None,
        "amendments": [],
        "usage": None,
        "cost_usd": None,
        **other,
    }


def refused(reason: str, retry_after: str = "", rule: str = "limit/x") -> Seen:
    problem = {"reason": reason, "rule": rule, "detail": "the detail", "advice": "wait"}
    return Seen("a", "GET /x", 403, "c1", problem, retry_after=retry_after)


@pytest.mark.parametrize(
    ("seen", "trace", "outcome"),
    [
        (Seen("a", "GET /x", 200, "c"), record(), ALLOWED),
        (Seen("a", "GET /x", 200, "c"), {}, ALLOWED),
        (Seen("a", "GET /x", 200, "c"), record(queue=200), HELD),
        (Seen("a", "GET /x", 404, "c"), record(), ALLOWED),
        (Seen("a", "GET /x", 200, "c"), record(withheld=WITHHELD), PARTLY),
        (Seen("a", "GET /x", 503, "c"), record(), FAILED),
        (refused("rate_limited"), record(), THROTTLED),
        (refused("circuit_open"), {}, SHORTED),
        (refused("approval_pending"), {}, WAITING),
        (refused("policy_denied"), {}, REFUSED),
    ],
)
def test_the_outcome_of_a_call(seen, trace, outcome):
    assert outcome_of(seen, trace) == outcome


def test_an_allowed_call_shows_grant_guards_and_times():
    assert why(Seen("a", "GET /x", 200, "c"), record(queue=200)) == [
        "grant research, pace: 3 left, health: probe, held back 200 ms, decided in 0.12 ms, tool took 1.3 ms"
    ]


def test_a_refused_call_shows_reason_rule_detail_advice_wait_and_what_the_guards_said():
    trace = {**record(), "decision": "refuse", "grant": None}
    trace["timings"]["upstream_first_byte_ms"] = None
    assert why(refused("rate_limited", "1"), trace) == [
        "rate_limited by limit/x: the detail",
        "told: wait (Retry-After: 1)",
        "pace: 3 left, health: probe",
    ]
    assert why(refused("unauthenticated", rule=""), {})[0] == "unauthenticated: the detail"


def test_what_a_model_reads_of_a_refusal_is_shown():
    problem = {"reason": "not_granted", "rule": "grants", "text": "Refused: go on without it."}
    assert why(Seen("a", "x: y {}", 200, "c", problem), {}) == [
        "not_granted by grants; the model reads: Refused: go on without it."
    ]


def test_tokens_cost_changes_and_what_was_taken_out_are_shown():
    trace = record(
        usage={"input": 30, "output": 9}, cost_usd=0.066, amendments=["max_tokens 9 -> 4"], withheld=WITHHELD
    )
    first, *others = why(Seen("a", "GET /x", 200, "c"), trace)
    assert first.endswith("30 tokens read, 9 written, cost $0.066")
    assert others == ["changed in the request: max_tokens 9 -> 4", "taken out by proposals/p: not that one"]


def test_no_line_is_wider_than_100_columns_and_no_count_is_torn_from_its_outcome(capsys):
    table = Table()
    long = " ".join(f"word{number}" for number in range(40))
    table.scene("1. Title", long)
    table.row(Seen("a", long, 403, "c", {"reason": "r", "rule": "", "detail": long, "advice": long}), {})
    table.counts.update(dict.fromkeys((ALLOWED, FAILED, HELD, PARTLY, REFUSED, SHORTED, THROTTLED), 100))
    table.summary()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.endswith("held back,") or "held back, " in line for line in lines)
    assert not any(line.rstrip(",").endswith("100") for line in lines)


def test_shadow_rules_and_warnings_are_shown():
    shadow = {"policy": "night", "rule": "small", "mode": "Audit", "verdict": "deny", "message": "too much"}
    lines = why(Seen("a", "GET /x", 200, "c", {}, ("p/r: careful",)), record(rules=(shadow,)))
    assert lines[1:] == ["rule night/small (Audit) would deny: too much", "warned by p/r: careful"]


def test_a_table_says_a_repeated_reason_once_counts_and_has_no_colours_in_a_pipe(capsys):
    table = Table()
    table.scene("1. Title", "About.")
    rows = [refused("rate_limited")] * 2 + [Seen("a", "GET /y", 200, "c")] + [refused("rate_limited")]
    assert [table.row(row, {}) for row in rows] == [THROTTLED, THROTTLED, ALLOWED, THROTTLED]
    table.summary()
    text = capsys.readouterr().out
    assert text.count("the detail") == 2, "again after a row that has another reason"
    assert text.count(THROTTLED) == 3
    assert "In all: 3 throttled, 1 allowed" in text
    assert "\x1b" not in text


def test_a_table_is_coloured_on_a_terminal_unless_asked_not_to_be(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Table().say("x", "1")
    assert "\x1b[1mx\x1b[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Table().say("x", "1")
    assert "\x1b" not in capsys.readouterr().out
