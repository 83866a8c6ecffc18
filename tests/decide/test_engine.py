"""The deciding generator: what it asks for, in which order, and what it makes of the answers."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.decide.engine import AskHuman, Look, Pace, Reserve, decide
from gateway.decide.shapes import NOTHING, Judgement
from gateway.errors import Refused
from gateway.model import (
    Call,
    CircuitClaim,
    CircuitSettings,
    Hold,
    Permit,
    Question,
    RateClaim,
    Reason,
    Refusal,
    Ruling,
    SlotClaim,
    Verdict,
)
from tests.builders import call, circuit, labelling, pool, rate, redacting, slot, spoke
from tests.decide.playbook import play

CALL = call()
YES = Ruling(True, "apr-1", ("ada",), "approve")
NO = Refusal(Reason.POLICY_DENIED, 403, "no")
WARNING = spoke(Verdict.WARN)
DENIAL = spoke(Verdict.DENY)


class Says:
    """A check that gives one judgement, and notes that it was asked."""

    def __init__(self, judgement: Judgement = NOTHING) -> None:
        self.judgement, self.asked = judgement, 0

    def judge(self, call):
        self.asked += 1
        return self.judgement


class Counts:
    """A quota with these claims."""

    def __init__(self, *claims, name: str = "") -> None:
        self._claims, self.name = claims, name

    def claims(self, call):
        return self._claims

    def refusal(self, hold):
        return Refusal(Reason.RATE_LIMITED, 429, f"{self.name}: {hold.claim.key[-1]}", retry_after=hold.retry_after)


def turn(claim, granted=True):
    """What a pacer answers."""
    return Hold(claim, granted, retry_after=0.0 if granted else 5.0, state="paced")


def granted(*claims):
    return tuple(Hold(claim, True) for claim in claims)


def test_nothing_to_hold_it_back_permits_the_call():
    assert play(CALL, [], []) == Permit(CALL)


def test_a_permit_says_which_grant_and_carries_what_was_said_and_held():
    decision = play(
        CALL,
        [Says(Judgement(grant="readers")), Says(Judgement(spoke=(WARNING,)))],
        [Counts(slot())],
        (Reserve((slot(),)), granted(slot())),
    )
    assert decision == Permit(CALL, "readers", granted(slot()), (WARNING,))


class CannotCount(Counts):
    """A quota that cannot tell what the call counts by."""

    def claims(self, call):
        raise Refused(Reason.UNPRICED, 403, "no price", "ask another model", rule="budget/daily")


def test_what_rules_said_is_kept_where_a_quota_refuses_before_it_claims():
    decision = play(CALL, [Says(Judgement(spoke=(WARNING,)))], [Counts(slot()), CannotCount()])
    refusal = Refusal(Reason.UNPRICED, 403, "no price", "budget/daily", advice="ask another model", spoke=(WARNING,))
    assert decision == refusal


def test_the_first_refusal_ends_it_and_no_counter_moves():
    later = Says()
    decision = play(
        CALL, [Says(Judgement(spoke=(WARNING,))), Says(Judgement(NO, spoke=(DENIAL,))), later], [Counts(slot())]
    )
    assert decision == Refusal(Reason.POLICY_DENIED, 403, "no", spoke=(WARNING, DENIAL))
    assert later.asked == 0


def test_nothing_of_a_refusal_is_lost():
    full = Refusal(
        Reason.POLICY_DENIED,
        403,
        "no",
        "p/r",
        7.0,
        True,
        "wait",
        fields=((b"A", b"b"),),
        quarantine="run",
        seconds=60.0,
    )
    assert play(CALL, [Says(Judgement(full))], []) == full


def test_people_are_asked_after_all_checks_and_before_any_counter():
    question = Question("payments/large", "transfer of 5000?")
    decision = play(
        CALL,
        [Says(Judgement(questions=(question,))), Says(Judgement(grant="g"))],
        [Counts(slot())],
        (AskHuman((question,), CALL), YES),
        (Reserve((slot(),)), granted(slot())),
    )
    assert isinstance(decision, Permit)


def test_a_refusal_after_a_question_asks_nobody():
    assert play(CALL, [Says(Judgement(questions=(Question("p/r", "?"),))), Says(Judgement(NO))], []) == NO


@pytest.mark.parametrize("answer", [None, False, True, 1, "ada", Ruling(False)])
def test_only_a_ruling_that_grants_approves(answer):
    question = Question("payments/large", "transfer of 5000?")
    decision = play(
        CALL,
        [Says(Judgement(questions=(question,), spoke=(WARNING,)))],
        [Counts(slot())],
        (AskHuman((question,), CALL), answer),
    )
    assert isinstance(decision, Refusal)
    assert (decision.reason, decision.status) == (Reason.APPROVAL_REQUIRED, 403)
    assert (decision.rule, decision.detail) == ("payments/large", "transfer of 5000?")
    assert decision.spoke == (WARNING,)
    assert not decision.retryable


def test_all_questions_about_a_call_are_one_matter():
    first, second = Question("a/b", "1"), Question("c/d", "2")
    checks = [Says(Judgement(questions=(first,))), Says(Judgement(questions=(second,)))]
    permit = play(CALL, checks, [], (AskHuman((first, second), CALL), YES))
    assert isinstance(permit, Permit)
    assert permit.ruling == YES
    assert play(CALL, checks, [], (AskHuman((first, second), CALL), None)).rule == "a/b"  # type: ignore[union-attr]


def test_limits_that_wait_come_before_the_counters_and_everything_is_reserved_at_once():
    waits, plain, place, breaker = rate(wait=5), rate(key="b"), slot(), circuit()
    decision = play(
        CALL,
        [],
        [Counts(plain, waits), Counts(breaker), Counts(place)],
        (Look((plain, breaker, place)), granted(plain, breaker, place)),
        (Pace(waits), turn(waits)),
        (Reserve((plain, breaker, place)), granted(plain, breaker, place)),
    )
    assert decision == Permit(CALL, "", (turn(waits), *granted(plain, breaker, place)))


def test_nobody_waits_in_line_for_a_refusal():
    """A call that an open circuit would refuse at the end of the queue is refused at its beginning."""
    waits, breaker = rate(wait=5), circuit()
    looked = (Hold(breaker, False, retry_after=9.0, state="open"),)
    decision = play(
        CALL, [], [Counts(waits, name="limits"), Counts(breaker, name="breakers")], (Look((breaker,)), looked)
    )
    assert decision == Refusal(Reason.RATE_LIMITED, 429, "breakers: github", retry_after=9.0, holds=looked)


def test_where_nothing_else_is_claimed_there_is_nothing_to_look_at():
    waits = rate(wait=5)
    assert play(CALL, [], [Counts(waits)], (Pace(waits), turn(waits))) == Permit(CALL, "", (turn(waits),))


def test_the_end_of_the_queue_is_no_promise():
    waits, place = rate(wait=5), slot()
    decision = play(
        CALL,
        [],
        [Counts(waits), Counts(place, name="bulkhead")],
        (Look((place,)), granted(place)),
        (Pace(waits), turn(waits)),
        (Reserve((place,)), (Hold(place, False),)),
    )
    assert decision == Refusal(Reason.RATE_LIMITED, 429, "bulkhead: github", holds=(turn(waits), Hold(place, False)))


def test_no_room_in_time_is_the_limits_refusal_and_nothing_is_reserved():
    waits = rate(wait=5)
    decision = play(
        CALL,
        [],
        [Counts(waits, name="limits"), Counts(slot())],
        (Look((slot(),)), granted(slot())),
        (Pace(waits), turn(waits, granted=False)),
    )
    assert decision == Refusal(
        Reason.RATE_LIMITED, 429, "limits: report-1", retry_after=5, holds=(turn(waits, granted=False),)
    )


@pytest.mark.parametrize("answer", [None, True, 1, "yes"])
def test_a_turn_that_is_no_hold_permits_nothing(answer):
    with pytest.raises(AttributeError):
        play(CALL, [], [Counts(rate(wait=5))], (Pace(rate(wait=5)), answer))


def test_places_of_pools_are_waited_for_and_what_was_waited_for_is_told_where_a_later_line_refuses():
    """The pipeline gives back the first place; the trace shows both."""
    first, second = pool("a"), pool("b")
    decision = play(
        CALL,
        [],
        [Counts(first), Counts(second, name="pools")],
        (Pace(first), turn(first)),
        (Pace(second), turn(second, granted=False)),
    )
    assert decision == Refusal(
        Reason.RATE_LIMITED, 429, "pools: b", retry_after=5, holds=(turn(first), turn(second, granted=False))
    )


def test_the_first_claim_that_was_not_granted_words_the_refusal_and_all_numbers_are_kept():
    first, second, third = rate(), circuit(), slot()
    holds = (Hold(first, True, 1.0), Hold(second, False, retry_after=9.0, state="open"), Hold(third, False))
    decision = play(
        CALL,
        [],
        [Counts(first, name="limits"), Counts(second, name="breakers"), Counts(third, name="bulkhead")],
        (Reserve((first, second, third)), holds),
    )
    assert isinstance(decision, Refusal)
    assert decision.detail == "breakers: github"
    assert decision.holds == holds


@pytest.mark.parametrize("answer", [(), granted(slot()), granted(slot(), slot(), slot())])
def test_an_answer_that_does_not_fit_the_question_permits_nothing(answer):
    with pytest.raises(ValueError):
        play(CALL, [], [Counts(slot(), slot())], (Reserve((slot(), slot())), answer))


def test_a_guard_that_breaks_permits_nothing():
    class Broken:
        def judge(self, call):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        play(CALL, [Broken()], [])


def test_deciding_can_be_dropped_at_any_effect_without_a_trace():
    """The agent leaves while somebody thinks: closing the generator asks for nothing more."""
    question = Question("a/b", "?")
    deciding = decide(CALL, [Says(Judgement(questions=(question,)))], [Counts(rate(wait=1), slot())])
    assert deciding.send(None) == AskHuman((question,), CALL)
    deciding.close()
    with pytest.raises(StopIteration):
        deciding.send(YES)


# -- batches -----------------------------------------------------------------------------------------------------


def batch(*operations: str) -> Call:
    return structs.replace(call("batch"), parts=tuple(call(operation) for operation in operations))


class OfEach:
    """A check or quota that does for each operation what it is told; notes what it was asked about."""

    def __init__(self, **of) -> None:
        self._of, self.asked = of, []

    def judge(self, call):
        self.asked.append(call.operation)
        return self._of.get(call.operation, NOTHING)

    def claims(self, call):
        self.asked.append(call.operation)
        return self._of.get(call.operation, ())

    def refusal(self, hold):
        return Refusal(Reason.RATE_LIMITED, 429, hold.claim.guard)


def test_every_call_of_a_batch_is_judged_and_the_batch_itself_is_not():
    checks = [OfEach(a=Judgement(spoke=(WARNING,))), OfEach(b=Judgement(grant="g", spoke=(WARNING,)))]
    whole = batch("a", "b")
    assert play(whole, checks, []) == Permit(whole, "g", (), (WARNING, WARNING))
    assert [check.asked for check in checks] == [["a", "b"], ["a", "b"]]


@pytest.mark.parametrize("at", ["a", "b", "c"])
def test_one_refused_call_refuses_the_batch_and_nothing_is_claimed(at):
    quota = OfEach(a=(rate(),), b=(rate(),), c=(rate(),))
    decision = play(batch("a", "b", "c"), [OfEach(**{at: Judgement(NO, spoke=(DENIAL,))})], [quota])
    assert decision == Refusal(Reason.POLICY_DENIED, 403, "no", spoke=(DENIAL,))
    assert quota.asked == []


def test_questions_of_all_calls_are_asked():
    first, second = Question("p/a", "1"), Question("p/b", "2")
    check = OfEach(a=Judgement(questions=(first,)), b=Judgement(questions=(second,)))
    whole = batch("a", "b")
    assert play(whole, [check], [], (AskHuman((first, second), whole), YES)) == Permit(whole, ruling=YES)


def test_tokens_of_a_batch_add_up_while_it_takes_one_place_and_one_passage():
    one, other, place, breaker = rate(9), rate(9, key="b"), slot(), circuit()
    both = structs.replace(one, cost=2.0)
    quotas = [OfEach(a=(one,), b=(one, other)), OfEach(a=(place,), b=(place,)), OfEach(a=(breaker,), b=(breaker,))]
    whole = batch("a", "b")
    claims = (both, place, breaker, other)
    assert play(whole, [], quotas, (Reserve(claims), granted(*claims))) == Permit(whole, "", granted(*claims))


def test_limits_that_wait_are_waited_for_once_with_all_tokens():
    waits = rate(9, wait=5)
    both = structs.replace(waits, cost=2.0)
    whole = batch("a", "b")
    decision = play(whole, [], [OfEach(a=(waits,), b=(waits,))], (Pace(both), turn(both)))
    assert decision == Permit(whole, "", (turn(both),))


def test_a_limit_and_a_breaker_of_one_name_are_two_counters():
    """Names are unique among documents of one kind only."""
    limit, breaker = (
        RateClaim("bank", ("bank", "bank"), 9, 1),
        CircuitClaim("bank", ("bank", "bank"), CircuitSettings()),
    )
    place = SlotClaim("bank", ("bank", "bank"), 1)
    both = structs.replace(limit, cost=2.0)
    claims = (both, breaker, place)
    quotas = [Counts(limit), Counts(breaker), Counts(place)]
    whole = batch("a", "b")
    assert play(whole, [], quotas, (Reserve(claims), granted(*claims))) == Permit(whole, "", granted(*claims))


@pytest.mark.parametrize("wait", [0, 5])
def test_a_batch_beyond_what_a_limit_lets_through_at_once_is_told_so(wait):
    """No waiting makes room for it, so nothing is waited for, claimed, or advised to try again later."""
    quota = Counts(rate(2, wait=wait))
    decision = play(batch("a", "b", "c"), [OfEach(a=Judgement(spoke=(WARNING,)))], [quota])
    assert isinstance(decision, Refusal)
    assert (decision.reason, decision.rule, decision.retryable) == (Reason.RATE_LIMITED, "limit/per-agent", False)
    assert (decision.retry_after, decision.spoke) == (0.0, (WARNING,))
    assert "at most 2" in decision.advice
    fits = structs.replace(rate(2, wait=wait), cost=2.0)
    asked = Pace(fits) if wait else Reserve((fits,))
    answer = turn(fits) if wait else granted(fits)
    assert isinstance(play(batch("a", "b"), [], [quota], (asked, answer)), Permit)


# -- redaction ---------------------------------------------------------------------------------------------------

MASKS = Judgement(spoke=(redacting("args.iban", "args.pin"),), fields=("args.iban", "args.pin"))


class Masks:
    """Masks a call, or refuses to; notes what it was asked."""

    def __init__(self, refused: Refused | None = None) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._refused = refused

    def __call__(self, call: Call, fields: tuple[str, ...]) -> Call:
        self.asked.append(fields)
        if self._refused is not None:
            raise self._refused
        return structs.replace(call, args={"masked": True})


class ByArguments(Counts):
    """A quota that counts by the arguments."""

    def claims(self, call):
        return (slot(key=str(dict(call.args))),)


def test_the_permit_has_masks_and_everything_is_decided_by_what_was_there():
    came = call(args={"iban": "DE1"})
    masks = Masks()
    claim = slot(key="{'iban': 'DE1'}")
    decision = play(came, [Says(MASKS)], [ByArguments()], (Reserve((claim,)), granted(claim)), redact=masks)
    assert isinstance(decision, Permit)
    assert decision.call.args == {"masked": True}
    assert masks.asked == [("args.iban", "args.pin")]


def test_what_all_checks_want_masked_is_masked_at_once():
    masks = Masks()
    other = Judgement(spoke=(redacting("args.x"),), fields=("args.x",))
    play(CALL, [Says(MASKS), Says(WARNED), Says(other)], [], redact=masks)
    assert masks.asked == [("args.iban", "args.pin", "args.x")]


WARNED = Judgement(spoke=(WARNING, labelling("seen")))


def test_a_call_of_which_nothing_is_masked_stays_the_very_same():
    masks = Masks()
    decision = play(CALL, [Says(WARNED)], [], redact=masks)
    assert isinstance(decision, Permit)
    assert decision.call is CALL
    assert masks.asked == []


def test_a_refused_call_is_not_masked():
    masks = Masks()
    assert play(CALL, [Says(MASKS), Says(Judgement(NO))], [], redact=masks) == structs.replace(NO, spoke=MASKS.spoke)
    assert masks.asked == []


@pytest.mark.parametrize("also", [NOTHING, Judgement(questions=(Question("p/r", "may it?"),))])
def test_where_masking_fails_nobody_is_asked_and_nothing_is_counted(also):
    masks = Masks(Refused(Reason.REDACTION_FAILED, 403, "it cannot be", "leave it out"))
    refusal = play(CALL, [Says(MASKS), Says(also)], [Counts(slot())], redact=masks)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.rule) == (Reason.REDACTION_FAILED, "payments/redact-rule")
    assert (refusal.detail, refusal.advice, refusal.spoke) == ("it cannot be", "leave it out", MASKS.spoke)


def test_an_approved_call_has_its_masks():
    question = Question("p/r", "may it?")
    asks = Says(Judgement(questions=(question,)))
    decision = play(CALL, [Says(MASKS), asks], [], (AskHuman((question,), CALL), YES), redact=Masks())
    assert isinstance(decision, Permit)
    assert decision.call.args == {"masked": True}


def test_nothing_is_masked_in_a_batch_which_is_refused():
    batch = structs.replace(CALL, parts=(CALL, CALL))
    masks = Masks()
    refusal = play(batch, [Says(MASKS)], [Counts(slot())], redact=masks)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.advice) == (Reason.REDACTION_FAILED, "send the calls one by one")
    assert masks.asked == []


def test_where_nobody_can_mask_the_call_is_refused():
    refusal = play(CALL, [Says(MASKS)], [])
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.REDACTION_FAILED
