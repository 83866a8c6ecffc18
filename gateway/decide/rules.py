"""Rules: what the operator's CEL expressions make of a call. All that match are evaluated; the strongest wins."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import Call, Changed, Mode, Question, Reason, Refusal, Spoke, Verdict
from gateway.policy.book import PolicyBook


class Rules:
    """Judges a call by every rule that can match it. Only mode Enforce has consequences; the rest is recorded."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book

    def judge(self, call: Call) -> Judgement:
        spoke = self._book.rules(call.tool.name, call.operation, implied=call.implied).judge(call)
        return judgement_of(spoke) if spoke else NOTHING


def judgement_of(spoke: tuple[Spoke, ...], asks: str = "this call needs a person's approval") -> Judgement:
    """What the enforced verdicts of those that spoke come to: deny, else approve; and what is masked, or
    changed otherwise. ``asks``: what a person is asked by a rule that says nothing itself."""
    questions: tuple[Question, ...] = ()
    fields: tuple[Changed, ...] = ()
    for said in spoke:
        if said.mode is not Mode.ENFORCE:
            continue
        if said.verdict is Verdict.DENY:
            return Judgement(_denied(said), spoke=spoke)
        if said.verdict is Verdict.APPROVE:
            questions += (Question(f"{said.policy}/{said.rule}", said.message or asks, said.read),)
        fields += said.fields + said.treats
    return Judgement(None, questions, spoke, fields=fields)


def labels_of(spoke: tuple[Spoke, ...]) -> tuple[str, ...]:
    """What the run is marked with after these rules have spoken, whatever else they said of the call."""
    return tuple([said.label for said in spoke if said.label and said.mode is Mode.ENFORCE])


def quarantines_of(spoke: tuple[Spoke, ...]) -> Iterator[tuple[str, str, str, float]]:
    """What is quarantined after these rules have spoken, by every one that refuses, not only the first: scope, reason,
    by which rule, and for how many seconds."""
    for said in spoke:
        if said.imposes:
            rule = f"{said.policy}/{said.rule}"
            yield said.quarantine, said.message or f"refused by rule {rule}", rule, said.seconds


def _denied(said: Spoke) -> Refusal:
    rule = f"{said.policy}/{said.rule}"
    if said.error:
        return Refusal(
            Reason.POLICY_ERROR,
            403,
            f"a rule could not be evaluated, and what it cannot judge is refused: {said.error}",
            rule,
            advice="check that the call has the arguments that this operation needs",
        )
    return Refusal(
        Reason.POLICY_DENIED,
        403,
        said.message or f"refused by rule {rule}",
        rule,
        advice="do not retry unchanged; the policy refuses this call whenever it is made",
        quarantine=said.quarantine,
        seconds=said.seconds,
    )
