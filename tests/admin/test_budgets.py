"""``/api/budgets``, and the command that reads it."""

from __future__ import annotations

import json
from functools import partial

from click.testing import CliRunner

from gateway.admin.budgets import add
from gateway.cli.budgets import budgets
from gateway.cli.operate import Gateway
from gateway.errors import StoreUnavailable
from gateway.model.standing import Standing
from gateway.observe.budgets import budget_metrics
from tests.admin.support import session_of

FULL = Standing("daily", "usd", ("report-1",), "day", 20_000_000, 16_840_000, 60_000, 86_400.0)
EMPTY = Standing("run", "tokens", ("report-1", "r\n1"), "total", 1000, 1, 0, 0.0, False, True)


async def standings(*given: Standing) -> list[Standing]:
    return list(given)


async def test_budgets_are_listed_in_their_units_those_first_that_have_least_left():
    async with session_of(partial(add, source=partial(standings, EMPTY, FULL))) as session:
        told = await (await session.get("/api/budgets")).json()
    assert told["known"] == 2
    assert [one["budget"] for one in told["budgets"]] == ["daily", "run"]
    assert told["budgets"][0] == {
        "budget": "daily", "unit": "usd", "key": ["report-1"], "window": "day", "mode": "hard", "limit": 20.0,
        "spent": 16.84, "reserved": 0.06, "left": 3.1, "ends": 86_400.0, "replicas": False,
    }  # fmt: skip
    last = told["budgets"][1]
    assert (last["mode"], last["spent"], last["ends"], last["replicas"]) == ("soft", 1, None, True)


async def test_where_the_store_is_away_that_is_said():
    async def away():
        raise StoreUnavailable("no route")

    async with session_of(partial(add, source=away)) as session:
        answer = await session.get("/api/budgets")
        assert answer.status == 503
        assert "no route" in (await answer.json())["detail"]


async def test_the_command_shows_a_table_and_json(monkeypatch):
    async with session_of(partial(add, source=partial(standings, FULL, EMPTY))) as session:
        told = await (await session.get("/api/budgets")).json()
    monkeypatch.setattr(Gateway, "ask", lambda self, method, path: told)
    head, first, second = CliRunner().invoke(budgets, []).output.splitlines()
    assert head.split() == ["BUDGET", "KEY", "WINDOW", "SPENT", "RESERVED", "LEFT", "USED", "ENDS"]
    assert first.split("  ")[0] == "daily"
    assert "16.84 USD" in first
    assert "3.10 USD" in first
    assert "84%" in first
    assert "1970-01-02T00:00:00Z" in first
    assert "report-1 r\\n1" in second
    assert json.loads(CliRunner().invoke(budgets, ["--json"]).output) == told["budgets"]


def test_metrics_name_budgets_and_never_keys():
    other = Standing("daily", "usd", ("report-2",), "day", 20_000_000, 1_000_000, 0, 86_400.0)
    found = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in budget_metrics([FULL, other], {"daily": 3})
        for sample in family.samples
    }
    assert found == {
        ("toolgate_budget_spent", ("daily", "usd")): 17.84,
        ("toolgate_budget_reserved", ("daily", "usd")): 0.06,
        ("toolgate_budget_limit", ("daily", "usd")): 20.0,
        ("toolgate_budget_fullest_ratio", ("daily", "usd")): 0.845,
        ("toolgate_budget_refusals_total", ("daily",)): 3,
    }
