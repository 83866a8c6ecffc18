"""What rules read is told from their text: whatever is said not to be read may have any value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Mode, Verdict
from gateway.observe.keeping import MASK
from gateway.policy.cel_expr import CelExpr
from gateway.policy.engine import EvaluationError, Program
from gateway.policy.rules import CompiledRule
from gateway.policy.variables import TYPES
from gateway.rehearse.needs import _lacking, _need

ENGINE = CelExpr()
NAMES = ("a", "b", "a.b", "list")
VALUES: tuple[Any, ...] = (1, "x", None, [], {}, [{"a": 1}], {"a": 2, "b": {"a": 3}}, True)

paths = st.sampled_from(
    [
        "args.a", "args.b", "args.a.b", "args.b.a.b", "args.list", 'args["a"]', 'args.b["a"]', "args[args.a]",
        "args.list[0].a", "(args).b", "args.`a.b`", 'default(args.b.a, 7)', "has(args.a)", "has(args.b.a)",
        "size(args)", "size(args.list)", "args.list.exists(i, i.a == 1)", "args.list.map(i, i.b)", "args.a.size()",
        '"a" in args', '"b" in args.b', "args", "args.list.filter(i, has(i.a))", 'args.a.startsWith("x")',
        'request.headers["x"]', "request.headers.y", '"x" in request.headers', "size(request.headers)",
        "args.exists(k, k == 'b')", "args\n.b", "args . a // no",
    ]
)  # fmt: skip
sources = st.builds(
    lambda one, two, op: f"({one}\n) {op} ({two}\n)",
    paths,
    paths | st.sampled_from(["1", '"x"']),
    st.sampled_from(["==", "!="]),
)


def rule(program: Program, **more: Any) -> CompiledRule:
    return CompiledRule("p", "r", program.source, program, Verdict.DENY, **more)


def compiled(source: str) -> Program | None:
    try:
        return ENGINE.compile(source, TYPES)
    except Exception:
        return None


def value_of(program: Program, args: dict[str, Any], headers: dict[str, str]) -> Any:
    bound = {"args": args, "request.headers": headers}
    try:
        return program.evaluate(ENGINE.activation({name: bound[name] for name in program.references}))
    except EvaluationError:
        return "error"


def put(args: Any, path: list[str], value: Any) -> Any:
    """A copy of ``args`` with another value at a path."""
    if not path:
        return value
    if isinstance(args, list):
        return [put(item, path[1:], value) if str(at) == path[0] else item for at, item in enumerate(args)]
    return {name: put(item, path[1:], value) if name == path[0] else item for name, item in args.items()}


def leaves(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every path below a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [below for name, item in inner for below in ((*at, str(name)), *leaves(item, (*at, str(name))))]


@given(sources, st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), min_size=1), st.data())
def test_what_a_rule_is_said_not_to_read_does_not_change_what_it_says(source, args, data):
    program = compiled(source)
    if program is None:
        return
    masked = data.draw(st.sampled_from(leaves(args)))
    touched, lacks, _ = _lacking(_need([rule(program)], (), False, False), [f"args.{'.'.join(masked)}"])
    if touched:
        assert lacks
        return
    headers = {"x": "1"}
    truth = value_of(program, args, headers)
    assert value_of(program, put(args, list(masked), MASK), headers) == truth
    assert value_of(program, put(args, list(masked), {"a": 7}), headers) == truth


@given(sources, st.sampled_from(["x", "y"]))
def test_a_header_that_a_rule_is_said_not_to_read_may_be_any(source, name):
    program = compiled(source)
    if program is None:
        return
    need = _need([rule(program)], (), False, False)
    if any(path in ("request.headers", f"request.headers.{name}") for path in need.headers):
        return
    args = {"a": 1, "b": {"a": 2}}
    assert len({repr(value_of(program, args, headers)) for headers in ({}, {name: "1"}, {name: "x"})}) == 1


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        ('"x" in request.headers && request.headers["y"] == "1"', {"request.headers.x", "request.headers.y"}),
        ('"a" + "x" in request.headers', {"request.headers"}),
        ("request.headers[agent.id] == ''", {"request.headers"}),
        ("request.headers.all(k, k == 'x')", {"request.headers"}),
        ("agent.id == ''", set()),
    ],
)
def test_headers_are_told_by_name_where_they_are_named(source, headers):
    program = ENGINE.compile(source, TYPES)
    assert set(_need([rule(program)], (), False, False).headers) == headers


@pytest.mark.parametrize("more", [{"mode": Mode.AUDIT}, {"mode": Mode.WARN}])
def test_rules_without_consequences_read_nothing(more):
    need = _need([rule(ENGINE.compile("args.a == 1", TYPES), **more)], (), False, False)
    assert not need.names
    assert not _lacking(need, ["args"])[0]
