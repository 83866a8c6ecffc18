"""Quarantines on the way of a call: who stands in one is refused before any rule is asked, and who imposes one."""

from __future__ import annotations

import pytest

from gateway.decide.shapes import Judgement
from gateway.model import Mode, Outcome, Quarantine, Reason, Refusal, Spoke, Verdict
from gateway.pipeline import Collect, Relay, Reply, Send
from gateway.understand.reader import Phrased
from tests.builders import request
from tests.drive import DONE, Drive, problem
from tests.reading import HEAD, KEPT_BACK, Judged, Saying, Speaks

NOW = 1_700_000_000.0
IN_RUN = request("POST", "/bank/t", [("X-Run-Id", "job-1")])
SCOPES = [
    ("all", (), "everything"),
    ("agent", ("report-1",), "this agent"),
    ("tool", ("bank",), "this tool"),
    ("run", ("report-1", "job-1"), "this run"),
]
TELLS = Spoke("keep", "out", Verdict.DENY, Mode.ENFORCE, "it holds a key", quarantine="run", seconds=60.0)


class NeverAsked:
    """No rule and no counter may be asked."""

    def __getattr__(self, name: str):
        raise AssertionError(f"asked for {name}")


def standing(scope: str, key: tuple[str, ...], until: float = 0.0, **settings) -> Drive:
    drive = Drive(AssertionError("a rule was asked"), quotas=(NeverAsked(),), **settings)
    drive.quarantines.put(Quarantine(scope, key, "it went wrong", "ada", NOW, until))
    return drive


@pytest.mark.parametrize(("scope", "key", "what"), SCOPES)
def test_who_stands_in_quarantine_is_refused_before_any_rule_or_counter(scope, key, what):
    drive = standing(scope, key)
    told = problem(drive.go(IN_RUN))
    assert (told["status"], told["reason"], told.get("rule", "")) == (403, "quarantined", ""), (
        "who it was is the operators' business"
    )
    assert told["detail"] == f"{what} is quarantined: it went wrong"
    assert told["retryable"] is False
    drive.answer(Outcome(403))
    trace = drive.recorded()
    assert (trace.tool, trace.operation) == ("bank", "POST /t"), "its record says what it wanted"
    assert trace.call is not None


@pytest.mark.parametrize(
    ("scope", "key"), [("agent", ("other",)), ("tool", ("notes",)), ("run", ("report-1", "")), ("run", ("x", "job-1"))]
)
def test_others_go_on(scope, key):
    drive = Drive()
    drive.quarantines.put(Quarantine(scope, key, "it went wrong", "ada", NOW, 0.0))
    assert isinstance(drive.go(IN_RUN), Send)
    drive.way.close()


def test_how_long_it_stands_is_told_where_waiting_helps():
    told = problem(standing("agent", ("report-1",), NOW + 30).go(IN_RUN))
    assert told["retry_after"] == 30.0


def test_one_that_is_over_holds_nobody():
    drive = Drive()
    drive.quarantines.put(Quarantine("agent", ("report-1",), "it went wrong", "ada", NOW - 60, NOW))
    assert isinstance(drive.go(IN_RUN), Send)
    drive.way.close()


class OwnWords(Speaks):
    """A protocol that phrases refusals in its own way."""

    def phrase(self, refusal, ident, of, body):
        return Phrased(200, (), f"isError: {refusal.reason.value}".encode())


def test_it_is_told_in_the_words_of_the_protocol():
    reply = standing("all", (), reader=OwnWords()).go(IN_RUN)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (200, b"isError: quarantined")


# -- imposed by rules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "key"), [("run", ("report-1", "job-1")), ("agent", ("report-1",)), ("tool", ("bank",))]
)
@pytest.mark.parametrize(("seconds", "until"), [(60.0, NOW + 60), (0.0, 0.0)])
def test_a_refusal_that_asks_for_it_quarantines_and_the_next_call_is_told(scope, key, seconds, until):
    refusal = Refusal(Reason.POLICY_DENIED, 403, "it drops tables", "p/r", quarantine=scope, seconds=seconds)
    drive = Drive(Judgement(refusal))
    assert problem(drive.go(IN_RUN))["reason"] == "policy_denied"
    assert list(drive.quarantines) == [Quarantine(scope, key, "it drops tables", "p/r", NOW, until)]
    drive.answer(Outcome(403))
    told = problem(drive.go(IN_RUN))
    assert (told["reason"], told["rule"]) == ("quarantined", "p/r")


def test_a_guard_that_has_no_rule_is_named_by_its_reason():
    drive = Drive(Judgement(Refusal(Reason.LOOP_DETECTED, 403, "round and round", quarantine="run")))
    drive.go(IN_RUN)
    assert [each.by for each in drive.quarantines] == ["loop_detected"]


def test_a_run_without_a_name_is_not_quarantined_with_all_other_calls_of_its_agent():
    drive = Drive(Judgement(Refusal(Reason.LOOP_DETECTED, 403, "round and round", quarantine="run")))
    drive.go()
    assert list(drive.quarantines) == []


class Hears(Judged):
    """Results whose rules speak when the test says so."""

    def speak(self, *said: Spoke) -> None:
        self.hears(said)


@pytest.mark.parametrize("whole", [True, False])
def test_a_rule_over_an_answer_quarantines_as_soon_as_it_has_spoken(whole):
    """Of a stream that may be long before its end, and the agent makes its next call meanwhile."""
    results = Hears()
    drive = Drive(reader=Speaks(Saying(whole=whole, refusal=KEPT_BACK)), results=results)
    drive.go(IN_RUN)
    assert isinstance(drive.answer(HEAD), Collect if whole else Relay)
    results.speak(TELLS)
    assert list(drive.quarantines) == [
        Quarantine("run", ("report-1", "job-1"), "it holds a key", "keep/out", NOW, NOW + 60)
    ]
    if whole:
        assert isinstance(drive.answer(b"secret"), Reply)
    drive.answer(DONE)
    assert len(list(drive.quarantines)) == 1


@pytest.mark.parametrize("mode", [Mode.AUDIT, Mode.WARN])
def test_a_rule_that_is_not_enforced_quarantines_nobody(mode):
    results = Hears()
    drive = Drive(reader=Speaks(Saying()), results=results)
    drive.go(IN_RUN)
    drive.answer(HEAD)
    results.speak(Spoke("keep", "out", Verdict.DENY, mode, "it holds a key", quarantine="run"))
    assert list(drive.quarantines) == []
    drive.way.close()
