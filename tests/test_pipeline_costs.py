"""What calls cost, driven by hand: who is charged, when, and what the run is told."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.cost.calls import CallPrice, compile_price
from gateway.cost.pricer import Pricer
from gateway.errors import ClientGone, UpstreamError
from gateway.model import Findings, Outcome, Reason
from gateway.policy.engines import load_engine
from tests.builders import request
from tests.drive import DONE, Drive
from tests.reading import HEAD, KEPT_BACK, READ, Saying, reading

CEL = load_engine("cel-expr-python")


def priced(cost: float | str, answer: Any = None, **settings: Any) -> Drive:
    """A tool whose calls cost this."""
    return reading(answer, pricer=Pricer(call_price=compile_price(cost, CEL)), **settings)


def run_through(drive: Drive, *answers: Any, run: str = "job-1") -> Any:
    """One whole call of a run; its outcome."""
    first = drive.go(request("POST", "/bank/x", [("X-Run-Id", run)], length=3))
    for answer in answers:
        drive.throw(answer) if isinstance(answer, Exception) else drive.answer(answer)
    return first, drive.world.traces[-1].outcome


def test_a_call_costs_what_it_costs_and_its_run_is_told():
    drive = priced(0.25)
    for _ in range(2):
        _, outcome = run_through(drive, HEAD, DONE)
        assert outcome == structs.replace(DONE, cost_usd=0.25)
    assert drive.runs.cost(("report-1", "job-1")) == 0.5
    assert drive.runs.cost(("report-1", "job-2")) == 0.0


@pytest.mark.parametrize(("reads_cost", "cost"), [(True, 0.25), (False, 0.0)])
def test_what_the_run_has_cost_is_looked_up_only_where_a_rule_reads_it(reads_cost, cost):
    drive = priced(0.25, reads_cost=reads_cost)
    run_through(drive, HEAD, DONE)
    sent, _ = run_through(drive, HEAD, DONE)
    assert sent.permit.call.run.cost_usd == cost


@pytest.mark.parametrize(
    ("ends", "cost"),
    [
        ((UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, "refused"), Outcome(502)), None),
        ((UpstreamError(Reason.UPSTREAM_TIMEOUT, 504, "late"), Outcome(504)), 0.25),
        ((HEAD, UpstreamError(Reason.UPSTREAM_UNREACHABLE, 502, "broke off"), Outcome(502)), 0.25),
        ((HEAD, ClientGone(Outcome(499, 200, "agent"))), 0.25),
        ((ClientGone(Outcome(499, 0, "agent")),), 0.25),
    ],
    ids=["unreachable", "late", "broken off", "left in the answer", "left before it"],
)
def test_a_call_is_charged_once_the_tool_may_have_worked(ends, cost):
    """A tool that answered and then broke off has worked as well as one whose answer arrived."""
    drive = priced(0.25, Saying(whole=True))
    _, outcome = run_through(drive, *ends)
    assert outcome.cost_usd == cost
    assert drive.runs.cost(("report-1", "job-1")) == (cost or 0.0)


def test_a_refused_call_costs_nothing():
    drive = priced(0.25)
    drive.world.grants = False
    run_through(drive, Outcome(429))
    assert drive.recorded().outcome.cost_usd is None


def test_an_answer_that_is_kept_back_is_charged_all_the_same():
    drive = priced(0.25, Saying(whole=True, refusal=KEPT_BACK))
    _, outcome = run_through(drive, HEAD, b"x", Outcome(403))
    assert outcome.cost_usd == 0.25


def test_a_price_over_the_result_wants_it_kept_and_reads_it():
    drive = priced("double(result.pages) * 0.01", Saying(found=READ))
    _, outcome = run_through(drive, HEAD, DONE)
    assert drive.results.priced == [True]
    assert outcome.cost_usd == pytest.approx(0.07)
    fixed = priced(0.25, Saying(found=READ))
    run_through(fixed, HEAD, DONE)
    assert fixed.results.priced == [False]


def test_a_price_that_cannot_be_told_is_noted_beside_what_was_read():
    drive = priced("double(result.pages) * 0.01", Saying(found=Findings(notes=("not read",))))
    _, outcome = run_through(drive, HEAD, DONE)
    assert outcome.cost_usd is None
    assert outcome.found.notes[0] == "not read"
    assert "no cost" in outcome.found.notes[1]


def test_the_judge_is_told_what_tokens_cost():
    class PerToken(Pricer):
        def tokens(self, call, usage):
            return structs.replace(super().tokens(call, usage), usd=usage.output_tokens * 0.5)

    drive = reading(Saying(), pricer=PerToken(call_price=CallPrice(1.0)))
    drive.go()
    drive.answer(HEAD)
    assert drive.results.price(drive.world, READ) == 2.5
    assert drive.results.price(drive.world, Findings()) is None
