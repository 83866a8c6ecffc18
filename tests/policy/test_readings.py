"""What an expression reads, as far as it names it."""

from __future__ import annotations

import pytest

from gateway.policy.readings import MOST, paths_of, read_at
from gateway.policy.variables import TYPES


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("args.amount > 5", [("args", ("amount",))]),
        ('agent.id == "x" && args.to.iban.startsWith("DE")', [("agent.id", ()), ("args", ("to", "iban"))]),
        ("args.items.exists(i, i.price > 5)", [("args", ("items",))]),
        ('args["amount"] > 5', [("args", ())]),
        ("has(args.x) && args.x == args.y", [("args", ("x",)), ("args", ("y",))]),
        ('"a" in run.labels', [("run.labels", ())]),
        ("true", []),
        ('request.headers["x-a"] == "b"', [("request.headers", ())]),
    ],
)
def test_paths_are_found(source, paths):
    assert list(paths_of([source], TYPES)) == paths


def test_paths_of_several_expressions_are_told_once_and_are_bounded():
    assert paths_of(["args.a == 1", "args.a + args.b"], TYPES) == (("args", ("a",)), ("args", ("b",)))
    assert len(paths_of([" && ".join(f"args.a{number} == 1" for number in range(50))], TYPES)) == MOST


def test_values_are_those_of_the_call_and_none_where_a_path_leads_nowhere():
    paths = (("args", ("a", "b")), ("args", ("a", "b", "c")), ("args", ("x",)), ("agent.id", ()), ("llm.model", ()))
    bound = {"args": {"a": {"b": [1]}}, "agent.id": "ann"}
    assert [value for _, value in read_at(paths, bound)] == [[1], None, None, "ann", None]
