"""What enforced rules do to a call: verdict by mode by error."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from gateway.decide.rules import Rules, judgement_of, labels_of
from gateway.decide.shapes import NOTHING
from gateway.model import Mode, Reason, Spoke, Treated, Verdict
from tests.builders import TREATING, Book, call, labelling, redacting, spoke


def outcome(*said: Spoke) -> str:
    """deny, approve, what changes values, or nothing."""
    judgement = Rules(Book(spoke=said)).judge(call())
    assert judgement.spoke == said, "the record keeps every rule that spoke"
    assert not (judgement.refusal and judgement.questions)
    if judgement.refusal or judgement.questions:
        return "deny" if judgement.refusal else "approve"
    changes = [one.action if isinstance(one, Treated) else "redact" for one in judgement.fields]
    return changes[-1] if changes else "nothing"


@pytest.mark.parametrize(("verdict", "mode", "error"), list(product(Verdict, Mode, ["", "no such key"])))
def test_one_rule_has_consequences_only_where_it_is_enforced(verdict, mode, error):
    """An error comes with the verdict that failurePolicy gives it, so it weighs what its verdict weighs."""
    expected = verdict.value if verdict not in (Verdict.WARN, Verdict.LABEL) else "nothing"
    assert outcome(spoke(verdict, mode, error=error)) == (expected if mode is Mode.ENFORCE else "nothing")


@pytest.mark.parametrize("order", list(permutations(each for each in Verdict if each not in TREATING)))
def test_the_strongest_enforced_verdict_wins_in_any_order(order):
    assert outcome(*[spoke(verdict) for verdict in order]) == "deny"
    weaker = [verdict for verdict in order if verdict is not Verdict.DENY]
    assert outcome(*[spoke(verdict) for verdict in weaker]) == "approve"
    assert outcome(*[spoke(verdict) for verdict in weaker if verdict is not Verdict.APPROVE]) == "redact"


@pytest.mark.parametrize("shadow", [Mode.AUDIT, Mode.WARN])
def test_a_shadow_rule_neither_refuses_nor_hides_one_that_does(shadow):
    assert outcome(spoke(Verdict.DENY, shadow), spoke(Verdict.APPROVE)) == "approve"
    assert outcome(spoke(Verdict.DENY, shadow), spoke(Verdict.DENY)) == "deny"
    assert outcome(spoke(Verdict.APPROVE, shadow), spoke(Verdict.WARN)) == "nothing"


def test_what_is_masked_is_what_all_enforced_rules_name_and_a_question_does_not_forget_it():
    said = (redacting("args.a"), redacting("args.b", mode=Mode.AUDIT), spoke(Verdict.APPROVE), redacting("args.c"))
    judgement = judgement_of(said)
    assert judgement.questions
    assert judgement.fields == ("args.a", "args.c")


def test_a_run_is_marked_by_enforced_rules_whatever_else_they_say():
    labels = (labelling("first"), spoke(), labelling("shadow", Mode.AUDIT), labelling("told", Mode.WARN))
    assert labels_of((*labels, labelling("last"))) == ("first", "last")
    assert judgement_of(labels).refusal is not None


def test_silence_costs_nothing():
    assert Rules(Book()).judge(call()) is NOTHING


def test_a_denial_says_its_rule_and_its_message_and_not_to_retry():
    refusal = judgement_of((spoke(message="pay only known recipients"),)).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.status, refusal.retryable) == (Reason.POLICY_DENIED, 403, False)
    assert (refusal.rule, refusal.detail) == ("payments/deny-rule", "pay only known recipients")
    assert "retry" in refusal.advice


def test_a_denial_without_a_message_names_its_rule():
    refusal = judgement_of((spoke(message=""),)).refusal
    assert refusal is not None
    assert "payments/deny-rule" in refusal.detail


def test_a_rule_that_could_not_be_evaluated_is_another_reason():
    refusal = judgement_of((spoke(error="no such key: amount"),)).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.status) == (Reason.POLICY_ERROR, 403)
    assert "no such key: amount" in refusal.detail


def test_every_rule_that_asks_has_its_question():
    first = Spoke("a", "one", Verdict.APPROVE, Mode.ENFORCE, "transfer of 5000")
    second = Spoke("b", "two", Verdict.APPROVE, Mode.ENFORCE, "abroad")
    questions = judgement_of((first, second)).questions
    assert [(one.rule, one.text) for one in questions] == [("a/one", "transfer of 5000"), ("b/two", "abroad")]


def test_a_question_without_a_message_still_asks_something():
    [question] = judgement_of((spoke(Verdict.APPROVE, message=""),)).questions
    assert question.text
