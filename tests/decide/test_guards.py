"""Each guard: what it claims for a call, and how it words a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.cost.pricer import Pricer
from gateway.cost.rates import PriceBook
from gateway.decide.breakers import Breakers
from gateway.decide.bulkhead import Bulkhead
from gateway.decide.flaws import Flaws
from gateway.decide.grants import Grants
from gateway.decide.limits import Limits
from gateway.decide.prices import Unpriced
from gateway.decide.shapes import NOTHING, Judgement
from gateway.model import CircuitClaim, CircuitSettings, Hold, Question, RateClaim, Reason, Refusal, SlotClaim
from gateway.policy.guards import PARTS, CompiledBreaker, CompiledLimit
from tests.builders import Book, call, circuit, rate, slot, tool

PER_AGENT = CompiledLimit("per-agent", 20.0, 10.0, "reject", 0.0, (PARTS["agent"],))
SLOWLY = CompiledLimit("slowly", 1.0, 0.5, "wait", 5.0, (PARTS["tool"], PARTS["operation"]))


# -- grants ------------------------------------------------------------------------------------------------------


def test_what_no_grant_names_is_refused_by_name():
    judgement = Grants(Book(grant=None)).judge(call("DELETE /user"))
    assert judgement.refusal is not None
    assert (judgement.refusal.reason, judgement.refusal.status) == (Reason.NOT_GRANTED, 403)
    for named in ("'report-1'", "'DELETE /user'", "'github'"):
        assert named in judgement.refusal.detail


def test_a_granted_call_goes_on_with_the_grants_name():
    judgement = Grants(Book(grant="readers")).judge(call())
    assert (judgement.refusal, judgement.grant) == (None, "readers")


def test_an_endless_operation_does_not_make_an_endless_refusal():
    judgement = Grants(Book(grant=None)).judge(call("GET /" + "x" * 10_000))
    assert judgement.refusal is not None
    assert len(judgement.refusal.detail) < 500


# -- limits ------------------------------------------------------------------------------------------------------


def test_each_limit_that_matches_claims_one_token_under_its_own_key():
    assert Limits(Book(limits=(PER_AGENT, SLOWLY))).claims(call()) == (
        RateClaim("per-agent", ("per-agent", "report-1"), 20.0, 10.0, 1.0, 0.0),
        RateClaim("slowly", ("slowly", "github", "github", "GET /user"), 1.0, 0.5, 1.0, 5.0),
    )


def test_no_limit_claims_nothing():
    assert Limits(Book()).claims(call()) == ()


def test_a_limits_refusal_tells_how_long_to_wait_and_what_the_limit_is():
    refusal = Limits(Book()).refusal(Hold(rate(20, 10), False, 0.25, 0.075))
    assert (refusal.reason, refusal.status, refusal.retryable) == (Reason.RATE_LIMITED, 429, True)
    assert (refusal.rule, refusal.retry_after) == ("limit/per-agent", 0.075)
    assert dict(refusal.fields) == {
        b"RateLimit-Policy": b'"per-agent";q=20;w=2',
        b"RateLimit": b'"per-agent";r=0;t=1',
    }


@pytest.mark.parametrize(
    ("per_second", "said"),
    [
        (10, "10 calls a second"),
        (1, "1 call a second"),
        (100 / 60, "100 calls a minute"),
        (5 / 60, "5 calls a minute"),
        (20 / 3600, "20 calls an hour"),
        (1 / 86400, "1 call a day"),
        (0.3333, "0.3333 calls a second"),
    ],
)
def test_a_limits_refusal_tells_the_rate_as_people_write_it(per_second, said):
    refusal = Limits(Book()).refusal(Hold(rate(4, per_second), False, 0.0, 1.0))
    assert refusal.detail == f"limit 'per-agent': {said}, bursts of 4"


@given(st.floats(1, 1e6), st.floats(1e-5, 1e4), st.floats(0, 1), st.floats(0, 1e6))
def test_the_ratelimit_fields_are_whole_numbers_in_range(capacity, per_second, left, wait):
    """draft-ietf-httpapi-ratelimit-headers: q, w, r and t are non-negative integers."""
    fields = dict(Limits(Book()).refusal(Hold(rate(capacity, per_second), False, left, wait)).fields)

    def numbers(field: bytes) -> dict[str, int]:
        return {key: int(value) for key, value in (part.split("=") for part in field.decode().split(";")[1:])}

    policy, now = numbers(fields[b"RateLimit-Policy"]), numbers(fields[b"RateLimit"])
    assert policy["q"] >= 1
    assert policy["w"] >= 1
    assert 0 <= now["r"] <= policy["q"]
    assert now["t"] >= wait - 0.001


# -- breakers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per_operation", "key"), [(False, ("fragile", "github")), (True, ("fragile", "github", "GET /user"))]
)
def test_a_breaker_claims_passage_per_tool_or_per_operation(per_operation, key):
    settings = CircuitSettings()
    claims = Breakers(Book(breakers=(CompiledBreaker("fragile", settings, per_operation),))).claims(call())
    assert claims == (CircuitClaim("fragile", key, settings, "report-1"),)


def test_no_breaker_claims_nothing():
    assert Breakers(Book()).claims(call()) == ()


@pytest.mark.parametrize("state", ["open", "half-open"])
def test_a_breakers_refusal_says_what_is_failing_and_when_to_ask_again(state):
    refusal = Breakers(Book()).refusal(Hold(circuit(), False, 0.0, 12.4, state))
    assert (refusal.reason, refusal.status, refusal.retryable) == (Reason.CIRCUIT_OPEN, 503, True)
    assert (refusal.rule, refusal.retry_after) == ("breaker/fragile", 12.4)
    assert state in refusal.detail
    assert "github" in refusal.detail
    assert "12 s" in refusal.advice


# -- bulkhead ----------------------------------------------------------------------------------------------------


def test_a_bulkhead_claims_one_place_of_its_tool_for_any_call():
    guard = Bulkhead(tool(concurrency=8))
    assert (
        guard.claims(call())
        == guard.claims(call("DELETE /x"))
        == (SlotClaim("concurrency", ("concurrency", "github"), 8),)
    )


def test_a_full_bulkhead_is_503_and_worth_a_retry():
    refusal = Bulkhead(tool(concurrency=8)).refusal(Hold(slot(8), False))
    assert (refusal.reason, refusal.status, refusal.retryable) == (Reason.CONCURRENCY_LIMITED, 503, True)
    assert refusal.retry_after > 0
    assert "'github'" in refusal.detail
    assert "8" in refusal.detail


@pytest.mark.parametrize("guard", [Limits(Book()), Bulkhead(tool(concurrency=1))])
def test_a_guard_words_refusals_of_its_own_claims_only(guard):
    with pytest.raises(TypeError):
        guard.refusal(Hold(circuit(), False))


# -- what only keeps a session going -----------------------------------------------------------------------------


class Names:
    """Policies that note whether they were asked about what is implied."""

    def __init__(self, any_grant: str | None = "some") -> None:
        self._any = any_grant
        self.implied: list[bool] = []

    def grant(self, agent, tool, operation):
        return None

    def any_grant(self, agent, tool):
        return self._any

    def limits(self, tool, operation, *, implied=False):
        self.implied.append(implied)
        return ()

    breakers = rules = limits


@pytest.mark.parametrize(("any_grant", "implied", "granted"), [
    ("some", True, True), ("some", False, False), (None, True, False), (None, False, False),
])  # fmt: skip
def test_what_is_implied_needs_any_grant_on_the_tool(any_grant, implied, granted):
    judgement = Grants(Names(any_grant)).judge(structs.replace(call("tools/list"), implied=implied))
    assert (judgement.grant, judgement.refusal is None) == (any_grant if granted else "", granted)


@pytest.mark.parametrize("implied", [True, False])
def test_policies_are_told_whether_a_call_is_implied(implied):
    names = Names()
    for guard in (Limits(names), Breakers(names)):
        assert guard.claims(structs.replace(call("tools/list"), implied=implied)) == ()
    assert names.implied == [implied, implied]


def test_what_is_implied_takes_no_place_from_the_calls():
    bulkhead = Bulkhead(tool(concurrency=3))
    assert bulkhead.claims(structs.replace(call("stream"), implied=True)) == ()
    assert len(bulkhead.claims(call())) == 1


# -- flaws and prices --------------------------------------------------------------------------------------------


def test_a_flaw_refuses_or_asks():
    refusal, question = Refusal(Reason.TOOL_CHANGED, 403, "changed"), Question("pins/x", "still the same?")
    assert Flaws().judge(call()) is NOTHING
    assert Flaws().judge(structs.replace(call(), flaw=refusal)) == Judgement(refusal)
    assert Flaws().judge(structs.replace(call(), flaw=question)) == Judgement(questions=(question,))


@pytest.mark.parametrize(("unknown", "refused"), [("refuse", True), ("allow", False)])
def test_a_model_without_a_price_is_refused_where_the_operator_says_so(unknown, refused):
    check = Unpriced(Pricer("openai", PriceBook({}, None, lambda: 0.0), unknown))
    judgement = check.judge(structs.replace(call(), facts={"llm.model": "nobody-knows"}))
    assert (judgement.refusal is not None) is refused
    assert check.judge(call()) is NOTHING, "a call that asks no model needs no price"
