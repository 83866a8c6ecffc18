"""Runs cases: each on a stage of its own, so that none knows of another."""

from __future__ import annotations

from msgspec import Struct

from gateway.config.cases import ReadyCase, ReadyStep
from gateway.config.load import Loaded
from gateway.model import Trace
from gateway.rehearse.perform import Performance
from gateway.rehearse.stage import NO_OFFERS, Offers, Stage
from gateway.rehearse.verdicts import Difference, Verdict, differences, verdict_of


class StepResult(Struct, frozen=True):
    """What came of one call. ``turn`` counts from 1 where a step is repeated."""

    step: ReadyStep
    turn: int
    trace: Trace
    verdict: Verdict
    differences: tuple[Difference, ...]


class CaseResult(Struct, frozen=True):
    """What came of a case, call by call."""

    case: ReadyCase
    results: tuple[StepResult, ...]

    @property
    def failed(self) -> tuple[StepResult, ...]:
        """The calls of which something else came than was expected."""
        return tuple(result for result in self.results if result.differences)


def run_case(case: ReadyCase, loaded: Loaded, offers: Offers = NO_OFFERS) -> CaseResult:
    """Make the calls of a case, in the order of time, and compare. ``offers`` as in ``Stage``."""
    performance = Performance(Stage(loaded, case.start, offers))
    acts = [
        (step, turn, performance.begin(step.call, step.answer, step.at + turn * step.every))
        for step in case.steps
        for turn in range(step.repeat)
    ]
    performance.until()
    return CaseResult(case, tuple([_result(step, turn + 1, act.record()) for step, turn, act in acts]))


def _result(step: ReadyStep, turn: int, trace: Trace) -> StepResult:
    verdict = verdict_of(trace)
    found = () if step.expect is None else tuple(differences(step.expect, verdict))
    return StepResult(step, turn, trace, verdict, found)
