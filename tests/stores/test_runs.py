"""The costs of runs: each agent's own, bounded, and only of calls that have a run."""

from __future__ import annotations

from gateway.ports import Runs
from gateway.stores.runs import MOST_LABELS, RunBook, RunLine


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
    assert all(len(run) < 100 for (_, run), _ in runs._usd)


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


def test_a_run_is_listed_with_what_it_has_done():
    runs: Runs = RunBook()
    for now in (10.0, 12.0, 13.0):
        runs.began(("pay-1", "r"), now)
    runs.ended(("pay-1", "r"), 14.0, failed=True)
    runs.ended(("pay-1", "r"), 15.0, failed=True)
    runs.add(("pay-1", "r"), 0.5)
    runs.mark(("pay-1", "r"), ("paid",))
    runs.began(("pay-2", "s"), 16.0)
    assert list(runs.listing(20.0)) == [
        RunLine("pay-1", "r", 3, 2, 0.5, ("paid",), 10.0, 5.0),
        RunLine("pay-2", "s", 1, 0, 0.0, (), 4.0, 4.0),
    ]


def test_a_success_ends_a_row_of_errors():
    runs = RunBook()
    runs.began(("pay-1", "r"), 1.0)
    for failed in (True, True, False, True):
        runs.ended(("pay-1", "r"), 2.0, failed=failed)
    assert runs.tally(("pay-1", "r"), 3.0) == (1, 1, 2.0)


def test_an_agent_with_many_runs_pushes_out_its_own():
    runs = RunBook(capacity=10)
    runs.began(("pay-1", "mine"), 0.0)
    for number in range(1000):
        runs.began(("greedy", f"r{number}"), 1.0)
    assert runs.tally(("pay-1", "mine"), 1.0) == (1, 0, 1.0)
    assert len(list(runs.listing(1.0))) == 10
