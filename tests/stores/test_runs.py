"""The costs of runs: each agent's own, bounded, and only of calls that have a run."""

from __future__ import annotations

from gateway.ports import Runs
from gateway.stores.runs import RunBook


def test_costs_of_a_run_add_up():
    runs: Runs = RunBook()
    runs.add("pay-1", "r", 0.25)
    runs.add("pay-1", "r", 0.5)
    assert runs.cost("pay-1", "r") == 0.75
    assert runs.cost("pay-1", "other") == 0


def test_a_run_of_the_same_name_is_another_one_for_another_agent():
    runs = RunBook()
    runs.add("pay-1", "r", 1)
    assert runs.cost("pay-2", "r") == 0


def test_calls_without_a_run_are_not_kept():
    runs = RunBook()
    runs.add("pay-1", "", 1)
    assert runs.cost("pay-1", "") == 0


def test_the_run_that_nobody_asked_for_longest_is_forgotten():
    runs = RunBook(capacity=2)
    for run in ("a", "b"):
        runs.add("pay-1", run, 1)
    assert runs.cost("pay-1", "a") == 1
    runs.add("pay-1", "c", 1)
    assert [runs.cost("pay-1", run) for run in ("a", "b", "c")] == [1, 0, 1]


def test_calls_that_cost_nothing_do_not_push_others_out():
    runs = RunBook(capacity=1)
    runs.add("pay-1", "a", 1)
    runs.add("pay-1", "b", 0)
    runs.cost("pay-1", "c")
    assert runs.cost("pay-1", "a") == 1


def test_long_run_ids_are_told_apart_and_not_kept_as_they_are():
    runs = RunBook()
    runs.add("pay-1", "x" * 50_000 + "1", 1)
    assert runs.cost("pay-1", "x" * 50_000 + "1") == 1
    assert runs.cost("pay-1", "x" * 50_000 + "2") == 0
    assert all(len(run) < 100 for _, run in runs._usd)
