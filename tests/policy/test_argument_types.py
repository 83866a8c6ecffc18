"""Rules held against what is known of the arguments: what is told of an expression, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model import Origin, Tool
from gateway.policy.argument_checks import MOST_COMPARISONS, check_arguments
from gateway.policy.argument_shapes import Schemas, ToolArguments
from gateway.policy.compile import SourcedDocument
from gateway.policy.complaints import Complaint
from gateway.policy.schema import DOCUMENT
from tests.policy.support import CPP, PYTHON, compiled, document, policy

TEXT, NUMBER, INT = {"type": "string"}, {"type": "number"}, {"type": "integer"}


def listed(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


TRANSFER = listed(
    "amount",
    "to",
    "count",
    "items",
    "flag",
    amount=NUMBER,
    to=TEXT,
    count=INT,
    note=TEXT,
    flag={"type": "boolean"},
    kind={"type": "string", "enum": ["sepa", "swift"]},
    at=listed("city", city=TEXT, zip=TEXT),
    items={"type": "array", "items": listed("price", price=NUMBER, name=TEXT)},
    any={},
    maybe={"type": ["string", "null"]},
)
OTHER = listed("to", to=TEXT, limit=INT)
OPEN = {**listed("to", to=TEXT), "additionalProperties": True}
TOOLS = tuple(Tool(name, Origin("http", f"{name}.local", 80)) for name in ("bank", "shop"))
OPERATIONS = {"POST /transfers": TRANSFER, "POST /others": OTHER, "POST /open": OPEN}


def arguments(*names: str, complete: bool = True) -> dict[str, ToolArguments]:
    schemas = {name: (lambda schema=OPERATIONS[name]: Schemas(schema).shape(schema)) for name in names}
    return {"bank": ToolArguments(schemas, complete)}


def complaints(
    *documents: dict[str, Any], known: dict[str, ToolArguments], engine: Any = CPP, tools: Any = TOOLS
) -> list[Complaint]:
    _, wrong = compiled(*documents, engine=engine, tools=tools)
    sourced = [SourcedDocument(number, DOCUMENT.validate_python(raw)) for number, raw in enumerate(documents)]
    return check_arguments(sourced, tools, known, engine, wrong)


def told(
    *conditions: str,
    names: tuple[str, ...] = ("POST /transfers",),
    complete: bool = True,
    engine: Any = CPP,
    **spec: Any,
) -> list[str]:
    match = {"tools": ["bank"], "operations": list(names)}
    found = complaints(
        policy("p", *conditions, **{"match": match, **spec}), known=arguments(*names, complete=complete), engine=engine
    )
    return [f"{one.severity} {one.column_in_scalar}: {one.message}" for one in found]


@pytest.mark.parametrize(
    "condition",
    [
        'has(args.note) && args.note == "x"',
        'args.note == "x" && has(args.note)',
        '!has(args.note) || args.note == "x"',
        '!(has(args.note) && args.count > 3) || args.note == "x"',
        'has(args.note) && args.count > 3 && args.to == "x" && args.note == "x"',
        'has(args.note) ? args.note == "x" : args.count > 1',
        '!has(args.note) ? args.count > 1 : args.note == "x"',
        '"note" in args && args.note == "x"',
        '"note" in args && args["note"] == "x"',
        'default(args.note, "") == "x"',
        'default(args.at.city, "") == "x"',
        'has(args.at) && has(args.at.zip) && args.at.zip == "x" && args.at.city == "y"',
        "args.items.all(x, x.price > 1.0)",
        'args.items.exists(x, has(x.name) && x.name == "a")',
        'args.items.filter(x, x.price > 1.0).exists(x, has(x.name) && x.name == "a")',
        "args.items.map(x, x.price).exists(p, p > 1.0)",
        "args.items[0].price > 1.0",
        "args.items.exists(to, to.price > 1.0) && args.to.size() > 3",
        "has(args.any) && args.any.whatever.there[0].isBig",
        "args.amount > 5 && 5.0 < args.amount && args.amount in [1, 2.0]",
        "double(args.amount) * 2.0 > 1.0 && args.count + 1 > 3 && -args.count < 0",
        "args.amount == double(args.count) && args.amount + args.amount > 3.0",
        'has(args.kind) && args.kind == "sepa"',
        'has(args.kind) && args.kind + args.kind == "other"',
        'has(args.maybe) && args.maybe == null || has(args.maybe) && args.maybe != "x"',
        "args.flag || !args.flag",
        "dyn(args).unknown == 1 || has(dyn(args).other)",
        'args.to in ["a", "b"] && args.to in agent.roles && args.to == request.headers["x"]',
        'string(args.count) + args.to == "1a" && int(args.to) > 3',
        "request.method == 'POST' && run.cost_usd > 1.0",
        'args.exists(name, name == "debug")',
        "has(args.at) && args.at == args.at",
    ],
)
def test_nothing_is_told_of_what_fits(condition: str) -> None:
    assert told(condition) == []


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("args.amonut > 1.0", ["error 6: no argument args.amonut is known"]),
        ('args["amonut"] > 1.0', ["error 6: no argument args.amonut is known"]),
        ("has(args.zzz)", ["error 10: no argument args.zzz is known"]),
        ("args.zzz.deep.down == 1", ["error 6: no argument args.zzz is known"]),
        ('has(args.at) && args.at.citi == "x"', ["error 25: no argument args.at.citi is known"]),
        ("args.items.all(x, x.prize > 1.0)", ["error 21: no argument x.prize is known"]),
        ("args.items.filter(x, x.price > 1.0)[0].prize > 1.0", ["error 40: no argument prize is known"]),
        ('args.note == "x"', ["warning 6: args.note is optional: without it the rule fails and refuses the call"]),
        (
            'args.note == "x" || args.note == "y"',
            ["warning 6: args.note is optional: without it the rule fails and refuses the call"],
        ),
        (
            'has(args.note) || args.note == "x"',
            ["warning 24: args.note is optional: without it the rule fails and refuses the call"],
        ),
        (
            "has(args.at.zip)",
            ["warning 10: args.at is optional: without it the rule fails and refuses the call"],
        ),
        (
            'args.items.exists(x, x.name == "a") && args.items.all(x, has(x.name))',
            ["warning 24: x.name is optional: without it the rule fails and refuses the call"],
        ),
        ('args.amount > "5"', ['error 13: args.amount is a number, and "5" is text: it fails']),
        ('args.amount == "5"', ['error 13: args.amount is a number, and "5" is text: it is always false']),
        ("args.to != 5", ["error 9: args.to is text, and 5 is a whole number: it is always true"]),
        ("args.to == args.count", ["error 9: args.to is text, and args.count is a whole number: it is always false"]),
        ("args.amount == agent.id", ["error 13: args.amount is a number, and agent.id is text: it is always false"]),
        ("args.to + 1 == args.to", ["error 9: args.to is text, and 1 is a whole number: it fails"]),
        (
            'args.amount in ["1"]',
            ["error 13: args.amount is a number, and what stands in the list is text: it is always false"],
        ),
        ('"x" in args.to', ["error 5: args.to is text: nothing can be in it"]),
        (
            '"x" in args.items',
            ['error 5: "x" is text, and args.items is a list of an object: it is always false'],
        ),
        ("args.count", ["error 1: args.count is a whole number, not true or false"]),
        ("!args.to", ["error 2: args.to is text, not true or false"]),
        ("args.to ? true : false", ["error 1: args.to is text, not true or false"]),
        ("args.to.x == 1", ["error 9: args.to is text, so it has no x"]),
        ("args.items.price > 1.0", ["error 12: args.items is a list, so it has no price"]),
        ("args.to.all(x, true)", ["error 9: args.to is text: all goes through lists and objects"]),
        ("size(args.count) > 1", ["error 1: args.count is a whole number, and size is for text, lists and objects"]),
        ('args.count.matches("1")', ["error 12: args.count is a whole number, and matches is for text"]),
        ("args.to.contains(args.count)", ["error 9: args.count is a whole number, and contains is for text"]),
        (
            "args.amount * 2 > 1",
            [
                (
                    "warning 13: args.amount arrives as an int or a double, as it is written, and CEL does not compute "
                    "it with an int"
                )
            ],
        ),
        (
            "1.5 + args.count > 1.0",
            ["warning 5: args.count arrives as an int, and CEL does not compute it with a double"],
        ),
        (
            'has(args.kind) && args.kind in ["sepaa", "swift"]',
            ["warning 33: args.kind is never 'sepaa'"],
        ),
        ('has(args.kind) && "wire" == args.kind', ["warning 19: args.kind is never 'wire'"]),
    ],
)
def test_what_does_not_fit_is_told_at_its_place(condition: str, expected: list[str]) -> None:
    assert told(condition) == expected


def test_the_nearest_name_is_offered_and_else_all_of_them_and_a_way_round() -> None:
    match = {"tools": ["bank"], "operations": ["POST /others"]}
    found = complaints(policy("p", "args.limits == 1", "args.zzz == 1", match=match), known=arguments("POST /others"))
    assert [one.hint for one in found] == [
        "did you mean limit?",
        "there are limit, to; where the tool takes it all the same, write dyn(args).zzz",
    ]


def test_with_failure_policy_ignore_the_warning_says_that_calls_pass() -> None:
    (warning,) = told('args.note == "x"', failurePolicy="Ignore")
    assert warning.endswith("without it the rule fails and lets the call pass")


def test_what_holds_for_some_operations_is_a_warning_that_names_the_others() -> None:
    both = ("POST /transfers", "POST /others")
    assert told("args.count > 1", names=both) == [
        "warning 6: args.count is no argument of POST /others: there the rule fails and refuses the call"
    ]
    assert told("has(args.count) && args.count > 1", names=both) == []
    assert told("args.nothing == 1", names=both) == ["error 6: no argument args.nothing is known"]
    # What is told of a field is told of the operations that have it.
    assert told('has(args.count) && args.count > "1"', names=both) == [
        'error 31: args.count is a whole number, and "1" is text: it fails'
    ]
    assert told('has(args.kind) && args.kind == "zzz"', names=both) == ["warning 32: args.kind is never 'zzz'"]
    assert told("has(args.limit) && args.limit > 1", names=both) == []


def test_where_other_arguments_are_allowed_only_near_names_are_told() -> None:
    assert told('args.tto == "x"', names=("POST /open",)) == ["warning 6: no argument args.tto is known"]
    assert told('args.different == "x"', names=("POST /open",)) == []
    assert told("args.different == 1", names=("POST /open", "POST /others")) == [
        "warning 6: args.different is no argument of POST /others: there the rule fails and refuses the call"
    ]


def test_where_other_operations_can_be_called_near_names_are_warned_of_and_others_not_told() -> None:
    spec: dict[str, Any] = {"match": {"tools": ["bank"]}, "complete": False}
    assert told("args.amonut > 1.0", "args.zzz == 1", 'args.amount > "1"', **spec) == [
        "warning 6: no argument args.amonut is known",
        'warning 13: args.amount is a number, and "1" is text: it fails',
    ]
    # Named one by one, these are all operations that there are.
    assert told("args.amonut > 1.0", complete=False) == ["error 6: no argument args.amonut is known"]


def test_a_tool_of_which_nothing_is_known_makes_mistakes_warnings() -> None:
    match = {"tools": ["bank", "shop"], "operations": ["POST /transfers"]}
    found = complaints(policy("p", "args.amonut > 1.0", match=match), known=arguments("POST /transfers"))
    assert [one.severity for one in found] == ["warning"]


def test_variables_are_looked_through_and_told_where_they_stand() -> None:
    variables = [
        {"name": "noted", "expression": "has(args.note)"},
        {"name": "text", "expression": "args.note"},
        {"name": "wrong", "expression": "args.amonut > 1.0"},
    ]
    match = {"tools": ["bank"], "operations": ["POST /transfers"]}
    rules = ['variables.noted && variables.text == "x"', 'variables.text == "y"', "variables.wrong", "variables.text"]
    found = complaints(policy("p", *rules, match=match, variables=variables), known=arguments("POST /transfers"))
    assert [(one.path[1:3], one.column_in_scalar, one.message) for one in found] == [
        (("variables", 2), 6, "no argument args.amonut is known"),
        (("variables", 1), 6, "args.note is optional: without it the rule fails and refuses the call"),
        (("rules", 3), 1, "args.note is text, not true or false"),
    ]


def test_limits_are_held_against_schemas_too() -> None:
    match = {"tools": ["bank"], "operations": ["POST /others"]}
    limit = document("Limit", "l", match=match, per=["agent", "string(args.lmit)", "args.limit"], rate="1/s")
    found = complaints(limit, known=arguments("POST /others"))
    assert [(one.path, one.message) for one in found] == [
        (("spec", "per", 1), "no argument args.lmit is known"),
        (("spec", "per", 2), "args.limit is optional: without it the call is refused"),
    ]


def test_a_message_that_fails_does_no_harm_so_only_names_are_told() -> None:
    raw = policy("p", "args.count > 1", match={"tools": ["bank"], "operations": ["POST /transfers"]})
    raw["spec"]["rules"][0]["messageExpression"] = "args.note + args.tto"
    found = complaints(raw, known=arguments("POST /transfers"))
    assert [one.message for one in found] == ["no argument args.tto is known"]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("args.note", []),
        ("args.at.zip", []),
        ("args.items.price", []),
        ("args.items.*.price", []),
        ("args.*", []),
        ("args.at.*", []),
        ("args.any.thing.at.all", []),
        ("args.nots", [("error", 6, "no argument args.nots is known", "did you mean note?")]),
        ("args.at.sip", [("error", 9, "no argument args.at.sip is known", "did you mean zip?")]),
        ("args.items.*.prise", [("error", 14, "no argument args.items.*.prise is known", "did you mean price?")]),
        ("args.items.prise", [("error", 12, "no argument args.items.prise is known", "did you mean price?")]),
        ("args.at.qqq", [("warning", 9, "no argument args.at.qqq is known", "there are city, zip")]),
        (
            "args.to.first",
            [("error", 9, "args.to is text, so there is nothing to mask below it", "write args.to")],
        ),
    ],
)
def test_fields_that_are_masked_are_held_against_schemas(field: str, expected: list[tuple[Any, ...]]) -> None:
    raw = policy("p", "true", match={"tools": ["bank"], "operations": ["POST /transfers"]})
    raw["spec"]["rules"][0] |= {"then": "redact", "fields": [field]}
    found = complaints(raw, known=arguments("POST /transfers"))
    assert [(one.severity, one.column_in_scalar, one.message, one.hint) for one in found] == expected


def test_a_field_that_is_masked_need_not_be_there_in_every_operation() -> None:
    raw = policy("p", "true", match={"tools": ["bank"]})
    raw["spec"]["rules"][0] |= {"then": "redact", "fields": ["args.note"]}
    assert complaints(raw, known=arguments("POST /transfers", "POST /others")) == []


def test_an_engine_that_does_not_compare_ints_with_doubles_makes_it_a_warning() -> None:
    assert told("args.count > 1.0") == []
    assert told("args.count > 1.0", engine=PYTHON) == [
        "warning 12: args.count arrives as an int, and CEL does not compare it with a double"
    ]


def test_what_does_not_compile_is_not_told_twice() -> None:
    assert told("args.amonut > ", "args.count > 1") == []


def test_what_would_take_too_long_is_left_unchecked_and_said_so() -> None:
    many = 250
    schemas = {f"POST /{number}": (lambda: Schemas(OTHER).shape(OTHER)) for number in range(many)}
    match = {"tools": ["bank"]}
    documents = [policy(f"p{number}", "args.zzz == 1", match=match) for number in range(MOST_COMPARISONS // many + 2)]
    found = complaints(*documents, known={"bank": ToolArguments(schemas)})
    assert [one.kind for one in found] == ["argument-unknown"] * (len(documents) - 2) + ["arguments-unchecked"]
