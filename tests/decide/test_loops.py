"""What guards of loops and retries claim for a call, and how they word a refusal."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.decide.changes import may_change
from gateway.decide.loops import Loops, advice_of
from gateway.decide.retries import Retries
from gateway.model import (
    Call,
    Hold,
    LoopClaim,
    LoopSettings,
    Reason,
    RetryClaim,
    RetrySettings,
    Run,
    Verdict,
)
from gateway.policy.globs import glob_regex
from gateway.policy.governors import CompiledLoop, CompiledRetry
from gateway.understand.intents import with_intent
from tests.builders import call, request, tool


class Book:
    """Policies with these governors, whatever the call."""

    def __init__(self, *governors: CompiledLoop | CompiledRetry) -> None:
        self._governors = governors

    def governors(self, kind, tool, operation, *, implied):
        return tuple(each for each in self._governors if isinstance(each, kind))


LOOP = CompiledLoop("circles", LoopSettings(), (glob_regex("wait*"),))
RETRY = CompiledRetry("storms", RetrySettings())
TREE = Run("sub", root=("boss", "r1"), led=("boss", "r1"))


def asking(operation: str = "op", args: dict | None = None, **more) -> Call:
    return with_intent(call(operation, args=args, **more), b"")


def loop_claim(of: Call, *loops: CompiledLoop) -> LoopClaim:
    (claim,) = Loops(Book(*(loops or (LOOP,)))).claims(of)
    assert isinstance(claim, LoopClaim)
    return claim


def test_a_run_counts_with_all_that_it_led_to():
    assert loop_claim(asking(run=TREE)).key == ("circles", "boss", "r1")
    (claim,) = Retries(Book(RETRY)).claims(asking(run=TREE))
    assert (claim.key, claim.tree) == (("storms", "report-1", "github"), ("boss", "r1"))


def test_long_names_are_kept_short():
    of = asking("o" * 5000, run=Run("r" * 5000))
    assert all(len(part) <= 128 for part in loop_claim(of).key)
    (claim,) = Retries(Book(RETRY)).claims(of)
    assert len(claim.operation) <= 128
    assert len(claim.tree[1]) <= 128


def test_each_guard_sees_the_arguments_in_its_own_way():
    strict = CompiledLoop("strict", LoopSettings())
    lenient = CompiledLoop("lenient", LoopSettings(), (), ("args.attempt", "args.meta.at"))
    loops = Loops(Book(strict, lenient))
    one = loops.claims(asking(args={"q": 1, "attempt": 1, "meta": {"at": 1, "x": 1}}))
    two = loops.claims(asking(args={"q": 1, "attempt": 2, "meta": {"at": 2, "x": 1}}))
    other = loops.claims(asking(args={"q": 1, "attempt": 2, "meta": {"at": 2, "x": 2}}))
    assert one[0].intent != two[0].intent
    assert one[1].intent == two[1].intent != other[1].intent


def test_a_body_too_large_has_no_intent_whatever_is_ignored():
    of = call(of=request("POST", length=10_000_000))
    assert loop_claim(with_intent(of, None), CompiledLoop("l", LoopSettings(), (), ("args.a",))).intent == ""


def test_operations_that_are_polled_are_known():
    assert loop_claim(asking("wait_for")).polls
    assert not loop_claim(asking("go")).polls


@pytest.mark.parametrize(
    ("protocol", "method", "facts", "expected"),
    [
        ("http", "GET", {}, False),
        ("http", "POST", {}, True),
        ("http", "DELETE", {}, True),
        ("mcp", "POST", {"tool.readOnly": True}, False),
        ("mcp", "POST", {"tool.readOnly": False}, True),
        ("mcp", "POST", {}, True),
        ("openai", "POST", {}, False),
        ("anthropic", "POST", {}, False),
        ("gemini", "POST", {}, False),
    ],
)
def test_what_may_change_something(protocol, method, facts, expected):
    of = structs.replace(asking(to=tool(protocol=protocol), of=request(method)), facts=facts)
    assert may_change(of) is expected
    assert loop_claim(of).changes is expected


def test_where_no_guard_matches_nothing_is_claimed():
    assert Loops(Book()).claims(asking()) == ()
    assert Retries(Book()).claims(asking()) == ()


def test_calls_of_a_batch_are_one_event():
    first, second = loop_claim(asking("a")), loop_claim(asking("b"))
    both = first.joined(second)
    assert both.key == first.key
    assert both.intent not in ("", first.intent, second.intent)
    assert both.intent != second.joined(first).intent
    assert first.joined(structs.replace(second, intent="")).intent == ""
    (one,), (two,) = (Retries(Book(RETRY)).claims(asking(name)) for name in "ab")
    assert one.joined(two).intent not in ("", one.intent, two.intent)


# -- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["repeats", "errors", "pending", "cycle", "stalled", "streak"])
def test_the_first_refusal_of_a_loop_teaches(state):
    hold = Hold(loop_claim(asking()), False, 3.0, state=state, detail="it was made 3 times")
    refusal = Loops(Book(LOOP)).refusal(hold)
    assert (refusal.reason, refusal.status, refusal.rule) == (Reason.LOOP_DETECTED, 403, "loop/circles")
    assert (refusal.detail, refusal.retryable, refusal.quarantine) == ("it was made 3 times", False, "")
    assert refusal.advice


def test_later_ones_are_short_and_the_last_stops_the_run():
    claim = loop_claim(asking())
    short = Loops(Book(LOOP)).refusal(Hold(claim, False, state="repeats"))
    assert len(short.detail + short.advice) < 60
    last = Loops(Book(LOOP)).refusal(Hold(claim, False, state="repeats", escalate=True))
    assert (last.quarantine, last.seconds) == ("run", 3600.0)


def test_a_call_close_to_a_loop_is_told_so_where_that_is_enforced():
    near = Hold(loop_claim(asking()), True, 2.0, state="near", detail="once more")
    (said,) = advice_of((near, Hold(loop_claim(asking()), True)))
    assert (said.policy, said.rule, said.verdict, said.message) == ("loop", "circles", Verdict.WARN, "once more")
    audited = CompiledLoop("audited", LoopSettings(enforced=False))
    assert advice_of((structs.replace(near, claim=loop_claim(asking(), audited)),)) == ()


def retry_claim() -> RetryClaim:
    (claim,) = Retries(Book(RETRY)).claims(asking())
    assert isinstance(claim, RetryClaim)
    return claim


@pytest.mark.parametrize(("status", "told"), [(404, 404), (422, 422), (200, 422)])
def test_a_remembered_failure_has_the_tools_status_and_words(status, told):
    hold = Hold(retry_claim(), False, state="taught", detail="no such column", status=status)
    refusal = Retries(Book(RETRY)).refusal(hold)
    assert (refusal.reason, refusal.status, refusal.rule) == (Reason.REPEATED_FAILURE, told, "retry/storms")
    assert "no such column" in refusal.detail
    assert not refusal.retryable
    stopped = Retries(Book(RETRY)).refusal(structs.replace(hold, state="stopped", detail=""))
    assert stopped.status == told
    assert len(stopped.detail + stopped.advice) < len(refusal.detail + refusal.advice)


def test_where_no_retries_are_left_waiting_helps():
    refusal = Retries(Book(RETRY)).refusal(Hold(retry_claim(), False, 5.0, 3.2, "exhausted"))
    assert (refusal.reason, refusal.status, refusal.retryable) == (Reason.RETRY_BUDGET_EXHAUSTED, 429, True)
    assert refusal.retry_after == 3.2
    assert "3 s" in refusal.advice


@pytest.mark.parametrize("guard", [Loops, Retries])
def test_a_hold_of_another_guard_is_a_mistake(guard):
    claim = retry_claim() if guard is Loops else loop_claim(asking())
    with pytest.raises(TypeError, match="not a claim"):
        guard(Book()).refusal(Hold(claim, False))
