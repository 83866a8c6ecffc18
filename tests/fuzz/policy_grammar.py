"""Conditions, calls and policy files: well-formed ones of every kind, and real ones with small damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from gateway.model import Call
from tests.policy.support import call_to

POLICIES = sorted((Path(__file__).parents[2] / "policies").rglob("*.yaml"))
FILES = [path.read_text() for path in POLICIES if not path.stem.endswith("_test")]
REAL = sorted(
    {
        rule["when"]
        for text in FILES
        for document in yaml.safe_load_all(text)
        if document["kind"] == "Policy"
        for rule in document["spec"]["rules"]
    }
)
"""The conditions of the shipped policies."""

_NUMBERS = ["0", "1", "-1", "1000.0", "0.5", "9007199254740993", "args.n", "double(args.n)", "args.m.n", "size(args.l)",
    "request.size", "run.cost_usd", "args.l[0]", "int(args.s)", "default(args.n, 0)", "-args.n", "1u"]  # fmt: skip
_TEXTS = ['"a"', "''", '"DE89"', "args.s", "args.m.s", "agent.id", "tool.operation", "request.path", "string(args.n)",
    "default(args.m.s, 'none')", "args.l[1]", "domain(args.s)", "args.s.lowerAscii()", "request.headers['x']",
    "json(args.s).a", "null", "r'\\d'", "'\\u00e9'"]  # fmt: skip
_CONDITIONS = ["true", "false", "has(args.s)", "has(args.m.s)", "args.b", "tool.readOnly",
        "args.s.matches('^a+$')",
    "args.s.matches(args.s)", "args.l.exists(x, x == args.s)", "args.l.all(x, x > 0)", "args.n in args.l",
    "'s' in args", "args.s in ['a', 'b']", "glob(args.s, '*a*')", "cidr(args.s, '10.0.0.0/8')",
    "shell(args.s).exists(c, c[0] == 'rm')", "args.m == {'n': 1}", "type(args.n) == int", "args == args",
    "args.l.map(x, x.n).exists(n, n > 1)", "args.s.size() > 3", "request.time > timestamp('2026-01-01T00:00:00Z')",
    "args.l.exists(x, args.l.exists(y, x == y && x != 0))", "1 / 0 > 0",
    "texts(args).exists(t, t.contains('a'))", "args"]  # fmt: skip

numbers = st.recursive(
    st.sampled_from(_NUMBERS),
    lambda below: st.builds("({} {} {})".format, below, st.sampled_from("+-*/%"), below),
    max_leaves=3,
)
texts = st.recursive(st.sampled_from(_TEXTS), lambda below: st.builds("({} + {})".format, below, below), max_leaves=3)
_relations = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
_atoms = st.one_of(
    st.sampled_from(_CONDITIONS),
    st.builds("{} {} {}".format, numbers, _relations, numbers),
    st.builds("{} {} {}".format, texts, _relations, texts),
    st.builds("{}.{}({})".format, texts, st.sampled_from(["startsWith", "endsWith", "contains"]), texts),
)
conditions = st.recursive(
    _atoms,
    lambda below: st.one_of(
        st.builds("({} && {})".format, below, below),
        st.builds("({} || {})".format, below, below),
        st.builds("!({})".format, below),
        st.builds("({} ? {} : {})".format, below, below, below),
    ),
    max_leaves=6,
)
"""Conditions that are mostly well-formed; some fail for their types, some for the call."""

_PIECES = st.sampled_from(
    ["(", ")", "[", "]", "{", "}", "&&", "||", "!", "?", ":", ".", ",", "'", '"', '"""', "//", "\n", "\0", "\\", "`",
     "$", "args", "has", "default(", "1e999", "0x", "-", "9" * 40, "in", "é", "\ud800", "all(x,", "variables.", " "]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """A text with up to four pieces put in, taken out, or repeated."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        how = draw(st.integers(0, 2))
        middle = draw(_PIECES) if how == 0 else "" if how == 1 else text[start:end] * draw(st.integers(2, 40))
        text = text[:start] + middle + text[end:]
    return text


expressions = st.one_of(
    conditions, damaged(conditions), damaged(st.sampled_from(REAL)), st.text(max_size=40), damaged(st.text(max_size=40))
)
"""Any text as a condition."""

_words = st.sampled_from(
    ["", "a", "aaa", "DE89", "rm -rf /", "https://a.example/x", "10.0.0.1", '{"a": "b"}', "5", "é"]
)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53 + 1, 2**63, -(2**70), 1000]),
    st.floats(),
    _words,
    st.text(max_size=5),
    st.sampled_from(["\0", "a\0b", "\ud800"]),
)
_values = st.recursive(
    _scalars,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from("nsx"), below, max_size=3)),
    max_leaves=5,
)
arguments = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "n": st.integers(-5, 2000),
            "s": _words,
            "b": st.booleans(),
            "l": st.lists(st.integers(0, 3), max_size=3),
        },
    ),
    st.dictionaries(st.sampled_from(["n", "s", "b", "l", "m"]), _values, max_size=5),
)
"""Arguments of the types that conditions expect, and of any other."""


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """A call with any arguments."""
    headers = draw(st.sampled_from([{}, {b"x": b"a"}, {b"x": b"\xff\x00"}]))
    agent = draw(st.sampled_from(["pay-1", "a", "\ud800", ""]))
    return call_to(args=draw(arguments), agent=agent, headers=headers)


_keys = st.sampled_from(["apiVersion", "kind", "metadata", "name", "spec", "match", "tools", "operations", "rules",
    "when", "then", "message", "mode", "variables", "expression", "rate", "per", "agents", "failurePolicy",
    "rollout"])  # fmt: skip
_leaves = st.one_of(
    st.sampled_from(
        ["toolgate/v1", "Policy", "Grant", "Limit", "Breaker", "Cap", "deny", "approve", "Audit", "bank", "*"]
    ),
    _scalars,
    expressions,
)
documents: st.SearchStrategy[Any] = st.recursive(
    _leaves,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(_keys, below, max_size=4)),
    max_leaves=12,
)
"""Anything with the words of policy documents in it."""


@st.composite
def written_policies(draw: st.DrawFn) -> str:
    """A policy document with these conditions as its rules, all well-formed but for what is in them."""
    rules = [
        {"name": f"r{number}", "when": draw(expressions), "then": draw(st.sampled_from(["deny", "approve", "warn"]))}
        for number in range(draw(st.integers(1, 3)))
    ]
    head = {"apiVersion": "toolgate/v1", "kind": "Policy", "metadata": {"name": "fuzz"}}
    return yaml.safe_dump({**head, "spec": {"match": {"tools": ["bank"]}, "rules": rules}})


files = st.one_of(damaged(st.sampled_from(FILES)), documents.map(lambda made: yaml.safe_dump(made)), written_policies())
"""Policy files, as text."""

_doubles = st.recursive(
    st.sampled_from(["0.0", "1.5", "-2.0", "1000.0", "args.n", "args.m.n", "double(args.i)", "double(size(args.l))",
        "default(args.n, 1.5)", "double(args.s)"]),
    lambda below: st.builds("({} {} {})".format, below, st.sampled_from("+-*"), below),
    max_leaves=3,
)  # fmt: skip
_ints = st.recursive(
    st.sampled_from(["0", "1", "-2", "1000", "args.i", "size(args.l)", "size(args.s)", "int(args.s)", "args.s.size()",
        "default(args.i, 7)", "int(args.n)"]),
    lambda below: st.builds("({} {} {})".format, below, st.sampled_from("+-*/%"), below),
    max_leaves=3,
)  # fmt: skip
_plain = st.sampled_from(
    ["''", "'a'", '"aaa"', "'é'", "args.s", "args.m.s", "agent.id", "default(args.m.s, 'a')", "args.l[0]",
     "string(args.i)", "domain(args.s)", "json(args.s).a"]
)  # fmt: skip
_strings = st.recursive(_plain, lambda below: st.builds("({} + {})".format, below, below), max_leaves=3)
_shared_atoms = st.one_of(
    st.sampled_from(["true", "false", "args.b", "has(args.s)",  "default(args.b, true)", "'s' in args",
        "args.s in args.l", "args.l.exists(x, x == args.s)", "args.l.all(x, x.startsWith('a'))",
        "args.s.matches('^a+$')",
        "args.l.exists_one(x, x == 'a')", "args.l.filter(x, x != 'a').size() == 1", "glob(args.s, '*a*')",
        "cidr(args.s, '10.0.0.0/8')", "shell(args.s).exists(c, c[0] == 'rm')", "args.l == ['a']",
        "texts(args).exists(t, t == 'a')"]),
    *(
        st.builds("{} {} {}".format, of, _relations, of)
        for of in (_doubles, _ints, _strings)
    ),
    st.builds("{}.{}({})".format, _plain, st.sampled_from(["startsWith", "endsWith", "contains"]), _strings),
)  # fmt: skip
shared_conditions = st.recursive(
    _shared_atoms,
    lambda below: st.one_of(
        st.builds("({} && {})".format, below, below),
        st.builds("({} || {})".format, below, below),
        st.builds("!({})".format, below),
        st.builds("({} ? {} : {})".format, below, below, below),
    ),
    max_leaves=5,
)
"""Conditions of the subset on which both engines must agree: no number meets one of another kind."""

_texts_of_calls = st.one_of(_words, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5))
shared_arguments = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from([0.5, -2.0, 1000.0, 2500.5]),
        "i": st.integers(-(2**53), 2**53),
        "s": _texts_of_calls,
        "b": st.booleans(),
        "l": st.lists(_texts_of_calls, max_size=3),
        "m": st.fixed_dictionaries({}, optional={"s": _texts_of_calls, "n": st.sampled_from([0.5, 3.25])}),
    },
)
"""Arguments for them: of the types that they expect, or missing."""
