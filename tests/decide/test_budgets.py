"""Budgets as guards: what they claim for a call, how it is made to fit, and what agents are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load
from gateway.decide.budgets import UNBOUNDED, Budgets
from gateway.decide.budgets_text import told, usd
from gateway.errors import Refused
from gateway.model import Agent, BudgetClaim, BudgetSettings, Call, Findings, Hold, Reason, Run, Usage
from gateway.pipeline import Street
from gateway.streets import Streets
from gateway.understand.extent import OUTPUT
from gateway.understand.kept import Kept
from gateway.understand.route import Router
from tests.builders import call as plain_call
from tests.builders import request
from tests.config.support import GRANT, written

CONFIG = """
tools:
  llm:
    url: http://llm.test/v1
    protocol: openai
    prices: {models: {cheap: {input: 1, output: 10}, dear: {input: 100, output: 1000}}}
  search: {url: 'http://search.test', cost: 0.5}
  counted: {url: 'http://counted.test', protocol: http}
  later: {url: 'http://later.test', cost: 'double(size(result))'}
"""


def budget(name: str = "daily", **spec: Any) -> str:
    made = {"per": ["agent"], "window": "day", **spec}
    return f"---\napiVersion: toolgate/v1\nkind: Budget\nmetadata: {{name: {name}}}\nspec: {json.dumps(made)}\n"


class Made:
    """The streets under these budgets."""

    def __init__(self, folder: Path, *budgets: str) -> None:
        folder.mkdir(exist_ok=True)
        self.loaded = load(written(folder, CONFIG, p=GRANT + "".join(budgets)))
        self.streets = Streets(self.loaded, Kept(), lambda: 0.0).all()
        self.router = Router(self.loaded.tools)

    def street(self, tool: str) -> Street:
        return self.streets[tool]

    def budgets(self, tool: str) -> Budgets:
        found = self.streets[tool].budgets
        assert found is not None
        return found

    def ask(self, path: str = "/chat/completions", method: str = "POST", agent: str = "a", **body: Any) -> Call:
        """A call to a model."""
        body = {"model": "cheap", "messages": [], **body}
        raw = json.dumps(body).encode()
        of = request(method, f"/llm{path}", [("Content-Type", "application/json")], length=len(raw))
        reader = self.streets["llm"].reader
        return reader.read("c1", of, self.router.route(of), Agent(agent), Run("r"), raw)

    def claims(self, call: Call) -> dict[tuple[str, ...], int]:
        claims = self.budgets(call.tool.name).claims(call)
        assert all(isinstance(claim, BudgetClaim) and claim.call == call.id for claim in claims)
        return {claim.key: claim.amount for claim in claims}  # type: ignore[attr-defined]

    def plain(self, tool: str, **rest: Any) -> Call:
        return plain_call(to=self.streets[tool].tool, agent=Agent("a"), **rest)


def test_each_budget_and_unit_has_a_claim_under_its_own_key(tmp_path):
    made = Made(tmp_path, budget(usd=1, calls=10, tokens=1000), budget("all", per=[], calls=5))
    call = made.ask(max_completion_tokens=100)
    read = call.extent.input
    assert made.claims(call) == {
        ("daily", "usd", "a"): read + 1000,
        ("daily", "tokens", "a"): read + 100,
        ("daily", "calls", "a"): 1,
        ("all", "calls"): 1,
    }


def test_what_is_no_model_costs_its_price_and_no_tokens(tmp_path):
    made = Made(tmp_path, budget(usd=10, tokens=5))
    assert made.claims(made.plain("search")) == {("daily", "usd", "a"): 500_000}
    assert made.claims(made.plain("counted")) == {}
    assert made.claims(made.plain("later")) == {("daily", "usd", "a"): 1}, "not known before: something must be left"


def test_a_budget_counts_the_agents_tools_and_operations_that_it_names(tmp_path):
    named = budget(agents=["b*"], calls=1, match={"tools": ["search"], "operations": ["GET *"]})
    made = Made(tmp_path, named)
    assert made.street("llm").budgets is None
    assert made.claims(made.plain("search")) == {}
    other = plain_call(to=made.street("search").tool, agent=Agent("b1"))
    assert made.claims(other) == {("daily", "calls", "b1"): 1}


def test_without_budgets_nothing_is_bounded_nor_changed(tmp_path):
    made = Made(tmp_path)
    call = made.ask()
    assert (call.extent, call.body, call.amendments) == (None, None, ())


@pytest.mark.parametrize(
    ("path", "member"), [("/chat/completions", "max_completion_tokens"), ("/responses", "max_output_tokens")]
)
def test_an_answer_without_a_bound_gets_that_of_the_strictest_budget(path, member, tmp_path):
    made = Made(tmp_path, budget(usd=1, max_tokens=500), budget("b", tokens=10**6, max_tokens=300))
    call = made.ask(path)
    assert json.loads(call.body)[member] == 300
    assert call.amendments == (f"{member} set to 300",)
    assert (call.extent.output, call.facts["llm.max_tokens"]) == (300, 300)
    assert made.ask(path, **{member: 9000}).body is None, "a bound that is there stays"


def test_budgets_of_calls_alone_bound_no_answer(tmp_path):
    assert Made(tmp_path, budget(calls=1)).ask().body is None


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "unknown"},
        {"models": ["cheap", "unknown"]},
        {"path": "/images/generations"},
        {"path": "/realtime", "method": "PUT"},
    ],
)
def test_a_hard_budget_of_dollars_refuses_what_nobody_can_price(asked, tmp_path):
    made = Made(tmp_path, budget(usd=1))
    with pytest.raises(Refused) as refused:
        made.claims(made.ask(**asked))
    assert (refused.value.reason, refused.value.status) == (Reason.UNPRICED, 403)
    assert refused.value.rule == "budget/daily"


def test_a_soft_budget_lets_it_pass_and_so_do_requests_that_ask_nothing(tmp_path):
    soft = Made(tmp_path / "soft", budget(usd=1, mode="soft"))
    assert soft.claims(soft.ask(model="unknown")) == {}
    hard = Made(tmp_path / "hard", budget(usd=1, tokens=1))
    assert hard.claims(hard.ask("/models", "GET")) == {}


def test_the_dearest_of_all_models_that_may_answer_counts(tmp_path):
    made = Made(tmp_path, budget(usd=1))
    call = made.ask(max_completion_tokens=10, models=["dear"])
    assert made.claims(call) == {("daily", "usd", "a"): 100 * call.extent.input + 10_000}


# -- made to fit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "limit"), [("usd", 1), ("tokens", 10**6)])
def test_an_answer_is_made_as_short_as_what_was_granted(unit, limit, tmp_path):
    made = Made(tmp_path, budget(**{unit: limit}))
    call = made.ask(max_completion_tokens=4000, n=2)
    (claim,) = made.budgets("llm").claims(call)
    price = 10 if unit == "usd" else 1
    assert claim.least == claim.amount - 2 * (4000 - 256) * price
    granted = Hold(BudgetClaim("daily", claim.key, "c1", claim.least + 1, claim.settings), True, state="short")
    fitted = made.budgets("llm").fit(call, [granted])
    assert json.loads(fitted.body)["max_completion_tokens"] == 256
    assert fitted.amendments[-1] == "max_completion_tokens 4000 -> 256"
    assert fitted.facts["llm.max_tokens"] == 256
    assert made.budgets("llm").fit(call, [Hold(claim, True)]) is call


def test_what_is_predicted_of_an_answer_does_not_become_less_where_it_is_made_shorter(tmp_path):
    made = Made(tmp_path, budget(tokens=10**6))
    predicted = {"type": "content", "content": "x" * 969}
    call = made.ask(max_completion_tokens=4000, prediction=predicted)
    (claim,) = made.budgets("llm").claims(call)
    assert claim.least == claim.amount - (4000 - 256)
    granted = Hold(BudgetClaim("daily", claim.key, "c1", claim.least, claim.settings), True, state="short")
    fitted = made.budgets("llm").fit(call, [granted])
    assert json.loads(fitted.body)["max_completion_tokens"] == 256


def test_what_cannot_be_made_shorter_is_all_or_nothing(tmp_path):
    made = Made(tmp_path, budget(usd=10))
    call = made.ask(path="/responses/compact", input="hi")
    assert [claim.least for claim in made.budgets("llm").claims(call)] == [0]
    assert call.extent.output == OUTPUT


def test_short_answers_and_calls_of_tools_are_all_or_nothing(tmp_path):
    made = Made(tmp_path, budget(usd=10))
    for call in (made.ask(max_completion_tokens=256), made.plain("search")):
        assert [claim.least for claim in made.budgets(call.tool.name).claims(call)] == [0]


# -- cut ---------------------------------------------------------------------------------------------------------


def test_an_answer_that_costs_more_than_was_reserved_goes_too_far_only_where_the_budget_cuts(tmp_path):
    for streams, goes_too_far in (("cut", True), ("finish", False)):
        made = Made(tmp_path / streams, budget(usd=1, streams=streams))
        budgets, call = made.budgets("llm"), made.ask(max_completion_tokens=10)
        holds = [Hold(claim, True) for claim in budgets.claims(call)]
        assert budgets.cuts(holds) is goes_too_far
        most = call.extent.input
        assert budgets.beyond(call, holds, Findings(usage=Usage("cheap", most, 10))) is None
        refusal = budgets.beyond(call, holds, Findings(usage=Usage("cheap", most, 11)))
        assert (refusal is not None) is goes_too_far
        assert budgets.beyond(call, holds, Findings()) is None


# -- what rules read ---------------------------------------------------------------------------------------------


def test_rules_read_what_is_left_of_the_tightest_budget_in_each_unit(tmp_path):
    made = Made(tmp_path, budget(usd=5), budget("wide", usd=50, calls=7))
    left = {("daily", "usd"): 1_500_000, ("wide", "usd"): 2_000_000, ("wide", "calls"): 3}

    def look(claims, now):
        assert all(claim.amount == 0 for claim in claims)
        return [Hold(claim, True, left[claim.key[:2]]) for claim in claims]

    facts = made.budgets("search").remaining(made.plain("search"), look, 0.0).facts
    assert facts["budget.remaining_usd"] == 1.5
    assert facts["budget.remaining_calls"] == 3
    assert facts["budget.remaining_tokens"] == UNBOUNDED["budget.remaining_tokens"]


# -- what agents are told ----------------------------------------------------------------------------------------


def hold(granted: bool = False, left: float = 0, amount: int = 500_000, retry: float = 0, **rest: Any) -> Hold:
    state, detail = rest.pop("state", ""), rest.pop("detail", "")
    made = BudgetSettings(**{"limit": 1_000_000, **rest})
    return Hold(BudgetClaim("daily", ("daily", made.unit), "c", amount, made), granted, left, retry, state, detail)


def refusal(tmp_path: Path, of: Hold):
    return Made(tmp_path, budget(usd=1)).budgets("llm").refusal(of)


def test_a_budget_that_is_spent_for_long_is_no_matter_of_waiting(tmp_path):
    told = refusal(tmp_path, hold(left=120_000, retry=7200.0, detail="2026-12-01T00:00:00Z"))
    assert (told.reason, told.status, told.retryable, told.retry_after) == (Reason.BUDGET_EXHAUSTED, 402, False, 0)
    assert told.detail == "budget 'daily' has 0.12 USD left of 1.00 USD for the day; this call can cost up to 0.50 USD"
    assert "2026-12-01T00:00:00Z" in told.advice
    assert told.rule == "budget/daily"


def test_one_that_is_soon_renewed_is(tmp_path):
    told = refusal(tmp_path, hold(retry=30.0, window="hour"))
    assert (told.status, told.retryable, told.retry_after) == (429, True, 30.0)


def test_a_call_that_no_budget_ever_covers_is_to_ask_for_less(tmp_path):
    assert "ask for less" in refusal(tmp_path, hold(left=1e6, amount=2_000_000)).advice


def test_where_the_store_is_away_that_is_said(tmp_path):
    told = refusal(tmp_path, hold(state="unavailable"))
    assert (told.reason, told.status, told.retry_after) == (Reason.STATE_UNAVAILABLE, 503, 5.0)


def test_an_answer_says_what_is_left_and_warns():
    lines = told([hold(True, 120_000, state="warn"), hold(True, 7, unit="calls", limit=10)]).decode().split("\r\n")
    assert lines == [
        'X-Toolgate-Budget: "daily";unit=usd;left=0.12;limit=1.00',
        "X-Toolgate-Warning: budget daily: 0.12 USD of 1.00 USD is left for the day",
        'X-Toolgate-Budget: "daily";unit=calls;left=7;limit=10',
        "",
    ]
    assert "shorter" in told([hold(True, 0, state="short")]).decode()


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (1, "0.000001"), (12_340_000, "12.34"), (500_000, "0.50"), (-50_000, "-0.05")],
)
def test_dollars_are_written_without_loss(amount, text):
    assert usd(amount) == text


@pytest.mark.parametrize(
    ("per", "forgotten"),
    [
        ([], False),
        (["agent", "tool"], False),
        (['agent.id.startsWith("a") ? "team" : "others"'], False),
        (["agent", "run"], True),
        (["operation"], True),
        (["request.path"], True),
    ],
)
def test_a_total_of_what_agents_make_up_is_forgotten_when_nobody_uses_it(tmp_path, per, forgotten):
    made = Made(tmp_path, budget(per=per, window="total", calls=9))
    (claim,) = made.budgets("llm").claims(made.ask())
    assert bool(claim.settings.seconds) is forgotten  # type: ignore[attr-defined]
