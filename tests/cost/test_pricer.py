"""The pricer: models without a price, tokens and calls together, batches, and calls that cost nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.cost.calls import Priced, compile_price
from gateway.cost.pricer import Pricer
from gateway.cost.rates import PriceBook, Rates, Terms
from gateway.model import Call, Findings, Outcome, Reason, Usage
from gateway.policy.engines import load_engine
from tests.builders import call

CEL = load_engine()
BOOK = PriceBook({"gpt-5": Rates(1, 10)})


def asking(model: str = "gpt-5") -> Call:
    return msgspec.structs.replace(call("POST /chat/completions"), facts={"llm.model": model})


def ended(usage: Usage | None = None, upstream: int = 200, status: int = 200, **rest: Any) -> Outcome:
    return Outcome(status, upstream, found=Findings(usage=usage), **rest)


def read(model: str = "gpt-5", tokens: int = 1_000_000) -> Outcome:
    return ended(Usage(model, tokens))


def test_a_model_costs_its_tokens():
    assert Pricer("openai", BOOK).cost(asking(), ended(Usage("gpt-5", 1000, 100))) == 0.002


def test_the_model_that_was_asked_prices_the_dated_one_that_answered():
    assert Pricer("openai", BOOK).cost(asking("gpt-5"), read("gpt-5-2025-08-07")) == 1


class OnTerms:
    """A catalogue that charges double for priority."""

    def rates(self, provider: str, model: str, at: float, terms: Terms = ()) -> Rates:
        return Rates(2 if terms == (("service_tier", "priority"),) else 1)


def test_a_dearer_service_that_the_request_asks_for_is_charged_as_such():
    pricer = Pricer("openai", PriceBook({}, OnTerms()))

    def cost(**args: Any) -> float | None:
        return pricer.cost(msgspec.structs.replace(asking(), args=args), read())

    assert cost(service_tier="priority") == 2
    assert cost(serviceTier="PRIORITY") == 2
    assert cost(service_tier="auto") == cost(service_tier=["priority"]) == cost(service_tier="x" * 1000) == cost() == 1


def test_a_model_without_a_price_is_let_through_and_its_cost_is_unknown():
    pricer = Pricer("openai", BOOK)
    assert pricer.admits(asking("house-1")) is None
    priced = pricer.price(asking("house-1"), read("house-1"))
    assert priced == Priced(None, ("no cost: no price is known for model 'house-1'",))


def test_a_model_without_a_price_is_refused_where_prices_are_required():
    refusal = Pricer("openai", BOOK, "refuse").admits(asking("house-1"))
    assert refusal is not None
    assert (refusal.reason, refusal.status) == (Reason.UNPRICED, 403)
    assert refusal.detail == ("no price is known for model 'house-1' of provider openai; add it under prices.models")


def test_a_refusal_does_not_repeat_an_endless_name():
    refusal = Pricer("openai", BOOK, "refuse").admits(asking("m" * 100_000))
    assert refusal is not None
    assert len(refusal.detail) < 400


def test_models_with_a_price_and_calls_that_ask_no_model_are_let_through_where_prices_are_required():
    pricer = Pricer("openai", BOOK, "refuse")
    assert pricer.admits(asking()) is None
    assert pricer.admits(call("GET /models")) is None


def test_a_request_that_names_no_model_is_refused_where_prices_are_required():
    assert Pricer("openai", BOOK, "refuse").admits(asking("")) is not None


def test_rates_for_unknown_models_are_an_estimate_and_said_to_be_one():
    pricer = Pricer("openai", BOOK, Rates(5))
    assert pricer.admits(asking("house-1")) is None
    priced = pricer.price(asking("house-1"), read("house-1"))
    assert priced == Priced(5.0, ("cost estimated: no price is known for model 'house-1'",))


def test_a_tool_without_prices_costs_nothing_known():
    assert Pricer().price(call(), ended()) == Priced()
    assert Pricer().cost(call(), read()) is None
    assert Pricer("openai", BOOK).cost(asking(), ended()) is None


def test_the_price_of_a_call_comes_on_top_of_its_tokens():
    pricer = Pricer("openai", BOOK, call_price=compile_price(0.5, CEL))
    assert pricer.cost(asking(), read()) == 1.5
    assert pricer.price(asking("x"), read("x")) == Priced(0.5, ("no cost: no price is known for model 'x'",))


def test_each_call_of_a_batch_is_charged_by_its_own_arguments():
    parts = (call("a", args={"n": 1}), call("b", args={"n": 2}), msgspec.structs.replace(call("ping"), implied=True))
    batch = msgspec.structs.replace(call("batch"), parts=parts)
    assert Pricer(call_price=compile_price("args.n", CEL)).cost(batch, ended()) == 3


def test_calls_that_only_keep_a_session_going_are_free():
    pricer = Pricer(call_price=compile_price(1, CEL))
    assert pricer.cost(msgspec.structs.replace(call("initialize"), implied=True), ended()) is None


def test_a_call_that_never_reached_the_tool_is_free_but_one_that_nobody_waited_for_is_not():
    pricer = Pricer(call_price=compile_price(1, CEL))
    assert pricer.cost(call(), ended(upstream=0, status=502, fault="tool")) is None
    assert pricer.cost(call(), ended(upstream=502, status=502)) == 1
    assert pricer.cost(call(), ended(upstream=0, status=504, fault="tool")) == 1
    assert pricer.cost(call(), ended(upstream=0, status=499, fault="agent")) == 1


def test_a_result_that_was_kept_from_the_agent_is_charged():
    assert Pricer(call_price=compile_price(1, CEL)).cost(call(), ended(upstream=200, status=403)) == 1


def test_a_pricer_says_which_variables_its_prices_read():
    assert Pricer(call_price=compile_price("double(result.n)", CEL)).references == {"result"}
    assert Pricer("openai", BOOK).references == frozenset()
