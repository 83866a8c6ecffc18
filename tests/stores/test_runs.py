"""The costs of runs: each agent's own, bounded, and only of calls that have a run."""

from __future__ import annotations

from gateway.ports import Runs
from gateway.stores.runs import MOST_LABELS, RunBook


def test_costs_of_a_run_add_up():
    runs: Runs = RunBook()
    runs.add(("pay-1", "r"), 0.25)
    runs.add(("pay-1", "r"), 0.5)
    assert runs.cost(("pay-1", "r")) == 0.75
    assert runs.cost(("pay-1", "other")) == 0


def test_a_run_of_the_same_name_is_another_one_for_another_agent():
    runs = RunBook()
    runs.add(("pay-1", "r"), 1)
    assert runs.cost(("pay-2", "r")) == 0


def test_calls_without_a_run_are_not_kept():
    runs = RunBook()
    runs.add(("pay-1", ""), 1)
    assert runs.cost(("pay-1", "")) == 0


def test_the_run_that_nobody_asked_for_longest_is_forgotten():
    runs = RunBook(capacity=2)
    for run in ("a", "b"):
        runs.add(("pay-1", run), 1)
    assert runs.cost(("pay-1", "a")) == 1
    runs.add(("pay-1", "c"), 1)
    assert [runs.cost(("pay-1", run)) for run in ("a", "b", "c")] == [1, 0, 1]


def test_calls_that_cost_nothing_do_not_push_others_out():
    runs = RunBook(capacity=1)
    runs.add(("pay-1", "a"), 1)
    runs.add(("pay-1", "b"), 0)
    runs.cost(("pay-1", "c"))
    assert runs.cost(("pay-1", "a")) == 1


def test_long_run_ids_are_told_apart_and_not_kept_as_they_are():
    runs = RunBook()
    runs.add(("pay-1", "x" * 50_000 + "1"), 1)
    assert runs.cost(("pay-1", "x" * 50_000 + "1")) == 1
    assert runs.cost(("pay-1", "x" * 50_000 + "2")) == 0
    assert all(len(run) < 100 for _, run in runs._usd)


def test_a_run_is_marked_once_with_each_label():
    runs: Runs = RunBook()
    runs.mark(("pay-1", "r"), ("tainted", "paid"))
    runs.mark(("pay-1", "r"), ("paid", "abroad"))
    assert runs.labels(("pay-1", "r")) == ("abroad", "paid", "tainted")
    assert runs.labels(("pay-2", "r")) == runs.labels(("pay-1", "other")) == ()


def test_calls_without_a_run_and_rules_without_a_label_leave_no_mark():
    runs = RunBook(capacity=1)
    runs.mark(("pay-1", "r"), ("paid",))
    runs.mark(("pay-1", ""), ("paid",))
    runs.mark(("pay-1", "s"), ())
    assert runs.labels(("pay-1", "")) == runs.labels(("pay-1", "s")) == ()
    assert runs.labels(("pay-1", "r")) == ("paid",)


def test_the_marked_run_that_nobody_asked_for_longest_is_forgotten():
    runs = RunBook(capacity=2)
    for run in ("a", "b"):
        runs.mark(("pay-1", run), ("x",))
    assert runs.labels(("pay-1", "a")) == ("x",)
    runs.mark(("pay-1", "c"), ("x",))
    assert [runs.labels(("pay-1", run)) for run in ("a", "b", "c")] == [("x",), (), ("x",)]


def test_runs_that_only_cost_something_do_not_push_out_marked_ones():
    runs = RunBook(capacity=1)
    runs.mark(("pay-1", "a"), ("x",))
    runs.add(("pay-1", "b"), 1)
    assert (runs.labels(("pay-1", "a")), runs.cost(("pay-1", "b"))) == (("x",), 1)


def test_a_run_keeps_a_bounded_number_of_labels():
    runs = RunBook()
    for number in range(MOST_LABELS + 5):
        runs.mark(("pay-1", "r"), (f"n{number}",))
    assert len(runs.labels(("pay-1", "r"))) == MOST_LABELS
